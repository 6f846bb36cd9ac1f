//! The miner on threads, by the real clock, with a node played in memory.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use spacetime_node::builder::Payout;
use spacetime_node::chain::{Address, BlockId, Hash, Height, Opening, Transaction};
use spacetime_node::miner::farm::{FarmView, Field, SweepReport};
use spacetime_node::miner::io::{LinkError, OpeningsOrder, ProofOrder, SweepOrder};
use spacetime_node::miner::record::MemoryRecord;
use spacetime_node::miner::window::{Outcome, WindowLine};
use spacetime_node::miner::work::{
    ChainWork, EpochChallenge, EpochWork, GroupWork, MinerProof, MinerSigned, PlotState, ResultWork, Work,
};
use spacetime_node::miner::{Link, MinerOptions, News, Registration, RunError, RunOptions, Stop, run};
use spacetime_node::testing::MemoryField;
use spacetime_prover::Proof;
use spacetime_prover::farm::Cancel;

use crate::world::{EASY, chain, challenge, column, parameters, plot, secret};

/// Longer than any stall of a busy machine: nothing here waits for its end.
const EPOCH_MS: u64 = 120_000;
/// Nothing here takes as long, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// What a node has said and heard.
#[derive(Default)]
struct Heard {
    to_say: VecDeque<Work>,
    hang_up: bool,
    follows: usize,
    proofs: Vec<MinerProof>,
    signed: Vec<MinerSigned>,
    sent: Vec<Transaction>,
    queries: usize,
    lines: Vec<WindowLine>,
}

#[derive(Default)]
struct Node {
    heard: Mutex<Heard>,
    changed: Condvar,
    /// Calls of the miner go unanswered for as long.
    slow: Duration,
}

impl Node {
    fn change<T>(&self, change: impl FnOnce(&mut Heard) -> T) -> T {
        let result = change(&mut self.heard.lock().unwrap());
        self.changed.notify_all();
        result
    }

    fn say(&self, work: Work) {
        self.change(|heard| heard.to_say.push_back(work));
    }

    fn wait<T>(&self, what: &str, mut look: impl FnMut(&mut Heard) -> Option<T>) -> T {
        let (mut heard, until) = (self.heard.lock().unwrap(), Instant::now() + PATIENCE);
        loop {
            if let Some(found) = look(&mut heard) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}");
            heard = self.changed.wait_timeout(heard, left).unwrap().0;
        }
    }
}

impl Link for Node {
    fn follow(&self, hear: &mut dyn FnMut(Work), stop: &Stop) -> Result<(), LinkError> {
        self.change(|heard| heard.follows += 1);
        while !stop.is_set() {
            let heard = self.heard.lock().unwrap();
            let wait = Duration::from_millis(20);
            let idle = |heard: &mut Heard| heard.to_say.is_empty() && !heard.hang_up;
            let (mut heard, _) = self.changed.wait_timeout_while(heard, wait, idle).unwrap();
            if std::mem::take(&mut heard.hang_up) {
                return Err(LinkError::Unreachable("hung up".into()));
            }
            let next = heard.to_say.pop_front();
            drop(heard);
            next.into_iter().for_each(&mut *hear);
        }
        Ok(())
    }

    fn submit_proof(&self, proof: &MinerProof) -> Result<(), LinkError> {
        thread::sleep(self.slow);
        self.change(|heard| heard.proofs.push(proof.clone()));
        Ok(())
    }

    fn submit_signature(&self, signed: &MinerSigned) -> Result<(), LinkError> {
        self.change(|heard| heard.signed.push(*signed));
        Ok(())
    }

    fn plot_state(&self, _: &Hash) -> Result<PlotState, LinkError> {
        self.change(|heard| heard.queries += 1);
        Ok(PlotState::Active { mature_from: Height(1), until: None, mix: None })
    }

    fn next_nonce(&self, _: &Address) -> Result<u64, LinkError> {
        Ok(0)
    }

    fn send_transaction(&self, transaction: &Transaction) -> Result<(), LinkError> {
        self.change(|heard| heard.sent.push(transaction.clone()));
        Ok(())
    }
}

/// A miner that runs, and is told to stop when this is dropped.
struct Mining {
    node: Arc<Node>,
    stop: Stop,
    thread: Option<thread::JoinHandle<Result<(), RunError>>>,
    began_ms: u64,
}

