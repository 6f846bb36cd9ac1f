//! What a CPU thread that scores does.

use std::convert::Infallible;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender, never, select_biased};
use spacetime_kernels::MAX_CHALLENGES;

use crate::farm::scorers::Scored;
use crate::farm::sweep::{Filled, Sweep, Winner, add};

/// Cells scored between two looks at whether to stop: a millisecond or two for eight challenges.
const CELLS_AT_ONCE: usize = 4096;

/// Where blocks come from.
#[derive(Clone)]
pub(super) struct Inbox {
    /// From bulk scorers, which are done with them or do not take them.
    pub(super) handed_on: Receiver<Filled>,
    /// From readers; bulk scorers take from it too.
    pub(super) filled: Receiver<Filled>,
    pub(super) stopping: Receiver<Infallible>,
    /// How many of the two are not closed yet.
    pub(super) open: usize,
}

impl Inbox {
    /// The next block; `None` if there are no more.
    fn next(&mut self) -> Option<Filled> {
        while self.open > 0 {
            let closed = select_biased! {
                recv(self.stopping) -> _ => return None,
                recv(self.handed_on) -> filled => match filled {
                    Ok(filled) => return Some(filled),
                    Err(_) => &mut self.handed_on,
                },
                recv(self.filled) -> filled => match filled {
                    Ok(filled) => return Some(filled),
                    Err(_) => &mut self.filled,
                },
            };
            *closed = never();
            self.open -= 1;
        }
        None
    }
}

/// Scores blocks until there are no more.
pub(super) fn score(sweep: &Sweep, mut inbox: Inbox, to_end: &Sender<Winner>) {
    loop {
        let began = sweep.clock.now();
        let Some(mut filled) = inbox.next() else { return };
        add(&sweep.idle.scorers, sweep.since(began));
        let began = sweep.clock.now();
        let mut best = [None; MAX_CHALLENGES];
        let of_each = &mut best[..sweep.challenges.len()];
        let mut leaves = 0;
        for cells in filled.block.cells(filled.buffer.as_slice()).chunks(CELLS_AT_ONCE) {
            if sweep.stopped.load(Ordering::Relaxed) {
                break;
            }
            if !of_each.is_empty() {
                sweep.backend.score_best(&sweep.challenges, cells, filled.block.first_row + leaves, of_each);
            }
            leaves += cells.len() as u64;
        }
        let scored = Scored { best, took: sweep.since(began) };
        if let Some(trial) = filled.trial.take().filter(|_| leaves == filled.block.rows as u64) {
            trial.cpu_scored(scored);
        }
        sweep.settle(filled, leaves, &scored, to_end);
    }
}
