//! What a search found, plot by plot.

use std::sync::Arc;
use std::time::Duration;

use spacetime_kernels::{Best, Challenge, ColumnIndex, Score, Target};
use thiserror::Error;

use crate::farm::plot::FarmPlot;
use crate::farm::scorers::Aside;
use crate::plot::PlotError;

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every plot was read as far as was planned, or failed.
    Swept,
    /// The deadline came.
    Deadline,
    /// It was called off.
    Cancelled,
    /// A leaf below the target was found, and that was enough.
    FirstWinner,
}

/// Why a plot, or some of it, was not searched.
#[derive(Clone, Debug, Error)]
pub enum Missed {
    /// It has no such column.
    #[error("column is {column}, the plot has {columns}")]
    Column {
        /// The column asked for.
        column: u32,
        /// Columns of the plot.
        columns: u64,
    },
    /// Reading failed; the next search tries again.
    #[error(transparent)]
    Read(Arc<PlotError>),
    /// Reading failed before, and now another plot lies at its path.
    #[error("another plot took its place: a refresh takes it in")]
    Replaced,
    /// The deadline came first.
    #[error("the deadline came first")]
    Deadline,
    /// The search was called off.
    #[error("the search was called off")]
    Cancelled,
    /// A winner was found first.
    #[error("a winner was found first")]
    FirstWinner,
}

/// What a search did with one plot.
#[derive(Clone, Debug)]
pub struct PlotReport {
    /// The plot.
    pub plot: Arc<FarmPlot>,
    /// Rows that the strategy chose, of each of which one cell is a leaf.
    pub planned: u64,
    /// Leaves scored, each for all challenges.
    pub leaves: u64,
    /// Bytes read, with what lay around the cells.
    pub bytes: u64,
    /// Time spent in reads, summed over those in flight side by side.
    pub reading: Duration,
    /// Time spent scoring, summed over threads.
    pub scoring: Duration,
    /// The best leaf for each challenge; none if no leaf was scored.
    pub best: Vec<Option<Best>>,
    /// Why it was not searched as planned. What was found before still counts.
    pub missed: Option<Missed>,
}

/// What a search did with one bulk scorer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScorerReport {
    /// What it is, for people.
    pub name: String,
    /// Leaves that it scored instead of the CPU; the plots' leaves hold them too.
    pub leaves: u64,
    /// Time that it took for them.
    pub scoring: Duration,
    /// Why it had no share, or none any more.
    pub aside: Option<Aside>,
}

/// The answer to a challenge: a leaf and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundLeaf {
    /// Its score; lower is better.
    pub score: Score,
    /// Which plot: its place in [`SearchReport::plots`].
    pub plot: usize,
    /// Its row.
    pub row: u64,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct SearchReport {
    /// The column searched.
    pub column: ColumnIndex,
    /// The challenges, as asked.
    pub challenges: Vec<Challenge>,
    /// The target, as asked.
    pub target: Option<Target>,
    /// Why it ended.
    pub ended: Ended,
    /// How long it took.
    pub took: Duration,
    /// Time that reads waited for scorers, summed over all that may be in
    /// flight. More than `scorers_waited` when the CPU binds the search.
    pub readers_waited: Duration,
    /// Time that scorers waited for reads, summed over threads. More than
    /// `readers_waited` when the disks bind the search.
    pub scorers_waited: Duration,
    /// Every bulk scorer of the farm; none if nothing was scored.
    pub scorers: Vec<ScorerReport>,
    /// Every plot of the farm, in the farm's order.
    pub plots: Vec<PlotReport>,
}

impl SearchReport {
    /// The best leaf for a challenge, by its place in [`Self::challenges`]: of
    /// equal scores that of the first plot, in it of the lowest row.
    ///
    /// # Panics
    /// If there is no such challenge.
    #[must_use]
    pub fn best(&self, challenge: usize) -> Option<FoundLeaf> {
        self.leaves_of(challenge).min()
    }

    /// Each plot's best leaf for a challenge, best first.
    ///
    /// # Panics
    /// If there is no such challenge.
    #[must_use]
    pub fn ranking(&self, challenge: usize) -> Vec<FoundLeaf> {
        let mut leaves: Vec<_> = self.leaves_of(challenge).collect();
        leaves.sort_unstable();
        leaves
    }

    /// Whether `leaf` wins: it is below the target, or there is none.
    #[must_use]
    pub fn wins(&self, leaf: &FoundLeaf) -> bool {
        self.target.is_none_or(|target| target.is_met_by(&leaf.score))
    }

    /// Leaves scored in all plots.
    #[must_use]
    pub fn leaves(&self) -> u64 {
        self.plots.iter().map(|plot| plot.leaves).sum()
    }

    /// Bytes read from all plots.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.plots.iter().map(|plot| plot.bytes).sum()
    }

    fn leaves_of(&self, challenge: usize) -> impl Iterator<Item = FoundLeaf> {
        assert!(challenge < self.challenges.len(), "challenge {challenge} of {}", self.challenges.len());
        self.plots.iter().enumerate().filter_map(move |(plot, report)| {
            report.best[challenge].map(|Best { row, score }| FoundLeaf { score, plot, row })
        })
    }
}
