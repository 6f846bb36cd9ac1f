//! Which peers there are, which are kept, and what each may cost. Without a socket or a clock: what happens comes in
//! by calls, what is to be done goes out as [`Effect`]s.
//!
//! **Handshake.** Both sides ask HELLO as soon as they are connected. Whoever has asked it on this chain is *heard*: it
//! is served. Whoever has answered ours is *ready* as soon as it is heard too: it is asked. As a peer that answered has
//! heard us, nothing that is asked of a ready peer is refused for want of a HELLO, whatever overtakes whatever.
//!
//! **Who is kept.** Peers that were dialled are of different networks, are drawn from the [`Book`] (anchors first), and
//! are as many as [`PeerOptions::outbound`] says. Who dialled us has the remaining room; when that is full the youngest
//! of the largest network gives way, unless it is among the quickest, the most useful, or the oldest.
//!
//! **What a peer does wrong** costs points, which fade; at [`BAN_POINTS`] it is let go and kept out for a time.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::PeerId;
use super::address::{Group, PeerAddress, Scope};
use super::book::Book;
use super::bucket::TokenBucket;
use super::lots::Lots;
use super::message::{Gossip, Hello, MAX_SOFTWARE_BYTES, NewChallenge, PROTOCOL_VERSION, Request, Response, Tip};
use super::offence::{BAN_POINTS, Offence};
use super::record::{Banned, PENALTY_HALF_LIFE_MS};
use super::score::Fading;
use crate::chain::{BlockId, Capped};
use crate::participant::{Effect, Refused, RequestFailure, RequestId, RequestIds, Ticket};

mod clocks;
mod dial;
mod eviction;
mod exchange;
mod handshake;
mod limits;
mod peer;
mod view;

pub use clocks::CLOCK_WARNING_MS;
pub use limits::Kind;
use peer::{Peer, Purpose};
pub use view::{Counters, PeerView};

/// A peer that has not said HELLO after this is let go, milliseconds.
pub const HELLO_MS: u64 = 10_000;
/// Peers are asked for a sign of life this often, milliseconds.
pub const PING_MS: u64 = 15_000;
/// An answer to PING or REQUEST_PEERS takes no longer, milliseconds.
const ANSWER_MS: u64 = 10_000;
/// PINGs in a row without an answer, after which a peer is let go.
const MISSED_PINGS: u32 = 3;
/// Half of what a peer was good for is forgotten after this, milliseconds.
const MERIT_HALF_LIFE_MS: u64 = 3_600_000;
/// A peer that stayed for so long was worth dialling, milliseconds.
const LASTING_MS: u64 = 60_000;
/// Most questions to peers at a time: some for each peer.
const MAX_ASKED: usize = 256;

/// How many peers there are to be, and who they are told that this is.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// Who this is.
    pub own: PeerId,
    /// The chain.
    pub genesis: BlockId,
    /// `CAPABLE_…`, joined.
    pub capabilities: u32,
    /// Name and version of the software. What is longer than [`MAX_SOFTWARE_BYTES`] is cut off.
    pub software: String,
    /// Where to begin when nobody else is known.
    pub seeds: Vec<PeerAddress>,
    /// Peers to dial.
    pub outbound: usize,
    /// Most peers that dialled us.
    pub inbound: usize,
    /// Most peers of all, beside one that is only seen to be there.
    pub peers: usize,
    /// Most peers at one IP address.
    pub per_ip: usize,
    /// Most peers in one /24 or /64.
    pub per_group: usize,
    /// Whether limits and bans by address hold for this machine and private networks too. Local chains run many nodes
    /// on one address.
    pub strict_local: bool,
    /// Bytes of answers a second to all peers together; 0 for as many as are asked for.
    pub upload_per_second: u64,
    /// How long a ban lasts, milliseconds.
    pub ban_ms: u64,
}

