//! The participant among real things: its own thread, the clock, threads that verify, and the network's queues.
//!
//! One thread holds the participant and handles what comes in, the urgent first; calls, which are few and bounded, go before
//! peers, so that no flood keeps an operator out. What is dear is verified on a second
//! one, in order, and on all cores. Whoever wants something of the participant hands in a closure: see [`Handle`].

mod clock;
mod last_tip;
mod link;
mod start;
mod wire;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot};

pub use clock::now_ms;
pub use link::LocalLink;
pub use start::{NodeOptions, RunningNode, StartError, StopError, Whereabouts};

use crate::chain::verify::Verifier;
use crate::miner::work::Work;
use crate::participant::{Effect, Input, Participant};
use crate::store::{Database, StoreError};
use crate::sync::HeaderBatch;

/// Calls that wait: each is somebody at the RPC, or a miner.
const MAX_CALLS: usize = 256;
/// Pieces of blocks and headers that wait to be verified: catching up keeps three of each in flight, gossip eight.
const MAX_JOBS: usize = 32;
/// Work that a miner may be behind before it has to be told anew: some minutes of it.
const MAX_WORK: usize = 256;
/// The clock is looked at this often at least: it may have been set.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// The participant has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the node has stopped")]
pub struct Stopped;

/// Why a participant has ended by itself.
#[derive(Debug, Error)]
pub enum EndError {
    /// Its store has failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing comes from the network any more: its task has ended, which is a fault of the program.
    #[error("the network has ended by itself, which is a fault of this program: the log says more")]
    Network,
    /// Nothing is verified any more, which is a fault of the program.
    #[error("the verifier has ended by itself, which is a fault of this program: the log says more")]
    Verifier,
}

type Call<D> = Box<dyn FnOnce(&mut Participant<D>, u64) + Send>;

/// By which anybody asks something of the participant.
#[derive(Debug)]
pub struct Handle<D> {
    calls: mpsc::Sender<Call<D>>,
    work: broadcast::Sender<Work>,
}

impl<D> Clone for Handle<D> {
    fn clone(&self) -> Self {
        Self { calls: self.calls.clone(), work: self.work.clone() }
    }
}

impl<D: Database> Handle<D> {
    /// Runs `call` on the participant's thread, with the clock in Unix milliseconds. What it leaves to be done is done.
    ///
    /// # Errors
    /// If the participant has stopped.
    pub async fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Participant<D>, u64) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let call: Call<D> = Box::new(move |participant, now_ms| drop(answer.send(call(participant, now_ms))));
        self.calls.send(call).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// As [`Handle::with`], for threads of their own.
    ///
    /// # Errors
    /// If the participant has stopped.
    ///
    /// # Panics
    /// If called from within an asynchronous task.
    pub fn with_blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Participant<D>, u64) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let call: Call<D> = Box::new(move |participant, now_ms| drop(answer.send(call(participant, now_ms))));
        self.calls.blocking_send(call).map_err(|_| Stopped)?;
        answered.blocking_recv().map_err(|_| Stopped)
    }

    /// What miners are told from now on. Whoever lags too far behind has to begin anew, with [`Participant::work`].
    #[must_use]
    pub fn subscribe_work(&self) -> broadcast::Receiver<Work> {
        self.work.subscribe()
    }
}

/// Where inputs come from and effects go to: the network, or a test.
pub trait Wire: Send + 'static {
    /// The next input, the urgent first. Nothing once there will be none any more: then the participant ends.
    fn next(&mut self) -> impl Future<Output = Option<Input>> + Send;

    /// Does what the participant wants done. Nothing is waited for but room in a queue that is always emptied.
    fn act(&mut self, effect: Effect) -> impl Future<Output = ()> + Send;
}

/// A participant that runs.
#[derive(Debug)]
pub struct Running<D> {
    handle: Handle<D>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<Result<Participant<D>, EndError>>>,
    ended: Option<oneshot::Receiver<()>>,
}

