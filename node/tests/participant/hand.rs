//! The hand: it connects, asks, answers and forwards, and sees what is done about it.

use std::sync::Arc;

use spacetime_node::chain::{Block, Capped};
use spacetime_node::manager::{self, ChainManager};
use spacetime_node::mempool::Limits;
use spacetime_node::network::PeerId;
use spacetime_node::network::book::Book;
use spacetime_node::network::message::{Gossip, GossipId, Hello, PROTOCOL_VERSION, Request, Response, Tip};
use spacetime_node::network::peers::{PeerOptions, Peers};
use spacetime_node::participant::{
    Effect, Input, Options, Participant, Refused, RequestFailure, RequestId, Ticket, Verdict,
};
use spacetime_node::store::MemoryDatabase;
use spacetime_node::sync::{Sync, SyncOptions};
use spacetime_node::testing::Fabric;

pub(crate) fn peer(n: u8) -> PeerId {
    PeerId([n; 32])
}

/// Where a peer is: each in a network of its own.
pub(crate) fn place(n: u8) -> String {
    format!("/ip4/93.{n}.0.1/tcp/7")
}

pub(crate) struct Node {
    pub(crate) participant: Participant<MemoryDatabase>,
    pub(crate) now_ms: u64,
    /// What is yet to be verified: blocks wait until [`Node::verify`].
    jobs: Vec<Effect>,
    /// What became of gossips.
    pub(crate) judged: Vec<(PeerId, Verdict)>,
    /// Who was banned.
    pub(crate) banned: Vec<PeerId>,
    /// Where somebody was dialled.
    pub(crate) dialled: Vec<String>,
    /// What was told to all.
    pub(crate) published: Vec<Gossip>,
    /// Questions that were asked.
    pub(crate) asked: Vec<(PeerId, RequestId, Request)>,
    messages: u64,
    genesis: Tip,
}

impl Node {
    /// A node of genesis alone; its clock shows an hour after that.
    pub(crate) fn new(fabric: &Fabric) -> Self {
        Self::with(fabric, |_| {})
    }

    pub(crate) fn with(fabric: &Fabric, change: impl FnOnce(&mut PeerOptions)) -> Self {
        let now_ms = fabric.specification.genesis.time_ms + 3_600_000;
        let specification = Arc::new(fabric.specification.clone());
        let database = Arc::new(MemoryDatabase::new());
        let chain = ChainManager::open(specification, database, [5; 32], manager::Options::default())
            .expect("an empty database is a chain of genesis");
        let genesis = Tip::from(chain.genesis());
        let mut options = PeerOptions::new(peer(0), chain.genesis().id);
        change(&mut options);
        let peers = Peers::new(options, Book::new([6; 32], false), genesis, [7; 32], now_ms);
        let pool = Limits::new(chain.parameters().fees);
        let options = Options { software: "hand".into(), mine_alone: false, pool };
        let participant = Participant::new(options, chain, peers, Sync::new(SyncOptions::default()));
        let (jobs, judged, banned, dialled, published, asked) = Default::default();
        Self { participant, now_ms, jobs, judged, banned, dialled, published, asked, messages: 0, genesis }
    }

    pub(crate) fn handle(&mut self, input: Input) {
        for effect in self.participant.handle(input, self.now_ms).expect("memory does not fail") {
            match effect {
                Effect::Request { peer, id, request, .. } => self.asked.push((peer, id, request)),
                Effect::Judge { peer, verdict, .. } => self.judged.push((peer, verdict)),
                Effect::Disconnect { peer, why: Refused::Banned(_) } => self.banned.push(peer),
                Effect::Publish(gossip) => self.published.push(gossip),
                Effect::Dial { address, .. } => self.dialled.push(address),
                job @ (Effect::VerifyBlocks(_) | Effect::VerifyHeaders(_)) => self.jobs.push(job),
                _ => {}
            }
        }
    }

    /// Checks what waits to be checked, and what that leads to.
    pub(crate) fn verify(&mut self) {
        while !self.jobs.is_empty() {
            let verifier = self.participant.chain().verifier();
            let input = match self.jobs.remove(0) {
                Effect::VerifyBlocks(candidates) => {
                    let results = manager::verify(verifier, &candidates);
                    Input::BlocksVerified(candidates.into_iter().zip(results).collect())
                }
                Effect::VerifyHeaders(batch) => {
                    let results = batch.verify(verifier);
                    Input::HeadersVerified(batch, results)
                }
                other => unreachable!("{other:?} is nothing to verify"),
            };
            self.handle(input);
        }
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.handle(Input::Tick);
    }

    /// A peer dials, and both say HELLO.
    pub(crate) fn befriend(&mut self, n: u8) {
        let claim = self.genesis;
        self.befriend_with(n, claim);
    }

    /// The same with one that says where its best chain ends.
    pub(crate) fn befriend_with(&mut self, n: u8, tip: Tip) {
        self.greet(n, tip, false);
    }

    /// The same with one that was dialled if it is `outbound`.
    pub(crate) fn greet(&mut self, n: u8, tip: Tip, outbound: bool) {
        let peer = peer(n);
        self.handle(Input::Connected { peer, address: place(n), outbound });
        let hello = Hello {
            version: PROTOCOL_VERSION,
            genesis: self.genesis.id,
            tip,
            capabilities: 3,
            software: Capped::default(),
            time_ms: self.now_ms,
        };
        self.ask(n, Request::Hello(hello.clone()));
        let id = self.question(n, |request| matches!(request, Request::Hello(_))).expect("it is asked");
        self.answer(n, id, Ok(Response::Hello(hello)));
        assert!(self.participant.peers().is_ready(&peer));
    }

    pub(crate) fn leave(&mut self, n: u8) {
        self.handle(Input::Disconnected { peer: peer(n) });
    }

    pub(crate) fn ask(&mut self, n: u8, request: Request) {
        self.messages += 1;
        self.handle(Input::Request { peer: peer(n), ticket: Ticket(self.messages), request });
    }

    pub(crate) fn answer(&mut self, n: u8, id: RequestId, result: Result<Response, RequestFailure>) {
        self.handle(Input::Response { peer: peer(n), id, result });
    }

    /// What was asked of a peer last and is of a kind.
    pub(crate) fn question(&self, n: u8, kind: impl Fn(&Request) -> bool) -> Option<RequestId> {
        let asked = self.asked.iter().rev().find(|(of, _, request)| *of == peer(n) && kind(request));
        asked.map(|(_, id, _)| *id)
    }

    pub(crate) fn gossip(&mut self, n: u8, message: Gossip) {
        self.messages += 1;
        let id = GossipId::of(&self.messages.to_le_bytes());
        self.handle(Input::Gossip { peer: peer(n), id, message });
    }

    pub(crate) fn propose(&mut self, n: u8, block: &Block) {
        self.gossip(n, Gossip::Proposal(Box::new(block.clone())));
    }

    /// How many gossips came to this.
    pub(crate) fn count(&self, verdict: Verdict) -> usize {
        self.judged.iter().filter(|(_, judged)| *judged == verdict).count()
    }

    /// What a peer is worth: less than nothing, if it did wrong.
    pub(crate) fn score(&self, n: u8) -> i64 {
        let views = self.participant.peers().views(self.now_ms);
        views.iter().find(|view| view.id == peer(n)).expect("it is there").score
    }
}
