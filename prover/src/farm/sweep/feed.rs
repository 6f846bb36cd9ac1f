//! The thread that gives a bulk scorer blocks to score, and sees to it that none is lost.

use std::convert::Infallible;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::farm::lock;
use crate::farm::scorers::{Answer, Aside, Claim, Order, ReplyTo, Scorer, Standing, Trial, Use};
use crate::farm::sweep::{Filled, Sweep, Winner};

/// Feeds one bulk scorer. It never waits for the scorer longer than patience
/// lasts while a block is at stake.
pub(super) struct Feeder {
    pub(super) sweep: Arc<Sweep>,
    /// Which of the sweep's scorers.
    pub(super) at: usize,
    pub(super) claim: Arc<Claim>,
    pub(super) filled: Receiver<Filled>,
    pub(super) to_cpu: Sender<Filled>,
    pub(super) to_end: Sender<Winner>,
    pub(super) stopping: Receiver<Infallible>,
    /// Closed when the last reader is gone.
    pub(super) reading: Receiver<Infallible>,
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feeding {
    GoesOn,
    Ends,
}

impl Feeder {
    /// Feeds it until there are no more blocks, or none that it is to have.
    pub(super) fn run(self) {
        while self.standing().has_use_for_any(self.sweep.most_cells) {
            let filled = select! {
                recv(self.filled) -> filled => filled,
                recv(self.stopping) -> _ => return,
            };
            let Ok(filled) = filled else { return };
            if self.feed(filled) == Feeding::Ends {
                return;
            }
        }
    }

    fn feed(&self, filled: Filled) -> Feeding {
        let (standing, cells) = (self.standing(), filled.block.rows);
        let used = standing.use_for(cells);
        if used == Use::Cpu {
            self.hand_on(filled);
            return Feeding::GoesOn;
        }
        let left = self.sweep.deadline.map(|at| at.saturating_duration_since(self.sweep.clock.now()));
        if left.is_some_and(|left| left < standing.least_time_left(cells)) {
            self.hand_on(filled);
            self.step_aside(Some(Aside::Deadline));
            return Feeding::Ends;
        }
        if used == Use::Both { self.compare(filled) } else { self.leave_to_it(filled, &standing) }
    }

    /// Has both the CPU and the scorer score a block. Nobody has to wait for the scorer.
    fn compare(&self, mut filled: Filled) -> Feeding {
        let (to_over, over) = bounded(0);
        let trial = Arc::new(Trial::new(self.sweep.challenges.len(), filled.block.rows, &self.claim, to_over));
        let ordered = self.order(&filled, ReplyTo::Trial(Arc::clone(&trial)));
        filled.trial = Some(trial);
        self.hand_on(filled);
        if !ordered {
            return Feeding::Ends;
        }
        select! {
            recv(over) -> _ => self.unless_out(),
            recv(self.reading) -> _ => Feeding::Ends,
            recv(self.stopping) -> _ => Feeding::Ends,
        }
    }

    /// Has the scorer alone score a block; the CPU takes over if that takes too long.
    fn leave_to_it(&self, filled: Filled, standing: &Standing) -> Feeding {
        let cells = filled.block.rows;
        let waited = standing.patience(cells);
        let alarm = self.sweep.clock.alarm(self.sweep.clock.now() + waited);
        let (to, answers) = bounded(1);
        if !self.order(&filled, ReplyTo::Search(to)) {
            self.hand_on(filled);
            return Feeding::Ends;
        }
        select! {
            recv(answers) -> answer => return self.take(filled, answer.unwrap_or(Err(Aside::Panicked))),
            recv(alarm) -> _ => self.hand_on(filled),
            recv(self.stopping) -> _ => return Feeding::Ends,
        }
        self.scorer().standings()[self.sweep.challenges.len()].scored(cells, waited);
        self.step_aside(Some(Aside::Late { cells, waited }));
        select! {
            recv(answers) -> _ => self.step_aside(None),
            recv(self.reading) -> _ => return Feeding::Ends,
            recv(self.stopping) -> _ => return Feeding::Ends,
        }
        self.unless_out()
    }

    fn take(&self, filled: Filled, answer: Answer) -> Feeding {
        let Ok(scored) = answer else {
            self.hand_on(filled);
            return Feeding::Ends;
        };
        let cells = filled.block.rows;
        self.scorer().standings()[self.sweep.challenges.len()].scored(cells, scored.took);
        let mut share = lock(&self.sweep.shares[self.at].tally);
        share.leaves += cells as u64;
        share.scoring += scored.took;
        drop(share);
        self.sweep.settle(filled, cells as u64, &scored, &self.to_end);
        Feeding::GoesOn
    }

    fn order(&self, filled: &Filled, reply_to: ReplyTo) -> bool {
        self.scorer().order(Order {
            clock: Arc::clone(&self.sweep.clock),
            challenges: Arc::clone(&self.sweep.challenges),
            block: filled.block,
            buffer: Arc::clone(&filled.buffer),
            reply_to,
            claim: Arc::clone(&self.claim),
        })
    }

    fn hand_on(&self, filled: Filled) {
        // There is room for every buffer there is; if nobody listens the search is over.
        drop(self.to_cpu.send(filled));
    }

    fn step_aside(&self, why: Option<Aside>) {
        lock(&self.sweep.shares[self.at].tally).aside = why;
    }

    fn unless_out(&self) -> Feeding {
        if self.scorer().out().is_some() { Feeding::Ends } else { Feeding::GoesOn }
    }

    fn scorer(&self) -> &Scorer {
        self.claim.scorer()
    }

    fn standing(&self) -> Standing {
        self.scorer().standing(self.sweep.challenges.len())
    }
}
