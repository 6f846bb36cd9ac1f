//! Filling a plot under construction: batches are grown by all threads while
//! the one before is written, synced, checked and noted down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bytemuck::cast_slice;
use rayon::ThreadPool;
use spacetime_kernels::{Cell, plot_id};
use spacetime_prover::{HEADER_BYTES, Layout, PlotHeader, PlotState, tree};
use tracing::{debug, info};

use crate::batch::{Batch, BatchShape, Hand, Job, Scratch};
use crate::control::Control;
use crate::engine::Engine;
use crate::error::BuildError;
use crate::memory::BATCHES;
use crate::roots::ColumnNodes;
use crate::storage::Storage;
use crate::trailer::{Plan, Progress, Trailer};
use crate::write::{Gather, WRITE_CELLS, check_batch, forget_batch, write_batch};

/// What happens while a plot is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Work begins or goes on: so many of the rows are there already.
    Began {
        /// Rows of the plot.
        rows: u64,
        /// Rows that an earlier run left, checked.
        rows_done: u64,
    },
    /// So many more rows were grown in memory.
    Grown(u64),
    /// So many rows are on disk, synced and checked.
    Done {
        /// Rows, from the file's first on.
        rows_done: u64,
    },
}

/// Where [`Event`]s go.
pub type Events<'a> = &'a (dyn Fn(Event) + Sync);

/// One plot under construction.
pub(crate) struct Build<'a> {
    pub(crate) storage: &'a dyn Storage,
    pub(crate) plan: &'a Plan,
    pub(crate) layout: Layout,
    pub(crate) trailer: Trailer,
    pub(crate) progress: Progress,
    pub(crate) engine: &'a dyn Engine,
    pub(crate) threads: usize,
    pub(crate) batch_rows: u64,
    pub(crate) control: &'a Control,
    pub(crate) events: Events<'a>,
}

/// A batch on its way to the disk.
struct Grown {
    batch: Batch,
    roots: ColumnNodes,
    segment_roots: Vec<ColumnNodes>,
    time: Duration,
}

