//! What fixes a plot's cells: shape, key and row (PROTOCOL §2).

use thiserror::Error;

use crate::merkle::Cell;
use crate::sha256::{State, words_of};
use crate::tagged::tagged_hash;

/// Least and greatest `p` (PROTOCOL §2).
pub const MIN_LOG2_COLUMNS: u8 = 4;
/// See [`MIN_LOG2_COLUMNS`].
pub const MAX_LOG2_COLUMNS: u8 = 20;
/// Least and greatest `R` (PROTOCOL §2).
pub const MIN_ROUNDS: u8 = 1;
/// See [`MIN_ROUNDS`].
pub const MAX_ROUNDS: u8 = 255;
/// Most rows a plot may have (PROTOCOL §2).
pub const MAX_ROWS: u64 = 1 << 40;

/// A row of a plot, counted from the plot's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowIndex(pub u64);

/// A column of a plot: below `2^p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnIndex(pub u32);

/// Columns and mixing rounds of a plot, both within the protocol's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    log2_columns: u8,
    rounds: u8,
}

/// Why two numbers are no [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// `p` is out of bounds.
    #[error("log2 of columns is {0}, allowed are {MIN_LOG2_COLUMNS} to {MAX_LOG2_COLUMNS}")]
    Log2Columns(u8),
    /// `R` is out of bounds.
    #[error("rounds are {0}, allowed are {MIN_ROUNDS} to {MAX_ROUNDS}")]
    Rounds(u8),
}

impl Shape {
    /// `log2_columns` is the protocol's `p`, `rounds` its `R`.
    ///
    /// # Errors
    /// If either lies outside the bounds of PROTOCOL §2.
    pub fn new(log2_columns: u8, rounds: u8) -> Result<Self, ShapeError> {
        if !(MIN_LOG2_COLUMNS..=MAX_LOG2_COLUMNS).contains(&log2_columns) {
            return Err(ShapeError::Log2Columns(log2_columns));
        }
        if rounds < MIN_ROUNDS {
            return Err(ShapeError::Rounds(rounds));
        }
        Ok(Self { log2_columns, rounds })
    }

    /// The protocol's `p`.
    #[must_use]
    pub fn log2_columns(self) -> u8 {
        self.log2_columns
    }

    /// The protocol's `R`.
    #[must_use]
    pub fn rounds(self) -> u8 {
        self.rounds
    }

    /// `P = 2^p`.
    #[must_use]
    pub fn columns(self) -> usize {
        1 << self.log2_columns
    }

    /// Bytes of one row: 32 for each column.
    #[must_use]
    pub fn row_bytes(self) -> usize {
        self.columns() * size_of::<Cell>()
    }

    /// Compressions that growing one row takes, its first cell's hash left out.
    #[must_use]
    pub fn compressions_per_row(self) -> u64 {
        self.columns() as u64 * (u64::from(self.rounds) + 1) - 1
    }
}

/// `network = H_"spacetime/network/v1"(name)` (PROTOCOL §2).
#[must_use]
pub fn network_tag(name: &str) -> [u8; 32] {
    tagged_hash("spacetime/network/v1", &[name.as_bytes()])
}

/// `plot_id = H_"spacetime/plot-id/v1"(plot_key || le64(rows) || root)` (PROTOCOL §3).
#[must_use]
pub fn plot_id(key: &PlotKey, rows: u64, root: &Cell) -> [u8; 32] {
    tagged_hash("spacetime/plot-id/v1", &[&key.0, &rows.to_le_bytes(), root])
}

/// What every cell of a plot is grown from (PROTOCOL §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlotKey(pub [u8; 32]);

impl PlotKey {
    /// The key of the plot of `miner_key` (48 bytes, compressed G1) and `seed`
    /// on the network with tag `network` (see [`network_tag`]).
    #[must_use]
    pub fn derive(network: &[u8; 32], miner_key: &[u8; 48], seed: &[u8; 32], shape: Shape) -> Self {
        let shape = [shape.log2_columns, shape.rounds];
        Self(tagged_hash("spacetime/plot-key/v1", &[network, miner_key, seed, &shape]))
    }

    /// `V[0]` of a row, as words.
    pub(crate) fn first_cell(&self, row: RowIndex) -> State {
        words_of(&tagged_hash("spacetime/row/v1", &[&self.0, &row.0.to_le_bytes()]))
    }

    /// The sixteen words compressed into `V[i]`, for `i = 0`: word 10 is `i`.
    pub(crate) fn expand_block(&self, row: RowIndex) -> [u32; 16] {
        let mut block = [0; 16];
        block[..8].copy_from_slice(&words_of(&self.0));
        block[8] = (row.0 >> 32) as u32;
        block[9] = row.0 as u32;
        block
    }
}
