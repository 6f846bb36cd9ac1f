//! One node that catches up, and its peers, by a clock that is turned by hand.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use spacetime_node::chain::rules::{BlockError, HeaderError};
use spacetime_node::chain::{Block, BlockId};
use spacetime_node::consensus::Specification;
use spacetime_node::manager::{Candidate, ChainManager, Options, verify};
use spacetime_node::network::PeerId;
use spacetime_node::network::message::{Request, Response};
use spacetime_node::network::offence::{BAN_POINTS, Offence};
use spacetime_node::participant::{RequestFailure, RequestId, RequestIds};
use spacetime_node::store::MemoryDatabase;
use spacetime_node::sync::{HeaderBatch, Sync, SyncEffect, SyncOptions};
use spacetime_node::testing::Random;

use crate::peers::MockPeer;
use crate::world::{Chain, WORLD};

/// What happens at a time.
enum Event {
    Answer(PeerId, RequestId, Result<Response, RequestFailure>),
    Deadline(PeerId, RequestId),
    Headers(HeaderBatch, Vec<Result<(), HeaderError>>),
    Blocks(Vec<(Candidate, Result<(), BlockError>)>),
    Join(PeerId),
    Leave(PeerId),
    Switch(PeerId, Chain),
    Gossip(PeerId, Box<Block>),
    Tick,
}

pub(crate) struct Network {
    pub now_ms: u64,
    events: BTreeMap<(u64, u64), Event>,
    counter: u64,
    pub random: Random,
    pub manager: ChainManager<MemoryDatabase>,
    pub sync: Sync,
    pub database: Arc<MemoryDatabase>,
    ids: RequestIds,
    pub peers: BTreeMap<PeerId, MockPeer>,
    connected: BTreeSet<PeerId>,
    points: HashMap<PeerId, u32>,
    pub offences: BTreeMap<PeerId, Vec<Offence>>,
    open: BTreeMap<RequestId, PeerId>,
    pub questions: u64,
    pub most_open: usize,
    pub most_blocks_out: usize,
    blocks_out: usize,
    verified_ms: u64,
    /// Block bodies that were sent to the node.
    pub blocks_sent: u64,
    /// Whether peers are banned as the network's part does it.
    pub bans: bool,
}

pub(crate) fn peer_id(number: u8) -> PeerId {
    PeerId([number; 32])
}

