//! How many rows a batch may have, and how far ahead of others one may grow.

use spacetime_kernels::Grower;
use spacetime_prover::{Layout, PlotHeader};

use crate::batch::BatchShape;
use crate::error::CreateError;
use crate::options::{CreateOptions, locked};
use crate::platform::available_memory;
use crate::waiting::Waiting;
use crate::write::{WRITE_BYTES, check_cells_bytes};

/// A plot is made in at least so many batches, so that growing and writing overlap …
const MIN_BATCHES: u64 = 16;
/// … unless they would have fewer rows than this: each costs some rows grown
/// again, which shall be a small share.
const MIN_BATCH_ROWS: u64 = 1024;

/// Fewest pieces, for each who takes rows, that may be grown or wait for rows before
/// them at a time, where several take rows.
const MIN_WINDOW: u64 = 8;
/// Whole lots of each card that may be, if memory allows: one is handed over while the next is grown.
const LOTS_AHEAD: u64 = 2;

/// What a plot is grown with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Most rows of a batch, a power of two.
    pub(crate) batch_rows: u64,
    /// Most pieces that are grown, or wait for rows before them, at a time.
    pub(crate) window: usize,
    /// Bytes that all of it takes.
    pub(crate) bytes: u64,
}

/// Bytes that growing in batches of `rows` takes, with the smallest window.
fn needed(header: &PlotHeader, layout: &Layout, options: &CreateOptions<'_>, rows: u64) -> u64 {
    let engine = options.engine;
    let shape = header.shape;
    let batch = BatchShape::new(shape, usize::try_from(rows).unwrap_or(usize::MAX >> 32), header.rows_per_segment);
    let hands = if options.cpu_takes_part() { options.threads as u64 } else { 0 };
    // A card, or an earlier run, may have left pieces of a single row.
    let stack_levels = u64::from(layout.depth().max(layout.subtree_depth()) + 2);
    options.batches() as u64 * batch.batch_bytes()
        + hands * (engine.worker_bytes(shape) + batch.scratch_bytes())
        // The stack, what it is joined into, and a copy at the end; the pair of the last batch's roots.
        + (3 * stack_levels + 4) * shape.row_bytes() as u64
        + WRITE_BYTES as u64
        + Grower::memory_bytes(engine.checked_by(), shape)
        + check_cells_bytes(engine.checked_by(), shape)
        + min_window(options) * Waiting::bytes(shape.row_bytes())
}

/// The smallest window. Who grows alone does so in order, so that nothing ever waits.
fn min_window(options: &CreateOptions<'_>) -> u64 {
    match options.producers() as u64 {
        1 => 0,
        several => several * MIN_WINDOW,
    }
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

/// How this plot is grown within the bytes of memory that `options` allow.
///
/// # Errors
/// If the budget is greater than what is free, or holds no batch at all.
pub(crate) fn sizes(header: &PlotHeader, layout: &Layout, options: &CreateOptions<'_>) -> Result<Sizes, CreateError> {
    let budget = allowed(options.memory)?;
    let padded = 1u64 << layout.depth();
    let unit = padded.min(16);
    // A batch that spans small segments does no harm, one row at a time would.
    let most = header.rows_per_segment.min(padded / MIN_BATCHES).max(MIN_BATCH_ROWS).min(padded);
    let smallest = needed(header, layout, options, unit);
    if smallest > budget {
        return Err(CreateError::SmallBudget { budget, needed: smallest });
    }
    let mut rows = unit;
    while rows < most && needed(header, layout, options, 2 * rows) <= budget {
        rows *= 2;
    }
    let needed = needed(header, layout, options, rows);
    if options.producers() == 1 {
        return Ok(Sizes { batch_rows: rows, window: usize::MAX, bytes: needed });
    }
    let rows_in_flight = options.growers.iter().map(|grower| locked(grower).rows_in_flight() as u64);
    let lots = rows_in_flight.map(|lot| LOTS_AHEAD * lot.div_ceil(rows)).sum::<u64>();
    let waiting_bytes = Waiting::bytes(header.shape.row_bytes());
    let more = lots.min((budget - needed) / waiting_bytes);
    let window = (min_window(options) + more) as usize;
    Ok(Sizes { batch_rows: rows, window, bytes: needed + more * waiting_bytes })
}
