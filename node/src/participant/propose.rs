//! This node's own miners: their proofs, and the blocks made of them.

use spacetime_kernels::{Challenge, score};
use spacetime_prover::{Expected, VerifyError, check};
use thiserror::Error;

use super::blocks::Source;
use super::rounds::Holder;
use super::{Effect, Participant};
use crate::builder::{BuildError, Template, Win};
use crate::chain::{Block, BlockId, Epoch, Hash, Metadata, MinerKey, PlotId, bls, encode, plot_key};
use crate::chain_pool::PoolError;
use crate::consensus::{Engine, reveal_message};
use crate::miner::work::{MinerProof, MinerSigned, Pause, SignWork, Work};
use crate::network::message::{Gossip, ProofSubmission};
use crate::state::{Ledger, PlotStatus};
use crate::store::{Database, StoreError};

/// Blocks that wait for their signature: no node has more miners whose turn it is in one epoch.
const MAX_TEMPLATES: usize = 16;

/// A block that waits for its signature.
#[derive(Debug)]
pub(super) struct Waiting {
    epoch: Epoch,
    miner_key: MinerKey,
    template: Template,
}

/// Why a proof is not taken.
#[derive(Debug, Error)]
pub enum ProofRefusal {
    /// Nothing can be won now: later it may be taken.
    #[error(transparent)]
    Pause(#[from] Pause),
    /// Not the epoch that the clock shows.
    #[error("epoch {found} is over or has not begun, the clock is in epoch {now}")]
    Epoch {
        /// The proof's.
        found: Epoch,
        /// The clock's.
        now: Epoch,
    },
    /// The best chain has a block of this epoch already.
    #[error("epoch {0} has a block already")]
    Won(Epoch),
    /// A block of another branch changed what is asked.
    #[error("epoch {epoch} asks for another challenge: the chain has moved")]
    Challenge {
        /// The proof's epoch.
        epoch: Epoch,
    },
    /// Three others are better.
    #[error("three proofs of other miners are better")]
    Outranked,
    /// The proof breaks a rule.
    #[error("proof: {0}")]
    Proof(#[from] VerifyError),
    /// The plot is not registered, not mature, ended, or another's.
    #[error("plot {plot_id} may not win at the next height: {reason}")]
    Plot {
        /// Which.
        plot_id: PlotId,
        /// What it is.
        reason: &'static str,
    },
    /// The reveal is no signature of the challenge.
    #[error("the reveal does not hold")]
    Reveal,
    /// There are too many miners on this node in this epoch.
    #[error("too many miners are at work on this node")]
    TooMany,
    /// The chain's store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ProofRefusal {
    /// Whether the same may be taken a little later: no fault of the proof.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self, Self::Pause(_) | Self::Store(_))
    }
}

/// Why a signature is not taken.
#[derive(Debug, Error)]
pub enum SignRefusal {
    /// It was not asked for, or too long ago.
    #[error("no header of epoch {epoch} waits for a signature of {miner_key}")]
    NotAsked {
        /// The signature's epoch.
        epoch: Epoch,
        /// Whose it is.
        miner_key: MinerKey,
    },
    /// It does not sign what was asked.
    #[error("the signature does not hold for the header of epoch {epoch}")]
    Signature {
        /// The signature's epoch.
        epoch: Epoch,
    },
    /// The chain's store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<D: Database> Participant<D> {
    /// Takes a winning leaf of one of this node's miners, and tells the network.
    ///
    /// # Errors
    /// If it cannot win.
    pub fn submit_proof(&mut self, proof: MinerProof, now_ms: u64) -> Result<(), ProofRefusal> {
        if let Some(reason) = self.pause() {
            return Err(reason.into());
        }
        let now = self.chain.engine().epoch_of(now_ms).unwrap_or(Epoch(0));
        if proof.epoch != now {
            return Err(ProofRefusal::Epoch { found: proof.epoch, now });
        }
        let challenge = Challenge(proof.proof.challenge);
        let message = reveal_message(&self.chain.genesis().id, &challenge);
        let revealed =
            bls::PublicKey::parse(&proof.miner_key).and_then(|key| bls::verify(&key, &message, &proof.reveal));
        revealed.map_err(|_| ProofRefusal::Reveal)?;
        let submission = ProofSubmission { epoch: proof.epoch, miner_key: proof.miner_key, proof: proof.proof.clone() };
        let holder = self.check_submission(&submission)?;
        if !self.rounds.keep(proof) {
            return Err(ProofRefusal::TooMany);
        }
        self.rounds.take(submission.epoch, Hash(challenge.0), holder);
        self.counters.submitted += 1;
        self.peers.spread(encode(&submission).len(), true, now_ms);
        self.effects.push(Effect::Publish(Gossip::Submission(Box::new(submission))));
        self.propose(now_ms).map_err(ProofRefusal::Store)
    }

    /// Checks a proof as the next block's, cheapest first, and whether it would be among those that may propose.
    pub(super) fn check_submission(&self, submission: &ProofSubmission) -> Result<Holder, ProofRefusal> {
        let ProofSubmission { epoch, miner_key, proof } = submission;
        let tip = self.chain.tip();
        if *epoch <= tip.epoch {
            return Err(ProofRefusal::Won(*epoch));
        }
        let claim = self.chain.engine().claim(tip, *epoch);
        if proof.challenge != claim.challenge.0 || proof.column != claim.column.0 {
            return Err(ProofRefusal::Challenge { epoch: *epoch });
        }
        let holder = Holder { score: score(&claim.challenge, &proof.leaf), miner_key: *miner_key };
        if !self.rounds.would_rank(*epoch, Hash(claim.challenge.0), &holder) {
            return Err(ProofRefusal::Outranked);
        }
        let parameters = self.chain.parameters();
        let key = plot_key(parameters, miner_key, &proof.seed);
        let plot_id = spacetime_kernels::plot_id(&key, proof.rows, &proof.root);
        let expected = Expected {
            network: parameters.network_tag().0,
            miner_key: miner_key.0,
            shape: parameters.shape(),
            challenge: claim.challenge,
            column: claim.column,
            plot_id,
            root: None,
            score: None,
            target: Some(claim.target),
        };
        let request = check(proof, &expected)?;
        self.check_plot(Hash(key.0), PlotId(plot_id), *miner_key)?;
        let grown = self.chain.verifier().cells(&[request])[0];
        if grown != proof.leaf {
            return Err(VerifyError::Leaf { found: proof.leaf, grown }.into());
        }
        Ok(holder)
    }

