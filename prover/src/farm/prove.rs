//! From an answer to a proof, and on to the next best where a plot is damaged.

use std::path::PathBuf;
use std::sync::Arc;

use spacetime_kernels::{Backend, Challenge, ColumnIndex, RowIndex, Score, Target};
use thiserror::Error;

use crate::farm::Farm;
use crate::farm::plot::FarmPlot;
use crate::farm::report::{FoundLeaf, SearchReport};
use crate::platform;
use crate::plot::PlotError;
use crate::proof::{Proof, ProofRecord};
use crate::verify::{Expected, VerifyError, verify};

/// Why a plot's best leaf makes no proof.
#[derive(Debug, Error)]
pub enum PlotFault {
    /// The strip or the roots are damaged, or the file cannot be read.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// A proof was made, but it does not hold.
    #[error("{}: the plot is damaged: the proof of row {row} does not hold: {source}", path.display())]
    Proof {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// The rule it breaks.
        source: VerifyError,
    },
}

/// A plot whose better leaf could not be proved.
#[derive(Clone, Debug)]
pub struct PassedOver {
    /// The plot.
    pub plot: Arc<FarmPlot>,
    /// Why.
    pub fault: Arc<PlotFault>,
}

/// A proof that was verified.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The plot it is from.
    pub plot: Arc<FarmPlot>,
    /// The row of its leaf.
    pub row: u64,
    /// The score of its leaf.
    pub score: Score,
    /// The proof.
    pub proof: Proof,
    /// Plots with better leaves that turned out to be damaged.
    pub passed_over: Vec<PassedOver>,
}

impl Answer {
    /// The proof with score, row, plot id and path beside it.
    #[must_use]
    pub fn record(&self) -> ProofRecord {
        ProofRecord {
            score: Some(self.score.0),
            row: Some(self.row),
            plot_id: Some(self.plot.plot_id()),
            path: Some(self.plot.path().display().to_string()),
            ..self.proof.clone().into()
        }
    }
}

/// Why there is no proof.
#[derive(Debug, Error)]
pub enum ProveError {
    /// No plot has a leaf, or all that have one are damaged.
    #[error("no plot has a leaf that can be proved{}", count(passed_over))]
    NoLeaf {
        /// Plots that are damaged.
        passed_over: Vec<PassedOver>,
    },
    /// The best leaf does not win.
    #[error(
        "the best score {} is not below the target {}{}",
        const_hex::encode(score.0),
        const_hex::encode(target.0),
        count(passed_over)
    )]
    NoWinner {
        /// Its score.
        score: Score,
        /// What it must be below.
        target: Target,
        /// Plots with better leaves that turned out to be damaged.
        passed_over: Vec<PassedOver>,
    },
}

fn count(passed_over: &[PassedOver]) -> String {
    match passed_over.len() {
        0 => String::new(),
        1 => " (one plot turned out to be damaged)".to_owned(),
        more => format!(" ({more} plots turned out to be damaged)"),
    }
}

impl Farm {
    /// Proves the best leaf that `report` found for a challenge, by its place
    /// in the report, and hands the proof out only once [`verify`] took it. A
    /// plot that turns out to be damaged keeps the error
    /// ([`FarmPlot::fault`]), and the next best plot's leaf is proved instead.
    ///
    /// # Errors
    /// If no leaf that wins can be proved.
    ///
    /// # Panics
    /// If there is no such challenge.
    pub fn prove(&self, report: &SearchReport, challenge: usize, backend: Backend) -> Result<Answer, ProveError> {
        let mut passed_over = Vec::new();
        for leaf in report.ranking(challenge) {
            if let Some(target) = report.target.filter(|_| !report.wins(&leaf)) {
                return Err(ProveError::NoWinner { score: leaf.score, target, passed_over });
            }
            let plot = &report.plots[leaf.plot].plot;
            let claim = LeafClaim {
                challenge: report.challenges[challenge],
                column: report.column,
                row: leaf.row,
                score: leaf.score,
                target: report.target,
            };
            match plot.prove(&claim, backend) {
                Ok(proof) => {
                    let (plot, FoundLeaf { score, row, .. }) = (Arc::clone(plot), leaf);
                    return Ok(Answer { plot, row, score, proof, passed_over });
                }
                Err(fault) => {
                    tracing::error!(%fault, "the next best plot answers instead");
                    passed_over.push(PassedOver { plot: Arc::clone(plot), fault });
                }
            }
        }
        Err(ProveError::NoLeaf { passed_over })
    }
}

/// A leaf that a search found, for whoever keeps what it found and not its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafClaim {
    /// What it answers.
    pub challenge: Challenge,
    /// Its column.
    pub column: ColumnIndex,
    /// Its row.
    pub row: u64,
    /// What it scored.
    pub score: Score,
    /// What the score must be below; without one any score will do.
    pub target: Option<Target>,
}

impl FarmPlot {
    /// Proves one leaf, and hands the proof out only once [`verify`] took it. A plot that turns out to be damaged
    /// keeps the error ([`Self::fault`]).
    ///
    /// # Errors
    /// If the plot cannot be read, is damaged, or the leaf is not what the claim says.
    pub fn prove(&self, claim: &LeafClaim, backend: Backend) -> Result<Proof, Arc<PlotFault>> {
        prove_leaf(self, claim, backend).map_err(|fault| {
            let fault = Arc::new(fault);
            self.keep_fault(Arc::clone(&fault));
            fault
        })
    }
}

fn prove_leaf(plot: &FarmPlot, claim: &LeafClaim, backend: Backend) -> Result<Proof, PlotFault> {
    let &LeafClaim { challenge, column, row, score, target } = claim;
    let header = plot.plot().header();
    let proof = plot.plot().prove(&challenge, column, RowIndex(row), backend);
    if row < header.rows && u64::from(column.0) < plot.plot().layout().columns() {
        let strip = plot.plot().layout().strip(row / header.rows_per_segment, column);
        platform::forget(plot.plot().file(), strip.offset_bytes, strip.bytes());
    }
    let proof = proof?;
    let expected = Expected {
        network: header.network,
        miner_key: header.miner_key,
        shape: header.shape,
        challenge,
        column,
        plot_id: header.plot_id,
        root: Some(header.root),
        score: Some(score),
        target,
    };
    let fault = |source| PlotFault::Proof { path: plot.path().to_owned(), row, source };
    verify(&proof, &expected, Some(backend)).map_err(fault)?;
    Ok(proof)
}
