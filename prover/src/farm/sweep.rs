//! One search at work: readers for each disk, scorers for all.
//!
//! Each disk has a few buffers. A reader takes a free one, reads the next block
//! of its disk's [`Lane`] into it and hands it to the scorers, which give it
//! back. Readers are threads of their own: when the search is over, or its disk
//! is given up, one that hangs in a read is left behind, holding its permit, and
//! nobody waits for it.
//!
//! Scorers are the CPU's threads and, for each bulk scorer, a thread that feeds
//! it: it takes blocks from the same channel and hands on to the CPU what the
//! bulk scorer is not to have, or does not finish in time.

mod crew;
mod feed;
mod read;
mod score;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TrySendError, never, select};
use spacetime_kernels::{Backend, Best, Challenge, MAX_CHALLENGES, Target};

use crate::farm::blocks::Block;
use crate::farm::buffer::Buffer;
use crate::farm::call::Hangs;
use crate::farm::cancel::Cancel;
use crate::farm::clock::Clock;
use crate::farm::disks::Disks;
use crate::farm::lane::Lane;
use crate::farm::lock;
use crate::farm::plot::FarmPlot;
use crate::farm::report::Ended;
use crate::farm::scorers::{Aside, Scored, Scorer, Trial};
use crate::farm::sweep::crew::Crew;
use crate::plot::PlotError;

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

/// A bulk scorer in a sweep.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) scorer: Arc<Scorer>,
    pub(crate) tally: Mutex<ShareTally>,
}

/// What a bulk scorer did in a search so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShareTally {
    pub(crate) leaves: u64,
    pub(crate) scoring: Duration,
    pub(crate) aside: Option<Aside>,
}

impl Share {
    pub(crate) fn new(scorer: &Arc<Scorer>) -> Self {
        Self { scorer: Arc::clone(scorer), tally: Mutex::default() }
    }
}

/// All that the threads of a search share.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// None: the cells are read only.
    pub(crate) challenges: Arc<[Challenge]>,
    pub(crate) target: Option<Target>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) stop_at_first_winner: bool,
    /// How long a disk may keep readers waiting.
    pub(crate) hangs: Hangs,
    pub(crate) backend: Backend,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disks: Arc<dyn Disks>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) lanes: Vec<Lane>,
    /// One for each bulk scorer; none if cells are read only.
    pub(crate) shares: Vec<Share>,
    /// Cells of the largest block there can be.
    pub(crate) most_cells: usize,
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
    /// A bulk scorer that is given up may hold it still.
    buffer: Arc<Buffer>,
    /// Hears what the CPU makes of it.
    trial: Option<Arc<Trial>>,
}

/// A leaf below the target was found.
struct Winner;

/// Runs `sweep` until its end, the deadline, a winner or `cancel`, and says which it was. On the way it calls back at
/// each of the moments, with its place among them.
///
/// # Errors
/// If a thread cannot be started.
///
/// # Panics
/// If a thread of it does.
pub(crate) fn run(
    sweep: &Arc<Sweep>,
    cancel: &Cancel,
    queue_depth: usize,
    threads: usize,
    looks: (&[Instant], &mut dyn FnMut(usize)),
) -> io::Result<Ended> {
    let alarm = sweep.deadline.map_or_else(never, |deadline| sweep.clock.alarm(deadline));
    if cancel.is_cancelled() {
        return Ok(Ended::Cancelled);
    }
    if sweep.is_late() {
        return Ok(Ended::Deadline);
    }
    let crew = Crew::start(sweep, queue_depth, threads)?;
    let (moments, tell) = looks;
    let mut moments = moments.iter().enumerate().peekable();
    let ended = loop {
        let due = moments.peek().map_or_else(never, |(_, at)| sweep.clock.alarm(**at));
        let next_look = sweep.clock.alarm(sweep.next_stall());
        select! {
            recv(crew.ending) -> event => break if event.is_ok() { Ended::FirstWinner } else { Ended::Swept },
            recv(alarm) -> _ => break Ended::Deadline,
            recv(cancel.closed()) -> _ => break Ended::Cancelled,
            recv(next_look) -> _ => crew.give_up_what_stalls(),
            recv(due) -> _ => moments.next().into_iter().for_each(|(place, _)| tell(place)),
        }
    };
    crew.dismiss(ended);
    Ok(ended)
}

impl Sweep {
    /// Whether all that was planned was scored, except where reading failed.
    pub(crate) fn is_complete(&self) -> bool {
        let complete = |tally: &Tally| tally.leaves == tally.planned || tally.error.is_some();
        self.jobs.iter().all(|job| complete(&lock(&job.tally)))
    }

    /// When the next disk is to be given up, if it finishes nothing until then.
    fn next_stall(&self) -> Instant {
        let now = self.clock.now();
        let since = self.lanes.iter().filter_map(Lane::waiting_since).min();
        // One that keeps nobody waiting may do so from now on.
        since.map_or(now, |since| since.min(now)) + self.hangs.limit
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

    /// Takes in what was found in a block, and gives its buffer back.
    fn settle(&self, filled: Filled, leaves: u64, scored: &Scored, to_end: &Sender<Winner>) {
        let Filled { lane, job, buffer, .. } = filled;
        let best = &scored.best[..self.challenges.len()];
        let mut tally = lock(&self.jobs[job].tally);
        tally.leaves += leaves;
        tally.scoring += scored.took;
        for (old, new) in tally.best.iter_mut().zip(best) {
            *old = better(*old, *new);
        }
        drop(tally);
        self.lanes[lane].scored(leaves, self.clock.now());
        self.lanes[lane].give_back(Arc::try_unwrap(buffer).unwrap_or_else(|held| Buffer::new(held.as_slice().len())));
        let wins = |best: &Best| self.target.is_some_and(|target| target.is_met_by(&best.score));
        if self.stop_at_first_winner && best.iter().flatten().any(wins) {
            // If it is full another was first.
            let _: Result<(), TrySendError<Winner>> = to_end.try_send(Winner);
        }
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

fn better(one: Option<Best>, other: Option<Best>) -> Option<Best> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.beats(&one) { other } else { one }),
        (one, other) => one.or(other),
    }
}

fn add(nanoseconds: &AtomicU64, time: Duration) {
    nanoseconds.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}
