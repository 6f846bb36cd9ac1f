//! How many rows a batch may have.

use spacetime_kernels::Grower;
use spacetime_prover::{Layout, PlotHeader};

use crate::batch::BatchShape;
use crate::engine::Engine;
use crate::error::CreateError;
use crate::platform::available_memory;
use crate::write::{WRITE_BYTES, check_cells_bytes};

/// Batches in memory: one is grown while the other is written.
pub(crate) const BATCHES: usize = 2;

/// A plot is made in at least so many batches, so that growing and writing overlap …
const MIN_BATCHES: u64 = 16;
/// … unless they would have fewer rows than this: each costs some rows grown
/// again, which shall be a small share.
const MIN_BATCH_ROWS: u64 = 1024;

/// Bytes that growing in batches of `rows` takes.
fn needed(header: &PlotHeader, layout: &Layout, engine: &dyn Engine, threads: usize, rows: u64) -> u64 {
    let shape = header.shape;
    let batch = BatchShape::new(shape, usize::try_from(rows).unwrap_or(usize::MAX >> 32), header.rows_per_segment);
    let threads = threads as u64;
    let stack_levels = u64::from(layout.depth().max(layout.subtree_depth()) + 2 - rows.ilog2());
    BATCHES as u64 * batch.batch_bytes()
        + threads * (engine.worker_bytes(shape) + batch.scratch_bytes())
        // The stack, what it is joined into, and a copy at the end; the pair of the last batch's roots.
        + (3 * stack_levels + 4) * shape.row_bytes() as u64
        + WRITE_BYTES as u64
        + Grower::memory_bytes(engine.checked_by(), shape)
        + check_cells_bytes(engine.checked_by(), shape)
}

/// Bytes allowed: what was asked for, or half of what is free.
///
/// # Errors
/// If more was asked for than is free.
pub(crate) fn allowed(budget: Option<u64>) -> Result<u64, CreateError> {
    match (budget, available_memory()) {
        (Some(budget), Some(free)) if budget > free => Err(CreateError::NoMemory { budget, free }),
        (Some(budget), _) => Ok(budget),
        (None, Some(free)) => Ok(free / 2),
        // A machine that does not say what it has is taken for a small one.
        (None, None) => Ok(1 << 30),
    }
}

/// Most rows a batch of this plot may have within `budget` bytes (half of
/// what is free, if none), a power of two.
///
/// # Errors
/// If the budget is greater than what is free, or holds no batch at all.
pub(crate) fn batch_rows(
    header: &PlotHeader,
    layout: &Layout,
    engine: &dyn Engine,
    threads: usize,
    budget: Option<u64>,
) -> Result<(u64, u64), CreateError> {
    let budget = allowed(budget)?;
    let padded = 1u64 << layout.depth();
    let unit = padded.min(16);
    // A batch that spans small segments does no harm, one row at a time would.
    let most = header.rows_per_segment.min(padded / MIN_BATCHES).max(MIN_BATCH_ROWS).min(padded);
    let smallest = needed(header, layout, engine, threads, unit);
    if smallest > budget {
        return Err(CreateError::SmallBudget { budget, needed: smallest });
    }
    let mut rows = unit;
    while rows < most && needed(header, layout, engine, threads, 2 * rows) <= budget {
        rows *= 2;
    }
    Ok((rows, needed(header, layout, engine, threads, rows)))
}
