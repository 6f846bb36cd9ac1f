//! One search at work: readers for each disk, scorers for all.
//!
//! Each disk has a few buffers. A reader takes a free one, reads the next block
//! of its disk's [`Lane`] into it and hands it to the scorers, which give it
//! back. Readers are threads of their own: when the search is over, one that
//! hangs in a read is left behind, holding its permit, and nobody waits for it.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, never, select};
use spacetime_kernels::{Backend, Best, Challenge, MAX_CHALLENGES, Target};

use crate::farm::blocks::Block;
use crate::farm::buffer::Buffer;
use crate::farm::cancel::Cancel;
use crate::farm::clock::Clock;
use crate::farm::disks::{Disk, Disks};
use crate::farm::lane::Lane;
use crate::farm::lock;
use crate::farm::plot::FarmPlot;
use crate::farm::report::Ended;
use crate::plot::PlotError;

/// Cells scored between two looks at whether to stop: a millisecond or two for eight challenges.
const CELLS_AT_ONCE: usize = 4096;

/// What a search did with one plot so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) planned: u64,
    pub(crate) leaves: u64,
    pub(crate) bytes: u64,
    pub(crate) reading: Duration,
    pub(crate) scoring: Duration,
    pub(crate) best: [Option<Best>; MAX_CHALLENGES],
    pub(crate) error: Option<Arc<PlotError>>,
}

/// A plot in a sweep.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) plot: Arc<FarmPlot>,
    pub(crate) tally: Mutex<Tally>,
    failed: AtomicBool,
}

impl Job {
    pub(crate) fn new(plot: Arc<FarmPlot>, planned: u64) -> Self {
        Self { plot, tally: Mutex::new(Tally { planned, ..Tally::default() }), failed: AtomicBool::new(false) }
    }

    fn fail(&self, source: io::Error) {
        self.failed.store(true, Ordering::Relaxed);
        let mut tally = lock(&self.tally);
        if tally.error.is_none() {
            let error = Arc::new(self.plot.error_reading(source));
            tracing::warn!(%error, "a plot drops out of this search");
            self.plot.keep_read_error(Arc::clone(&error));
            tally.error = Some(error);
        }
    }
}

/// All that the threads of a search share.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// None: the cells are read only.
    pub(crate) challenges: Vec<Challenge>,
    pub(crate) target: Option<Target>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) stop_at_first_winner: bool,
    pub(crate) backend: Backend,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disks: Arc<dyn Disks>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) idle: Idle,
    pub(crate) stopped: AtomicBool,
}

/// Nanoseconds in which threads waited for each other.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    readers: AtomicU64,
    scorers: AtomicU64,
}

impl Idle {
    pub(crate) fn readers(&self) -> Duration {
        Duration::from_nanos(self.readers.load(Ordering::Relaxed))
    }

    pub(crate) fn scorers(&self) -> Duration {
        Duration::from_nanos(self.scorers.load(Ordering::Relaxed))
    }
}

/// A block that was read, on its way to a scorer.
struct Filled {
    lane: usize,
    job: usize,
    block: Block,
    buffer: Buffer,
}

/// A leaf below the target was found.
struct Winner;

/// Runs `sweep` until its end, the deadline, a winner or `cancel`, and says which it was.
///
/// # Errors
/// If a thread cannot be started.
///
/// # Panics
/// If a thread of it does.
pub(crate) fn run(sweep: &Arc<Sweep>, cancel: &Cancel, queue_depth: usize, threads: usize) -> io::Result<Ended> {
    let alarm = sweep.deadline.map_or_else(never, |deadline| sweep.clock.alarm(deadline));
    if cancel.is_cancelled() {
        return Ok(Ended::Cancelled);
    }
    if sweep.is_late() {
        return Ok(Ended::Deadline);
    }
    let buffers = sweep.lanes.iter().map(Lane::buffers).sum();
    // It has room for every buffer there is, so that nobody ever waits to send.
    let (to_score, filled) = bounded(buffers);
    let (stop, stopping) = bounded(0);
    let (to_end, ending) = bounded(1);
    let mut crew = Crew { sweep, stop: Some(stop), readers: Vec::new(), scorers: Vec::new() };
    for lane in 0..sweep.lanes.len() {
        for _ in 0..queue_depth {
            let (sweep, to_score, stopping) = (Arc::clone(sweep), to_score.clone(), stopping.clone());
            let reader = move || read(&sweep, lane, &to_score, &stopping);
            crew.readers.push(Builder::new().name("farm-read".to_owned()).spawn(reader)?);
        }
    }
    for _ in 0..threads {
        let (sweep, filled, stopping, to_end) = (Arc::clone(sweep), filled.clone(), stopping.clone(), to_end.clone());
        let scorer = move || score(&sweep, &filled, &stopping, &to_end);
        crew.scorers.push(Builder::new().name("farm-score".to_owned()).spawn(scorer)?);
    }
    // From here on the threads alone hold the ends they work with: a channel closes with the last of them.
    drop((to_score, filled, stopping, to_end));
    let ended = select! {
        recv(ending) -> event => if event.is_ok() { Ended::FirstWinner } else { Ended::Swept },
        recv(alarm) -> _ => Ended::Deadline,
        recv(cancel.closed()) -> _ => Ended::Cancelled,
    };
    crew.dismiss(ended);
    Ok(ended)
}

/// The threads of a search; they are told to stop when it is dropped.
struct Crew<'a> {
    sweep: &'a Sweep,
    stop: Option<Sender<Infallible>>,
    readers: Vec<JoinHandle<()>>,
    scorers: Vec<JoinHandle<()>>,
}

