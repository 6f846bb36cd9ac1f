//! What goes from peer to peer: validated before it is forwarded.

use super::propose::ProofRefusal;
use super::{Effect, Participant, Verdict};
use crate::chain::{Epoch, Hash, Transaction, TransactionId, encode};
use crate::chain_pool::PoolError;
use crate::consensus::Engine;
use crate::network::PeerId;
use crate::network::message::{Gossip, GossipId, ProofSubmission};
use crate::network::offence::Offence;
use crate::store::{Database, StoreError};

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
        let bytes = transaction.encoded_len();
        match self.pool_offer(transaction)? {
            // What all of the network could not keep up with stays here: the next nodes may have it of others.
            Ok(()) if !self.peers.may_forward(now_ms) => self.judge(peer, id, Verdict::Ignore),
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
        self.effects.push(Effect::Publish(Gossip::Transaction(Box::new(transaction))));
        Ok(id)
    }

    fn pool_offer(&mut self, transaction: Transaction) -> Result<Result<(), PoolError>, StoreError> {
        let offered = self.with_pool(|pool, chain| pool.offer(chain, vec![transaction]))?;
        Ok(offered.and_then(|mut verdicts| verdicts.pop().expect("a verdict for each").map(|_| ())))
    }
}
