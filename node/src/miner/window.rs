//! The line that every epoch leaves.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chain::{BlockId, Epoch, Hash};

/// How an epoch went for a miner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The epoch's block on the best chain is this miner's.
    Won,
    /// A proof was submitted, and another's block stands, or another's proof led.
    Lost,
    /// A proof was submitted, and the epoch has no block that the node knows of.
    Submitted,
    /// No leaf was below the target.
    NoWinner,
    /// There may have been a leaf that wins, but none was submitted: [`WindowLine::reason`] says why.
    Missed,
}

/// Why a window was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// The node was out of reach.
    NoLink,
    /// The node was catching up.
    NotSynced,
    /// The node had no peer.
    NoPeers,
    /// The node did not tell of the epoch in time.
    NotTold,
    /// There is no plot, or none that can be used.
    NoPlots,
    /// No plot may win yet, or any more.
    NotMature,
    /// The sweep ended after the window.
    LateSweep,
    /// No sweep took place.
    SweepFailed,
    /// The proof was not ready before the window closed.
    LateProof,
    /// The leaf could not be proved: the plot is damaged or gone.
    ProofFailed,
    /// The node did not answer the submission before the window closed.
    LateAnswer,
    /// The node refused the submission.
    Refused,
    /// The header that was to be signed was refused.
    SigningRefused,
}

/// How one epoch went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowLine {
    /// The epoch.
    pub epoch: Epoch,
    /// Its challenge, where it was told.
    pub challenge: Option<Hash>,
    /// Its column, where it was told.
    pub column: Option<u32>,
    /// Plots swept for it.
    pub plots: u64,
    /// Leaves scored for it.
    pub leaves: u64,
    /// Bytes read for its group.
    pub bytes: u64,
    /// How long the group's sweep took, in milliseconds.
    pub sweep_ms: Option<u64>,
    /// How long proving took, in milliseconds.
    pub prove_ms: Option<u64>,
    /// The best score of this miner's plots.
    pub best: Option<Hash>,
    /// What it had to be below.
    pub target: Option<Hash>,
    /// How it went.
    pub result: Outcome,
    /// Why it was missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Missed>,
    /// More of why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Whether this miner signed a header of the epoch.
    pub signed: bool,
    /// The epoch's block on the best chain, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockId>,
    /// Plots that could not be swept or proved from, at most [`MAX_TROUBLES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
}

/// Most troubles in one line: more would hide the rest of it.
pub const MAX_TROUBLES: usize = 8;

impl WindowLine {
    /// Says it by `tracing`.
    pub fn log(&self) {
        let short = |hash: &Option<Hash>| hash.map(|hash| const_hex::encode(&hash.0[..8]));
        tracing::info!(
            epoch = self.epoch.0,
            challenge = short(&self.challenge),
            column = self.column,
            plots = self.plots,
            leaves = self.leaves,
            bytes = self.bytes,
            sweep_ms = self.sweep_ms,
            prove_ms = self.prove_ms,
            best = short(&self.best),
            target = short(&self.target),
            result = self.result.name(),
            reason = self.reason.map(Missed::name),
            detail = self.detail,
            signed = self.signed,
            troubles = self.troubles.len(),
            "window"
        );
    }
}

impl Outcome {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Submitted => "submitted",
            Self::NoWinner => "no_winner",
            Self::Missed => "missed",
        }
    }
}

impl Missed {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoLink => "no_link",
            Self::NotSynced => "not_synced",
            Self::NoPeers => "no_peers",
            Self::NotTold => "not_told",
            Self::NoPlots => "no_plots",
            Self::NotMature => "not_mature",
            Self::LateSweep => "late_sweep",
            Self::SweepFailed => "sweep_failed",
            Self::LateProof => "late_proof",
            Self::ProofFailed => "proof_failed",
            Self::LateAnswer => "late_answer",
            Self::Refused => "refused",
            Self::SigningRefused => "signing_refused",
        }
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLink => "the node was out of reach",
            Self::NotSynced => "the node was catching up",
            Self::NoPeers => "the node had no peer",
            Self::NotTold => "the node did not tell of it in time",
            Self::NoPlots => "there is no plot to search",
            Self::NotMature => "no plot may win yet",
            Self::LateSweep => "the sweep ended too late",
            Self::SweepFailed => "there was no sweep",
            Self::LateProof => "the proof was too late",
            Self::ProofFailed => "the leaf could not be proved",
            Self::LateAnswer => "the node did not answer in time",
            Self::Refused => "the node refused the proof",
            Self::SigningRefused => "the header was not signed",
        })
    }
}

impl fmt::Display for WindowLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}: ", self.epoch)?;
        match (self.result, self.reason) {
            (Outcome::Won, _) => f.write_str("WON")?,
            (Outcome::Lost, _) => f.write_str("lost")?,
            (Outcome::Submitted, _) => f.write_str("submitted, no block")?,
            (Outcome::NoWinner, _) => f.write_str("no winner")?,
            (Outcome::Missed, None) => f.write_str("MISSED")?,
            (Outcome::Missed, Some(reason)) => write!(f, "MISSED: {reason}")?,
        }
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(block) = &self.block {
            write!(f, ", block {}", const_hex::encode(&block.0[..8]))?;
        }
        if let Some(best) = &self.best {
            write!(f, ", best {}", const_hex::encode(&best.0[..8]))?;
        }
        if let Some(target) = &self.target {
            write!(f, " of {}", const_hex::encode(&target.0[..8]))?;
        }
        write!(f, ", {} leaves of {} plots", self.leaves, self.plots)?;
        if let Some(sweep_ms) = self.sweep_ms {
            write!(f, ", {} bytes in {sweep_ms} ms", self.bytes)?;
        }
        if let Some(prove_ms) = self.prove_ms {
            write!(f, ", proved in {prove_ms} ms")?;
        }
        for trouble in &self.troubles {
            write!(f, "; {trouble}")?;
        }
        Ok(())
    }
}
