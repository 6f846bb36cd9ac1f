//! Challenge windows rehearsed on real plots.
//!
//! Each round is a window: a column and challenges drawn at random, every disk
//! searched as a miner searches it, the best leaf proved and the proof
//! verified. Then another column is read and not scored, which tells what the
//! disks alone could do. Rounds are bounded by time, whatever the disks.

mod timed;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use spacetime_kernels::{Backend, Challenge, ColumnIndex};
use spacetime_prover::farm::{Cancel, Ended, Missed, SearchError};
use spacetime_prover::{Farm, SearchOptions, SearchReport};

use crate::platform::is_read_cold;
use crate::stats::median;
pub use timed::TimedDisks;

/// How windows are rehearsed.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time from a challenge to the last moment that counts.
    pub window: Duration,
    /// Windows, fewer if the time is up.
    pub windows: u32,
    /// Challenges that are searched for at once.
    pub challenges: usize,
    /// Time for all of it. The first window is always tried, and cut off then.
    pub budget: Duration,
    /// What scores.
    pub backend: Backend,
    /// Threads that score.
    pub threads: usize,
    /// Ends it from another thread.
    pub cancel: Cancel,
}

/// One disk and the plots on it.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskReport {
    /// The number of the device.
    pub device: u64,
    /// The folders that its plots are in.
    pub folders: Vec<PathBuf>,
    /// Plots on it.
    pub plots: usize,
    /// Rows of all of them.
    pub rows: u64,
    /// Bytes that those rows take.
    pub plots_bytes: u64,
    /// Time from a challenge until the last strip was read, window by window;
    /// of one that was cut off, the time until then.
    pub answers_ms: Vec<f64>,
    /// Windows in which it came too late or was not read to the end.
    pub missed: usize,
    /// Bytes of plots answered for in a second where nothing is scored, round by round.
    pub served_bytes_per_second: Vec<f64>,
    /// Whether its files are read through a cache, or lie in memory.
    pub cached: bool,
}

/// What was rehearsed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rehearsal {
    /// Each disk, by its number.
    pub disks: Vec<DiskReport>,
    /// Time from a challenge until its proof was verified, window by window.
    pub answers_ms: Vec<f64>,
    /// Time of it that the proof took.
    pub proofs_ms: Vec<f64>,
    /// Windows that were missed by a disk, by the proof, or without one.
    pub missed: usize,
    /// Whether it was ended from another thread.
    pub cancelled: bool,
}

impl DiskReport {
    /// Bytes of plots that it answers for in a second, at the median; `None` if no round was done.
    #[must_use]
    pub fn served(&self) -> Option<f64> {
        median(&self.served_bytes_per_second)
    }
}

impl Rehearsal {
    /// Windows that came to an end, answered or missed.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.answers_ms.len()
    }
}

/// Rehearses windows on the plots of `farm`, which reads through `disks`.
///
/// # Errors
/// If an option is out of range, or the system starts no more threads. That a
/// plot failed is no error: the plot says so.
pub fn rehearse(farm: &Farm, disks: &TimedDisks, options: &Options) -> Result<Rehearsal, SearchError> {
    let mut rehearsal = Rehearsal { disks: disks_of(farm, disks), ..Rehearsal::default() };
    let Some(columns) = farm.plots().iter().map(|plot| plot.plot().layout().columns()).min() else {
        return Ok(rehearsal);
    };
    let rounds = Rounds { farm, disks, options, columns, end: disks.now() + options.budget };
    let mut longest = Duration::ZERO;
    for number in 0..options.windows {
        let began = disks.now();
        // None begins that would be cut off, or the cut would pass for a slow disk.
        if number > 0 && began + longest > rounds.end {
            break;
        }
        let proved = rounds.window(&mut rehearsal)?;
        rehearsal.cancelled = proved.is_none() || !rounds.reading(&mut rehearsal)?;
        // Where nothing can be proved more windows only say so again.
        if rehearsal.cancelled || proved == Some(false) {
            break;
        }
        longest = longest.max(disks.now().saturating_duration_since(began));
    }
    Ok(rehearsal)
}

fn disks_of(farm: &Farm, disks: &TimedDisks) -> Vec<DiskReport> {
    let mut found = BTreeMap::new();
    for plot in farm.plots() {
        let device = disks.number_of(&plot);
        let disk = found.entry(device).or_insert_with(|| DiskReport {
            device,
            folders: Vec::new(),
            plots: 0,
            rows: 0,
            plots_bytes: 0,
            answers_ms: Vec::new(),
            missed: 0,
            served_bytes_per_second: Vec::new(),
            cached: !is_read_cold(plot.path()),
        });
        let header = plot.plot().header();
        disk.plots += 1;
        disk.rows += header.rows;
        disk.plots_bytes += header.rows * header.shape.row_bytes() as u64;
        let folder = plot.path().parent().map(PathBuf::from).unwrap_or_default();
        if !disk.folders.contains(&folder) {
            disk.folders.push(folder);
        }
    }
    found.into_values().collect()
}

