//! One participant with its disk, its clock and, if it has plots, its miner.

use std::collections::VecDeque;
use std::sync::Arc;

use spacetime_node::builder::Payout;
use spacetime_node::chain::{Address, bls};
use spacetime_node::consensus::Specification;
use spacetime_node::manager::{self, ChainManager};
use spacetime_node::mempool::Limits;
use spacetime_node::miner::farm::Field;
use spacetime_node::miner::io::LinkError;
use spacetime_node::miner::record::MemoryRecord;
use spacetime_node::miner::window::WindowLine;
use spacetime_node::miner::work::Work;
use spacetime_node::miner::{Miner, MinerEffect, MinerInput, MinerOptions, Registration};
use spacetime_node::network::PeerId;
use spacetime_node::network::address::PeerAddress;
use spacetime_node::network::book::Book;
use spacetime_node::network::message::Tip;
use spacetime_node::network::peers::{PeerOptions, Peers};
use spacetime_node::participant::{Effect, Input, Options, Participant};
use spacetime_node::store::{MemoryDatabase, Store};
use spacetime_node::sync::{Sync, SyncOptions};
use spacetime_node::testing::{Fabric, MemoryField, Random, Setup};

/// What a world is made of.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The chain. Its miners stand one each at the first participants.
    pub(crate) chain: Setup,
    /// Participants, at least as many as miners.
    pub(crate) members: usize,
    /// How many others each knows at first.
    pub(crate) seeds: usize,
    /// Clocks differ from the true time by as much at most, milliseconds.
    pub(crate) skew_ms: u64,
}

/// What a miner has that a restart does not take.
struct Tools {
    secret: bls::SecretKey,
    payout: Address,
    field: MemoryField,
    record: MemoryRecord,
}

/// A participant.
pub(crate) struct Member {
    pub(crate) peer: PeerId,
    pub(crate) address: String,
    /// How many times it was started.
    pub(crate) life: u64,
    /// Lines that its miner has left.
    pub(crate) lines: Vec<WindowLine>,
    specification: Arc<Specification>,
    seeds: Vec<PeerAddress>,
    skew_ms: i64,
    seed: [u8; 32],
    database: Arc<MemoryDatabase>,
    book: Option<Book>,
    participant: Option<Participant<MemoryDatabase>>,
    tools: Option<Tools>,
    miner: Option<Miner<MemoryRecord>>,
    work: VecDeque<Work>,
    wake_ms: Option<u64>,
}

impl Setting {
    pub(crate) fn start_ms(&self) -> u64 {
        Fabric::new(&self.chain).specification.genesis.time_ms
    }

    pub(crate) fn members(&self, random: &mut Random) -> Vec<Member> {
        let fabric = Fabric::new(&self.chain);
        let specification = Arc::new(fabric.specification.clone());
        let peer = |place: usize| PeerId([place as u8 + 1; 32]);
        // Everybody is in a network of its own.
        let address = |place: usize| format!("/ip4/{}.{}.7.7/tcp/4000", 20 + place / 200, 1 + place % 200);
        let mut miners = fabric.miners.into_iter();
        (0..self.members)
            .map(|place| {
                let tools = miners.next().map(|miner| Tools {
                    payout: miner.wallet.address,
                    field: MemoryField::new(&self.chain.parameters, miner.plots),
                    record: MemoryRecord::default(),
                    secret: miner.secret,
                });
                // A ring, so that all are of one piece, and others by chance.
                let mut known = vec![(place + 1) % self.members];
                known.extend((1..self.seeds).map(|_| random.below(self.members as u64) as usize));
                known.retain(|other| *other != place);
                known.sort_unstable();
                known.dedup();
                let seeds =
                    known.into_iter().map(|other| PeerAddress::parse(&address(other)).expect("it is an address"));
                Member {
                    peer: peer(place),
                    address: address(place),
                    life: 0,
                    lines: Vec::new(),
                    specification: specification.clone(),
                    seeds: seeds.collect(),
                    skew_ms: random.below(2 * self.skew_ms + 1) as i64 - self.skew_ms as i64,
                    seed: random.bytes(),
                    database: Arc::new(MemoryDatabase::new()),
                    book: None,
                    participant: None,
                    tools,
                    miner: None,
                    work: VecDeque::new(),
                    wake_ms: None,
                }
            })
            .collect()
    }
}

