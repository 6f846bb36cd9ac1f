//! Filling a plot under construction: batches are grown by all who grow rows
//! while others are written, synced, checked and noted down. They come out of
//! order; noted down is what lies in front of every gap.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard};
use std::thread::{Scope, ScopedJoinHandle};

use bytemuck::cast_slice;
use rayon::ThreadPool;
use spacetime_kernels::{BulkError, BulkGrower, Cell, plot_id};
use spacetime_prover::{HEADER_BYTES, Layout, PlotHeader, PlotState, tree};
use tracing::info;

use crate::batch::{Batch, BatchShape};
use crate::control::Stopped;
use crate::error::BuildError;
use crate::memory::Sizes;
use crate::options::CreateOptions;
use crate::produce::{Grown, Halt, Shared, card, cpu, cpu_lot};
use crate::queue::{Bounds, CloseOnPanic, Queue};
use crate::shares::Kind;
use crate::storage::Storage;
use crate::trailer::{Plan, Progress, Trailer};

mod record;

/// What happens while a plot is made.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// A card was lost. What it did not hand over is grown by those who are left.
    Lost(BulkError),
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
    pub(crate) sizes: Sizes,
    pub(crate) options: &'a CreateOptions<'a>,
}

impl Build<'_> {
    /// Grows and writes what is missing, then completes header and roots.
    pub(crate) fn run(mut self) -> Result<PlotHeader, BuildError> {
        let rows = self.plan.header.rows;
        (self.options.events)(Event::Began { rows, rows_done: self.progress.rows_done });
        let pool = crate::platform::idle_pool(self.options.threads)?;
        if self.progress.rows_done < rows {
            self.fill(&pool)?;
        }
        self.complete(&pool)
    }

    fn fill(&mut self, pool: &ThreadPool) -> Result<(), BuildError> {
        let header = &self.plan.header;
        let mut cards = self.options.cards_for(header.shape)?;
        let names: Vec<_> = cards.iter().map(|card| card.name()).collect();
        let Sizes { batch_rows, window, .. } = self.sizes;
        let most_rows = usize::try_from(batch_rows).expect("a batch was found to fit memory");
        let shape = BatchShape::new(header.shape, most_rows, header.rows_per_segment);
        let &CreateOptions { engine, threads, control, events, .. } = self.options;
        info!(engine = engine.name(), threads, cards = ?names, batch_rows, "growing");
        let queue =
            Queue::new(Bounds { rows_done: self.progress.rows_done, plot_rows: header.rows, batch_rows, window });
        let batches = self.options.batches();
        let (to_write, grown) = sync_channel(batches);
        let (written, empty) = sync_channel(batches);
        for _ in 0..batches {
            written.send(Batch::new(shape)).expect("the channel holds every batch");
        }
        let (abort, empty) = (AtomicBool::new(false), Mutex::new(empty));
        let (plan, segment_level, hasher) = (self.plan, self.layout.subtree_depth(), engine.hasher());
        let (queue, abort, empty) = (&queue, &abort, &empty);
        let shared = Shared { plan, segment_level, hasher, pool, control, events, abort, queue, empty };
        std::thread::scope(|scope| {
            // Those who wait for rows do not wait for a writer that panicked.
            let _guard = CloseOnPanic(queue);
            let threads = start(scope, shared, self.options, &mut cards, shape, to_write);
            let result = self.write_all(&shared, &names, grown, &written);
            // A writer that failed hangs up, and what is being grown is not wanted any more.
            abort.store(result.is_err(), Ordering::Relaxed);
            queue.close();
            drop(written);
            let halts: Vec<_> = threads
                .into_iter()
                .filter_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).err())
                .collect();
            result.and_then(|()| self.judge(halts))
        })
    }

    /// What it means that producers ended early, the writer having written all that there was.
    fn judge(&self, halts: Vec<Halt>) -> Result<(), BuildError> {
        if self.progress.rows_done == self.plan.header.rows {
            return Ok(());
        }
        let mut last_lost = None;
        for halt in halts {
            match halt {
                Halt::Stopped => return Err(Stopped.into()),
                Halt::Lost(error) => last_lost = Some(error),
            }
        }
        Err(BuildError::NoneLeft(last_lost.expect("rows are missing only where all stopped or were lost")))
    }

    /// Writes the last roots, then the header, then cuts the trailer off, each
    /// synced before the next, so that a header that says complete tells the truth.
    fn complete(self, pool: &ThreadPool) -> Result<PlotHeader, BuildError> {
        let Self { storage, plan, layout, progress, options, .. } = self;
        let hasher = options.engine.hasher();
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

/// Starts all who grow rows, each on a thread of its own.
fn start<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    shared: Shared<'env>,
    options: &'env CreateOptions<'env>,
    cards: &'env mut [MutexGuard<'_, Box<dyn BulkGrower>>],
    shape: BatchShape,
    to_write: SyncSender<Grown>,
) -> Vec<ScopedJoinHandle<'scope, Result<(), Halt>>> {
    let &CreateOptions { engine, threads, .. } = options;
    // Alone, one takes all there is, however fast it is.
    let measure = options.producers() > 1;
    let mut started = Vec::new();
    // All are known to the queue before the first takes rows from it.
    let cpu_number = options.cpu_takes_part().then(|| shared.queue.join(Kind::Cpu, cpu_lot(threads), false));
    let lots = cards.iter().map(|card| card.rows_in_flight() as u64);
    let numbers: Vec<_> = lots.map(|lot| shared.queue.join(Kind::Card, lot, measure)).collect();
    if let Some(who) = cpu_number {
        let to_write = to_write.clone();
        started.push(scope.spawn(move || Ok(cpu(&shared, who, engine, threads, shape, &to_write)?)));
    }
    for (place, (who, grower)) in numbers.into_iter().zip(cards).enumerate() {
        let (grower, to_write): (&mut dyn BulkGrower, _) = (&mut ***grower, to_write.clone());
        started.push(scope.spawn(move || card(&shared, who, place, grower, measure, &to_write)));
    }
    started
}

#[cfg(test)]
mod tests;
