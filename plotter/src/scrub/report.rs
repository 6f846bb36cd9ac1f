//! What a scrub found.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use spacetime_prover::{PlotError, PlotHeader};
use thiserror::Error;

use super::decide::Verdict;
use super::survey::Survey;
use crate::error::CreateError;

/// Most pieces of damage that a report lists one by one; beyond it they are counted only.
pub(crate) const MAX_LISTED: usize = 1000;

/// One damaged piece of a plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// Bytes between the parts of the file that must be zero.
    Padding {
        /// The first that is not.
        offset_bytes: u64,
        /// How many are not.
        bytes: u64,
    },
    /// The cells of a strip.
    Strip {
        /// Its segment.
        segment: u64,
        /// Its column.
        column: u32,
    },
    /// The cached subtree root of a strip.
    SubtreeRoot {
        /// Its segment.
        segment: u64,
        /// Its column.
        column: u32,
    },
    /// The cached root of a column.
    ColumnRoot {
        /// Which.
        column: u32,
    },
    /// Cells and subtree root of a strip contradict each other, and which of
    /// the two is right cannot be told because the plot was never right.
    Contradiction {
        /// The segment.
        segment: u64,
        /// The column.
        column: u32,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Padding { offset_bytes, bytes } => {
                write!(f, "padding: {bytes} bytes from byte {offset_bytes} on are not zero")
            }
            Self::Strip { segment, column } => write!(f, "segment {segment}, column {column}: the cells are damaged"),
            Self::SubtreeRoot { segment, column } => {
                write!(f, "segment {segment}, column {column}: the cached subtree root is damaged")
            }
            Self::ColumnRoot { column } => write!(f, "column {column}: the cached column root is damaged"),
            Self::Contradiction { segment, column } => {
                write!(f, "segment {segment}, column {column}: the cells do not lead to the subtree root")
            }
        }
    }
}

/// How a scrub ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every byte behind the header is right.
    Whole,
    /// There is damage, and it was not to be repaired.
    Damaged,
    /// There was damage; it was repaired and verified.
    Healed,
    /// Growing the rows again does not lead to the plot's roots either: the
    /// plot was never right. It cannot be repaired; make it anew.
    NeverRight,
}

/// What a scrub found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrubReport {
    /// The file.
    pub path: PathBuf,
    /// Its header.
    pub header: PlotHeader,
    /// How it ended.
    pub outcome: Outcome,
    /// The damage, the first thousand pieces of it.
    pub damage: Vec<Damage>,
    /// Pieces of damage in all.
    pub damaged: u64,
    /// Bytes that the disk could not read.
    pub unreadable_bytes: u64,
    /// Rows that were grown again.
    pub rows_grown: u64,
    /// How long it took.
    pub time: Duration,
}

impl ScrubReport {
    pub(super) fn new(path: &Path, header: &PlotHeader, survey: &Survey, verdict: Option<&Verdict>) -> Self {
        let mut report = Self {
            path: path.to_owned(),
            header: header.clone(),
            outcome: Outcome::NeverRight,
            damage: Vec::new(),
            damaged: 0,
            unreadable_bytes: 0,
            rows_grown: 0,
            time: Duration::ZERO,
        };
        report.add(survey.padding.iter().map(|gap| Damage::Padding { offset_bytes: gap.first, bytes: gap.wrong }));
        let Some(verdict) = verdict else {
            report.add(survey.suspects.iter().flat_map(|(segment, columns)| {
                columns.iter().map(|column| Damage::Contradiction { segment: *segment, column: column as u32 })
            }));
            return report;
        };
        report.add(verdict.strips.iter().flat_map(|(segment, columns)| {
            columns.iter().map(|column| Damage::Strip { segment: *segment, column: column as u32 })
        }));
        report.add(verdict.subtree_roots.iter().flat_map(|(segment, columns)| {
            columns.iter().map(|column| Damage::SubtreeRoot { segment: *segment, column: column as u32 })
        }));
        report.add(verdict.wrong_column_roots.iter().map(|column| Damage::ColumnRoot { column: column as u32 }));
        report.outcome = if report.damaged == 0 { Outcome::Whole } else { Outcome::Damaged };
        report
    }

    fn add(&mut self, damage: impl Iterator<Item = Damage>) {
        for damage in damage {
            self.damaged += 1;
            if self.damage.len() < MAX_LISTED {
                self.damage.push(damage);
            }
        }
    }
}

/// Why a plot could not be checked or scrubbed to the end. Every message names the file.
#[derive(Debug, Error)]
pub enum ScrubError {
    /// It cannot be opened or is no plot.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The header is damaged, so nothing tells what the rest should be.
    #[error("{0}; a header cannot be repaired, for nothing else holds the plot root: make the plot anew")]
    DamagedHeader(PlotError),
    /// It is still being grown.
    #[error("{}: is an unfinished plot: `spacetime plot resume` goes on with it", .0.display())]
    Unfinished(PathBuf),
    /// It is locked, or memory does not suffice.
    #[error(transparent)]
    Refused(#[from] CreateError),
    /// The system refused a read or a write.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was asked to stop.
    #[error("{}: stopped; what was repaired so far stays, the same command does the rest", .0.display())]
    Stopped(PathBuf),
    /// What was written was read back wrong.
    #[error("{}: {damage} again after it was repaired: the disk or the memory is at fault", path.display())]
    NotHealed {
        /// The file.
        path: PathBuf,
        /// What is still damaged.
        damage: Damage,
    },
}

impl ScrubError {
    /// Whether the work was asked to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped(_))
    }
}
