//! The plan of one disk: which reads come next, and how much fits the deadline.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::farm::blocks::{Block, Blocks};
use crate::farm::buffer::Buffer;
use crate::farm::disks::Disk;
use crate::farm::lock;
use crate::farm::sample::{Random, windows};

/// Buffers beyond those being read into: one is scored and one waits, so that
/// reads go on meanwhile. Bounds memory to `queue depth + 2` blocks a disk, and
/// one more for each bulk scorer.
const SPARE_BUFFERS: usize = 2;

/// Blocks for each read in flight after which the rate is thought to be known.
const PROBE_BLOCKS_PER_READ: usize = 8;

/// What an adaptive search plans to use of the time left: rates vary.
const USED_OF_TIME_LEFT: f64 = 0.9;

/// Fewest rows worth a read of their own: a page.
const LEAST_ROWS: u64 = 128;

/// How much of its plots a lane reads.
#[derive(Clone, Debug)]
pub(crate) enum Pace {
    /// What was planned.
    Planned,
    /// As much as fits until then, judged by the rate so far or an earlier one.
    Until(Instant),
}

/// What the scorers finished of a lane.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// When the first read was done: a disk that has to spin up is not a slow one.
    began: Instant,
    last: Instant,
    cells: u64,
    blocks: usize,
}

/// Reads that are waited for.
#[derive(Debug, Default)]
struct Waiting {
    /// Readers that wait for the disk: for a permit, or for a read.
    readers: usize,
    /// Plots by their place in the sweep, one for each read in flight.
    reading: Vec<usize>,
    /// When the first of them began to wait, or a read was finished since.
    since: Option<Instant>,
    given_up: bool,
}

#[derive(Debug)]
struct Plan {
    /// Plots by their place in the sweep, each with the reads left.
    queue: VecDeque<(usize, Blocks)>,
    /// Until the pace is decided on.
    deciding: Option<(Instant, Random)>,
    progress: Option<Progress>,
}

/// One disk in one search: its plots are read one after another.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) disk: Arc<Disk>,
    pub(crate) free: (Sender<Buffer>, Receiver<Buffer>),
    probe_blocks: usize,
    plan: Mutex<Plan>,
    waiting: Mutex<Waiting>,
}

/// The plan of a plot was changed to so many rows.
pub(crate) type Replanned = Vec<(usize, u64)>;

impl Lane {
    pub(crate) fn new(
        disk: Arc<Disk>,
        queue: VecDeque<(usize, Blocks)>,
        pace: Pace,
        random: Random,
        queue_depth: usize,
        block_bytes: usize,
        bulk_scorers: usize,
    ) -> Self {
        let buffers = queue_depth + SPARE_BUFFERS + bulk_scorers;
        let free = bounded(buffers);
        for _ in 0..buffers {
            free.0.try_send(Buffer::new(block_bytes)).expect("the channel holds one for each");
        }
        let deciding = match pace {
            Pace::Planned => None,
            Pace::Until(deadline) => Some((deadline, random)),
        };
        let plan = Mutex::new(Plan { queue, deciding, progress: None });
        Self { disk, free, probe_blocks: PROBE_BLOCKS_PER_READ * queue_depth, plan, waiting: Mutex::default() }
    }

    /// Buffers that go round in it.
    pub(crate) fn buffers(&self) -> usize {
        self.free.0.capacity().expect("the channel was made bounded")
    }

    /// A buffer that went round is free again.
    pub(crate) fn give_back(&self, buffer: Buffer) {
        self.free.0.try_send(buffer).expect("the channel has room for every buffer there is");
    }

    /// The next read in ascending order, leaving out plots for which `failed`
    /// holds; and what was planned anew, if it was.
    pub(crate) fn next(
        &self,
        now: Instant,
        challenges: usize,
        failed: impl Fn(usize) -> bool,
    ) -> (Option<(usize, Block)>, Replanned) {
        let mut plan = lock(&self.plan);
        let replanned = self.decide(&mut plan, now, challenges);
        while let Some((plot, blocks)) = plan.queue.front_mut() {
            let plot = *plot;
            if let Some(block) = blocks.next().filter(|_| !failed(plot)) {
                return (Some((plot, block)), replanned);
            }
            plan.queue.pop_front();
        }
        (None, replanned)
    }

