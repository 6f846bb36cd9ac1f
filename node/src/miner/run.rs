//! A miner at work: the machine, the clock, the plots and the node, on plain threads.

mod crew;
mod stop;

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use spacetime_prover::farm::Cancel;
use thiserror::Error;

use self::crew::{Alive, Crew, Queue, Workers};
pub use self::stop::Stop;
use super::farm::{Field, PlotInfo};
use super::io::{LinkError, MinerEffect, MinerInput, OpeningsOrder, ProofOrder, SweepId, SweepOrder};
use super::machine::{Miner, MinerOptions};
use super::pause::PauseFile;
use super::record::SigningRecord;
use super::window::WindowLine;
use super::work::{MinerProof, MinerSigned, PlotState, Work};
use crate::chain::{Address, BlockId, Hash, Transaction};

/// Things that happened and that the machine has not looked at: it is faster than all who report to it.
const MAX_INPUTS: usize = 1024;
/// How often the folders are looked at for new plots.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How soon a request to stop is seen while nothing happens.
const LOOK_FOR_STOP: Duration = Duration::from_millis(100);
/// How long threads have to end; one that a disk or a node holds up longer is left behind.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// How soon a node that went away is called again, at first and at most.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The way to a node. Calls block, for some seconds at most; several are made at once.
pub trait Link: Send + Sync {
    /// Hands on what the node says, beginning with [`Work::Chain`], until it falls silent or `stop` is set.
    ///
    /// # Errors
    /// Why the node fell silent.
    fn follow(&self, hear: &mut dyn FnMut(Work), stop: &Stop) -> Result<(), LinkError>;

    /// Called once, when the miner stops: whoever follows is to end. Other calls may take the time they take.
    fn hang_up(&self) {}

    /// Hands over a proof. The same once more is taken as well.
    ///
    /// # Errors
    /// If the node refuses it, or does not answer.
    fn submit_proof(&self, proof: &MinerProof) -> Result<(), LinkError>;

    /// Hands over a signature.
    ///
    /// # Errors
    /// If the node refuses it, or does not answer.
    fn submit_signature(&self, signed: &MinerSigned) -> Result<(), LinkError>;

    /// Asks what the chain knows of a plot.
    ///
    /// # Errors
    /// If the node does not answer.
    fn plot_state(&self, plot_key: &Hash) -> Result<PlotState, LinkError>;

    /// Asks for an account's next nonce, behind all that waits.
    ///
    /// # Errors
    /// If the node does not answer.
    fn next_nonce(&self, address: &Address) -> Result<u64, LinkError>;

    /// Hands over a transaction. The same once more is taken as well.
    ///
    /// # Errors
    /// If the node refuses it, or does not answer.
    fn send_transaction(&self, transaction: &Transaction) -> Result<(), LinkError>;
}

/// Who mines with what.
#[derive(Debug)]
pub struct RunOptions {
    /// Keys, payout, registration.
    pub miner: MinerOptions,
    /// Where plotters look whether they are to pause.
    pub pause_file: Option<PathBuf>,
}

