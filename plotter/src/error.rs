//! What can go wrong while a plot is made.

use std::io;
use std::path::PathBuf;

use spacetime_kernels::BulkError;
use spacetime_prover::PlotError;
use thiserror::Error;

use crate::control::Stopped;
use crate::copy::CopyError;
use crate::params::ParamsError;
use crate::trailer::TrailerError;

/// What goes wrong inside the file; [`CreateError::Build`] names it.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The system refused a read or a write.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It was asked to stop.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// What is in the file is not what another backend grows.
    #[error(
        "row {row}, column {column} was read back wrong: {checker} grows another cell than {grower} did. Disk, memory or who grew it is at fault; nothing after the last good batch was kept"
    )]
    WrongCell {
        /// Row, counted from the plot's first.
        row: u64,
        /// Column.
        column: u32,
        /// The backend that grew it again.
        checker: &'static str,
        /// Who grew it first.
        grower: String,
    },
    /// What a card hashed is not what the CPU hashes.
    #[error(
        "column {column} of the rows from {row} on was hashed wrong by {grower}; nothing after the last good batch was kept"
    )]
    WrongRoot {
        /// First row of those hashed, counted from the plot's first.
        row: u64,
        /// Column.
        column: u32,
        /// Who hashed it.
        grower: String,
    },
    /// A card was readied for other rows.
    #[error("{0} was readied for rows of another shape")]
    OtherShape(String),
    /// All who grew rows are lost.
    #[error("nobody is left to grow rows: {0}; `spacetime plot resume` goes on from here")]
    NoneLeft(BulkError),
}

/// Why a plot was not made. Every message names the file.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The parameters make no plot.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The name is taken.
    #[error("{}: exists; `--force` overwrites it", .0.display())]
    Exists(PathBuf),
    /// A plot of that name is unfinished.
    #[error("{}: is an unfinished plot: `spacetime plot resume` goes on with it, `--force` begins anew", .0.display())]
    Unfinished(PathBuf),
    /// Another process is at work on it.
    #[error("{}: is being made by {holder}", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// The disk is too small.
    #[error("{}: no space: {needed} bytes are needed with a margin, {free} are free", path.display())]
    NoSpace {
        /// The file that was to be made.
        path: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The budget is greater than what is free.
    #[error("memory: {budget} bytes were allowed, only {free} are free")]
    NoMemory {
        /// The budget.
        budget: u64,
        /// What the machine has left.
        free: u64,
    },
    /// The budget does not hold the smallest batch.
    #[error("memory: {budget} bytes are too few: the smallest batch takes {needed}")]
    SmallBudget {
        /// The budget.
        budget: u64,
        /// What the smallest batch takes.
        needed: u64,
    },
    /// The system refused.
    #[error("{}: {doing}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Something went wrong while it was filled. What was done can be resumed.
    #[error("{}: {source}", path.display())]
    Build {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: BuildError,
    },
    /// An unfinished plot cannot be gone on with.
    #[error("{}: cannot be resumed: {reason}", path.display())]
    NotResumable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A plot of that name came to be while this one was made.
    #[error("{}: exists; {} waits for its name: move or remove the one, or replace it with `spacetime plot resume --force`", path.display(), tmp.display())]
    Waiting {
        /// The name that is taken.
        path: PathBuf,
        /// The unfinished plot, which stays.
        tmp: PathBuf,
    },
    /// Somebody renamed, removed or replaced the file that was being made.
    #[error("{}: is another file than the one that was being made: it was renamed or removed meanwhile", .0.display())]
    Replaced(PathBuf),
    /// A copy begins anew, for its sources are whole.
    #[error("{}: is a copy that was interrupted: run `spacetime plot merge` or `compact` again, or `resume` the staged plot; it begins anew", .0.display())]
    InterruptedCopy(PathBuf),
    /// A plot cannot be staged where it belongs.
    #[error("{}: is the folder that the plot belongs in: stage it in another", .0.display())]
    StagedInPlace(PathBuf),
    /// A plan has no room for the path.
    #[error("{}: a plot with so long a path, or one that is not UTF-8, cannot be staged", .0.display())]
    DestinationPath(PathBuf),
    /// A staged plot is complete, but was not moved. It can be resumed.
    #[error(transparent)]
    Move(Box<CopyError>),
    /// A card failed before anything was begun.
    #[error(transparent)]
    Grower(#[from] BulkError),
    /// A finished plot that was to be read is bad.
    #[error(transparent)]
    Plot(#[from] PlotError),
}

impl CreateError {
    pub(crate) fn io(path: &std::path::Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, doing, source }
    }

    pub(crate) fn trailer(path: &std::path::Path) -> impl Fn(TrailerError) -> Self {
        let path = path.to_owned();
        move |error| match error {
            TrailerError::Io(source) => Self::Io { path: path.clone(), doing: "cannot read or write", source },
            TrailerError::Path(path) => Self::DestinationPath(path),
            other => Self::NotResumable { path: path.clone(), reason: other.to_string() },
        }
    }

    /// Whether the work was asked to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        match self {
            Self::Build { source: BuildError::Stopped(_), .. } => true,
            Self::Move(error) => error.is_stopped(),
            _ => false,
        }
    }
}
