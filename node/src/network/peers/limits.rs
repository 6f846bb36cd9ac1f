//! What one peer may ask and send, and what all may have together.

use super::{Asked, Banned, Gossip, NewChallenge, Offence, PeerId, Peers, Request, Response, Ticket};
use crate::network::bucket::TokenBucket;
use crate::participant::Effect;

/// Kinds of messages, each with a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// HELLO.
    Hello,
    /// REQUEST_PEERS.
    Peers,
    /// GET_HEADERS.
    Headers,
    /// GET_BLOCK.
    Blocks,
    /// PING.
    Ping,
    /// NEW_CHALLENGE.
    NewChallenge,
    /// BLOCK_ACCEPTED.
    BlockAccepted,
    /// TX_POOL_REQUEST.
    Pool,
    /// BLOCK_PROPOSAL.
    Proposal,
    /// PROOF_SUBMISSION.
    Submission,
    /// TX.
    Transaction,
}

/// How many kinds there are.
pub(super) const KINDS: usize = 11;

impl Kind {
    /// All of them.
    pub const ALL: [Self; KINDS] = [
        Self::Hello,
        Self::Peers,
        Self::Headers,
        Self::Blocks,
        Self::Ping,
        Self::NewChallenge,
        Self::BlockAccepted,
        Self::Pool,
        Self::Proposal,
        Self::Submission,
        Self::Transaction,
    ];

    /// Of a question.
    #[must_use]
    pub fn of_request(request: &Request) -> Self {
        match request {
            Request::Hello(_) => Self::Hello,
            Request::Peers => Self::Peers,
            Request::Headers(_) => Self::Headers,
            Request::Blocks(_) => Self::Blocks,
            Request::Ping(_) => Self::Ping,
            Request::NewChallenge(_) => Self::NewChallenge,
            Request::BlockAccepted(_) => Self::BlockAccepted,
            Request::Pool => Self::Pool,
        }
    }

    /// Of a gossip.
    #[must_use]
    pub fn of_gossip(gossip: &Gossip) -> Self {
        match gossip {
            Gossip::Proposal(_) => Self::Proposal,
            Gossip::Submission(_) => Self::Submission,
            Gossip::Transaction(_) => Self::Transaction,
        }
    }

    /// How many at once, and how many a minute, of one peer. Chains of one epoch a second need a fraction of these.
    #[must_use]
    pub const fn limit(self) -> (u64, u64) {
        match self {
            Self::Hello => (4, 4),
            Self::Peers => (3, 2),
            // 2 MiB each: nobody verifies ten a second.
            Self::Headers => (32, 600),
            // Some hundred blocks a second where they are small; where they are large, bytes are the limit.
            Self::Blocks => (128, 6000),
            Self::Ping => (8, 30),
            Self::NewChallenge => (16, 240),
            Self::BlockAccepted => (64, 600),
            Self::Pool => (4, 6),
            // Three a key and epoch, and some keys an epoch, by several ways.
            Self::Proposal => (64, 600),
            Self::Submission => (256, 2400),
            // Two full blocks at once, and a full block of the largest network every two seconds.
            Self::Transaction => (8192, 120_000),
        }
    }

