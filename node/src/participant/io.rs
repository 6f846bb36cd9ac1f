//! What comes in and what goes out.

use crate::chain::rules::{BlockError, HeaderError};
use crate::manager::Candidate;
use crate::miner::work::Work;
use crate::network::PeerId;
use crate::network::message::{Gossip, GossipId, Request, Response};
use crate::network::offence::Offence;
use crate::network::record::Banned;
use crate::sync::HeaderBatch;

/// Names an open question to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Hands out names of questions.
#[derive(Debug, Default)]
pub struct RequestIds(u64);

impl RequestIds {
    /// A name that no other question has.
    ///
    /// # Panics
    /// After 2^64 questions.
    #[expect(clippy::should_implement_trait, reason = "there is always a next one")]
    pub fn next(&mut self) -> RequestId {
        self.0 += 1;
        RequestId(self.0)
    }
}

/// Names an open question of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFailure {
    /// The deadline passed.
    Timeout,
    /// The connection ended.
    Disconnected,
    /// What came was no message, or too long.
    Malformed,
    /// The peer does not speak the protocol.
    Unsupported,
}

/// What happens.
#[derive(Debug)]
pub enum Input {
    /// A connection, the first with this peer. `address` is where it is, in text (a multiaddr without the peer's id).
    Connected {
        /// Who.
        peer: PeerId,
        /// Where.
        address: String,
        /// Whether it was dialled.
        outbound: bool,
    },
    /// The last connection with this peer ended.
    Disconnected {
        /// Who.
        peer: PeerId,
    },
    /// No connection could be made.
    DialFailed {
        /// Where.
        address: String,
    },
    /// An address of a peer that was heard of outside of PEER_LIST: mDNS, Kademlia, identify.
    Discovered {
        /// Who.
        peer: PeerId,
        /// Where, in text.
        address: String,
    },
    /// A peer asks.
    Request {
        /// Who.
        peer: PeerId,
        /// Names the question.
        ticket: Ticket,
        /// What.
        request: Request,
    },
    /// A peer answers.
    Response {
        /// Who.
        peer: PeerId,
        /// The question.
        id: RequestId,
        /// The answer, or why there is none.
        result: Result<Response, RequestFailure>,
    },
    /// A peer forwards.
    Gossip {
        /// Who.
        peer: PeerId,
        /// Names it.
        id: GossipId,
        /// What.
        message: Gossip,
    },
    /// A peer did something wrong that the edge saw: bytes that are no message.
    Offence {
        /// Who.
        peer: PeerId,
        /// What.
        offence: Offence,
    },
    /// Blocks of [`Effect::VerifyBlocks`] were verified.
    BlocksVerified(Vec<(Candidate, Result<(), BlockError>)>),
    /// Headers of [`Effect::VerifyHeaders`] were verified.
    HeadersVerified(HeaderBatch, Vec<Result<(), HeaderError>>),
    /// Time has passed.
    Tick,
}

/// What becomes of a gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is forwarded.
    Accept,
    /// It is not, and nobody is to blame.
    Ignore,
    /// It is not, and who sent it is to blame.
    Reject,
}

/// Why a peer is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another chain, or version.
    OtherChain,
    /// It is banned until this time, Unix milliseconds.
    Banned(u64),
    /// An operator wants it out: an [`Effect::Ban`] of its own says whom that keeps out.
    Unwanted,
    /// There is no room.
    Full,
    /// Another peer is more use.
    Replaced,
    /// It did not say HELLO in time.
    Silent,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Ask a peer. The answer comes as [`Input::Response`], at the deadline at the latest.
    Request {
        /// Whom.
        peer: PeerId,
        /// Names the question.
        id: RequestId,
        /// What.
        request: Request,
        /// Until when, Unix milliseconds.
        deadline_ms: u64,
    },
    /// Answer a peer.
    Respond {
        /// The question.
        ticket: Ticket,
        /// The answer.
        response: Response,
    },
    /// Say to the whole network.
    Publish(Gossip),
    /// What becomes of a gossip that came in.
    Judge {
        /// From whom it came.
        peer: PeerId,
        /// Which.
        id: GossipId,
        /// What becomes of it.
        verdict: Verdict,
    },
    /// Connect with whoever is at an address.
    Dial {
        /// Who should be there, if that is known.
        peer: Option<PeerId>,
        /// Where, in text.
        address: String,
    },
    /// End all connections with a peer.
    Disconnect {
        /// Who.
        peer: PeerId,
        /// Why.
        why: Refused,
    },
    /// Keep somebody out who may not be there.
    Ban {
        /// Whom.
        who: Banned,
        /// Until when, Unix milliseconds.
        until_ms: u64,
    },
    /// Let somebody back in.
    Pardon(Banned),
    /// Check signatures and rows of blocks with [`crate::manager::verify`], on another thread.
    VerifyBlocks(Vec<Candidate>),
    /// Check signatures and rows of headers, on another thread.
    VerifyHeaders(HeaderBatch),
    /// Tell the miners.
    Work(Work),
}