impl Crew<'_> {
    /// Waits for the scorers, whose steps are short, and for readers only if all have read to the end.
    fn dismiss(mut self, ended: Ended) {
        self.stop();
        let readers = std::mem::take(&mut self.readers).into_iter().filter(|_| ended == Ended::Swept);
        for thread in std::mem::take(&mut self.scorers).into_iter().chain(readers) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }

    fn stop(&mut self) {
        self.sweep.stopped.store(true, Ordering::Relaxed);
        self.stop.take();
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Sweep {
    /// Whether all that was planned was scored, except where reading failed.
    pub(crate) fn is_complete(&self) -> bool {
        let complete = |tally: &Tally| tally.leaves == tally.planned || tally.error.is_some();
        self.jobs.iter().all(|job| complete(&lock(&job.tally)))
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| self.clock.now() >= deadline)
    }

    fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.is_late()
    }

    fn since(&self, began: Instant) -> Duration {
        self.clock.now().saturating_duration_since(began)
    }

    /// The next read of a lane; `None` at its end.
    fn next(&self, lane: usize) -> Option<(usize, Block)> {
        let failed = |job: usize| self.jobs[job].failed.load(Ordering::Relaxed);
        let (next, replanned) = self.lanes[lane].next(self.clock.now(), self.challenges.len(), failed);
        for (job, dropped_rows) in replanned {
            lock(&self.jobs[job].tally).planned -= dropped_rows;
        }
        next
    }
}

/// The right to have one read in flight on a disk.
struct Permit<'a>(&'a Disk);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.give_back_permit();
    }
}

/// What a reader does.
fn read(sweep: &Sweep, lane: usize, to_score: &Sender<Filled>, stopping: &Receiver<Infallible>) {
    let Lane { disk, free, .. } = &sweep.lanes[lane];
    loop {
        let began = sweep.clock.now();
        let mut buffer = select! {
            recv(free.1) -> buffer => buffer.expect("the lane holds both ends"),
            recv(stopping) -> _ => return,
        };
        add(&sweep.idle.readers, sweep.since(began));
        // An earlier search may have left reads behind that hang.
        let permit = select! {
            recv(disk.permits()) -> permit => permit.map(|()| Permit(disk)).expect("the disk holds both ends"),
            recv(stopping) -> _ => return,
        };
        if sweep.is_over() {
            return;
        }
        let Some((job, block)) = sweep.next(lane) else { return };
        let began = sweep.clock.now();
        let plot = &sweep.jobs[job].plot;
        let result = sweep.disks.read(plot, &mut buffer.as_mut_slice()[..block.bytes], block.offset_bytes);
        let done = sweep.clock.now();
        let reading = done.saturating_duration_since(began);
        drop(permit);
        match result {
            Ok(()) => {
                sweep.lanes[lane].was_read(done);
                let mut tally = lock(&sweep.jobs[job].tally);
                tally.reading += reading;
                tally.bytes += block.bytes as u64;
                drop(tally);
                if to_score.send(Filled { lane, job, block, buffer }).is_err() {
                    return; // The search is over.
                }
            }
            Err(error) => {
                lock(&sweep.jobs[job].tally).reading += reading;
                sweep.jobs[job].fail(error);
                give_back(&free.0, buffer);
            }
        }
    }
}

/// What a scorer does.
fn score(sweep: &Sweep, filled: &Receiver<Filled>, stopping: &Receiver<Infallible>, to_end: &Sender<Winner>) {
    loop {
        let began = sweep.clock.now();
        let Filled { lane, job, block, buffer } = select! {
            recv(filled) -> filled => match filled {
                Ok(filled) => filled,
                Err(_) => return, // No reader is left.
            },
            recv(stopping) -> _ => return,
        };
        add(&sweep.idle.scorers, sweep.since(began));
        let began = sweep.clock.now();
        let mut best = [None; MAX_CHALLENGES];
        let best = &mut best[..sweep.challenges.len()];
        let mut leaves = 0;
        for cells in block.cells(buffer.as_slice()).chunks(CELLS_AT_ONCE) {
            if sweep.stopped.load(Ordering::Relaxed) {
                break;
            }
            if !best.is_empty() {
                sweep.backend.score_best(&sweep.challenges, cells, block.first_row + leaves, best);
            }
            leaves += cells.len() as u64;
        }
        let now = sweep.clock.now();
        let mut tally = lock(&sweep.jobs[job].tally);
        tally.leaves += leaves;
        tally.scoring += now.saturating_duration_since(began);
        for (old, new) in tally.best.iter_mut().zip(&*best) {
            *old = better(*old, *new);
        }
        drop(tally);
        sweep.lanes[lane].scored(leaves, now);
        give_back(&sweep.lanes[lane].free.0, buffer);
        let wins = |best: &Best| sweep.target.is_some_and(|target| target.is_met_by(&best.score));
        if sweep.stop_at_first_winner && best.iter().flatten().any(wins) {
            // If it is full another was first.
            let _: Result<(), TrySendError<Winner>> = to_end.try_send(Winner);
        }
    }
}

fn better(one: Option<Best>, other: Option<Best>) -> Option<Best> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.beats(&one) { other } else { one }),
        (one, other) => one.or(other),
    }
}

fn give_back(free: &Sender<Buffer>, buffer: Buffer) {
    free.try_send(buffer).expect("the channel has room for every buffer there is");
}

fn add(nanoseconds: &AtomicU64, time: Duration) {
    nanoseconds.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}
