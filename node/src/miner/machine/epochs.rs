//! One epoch: which leaf is proved and submitted, and what became of it.

use std::collections::BTreeMap;

use spacetime_kernels::Score;

use crate::chain::{Epoch, Hash, MinerKey, MinerSignature, PlotId};
use crate::miner::io::ProofOrder;
use crate::miner::window::Missed;
use crate::miner::work::{EpochWork, MinerProof, MinerSigned, ResultWork};

/// Most challenges of one epoch that are followed: each is another branch's.
pub(super) const MAX_ATTEMPTS: usize = 4;
/// Most plots that are tried for one challenge: where four cannot be proved or are refused, the fifth is no better.
pub(super) const MAX_TRIES: usize = 4;

/// An epoch, from its beginning until its line is given and no header of it can be asked for any more.
#[derive(Debug)]
pub(super) struct EpochState {
    pub(super) closes_ms: u64,
    pub(super) ends_ms: u64,
    /// What the node said last of it.
    pub(super) work: Option<EpochWork>,
    /// When it said so: a number that grows with everything it says.
    pub(super) turn: u64,
    /// Why nothing could be done, at some time while the window was open.
    pub(super) hindrance: Option<Missed>,
    pub(super) attempts: Vec<Attempt>,
    /// Everything that was handed to the node, so that it may ask for a signature.
    pub(super) submissions: Vec<Submission>,
    pub(super) signed: bool,
    /// Signatures that the node has not taken yet.
    pub(super) signatures: BTreeMap<MinerKey, Handed>,
    pub(super) signing_refused: Option<String>,
    pub(super) result: Option<ResultWork>,
    pub(super) line_given: bool,
}

/// What is done about one challenge.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) challenge: Hash,
    pub(super) column: u32,
    pub(super) step: Step,
    /// Plots that could not be proved, or were refused.
    pub(super) failed: BTreeMap<PlotId, (Missed, String)>,
    /// The latest of these.
    pub(super) last_failure: Option<(Missed, String)>,
    pub(super) prove_ms: Option<u64>,
    /// Why there is no leaf to prove: those that are there may not win.
    pub(super) immature: bool,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Step {
    /// There is no leaf to prove, or not yet.
    Waiting,
    /// A leaf is being proved.
    Proving { order: ProofOrder, since_ms: u64 },
    /// The proof is with the node, whose answer is not there yet.
    Submitting { plot: PlotId, proof: Box<MinerProof> },
    /// The node did not answer.
    Retrying { plot: PlotId, proof: Box<MinerProof>, at_ms: u64 },
    /// The node has taken the proof.
    Submitted { proof: Box<MinerProof> },
}

/// A proof that was handed to the node, as far as a header names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Submission {
    pub(super) miner_key: MinerKey,
    pub(super) plot_id: PlotId,
    pub(super) plot_root: Hash,
    pub(super) score: Score,
    pub(super) proof_id: Hash,
    pub(super) reveal: MinerSignature,
}

/// A signature on its way to the node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handed {
    pub(super) signed: MinerSigned,
    /// When it is too late.
    pub(super) expires_ms: u64,
    /// When it is handed over again, where there was no answer.
    pub(super) again_ms: Option<u64>,
}

impl EpochState {
    pub(super) fn new(closes_ms: u64, ends_ms: u64) -> Self {
        Self {
            closes_ms,
            ends_ms,
            work: None,
            turn: 0,
            hindrance: None,
            attempts: Vec::new(),
            submissions: Vec::new(),
            signed: false,
            signatures: BTreeMap::new(),
            signing_refused: None,
            result: None,
            line_given: false,
        }
    }

    /// What is done about the challenge that the node named last; none once there were too many.
    pub(super) fn attempt(&mut self, work: &EpochWork) -> Option<&mut Attempt> {
        let known = |attempt: &Attempt| (attempt.column, attempt.challenge) == (work.column, work.challenge);
        let place = match self.attempts.iter().position(known) {
            Some(place) => place,
            None if self.attempts.len() == MAX_ATTEMPTS => return None,
            None => {
                self.attempts.push(Attempt::new(work));
                self.attempts.len() - 1
            }
        };
        Some(&mut self.attempts[place])
    }

    pub(super) fn attempt_at(&mut self, challenge: &Hash) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.challenge == *challenge)
    }

    /// The attempt at the challenge that the node named last.
    pub(super) fn current(&self) -> Option<&Attempt> {
        let work = self.work.as_ref()?;
        self.attempts.iter().find(|attempt| (attempt.column, attempt.challenge) == (work.column, work.challenge))
    }

    /// Whether the node took a proof of it, as far as is known.
    pub(super) fn was_submitted(&self) -> bool {
        self.attempts.iter().any(|attempt| matches!(attempt.step, Step::Submitted { .. }))
    }
}

impl Attempt {
    fn new(work: &EpochWork) -> Self {
        Self {
            challenge: work.challenge,
            column: work.column,
            step: Step::Waiting,
            failed: BTreeMap::new(),
            last_failure: None,
            prove_ms: None,
            immature: false,
        }
    }

    /// The plot is not tried again for this challenge.
    pub(super) fn fail(&mut self, plot: PlotId, why: Missed, detail: String) {
        self.step = Step::Waiting;
        self.last_failure = Some((why, detail.clone()));
        self.failed.insert(plot, (why, detail));
    }
}

/// Epochs that are followed.
pub(super) type Epochs = BTreeMap<Epoch, EpochState>;
