//! Reading a whole plot against its roots, and healing what is damaged.

mod decide;
mod inside;
mod repair;
mod report;
mod survey;

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use spacetime_prover::{HeaderError, Plot, PlotError, PlotState};
use tracing::info;

use crate::control::Control;
use crate::create::lock;
use crate::engine::Engine;
use crate::memory::allowed;
use crate::progress::Steps;
use crate::regrow::Tools;
use crate::storage::Storage;

pub use report::{Damage, Outcome, ScrubError, ScrubReport};

use inside::{Fault, Inside};

/// With what, and how gently, a plot is scrubbed.
#[derive(Clone, Copy)]
pub struct ScrubOptions<'a> {
    /// Who grows rows again and hashes.
    pub engine: &'a dyn Engine,
    /// Threads that hash and grow; one more reads.
    pub threads: usize,
    /// Bytes of memory allowed; none for half of what is free.
    pub memory: Option<u64>,
    /// Heal what is damaged.
    pub repair: bool,
    /// Stops and holds back.
    pub control: &'a Control,
    /// Hears how far it is.
    pub steps: Steps<'a>,
}

/// Opens a plot that is to be read or healed, which no process is to be making.
pub(crate) fn open(path: &Path, repair: bool) -> Result<Plot, ScrubError> {
    // Kind, header and sizes come first, so that a pipe does not block and nothing but a plot is locked.
    let plot = finished(path, Plot::open_any(path))?;
    if !repair {
        return Ok(plot);
    }
    let cannot_open = |source| PlotError::Io { path: path.to_owned(), doing: "cannot open to repair it", source };
    let file = File::options().read(true).write(true).open(path).map_err(cannot_open)?;
    lock(path, &file)?;
    // What was read before it was locked may have changed since.
    finished(path, Plot::from_file(path, file))
}

fn finished(path: &Path, plot: Result<Plot, PlotError>) -> Result<Plot, ScrubError> {
    match plot {
        Err(error @ PlotError::Header { source: HeaderError::Checksum, .. }) => Err(ScrubError::DamagedHeader(error)),
        Ok(plot) if plot.header().state == PlotState::Building => Err(ScrubError::Unfinished(path.to_owned())),
        plot => Ok(plot?),
    }
}

/// Reads every strip of the plot or part at `path` and compares its root with
/// the cached ones, and all of them with the plot root, which alone is believed:
/// the header has a checksum. Names every damaged strip and root, and with
/// [`ScrubOptions::repair`] heals them: the rows of damaged segments are grown
/// again, only what is damaged is written, and all that was written is read
/// back and verified. A repair that is interrupted is repeated by the next.
///
/// Where roots and cells contradict each other so that neither leads to the
/// plot root, rows are grown again to decide, also without a repair. In a part,
/// which has no plot root, growing decides always; damage that hits a cell and
/// its root alike is seen there only if a segment has more than one row.
///
/// Bytes that the disk cannot read count as damaged.
///
/// # Errors
/// If the file cannot be opened, is no plot, is unfinished, or its header is
/// damaged; if it is to be repaired and another process is at work on it; if
/// memory does not suffice, the system refuses, or the work is stopped.
///
/// # Panics
/// If [`ScrubOptions::threads`] is zero.
pub fn scrub(path: &Path, options: &ScrubOptions<'_>) -> Result<ScrubReport, ScrubError> {
    let plot = open(path, options.repair)?;
    crate::platform::at_idle_priority(|| scrub_storage(path, plot.file(), &plot, options))
}

/// As [`scrub`], reading and writing through `storage`.
fn scrub_storage(
    path: &Path,
    storage: &dyn Storage,
    plot: &Plot,
    options: &ScrubOptions<'_>,
) -> Result<ScrubReport, ScrubError> {
    assert!(options.threads > 0, "somebody must hash");
    let began = Instant::now();
    let named = |fault: Fault| fault.name(path);
    let pool = crate::platform::idle_pool(options.threads).map_err(|error| named(error.into()))?;
    let &ScrubOptions { engine, threads, control, steps, .. } = options;
    let tools = Tools { pool: &pool, engine, threads, control, steps };
    let inside = Inside::new(storage, plot, allowed(options.memory)?, tools)?;
    info!(path = %path.display(), repair = options.repair, "scrubbing");
    let survey = inside.survey().map_err(named)?;
    let unreadable_bytes = inside.unreadable_bytes();
    let (verdict, rows_decided) = inside.decide(&survey).map_err(named)?;
    let mut report = ScrubReport::new(path, plot.header(), &survey, verdict.as_ref());
    report.unreadable_bytes = unreadable_bytes;
    report.rows_grown = rows_decided;
    if let Some(verdict) = verdict.filter(|_| options.repair && report.outcome == Outcome::Damaged) {
        let (healed, rows_grown) = inside.repair(&survey, &verdict).map_err(named)?;
        report.rows_grown += rows_grown;
        report.outcome = if healed { Outcome::Healed } else { Outcome::NeverRight };
    }
    report.time = began.elapsed();
    Ok(report)
}

#[cfg(test)]
mod tests;
