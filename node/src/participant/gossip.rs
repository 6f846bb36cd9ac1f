//! What goes from peer to peer: validated before it is forwarded.

use super::propose::ProofRefusal;
use super::{Effect, Participant, Verdict};
use crate::chain::{Epoch, Hash, Transaction, TransactionId, encode};
use crate::chain_pool::PoolError;
use crate::consensus::Engine;
use crate::network::PeerId;
use crate::network::message::{GOSSIP_SEEN_MS, Gossip, GossipId, ProofSubmission};
use crate::network::offence::Offence;
use crate::store::{Database, StoreError};

/// Most transactions that wait to be told. Of more, the oldest are told to those alone who ask for a pool.
const MAX_UNTOLD: usize = 65_536;
/// How far a submission's epoch may lie from the clock's: clocks differ.
const NEAR_EPOCHS: u64 = 1;

impl<D: Database> Participant<D> {
    pub(super) fn take_gossip(
        &mut self,
        peer: PeerId,
        id: GossipId,
        message: Gossip,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        if !self.peers.allow_gossip(&peer, &message, now_ms) {
            self.judge(peer, id, Verdict::Ignore);
            return Ok(());
        }
        match message {
            Gossip::Proposal(block) => self.take_proposal(peer, id, *block, now_ms),
            Gossip::Submission(submission) => self.take_submission(peer, id, &submission, now_ms),
            Gossip::Transaction(transaction) => self.take_transaction(peer, id, *transaction, now_ms),
        }
    }

    pub(super) fn judge(&mut self, peer: PeerId, id: GossipId, verdict: Verdict) {
        self.effects.push(Effect::Judge { peer, id, verdict });
    }

    fn take_submission(
        &mut self,
        peer: PeerId,
        id: GossipId,
        submission: &ProofSubmission,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let now = self.chain.engine().epoch_of(now_ms).unwrap_or(Epoch(0));
        if self.is_behind() || submission.epoch.0.abs_diff(now.0) > NEAR_EPOCHS {
            self.judge(peer, id, Verdict::Ignore);
            return Ok(());
        }
        match self.check_submission(submission) {
            Ok(holder) => {
                self.rounds.take(submission.epoch, Hash(submission.proof.challenge), holder);
                self.peers.spread(encode(submission).len(), false, now_ms);
                self.judge(peer, id, Verdict::Accept);
            }
            Err(ProofRefusal::Store(error)) => return Err(error),
            // Another view of the chain asks for another target: a score that is too high here may win there.
            Err(ProofRefusal::Proof(error)) if !matches!(error, spacetime_prover::VerifyError::Target { .. }) => {
                tracing::warn!(%peer, epoch = submission.epoch.0, reason = %error, "refused a proof");
                self.judge(peer, id, Verdict::Reject);
                self.offence(peer, Offence::BadProof, now_ms);
            }
            Err(_) => self.judge(peer, id, Verdict::Ignore),
        }
        Ok(())
    }

    fn take_transaction(
        &mut self,
        peer: PeerId,
        id: GossipId,
        transaction: Transaction,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        // Its state is old: what is refused now may be good.
        if self.is_behind() {
            self.judge(peer, id, Verdict::Ignore);
            return Ok(());
        }
        let (name, bytes) = (transaction.id(), transaction.encoded_len());
        match self.pool_offer(transaction)? {
            // It waits here: the next nodes may have it of others, and else are told later.
            Ok(()) if !self.peers.may_forward(now_ms) => {
                self.untold.push_back((name, now_ms));
                if self.untold.len() > MAX_UNTOLD {
                    self.untold.pop_front();
                }
                self.judge(peer, id, Verdict::Ignore);
            }
            Ok(()) => {
                self.peers.spread(bytes, false, now_ms);
                self.judge(peer, id, Verdict::Accept);
            }
            Err(PoolError::Invalid(error)) => {
                tracing::warn!(%peer, reason = %error, "refused a transaction");
                self.judge(peer, id, Verdict::Reject);
                self.offence(peer, Offence::BadTransaction, now_ms);
            }
            Err(_) => self.judge(peer, id, Verdict::Ignore),
        }
        Ok(())
    }

    /// Tells of transactions that were not forwarded when they came, once there is room for them. Before gossip has
    /// forgotten that it knows them, it would not tell of them.
    pub(super) fn tell_transactions(&mut self, now_ms: u64) {
        while let Some((id, came_ms)) = self.untold.front_mut() {
            // The clock may have been set back.
            *came_ms = now_ms.min(*came_ms);
            let (waits, waiting) = (now_ms < came_ms.saturating_add(GOSSIP_SEEN_MS), self.pool.pool().get(id).cloned());
            if waiting.is_some() && (waits || !self.peers.may_forward(now_ms)) {
                return;
            }
            self.untold.pop_front();
            if let Some(transaction) = waiting {
                self.peers.spread(transaction.get().encoded_len(), true, now_ms);
                let transaction = Box::new(transaction.get().clone());
                self.effects.push(Effect::Publish(Gossip::Transaction(transaction)));
            }
        }
    }

    /// Transactions of a peer's pool, which was asked for.
    pub(super) fn take_pool(
        &mut self,
        peer: PeerId,
        transactions: Vec<Transaction>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let verdicts = self.with_pool(|pool, chain| pool.offer(chain, transactions))?;
        for verdict in verdicts.unwrap_or_default() {
            if let Err(PoolError::Invalid(error)) = verdict {
                tracing::warn!(%peer, reason = %error, "refused a transaction of a peer's pool");
                self.offence(peer, Offence::BadTransaction, now_ms);
                break;
            }
        }
        Ok(())
    }

    /// Takes a transaction of this node's user, and tells the network.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn offer(&mut self, transaction: Transaction) -> Result<TransactionId, PoolError> {
        let id = transaction.id();
        self.pool_offer(transaction.clone()).map_err(PoolError::Store)??;
        self.counters.offered += 1;
        self.effects.push(Effect::Publish(Gossip::Transaction(Box::new(transaction))));
        Ok(id)
    }

    fn pool_offer(&mut self, transaction: Transaction) -> Result<Result<(), PoolError>, StoreError> {
        let offered = self.with_pool(|pool, chain| pool.offer(chain, vec![transaction]))?;
        Ok(offered.and_then(|mut verdicts| verdicts.pop().expect("a verdict for each").map(|_| ())))
    }
}