/// Why a miner ended before it was asked to.
#[derive(Debug, Error)]
pub enum RunError {
    /// The node changed its mind.
    #[error("the node is on another chain now: its genesis is {found}, it was {expected}")]
    OtherChain {
        /// What it was.
        expected: BlockId,
        /// What it is.
        found: BlockId,
    },
    /// The system starts no more threads.
    #[error("cannot start a thread: {0}")]
    Spawn(#[source] std::io::Error),
    /// A thread has ended by a panic.
    #[error("the thread {0} of the miner has ended")]
    Thread(&'static str),
    /// Whoever listens says so.
    #[error("{0}")]
    Listener(String),
}

/// What a miner tells while it runs.
#[derive(Debug)]
pub enum News<'a> {
    /// How an epoch went.
    Window(&'a WindowLine),
    /// The node has said which chain it is on.
    Chain(&'a super::work::ChainWork),
    /// Something of the plots has changed.
    Plots(&'a [PlotStatus]),
}

/// A plot, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlotStatus {
    /// Where it is.
    pub name: String,
    /// Its id.
    pub plot_id: crate::chain::PlotId,
    /// Whose it is.
    pub miner_key: crate::chain::MinerKey,
    /// Its rows.
    pub rows: u64,
    /// How it stands on the chain, as far as is known.
    pub chain: Option<PlotState>,
    /// What went wrong last as it was to be brought to life.
    pub error: Option<String>,
}

/// Mines until `stop` is set. `tell` hears what there is to say; if it fails, that is the end as well.
///
/// # Errors
/// If the node changes to another chain, the listener fails, or a thread cannot be started or panics.
pub fn run<R: SigningRecord>(
    options: RunOptions,
    record: R,
    field: Arc<dyn Field>,
    link: Arc<dyn Link>,
    stop: &Stop,
    tell: impl FnMut(News<'_>) -> Result<(), String>,
) -> Result<(), RunError> {
    let (inputs, happened) = mpsc::sync_channel(MAX_INPUTS);
    let mut crew = Crew::new(inputs, stop.clone());
    let mut running = Running {
        sweeps: sweeper(&mut crew, &field)?,
        proofs: prover(&mut crew, &field)?,
        openings: opener(&mut crew, &field)?,
        submissions: submitter(&mut crew, &link)?,
        signatures: signer(&mut crew, &link)?,
        errands: errand_runner(&mut crew, &link)?,
        pause: options.pause_file.map(PauseFile::new),
        sweeping: None,
        tell,
        plots: Vec::new(),
        alive: crew.alive(),
    };
    crew.follow(Arc::clone(&link))?;
    crew.look(field)?;
    let miner = Miner::new(options.miner, record);
    let ended = running.go(miner, &happened, stop);
    // From here on threads find the stop set and nobody who listens.
    stop.set();
    if let Some((_, cancel)) = &running.sweeping {
        cancel.cancel();
    }
    drop((running, happened));
    link.hang_up();
    crew.dismiss(STOP_PATIENCE);
    ended
}

/// A small matter between the miner and the node.
enum Errand {
    Plot(Hash),
    Nonce(Address),
    Send(Hash, Box<Transaction>),
}

fn errand_done(link: &dyn Link, errand: Errand) -> MinerInput {
    match errand {
        Errand::Plot(plot_key) => MinerInput::PlotState { plot_key, result: link.plot_state(&plot_key) },
        Errand::Nonce(address) => MinerInput::Nonce { address, result: link.next_nonce(&address) },
        Errand::Send(plot_key, transaction) => {
            MinerInput::SendResult { plot_key, result: link.send_transaction(&transaction) }
        }
    }
}

fn sweeper(crew: &mut Crew, field: &Arc<dyn Field>) -> Result<Queue<(SweepOrder, Cancel)>, RunError> {
    let (field, inputs) = (Arc::clone(field), crew.inputs());
    let refuse = |(order, _): (SweepOrder, _), why| MinerInput::SweepDone { id: order.id, result: Err(why) };
    crew.workers(Workers { name: "sweeper", threads: 1, room: 1, refuse }, move |(order, cancel)| {
        let id = order.id;
        // Only the end of the machine makes it fail, and that calls the sweep off.
        let mut tell = |due_ms, report| drop(inputs.send(MinerInput::SweepDue { id, due_ms, report }));
        let result = field.sweep(&order, &cancel, &mut tell);
        MinerInput::SweepDone { id: order.id, result }
    })
}

/// A disk that keeps a proof waiting keeps no other disk's.
fn prover(crew: &mut Crew, field: &Arc<dyn Field>) -> Result<Queue<Box<ProofOrder>>, RunError> {
    let field = Arc::clone(field);
    let refuse = |order, why| MinerInput::ProofMade { order, result: Err(why) };
    crew.workers(Workers { name: "prover", threads: 4, room: 8, refuse }, move |order: Box<ProofOrder>| {
        let result = field.prove(&order).map(Box::new);
        MinerInput::ProofMade { order, result }
    })
}

fn opener(crew: &mut Crew, field: &Arc<dyn Field>) -> Result<Queue<OpeningsOrder>, RunError> {
    let field = Arc::clone(field);
    let refuse = |order, why| MinerInput::OpeningsMade { order, result: Err(why) };
    crew.workers(Workers { name: "opener", threads: 1, room: 8, refuse }, move |order: OpeningsOrder| {
        let result = field.open(&order);
        MinerInput::OpeningsMade { order, result }
    })
}

fn submitter(crew: &mut Crew, link: &Arc<dyn Link>) -> Result<Queue<Box<MinerProof>>, RunError> {
    fn done(proof: &MinerProof, result: Result<(), LinkError>) -> MinerInput {
        MinerInput::SubmitResult { epoch: proof.epoch, challenge: Hash(proof.proof.challenge), result }
    }
    let link = Arc::clone(link);
    let refuse = |proof: Box<MinerProof>, why| done(&proof, Err(LinkError::Unreachable(why)));
    crew.workers(Workers { name: "submitter", threads: 1, room: 16, refuse }, move |proof| {
        done(&proof, link.submit_proof(&proof))
    })
}

fn signer(crew: &mut Crew, link: &Arc<dyn Link>) -> Result<Queue<MinerSigned>, RunError> {
    fn done(&MinerSigned { epoch, miner_key, .. }: &MinerSigned, result: Result<(), LinkError>) -> MinerInput {
        MinerInput::SignResult { epoch, miner_key, result }
    }
    let link = Arc::clone(link);
    let refuse = |signed: MinerSigned, why| done(&signed, Err(LinkError::Unreachable(why)));
    crew.workers(Workers { name: "signer", threads: 1, room: 16, refuse }, move |signed| {
        done(&signed, link.submit_signature(&signed))
    })
}

fn errand_runner(crew: &mut Crew, link: &Arc<dyn Link>) -> Result<Queue<Errand>, RunError> {
    let link = Arc::clone(link);
    let refuse = |errand, why| {
        let why = LinkError::Unreachable(why);
        match errand {
            Errand::Plot(plot_key) => MinerInput::PlotState { plot_key, result: Err(why) },
            Errand::Nonce(address) => MinerInput::Nonce { address, result: Err(why) },
            Errand::Send(plot_key, _) => MinerInput::SendResult { plot_key, result: Err(why) },
        }
    };
    crew.workers(Workers { name: "errands", threads: 1, room: 64, refuse }, move |errand| errand_done(&*link, errand))
}

/// The clock, Unix milliseconds.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// Hands effects to whoever does them.
struct Running<T> {
    sweeps: Queue<(SweepOrder, Cancel)>,
    proofs: Queue<Box<ProofOrder>>,
    openings: Queue<OpeningsOrder>,
    submissions: Queue<Box<MinerProof>>,
    signatures: Queue<MinerSigned>,
    errands: Queue<Errand>,
    pause: Option<PauseFile>,
    sweeping: Option<(SweepId, Cancel)>,
    tell: T,
    /// What was told of plots last.
    plots: Vec<PlotStatus>,
    alive: Arc<Alive>,
}

impl<T: FnMut(News<'_>) -> Result<(), String>> Running<T> {
    fn go<R: SigningRecord>(
        &mut self,
        mut miner: Miner<R>,
        happened: &mpsc::Receiver<MinerInput>,
        stop: &Stop,
    ) -> Result<(), RunError> {
        while !stop.is_set() {
            let now = now_ms();
            let wakes = [miner.wake_ms(), self.pause.as_ref().and_then(PauseFile::wake_ms)];
            let wake = wakes.into_iter().flatten().min().map(|wake| Duration::from_millis(wake.saturating_sub(now)));
            let input = happened.recv_timeout(wake.unwrap_or(LOOK_FOR_STOP).min(LOOK_FOR_STOP));
            // That all who report are gone is seen by what has become of them.
            let input = input.unwrap_or(MinerInput::Tick);
            if let Some(name) = self.alive.panicked() {
                return Err(RunError::Thread(name));
            }
            let now = now_ms();
            if let MinerInput::Work(Work::Chain(chain)) = &input {
                (self.tell)(News::Chain(chain)).map_err(RunError::Listener)?;
            }
            let told_of_plots =
                matches!(input, MinerInput::Farm(_) | MinerInput::PlotState { .. } | MinerInput::Work(Work::Chain(_)));
            for effect in miner.handle(input, now) {
                self.act(effect, now)?;
            }
            if let Some(pause) = &mut self.pause {
                pause.tick(now);
            }
            if told_of_plots {
                self.tell_of_plots(&miner)?;
            }
        }
        Ok(())
    }

    fn act(&mut self, effect: MinerEffect, now: u64) -> Result<(), RunError> {
        match effect {
            MinerEffect::Sweep(order) => {
                let cancel = Cancel::new();
                self.sweeping = Some((order.id, cancel.clone()));
                self.sweeps.put((order, cancel))
            }
            MinerEffect::CancelSweep(id) => {
                if let Some((_, cancel)) = self.sweeping.as_ref().filter(|(of, _)| *of == id) {
                    cancel.cancel();
                }
                Ok(())
            }
            MinerEffect::Prove(order) => self.proofs.put(order),
            MinerEffect::Submit(proof) => self.submissions.put(proof),
            MinerEffect::Signed(signed) => self.signatures.put(signed),
            MinerEffect::QueryPlot { plot_key } => self.errands.put(Errand::Plot(plot_key)),
            MinerEffect::QueryNonce(address) => self.errands.put(Errand::Nonce(address)),
            MinerEffect::Send { plot_key, transaction } => self.errands.put(Errand::Send(plot_key, transaction)),
            MinerEffect::Open(order) => self.openings.put(order),
            MinerEffect::PausePlotting(pause) => {
                if let Some(file) = &mut self.pause {
                    file.set(pause, now);
                }
                Ok(())
            }
            MinerEffect::Window(line) => (self.tell)(News::Window(&line)).map_err(RunError::Listener),
            MinerEffect::OtherChain { expected, found } => Err(RunError::OtherChain { expected, found }),
        }
    }

    fn tell_of_plots<R: SigningRecord>(&mut self, miner: &Miner<R>) -> Result<(), RunError> {
        let status = |plot: super::machine::PlotView| {
            let PlotInfo { name, id, miner_key, rows, .. } = plot.info;
            PlotStatus { name, plot_id: id, miner_key, rows, chain: plot.state, error: plot.error }
        };
        let plots: Vec<_> = miner.plots().map(status).collect();
        if plots != self.plots {
            (self.tell)(News::Plots(&plots)).map_err(RunError::Listener)?;
            self.plots = plots;
        }
        Ok(())
    }
}