impl Member {
    pub(crate) fn is_up(&self) -> bool {
        self.participant.is_some()
    }

    pub(crate) fn participant(&self) -> &Participant<MemoryDatabase> {
        self.participant.as_ref().expect("it is up")
    }

    pub(crate) fn participant_mut(&mut self) -> &mut Participant<MemoryDatabase> {
        self.participant.as_mut().expect("it is up")
    }

    pub(crate) fn tip(&self) -> Tip {
        Tip::from(self.participant().chain().tip())
    }

    /// Where it stands, for people.
    pub(crate) fn state(&self) -> String {
        let (tip, participant) = (self.tip(), self.participant());
        let peers: Vec<_> = participant.peers().ready().map(|(peer, _)| peer.0[0] - 1).collect();
        let (address, progress) = (&self.address, participant.sync().progress());
        format!("{address} height {} {} peers {peers:?} {progress:?}", tip.height, tip.id)
    }

    pub(crate) fn store(&self) -> &Store<MemoryDatabase> {
        self.participant().chain().store()
    }

    /// What its clock shows.
    pub(crate) fn clock(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.skew_ms)
    }

    pub(crate) fn start(&mut self, now_ms: u64) {
        let now_ms = self.clock(now_ms);
        self.life += 1;
        self.wake_ms = Some(now_ms);
        let chain = ChainManager::open(
            self.specification.clone(),
            self.database.clone(),
            self.seed,
            manager::Options::default(),
        )
        .expect("the chain opens, whatever happened before");
        let options = PeerOptions { seeds: self.seeds.clone(), ..PeerOptions::new(self.peer, chain.genesis().id) };
        let book = self.book.take().unwrap_or_else(|| Book::new(self.seed, false));
        let peers = Peers::new(options, book, Tip::from(chain.tip()), self.seed, now_ms);
        let sync = Sync::new(SyncOptions::default());
        let options =
            Options { software: "simulation".into(), mine_alone: false, pool: Limits::new(chain.parameters().fees) };
        let participant = Participant::new(options, chain, peers, sync);
        if let Some(Tools { secret, payout, record, .. }) = &self.tools {
            let options = MinerOptions {
                keys: vec![secret.clone()],
                payout: Payout::all_to(*payout),
                registration: Registration::Unpaid,
            };
            self.miner = Some(Miner::new(options, record.clone()));
            self.work = participant.work(now_ms).into();
        }
        self.participant = Some(participant);
        if let (Some(miner), Some(tools)) = (&mut self.miner, &self.tools) {
            let effects = miner.handle(MinerInput::Farm(tools.field.look()), now_ms);
            assert!(effects.is_empty(), "{effects:?}");
        }
    }

    /// What was written is all that is left.
    pub(crate) fn kill(&mut self) {
        if let Some(participant) = self.participant.take() {
            self.book = Some(participant.peers().book().clone());
            drop(participant);
        }
        self.miner = None;
        self.work.clear();
        self.database = Arc::new(self.database.reopened());
    }

    pub(crate) fn handle(&mut self, input: Input, now_ms: u64) -> Vec<Effect> {
        let now_ms = self.clock(now_ms);
        self.wake_ms = None;
        let mut effects = self.participant_mut().handle(input, now_ms).expect("memory does not fail");
        effects.extend(self.wake_miner(now_ms));
        effects
    }

    /// Whether it wanted to be woken by now.
    pub(crate) fn take_wake(&mut self, now_ms: u64) -> bool {
        let now_ms = self.clock(now_ms);
        self.wake_ms.take_if(|wake_ms| *wake_ms <= now_ms).is_some()
    }

    /// When it wants to be woken next, true time, if that is not known already.
    pub(crate) fn next_wake(&mut self, now_ms: u64) -> Option<u64> {
        let own = self.clock(now_ms);
        let miner = self.miner.as_ref().and_then(Miner::wake_ms).unwrap_or(u64::MAX);
        let wake_ms = self.participant.as_ref()?.wake_ms(own).min(miner).max(own + 1);
        if self.wake_ms.is_some_and(|planned| planned <= wake_ms) {
            return None;
        }
        self.wake_ms = Some(wake_ms);
        Some(wake_ms.saturating_add_signed(-self.skew_ms))
    }

    /// Checks what another thread would, and how long that takes.
    pub(crate) fn verify(&self, effect: Effect) -> (u64, Input) {
        let verifier = self.participant().chain().verifier();
        match effect {
            Effect::VerifyBlocks(candidates) => {
                let results = manager::verify(verifier, &candidates);
                let took_ms = 1 + candidates.len() as u64;
                (took_ms, Input::BlocksVerified(candidates.into_iter().zip(results).collect()))
            }
            Effect::VerifyHeaders(batch) => {
                let results = batch.verify(verifier);
                (1 + batch.headers.len() as u64, Input::HeadersVerified(batch, results))
            }
            other => unreachable!("{other:?} is nothing to verify"),
        }
    }

    pub(crate) fn told(&mut self, work: Work) {
        if self.miner.is_some() {
            self.work.push_back(work);
        }
    }

    fn wake_miner(&mut self, now_ms: u64) -> Vec<Effect> {
        let due = self.miner.as_ref().and_then(Miner::wake_ms).is_some_and(|wake_ms| wake_ms <= now_ms);
        if due { self.drive(MinerInput::Tick, now_ms) } else { Vec::new() }
    }

    /// Lets the miner do all that it can, true time.
    pub(crate) fn mine(&mut self, now_ms: u64) -> Vec<Effect> {
        let now_ms = self.clock(now_ms);
        let mut effects = Vec::new();
        while let Some(work) = self.work.pop_front() {
            effects.extend(self.drive(MinerInput::Work(work), now_ms));
        }
        effects
    }

    fn drive(&mut self, input: MinerInput, now_ms: u64) -> Vec<Effect> {
        let (Some(miner), Some(tools), Some(participant)) = (&mut self.miner, &self.tools, &mut self.participant)
        else {
            return Vec::new();
        };
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for effect in miner.handle(input, now_ms) {
                inputs.extend(act(effect, tools, participant, &mut self.lines, now_ms));
            }
        }
        let mut effects = participant.take_effects();
        effects.extend(participant.handle(Input::Tick, now_ms).expect("memory does not fail"));
        effects
    }
}