impl Mining {
    fn begin(field: impl Field + 'static, pause_file: Option<&Path>) -> Self {
        Self::with(Arc::new(Node::default()), field, pause_file, |_| Ok(()))
    }

    fn with(
        node: Arc<Node>,
        field: impl Field + 'static,
        pause_file: Option<&Path>,
        mut listen: impl FnMut(&News<'_>) -> Result<(), String> + Send + 'static,
    ) -> Self {
        let stop = Stop::new();
        let miner = MinerOptions {
            keys: vec![secret(1)],
            payout: Payout::all_to(Address([1; 20])),
            registration: Registration::Off,
        };
        let options = RunOptions { miner, pause_file: pause_file.map(Path::to_owned) };
        let (link, teller, watch) = (Arc::clone(&node), Arc::clone(&node), stop.clone());
        let thread = thread::spawn(move || {
            run(options, MemoryRecord::default(), Arc::new(field), link, &watch, |news| {
                if let News::Window(line) = &news {
                    teller.change(|heard| heard.lines.push((*line).clone()));
                }
                listen(&news)
            })
        });
        Self { node, stop, thread: Some(thread), began_ms: now_ms() }
    }

    fn chain(&self) -> ChainWork {
        ChainWork {
            genesis_time_ms: self.began_ms,
            epoch_ms: EPOCH_MS,
            window_ms: EPOCH_MS * 9 / 10,
            ..chain(now_ms())
        }
    }

    /// Chain, group 0 and epoch 0.
    fn say_all(&self) {
        let start_ms = |epoch: u64| self.began_ms + epoch * EPOCH_MS;
        let known = |epoch| EpochChallenge {
            epoch: spacetime_node::chain::Epoch(epoch),
            challenge: challenge(0, epoch),
            start_ms: start_ms(epoch),
        };
        self.node.say(Work::Chain(self.chain()));
        let challenges = (0..4).map(known).collect();
        self.node.say(Work::Group(GroupWork { group: 0, column: column(0, 0), challenges, target: EASY }));
        self.say_epoch(0);
    }

    /// Epoch 0 on one of several branches.
    fn say_epoch(&self, branch: u8) {
        self.node.say(Work::Epoch(EpochWork {
            epoch: spacetime_node::chain::Epoch(0),
            challenge: challenge(branch, 0),
            column: column(branch, 0),
            target: EASY,
            parent: BlockId([0; 32]),
            height: Height(1),
            closes_ms: self.began_ms + EPOCH_MS * 9 / 10,
            time_ms: now_ms(),
        }));
    }

    fn end(&mut self) -> Result<(), RunError> {
        self.thread.take().expect("once").join().expect("no panic")
    }
}

impl Drop for Mining {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn memory() -> MemoryField {
    MemoryField::new(&parameters(), vec![plot(1, 1), plot(1, 2)])
}

#[test]
fn from_a_group_to_a_signature_and_a_line() {
    let mut mining = Mining::begin(memory(), None);
    mining.say_all();
    let proof = mining.node.wait("a proof", |heard| heard.proofs.first().cloned());
    assert_eq!(proof.payout, Payout::all_to(Address([1; 20])));
    mining.node.say(Work::Result(ResultWork {
        epoch: proof.epoch,
        best: None,
        block: Some((BlockId([1; 32]), secret(3).public_key().to_bytes())),
    }));
    let line = mining.node.wait("a line", |heard| heard.lines.first().cloned());
    assert_eq!((line.epoch, line.result, line.plots), (proof.epoch, Outcome::Lost, 2));
    mining.stop.set();
    mining.end().expect("it was asked to");
}

#[test]
fn a_node_that_hangs_up_is_called_again() {
    let mining = Mining::begin(memory(), None);
    mining.node.wait("a first call", |heard| (heard.follows == 1).then_some(()));
    mining.node.change(|heard| heard.hang_up = true);
    mining.node.wait("a second call", |heard| (heard.follows == 2).then_some(()));
    mining.say_all();
    mining.node.wait("a proof", |heard| heard.proofs.first().cloned());
}

#[test]
fn another_chain_is_the_end() {
    let mut mining = Mining::begin(memory(), None);
    mining.node.say(Work::Chain(mining.chain()));
    mining.node.say(Work::Chain(ChainWork { genesis: BlockId([1; 32]), ..mining.chain() }));
    let error = mining.end().expect_err("another chain");
    assert!(matches!(error, RunError::OtherChain { .. }), "{error}");
}

/// Plots that do something of their own, told the call's name, before they answer.
struct Acting(MemoryField, Box<dyn Fn(&str) + Send + Sync>);

impl Acting {
    fn new(act: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(memory(), Box::new(act))
    }
}

impl std::fmt::Debug for Acting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Field for Acting {
    fn look(&self) -> FarmView {
        (self.1)("look");
        self.0.look()
    }

