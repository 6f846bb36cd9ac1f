//! The threads of a miner: each does one kind of thing and reports to the machine.

use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{LOOK_EVERY, Link, RECONNECT, RunError, Stop};
use crate::miner::farm::{FarmView, Field};
use crate::miner::io::MinerInput;

/// Threads, and where they report to.
pub(super) struct Crew {
    inputs: SyncSender<MinerInput>,
    stop: Stop,
    alive: Arc<Alive>,
}

/// How many threads run.
#[derive(Debug, Default)]
pub(super) struct Alive {
    count: Mutex<usize>,
    changed: Condvar,
    panicked: OnceLock<&'static str>,
}

impl Alive {
    /// A thread that has ended by a panic.
    pub(super) fn panicked(&self) -> Option<&'static str> {
        self.panicked.get().copied()
    }
}

/// Ends with its thread, however that ends.
struct OneOf(Arc<Alive>, &'static str);

impl Drop for OneOf {
    fn drop(&mut self) {
        if thread::panicking() {
            // The first is what is told.
            let _ = self.0.panicked.set(self.1);
        }
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.changed.notify_all();
    }
}

/// What waits for threads that do one kind of job.
pub(super) struct Queue<J> {
    name: &'static str,
    jobs: SyncSender<J>,
    inputs: SyncSender<MinerInput>,
    refuse: fn(J, String) -> MinerInput,
}

/// Threads that do one kind of job, each job by one of them.
pub(super) struct Workers<J> {
    pub(super) name: &'static str,
    /// How many there are: as many may hang before nothing is done any more.
    pub(super) threads: usize,
    /// Jobs that may wait.
    pub(super) room: usize,
    /// What is reported of a job for which there is no room.
    pub(super) refuse: fn(J, String) -> MinerInput,
}

impl<J> Queue<J> {
    /// Hands a job to the threads. One for which there is no room is reported as one that failed.
    ///
    /// # Errors
    /// If the threads are gone.
    pub(super) fn put(&self, job: J) -> Result<(), RunError> {
        match self.jobs.try_send(job) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(RunError::Thread(self.name)),
            Err(TrySendError::Full(job)) => {
                tracing::error!(thread = self.name, "more to do than there is room for");
                // The machine puts jobs itself, so it cannot wait until there is room for what it is told.
                let refused = (self.refuse)(job, format!("the miner's {} is overloaded", self.name));
                if self.inputs.try_send(refused).is_err() {
                    tracing::error!(thread = self.name, "a job is lost");
                }
                Ok(())
            }
        }
    }
}

impl Crew {
    pub(super) fn new(inputs: SyncSender<MinerInput>, stop: Stop) -> Self {
        Self { inputs, stop, alive: Arc::default() }
    }

    /// Where threads report to before they are done.
    pub(super) fn inputs(&self) -> SyncSender<MinerInput> {
        self.inputs.clone()
    }

    pub(super) fn alive(&self) -> Arc<Alive> {
        Arc::clone(&self.alive)
    }

    /// Threads that do one job after the other, each reported.
    pub(super) fn workers<J: Send + 'static>(
        &mut self,
        workers: Workers<J>,
        work: impl Fn(J) -> MinerInput + Send + Sync + 'static,
    ) -> Result<Queue<J>, RunError> {
        let Workers { name, threads, room, refuse } = workers;
        let (jobs, waiting) = mpsc::sync_channel(room);
        let shared = Arc::new((Mutex::new(waiting), work));
        for _ in 0..threads {
            let (inputs, stop, shared) = (self.inputs.clone(), self.stop.clone(), Arc::clone(&shared));
            self.spawn(name, move || {
                let (waiting, work) = &*shared;
                // Whoever waits holds the lock; whoever works does not.
                let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(job) = next() {
                    // The queue ends with the machine, which may put a job while it is told to stop.
                    if !stop.is_set() && inputs.send(work(job)).is_err() {
                        return;
                    }
                }
            })?;
        }
        Ok(Queue { name, jobs, inputs: self.inputs.clone(), refuse })
    }

    /// The thread that hears what the node says.
    pub(super) fn follow(&mut self, link: Arc<dyn Link>) -> Result<(), RunError> {
        let (inputs, stop) = (self.inputs.clone(), self.stop.clone());
        self.spawn("follower", move || {
            let (mut wait, mut told) = (RECONNECT.0, false);
            while !stop.is_set() {
                let mut heard = false;
                let ended = link.follow(
                    &mut |work| {
                        heard = true;
                        // Only the end of the machine makes it fail, and that is seen at once.
                        let _ = inputs.send(MinerInput::Work(work));
                    },
                    &stop,
                );
                if stop.is_set() || inputs.send(MinerInput::Disconnected).is_err() {
                    return;
                }
                wait = if heard { RECONNECT.0 } else { (wait * 2).min(RECONNECT.1) };
                match ended {
                    Ok(()) => tracing::warn!("the node ended the connection"),
                    // Once until it is there again.
                    Err(error) if heard || !std::mem::replace(&mut told, true) => {
                        tracing::warn!(%error, "the node is out of reach");
                    }
                    Err(error) => tracing::debug!(%error, "the node is out of reach"),
                }
                told &= !heard;
                if stop.wait(wait) {
                    return;
                }
            }
        })
    }

    /// The thread that looks for plots that come and go.
    pub(super) fn look(&mut self, field: Arc<dyn Field>) -> Result<(), RunError> {
        let (inputs, stop) = (self.inputs.clone(), self.stop.clone());
        self.spawn("looker", move || {
            let mut before: Option<FarmView> = None;
            loop {
                let view = field.look();
                if before.as_ref() != Some(&view) {
                    before = Some(view.clone());
                    if inputs.send(MinerInput::Farm(view)).is_err() {
                        return;
                    }
                }
                if stop.wait(LOOK_EVERY) {
                    return;
                }
            }
        })
    }

    fn spawn(&mut self, name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<(), RunError> {
        *self.alive.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let one = OneOf(Arc::clone(&self.alive), name);
        let builder = thread::Builder::new().name(format!("miner-{name}"));
        let body = move || {
            let _one = one;
            work();
        };
        builder.spawn(body).map(drop).map_err(RunError::Spawn)
    }

    /// Waits for all threads to end, for as long at most.
    pub(super) fn dismiss(self, patience: Duration) {
        let Self { inputs, alive, .. } = self;
        drop(inputs);
        let until = Instant::now() + patience;
        let count = alive.count.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, _) = alive
            .changed
            .wait_timeout_while(count, until.saturating_duration_since(Instant::now()), |count| *count > 0)
            .unwrap_or_else(PoisonError::into_inner);
        if *count > 0 {
            tracing::warn!(threads = *count, "some threads of the miner are held up and are left behind");
        }
    }
}