impl PeerOptions {
    /// 8 peers dialled and 24 more at most, 2 at an address and 4 in a network; 32 MiB a second; bans of four hours.
    #[must_use]
    pub fn new(own: PeerId, genesis: BlockId) -> Self {
        Self {
            own,
            genesis,
            capabilities: 0,
            software: concat!("spacetime/", env!("CARGO_PKG_VERSION")).to_owned(),
            seeds: Vec::new(),
            outbound: 8,
            inbound: 24,
            peers: 32,
            per_ip: 2,
            per_group: 4,
            strict_local: false,
            upload_per_second: 32 << 20,
            ban_ms: 4 * 3_600_000,
        }
    }
}

/// What became of a peer, for who works with those that are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It said HELLO, and its best chain ends here.
    Ready(PeerId, Tip),
    /// It was ready, and is gone, or is being let go.
    Gone(PeerId),
}

/// What becomes of a question.
#[derive(Debug)]
pub enum Asked {
    /// It was answered, or refused.
    Done(Vec<Effect>),
    /// The peer may ask this, and the answer is the caller's.
    Pass(Ticket, Request),
}

/// Why something was asked of a peer.
#[derive(Clone, Copy, Debug)]
enum Question {
    Hello { sent_ms: u64 },
    Ping { number: u64, sent_ms: u64 },
    Peers,
}

/// The peers.
#[derive(Debug)]
pub struct Peers {
    options: PeerOptions,
    book: Book,
    lots: Lots,
    /// Where our best chain ends.
    tip: Tip,
    peers: BTreeMap<PeerId, Peer>,
    asked: BTreeMap<RequestId, (PeerId, Question)>,
    dialer: dial::Dialer,
    /// Bytes of answers.
    upload: TokenBucket,
    /// Transactions that are forwarded.
    forwarded: TokenBucket,
    /// What all that have left may have sent together.
    gone: limits::PeerLimits,
    /// What was decided where nothing could be returned.
    effects: Vec<Effect>,
    notices: Vec<Notice>,
    counters: Counters,
    warned_ms: Option<u64>,
}

impl Peers {
    /// Peers, of whom there are none yet. `tip` is where our best chain ends; `seed` is chance that others do not know.
    #[must_use]
    pub fn new(options: PeerOptions, book: Book, tip: Tip, seed: [u8; 32], now_ms: u64) -> Self {
        let rate = options.upload_per_second;
        Self {
            dialer: dial::Dialer::new(&options.seeds, &book, now_ms),
            upload: limits::upload(rate, now_ms),
            forwarded: limits::forwarded(now_ms),
            gone: limits::PeerLimits::new(rate, now_ms),
            options,
            book,
            lots: Lots::new(seed),
            tip,
            peers: BTreeMap::new(),
            asked: BTreeMap::new(),
            effects: Vec::new(),
            notices: Vec::new(),
            counters: Counters::default(),
            warned_ms: None,
        }
    }

    /// Our best chain ends somewhere else now: the next HELLO says so.
    pub fn set_tip(&mut self, tip: Tip) {
        self.tip = tip;
    }

    /// A connection, the first with a peer; `address` is where it is. One that is not to be kept is let go at once.
    pub fn connected(
        &mut self,
        id: PeerId,
        address: &str,
        outbound: bool,
        ids: &mut RequestIds,
        now_ms: u64,
    ) -> Vec<Effect> {
        let address = PeerAddress::parse(address).ok().map(|address| address.without_peer());
        let purpose = self.dialer.arrived(address.as_ref(), outbound);
        if self.peers.contains_key(&id) {
            return self.take();
        }
        let ip = address.as_ref().and_then(PeerAddress::ip);
        let why = match self.book.record().banned(Some(&id), self.checked_ip(ip, outbound), now_ms) {
            _ if id == self.options.own => Some(Refused::Full),
            Some(until_ms) => Some(Refused::Banned(until_ms)),
            None => (!self.make_room(address.as_ref(), purpose, now_ms)).then_some(Refused::Full),
        };
        if let Some(why) = why {
            self.counters.refused += 1;
            tracing::debug!(peer = %id, ?why, outbound, "connection refused");
            // That there is no room for whom nobody asked says nothing of its address.
            if matches!(purpose, Purpose::Kept | Purpose::Feeler)
                && let Some(address) = &address
            {
                self.dial_in_vain(address, now_ms);
            }
            self.effects.push(Effect::Disconnect { peer: id, why });
            return self.take();
        }
        self.counters.connected += 1;
        let penalty = self.book.penalty(&id);
        let limits = limits::PeerLimits::new(self.options.upload_per_second, now_ms);
        self.peers.insert(id, Peer::new(address, outbound, purpose, penalty, limits, now_ms));
        self.ask(id, Request::Hello(self.hello(now_ms)), Question::Hello { sent_ms: now_ms }, now_ms + HELLO_MS, ids);
        self.take()
    }

