//! What a miner needs of its plots.

use std::fmt::Debug;

use spacetime_kernels::Score;
use spacetime_prover::Proof;

use super::io::{OpeningsOrder, ProofOrder, SweepOrder};
use crate::chain::{Hash, MinerKey, Opening, PlotId};

/// Plots, wherever they lie. Methods block; each is called on a thread of its own, several at once.
pub trait Field: Debug + Send + Sync {
    /// Looks what plots there are.
    fn look(&self) -> FarmView;

    /// Reads a column of all plots and scores it. Where it goes on longer than until the first challenge is due, `tell`
    /// hears at that time, and at each later one, what was found so far.
    ///
    /// # Errors
    /// Why it did not take place. That plots failed is no error: the report says so.
    fn sweep(
        &self,
        order: &SweepOrder,
        stop: &spacetime_prover::farm::Cancel,
        tell: &mut dyn FnMut(u64, SweepReport),
    ) -> Result<SweepReport, String>;

    /// Proves a leaf, and verifies the proof.
    ///
    /// # Errors
    /// Why there is no proof: the plot is gone or damaged.
    fn prove(&self, order: &ProofOrder) -> Result<Proof, String>;

    /// Shows cells with their paths.
    ///
    /// # Errors
    /// Why it cannot: the plot is gone or damaged.
    fn open(&self, order: &OpeningsOrder) -> Result<Vec<Opening>, String>;
}

/// Plots that there are, and what is in their place but cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FarmView {
    /// Plots that can be swept.
    pub plots: Vec<PlotInfo>,
    /// What cannot be used.
    pub refused: Vec<Trouble>,
}

/// What is known of a plot without the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotInfo {
    /// Where it is, for people.
    pub name: String,
    /// Its id.
    pub id: PlotId,
    /// Its key, by which the registry knows it.
    pub key: Hash,
    /// Whose it is.
    pub miner_key: MinerKey,
    /// The tag of its network.
    pub network: Hash,
    /// Its columns, as a power of two.
    pub log2_columns: u8,
    /// Its mixing rounds.
    pub rounds: u8,
    /// Its seed.
    pub seed: Hash,
    /// Its rows.
    pub rows: u64,
    /// Its root.
    pub root: Hash,
}

/// A plot, or what should be one, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Where it is, for people.
    pub name: String,
    /// What is wrong.
    pub error: String,
}

/// A plot's best leaf for a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    /// Its score; lower is better.
    pub score: Score,
    /// The plot.
    pub plot: PlotId,
    /// Its row.
    pub row: u64,
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepEnd {
    /// All was read that could be.
    Swept,
    /// The deadline came: what was found until then counts.
    Deadline,
    /// It was called off: what was found does not count.
    Cancelled,
}

/// What a sweep found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepReport {
    /// How it ended.
    pub end: SweepEnd,
    /// For each challenge of the order the best leaf of each plot, best first.
    pub rankings: Vec<Vec<Leaf>>,
    /// Plots that were swept, wholly or in part.
    pub plots: u64,
    /// Leaves scored, each for all challenges.
    pub leaves: u64,
    /// Bytes read.
    pub bytes: u64,
    /// How long it took.
    pub took_ms: u64,
    /// Plots that were not swept, or not wholly.
    pub troubles: Vec<Trouble>,
}
