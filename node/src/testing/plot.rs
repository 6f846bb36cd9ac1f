//! Plots in memory.

mod file;

use spacetime_kernels::{Backend, Best, Cell, Challenge, ColumnIndex, Grower, PlotKey, RowIndex, score};
use spacetime_prover::{Proof, tree};

use crate::chain::{Capped, Hash, MinerKey, Opening, PlotId, plot_key};
use crate::consensus::{GenesisPlot, Parameters};
use crate::state::openings::draw;

/// All cells of a small plot.
#[derive(Clone, Debug)]
pub struct MemoryPlot {
    key: PlotKey,
    miner_key: MinerKey,
    seed: [u8; 32],
    rows: u64,
    /// Column by column.
    cells: Vec<Cell>,
    column_roots: Vec<Cell>,
    root: Cell,
}

impl MemoryPlot {
    /// Grows the plot of `seed`.
    ///
    /// # Panics
    /// If `rows` is 0.
    #[must_use]
    pub fn grow(parameters: &Parameters, miner_key: MinerKey, seed: [u8; 32], rows: u64) -> Self {
        let (shape, backend) = (parameters.shape(), Backend::fastest());
        let key = plot_key(parameters, &miner_key, &seed);
        let indices: Vec<_> = (0..rows).map(RowIndex).collect();
        let mut cells = vec![[0; 32]; shape.columns() * indices.len()];
        Grower::new(backend, shape).grow(&key, &indices, &mut cells);
        Self { key, miner_key, seed, rows, cells, column_roots: Vec::new(), root: [0; 32] }.hashed()
    }

    /// A plot of which no cell was grown: its paths hold, its rows do not.
    ///
    /// # Panics
    /// If `rows` is 0.
    #[must_use]
    pub fn forge(parameters: &Parameters, miner_key: MinerKey, seed: [u8; 32], rows: u64) -> Self {
        let mut plot = Self::grow(parameters, miner_key, seed, rows);
        plot.cells.iter_mut().for_each(|cell| cell[0] ^= 1);
        plot.hashed()
    }

    /// The plot with one row of which no cell was grown.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn with_forged_row(mut self, row: u64) -> Self {
        let rows = self.rows as usize;
        self.cells.chunks_exact_mut(rows).for_each(|column| column[row as usize][0] ^= 1);
        self.hashed()
    }

    /// The plot with the roots of its cells.
    fn hashed(self) -> Self {
        let (backend, depth) = (Backend::fastest(), tree::ceil_log2(self.rows));
        let columns = self.cells.chunks_exact(self.rows as usize);
        let column_roots: Vec<_> = columns.map(|column| tree::root(backend, column, 0, depth)).collect();
        let root = tree::root(backend, &column_roots, depth, tree::ceil_log2(column_roots.len() as u64));
        Self { column_roots, root, ..self }
    }

    /// Its key, by which the registry knows it.
    #[must_use]
    pub fn key(&self) -> Hash {
        Hash(self.key.0)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> PlotId {
        PlotId(spacetime_kernels::plot_id(&self.key, self.rows, &self.root))
    }

    /// What a genesis or a registration says of it.
    #[must_use]
    pub fn description(&self) -> GenesisPlot {
        GenesisPlot { miner_key: self.miner_key, seed: Hash(self.seed), rows: self.rows, root: Hash(self.root) }
    }

    fn column(&self, column: ColumnIndex) -> &[Cell] {
        let rows = self.rows as usize;
        &self.cells[column.0 as usize * rows..][..rows]
    }

    /// The best leaf of a column.
    ///
    /// # Panics
    /// If the column is not below `2^p`.
    #[must_use]
    pub fn best(&self, challenge: &Challenge, column: ColumnIndex) -> Best {
        let scored = self.column(column).iter().zip(0..).map(|(cell, row)| (score(challenge, cell), row));
        let (score, row) = scored.min().expect("a plot has a row");
        Best { row, score }
    }

    fn path(&self, row: u64, column: ColumnIndex) -> (u64, Vec<Cell>) {
        let (backend, depth) = (Backend::fastest(), tree::ceil_log2(self.rows));
        let columns = tree::ceil_log2(self.column_roots.len() as u64);
        let (mut siblings, _) = tree::path(backend, self.column(column), row as usize, 0, depth);
        siblings.extend(tree::path(backend, &self.column_roots, column.0 as usize, depth, columns).0);
        (u64::from(column.0) << depth | row, siblings)
    }

    /// The proof of one leaf.
    ///
    /// # Panics
    /// If there is no such row or column.
    #[must_use]
    pub fn prove(&self, challenge: &Challenge, column: ColumnIndex, row: u64) -> Proof {
        let (leaf_index, siblings) = self.path(row, column);
        Proof {
            challenge: challenge.0,
            column: column.0,
            seed: self.seed,
            rows: self.rows,
            leaf: self.column(column)[row as usize],
            leaf_index,
            siblings,
            root: self.root,
        }
    }

    /// The first `count` openings that are drawn from `mix` (PROTOCOL §9).
    ///
    /// # Panics
    /// Never: no path is longer than its cap.
    #[must_use]
    pub fn openings(&self, mix: &Hash, count: u32) -> Vec<Opening> {
        let opening = |index| {
            let (row, column) = draw(&self.id(), mix, index, self.rows, self.column_roots.len());
            let (_, siblings) = self.path(row.0, column);
            let siblings = Capped::new(siblings).expect("60 levels are the most there are");
            Opening { cell: self.column(column)[row.0 as usize], siblings }
        };
        (0..count).map(opening).collect()
    }
}
