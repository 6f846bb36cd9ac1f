//! Growing and scoring in bulk, elsewhere than on the CPU: what the crates
//! above see of it, whether the `gpu` feature is there or not.

use std::fmt::Debug;
use std::ops::Range;
use std::time::Duration;

use thiserror::Error;

use crate::merkle::Cell;
use crate::plot::{PlotKey, RowIndex, Shape};
use crate::score::{Best, Challenge};

/// Rows of one plot, grown side by side and handed over as runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// The first row; the others follow it without a gap.
    pub first_row: RowIndex,
    /// How the rows are cut, in their order: never empty.
    pub runs: Vec<Run>,
}

impl Lot {
    /// Rows of all runs together.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.runs.iter().map(|run| run.rows).sum()
    }
}

/// Consecutive rows that are handed over as strips with one subtree root a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Rows that it holds: at least one, at most `2^level`.
    pub rows: usize,
    /// Level of its subtree roots (PROTOCOL §3): its strips are padded with zero cells to `2^level`.
    pub level: u32,
}

impl Run {
    /// Rows with the padding: `2^level`.
    #[must_use]
    pub fn padded_rows(self) -> usize {
        1 << self.level
    }
}

/// Part of a run that is done: some of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Which of the [`Lot`]'s runs.
    pub run: usize,
    /// The columns.
    pub columns: Range<usize>,
    /// Their strips, one behind the other, each of [`Run::padded_rows`] cells.
    pub strips: &'a [Cell],
    /// Their subtree roots, one a column.
    pub roots: &'a [Cell],
}

/// Where a [`BulkGrower`] gets its rows from, and where it puts them.
pub trait BulkWork {
    /// The next rows to grow, at most `most` of them; `None` if there are no
    /// more. It is asked while earlier lots are still being grown or handed
    /// over. The key may differ from lot to lot.
    fn next(&mut self, most: usize) -> Option<(PlotKey, Lot)>;

    /// Takes a part. Lots come in the order in which they were given out, their
    /// runs in order, a run's columns in order; a lot ends with the last column of its last run.
    fn take(&mut self, part: Part<'_>) -> Proceed;

    /// Asked every few milliseconds. It may wait, to let a computer rest.
    fn proceed(&mut self) -> Proceed;
}

/// Whether work goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proceed {
    /// It does.
    GoOn,
    /// What is in flight is not wanted any more.
    Stop,
}

/// Grows many rows of one shape side by side, on hardware of its own.
pub trait BulkGrower: Send + Debug {
    /// What it is, for people: `gpu:0 (NVIDIA H200)`.
    fn name(&self) -> String;

    /// The shape of the rows.
    fn shape(&self) -> Shape;

    /// Most rows of a [`Lot`]: as many as its memory holds side by side.
    fn rows_in_flight(&self) -> usize;

    /// How long a full lot takes, judged by a small part of one; its rows
    /// are not handed over.
    ///
    /// # Errors
    /// If the hardware fails.
    fn lot_time(&mut self) -> Result<Duration, BulkError>;

    /// Grows what `work` gives out until there is no more, or it says stop.
    ///
    /// # Errors
    /// If the hardware fails. Parts handed over before are good; lots that
    /// were given out and did not end are lost and have to be grown again.
    fn grow(&mut self, work: &mut dyn BulkWork) -> Result<(), BulkError>;
}

/// Scores strips on hardware of its own.
pub trait BulkScorer: Send + Debug {
    /// What it is, for people: `gpu:0 (NVIDIA H200)`.
    fn name(&self) -> String;

    /// Does what [`crate::Backend::score_best`] does, with the same answer.
    ///
    /// # Errors
    /// If the hardware fails; `best` is then as it was.
    ///
    /// # Panics
    /// As [`crate::Backend::score_best`].
    fn score_best(
        &mut self,
        challenges: &[Challenge],
        strip: &[Cell],
        first_row: u64,
        best: &mut [Option<Best>],
    ) -> Result<(), BulkError>;
}

/// Why hardware beside the CPU did not do its work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BulkError {
    /// It is gone: unplugged, reset by its driver, or out of order. Nothing more is to be had from it.
    #[error("{name} was lost: {reason}")]
    Lost {
        /// Which.
        name: String,
        /// What its driver says.
        reason: String,
    },
    /// It has less memory than was asked for.
    #[error("{name} has too little memory: {reason}")]
    Memory {
        /// Which.
        name: String,
        /// What its driver says.
        reason: String,
    },
}
