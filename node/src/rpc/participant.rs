//! The real node: a participant behind its handle.

use tokio::sync::broadcast;

use super::backend::{Backend, Denied, Node};
use crate::chain::{BlockId, Hash, Transaction, TransactionId};
use crate::chain_pool::{ChainPool, PoolError};
use crate::manager::ChainManager;
use crate::miner::work::{MinerProof, MinerSigned, PlotState, Work};
use crate::network::address::PeerAddress;
use crate::network::peers::Peers;
use crate::network::record::Banned;
use crate::participant::{Counters, Participant, ProofRefusal, SignRefusal};
use crate::service::{Handle, Stopped};
use crate::store::{Database, StoreError};
use crate::sync::Progress;

impl<D: Database + 'static> Backend for Handle<D> {
    type Node = Participant<D>;

    async fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Participant<D>, u64) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        Handle::with(self, call).await
    }

    fn subscribe_work(&self) -> broadcast::Receiver<Work> {
        Handle::subscribe_work(self)
    }
}

impl<D: Database + 'static> Node for Participant<D> {
    type Database = D;

    fn chain(&self) -> &ChainManager<D> {
        Participant::chain(self)
    }

    fn pool(&self) -> &ChainPool {
        Participant::pool(self)
    }

    fn peers(&self) -> &Peers {
        Participant::peers(self)
    }

    fn is_behind(&self) -> bool {
        Participant::is_behind(self)
    }

    fn may_mine(&self) -> bool {
        Participant::may_mine(self)
    }

    fn progress(&self) -> Progress {
        self.sync().progress()
    }

    fn counters(&self) -> Counters {
        Participant::counters(self)
    }

    fn offer(&mut self, transaction: Transaction) -> Result<TransactionId, PoolError> {
        Participant::offer(self, transaction)
    }

    fn work(&self, now_ms: u64) -> Vec<Work> {
        Participant::work(self, now_ms)
    }

    fn plot_state(&self, plot_key: Hash) -> Result<PlotState, StoreError> {
        Participant::plot_state(self, plot_key)
    }

    fn submit_proof(&mut self, proof: MinerProof, now_ms: u64) -> Result<(), Denied> {
        Participant::submit_proof(self, proof, now_ms).map_err(|refusal| match refusal {
            ProofRefusal::Store(error) => Denied::Store(error),
            refusal if refusal.passes() => Denied::NotNow(refusal.to_string()),
            refusal => Denied::Refused(refusal.to_string()),
        })
    }

    fn submit_signature(&mut self, signed: MinerSigned, now_ms: u64) -> Result<BlockId, Denied> {
        Participant::submit_signature(self, signed, now_ms).map_err(|refusal| match refusal {
            SignRefusal::Store(error) => Denied::Store(error),
            refusal => Denied::Refused(refusal.to_string()),
        })
    }

    fn ban(&mut self, who: Banned, until_ms: u64, now_ms: u64) {
        Participant::ban(self, who, until_ms, now_ms);
    }

    fn pardon(&mut self, who: &Banned) -> bool {
        Participant::pardon(self, who)
    }

    fn dial(&mut self, address: &PeerAddress, now_ms: u64) {
        Participant::dial(self, address, now_ms);
    }
}
