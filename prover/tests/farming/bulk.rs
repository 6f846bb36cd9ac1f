//! Bulk scorers that are none: the CPU, with faults of its own choosing.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use spacetime_kernels::{Best, BulkError, BulkScorer, Cell, Challenge, score};
use spacetime_prover::farm::{Scorers, SystemDisks};
use spacetime_prover::{Farm, FarmOptions, SearchOptions, SearchReport};

use crate::farming::{COLUMN, HandClock, LONG, PORTABLE, challenges};

/// What a fake does wrong.
#[derive(Clone, Debug)]
pub enum Habit {
    Honest,
    Fails,
    Panics,
    /// Its score for the last challenge is another.
    LiesAboutScore,
    /// Its row for the last challenge is the next one.
    LiesAboutRow,
    /// Its row for the last challenge lies before the block.
    LeavesTheBlock,
    FindsNothing,
    /// The second best leaf is its best for the last challenge.
    MissesTheBest,
    /// Says that it is there, then waits until the second channel is closed.
    Hangs(Sender<()>, Receiver<()>),
}

impl Habit {
    /// One that hangs: the first channel tells when it does, the second ends that when dropped.
    pub fn hangs() -> (Self, Receiver<()>, Sender<()>) {
        let ((began, told), (release, released)) = (bounded(100), bounded(0));
        (Self::Hangs(began, released), told, release)
    }
}

/// What the test knows of a fake, and may change.
#[derive(Debug)]
pub struct Knobs {
    habit: Habit,
    /// Blocks that it scores well before it takes up its habit.
    honest_blocks: usize,
    /// Nanoseconds that a block takes it.
    takes: AtomicU64,
    /// The same for blocks below 64 cells.
    takes_small: AtomicU64,
    /// Cells of each block that it was given.
    blocks: Mutex<Vec<usize>>,
}

impl Knobs {
    pub fn new(habit: Habit, honest_blocks: usize) -> Arc<Self> {
        let (takes, takes_small, blocks) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::default());
        Arc::new(Self { habit, honest_blocks, takes, takes_small, blocks })
    }

    pub fn set_takes(&self, small: Duration, others: Duration) {
        self.takes_small.store(small.as_nanos() as u64, Ordering::Relaxed);
        self.takes.store(others.as_nanos() as u64, Ordering::Relaxed);
    }

    pub fn blocks(&self) -> Vec<usize> {
        self.blocks.lock().expect("no test panics with this lock").clone()
    }
}

#[derive(Debug)]
struct Fake(Arc<Knobs>);

impl BulkScorer for Fake {
    fn name(&self) -> String {
        "fake:0".to_owned()
    }

    fn score_best(
        &mut self,
        challenges: &[Challenge],
        strip: &[Cell],
        first_row: u64,
        best: &mut [Option<Best>],
    ) -> Result<(), BulkError> {
        let knobs = &self.0;
        let mut blocks = knobs.blocks.lock().expect("no test panics with this lock");
        blocks.push(strip.len());
        let honest = blocks.len() <= knobs.honest_blocks;
        drop(blocks);
        let takes = if strip.len() < 64 { &knobs.takes_small } else { &knobs.takes };
        HandClock::work(Duration::from_nanos(takes.load(Ordering::Relaxed)));
        PORTABLE.score_best(challenges, strip, first_row, best);
        let last = best.last_mut().expect("a challenge");
        match &knobs.habit {
            _ if honest => {}
            Habit::Honest => {}
            Habit::Fails => return Err(lost()),
            Habit::Panics => panic!("as the test asks"),
            Habit::LiesAboutScore => last.as_mut().expect("a leaf").score.0[31] ^= 1,
            Habit::LiesAboutRow => {
                let row = &mut last.as_mut().expect("a leaf").row;
                *row = first_row + (*row + 1 - first_row) % strip.len() as u64;
            }
            Habit::LeavesTheBlock => last.as_mut().expect("a leaf").row = first_row.wrapping_sub(1),
            Habit::FindsNothing => *last = None,
            Habit::MissesTheBest => *last = second_best(challenges.last().expect("a challenge"), strip, first_row),
            Habit::Hangs(began, released) => {
                began.send(()).expect("the test listens");
                released.recv().expect_err("nothing is sent");
            }
        }
        Ok(())
    }
}

fn second_best(challenge: &Challenge, strip: &[Cell], first_row: u64) -> Option<Best> {
    let mut leaves: Vec<_> = strip.iter().zip(first_row..).map(|(cell, row)| (score(challenge, cell), row)).collect();
    leaves.sort_unstable();
    leaves.get(1).or(leaves.first()).map(|&(score, row)| Best { row, score })
}

pub fn lost() -> BulkError {
    BulkError::Lost { name: "fake:0".to_owned(), reason: "unplugged".to_owned() }
}

/// Fakes with these knobs.
pub fn boxed(knobs: &[&Arc<Knobs>]) -> Vec<Box<dyn BulkScorer>> {
    knobs.iter().map(|&knobs| Box::new(Fake(Arc::clone(knobs))) as _).collect()
}

/// The same, started.
pub fn scorers(knobs: &[&Arc<Knobs>]) -> Scorers {
    Scorers::start(boxed(knobs)).expect("a few threads")
}

/// A farm that reads a page at a time, with one fake.
pub fn farm_with_fake(folder: &Path, clock: &Arc<HandClock>, knobs: &Arc<Knobs>) -> Farm {
    let options = FarmOptions {
        queue_depth: 1,
        block_bytes: 4096,
        stall_limit: LONG,
        disks: Arc::new(SystemDisks),
        clock: Arc::clone(clock) as _,
        scorers: scorers(&[knobs]),
    };
    Farm::open([folder], options).expect("good options")
}

/// Whether two reports say the same of every plot.
pub fn check_same(one: &SearchReport, other: &SearchReport) -> Result<(), String> {
    if (one.ended, one.plots.len()) != (other.ended, other.plots.len()) {
        return Err(format!("{:?} after {} plots", one.ended, one.plots.len()));
    }
    for (one, other) in one.plots.iter().zip(&other.plots) {
        if (one.planned, one.leaves, one.bytes) != (other.planned, other.leaves, other.bytes) {
            return Err(format!("{} of {} leaves, not {} of {}", one.leaves, one.planned, other.leaves, other.planned));
        }
        if one.best != other.best || one.missed.is_some() != other.missed.is_some() {
            return Err(format!("best is {:?}, not {:?}", one.best, other.best));
        }
    }
    Ok(())
}

/// Searches again and again, as which blocks a bulk scorer gets is up to the
/// threads, until `enough` of a report; each is handed to `check`.
pub fn search_until(
    farm: &Farm,
    options: &SearchOptions,
    check: impl Fn(&SearchReport),
    enough: impl Fn(&SearchReport) -> bool,
) -> SearchReport {
    for _ in 0..10_000 {
        let report = farm.search(COLUMN, &challenges(2), None, None, options).expect("a search");
        check(&report);
        if enough(&report) {
            return report;
        }
    }
    panic!("10000 searches are not enough");
}