/// Does what a miner wants, at once.
fn act(
    effect: MinerEffect,
    tools: &Tools,
    participant: &mut Participant<MemoryDatabase>,
    lines: &mut Vec<WindowLine>,
    now_ms: u64,
) -> Option<MinerInput> {
    let refused = |error: &dyn std::fmt::Display| LinkError::Refused(error.to_string());
    Some(match effect {
        MinerEffect::Sweep(order) => {
            let result = tools.field.sweep(&order, &Default::default(), &mut |_, _| {});
            MinerInput::SweepDone { id: order.id, result }
        }
        MinerEffect::Prove(order) => {
            let result = tools.field.prove(&order).map(Box::new);
            MinerInput::ProofMade { order, result }
        }
        MinerEffect::Submit(proof) => {
            let (epoch, challenge) = (proof.epoch, spacetime_node::chain::Hash(proof.proof.challenge));
            let result = participant.submit_proof(*proof, now_ms).map_err(|error| match error.passes() {
                true => LinkError::Unreachable(error.to_string()),
                false => refused(&error),
            });
            MinerInput::SubmitResult { epoch, challenge, result }
        }
        MinerEffect::Signed(signed) => {
            let (epoch, miner_key) = (signed.epoch, signed.miner_key);
            let result = participant.submit_signature(signed, now_ms).map(|_| ()).map_err(|error| refused(&error));
            MinerInput::SignResult { epoch, miner_key, result }
        }
        MinerEffect::QueryPlot { plot_key } => {
            let result = participant.plot_state(plot_key).map_err(|error| refused(&error));
            MinerInput::PlotState { plot_key, result }
        }
        MinerEffect::Open(order) => {
            let result = tools.field.open(&order);
            MinerInput::OpeningsMade { order, result }
        }
        MinerEffect::Send { plot_key, transaction } => {
            let result = participant.offer(*transaction).map(|_| ()).map_err(|error| refused(&error));
            MinerInput::SendResult { plot_key, result }
        }
        MinerEffect::Window(line) => {
            lines.push(*line);
            return None;
        }
        _ => return None,
    })
}
