//! A proof, and how it is written as JSON (PROTOCOL §4).

use serde::{Deserialize, Serialize};
use spacetime_kernels::Cell;

use crate::hex;

/// Longest path there is: 40 levels of rows and 20 of columns.
pub const MAX_SIBLINGS: usize = 60;

/// What a miner shows to win: a leaf, its place, and the path to its plot's root (PROTOCOL §4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The challenge answered.
    #[serde(with = "hex::array")]
    pub challenge: [u8; 32],
    /// The column it asked for.
    pub column: u32,
    /// Seed of the plot.
    #[serde(with = "hex::array")]
    pub seed: [u8; 32],
    /// Rows of the plot.
    pub rows: u64,
    /// The cell.
    #[serde(with = "hex::array")]
    pub leaf: Cell,
    /// `column << d | row`; its bits are the orientation bits.
    pub leaf_index: u64,
    /// Siblings bottom-up, `d + p` of them.
    #[serde(with = "hex::siblings")]
    pub siblings: Vec<Cell>,
    /// Root of the plot.
    #[serde(with = "hex::array")]
    pub root: Cell,
}

/// A proof with what the prover knew beside it: `spacetime prove` prints it
/// and `spacetime verify` reads it. What is given beside the proof is checked too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofRecord {
    /// See [`Proof::challenge`].
    #[serde(with = "hex::array")]
    pub challenge: [u8; 32],
    /// See [`Proof::column`].
    pub column: u32,
    /// See [`Proof::seed`].
    #[serde(with = "hex::array")]
    pub seed: [u8; 32],
    /// See [`Proof::rows`].
    pub rows: u64,
    /// See [`Proof::leaf`].
    #[serde(with = "hex::array")]
    pub leaf: Cell,
    /// See [`Proof::leaf_index`].
    pub leaf_index: u64,
    /// See [`Proof::siblings`].
    #[serde(with = "hex::siblings")]
    pub siblings: Vec<Cell>,
    /// See [`Proof::root`].
    #[serde(with = "hex::array")]
    pub root: Cell,
    /// Score of the leaf.
    #[serde(with = "hex::optional", default, skip_serializing_if = "Option::is_none")]
    pub score: Option<[u8; 32]>,
    /// Row of the leaf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// Id of the plot.
    #[serde(with = "hex::optional", default, skip_serializing_if = "Option::is_none")]
    pub plot_id: Option<[u8; 32]>,
    /// File of the plot, where it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl ProofRecord {
    /// The proof alone.
    #[must_use]
    pub fn proof(&self) -> Proof {
        let &Self { challenge, column, seed, rows, leaf, leaf_index, root, .. } = self;
        Proof { challenge, column, seed, rows, leaf, leaf_index, siblings: self.siblings.clone(), root }
    }
}

impl From<Proof> for ProofRecord {
    fn from(proof: Proof) -> Self {
        let Proof { challenge, column, seed, rows, leaf, leaf_index, siblings, root } = proof;
        Self {
            challenge,
            column,
            seed,
            rows,
            leaf,
            leaf_index,
            siblings,
            root,
            score: None,
            row: None,
            plot_id: None,
            path: None,
        }
    }
}
