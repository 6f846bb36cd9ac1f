//! Bulk scorers (GPUs) beside the CPU: each lives in a thread of its own, so
//! that one that hangs, panics or lies costs itself only.
//!
//! A scorer is used where it wins. The first blocks, and one now and then, are
//! scored by it and by a CPU thread as well; the two are compared in time and
//! in what they found. What it took to win or lose is remembered
//! ([`standing`]) for each number of challenges. A leaf that it reports for a
//! block of its own is scored again before it is believed. One that was wrong,
//! failed or panicked is not used any more.
//!
//! A scorer that computes on the very cores that the search's threads run on
//! (a software GPU) takes from them what it gains: better not to hand it in.

mod standing;
mod worker;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use spacetime_kernels::{Best, BulkError, BulkScorer, MAX_CHALLENGES, Score};
use thiserror::Error;

use crate::farm::lock;
pub(crate) use standing::{Standing, Use};
pub(crate) use worker::{Answer, Order, ReplyTo, Scored, Trial};

/// Most bulk scorers of a farm: more than a computer has slots for.
pub const MAX_SCORERS: usize = 16;

/// Bulk scorers at work, with what was learnt of them. Clones are one and the
/// same; their threads end with the last.
#[derive(Clone, Debug, Default)]
pub struct Scorers(Arc<[Arc<Scorer>]>);

/// Why scorers cannot be used.
#[derive(Debug, Error)]
pub enum ScorersError {
    /// Too many.
    #[error("{0} bulk scorers, allowed are {MAX_SCORERS}")]
    TooMany(usize),
    /// The system starts no more threads.
    #[error("cannot start a thread: {0}")]
    Spawn(#[source] io::Error),
}

impl Scorers {
    /// Gives each scorer a thread.
    ///
    /// # Errors
    /// If there are more than [`MAX_SCORERS`], or the system starts no more threads.
    pub fn start(scorers: Vec<Box<dyn BulkScorer>>) -> Result<Self, ScorersError> {
        if scorers.len() > MAX_SCORERS {
            return Err(ScorersError::TooMany(scorers.len()));
        }
        let started: Result<_, _> = scorers.into_iter().map(Scorer::start).collect();
        started.map(Self).map_err(ScorersError::Spawn)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Scorer>> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Why a bulk scorer did not score, or stopped doing so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Aside {
    /// No block came its way yet that both scored to the end.
    #[error("not compared with the CPU yet")]
    NotCompared,
    /// It is slower than a CPU thread. A larger block, or a later search, gives it another try.
    #[error("slower than a CPU thread: {bulk:?} for {cells} cells, not {cpu:?}")]
    Slow {
        /// Cells of the block.
        cells: usize,
        /// What it took.
        bulk: Duration,
        /// What one CPU thread took.
        cpu: Duration,
    },
    /// The deadline was too near for the CPU to take over what it would not finish.
    #[error("too little time before the deadline")]
    Deadline,
    /// It did not finish a block in time; the CPU scored that.
    #[error("no answer for {cells} cells after {waited:?}")]
    Late {
        /// Cells of the block.
        cells: usize,
        /// How long it was waited for.
        waited: Duration,
    },
    /// It is still at a block of another search, or hangs there.
    #[error("still at a block of another search")]
    Busy,
    /// It failed, and is not used any more.
    #[error(transparent)]
    Failed(BulkError),
    /// It panicked, and is not used any more.
    #[error("it panicked")]
    Panicked,
    /// It was wrong, and is not used any more. What else it scored by itself
    /// may hold better leaves than it said.
    #[error(transparent)]
    Wrong(Wrong),
}

/// The first difference between what a bulk scorer said and what is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Wrong {
    /// No leaf, where every block has one.
    #[error("no best leaf for challenge {challenge}")]
    NoLeaf {
        /// Which challenge.
        challenge: usize,
    },
    /// A leaf that was not in the block.
    #[error("its best leaf for challenge {challenge} is row {row} of a block from row {first_row} of {rows} rows")]
    Row {
        /// Which challenge.
        challenge: usize,
        /// The row it named.
        row: u64,
        /// First row of the block.
        first_row: u64,
        /// Rows of the block.
        rows: usize,
    },
    /// Another score than the leaf's.
    #[error("row {row} scores {} for challenge {challenge}, not {}", const_hex::encode(.score.0), const_hex::encode(.said.0))]
    Score {
        /// Which challenge.
        challenge: usize,
        /// Its row.
        row: u64,
        /// What it said.
        said: Score,
        /// What is so.
        score: Score,
    },
    /// A better leaf was in the block.
    #[error("row {} is better for challenge {challenge} than row {}", .best.row, .said.row)]
    Missed {
        /// Which challenge.
        challenge: usize,
        /// Its leaf.
        said: Best,
        /// The CPU's.
        best: Best,
    },
}

/// One bulk scorer, as the searches see it.
#[derive(Debug)]
pub(crate) struct Scorer {
    name: String,
    /// Whoever holds the claim sends one order at a time.
    orders: Sender<Order>,
    claimed: AtomicBool,
    standings: Mutex<[Standing; MAX_CHALLENGES + 1]>,
    out: OnceLock<Aside>,
}

/// The right to use a scorer: held by one search, and by what it ordered until that is done.
#[derive(Debug)]
pub(crate) struct Claim(Arc<Scorer>);

impl Claim {
    pub(crate) fn scorer(&self) -> &Scorer {
        &self.0
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.claimed.store(false, Ordering::Release);
    }
}

impl Scorer {
    fn start(scorer: Box<dyn BulkScorer>) -> io::Result<Arc<Self>> {
        let name = scorer.name();
        let (orders, received) = bounded(1);
        Builder::new().name("bulk-score".to_owned()).spawn(move || worker::work(scorer, &received))?;
        let (claimed, standings, out) = (AtomicBool::new(false), Mutex::default(), OnceLock::new());
        Ok(Arc::new(Self { name, orders, claimed, standings, out }))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `None` while another search uses it, or one that is over waits for it.
    pub(crate) fn claim(self: &Arc<Self>) -> Option<Arc<Claim>> {
        (!self.claimed.swap(true, Ordering::Acquire)).then(|| Arc::new(Claim(Arc::clone(self))))
    }

    /// Whether it took the order: not if its thread is gone.
    pub(crate) fn order(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok()
    }

    /// Why it is not used any more.
    pub(crate) fn out(&self) -> Option<&Aside> {
        self.out.get()
    }

    pub(crate) fn put_out(&self, why: Aside) {
        self.out.get_or_init(|| {
            tracing::warn!(scorer = %self.name, error = %why, "a bulk scorer is not used any more");
            why
        });
    }

    pub(crate) fn standing(&self, challenges: usize) -> Standing {
        lock(&self.standings)[challenges]
    }

    pub(crate) fn standings(&self) -> MutexGuard<'_, [Standing; MAX_CHALLENGES + 1]> {
        lock(&self.standings)
    }

    /// Why it has no share in a search for so many challenges, as far as is known.
    pub(crate) fn aside(&self, challenges: usize) -> Option<Aside> {
        if let Some(why) = self.out() {
            return Some(why.clone());
        }
        let standing = self.standing(challenges);
        if let Some(standing::Comparison { cells, bulk, cpu }) = standing.lost() {
            return Some(Aside::Slow { cells, bulk, cpu });
        }
        (!standing.is_known()).then_some(Aside::NotCompared)
    }
}
