//! Growing the rows of a segment that is there already once more.

use std::sync::atomic::AtomicBool;

use rayon::ThreadPool;
use spacetime_kernels::{Cell, PlotKey};
use spacetime_prover::{Layout, PlotHeader};

use crate::batch::{Batch, BatchShape, Hand, Job, Scratch};
use crate::control::{Control, Stopped};
use crate::engine::Engine;
use crate::progress::{Step, Steps};
use crate::roots::{ColumnNodes, RootStack};

/// Fewest and most rows of a batch: below the former threads idle, above the latter nothing is gained.
const MIN_BATCH_ROWS: u64 = 16;
const MAX_BATCH_ROWS: u64 = 4096;

/// What growing again is done with.
#[derive(Clone, Copy)]
pub(crate) struct Tools<'a> {
    pub(crate) pool: &'a ThreadPool,
    pub(crate) engine: &'a dyn Engine,
    pub(crate) threads: usize,
    pub(crate) control: &'a Control,
    pub(crate) steps: Steps<'a>,
}

/// Grows whole segments, batch by batch.
pub(crate) struct Regrower<'a> {
    tools: Tools<'a>,
    key: PlotKey,
    first_row: u64,
    layout: Layout,
    rows_per_segment: u64,
    crew: Vec<Hand>,
    batch: Batch,
    /// Rows grown so far.
    pub(crate) rows_grown: u64,
}

fn batch_shape(header: &PlotHeader, layout: &Layout, rows: u64) -> BatchShape {
    let most = header.rows_per_segment.min(1 << layout.subtree_depth());
    BatchShape::new(header.shape, rows.min(most) as usize, header.rows_per_segment)
}

/// Bytes that a [`Regrower`] with batches of `rows` takes.
fn needed(header: &PlotHeader, layout: &Layout, engine: &dyn Engine, threads: usize, rows: u64) -> u64 {
    let shape = batch_shape(header, layout, rows);
    let stack_levels = u64::from(layout.subtree_depth()) + 2 - u64::from(shape.rows.ilog2());
    shape.batch_bytes()
        + threads as u64 * (engine.worker_bytes(header.shape) + shape.scratch_bytes())
        + (2 * stack_levels + 2) * header.shape.row_bytes() as u64
}

/// Bytes that the smallest [`Regrower`] takes.
pub(crate) fn least_memory(header: &PlotHeader, layout: &Layout, engine: &dyn Engine, threads: usize) -> u64 {
    needed(header, layout, engine, threads, MIN_BATCH_ROWS)
}

impl<'a> Regrower<'a> {
    /// Within `budget` bytes, or the least that it takes.
    pub(crate) fn new(header: &PlotHeader, layout: &Layout, budget: u64, tools: Tools<'a>) -> Self {
        let mut rows = MIN_BATCH_ROWS;
        while rows < MAX_BATCH_ROWS && needed(header, layout, tools.engine, tools.threads, 2 * rows) <= budget {
            rows *= 2;
        }
        let shape = batch_shape(header, layout, rows);
        let hand = || Hand { worker: tools.engine.worker(header.shape), scratch: Scratch::new(shape) };
        Self {
            tools,
            key: header.key(),
            first_row: header.first_row,
            layout: *layout,
            rows_per_segment: header.rows_per_segment,
            crew: (0..tools.threads).map(|_| hand()).collect(),
            batch: Batch::new(shape),
            rows_grown: 0,
        }
    }

    /// Grows `segment`, shows each batch to `see`, and returns the subtree roots of all columns.
    pub(crate) fn segment<E: From<Stopped>>(
        &mut self,
        segment: u64,
        mut see: impl FnMut(&Batch) -> Result<(), E>,
    ) -> Result<ColumnNodes, E> {
        let Tools { pool, engine, control, steps, .. } = self.tools;
        let hasher = engine.hasher();
        let grown = |rows| steps(Step::Advanced(rows));
        let abort = AtomicBool::new(false);
        let job = Job { key: &self.key, first_row: self.first_row, hasher, control, abort: &abort, grown: &grown };
        let mut start = segment * self.rows_per_segment;
        let end = start + self.layout.segment_rows(segment);
        let mut stack = RootStack::default();
        while start < end {
            let rows = (self.batch.shape.rows as u64).min(end - start);
            self.batch.grow(start, rows as usize, &mut self.crew, &job)?;
            pool.install(|| {
                let roots = self.batch.roots(hasher, u32::MAX, |_: &[Cell]| ());
                stack.push(hasher, self.batch.level(), roots, u32::MAX, |_: &[Cell]| ());
            });
            see(&self.batch)?;
            start += rows;
            self.rows_grown += rows;
        }
        Ok(pool.install(|| stack.finish(hasher, self.layout.subtree_depth(), u32::MAX, |_: &[Cell]| ())))
    }
}
