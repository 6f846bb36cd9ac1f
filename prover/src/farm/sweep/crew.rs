//! Starting the threads of a search and letting them go.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::farm::call::Hangs;
use crate::farm::lane::Lane;
use crate::farm::lock;
use crate::farm::report::Ended;
use crate::farm::scorers::Aside;
use crate::farm::sweep::feed::Feeder;
use crate::farm::sweep::read::read;
use crate::farm::sweep::score::{Inbox, score};
use crate::farm::sweep::{Filled, Share, Sweep, Winner};

/// The threads of a search; they are told to stop when it is dropped.
pub(super) struct Crew<'a> {
    sweep: &'a Sweep,
    stop: Option<Sender<Infallible>>,
    /// Gets a message from a winner, and is closed by the last that scores.
    pub(super) ending: Receiver<Winner>,
    /// With the lane of each.
    readers: Vec<(usize, JoinHandle<()>)>,
    /// One for each lane.
    outlets: Vec<Weak<Outlet>>,
    scorers: Vec<JoinHandle<()>>,
}

/// A lane's way to the scorers: closed by its last reader, or when its disk is given up.
pub(super) type Outlet = Mutex<Option<(Sender<Filled>, Sender<Infallible>)>>;

/// What the threads work with: once they run they alone hold these ends, and a
/// channel closes with the last of them.
struct Ends {
    to_score: Sender<Filled>,
    to_cpu: Sender<Filled>,
    inbox: Inbox,
    /// What readers hold as long as they are there.
    reads: Sender<Infallible>,
    reading: Receiver<Infallible>,
    to_end: Sender<Winner>,
}

impl<'a> Crew<'a> {
    pub(super) fn start(sweep: &'a Arc<Sweep>, queue_depth: usize, threads: usize) -> io::Result<Self> {
        let buffers = sweep.lanes.iter().map(Lane::buffers).sum();
        // Both have room for every buffer there is, so that nobody ever waits to send.
        let ((to_score, filled), (to_cpu, handed_on)) = (bounded(buffers), bounded(buffers));
        let ((stop, stopping), (reads, reading)) = (bounded(0), bounded(0));
        let (to_end, ending) = bounded(1);
        let inbox = Inbox { handed_on, filled, stopping, open: 2 };
        let ends = Ends { to_score, to_cpu, inbox, reads, reading, to_end };
        let (readers, outlets) = (Vec::new(), Vec::new());
        let mut crew = Crew { sweep, stop: Some(stop), ending, readers, outlets, scorers: Vec::new() };
        for lane in 0..sweep.lanes.len() {
            let outlet = Arc::new(Mutex::new(Some((ends.to_score.clone(), ends.reads.clone()))));
            crew.outlets.push(Arc::downgrade(&outlet));
            for _ in 0..queue_depth {
                crew.readers.push((lane, ends.start_reader(sweep, lane, &outlet)?));
            }
        }
        for at in 0..sweep.shares.len() {
            crew.scorers.extend(ends.start_feeder(sweep, at)?);
        }
        for _ in 0..threads {
            crew.scorers.push(ends.start_scorer(sweep)?);
        }
        Ok(crew)
    }

    /// Fails what is left of the lanes whose disks have kept their readers waiting for too long.
    pub(super) fn give_up_what_stalls(&self) {
        let Hangs { limit } = self.sweep.hangs;
        for (lane, outlet) in self.sweep.lanes.iter().zip(&self.outlets) {
            if lane.waiting_since().is_some_and(|since| self.sweep.since(since) >= limit) {
                for job in lane.give_up() {
                    self.sweep.jobs[job].fail(self.sweep.hangs.into());
                }
                outlet.upgrade().and_then(|outlet| lock(&outlet).take());
            }
        }
    }

    /// Waits for the scorers, whose steps are short, and for readers only if all have read to the end.
    pub(super) fn dismiss(mut self, ended: Ended) {
        self.stop();
        let awaited = |lane: usize| ended == Ended::Swept && !self.sweep.lanes[lane].is_given_up();
        let readers = std::mem::take(&mut self.readers).into_iter().filter(|(lane, _)| awaited(*lane));
        for thread in std::mem::take(&mut self.scorers).into_iter().chain(readers.map(|(_, reader)| reader)) {
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

impl Ends {
    fn start_reader(&self, sweep: &Arc<Sweep>, lane: usize, outlet: &Arc<Outlet>) -> io::Result<JoinHandle<()>> {
        let (sweep, outlet, stopping) = (Arc::clone(sweep), Arc::clone(outlet), self.inbox.stopping.clone());
        Builder::new().name("farm-read".to_owned()).spawn(move || read(&sweep, lane, &outlet, &stopping))
    }

    fn start_scorer(&self, sweep: &Arc<Sweep>) -> io::Result<JoinHandle<()>> {
        let (sweep, inbox, to_end) = (Arc::clone(sweep), self.inbox.clone(), self.to_end.clone());
        Builder::new().name("farm-score".to_owned()).spawn(move || score(&sweep, inbox, &to_end))
    }

    /// `None` if there is nothing for the bulk scorer to do.
    fn start_feeder(&self, sweep: &Arc<Sweep>, at: usize) -> io::Result<Option<JoinHandle<()>>> {
        let Share { scorer, tally } = &sweep.shares[at];
        scorer.standings()[sweep.challenges.len()].begin_search();
        if scorer.out().is_some() || !scorer.standing(sweep.challenges.len()).has_use_for_any(sweep.most_cells) {
            return Ok(None);
        }
        let Some(claim) = scorer.claim() else {
            lock(tally).aside = Some(Aside::Busy);
            return Ok(None);
        };
        let feeder = Feeder {
            sweep: Arc::clone(sweep),
            at,
            claim,
            filled: self.inbox.filled.clone(),
            to_cpu: self.to_cpu.clone(),
            to_end: self.to_end.clone(),
            stopping: self.inbox.stopping.clone(),
            reading: self.reading.clone(),
        };
        Builder::new().name("farm-feed".to_owned()).spawn(move || feeder.run()).map(Some)
    }
}
