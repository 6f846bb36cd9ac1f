//! The CPU's threads, which grow one piece at a time together.

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use super::{By, Grown, Shared};
use crate::batch::{BatchShape, Hand, Job, Scratch, UNIT_ROWS};
use crate::build::Event;
use crate::control::Stopped;
use crate::engine::Engine;
use crate::queue::{CloseOnPanic, Piece};

/// Rows that `threads` grow side by side.
pub(crate) fn cpu_lot(threads: usize) -> u64 {
    (threads * UNIT_ROWS) as u64
}

/// Grows what the queue gives out to `who` until there is no more.
pub(crate) fn cpu(
    shared: &Shared<'_>,
    who: usize,
    engine: &dyn Engine,
    threads: usize,
    shape: BatchShape,
    to_write: &SyncSender<Grown>,
) -> Result<(), Stopped> {
    let _guard = CloseOnPanic(shared.queue);
    let &Shared { queue, control, abort, hasher, .. } = shared;
    let header = &shared.plan.header;
    let key = header.key();
    let mut crew: Vec<Hand> =
        (0..threads).map(|_| Hand { worker: engine.worker(header.shape), scratch: Scratch::new(shape) }).collect();
    let grown = |rows| (shared.events)(Event::Grown(rows));
    let job = Job { key: &key, first_row: header.first_row, hasher, control, abort, grown: &grown };
    while let Some(pieces) = queue.wait_and_take(who, shape.rows as u64) {
        for Piece { start, rows } in pieces {
            let Some(mut batch) = shared.batch() else { return Ok(()) };
            // What is held back before it begins says nothing of the speed.
            control.step().inspect_err(|_| queue.close())?;
            let began = Instant::now();
            // Others may be waiting for what will not come any more.
            batch.grow(start, rows as usize, &mut crew, &job).inspect_err(|_| queue.close())?;
            let time = began.elapsed();
            queue.ended(who, time);
            if !shared.hand_over(batch, By::Cpu, time, to_write) {
                return Ok(());
            }
        }
    }
    Ok(())
}
