//! Rows in memory with the Merkle subtrees of each run: grown here in units that
//! one thread fills, or copied from what a card hands over.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use spacetime_kernels::{Backend, Cell, PlotKey, RowIndex, Shape};

use crate::control::{Control, Stopped};
use crate::engine::Worker;
use crate::roots::{ColumnNodes, fold_runs};

/// Rows that a thread takes at a time: as many as the widest CPU backend grows side by side.
pub(crate) const UNIT_ROWS: usize = 16;

/// How a plot's rows are cut into batches, units and runs, each a power of two:
/// a batch is grown and written in one go, a unit is one thread's step, and a
/// run is the part of a unit that lies in one segment. In memory a run holds
/// its cells column by column, padded with zero cells. A card's runs know no
/// units and are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchShape {
    pub(crate) shape: Shape,
    /// Most rows of a batch.
    pub(crate) rows: usize,
    unit_rows: usize,
    /// Most rows of a run that is grown here.
    run_rows: usize,
}

impl BatchShape {
    /// # Panics
    /// If `rows` or `rows_per_segment` is no power of two.
    pub(crate) fn new(shape: Shape, rows: usize, rows_per_segment: u64) -> Self {
        assert!(rows.is_power_of_two() && rows_per_segment.is_power_of_two());
        let unit_rows = rows.min(UNIT_ROWS);
        let run_rows = unit_rows.min(usize::try_from(rows_per_segment).unwrap_or(usize::MAX));
        Self { shape, rows, unit_rows, run_rows }
    }

    /// Bytes of one [`Batch`], its roots and what folding them takes.
    pub(crate) fn batch_bytes(self) -> u64 {
        let roots = self.rows.div_ceil(self.run_rows);
        // The roots of the runs, a copy of them, and the level above while they are folded.
        ((self.rows + 3 * roots) * self.shape.row_bytes()) as u64
    }

    /// Bytes of one thread's [`Scratch`].
    pub(crate) fn scratch_bytes(self) -> u64 {
        let unit = if self.run_rows < self.unit_rows { self.unit_rows } else { 0 };
        ((unit + self.run_rows) * self.shape.row_bytes()) as u64
    }
}

/// Up to [`BatchShape::rows`] consecutive rows.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) shape: BatchShape,
    /// First row, counted from the file's first.
    pub(crate) start: u64,
    /// Rows held now.
    pub(crate) rows: usize,
    /// Rows of a run now: more in what a card grew.
    pub(crate) run_rows: usize,
    cells: Vec<Cell>,
    /// Subtree roots of each run, column by column.
    run_roots: Vec<Cell>,
}

/// What the threads that grow a batch share.
pub(crate) struct Job<'a> {
    pub(crate) key: &'a PlotKey,
    /// The file's first row, counted from the plot's.
    pub(crate) first_row: u64,
    pub(crate) hasher: Backend,
    pub(crate) control: &'a Control,
    /// Ends the growing because its result is not wanted any more.
    pub(crate) abort: &'a AtomicBool,
    /// Hears of rows as they are grown.
    pub(crate) grown: &'a (dyn Fn(u64) + Sync),
}

/// One thread's worker and memory.
pub(crate) struct Hand {
    pub(crate) worker: Box<dyn Worker>,
    pub(crate) scratch: Scratch,
}

/// What one thread needs beside its worker.
#[derive(Debug)]
pub(crate) struct Scratch {
    unit: Vec<Cell>,
    nodes: [Vec<Cell>; 2],
}

impl Scratch {
    pub(crate) fn new(shape: BatchShape) -> Self {
        let columns = shape.shape.columns();
        let unit = if shape.run_rows < shape.unit_rows { shape.unit_rows * columns } else { 0 };
        let half = (shape.run_rows / 2).max(1) * columns;
        Self { unit: vec![[0; 32]; unit], nodes: [vec![[0; 32]; half], vec![[0; 32]; half]] }
    }
}

impl Batch {
    pub(crate) fn new(shape: BatchShape) -> Self {
        let columns = shape.shape.columns();
        Self {
            shape,
            start: 0,
            rows: 0,
            run_rows: shape.run_rows,
            cells: vec![[0; 32]; shape.rows * columns],
            run_roots: vec![[0; 32]; shape.rows / shape.run_rows * columns],
        }
    }

    /// Runs held now.
    pub(crate) fn runs(&self) -> usize {
        self.rows.div_ceil(self.run_rows)
    }

    /// The cells of `column` in `run`, rows in order, without padding.
    pub(crate) fn column_of_run(&self, run: usize, column: usize) -> &[Cell] {
        let run_rows = self.run_rows;
        let held = run_rows.min(self.rows - run * run_rows);
        &self.cells[(run * self.shape.shape.columns() + column) * run_rows..][..held]
    }

    /// The cell of `row`, counted from [`Batch::start`], and `column`.
    pub(crate) fn cell(&self, row: usize, column: usize) -> &Cell {
        &self.column_of_run(row / self.run_rows, column)[row % self.run_rows]
    }

    /// Makes place for `rows` rows from `start` on in runs of `run_rows`.
    pub(crate) fn begin(&mut self, start: u64, rows: usize, run_rows: usize) {
        assert!((1..=self.shape.rows).contains(&rows), "a batch holds 1 to {} rows", self.shape.rows);
        (self.start, self.rows, self.run_rows) = (start, rows, run_rows);
    }

