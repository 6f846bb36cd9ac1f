//! Whether a header may be signed: it says what this miner has submitted, and nothing else was signed for its epoch.

use spacetime_kernels::Score;
use thiserror::Error;

use super::epochs::{EpochState, Submission};
use crate::builder::Payout;
use crate::chain::{Coinbase, Epoch, HEADER_VERSION, Hash, Height, MinerKey, MinerSignature, Output, Payload, PlotId};
use crate::miner::record::RecordError;
use crate::miner::work::{ChainWork, SignWork};

/// Why a header is not signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum SignRefusal {
    /// There is no chain yet.
    #[error("the node has not said which chain it is on")]
    NoChain,
    /// Another's.
    #[error("miner key {0} is none of this miner's")]
    Key(MinerKey),
    /// It is too late.
    #[error("the request expired at {expires_ms}, now is {now_ms}")]
    Expired {
        /// When it was too late.
        expires_ms: u64,
        /// The clock.
        now_ms: u64,
    },
    /// Nothing was submitted.
    #[error("no proof of key {miner_key} was submitted for epoch {epoch}")]
    NotSubmitted {
        /// The header's epoch.
        epoch: Epoch,
        /// The header's key.
        miner_key: MinerKey,
    },
    /// Another plot's leaf.
    #[error("plot is {found}, submitted was {submitted}")]
    Plot {
        /// The header's.
        found: PlotId,
        /// What was submitted.
        submitted: PlotId,
    },
    /// Another root.
    #[error("plot root is {found}, submitted was {submitted}")]
    PlotRoot {
        /// The header's.
        found: Hash,
        /// What was submitted.
        submitted: Hash,
    },
    /// Another score.
    #[error("score is {}, submitted was {}", const_hex::encode(found.0), const_hex::encode(submitted.0))]
    Score {
        /// The header's.
        found: Score,
        /// What was submitted.
        submitted: Score,
    },
    /// Another proof.
    #[error("proof is {found}, submitted was {submitted}")]
    Proof {
        /// The header's.
        found: Hash,
        /// What was submitted.
        submitted: Hash,
    },
    /// Another reveal.
    #[error("the reveal is not the one that was submitted")]
    Reveal,
    /// An unknown kind of header.
    #[error("header version is {0}, known is {HEADER_VERSION}")]
    Version(u32),
    /// Nothing is known that may stand there.
    #[error("the extension is {0}, not zero")]
    Extension(Hash),
    /// It has one already.
    #[error("the header has a signature already")]
    Signature,
    /// The time is not the epoch's.
    #[error("timestamp {timestamp_ms} is not in epoch {epoch}")]
    Timestamp {
        /// The header's.
        timestamp_ms: u64,
        /// The header's epoch.
        epoch: Epoch,
    },
    /// The leaf does not win.
    #[error("score {} is not below target {}", const_hex::encode(score.0), const_hex::encode(target))]
    Target {
        /// The header's score.
        score: Score,
        /// The header's target.
        target: [u8; 32],
    },
    /// Genesis has that height, or the parent another.
    #[error("height is {found}, expected {expected}")]
    Height {
        /// The header's.
        found: Height,
        /// The next one of the parent.
        expected: Height,
    },
    /// The coinbase is none of the block's, or no coinbase.
    #[error("the coinbase is not that of transaction root {0}")]
    Coinbase(Hash),
    /// Somebody else is paid.
    #[error("the block pays {found}, the payout that was asked for is {expected}")]
    Payout {
        /// Whom the coinbase pays.
        found: String,
        /// Whom it is to pay.
        expected: String,
    },
    /// Another was signed, or this cannot be remembered.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Checks everything but the record.
pub(super) fn check(
    chain: &ChainWork,
    payout: &Payout,
    state: Option<&EpochState>,
    asked: &SignWork,
    now_ms: u64,
) -> Result<(), SignRefusal> {
    let &SignWork { ref header, expires_ms, .. } = asked;
    let (epoch, miner_key) = (header.epoch, header.miner_key);
    if now_ms >= expires_ms {
        return Err(SignRefusal::Expired { expires_ms, now_ms });
    }
    let none = SignRefusal::NotSubmitted { epoch, miner_key };
    let state = state.ok_or(none.clone())?;
    check_submission(&state.submissions, asked).unwrap_or(Err(none))?;
    if header.version != HEADER_VERSION {
        return Err(SignRefusal::Version(header.version));
    }
    if header.extension != Hash::ZERO {
        return Err(SignRefusal::Extension(header.extension));
    }
    if header.signature != MinerSignature::ZERO {
        return Err(SignRefusal::Signature);
    }
    let since_genesis = header.timestamp_ms.checked_sub(chain.genesis_time_ms);
    if since_genesis.map(|since| Epoch(since / chain.epoch_ms.max(1))) != Some(epoch) {
        return Err(SignRefusal::Timestamp { timestamp_ms: header.timestamp_ms, epoch });
    }
    if !header.target.is_met_by(&header.score) {
        return Err(SignRefusal::Target { score: header.score, target: header.target.0 });
    }
    let expected = match &state.work {
        Some(work) if work.parent == header.parent => work.height,
        // Another parent's height is not known; no block but genesis has height 0.
        _ => Height(header.height.0.max(1)),
    };
    if header.height != expected {
        return Err(SignRefusal::Height { found: header.height, expected });
    }
    check_payout(payout, asked)
}

/// Whether the block pays what it may pay as this miner asked for.
fn check_payout(payout: &Payout, asked: &SignWork) -> Result<(), SignRefusal> {
    let SignWork { header, coinbase, .. } = asked;
    let root = header.transaction_root;
    let Payload::Coinbase(found) = &coinbase.transaction.payload else { return Err(SignRefusal::Coinbase(root)) };
    if coinbase.root() != Some(root) {
        return Err(SignRefusal::Coinbase(root));
    }
    let expected = payout.coinbase(header.height, header.miner_key, coinbase.claimable);
    if *found != expected {
        return Err(SignRefusal::Payout { found: outputs(found), expected: outputs(&expected) });
    }
    Ok(())
}

/// Who is paid how much.
fn outputs(coinbase: &Coinbase) -> String {
    let output = |output: &Output| format!("{} to {}", output.amount.0, const_hex::encode(output.address.0));
    match &*coinbase.outputs {
        [] => "nobody".to_owned(),
        outputs => outputs.iter().map(output).collect::<Vec<_>>().join(", "),
    }
}

/// Whether the header names one of the submissions; none if there is no submission of its key.
fn check_submission(submissions: &[Submission], asked: &SignWork) -> Option<Result<(), SignRefusal>> {
    let header = &asked.header;
    let of_key = || submissions.iter().filter(|submission| submission.miner_key == header.miner_key);
    // What fits best is what it is compared with, so that the message says what differs.
    let submission =
        of_key().find(|submission| submission.proof_id == header.proof_id).or_else(|| of_key().next_back())?;
    let &Submission { plot_id, plot_root, score, proof_id, reveal, .. } = submission;
    Some(if header.plot_id != plot_id {
        Err(SignRefusal::Plot { found: header.plot_id, submitted: plot_id })
    } else if header.plot_root != plot_root {
        Err(SignRefusal::PlotRoot { found: header.plot_root, submitted: plot_root })
    } else if header.score != score {
        Err(SignRefusal::Score { found: header.score, submitted: score })
    } else if header.proof_id != proof_id {
        Err(SignRefusal::Proof { found: header.proof_id, submitted: proof_id })
    } else if header.reveal != reveal {
        Err(SignRefusal::Reveal)
    } else {
        Ok(())
    })
}
