//! The participant as HTTP sees it.

use tokio::sync::broadcast;

use super::Handle;
use crate::chain::{BlockId, Hash, Transaction, TransactionId};
use crate::chain_pool::{ChainPool, PoolError};
use crate::manager::ChainManager;
use crate::miner::work::{MinerProof, MinerSigned, PlotState, Work};
use crate::network::peers::Peers;
use crate::network::record::Banned;
use crate::participant::{Participant, ProofRefusal, SignRefusal};
use crate::rpc::{Backend, Denied, Happened, Node, Stopped};
use crate::store::{Database, StoreError};

impl<D: Database + 'static> Backend for Handle<D> {
    type Node = Participant<D>;

    async fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Participant<D>, u64) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        Self::with(self, call).await.map_err(|_| Stopped)
    }

    fn subscribe_work(&self) -> broadcast::Receiver<Work> {
        Self::subscribe_work(self)
    }
}

impl<D: Database + 'static> Node for Participant<D> {
    type Database = D;

    fn chain(&self) -> &ChainManager<D> {
        self.chain()
    }

    fn pool(&self) -> &ChainPool {
        self.pool()
    }

    fn peers(&self) -> &Peers {
        self.peers()
    }

    fn is_behind(&self) -> bool {
        self.is_behind()
    }

    fn may_mine(&self) -> bool {
        self.may_mine()
    }

    fn happened(&self) -> Happened {
        let counters = self.counters();
        Happened {
            connected: counters.connected,
            refused: counters.refused,
            reorganised: counters.reorganised,
            alarms: counters.alarms,
            submitted: counters.submitted,
            proposed: counters.proposed,
        }
    }

    fn offer(&mut self, transaction: Transaction) -> Result<TransactionId, PoolError> {
        self.offer(transaction)
    }

    fn work(&self, now_ms: u64) -> Vec<Work> {
        self.work(now_ms)
    }

    fn plot_state(&self, plot_key: Hash) -> Result<PlotState, StoreError> {
        self.plot_state(plot_key)
    }

    fn submit_proof(&mut self, proof: MinerProof, now_ms: u64) -> Result<(), Denied> {
        self.submit_proof(proof, now_ms).map_err(|error| match error {
            ProofRefusal::Store(error) => Denied::Store(error),
            refusal => Denied::Refused(refusal.to_string()),
        })
    }

    fn submit_signature(&mut self, signed: MinerSigned, now_ms: u64) -> Result<BlockId, Denied> {
        self.submit_signature(signed, now_ms).map_err(|error| match error {
            SignRefusal::Store(error) => Denied::Store(error),
            refusal => Denied::Refused(refusal.to_string()),
        })
    }

    fn ban(&mut self, who: Banned, until_ms: u64, now_ms: u64) {
        self.ban(who, until_ms, now_ms);
    }

    fn pardon(&mut self, who: &Banned) -> bool {
        self.peers_mut().pardon(who)
    }

    fn dial(&mut self, address: String) {
        self.dial(&address);
    }
}
