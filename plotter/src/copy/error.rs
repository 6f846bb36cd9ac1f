//! What can go wrong while plots are copied.

use std::path::PathBuf;

use spacetime_prover::PlotError;
use thiserror::Error;

use crate::error::CreateError;

/// Why plots were not merged or compacted. Every message names the file.
#[derive(Debug, Error)]
pub enum CopyError {
    /// A source cannot be opened or read, or is damaged.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The new file cannot be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// Nothing to merge.
    #[error("no parts to merge")]
    NoParts,
    /// A whole plot among the parts.
    #[error("{}: is no part of a plot, it is complete by itself", .0.display())]
    NotAPart(PathBuf),
    /// A part of another plot, or one made another way.
    #[error("{}: the {field} is not that of {}", path.display(), first.display())]
    OtherPlot {
        /// The file.
        path: PathBuf,
        /// The part it is compared with.
        first: PathBuf,
        /// What differs.
        field: &'static str,
    },
    /// Rows are missing before a part.
    #[error("{}: begins with row {first_row}, but rows from {expected} on are missing before it", path.display())]
    Gap {
        /// The file.
        path: PathBuf,
        /// Its first row.
        first_row: u64,
        /// The first row that is missing.
        expected: u64,
    },
    /// A part has rows that another has, too.
    #[error("{}: begins with row {first_row}, but {} reaches to row {last_row}", path.display(), other.display())]
    Overlap {
        /// The file.
        path: PathBuf,
        /// Its first row.
        first_row: u64,
        /// The other part.
        other: PathBuf,
        /// The other's last row.
        last_row: u64,
    },
    /// Source and target are one file.
    #[error("{}: is the plot that would be read: it cannot be written in place", .0.display())]
    SameFile(PathBuf),
    /// It was asked to stop.
    #[error("{}: stopped; the sources are as they were, the same command begins anew", .0.display())]
    Stopped(PathBuf),
}

impl CopyError {
    /// Whether the work was asked to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        match self {
            Self::Stopped(_) => true,
            Self::Create(error) => error.is_stopped(),
            _ => false,
        }
    }
}