impl<D: Database + Send + Sync + 'static> Running<D> {
    /// Lets `participant` run among what `wire` brings.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub fn start(participant: Participant<D>, wire: impl Wire) -> std::io::Result<Self> {
        let (calls, called) = mpsc::channel(MAX_CALLS);
        let (work, _) = broadcast::channel(MAX_WORK);
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let handle = Handle { calls, work: work.clone() };
        let (jobs, verified) = start_verifier(participant.chain().verifier().clone())?;
        let inbox = Inbox { calls: called, verified, jobs, stopped };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("participant".into()).spawn(move || {
            let result = runtime.block_on(run(participant, wire, inbox, work));
            let _ = end.send(());
            result
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread), ended: Some(ended) })
    }

    /// By which to ask something of it.
    #[must_use]
    pub fn handle(&self) -> &Handle<D> {
        &self.handle
    }

    /// Waits until the participant stops by itself, which it does for an error alone. Again: never returns.
    pub async fn ended(&mut self) {
        match self.ended.take() {
            Some(ended) => drop(ended.await),
            None => std::future::pending().await,
        }
    }

    /// Stops the participant after what it is doing, and gives it back.
    ///
    /// # Errors
    /// If it had ended by itself.
    ///
    /// # Panics
    /// If the participant did.
    pub fn stop(mut self) -> Result<Participant<D>, EndError> {
        self.stop.take().map(|stop| stop.send(()));
        let thread = self.thread.take().expect("it is stopped once");
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// What is verified on another thread.
enum Job {
    Blocks(Vec<crate::manager::Candidate>),
    Headers(HeaderBatch),
}

fn verify(verifier: &Verifier, job: Job) -> Input {
    match job {
        Job::Blocks(candidates) => {
            let results = crate::manager::verify(verifier, &candidates);
            Input::BlocksVerified(candidates.into_iter().zip(results).collect())
        }
        Job::Headers(batch) => {
            let results = batch.verify(verifier);
            Input::HeadersVerified(batch, results)
        }
    }
}

/// Starts the thread that verifies, in order.
fn start_verifier(verifier: Arc<Verifier>) -> std::io::Result<(mpsc::Sender<Job>, mpsc::Receiver<Input>)> {
    let (jobs, mut unverified) = mpsc::channel(MAX_JOBS);
    let (to_participant, verified) = mpsc::channel(MAX_JOBS);
    thread::Builder::new().name("verifier".into()).spawn(move || {
        while let Some(job) = unverified.blocking_recv() {
            if to_participant.blocking_send(verify(&verifier, job)).is_err() {
                break;
            }
        }
    })?;
    Ok((jobs, verified))
}

/// What the participant's thread listens to beside the wire.
struct Inbox<D> {
    calls: mpsc::Receiver<Call<D>>,
    verified: mpsc::Receiver<Input>,
    jobs: mpsc::Sender<Job>,
    stopped: oneshot::Receiver<()>,
}

async fn run<D: Database>(
    mut participant: Participant<D>,
    mut wire: impl Wire,
    inbox: Inbox<D>,
    work: broadcast::Sender<Work>,
) -> Result<Participant<D>, EndError> {
    let Inbox { mut calls, mut verified, jobs, mut stopped } = inbox;
    // Jobs wait here where all of the verifier's queue is taken, so that neither thread waits for the other.
    let mut waiting = std::collections::VecDeque::new();
    loop {
        let now = now_ms();
        let sleep = Duration::from_millis(participant.wake_ms(now).saturating_sub(now)).min(MAX_SLEEP);
        let effects = tokio::select! {
            biased;
            _ = &mut stopped => return Ok(participant),
            input = verified.recv() => participant.handle(input.ok_or(EndError::Verifier)?, now_ms())?,
            Some(call) = calls.recv() => {
                call(&mut participant, now_ms());
                participant.handle(Input::Tick, now_ms())?
            }
            input = wire.next() => participant.handle(input.ok_or(EndError::Network)?, now_ms())?,
            () = tokio::time::sleep(sleep) => participant.handle(Input::Tick, now_ms())?,
        };
        for effect in effects {
            match effect {
                Effect::VerifyBlocks(candidates) => waiting.push_back(Job::Blocks(candidates)),
                Effect::VerifyHeaders(batch) => waiting.push_back(Job::Headers(batch)),
                // Nobody listens where nobody mines.
                Effect::Work(told) => drop(work.send(told)),
                effect => wire.act(effect).await,
            }
        }
        while let Some(job) = waiting.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(job)) = jobs.try_send(job) {
                waiting.push_front(job);
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests;