    /// The last connection with a peer ended.
    pub fn disconnected(&mut self, id: &PeerId, now_ms: u64) -> Vec<Effect> {
        if let Some(peer) = self.remove(id, now_ms)
            && let Some(address) = peer.address.filter(|_| peer.outbound)
        {
            if peer.answered && now_ms.saturating_sub(peer.since_ms) >= LASTING_MS {
                self.book.lasted(&address);
                self.dialer.lasted(&address);
            } else {
                // Whoever hangs up so soon has no room for us: it is left alone for longer each time.
                self.dial_in_vain(&address, now_ms);
            }
        }
        self.take()
    }

    /// A peer did something wrong. It pays whether it is still there or not.
    pub fn offence(&mut self, id: &PeerId, offence: Offence, now_ms: u64) -> Vec<Effect> {
        self.charge(id, offence, now_ms);
        self.take()
    }

    /// A peer was of use: it gave a block, or headers, that were new and right.
    pub fn useful(&mut self, id: &PeerId, points: u32, now_ms: u64) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.merit.add(points.into(), MERIT_HALF_LIFE_MS, now_ms);
        }
    }

    /// A peer answered a question for headers or blocks, or refused it.
    pub fn answered(&mut self, id: &PeerId, refused: bool) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.refusals = if refused { peer.refusals.saturating_add(1) } else { 0 };
        }
    }

    /// Whether a peer may be asked: it has answered our HELLO, and we have heard its own.
    #[must_use]
    pub fn is_ready(&self, id: &PeerId) -> bool {
        self.peers.get(id).is_some_and(Peer::is_ready)
    }

    /// Whether a peer may ask, and gossip: it has said HELLO.
    #[must_use]
    pub fn is_heard(&self, id: &PeerId) -> bool {
        self.peers.get(id).is_some_and(|peer| peer.heard)
    }

    /// All that are ready, and where their best chains end as far as they said.
    pub fn ready(&self) -> impl Iterator<Item = (PeerId, Tip)> + '_ {
        let ready = self.peers.iter().filter(|(_, peer)| peer.is_ready());
        ready.filter_map(|(id, peer)| Some((*id, peer.tip?)))
    }

    /// Where a peer's best chain ends, as far as it said.
    #[must_use]
    pub fn tip(&self, id: &PeerId) -> Option<Tip> {
        self.peers.get(id)?.tip
    }

    /// What a peer said it can do: `CAPABLE_…`, joined. 0 before it is heard.
    #[must_use]
    pub fn capabilities(&self, id: &PeerId) -> u32 {
        self.peers.get(id).map_or(0, |peer| peer.capabilities)
    }

    /// Who became ready, and who of those is gone, in order, since this was last asked.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The book, to be saved now and then, and at the end.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Keeps a peer out by hand, or whoever is at an address.
    pub fn ban(&mut self, who: Banned, until_ms: u64, now_ms: u64) -> Vec<Effect> {
        self.book.record.ban(who, until_ms, now_ms);
        let hit = |(id, peer): (&PeerId, &Peer)| {
            let ip = peer.ip().map(Banned::ip);
            (who == Banned::Peer(*id) || ip == Some(who)).then_some(*id)
        };
        for id in self.peers.iter().filter_map(hit).collect::<Vec<_>>() {
            self.let_go(&id, Refused::Unwanted, now_ms);
        }
        self.take()
    }

    /// Lets somebody back in. False if nobody kept it out.
    pub fn pardon(&mut self, who: &Banned) -> bool {
        self.book.record.pardon(who)
    }

    /// What has been decided and not yet said.
    fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// An address that bans and limits go by: none for this machine and its site, unless they are to.
    fn limited_ip(&self, ip: Option<IpAddr>) -> Option<IpAddr> {
        ip.filter(|ip| self.options.strict_local || Scope::of(*ip) == Scope::Public)
    }

    /// An address that bans go by: private ones have an owner each too. Whom we dial has its address checked before.
    fn checked_ip(&self, ip: Option<IpAddr>, outbound: bool) -> Option<IpAddr> {
        ip.filter(|ip| !outbound && (self.options.strict_local || Scope::of(*ip) != Scope::Loopback))
    }

    /// Points for what a peer did; at [`BAN_POINTS`] it is let go, and kept out.
    fn charge(&mut self, id: &PeerId, offence: Offence, now_ms: u64) {
        self.counters.offences[offence.index()] += 1;
        let mut penalty = self.peers.get(id).map_or_else(|| self.book.penalty(id), |peer| peer.penalty);
        let points = penalty.add(offence.points().into(), PENALTY_HALF_LIFE_MS, now_ms);
        tracing::debug!(peer = %id, ?offence, points, "offence");
        if let Some(peer) = self.peers.get_mut(id) {
            peer.penalty = penalty;
        }
        // At once: the book may be saved before the peer leaves.
        self.book.record.remember(*id, penalty, now_ms);
        if offence == Offence::OtherChain {
            self.let_go(id, Refused::OtherChain, now_ms);
        } else if points >= BAN_POINTS.into() {
            self.banish(id, offence, now_ms);
        }
    }

    /// Lets a peer go and keeps it out; with it whoever dials from its address, unless that is this machine.
    fn banish(&mut self, id: &PeerId, offence: Offence, now_ms: u64) {
        let until_ms = now_ms.saturating_add(self.options.ban_ms);
        let ip = self.peers.get(id).and_then(|peer| self.checked_ip(peer.ip(), peer.outbound));
        self.counters.banned += 1;
        tracing::info!(peer = %id, ?offence, until_ms, "peer banned");
        self.book.record.ban(Banned::Peer(*id), until_ms, now_ms);
        if let Some(ip) = ip {
            self.book.record.ban(Banned::ip(ip), until_ms, now_ms);
        }
        self.book.no_anchor(id);
        // It has paid: after the ban it begins anew.
        self.book.record.remember(*id, Fading::default(), now_ms);
        if let Some(peer) = self.peers.get_mut(id) {
            peer.penalty = Fading::default();
        }
        self.let_go(id, Refused::Banned(until_ms), now_ms);
    }

    /// Ends all that there is with a peer. Of one that is not here the network may know more.
    fn let_go(&mut self, id: &PeerId, why: Refused, now_ms: u64) {
        tracing::debug!(peer = %id, ?why, "peer let go");
        if let Some(peer) = self.remove(id, now_ms)
            && let Some(address) = peer.address.filter(|_| peer.outbound)
        {
            match why {
                Refused::OtherChain => self.book.forget(&address),
                _ => self.dial_in_vain(&address, now_ms),
            }
        }
        self.effects.push(Effect::Disconnect { peer: *id, why });
    }

    fn remove(&mut self, id: &PeerId, now_ms: u64) -> Option<Peer> {
        let peer = self.peers.remove(id)?;
        self.asked.retain(|_, (asked, _)| asked != id);
        self.book.record.remember(*id, peer.penalty, now_ms);
        if peer.is_ready() {
            self.notices.push(Notice::Gone(*id));
        }
        Some(peer)
    }

    fn ask(&mut self, peer: PeerId, request: Request, question: Question, deadline_ms: u64, ids: &mut RequestIds) {
        if self.asked.len() >= MAX_ASKED {
            return;
        }
        let id = ids.next();
        self.asked.insert(id, (peer, question));
        self.effects.push(Effect::Request { peer, id, request, deadline_ms });
    }
}

#[cfg(test)]
mod tests;
