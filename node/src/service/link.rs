//! A miner in the node's own process.

use std::fmt::Display;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::{Handle, Stopped};
use crate::chain::{Address, Hash, Transaction};
use crate::mempool::StateView;
use crate::miner::io::LinkError;
use crate::miner::work::{MinerProof, MinerSigned, PlotState, Work};
use crate::miner::{Link, Stop};
use crate::participant::{Participant, SignRefusal};
use crate::store::Database;

/// How soon a request to stop is seen while the node says nothing.
const LOOK_FOR_STOP: Duration = Duration::from_millis(100);

/// The way from a miner to the participant of the same process.
#[derive(Debug)]
pub struct LocalLink<D>(Handle<D>);

impl<D: Database + 'static> LocalLink<D> {
    /// To the participant behind `handle`.
    #[must_use]
    pub fn new(handle: Handle<D>) -> Self {
        Self(handle)
    }

    fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Participant<D>, u64) -> Result<T, LinkError> + Send + 'static,
    ) -> Result<T, LinkError> {
        self.0.with_blocking(call).map_err(gone)?
    }
}

fn gone(stopped: Stopped) -> LinkError {
    LinkError::Unreachable(stopped.to_string())
}

fn refused(error: impl Display) -> LinkError {
    LinkError::Refused(error.to_string())
}

impl<D: Database + 'static> Link for LocalLink<D> {
    fn follow(&self, hear: &mut dyn FnMut(Work), stop: &Stop) -> Result<(), LinkError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| LinkError::Unreachable(error.to_string()))?;
        loop {
            // First listen, then ask: nothing is missed in between, at worst heard twice.
            let mut news = self.0.subscribe_work();
            self.0
                .with_blocking(|participant, now_ms| participant.work(now_ms))
                .map_err(gone)?
                .into_iter()
                .for_each(&mut *hear);
            loop {
                if stop.is_set() {
                    return Ok(());
                }
                match runtime.block_on(async { timeout(LOOK_FOR_STOP, news.recv()).await }) {
                    Ok(Ok(work)) => hear(work),
                    // Too far behind: from the start.
                    Ok(Err(RecvError::Lagged(_))) => break,
                    Ok(Err(RecvError::Closed)) => return Err(gone(Stopped)),
                    Err(_) => {}
                }
            }
        }
    }

    fn submit_proof(&self, proof: &MinerProof) -> Result<(), LinkError> {
        let proof = proof.clone();
        self.ask(move |participant, now_ms| match participant.submit_proof(proof, now_ms) {
            Err(error) if error.passes() => Err(LinkError::Unreachable(error.to_string())),
            result => result.map_err(refused),
        })
    }

    fn submit_signature(&self, signed: &MinerSigned) -> Result<(), LinkError> {
        let signed = *signed;
        self.ask(move |participant, now_ms| match participant.submit_signature(signed, now_ms) {
            Err(SignRefusal::Store(error)) => Err(LinkError::Unreachable(error.to_string())),
            result => result.map(drop).map_err(refused),
        })
    }

    fn plot_state(&self, plot_key: &Hash) -> Result<PlotState, LinkError> {
        let plot_key = *plot_key;
        self.ask(move |participant, _| participant.plot_state(plot_key).map_err(refused))
    }

    fn next_nonce(&self, address: &Address) -> Result<u64, LinkError> {
        let address = *address;
        self.ask(move |participant, _| {
            let (chain, tip) = (participant.chain(), participant.chain().tip().height);
            let view = StateView::new(chain.store().state(tip), tip, chain.parameters());
            participant.pool().pool().next_nonce(address, &view).map_err(refused)
        })
    }

    fn send_transaction(&self, transaction: &Transaction) -> Result<(), LinkError> {
        let transaction = transaction.clone();
        self.ask(move |participant, _| participant.offer(transaction).map(drop).map_err(refused))
    }
}
