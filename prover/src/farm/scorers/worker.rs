//! The thread in which a bulk scorer lives, and what it is given and gives back.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use spacetime_kernels::{Best, BulkScorer, Cell, Challenge, MAX_CHALLENGES, score};

use crate::farm::blocks::Block;
use crate::farm::buffer::Buffer;
use crate::farm::clock::Clock;
use crate::farm::lock;
use crate::farm::scorers::standing::Comparison;
use crate::farm::scorers::{Aside, Claim, Wrong};

/// A block to score. It owns all it needs, as a search does not wait for it for ever.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) challenges: Arc<[Challenge]>,
    pub(crate) block: Block,
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) reply_to: ReplyTo,
    pub(crate) claim: Arc<Claim>,
}

/// Who hears of it.
#[derive(Debug)]
pub(crate) enum ReplyTo {
    /// Nobody else scores this block.
    Search(Sender<Answer>),
    /// The CPU scores it too.
    Trial(Arc<Trial>),
}

/// What became of an order.
pub(crate) type Answer = Result<Scored, Aside>;

/// A block that was scored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scored {
    pub(crate) best: [Option<Best>; MAX_CHALLENGES],
    pub(crate) took: Duration,
}

/// Does what is ordered until nobody can order any more, or it goes wrong.
pub(crate) fn work(mut scorer: Box<dyn BulkScorer>, orders: &Receiver<Order>) {
    for order in orders {
        // Of a scorer that panicked nothing more is used.
        let outcome = catch_unwind(AssertUnwindSafe(|| order.carry_out(&mut *scorer)));
        let answer = outcome.unwrap_or(Err(Aside::Panicked));
        let failed = answer.is_err();
        let Order { reply_to, claim, buffer, .. } = order;
        if let Err(why) = &answer {
            claim.scorer().put_out(why.clone());
        }
        // Whoever hears of it finds the buffer free, and the scorer too.
        drop(buffer);
        drop(claim);
        match reply_to {
            // If nobody listens the search is over.
            ReplyTo::Search(to) => drop(to.send(answer)),
            ReplyTo::Trial(trial) => drop(answer.map(|scored| trial.bulk_scored(scored))),
        }
        if failed {
            return;
        }
    }
}

impl Order {
    fn carry_out(&self, scorer: &mut dyn BulkScorer) -> Answer {
        let Block { first_row, .. } = self.block;
        let cells = self.block.cells(self.buffer.as_slice());
        let mut best = [None; MAX_CHALLENGES];
        let of_each = &mut best[..self.challenges.len()];
        let began = self.clock.now();
        scorer.score_best(&self.challenges, cells, first_row, of_each).map_err(Aside::Failed)?;
        let took = self.clock.now().saturating_duration_since(began);
        for (at, (challenge, best)) in self.challenges.iter().zip(of_each).enumerate() {
            check(at, challenge, cells, first_row, *best).map_err(Aside::Wrong)?;
        }
        Ok(Scored { best, took })
    }
}

/// Whether `best` names a leaf of the block and its true score: one hash. That
/// no other is better this does not tell.
fn check(challenge: usize, asked: &Challenge, cells: &[Cell], first_row: u64, best: Option<Best>) -> Result<(), Wrong> {
    let Some(Best { row, score: said }) = best else { return Err(Wrong::NoLeaf { challenge }) };
    let at = row.checked_sub(first_row).and_then(|at| usize::try_from(at).ok());
    let Some(cell) = at.and_then(|at| cells.get(at)) else {
        return Err(Wrong::Row { challenge, row, first_row, rows: cells.len() });
    };
    let score = score(asked, cell);
    if score == said { Ok(()) } else { Err(Wrong::Score { challenge, row, said, score }) }
}

/// A block that a CPU thread and a bulk scorer both score. Whoever is second
/// compares, be the search over or not.
#[derive(Debug)]
pub(crate) struct Trial {
    challenges: usize,
    cells: usize,
    /// What the CPU made of it and what the scorer did.
    halves: Mutex<(Option<Scored>, Option<Scored>)>,
    /// Before `over`, so that whoever sees the trial end finds the scorer free.
    claim: Arc<Claim>,
    /// Nothing is ever sent: that it is gone is the message.
    _over: Sender<Infallible>,
}

impl Trial {
    pub(crate) fn new(challenges: usize, cells: usize, claim: &Arc<Claim>, over: Sender<Infallible>) -> Self {
        Self { challenges, cells, halves: Mutex::default(), claim: Arc::clone(claim), _over: over }
    }

    pub(crate) fn cpu_scored(&self, scored: Scored) {
        let mut halves = lock(&self.halves);
        halves.0 = Some(scored);
        self.compare(*halves);
    }

    fn bulk_scored(&self, scored: Scored) {
        let mut halves = lock(&self.halves);
        halves.1 = Some(scored);
        self.compare(*halves);
    }

    fn compare(&self, halves: (Option<Scored>, Option<Scored>)) {
        let (Some(cpu), Some(bulk)) = halves else { return };
        let scorer = self.claim.scorer();
        for (challenge, (best, said)) in cpu.best.into_iter().zip(bulk.best).enumerate() {
            if let (Some(best), Some(said)) = (best, said)
                && best != said
            {
                return scorer.put_out(Aside::Wrong(Wrong::Missed { challenge, said, best }));
            }
        }
        let comparison = Comparison { cells: self.cells, bulk: bulk.took, cpu: cpu.took };
        let (cells, challenges) = (self.cells, self.challenges);
        let standing = &mut scorer.standings()[challenges];
        let lost_before = standing.lost().is_some();
        standing.compared(comparison);
        if let Some(Comparison { bulk, cpu, .. }) = standing.lost().filter(|_| !lost_before) {
            tracing::info!(scorer = %scorer.name(), challenges, cells, ?bulk, ?cpu, "a bulk scorer steps aside");
        }
    }
}