    /// Whether a plot may win the next block.
    fn check_plot(&self, key: Hash, plot_id: PlotId, miner_key: MinerKey) -> Result<(), ProofRefusal> {
        let height = self.chain.tip().height;
        let mut ledger = Ledger::new(self.chain.store().state(height));
        let refused = |reason| Err(ProofRefusal::Plot { plot_id, reason });
        let plot = ledger.plot(key).map_err(StoreError::from)?.filter(|plot| plot.plot_id == plot_id);
        let Some(plot) = plot else { return refused("it is not registered") };
        if ledger.barred(miner_key).map_err(StoreError::from)?.is_some() {
            return refused("its miner is barred");
        }
        match plot.status(height, self.chain.parameters()) {
            PlotStatus::Pending => refused("it is not activated"),
            PlotStatus::Lapsed => refused("its registration has lapsed"),
            PlotStatus::Ended => refused("its lifetime is over"),
            PlotStatus::Retired => refused("it is retired"),
            _ if plot.mature_from.is_none_or(|from| from > height.next()) => refused("it is not mature yet"),
            _ => Ok(()),
        }
    }

    /// Builds the block of whichever of this node's miners has its turn, and asks for its signature.
    pub(super) fn propose(&mut self, now_ms: u64) -> Result<(), StoreError> {
        let Some(epoch) = self.chain.engine().epoch_of(now_ms) else { return Ok(()) };
        if self.chain.tip().epoch >= epoch || !self.may_mine() {
            return Ok(());
        }
        let parent = self.chain.tip().id;
        let challenge = Hash(self.chain.engine().claim(self.chain.tip(), epoch).challenge.0);
        let due: Vec<_> = self.rounds.due(epoch, challenge, parent, now_ms).into_iter().cloned().collect();
        for MinerProof { epoch, miner_key, proof, reveal, payout } in due {
            let win = Win { epoch, timestamp_ms: now_ms, miner_key, proof, reveal };
            let template = match self.with_pool(|pool, chain| pool.template(chain, &win, &payout))? {
                Ok(template) => template,
                Err(reason) => {
                    tracing::warn!(epoch = epoch.0, %miner_key, %reason, "no block can be built of a winning proof");
                    self.rounds.unbuilt(epoch, miner_key, parent);
                    continue;
                }
            };
            self.rounds.asked(epoch, miner_key);
            let expires_ms = self.rounds.start_ms(Epoch(epoch.0 + 1)).unwrap_or(u64::MAX);
            let work = SignWork::new(&template, expires_ms);
            self.templates.retain(|waiting| waiting.epoch >= epoch);
            if self.templates.len() < MAX_TEMPLATES {
                self.templates.push(Waiting { epoch, miner_key, template });
                self.effects.push(Effect::Work(Work::Sign(Box::new(work))));
            }
        }
        Ok(())
    }

    /// Headers of an epoch that still wait for their signature: a miner that comes back is asked again.
    pub(super) fn unsigned(&self, epoch: Epoch) -> impl Iterator<Item = Work> {
        let expires_ms = self.rounds.start_ms(Epoch(epoch.0 + 1)).unwrap_or(u64::MAX);
        let waiting = self.templates.iter().filter(move |waiting| waiting.epoch == epoch);
        waiting.map(move |waiting| Work::Sign(Box::new(SignWork::new(&waiting.template, expires_ms))))
    }

    /// Takes a signature that was asked for: the block is complete, and goes the way of all blocks before it is told.
    ///
    /// # Errors
    /// If it was not asked for or does not hold.
    pub fn submit_signature(&mut self, signed: MinerSigned, now_ms: u64) -> Result<BlockId, SignRefusal> {
        let MinerSigned { epoch, miner_key, signature } = signed;
        let place = self.templates.iter().position(|waiting| (waiting.epoch, waiting.miner_key) == (epoch, miner_key));
        let Some(place) = place else { return Err(SignRefusal::NotAsked { epoch, miner_key }) };
        let message = self.templates[place].template.header.signed_bytes(&self.chain.genesis().id);
        let holds = bls::PublicKey::parse(&miner_key).and_then(|key| bls::verify(&key, &message, &signature));
        if holds.is_err() {
            return Err(SignRefusal::Signature { epoch });
        }
        let Template { mut header, proof, transactions, .. } = self.templates.swap_remove(place).template;
        header.signature = signature;
        let metadata = Metadata::new(self.options.software.as_bytes().to_vec());
        let block = Block { header, proof, transactions, metadata };
        let id = block.id();
        self.take_blocks([(Source::Own, block)], now_ms)?;
        Ok(id)
    }
}

/// What only the store can be blamed for stands apart from what a block cannot be built for.
pub(super) fn store_fault<T>(result: Result<T, PoolError>) -> Result<Result<T, PoolError>, StoreError> {
    match result {
        Err(PoolError::Store(error)) => Err(error),
        Err(PoolError::Build(BuildError::State(error))) => Err(error.into()),
        other => Ok(other),
    }
}