    /// Puts some columns of `run` in their place: padded strips, and their subtree roots.
    pub(crate) fn put(&mut self, run: usize, columns: Range<usize>, strips: &[Cell], roots: &[Cell]) {
        let first = run * self.shape.shape.columns() + columns.start;
        self.cells[first * self.run_rows..][..columns.len() * self.run_rows].copy_from_slice(strips);
        self.run_roots[first..][..columns.len()].copy_from_slice(roots);
    }

    /// The subtree root of `column` in `run`.
    pub(crate) fn root_of_run(&self, run: usize, column: usize) -> &Cell {
        &self.run_roots[run * self.shape.shape.columns() + column]
    }

    /// Grows `rows` rows from `start` on, counted from the file's first, one
    /// thread for each of the crew. What was grown when `abort` came is not whole.
    pub(crate) fn grow(&mut self, start: u64, rows: usize, crew: &mut [Hand], job: &Job<'_>) -> Result<(), Stopped> {
        let shape = self.shape;
        self.begin(start, rows, shape.run_rows.min(rows.next_power_of_two()));
        let run_rows = self.run_rows;
        let columns = shape.shape.columns();
        let end = start + rows as u64;
        let units = self
            .cells
            .chunks_mut(shape.unit_rows * columns)
            .zip(self.run_roots.chunks_mut(shape.unit_rows / run_rows * columns))
            .zip((start..end).step_by(shape.unit_rows));
        let units = Mutex::new(units);
        let next = || units.lock().expect("taking a unit does not panic").next();
        let work = |hand: &mut Hand| {
            crate::platform::lower_priority();
            while let Some(((cells, roots), start)) = next() {
                job.control.step()?;
                if job.abort.load(Ordering::Relaxed) {
                    break;
                }
                let end = (start + shape.unit_rows as u64).min(end);
                let rows: Vec<_> = (job.first_row + start..job.first_row + end).map(RowIndex).collect();
                grow_unit(shape, run_rows, job.key, &rows, cells, hand);
                let runs = rows.len().div_ceil(run_rows);
                for (run, roots) in cells.chunks(run_rows * columns).zip(roots.chunks_mut(columns)).take(runs) {
                    run_roots(job.hasher, run_rows, run, &mut hand.scratch, roots);
                }
                (job.grown)(rows.len() as u64);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = crew
                .iter_mut()
                .map(|hand| {
                    let work = &work;
                    scope.spawn(move || work(hand))
                })
                .collect();
            // The first panic is carried on, the first stop reported.
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// Subtree roots of the whole batch at its own level, padded with zeros.
    /// Subtree roots that come to stand at `segment_level` are handed out.
    pub(crate) fn roots(
        &self,
        hasher: Backend,
        segment_level: u32,
        mut segment_roots: impl FnMut(&[Cell]),
    ) -> ColumnNodes {
        let columns = self.shape.shape.columns();
        let runs: Vec<ColumnNodes> = self.run_roots.chunks(columns).take(self.runs()).map(<[Cell]>::to_vec).collect();
        let run_level = self.run_rows.ilog2();
        if run_level == segment_level {
            runs.iter().for_each(|roots| segment_roots(roots));
        }
        fold_runs(hasher, runs, run_level, self.level(), segment_level, segment_roots)
    }

    /// Level of [`Batch::roots`]: that of the smallest subtree that holds its rows.
    pub(crate) fn level(&self) -> u32 {
        self.rows.next_power_of_two().ilog2()
    }
}

/// Grows one unit into its runs.
fn grow_unit(
    shape: BatchShape,
    run_rows: usize,
    key: &PlotKey,
    rows: &[RowIndex],
    cells: &mut [Cell],
    Hand { worker, scratch }: &mut Hand,
) {
    let columns = shape.shape.columns();
    if rows.len() == run_rows {
        worker.grow(key, rows, &mut cells[..run_rows * columns]);
        return;
    }
    // Several runs, or one that is not full: grown aside, then put in place.
    if scratch.unit.is_empty() {
        scratch.unit = vec![[0; 32]; shape.unit_rows * columns];
    }
    let grown = &mut scratch.unit[..rows.len() * columns];
    worker.grow(key, rows, grown);
    for (run, cells) in cells.chunks_mut(run_rows * columns).enumerate().take(rows.len().div_ceil(run_rows)) {
        let first = run * run_rows;
        let held = run_rows.min(rows.len() - first);
        for (column, cells) in cells.chunks_mut(run_rows).enumerate() {
            cells[..held].copy_from_slice(&grown[column * rows.len() + first..][..held]);
            cells[held..].fill([0; 32]);
        }
    }
}

/// Subtree roots of one run, a node for each column, from its cells.
pub(crate) fn run_roots(hasher: Backend, run_rows: usize, run: &[Cell], scratch: &mut Scratch, roots: &mut [Cell]) {
    if run_rows == 1 {
        roots.copy_from_slice(run);
        return;
    }
    let [below, above] = &mut scratch.nodes;
    let mut nodes = run.len() / 2;
    hasher.hash_pairs(run.as_chunks().0, &mut below[..nodes]);
    while nodes > roots.len() {
        hasher.hash_pairs(below[..nodes].as_chunks().0, &mut above[..nodes / 2]);
        std::mem::swap(below, above);
        nodes /= 2;
    }
    roots.copy_from_slice(&below[..nodes]);
}
