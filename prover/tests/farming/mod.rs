//! Farms for tests: plots in a folder, a search done the slow way, disks that
//! misbehave and a clock that is turned by hand.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own share

pub mod bulk;

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use spacetime_kernels::{Backend, Best, Challenge, ColumnIndex, score};
use spacetime_prover::farm::{Clock, Disks, FarmPlot, SearchOptions, SystemDisks};
use spacetime_prover::{Farm, FarmOptions, Plot, PlotError, SearchReport, Strategy};
use tempfile::TempDir;

use crate::common::{header, write_plot};

/// Longer than any test turns its clock: disks that are slow by it are not taken for ones that hang.
pub const LONG: Duration = Duration::from_secs(1_000_000);

pub const COLUMN: ColumnIndex = ColumnIndex(3);

/// A folder with a plot of p = 4, R = 1 for each `(rows, rows per segment)`: `0.plot`, `1.plot`, …
pub fn folder_of(shapes: &[(u64, u64)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (at, &(rows, rows_per_segment)) in shapes.iter().enumerate() {
        write(folder.path(), at, rows, rows_per_segment);
    }
    folder
}

/// Writes `AT.plot`, whose seed is `at`.
pub fn write(folder: &Path, at: usize, rows: u64, rows_per_segment: u64) -> PathBuf {
    let path = plot_path(folder, at);
    write_plot(&path, &header(at as u8, 4, 1, rows, rows_per_segment));
    path
}

pub fn plot_path(folder: &Path, at: usize) -> PathBuf {
    folder.join(format!("{at}.plot"))
}

pub fn challenges(count: usize) -> Vec<Challenge> {
    (0..count).map(|at| Challenge([0x50 + at as u8; 32])).collect()
}

pub fn options(strategy: Strategy) -> SearchOptions {
    SearchOptions { strategy, threads: 2, seed: Some(7), ..SearchOptions::default() }
}

pub fn full() -> SearchOptions {
    options(Strategy::Full)
}

/// A farm over `folder` with one read of a page in flight a disk.
pub fn farm_with(folder: &Path, disks: Arc<dyn Disks>, clock: Arc<dyn Clock>) -> Farm {
    farm_stalling(folder, LONG, disks, clock)
}

/// As [`farm_with`]: a disk is given up that finishes nothing for as long.
pub fn farm_stalling(folder: &Path, stall_limit: Duration, disks: Arc<dyn Disks>, clock: Arc<dyn Clock>) -> Farm {
    let options =
        FarmOptions { queue_depth: 1, block_bytes: 4096, stall_limit, disks, clock, ..FarmOptions::default() };
    Farm::open([folder], options).expect("good options")
}

/// The best row of the plot at `path` for each challenge, found one leaf at a time.
pub fn naive_best(path: &Path, column: ColumnIndex, challenges: &[Challenge]) -> Vec<Option<Best>> {
    let plot = Plot::open(path).expect("a plot");
    let strips = (0..plot.layout().segments()).map(|segment| plot.read_strip(segment, column).expect("a strip"));
    let cells: Vec<_> = strips.flatten().collect();
    let best = |challenge| (0..).zip(&cells).map(|(row, cell)| (score(challenge, cell), row)).min();
    challenges.iter().map(|challenge| best(challenge).map(|(score, row)| Best { row, score })).collect()
}

/// Whether `report` is what a slow search through `paths` finds, every row of each.
pub fn check_full(report: &SearchReport, paths: &[PathBuf]) -> Result<(), String> {
    let naive: Vec<_> = paths.iter().map(|path| naive_best(path, report.column, &report.challenges)).collect();
    for (plot, naive) in report.plots.iter().zip(&naive) {
        let rows = plot.plot.plot().header().rows;
        if let Some(missed) = &plot.missed {
            return Err(format!("{}: {missed}", plot.plot.path().display()));
        }
        if (plot.leaves, plot.planned) != (rows, rows) || plot.bytes < 32 * rows {
            return Err(format!("{} leaves and {} bytes of {rows} rows", plot.leaves, plot.bytes));
        }
        if plot.best != *naive {
            return Err(format!("best is {:?}, not {naive:?}", plot.best));
        }
    }
    for challenge in 0..report.challenges.len() {
        let each = naive.iter().enumerate().filter_map(|(plot, naive)| Some((plot, naive[challenge]?)));
        let best = each.map(|(plot, best)| (best.score, plot, best.row)).min();
        let found = report.best(challenge).map(|leaf| (leaf.score, leaf.plot, leaf.row));
        if found != best {
            return Err(format!("the best of all is {found:?}, not {best:?}"));
        }
    }
    if report.plots.len() == paths.len() { Ok(()) } else { Err(format!("{} plots", report.plots.len())) }
}

thread_local! {
    /// Time that passed for this thread alone.
    static WORKED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A clock that stands still until it is turned.
#[derive(Debug)]
pub struct HandClock {
    started: Instant,
    hands: Mutex<Hands>,
    alarm_set: Condvar,
    /// What a CPU thread that scores takes for each block, by its own time.
    pub cpu_block_takes: Duration,
}

#[derive(Debug, Default)]
struct Hands {
    passed: Duration,
    /// Dropped when their time comes, which closes the channel.
    alarms: Vec<(Instant, Sender<Instant>)>,
    alarms_set: usize,
}

impl HandClock {
    pub fn new() -> Arc<Self> {
        Self::with_cpu(Duration::ZERO)
    }

    pub fn with_cpu(cpu_block_takes: Duration) -> Arc<Self> {
        Arc::new(Self { started: Instant::now(), hands: Mutex::default(), alarm_set: Condvar::new(), cpu_block_takes })
    }

    /// Lets time pass for the thread that calls it, and no other.
    pub fn work(by: Duration) {
        WORKED.set(WORKED.get() + by);
    }

    pub fn turn(&self, by: Duration) {
        let mut hands = self.hands.lock().expect("no test panics with this lock");
        hands.passed += by;
        let now = self.started + hands.passed;
        hands.alarms.retain(|(at, _)| *at > now);
    }

    /// Alarms that were set so far.
    pub fn alarms_set(&self) -> usize {
        self.hands.lock().expect("no test panics with this lock").alarms_set
    }

    /// Waits until more than so many alarms were set.
    pub fn await_alarm(&self, before: usize) {
        let hands = self.hands.lock().expect("no test panics with this lock");
        let none = |hands: &mut Hands| hands.alarms_set <= before;
        drop(self.alarm_set.wait_while(hands, none).expect("no test panics with this lock"));
    }

    pub fn passed(&self) -> Duration {
        self.hands.lock().expect("no test panics with this lock").passed
    }
}

impl Clock for HandClock {
    fn now(&self) -> Instant {
        // They look at the clock once before a block and once after it.
        if std::thread::current().name() == Some("farm-score") {
            Self::work(self.cpu_block_takes);
        }
        self.started + self.passed() + WORKED.get()
    }

    fn alarm(&self, at: Instant) -> Receiver<Instant> {
        let (sender, receiver) = bounded(0);
        let mut hands = self.hands.lock().expect("no test panics with this lock");
        hands.alarms.push((at, sender));
        hands.alarms_set += 1;
        drop(hands);
        self.turn(Duration::ZERO);
        self.alarm_set.notify_all();
        receiver
    }
}

/// Disks of which each plot has its own, with a fault of its own.
#[derive(Debug)]
pub struct OddDisks {
    /// What a read of any plot takes, by this clock.
    pub clock: Arc<HandClock>,
    a_read_takes: Mutex<Duration>,
    faults: Mutex<HashMap<PathBuf, Fault>>,
    reads: Mutex<Vec<(PathBuf, u64)>>,
    another: Condvar,
    /// Whether all plots lie on one disk.
    pub one_disk: bool,
}

#[derive(Clone, Debug)]
pub enum Fault {
    /// Reads fail.
    Fails,
    /// Reads say that they began, then wait until the second channel is closed.
    Hangs(Sender<()>, Receiver<()>),
    /// As `Fails`, from this offset on.
    FailsFrom(u64),
}

impl OddDisks {
    pub fn new(clock: &Arc<HandClock>, a_read_takes: Duration, one_disk: bool) -> Self {
        let clock = Arc::clone(clock);
        Self {
            clock,
            a_read_takes: Mutex::new(a_read_takes),
            faults: Mutex::default(),
            reads: Mutex::default(),
            another: Condvar::new(),
            one_disk,
        }
    }

    pub fn set_fault(&self, path: &Path, fault: Option<Fault>) {
        let mut faults = self.faults.lock().expect("no test panics with this lock");
        match fault {
            Some(fault) => faults.insert(path.to_owned(), fault),
            None => faults.remove(path),
        };
    }

    /// Makes reads of `path` hang: the first channel tells when one began, the second ends them all when dropped.
    pub fn hang(&self, path: &Path) -> (Receiver<()>, Sender<()>) {
        let (began, told) = bounded(100);
        let (release, released) = bounded(0);
        self.set_fault(path, Some(Fault::Hangs(began, released)));
        (told, release)
    }

    /// Reads take no time any more.
    pub fn make_fast(&self) {
        *self.a_read_takes.lock().expect("no test panics with this lock") = Duration::ZERO;
    }

    /// Waits until a read of `path` began.
    pub fn await_read(&self, path: &Path) {
        let reads = self.reads.lock().expect("no test panics with this lock");
        let none = |reads: &mut Vec<(PathBuf, u64)>| reads.iter().all(|(read, _)| read != path);
        drop(self.another.wait_while(reads, none).expect("no test panics with this lock"));
    }

    /// Path and offset of every read that began, in order; forgotten then.
    pub fn take_reads(&self) -> Vec<(PathBuf, u64)> {
        std::mem::take(&mut self.reads.lock().expect("no test panics with this lock"))
    }
}

impl Disks for OddDisks {
    fn disk_of(&self, plot: &FarmPlot) -> u64 {
        if self.one_disk { 0 } else { u64::from(plot.plot().header().seed[0]) }
    }

    fn open(&self, path: &Path) -> Result<Plot, PlotError> {
        let fault = self.faults.lock().expect("no test panics with this lock").get(path).cloned();
        if let Some(Fault::Hangs(began, released)) = fault {
            began.send(()).expect("the test listens");
            released.recv().expect_err("nothing is sent");
        }
        SystemDisks.open(path)
    }

    fn read(&self, plot: &FarmPlot, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        self.reads.lock().expect("no test panics with this lock").push((plot.path().to_owned(), offset_bytes));
        self.another.notify_all();
        let fault = self.faults.lock().expect("no test panics with this lock").get(plot.path()).cloned();
        match fault {
            Some(Fault::Fails) => return Err(io::Error::other("the disk is broken")),
            Some(Fault::FailsFrom(from)) if offset_bytes >= from => return Err(io::Error::other("a bad sector")),
            Some(Fault::Hangs(began, released)) => {
                began.send(()).expect("the test listens");
                released.recv().expect_err("nothing is sent");
            }
            _ => {}
        }
        SystemDisks.read(plot, buffer, offset_bytes)?;
        self.clock.turn(*self.a_read_takes.lock().expect("no test panics with this lock"));
        Ok(())
    }
}

/// The plots of `folder_of`, by path.
pub fn paths_in(folder: &Path, count: usize) -> Vec<PathBuf> {
    (0..count).map(|at| plot_path(folder, at)).collect()
}

/// Scores for one leaf at a time, with the backend that is compared with all others.
pub const PORTABLE: Backend = Backend::PORTABLE;