impl Build<'_> {
    /// Grows and writes what is missing, then completes header and roots.
    pub(crate) fn run(mut self) -> Result<PlotHeader, BuildError> {
        let rows = self.plan.header.rows;
        (self.events)(Event::Began { rows, rows_done: self.progress.rows_done });
        let pool = crate::platform::idle_pool(self.threads)?;
        if self.progress.rows_done < rows {
            self.fill(&pool)?;
        }
        self.complete(&pool)
    }

    fn fill(&mut self, pool: &ThreadPool) -> Result<(), BuildError> {
        let shape = BatchShape::new(
            self.plan.header.shape,
            usize::try_from(self.batch_rows).expect("a batch was found to fit memory"),
            self.plan.header.rows_per_segment,
        );
        info!(engine = self.engine.name(), threads = self.threads, batch_rows = shape.rows, "growing");
        let (to_write, grown) = sync_channel(BATCHES);
        let (written, empty) = sync_channel(BATCHES);
        for _ in 0..BATCHES {
            written.send(Batch::new(shape)).expect("the channel holds every batch");
        }
        let abort = AtomicBool::new(false);
        let grow = Grow {
            abort: &abort,
            plan: self.plan,
            segment_level: self.layout.subtree_depth(),
            engine: self.engine,
            threads: self.threads,
            control: self.control,
            events: self.events,
            start: self.progress.rows_done,
        };
        std::thread::scope(|scope| {
            let growing = scope.spawn(move || grow.run(pool, shape, &empty, to_write));
            let result = self.write_all(pool, grown, &written);
            // A writer that failed hangs up, and what is being grown is not wanted any more.
            abort.store(result.is_err(), Ordering::Relaxed);
            drop(written);
            let growing = growing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result.and(growing)
        })
    }

    /// Writes batches as they come until no more do.
    fn write_all(
        &mut self,
        pool: &ThreadPool,
        grown: Receiver<Grown>,
        written: &SyncSender<Batch>,
    ) -> Result<(), BuildError> {
        for Grown { batch, roots, segment_roots, time } in grown {
            self.write_one(pool, &batch, roots, segment_roots, time)?;
            // Nobody waits for it any more once the last rows are grown.
            let _ = written.send(batch);
        }
        Ok(())
    }

    fn write_one(
        &mut self,
        pool: &ThreadPool,
        batch: &Batch,
        roots: ColumnNodes,
        mut segment_roots: Vec<ColumnNodes>,
        time: Duration,
    ) -> Result<(), BuildError> {
        let header = &self.plan.header;
        let (storage, layout, rows_per_segment) = (self.storage, &self.layout, header.rows_per_segment);
        let began = Instant::now();
        let gather = Gather::new(storage, self.control, WRITE_CELLS);
        write_batch(layout, rows_per_segment, batch, 0..header.shape.columns(), gather)?;
        let mut progress = std::mem::take(&mut self.progress);
        let first_segment = progress.rows_done / rows_per_segment;
        pool.install(|| {
            progress.stack.push(
                self.engine.hasher(),
                batch.level(),
                roots.clone(),
                layout.subtree_depth(),
                |roots: &[Cell]| {
                    segment_roots.push(roots.to_vec());
                },
            );
        });
        for (segment, roots) in (first_segment..).zip(&segment_roots) {
            storage.write_at(cast_slice(roots), layout.subtree_roots_offset(segment))?;
        }
        storage.sync()?;
        let key = header.key();
        check_batch(
            storage,
            layout,
            (&key, header.first_row),
            rows_per_segment,
            batch,
            self.engine.checked_by(),
            time,
        )?;
        progress.rows_done = batch.start + batch.rows as u64;
        (progress.last_start, progress.last_level, progress.last_roots) = (batch.start, batch.level(), roots);
        self.trailer.write_progress(storage, &progress)?;
        storage.sync()?;
        forget_batch(storage, layout, rows_per_segment, batch);
        debug!(rows_done = progress.rows_done, time_ms = began.elapsed().as_millis() as u64, "batch written");
        (self.events)(Event::Done { rows_done: progress.rows_done });
        self.progress = progress;
        Ok(())
    }

    /// Writes the last roots, then the header, then cuts the trailer off, each
    /// synced before the next, so that a header that says complete tells the truth.
    fn complete(self, pool: &ThreadPool) -> Result<PlotHeader, BuildError> {
        let Self { storage, plan, layout, progress, engine, .. } = self;
        let hasher = engine.hasher();
        let segment_level = layout.subtree_depth();
        let mut last_segment = None;
        let column_roots = pool.install(|| {
            let depth = layout.depth().max(segment_level);
            progress.stack.finish(hasher, depth, segment_level, |roots: &[Cell]| last_segment = Some(roots.to_vec()))
        });
        if let Some(roots) = last_segment {
            storage.write_at(cast_slice(&roots), layout.subtree_roots_offset(layout.segments() - 1))?;
        }
        let mut header = PlotHeader { state: plan.state, ..plan.header.clone() };
        if plan.state == PlotState::Complete {
            storage.write_at(cast_slice(&column_roots), layout.roots_offset())?;
            header.root = tree::root(hasher, &column_roots, layout.depth(), u32::from(header.shape.log2_columns()));
            header.plot_id = plot_id(&header.key(), header.rows, &header.root);
        }
        storage.sync()?;
        storage.write_at(&header.encode(), 0)?;
        storage.sync()?;
        // A staged plot needs its plan until it has been moved.
        if plan.destination.is_none() {
            storage.set_len(layout.file_bytes())?;
            storage.sync()?;
        }
        storage.forget(0, HEADER_BYTES as u64);
        Ok(header)
    }
}

/// The growing half of the pipeline.
struct Grow<'a> {
    abort: &'a AtomicBool,
    plan: &'a Plan,
    segment_level: u32,
    engine: &'a dyn Engine,
    threads: usize,
    control: &'a Control,
    events: Events<'a>,
    start: u64,
}

impl Grow<'_> {
    fn run(
        &self,
        pool: &ThreadPool,
        shape: BatchShape,
        empty: &Receiver<Batch>,
        to_write: SyncSender<Grown>,
    ) -> Result<(), BuildError> {
        let header = &self.plan.header;
        let key = header.key();
        let hasher = self.engine.hasher();
        let mut crew: Vec<Hand> = (0..self.threads)
            .map(|_| Hand { worker: self.engine.worker(header.shape), scratch: Scratch::new(shape) })
            .collect();
        let grown = |rows| (self.events)(Event::Grown(rows));
        let &Self { abort, control, .. } = self;
        let job = Job { key: &key, first_row: header.first_row, hasher, control, abort, grown: &grown };
        let mut start = self.start;
        while start < header.rows {
            // A closed channel: the writer failed, and says why itself.
            let Ok(mut batch) = empty.recv() else { return Ok(()) };
            let began = Instant::now();
            // An earlier run with another budget may have stopped within one of this run's batches.
            let aligned = if start == 0 { u64::MAX } else { 1 << start.trailing_zeros() };
            let rows = aligned.min(shape.rows as u64).min(header.rows - start);
            batch.grow(start, rows as usize, &mut crew, &job)?;
            let mut segment_roots = Vec::new();
            let roots = pool.install(|| {
                batch.roots(hasher, self.segment_level, |roots: &[Cell]| segment_roots.push(roots.to_vec()))
            });
            start += rows;
            if to_write.send(Grown { batch, roots, segment_roots, time: began.elapsed() }).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