    /// A reader waits for the disk from now on.
    pub(crate) fn begin_waiting(&self, now: Instant) {
        let mut waiting = lock(&self.waiting);
        waiting.readers += 1;
        waiting.since.get_or_insert(now);
    }

    /// It waits for a read of a plot.
    pub(crate) fn begin_read(&self, plot: usize) {
        lock(&self.waiting).reading.push(plot);
    }

    /// It waits no longer: for a read of that plot if it got so far.
    pub(crate) fn end_waiting(&self, plot: Option<usize>, now: Instant) {
        let mut waiting = lock(&self.waiting);
        waiting.readers -= 1;
        if let Some(place) = plot.and_then(|plot| waiting.reading.iter().position(|reading| *reading == plot)) {
            waiting.reading.swap_remove(place);
        }
        waiting.since = (waiting.readers > 0).then_some(now);
    }

    /// Since when the disk has kept readers waiting and finished nothing; `None` if it keeps nobody waiting.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        let waiting = lock(&self.waiting);
        waiting.since.filter(|_| !waiting.given_up)
    }

    pub(crate) fn is_given_up(&self) -> bool {
        lock(&self.waiting).given_up
    }

    /// Nobody waits for the disk any more. Returns the plots of which something is missing.
    pub(crate) fn give_up(&self) -> BTreeSet<usize> {
        self.disk.give_up();
        let mut waiting = lock(&self.waiting);
        waiting.given_up = true;
        let queue = std::mem::take(&mut lock(&self.plan).queue);
        let unread = queue.into_iter().filter(|(_, blocks)| blocks.rows_left() > 0).map(|(plot, _)| plot);
        unread.chain(waiting.reading.iter().copied()).collect()
    }

    /// A block was read.
    pub(crate) fn was_read(&self, now: Instant) {
        lock(&self.plan).progress.get_or_insert(Progress { began: now, last: now, cells: 0, blocks: 0 });
    }

    /// A block was scored.
    pub(crate) fn scored(&self, cells: u64, now: Instant) {
        let mut plan = lock(&self.plan);
        let progress = plan.progress.as_mut().expect("a block is read before it is scored");
        progress.last = progress.last.max(now);
        progress.cells += cells;
        progress.blocks += 1;
    }

    /// Cells a second, once enough were scored to tell.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.rate_so_far(&lock(&self.plan))
    }

    fn rate_so_far(&self, plan: &Plan) -> Option<f64> {
        let Progress { began, last, cells, blocks } = plan.progress.filter(|now| now.blocks >= self.probe_blocks)?;
        // The first block was read before the time began to count.
        let cells = cells as f64 * (blocks - 1) as f64 / blocks as f64;
        let seconds = last.saturating_duration_since(began).as_secs_f64();
        (seconds > 0.0 && cells > 0.0).then(|| cells / seconds)
    }

    /// Once the rate is known, cuts what is left down to what fits, each plot
    /// in proportion to its rows. Leaves score independently of each other, so
    /// the rows read before are as good a part of a sample as any.
    fn decide(&self, plan: &mut Plan, now: Instant, challenges: usize) -> Replanned {
        let Some((deadline, _)) = plan.deciding else { return Vec::new() };
        let rate = match self.disk.rate(challenges) {
            Some(rate) => Some(rate),
            None => self.rate_so_far(plan),
        };
        let Some(rate) = rate else { return Vec::new() };
        let (_, mut random) = plan.deciding.take().expect("it was there a moment ago");
        let seconds_left = deadline.saturating_duration_since(now).as_secs_f64();
        let fitting = (rate * seconds_left * USED_OF_TIME_LEFT) as u64;
        let left: u64 = plan.queue.iter().map(|(_, blocks)| blocks.rows_left()).sum();
        if fitting >= left {
            return Vec::new();
        }
        let mut replanned = Vec::new();
        for (plot, blocks) in &mut plan.queue {
            let Some(range) = blocks.range_left() else { continue };
            let rows = range.end - range.start;
            let share = (u128::from(fitting) * u128::from(rows) / u128::from(left)) as u64;
            let share = share.max(LEAST_ROWS).min(rows);
            replanned.push((*plot, rows - share));
            blocks.replace(windows(&range, share, &mut random));
        }
        replanned
    }
}