    fn sweep(
        &self,
        order: &SweepOrder,
        stop: &Cancel,
        tell: &mut dyn FnMut(u64, SweepReport),
    ) -> Result<SweepReport, String> {
        (self.1)("sweep");
        self.0.sweep(order, stop, tell)
    }

    fn prove(&self, order: &ProofOrder) -> Result<Proof, String> {
        (self.1)("prove");
        self.0.prove(order)
    }

    fn open(&self, order: &OpeningsOrder) -> Result<Vec<Opening>, String> {
        (self.1)("open");
        self.0.open(order)
    }
}

#[test]
fn a_disk_that_hangs_does_not_keep_it_from_stopping() {
    let stuck = Stop::new();
    let disk = stuck.clone();
    let reached = Arc::new((Mutex::new(false), Condvar::new()));
    let reach = Arc::clone(&reached);
    let field = Acting::new(move |call| {
        if call == "sweep" {
            *reach.0.lock().unwrap() = true;
            reach.1.notify_all();
            while !disk.wait(PATIENCE) {}
        }
    });
    let mut mining = Mining::begin(field, None);
    mining.say_all();
    let swept = reached.0.lock().unwrap();
    let (swept, _) = reached.1.wait_timeout_while(swept, PATIENCE, |swept| !*swept).unwrap();
    assert!(*swept);
    let began = Instant::now();
    mining.stop.set();
    mining.end().expect("it was asked to");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    stuck.set();
}

#[test]
fn a_proof_that_hangs_holds_up_no_other() {
    let ((began, begins), stuck) = (mpsc::channel(), Stop::new());
    let (began, disk) = (Mutex::new(Some(began)), stuck.clone());
    let field = Acting::new(move |call| {
        let first = began.lock().unwrap().take_if(|_| call == "prove");
        if let Some(began) = first {
            began.send(()).unwrap();
            while !disk.wait(PATIENCE) {}
        }
    });
    let mining = Mining::begin(field, None);
    mining.say_all();
    begins.recv_timeout(PATIENCE).expect("a proof begins");
    // The chain moves to another challenge, whose leaf lies on a disk that answers.
    mining.say_epoch(1);
    let proof = mining.node.wait("a proof", |heard| heard.proofs.first().cloned());
    assert_eq!(proof.proof.challenge, challenge(1, 0).0);
    stuck.set();
}

#[test]
fn a_thread_that_panics_ends_the_miner() {
    for at in ["sweep", "look"] {
        let mut mining = Mining::begin(Acting::new(move |call| assert_ne!(call, at, "a test panics")), None);
        mining.say_all();
        let error = mining.end().expect_err("it panicked");
        assert!(matches!(error, RunError::Thread(_)), "{error}");
    }
}

#[test]
fn a_listener_that_fails_ends_the_miner() {
    let node = Arc::new(Node::default());
    let listen = |news: &News<'_>| match news {
        News::Chain(_) => Err("the address is of another chain".to_owned()),
        _ => Ok(()),
    };
    let mut mining = Mining::with(node, memory(), None, listen);
    mining.node.say(Work::Chain(mining.chain()));
    assert_eq!(mining.end().expect_err("it failed").to_string(), "the address is of another chain");
}

#[test]
fn plotting_pauses_while_a_sweep_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pause");
    let (seen, file) = (Arc::new(Mutex::new(Vec::new())), path.clone());
    let (saw, appeared) = (Arc::clone(&seen), path.clone());
    let field = Acting::new(move |call| {
        if call == "sweep" {
            // The file is written by another thread, beside the sweep.
            let until = Instant::now() + PATIENCE;
            while !file.exists() && Instant::now() < until {
                thread::yield_now();
            }
            saw.lock().unwrap().push(std::fs::read_to_string(&file).unwrap_or_default());
        }
    });
    let mut mining = Mining::begin(field, Some(&path));
    mining.say_all();
    mining.node.wait("a proof", |heard| heard.proofs.first().cloned());
    assert!(seen.lock().unwrap()[0].starts_with("until "), "{seen:?}");
    mining.stop.set();
    mining.end().expect("it was asked to");
    assert!(!appeared.exists());
}