    /// Whether its answers are large, so that they count against all peers' bytes.
    const fn is_large(self) -> bool {
        matches!(self, Self::Headers | Self::Blocks | Self::Pool)
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// Transactions that are forwarded at once, and a minute, whoever they come from: half of what one peer may send, so that
/// no peer pays for what others sent. A full block of the main chain every four seconds.
const FORWARDED: (u64, u64) = (4096, 60_000);

/// Peers that a gossip is forwarded to, as a rule: those that the network keeps in a mesh for each topic.
const COPIES: usize = 6;

/// One peer has one part in so many of the bytes of answers to all, so that no leech has those of all.
const SHARE: u64 = 4;

/// Messages over the limit that a peer may send at once, and a minute, before it pays: a clock that runs fast, or an
/// answer that took long, is no ill will.
const PATIENCE: (u64, u64) = (64, 60);

/// One peer's buckets.
#[derive(Debug)]
pub(super) struct PeerLimits {
    kinds: [TokenBucket; KINDS],
    patience: TokenBucket,
    /// Bytes of answers: a quarter of what all have.
    upload: TokenBucket,
}

impl PeerLimits {
    pub(super) fn new(upload_per_second: u64, now_ms: u64) -> Self {
        let bucket = |(capacity, per_minute)| TokenBucket::new(capacity, per_minute, now_ms);
        let upload = upload(upload_per_second / SHARE, now_ms);
        Self { kinds: Kind::ALL.map(|kind| bucket(kind.limit())), patience: bucket(PATIENCE), upload }
    }
}

/// Bytes of answers at so many a second: two seconds' worth at once.
pub(super) fn upload(per_second: u64, now_ms: u64) -> TokenBucket {
    TokenBucket::new(per_second.saturating_mul(2), per_second.saturating_mul(60), now_ms)
}

/// What all peers' transactions that are forwarded count against.
pub(super) fn forwarded(now_ms: u64) -> TokenBucket {
    TokenBucket::new(FORWARDED.0, FORWARDED.1, now_ms)
}

impl Peers {
    /// Whether a peer may do this now: it has said HELLO, and did not do it too often. It counts as done.
    pub fn allow(&mut self, id: &PeerId, kind: Kind, now_ms: u64) -> bool {
        let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.heard || kind == Kind::Hello) else { return false };
        let allowed = peer.limits.kinds[kind.index()].take(1, now_ms);
        if !allowed {
            self.counters.limited[kind.index()] += 1;
        }
        allowed
    }

    /// Whether a gossip is to be looked at: it is within its sender's limit, and that has said HELLO. Of who has left
    /// meanwhile too, but for transactions: a message that is ignored is known, and not taken from others any more, so
    /// nobody must be able to make it so by leaving quickly. All that have left have one limit together. Who goes on beyond
    /// its limit pays.
    pub fn allow_gossip(&mut self, id: &PeerId, gossip: &Gossip, now_ms: u64) -> bool {
        let kind = Kind::of_gossip(gossip);
        if !self.peers.contains_key(id) {
            return kind != Kind::Transaction && self.gone.kinds[kind.index()].take(1, now_ms);
        }
        let allowed = self.allow(id, kind, now_ms);
        if !allowed && self.is_heard(id) {
            self.lose_patience(id, now_ms);
        }
        allowed
    }

    /// Whether one more transaction is forwarded: there are bytes left for it, which blocks and proofs take first.
    pub fn may_forward(&mut self, now_ms: u64) -> bool {
        let is_open = self.options.upload_per_second == 0 || self.upload.is_open(now_ms);
        is_open && self.forwarded.take(1, now_ms)
    }

    /// A gossip of so many bytes is forwarded to some peers, or published to `all` of them: it counts against what all are
    /// sent. What is urgent goes out whatever is left, and answers and transactions wait for it, but two seconds at most: blocks
    /// may take more than all there is, and others have to catch up all the same.
    pub fn spread(&mut self, bytes: usize, all: bool, now_ms: u64) {
        let copies = if all { self.peers.len() } else { self.peers.len().min(COPIES) };
        let bytes = bytes.saturating_mul(copies) as u64;
        self.counters.sent_bytes += bytes;
        self.upload.charge_within(bytes, now_ms);
    }

    /// Bytes of an answer to GET_HEADERS, GET_BLOCK or TX_POOL_REQUEST went to a peer.
    pub fn sent(&mut self, id: &PeerId, bytes: usize, now_ms: u64) {
        self.counters.sent_bytes += bytes as u64;
        self.upload.charge(bytes as u64, now_ms);
        if let Some(peer) = self.peers.get_mut(id) {
            peer.limits.upload.charge(bytes as u64, now_ms);
        }
    }

    /// Whether there are bytes left to answer a peer with: of all, and of its share.
    fn may_send(&mut self, id: &PeerId, now_ms: u64) -> bool {
        let share = self.peers.get_mut(id).is_none_or(|peer| peer.limits.upload.is_open(now_ms));
        self.options.upload_per_second == 0 || share && self.upload.is_open(now_ms)
    }

    /// A peer asks. HELLO, REQUEST_PEERS and PING are answered here; what is asked before HELLO, too often, or when all
    /// bytes are spent, or its share of them, is refused.
    pub fn request(&mut self, id: &PeerId, ticket: Ticket, request: Request, now_ms: u64) -> Asked {
        let kind = Kind::of_request(&request);
        if !self.allow(id, kind, now_ms) {
            self.refuse(id, ticket, now_ms);
            return Asked::Done(self.take());
        }
        if kind.is_large() && !self.may_send(id, now_ms) {
            self.counters.limited[kind.index()] += 1;
            self.effects.push(Effect::Respond { ticket, response: Response::Refused });
            return Asked::Done(self.take());
        }
        let response = match &request {
            Request::Hello(hello) => return Asked::Done(self.asked_hello(id, ticket, hello, now_ms)),
            Request::Peers => self.peer_list(id, now_ms),
            Request::Ping(number) => Response::Pong { number: *number, time_ms: now_ms },
            Request::BlockAccepted(tip) | Request::NewChallenge(NewChallenge { tip, .. }) => {
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.tip = Some(*tip);
                }
                return Asked::Pass(ticket, request);
            }
            Request::Headers(_) | Request::Blocks(_) | Request::Pool => return Asked::Pass(ticket, request),
        };
        self.effects.push(Effect::Respond { ticket, response });
        Asked::Done(self.take())
    }

    fn refuse(&mut self, id: &PeerId, ticket: Ticket, now_ms: u64) {
        self.effects.push(Effect::Respond { ticket, response: Response::Refused });
        self.lose_patience(id, now_ms);
    }

    /// Makes who goes on beyond its limits pay.
    fn lose_patience(&mut self, id: &PeerId, now_ms: u64) {
        if let Some(peer) = self.peers.get_mut(id)
            && !peer.limits.patience.take(1, now_ms)
        {
            peer.limits.patience = TokenBucket::new(PATIENCE.0, PATIENCE.1, now_ms);
            self.charge(id, Offence::Flood, now_ms);
        }
    }

    /// Who is banned at an address, for tests and people.
    #[must_use]
    pub fn bans(&self) -> Vec<(Banned, u64)> {
        self.book.record().bans().collect()
    }
}