fn specification() -> Arc<Specification> {
    Arc::new(WORLD.fabric.specification.clone())
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self::over(Arc::new(MemoryDatabase::new()), seed)
    }

    /// A node that goes on from what is there.
    pub(crate) fn over(database: Arc<MemoryDatabase>, seed: u64) -> Self {
        let manager = ChainManager::open(specification(), database.clone(), [3; 32], Options::default()).unwrap();
        Self {
            // Long after every block, so that the initial sync lasts.
            now_ms: 4_000_000_000_000,
            events: BTreeMap::new(),
            counter: 0,
            random: Random::new(seed),
            manager,
            sync: Sync::new(SyncOptions::default()),
            database,
            ids: RequestIds::default(),
            peers: BTreeMap::new(),
            connected: BTreeSet::new(),
            points: HashMap::new(),
            offences: BTreeMap::new(),
            open: BTreeMap::new(),
            questions: 0,
            most_open: 0,
            most_blocks_out: 0,
            blocks_out: 0,
            verified_ms: 0,
            blocks_sent: 0,
            bans: true,
        }
    }

    /// The node stops and starts again: what is on its way is lost.
    pub(crate) fn restart(&mut self) {
        self.database = Arc::new(self.database.reopened());
        self.manager = ChainManager::open(specification(), self.database.clone(), [4; 32], Options::default()).unwrap();
        self.sync = Sync::new(SyncOptions::default());
        self.open.clear();
        self.blocks_out = 0;
        self.events.retain(|_, event| matches!(event, Event::Join(_) | Event::Leave(_) | Event::Switch(..)));
        for peer in std::mem::take(&mut self.connected) {
            self.at(1, Event::Join(peer));
        }
    }

    fn at(&mut self, in_ms: u64, event: Event) {
        self.counter += 1;
        self.events.insert((self.now_ms + in_ms, self.counter), event);
    }

    /// What is on its way is lost.
    pub(crate) fn forget_events(&mut self) {
        self.events.clear();
    }

    /// Adds a peer that joins after a time.
    pub(crate) fn join(&mut self, in_ms: u64, peer: MockPeer) -> PeerId {
        let id = peer_id(self.peers.len() as u8 + 1);
        self.peers.insert(id, peer);
        self.at(in_ms, Event::Join(id));
        id
    }

    pub(crate) fn leave(&mut self, in_ms: u64, peer: PeerId) {
        self.at(in_ms, Event::Leave(peer));
    }

    pub(crate) fn come_back(&mut self, in_ms: u64, peer: PeerId) {
        self.at(in_ms, Event::Join(peer));
    }

    /// The peer's best chain becomes another one, and it says so.
    pub(crate) fn switch(&mut self, in_ms: u64, peer: PeerId, chain: Chain) {
        self.at(in_ms, Event::Switch(peer, chain));
    }

    /// A peer forwards a block.
    pub(crate) fn gossip(&mut self, in_ms: u64, peer: PeerId, block: &BlockId) {
        self.at(in_ms, Event::Gossip(peer, Box::new(WORLD.block(block).clone())));
    }

    pub(crate) fn tip(&self) -> BlockId {
        self.manager.tip().id
    }

    pub(crate) fn offences_of(&self, peer: PeerId) -> &[Offence] {
        self.offences.get(&peer).map_or(&[], Vec::as_slice)
    }

    /// Lets time pass until `done`, or until so many milliseconds are over: says which.
    pub(crate) fn run(&mut self, for_ms: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now_ms + for_ms;
        self.poll();
        let (mut turns, mut turned_ms) = (0, self.now_ms);
        while !done(self) {
            turns = if turned_ms == self.now_ms { turns + 1 } else { 0 };
            turned_ms = self.now_ms;
            assert!(turns < 10_000, "time stands still: {:?}", self.sync);
            let wake = self.sync.wake_ms();
            let next = self.events.first_key_value().map(|((at, _), _)| *at);
            let Some(at) = [wake, next].into_iter().flatten().min().filter(|at| *at <= end) else {
                self.now_ms = end;
                return false;
            };
            self.now_ms = at.max(self.now_ms);
            if next == Some(at) {
                let (_, event) = self.events.pop_first().expect("it was there");
                self.handle(event);
            } else {
                self.handle(Event::Tick);
            }
            self.poll();
        }
        true
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Answer(peer, id, result) => {
                if self.open.remove(&id).is_some() {
                    if let Ok(Response::Blocks(blocks)) = &result {
                        self.blocks_sent += blocks.len() as u64;
                    }
                    self.sync.response(&peer, id, result, self.now_ms);
                }
            }
            Event::Deadline(peer, id) => {
                if self.open.remove(&id).is_some() {
                    self.sync.response(&peer, id, Err(RequestFailure::Timeout), self.now_ms);
                }
            }
            Event::Headers(batch, results) => self.sync.headers_verified(&batch, results),
            Event::Blocks(verified) => {
                self.blocks_out -= verified.len();
                let outcome = self.manager.apply(verified).unwrap();
                for (id, verdict) in outcome.verdicts {
                    self.sync.judged(&id, &verdict);
                }
                self.admit(Vec::new());
            }
            Event::Join(peer) => {
                if self.points.get(&peer).is_none_or(|points| *points < BAN_POINTS) && self.connected.insert(peer) {
                    let mock = &self.peers[&peer];
                    self.sync.peer_ready(peer, mock.tip(), mock.capabilities());
                }
            }
            Event::Leave(peer) => self.disconnect(peer),
            Event::Switch(peer, chain) => {
                let mock = self.peers.get_mut(&peer).unwrap();
                mock.chain = chain;
                if self.connected.contains(&peer) {
                    let tip = mock.tip();
                    self.sync.peer_tip(&peer, tip);
                }
            }
            Event::Gossip(peer, block) => {
                let (id, parent) = (block.id(), block.header.parent);
                self.admit(vec![*block]);
                if !self.manager.holds(&id).unwrap() {
                    self.sync.orphan(&peer, &parent);
                }
            }
            Event::Tick => {}
        }
    }

    fn disconnect(&mut self, peer: PeerId) {
        if !self.connected.remove(&peer) {
            return;
        }
        let open: Vec<_> = self.open.iter().filter(|(_, of)| **of == peer).map(|(id, _)| *id).collect();
        for id in open {
            self.open.remove(&id);
            self.sync.response(&peer, id, Err(RequestFailure::Disconnected), self.now_ms);
        }
        self.sync.peer_gone(&peer);
    }

    fn admit(&mut self, blocks: Vec<Block>) {
        let admission = self.manager.admit(blocks, self.now_ms).unwrap();
        for (id, verdict) in admission.verdicts {
            self.sync.judged(&id, &verdict);
        }
        if admission.candidates.is_empty() {
            return;
        }
        self.blocks_out += admission.candidates.len();
        self.most_blocks_out = self.most_blocks_out.max(self.blocks_out);
        let results = verify(self.manager.verifier(), &admission.candidates);
        let verified = admission.candidates.into_iter().zip(results).collect();
        // One after the other, as a thread does it.
        self.verified_ms = self.verified_ms.max(self.now_ms) + 1 + self.random.below(20);
        self.at(self.verified_ms - self.now_ms, Event::Blocks(verified));
    }

    fn poll(&mut self) {
        // Each poll may let the node do what makes another one worth it, but not for ever.
        for turn in 0.. {
            assert!(turn < 1000, "it goes round in circles");
            let effects = self.sync.poll(&mut self.manager, &mut self.ids, self.now_ms).unwrap();
            if effects.is_empty() {
                break;
            }
            effects.into_iter().for_each(|effect| self.act(effect));
        }
        self.most_open = self.most_open.max(self.sync.open_questions());
    }

    fn act(&mut self, effect: SyncEffect) {
        match effect {
            SyncEffect::Request { peer, id, request, deadline_ms } => {
                self.questions += 1;
                if std::env::var_os("SYNC_TRACE").is_some() {
                    let what = match &request {
                        Request::Headers(wanted) => format!("{} headers", wanted.limit),
                        Request::Blocks(ids) => {
                            let heights: Vec<_> = ids.iter().map(|id| WORLD.block(id).header.height.0).collect();
                            format!("blocks {heights:?}")
                        }
                        other => format!("{other:?}"),
                    };
                    let (number, tip) = (peer.0[0], self.manager.tip().height);
                    println!(
                        "{} peer {number}: {what}, tip {tip}, {:?}",
                        self.now_ms % 10_000_000,
                        self.sync.progress().phase
                    );
                }
                if !self.connected.contains(&peer) {
                    // It was let go for an offence of the same poll.
                    assert!(self.offences.contains_key(&peer), "{peer} is not there to be asked");
                    self.sync.response(&peer, id, Err(RequestFailure::Disconnected), self.now_ms);
                    return;
                }
                assert!(borsh::to_vec(&request).unwrap().len() <= spacetime_node::network::message::MAX_REQUEST_BYTES);
                self.open.insert(id, peer);
                self.at(deadline_ms - self.now_ms, Event::Deadline(peer, id));
                self.ask(peer, id, &request);
            }
            SyncEffect::VerifyHeaders(batch) => {
                let results = batch.verify(self.manager.verifier());
                let takes = 1 + self.random.below(30);
                self.at(takes, Event::Headers(batch, results));
            }
            SyncEffect::Blocks(blocks) => self.admit(blocks.into_iter().map(|(_, block)| block).collect()),
            SyncEffect::Offence { peer, offence } => {
                self.offences.entry(peer).or_default().push(offence);
                let points = self.points.entry(peer).or_default();
                *points += offence.points();
                if self.bans && *points >= BAN_POINTS {
                    self.disconnect(peer);
                }
                let again = offence == Offence::Overstated && self.peers.get_mut(&peer).unwrap().caught();
                if again && self.connected.contains(&peer) {
                    let tip = self.peers[&peer].tip();
                    self.sync.peer_tip(&peer, tip);
                }
            }
            SyncEffect::Event(_) => {}
        }
    }

    fn ask(&mut self, peer: PeerId, id: RequestId, request: &Request) {
        let answer = self.peers[&peer].answer(request, &mut self.random);
        if let Some((response, delay)) = answer {
            self.at(delay, Event::Answer(peer, id, Ok(response)));
        }
    }
}
