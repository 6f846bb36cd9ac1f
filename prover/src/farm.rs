//! Many plots, kept open and searched together.
//!
//! * [`Farm::open`] finds plots in files and folders, [`Farm::refresh`] notices
//!   what came and went.
//! * [`Farm::search`] has each disk read a column once while the kernels score
//!   it for a whole group of challenges, and reports plot by plot.
//! * [`Farm::prove`] turns an answer into a proof, and verifies it.
//!
//! Disks, clock and bulk scorers are handed in ([`Disks`], [`Clock`], [`Scorers`]).

mod blocks;
mod buffer;
mod call;
mod cancel;
mod clock;
mod discover;
mod disks;
mod lane;
mod plot;
mod prove;
mod report;
mod sample;
mod scorers;
mod search;
mod sweep;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;

pub use buffer::Buffer;
pub use call::Hangs;
pub use cancel::Cancel;
pub use clock::{Clock, SystemClock};
pub use discover::{MAX_PLOTS, Refusal, Refused};
pub use disks::{Disks, SystemDisks};
pub use plot::FarmPlot;
pub use prove::{Answer, LeafClaim, PassedOver, PlotFault, ProveError};
pub use report::{Ended, FoundLeaf, Missed, PlotReport, ScorerReport, SearchReport};
pub use scorers::{Aside, MAX_SCORERS, Scorers, ScorersError, Wrong};
pub use search::{Looks, MAX_THREADS, SearchError, SearchOptions, Strategy};

use disks::Disk;

use crate::platform::DIRECT_ALIGNMENT;

/// Most reads in flight on one disk: each has a thread and a buffer.
pub const MAX_QUEUE_DEPTH: usize = 64;

/// Largest read, in bytes: beyond it no disk gets faster.
pub const MAX_BLOCK_BYTES: usize = 64 << 20;

/// How a farm reads.
#[derive(Clone, Debug)]
pub struct FarmOptions {
    /// Reads in flight on each disk, 1 to [`MAX_QUEUE_DEPTH`].
    pub queue_depth: usize,
    /// Bytes of a read, a multiple of 4096 up to [`MAX_BLOCK_BYTES`].
    pub block_bytes: usize,
    /// How long a disk may finish nothing that was asked of it before nobody waits for it any more.
    pub stall_limit: Duration,
    /// What is read.
    pub disks: Arc<dyn Disks>,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
    /// What scores beside the CPU where it is faster.
    pub scorers: Scorers,
}

impl Default for FarmOptions {
    /// As measured: see `## Reading` in benches/RESULTS.md.
    fn default() -> Self {
        Self {
            queue_depth: 4,
            block_bytes: 2 << 20,
            stall_limit: Duration::from_secs(5),
            disks: Arc::new(SystemDisks),
            clock: Arc::new(SystemClock),
            scorers: Scorers::default(),
        }
    }
}

/// Why a farm cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FarmError {
    /// No reads in flight, or too many.
    #[error("queue depth is {0}, allowed are 1 to {MAX_QUEUE_DEPTH}")]
    QueueDepth(usize),
    /// Reads of no size that a disk takes.
    #[error("block size is {0}, must be a multiple of {DIRECT_ALIGNMENT} up to {MAX_BLOCK_BYTES}")]
    BlockBytes(usize),
}

/// What a refresh changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Plots that are new.
    pub added: Vec<PathBuf>,
    /// Plots that are gone, or no longer usable: [`Farm::refused`] says why.
    pub removed: Vec<PathBuf>,
    /// Plots whose file is another, or was written to.
    pub replaced: Vec<PathBuf>,
}

/// Plots that are kept open and searched together. All methods take `&self`:
/// one thread may search while another looks on or refreshes.
#[derive(Debug)]
pub struct Farm {
    paths: Vec<PathBuf>,
    options: FarmOptions,
    /// Held while the plots change; searches go on with those they began with.
    refreshing: Mutex<()>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    plots: Vec<Arc<FarmPlot>>,
    refused: Vec<Refused>,
    known_disks: BTreeMap<u64, Arc<Disk>>,
}

