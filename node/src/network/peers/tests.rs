//! One side against a hand that plays all others, in time that the tests turn.

mod dialling;
mod handshake;
mod keeping;
mod limits;

use super::*;
use crate::chain::{Epoch, Height};
use crate::consensus::Weight;

const GENESIS: BlockId = BlockId([1; 32]);
const START_MS: u64 = 1_700_000_000_000;

fn id(n: u8) -> PeerId {
    PeerId([n; 32])
}

fn tip(height: u64) -> Tip {
    Tip { id: BlockId([height as u8; 32]), height: Height(height), epoch: Epoch(height), weight: Weight::ZERO }
}

/// A public address in a /16 of its own.
fn place(n: u8) -> String {
    format!("/ip4/93.{n}.0.1/tcp/7")
}

fn hello(height: u64, now_ms: u64) -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        genesis: GENESIS,
        tip: tip(height),
        capabilities: 3,
        software: Capped::new(b"other/1".to_vec()).expect("short"),
        time_ms: now_ms,
    }
}

struct Hand {
    peers: Peers,
    ids: RequestIds,
    now_ms: u64,
    ticket: u64,
}

impl Hand {
    fn new(change: impl FnOnce(&mut PeerOptions)) -> Self {
        let mut options = PeerOptions::new(id(0), GENESIS);
        change(&mut options);
        let book = Book::new([3; 32], options.strict_local);
        Self::with_book(options, book)
    }

    fn with_book(options: PeerOptions, book: Book) -> Self {
        let peers = Peers::new(options, book, tip(5), [4; 32], START_MS);
        Self { peers, ids: RequestIds::default(), now_ms: START_MS, ticket: 0 }
    }

    fn connect(&mut self, n: u8, address: &str, outbound: bool) -> Vec<Effect> {
        self.peers.connected(id(n), address, outbound, &mut self.ids, self.now_ms)
    }

    fn request(&mut self, n: u8, request: Request) -> Asked {
        self.ticket += 1;
        self.peers.request(&id(n), Ticket(self.ticket), request, self.now_ms)
    }

    /// What is answered at once.
    fn answer(&mut self, n: u8, request: Request) -> Response {
        let Asked::Done(effects) = self.request(n, request) else { panic!("passed on") };
        let answer = effects.into_iter().find_map(|effect| match effect {
            Effect::Respond { response, .. } => Some(response),
            _ => None,
        });
        answer.expect("an answer")
    }

    fn respond(&mut self, n: u8, question: RequestId, response: Response) -> Vec<Effect> {
        self.peers.response(&id(n), question, Ok(response), self.now_ms)
    }

    fn tick(&mut self, passed_ms: u64) -> Vec<Effect> {
        self.now_ms += passed_ms;
        self.peers.tick(&mut self.ids, self.now_ms)
    }

    /// Connects, and says all that there is to say.
    fn befriend(&mut self, n: u8, address: &str, outbound: bool) {
        let question = asked(&self.connect(n, address, outbound)).expect("HELLO is asked").0;
        self.answer(n, Request::Hello(hello(5, self.now_ms)));
        self.respond(n, question, Response::Hello(hello(5, self.now_ms)));
        assert!(self.peers.is_ready(&id(n)));
    }
}

/// What was asked, if anything.
fn asked(effects: &[Effect]) -> Option<(RequestId, Request)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Request { id, request, .. } => Some((*id, request.clone())),
        _ => None,
    })
}

/// Who was let go.
fn gone(effects: &[Effect]) -> Vec<(PeerId, Refused)> {
    let gone = effects.iter().filter_map(|effect| match effect {
        Effect::Disconnect { peer, why } => Some((*peer, *why)),
        _ => None,
    });
    gone.collect()
}

/// What is dialled.
fn dialled(effects: &[Effect]) -> Vec<(Option<PeerId>, String)> {
    let dialled = effects.iter().filter_map(|effect| match effect {
        Effect::Dial { peer, address } => Some((*peer, address.clone())),
        _ => None,
    });
    dialled.collect()
}