/// What all rounds share.
struct Rounds<'a> {
    farm: &'a Farm,
    disks: &'a TimedDisks,
    options: &'a Options,
    /// Of the plot that has fewest.
    columns: u64,
    /// When everything is cut off.
    end: Instant,
}

impl Rounds<'_> {
    fn search_options(&self) -> SearchOptions {
        let &Options { backend, threads, ref cancel, .. } = self.options;
        SearchOptions { backend, threads, cancel: cancel.clone(), ..SearchOptions::default() }
    }

    fn column(&self) -> ColumnIndex {
        ColumnIndex((draw() % self.columns) as u32)
    }

    /// One window, and whether there was a proof in the end. `None`: it was called off.
    fn window(&self, rehearsal: &mut Rehearsal) -> Result<Option<bool>, SearchError> {
        let challenges: Vec<_> = (0..self.options.challenges).map(|_| random_challenge()).collect();
        let began = self.disks.begin();
        let report = self.farm.search(self.column(), &challenges, None, Some(self.end), &self.search_options())?;
        if report.ended == Ended::Cancelled {
            return Ok(None);
        }
        let last_reads = self.disks.last_reads();
        let proving = self.disks.now();
        // A plot that fails keeps the reason, and the next best is proved.
        let proved = self.farm.prove(&report, 0, Backend::for_rows(1)).is_ok();
        let done = self.disks.now();
        let answer = done.saturating_duration_since(began);
        if report.ended == Ended::Deadline && report.took < self.options.window {
            return Ok(Some(true)); // Cut off by us before the window was over: it says nothing.
        }
        let mut late = answer > self.options.window || !proved;
        for disk in &mut rehearsal.disks {
            let cut = missed_on(&report, self.disks, disk.device);
            let last_read = last_reads.get(&disk.device).map(|at| at.saturating_duration_since(began));
            // What was cut off would have taken longer still.
            let took = if cut == Some(Cut::Late) { report.took } else { last_read.unwrap_or(report.took) };
            let missed = cut.is_some() || took > self.options.window;
            disk.answers_ms.push(milliseconds(took));
            disk.missed += usize::from(missed);
            late |= missed;
        }
        rehearsal.answers_ms.push(milliseconds(answer));
        rehearsal.proofs_ms.push(milliseconds(done.saturating_duration_since(proving)));
        rehearsal.missed += usize::from(late);
        Ok(Some(proved))
    }

    /// A column that is read and not scored. `false`: it was called off.
    fn reading(&self, rehearsal: &mut Rehearsal) -> Result<bool, SearchError> {
        let began = self.disks.begin();
        let report = self.farm.read_only(self.column(), Some(self.end), &self.search_options())?;
        if report.ended == Ended::Cancelled {
            return Ok(false);
        }
        let last_reads = self.disks.last_reads();
        for disk in &mut rehearsal.disks {
            let Some(last) = last_reads.get(&disk.device) else { continue };
            let seconds = last.saturating_duration_since(began).as_secs_f64();
            let own = report.plots.iter().filter(|plot| self.disks.number_of(&plot.plot) == disk.device);
            let row_bytes = |plot: &spacetime_prover::Plot| plot.header().shape.row_bytes() as f64;
            let served: f64 = own.map(|plot| plot.leaves as f64 * row_bytes(plot.plot.plot())).sum();
            if seconds > 0.0 && served > 0.0 {
                disk.served_bytes_per_second.push(served / seconds);
            }
        }
        Ok(true)
    }
}

/// Why a disk did not answer whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Late,
    Failed,
}

fn missed_on(report: &SearchReport, disks: &TimedDisks, device: u64) -> Option<Cut> {
    let own = report.plots.iter().filter(|plot| disks.number_of(&plot.plot) == device);
    let cut = own.filter_map(|plot| match plot.missed.as_ref()? {
        Missed::Deadline => Some(Cut::Late),
        _ => Some(Cut::Failed),
    });
    cut.reduce(|one, other| if one == Cut::Late { one } else { other })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A number that nobody knows before: what each new hasher begins with.
fn draw() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

fn random_challenge() -> Challenge {
    let mut challenge = [0; 32];
    for word in challenge.as_chunks_mut().0 {
        *word = draw().to_le_bytes();
    }
    Challenge(challenge)
}

#[cfg(test)]
mod tests;