impl Farm {
    /// Opens the plots in `paths`: files, whatever their names, and folders, of
    /// which the files called `*.plot` are taken, not those in folders below
    /// (so that no loop of links and no mounted network holds it up; a
    /// `*.plot.tmp` is a plot being made and is passed over). Links are
    /// followed. Of a plot that is found twice the first is used. What cannot be
    /// used is listed in [`Self::refused`], and tried again on a refresh.
    ///
    /// # Errors
    /// If an option is out of range; never because of a path.
    pub fn open(paths: impl IntoIterator<Item = impl Into<PathBuf>>, options: FarmOptions) -> Result<Self, FarmError> {
        if !(1..=MAX_QUEUE_DEPTH).contains(&options.queue_depth) {
            return Err(FarmError::QueueDepth(options.queue_depth));
        }
        let block_bytes = options.block_bytes;
        if !(1..=MAX_BLOCK_BYTES).contains(&block_bytes) || !block_bytes.is_multiple_of(DIRECT_ALIGNMENT) {
            return Err(FarmError::BlockBytes(block_bytes));
        }
        let paths = paths.into_iter().map(Into::into).collect();
        let farm = Self { paths, options, refreshing: Mutex::default(), held: Mutex::default() };
        farm.refresh();
        Ok(farm)
    }

    /// Looks at the paths again: takes in new plots, lets go of those that are
    /// gone, opens those anew whose file is another (by device, number, size
    /// and time), and tries again what was refused. Other plots are not read.
    pub fn refresh(&self) -> Changes {
        let _refreshing = lock(&self.refreshing);
        let before = self.plots();
        let found = discover::discover(&self.paths, &before);
        let mut changes = Changes::default();
        let old: BTreeMap<_, _> = before.iter().map(|plot| (plot.path(), plot)).collect();
        let new: BTreeMap<_, _> = found.plots.iter().map(|plot| (plot.path(), plot)).collect();
        for plot in &found.plots {
            match old.get(plot.path()) {
                None => changes.added.push(plot.path().to_owned()),
                Some(old) if !Arc::ptr_eq(old, plot) => changes.replaced.push(plot.path().to_owned()),
                Some(_) => {}
            }
        }
        let gone = before.iter().filter(|plot| !new.contains_key(plot.path()));
        changes.removed.extend(gone.map(|plot| plot.path().to_owned()));

        let mut held = lock(&self.held);
        for plot in &found.plots {
            self.place(&mut held.known_disks, plot);
        }
        held.known_disks.retain(|_, disk| found.plots.iter().any(|plot| Arc::ptr_eq(plot.disk(), disk)));
        held.plots = found.plots;
        held.refused = found.refused;
        changes
    }

    /// The plots in use, in the order of the paths, of a folder by name.
    #[must_use]
    pub fn plots(&self) -> Vec<Arc<FarmPlot>> {
        lock(&self.held).plots.clone()
    }

    /// What is not used, and why.
    #[must_use]
    pub fn refused(&self) -> Vec<Refused> {
        lock(&self.held).refused.clone()
    }

    fn place(&self, disks: &mut BTreeMap<u64, Arc<Disk>>, plot: &FarmPlot) {
        let disk = disks.entry(self.options.disks.disk_of(plot));
        plot.place_on(Arc::clone(disk.or_insert_with(|| Arc::new(Disk::new(self.options.queue_depth)))));
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.options.clock
    }

    fn disks(&self) -> &Arc<dyn Disks> {
        &self.options.disks
    }

    fn scorers(&self) -> &Scorers {
        &self.options.scorers
    }

    fn queue_depth(&self) -> usize {
        self.options.queue_depth
    }

    fn block_bytes(&self) -> usize {
        self.options.block_bytes
    }

    fn stall_limit(&self) -> Duration {
        self.options.stall_limit
    }
}

/// Nothing that these locks guard is left half done where a thread panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
