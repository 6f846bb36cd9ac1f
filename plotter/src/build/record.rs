//! The writing half: a batch goes to its place, is synced and checked, and
//! counts once all rows before it do.

use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;

use bytemuck::cast_slice;
use rayon::ThreadPool;
use spacetime_kernels::Cell;
use tracing::debug;

use super::{Build, Event};
use crate::batch::Batch;
use crate::error::BuildError;
use crate::produce::{By, Grown, Shared};
use crate::waiting::{Leaf, Waiting};
use crate::write::{Gather, Growth, WRITE_CELLS, check_batch, check_roots, forget_batch, write_batch};

impl Build<'_> {
    /// Writes batches as they come until no more do. `names` are the cards'.
    pub(super) fn write_all(
        &mut self,
        shared: &Shared<'_>,
        names: &[String],
        grown: Receiver<Grown>,
        written: &SyncSender<Batch>,
    ) -> Result<(), BuildError> {
        let mut waiting = Waiting::default();
        for Grown { batch, roots, segment_roots, time, by } in grown {
            let began = Instant::now();
            let rows_done = self.progress.rows_done;
            self.write_one(shared.pool, &mut waiting, &batch, roots, segment_roots, |build, batch| {
                build.check(names, batch, by, time)
            })?;
            shared.queue.written(self.progress.rows_done, waiting.len());
            let time_ms = began.elapsed().as_millis() as u64;
            debug!(start = batch.start, rows = batch.rows, waiting = waiting.len(), time_ms, "batch written");
            if self.progress.rows_done > rows_done {
                (self.options.events)(Event::Done { rows_done: self.progress.rows_done });
            }
            // Nobody waits for it any more once the last rows are grown.
            let _ = written.send(batch);
        }
        Ok(())
    }

    /// Writes `batch`, and notes down what lies in front of every gap if `check` finds nothing wrong.
    fn write_one(
        &mut self,
        pool: &ThreadPool,
        waiting: &mut Waiting,
        batch: &Batch,
        roots: Vec<Cell>,
        segment_roots: Vec<Vec<Cell>>,
        check: impl FnOnce(&Self, &Batch) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        let header = &self.plan.header;
        let (storage, layout, rows_per_segment) = (self.storage, &self.layout, header.rows_per_segment);
        let gather = Gather::new(storage, self.options.control, WRITE_CELLS);
        write_batch(layout, rows_per_segment, batch, 0..header.shape.columns(), gather)?;
        let mut segments: Vec<_> = (batch.start / rows_per_segment..).zip(segment_roots).collect();
        let mut progress = std::mem::take(&mut self.progress);
        let rows_done = progress.rows_done;
        let leaf = Leaf { start: batch.start, level: batch.level(), roots };
        let end = batch.start + batch.rows as u64;
        let (hasher, segment_level) = (self.options.engine.hasher(), layout.subtree_depth());
        pool.install(|| {
            waiting.add(hasher, leaf, end, &mut progress, segment_level, |row, roots| {
                segments.push((row / rows_per_segment, roots.to_vec()));
            });
        });
        for (segment, roots) in &segments {
            storage.write_at(cast_slice(roots), layout.subtree_roots_offset(*segment))?;
        }
        storage.sync()?;
        check(self, batch)?;
        if progress.rows_done > rows_done {
            self.trailer.write_progress(storage, &progress)?;
            storage.sync()?;
        }
        self.progress = progress;
        forget_batch(storage, layout, rows_per_segment, batch);
        Ok(())
    }

    /// Compares some of `batch` with what the CPU grows and hashes.
    fn check(&self, names: &[String], batch: &Batch, by: By, time: std::time::Duration) -> Result<(), BuildError> {
        let header = &self.plan.header;
        let (engine, cpu) = (self.options.engine, self.options.engine.name());
        let grower = match by {
            By::Cpu => &cpu,
            By::Card(place) => {
                check_roots(batch, header.first_row, engine.hasher(), &names[place])?;
                &names[place]
            }
        };
        let plot = (&header.key(), header.first_row);
        let growth = Growth { grower, time, checker: engine.checked_by() };
        check_batch(self.storage, &self.layout, plot, header.rows_per_segment, batch, growth)
    }
}
