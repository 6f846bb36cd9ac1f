//! Whom to dial, and when.

use super::clocks::is_due;
use super::peer::Purpose;
use super::{Book, Effect, Group, Peer, PeerAddress, PeerId, Peers, Refused, RequestIds, Scope};
use crate::network::book::{Known, MAX_BACKOFF_MS, backoff_ms};

/// Most attempts at a time.
const MAX_DIALS: usize = 8;
/// An attempt that nothing was heard of has failed, milliseconds: the edge's own limits are shorter.
const DIAL_MS: u64 = 30_000;
/// With all peers there, an address that was only heard of is tried this often, milliseconds.
const FEELER_MS: u64 = 120_000;
/// Between two looks for somebody to dial, milliseconds.
const LOOK_MS: u64 = 500;
/// Peers below which seeds are dialled beside what the book says.
const LONELY: usize = 2;

/// An attempt.
#[derive(Clone, Debug)]
struct Dial {
    address: PeerAddress,
    purpose: Purpose,
    until_ms: u64,
}

/// An address that does not depend on the book: an anchor once, a seed for ever.
#[derive(Clone, Debug)]
struct Fixed {
    address: PeerAddress,
    failures: u32,
    next_try_ms: u64,
}

/// Attempts, and what is tried beside the book.
#[derive(Debug)]
pub(super) struct Dialer {
    dials: Vec<Dial>,
    anchors: Vec<PeerAddress>,
    seeds: Vec<Fixed>,
    next_look_ms: u64,
    next_feeler_ms: u64,
}

impl Dialer {
    pub(super) fn new(seeds: &[PeerAddress], book: &Book, now_ms: u64) -> Self {
        let seeds = seeds.iter().map(|address| Fixed { address: address.clone(), failures: 0, next_try_ms: 0 });
        Self {
            dials: Vec::new(),
            anchors: book.anchors().to_vec(),
            seeds: seeds.collect(),
            next_look_ms: now_ms,
            next_feeler_ms: now_ms.saturating_add(FEELER_MS),
        }
    }

    /// A connection is there: what it was dialled for.
    pub(super) fn arrived(&mut self, address: Option<&PeerAddress>, outbound: bool) -> Purpose {
        if !outbound {
            return Purpose::Inbound;
        }
        let dialled = self.dials.iter().position(|dial| Some(&dial.address.without_peer()) == address);
        dialled.map_or(Purpose::Unasked, |index| self.dials.swap_remove(index).purpose)
    }

    /// A peer at an address stayed for long enough.
    pub(super) fn lasted(&mut self, address: &PeerAddress) {
        if let Some(seed) = self.seeds.iter_mut().find(|seed| seed.address.without_peer() == *address) {
            seed.failures = 0;
        }
    }
}

impl Peers {
    /// Dials whom somebody asked for by hand, to keep it: however many others there are, and of whichever network.
    pub fn connect(&mut self, address: &PeerAddress, now_ms: u64) -> Vec<Effect> {
        let place = address.without_peer();
        if let Some(dial) = self.dialer.dials.iter_mut().find(|dial| dial.address.without_peer() == place) {
            // It is on its way already.
            dial.purpose = Purpose::Kept;
        } else if !self.is_there(address) {
            self.start(address.clone(), Purpose::Kept, now_ms);
        }
        self.take()
    }

    /// No connection could be made.
    pub fn dial_failed(&mut self, address: &str, now_ms: u64) -> Vec<Effect> {
        if let Ok(address) = PeerAddress::parse(address) {
            let address = address.without_peer();
            let failed = |dial: &mut Dial| dial.address.without_peer() == address;
            // Others dial too; their failures say nothing of what the book was asked for.
            let failed: Vec<_> = self.dialer.dials.extract_if(.., failed).collect();
            self.give_up(failed, now_ms);
        }
        self.take()
    }

    /// Attempts that came to nothing.
    fn give_up(&mut self, dials: Vec<Dial>, now_ms: u64) {
        for dial in dials {
            // Unless it dialled us at the same time.
            if dial.address.peer.is_none_or(|peer| !self.peers.contains_key(&peer)) {
                self.dial_in_vain(&dial.address.without_peer(), now_ms);
            }
        }
    }

    /// An address is no use for now.
    pub(super) fn dial_in_vain(&mut self, address: &PeerAddress, now_ms: u64) {
        self.counters.dials_failed += 1;
        self.book.failed(address, &mut self.lots, now_ms);
        let seed = self.dialer.seeds.iter_mut().find(|seed| seed.address.without_peer() == *address);
        if let Some(seed) = seed {
            seed.failures = seed.failures.saturating_add(1);
            seed.next_try_ms = now_ms.saturating_add(backoff_ms(seed.failures, &mut self.lots));
        }
    }

    /// Time has passed: who was silent is let go, who is due is asked, and who is missing is dialled.
    pub fn tick(&mut self, ids: &mut RequestIds, now_ms: u64) -> Vec<Effect> {
        let until_ms = |peer: &Peer| peer.since_ms.saturating_add(super::HELLO_MS);
        let silent = |peer: &Peer| !peer.is_ready() && is_due(until_ms(peer), super::HELLO_MS, now_ms);
        let silent: Vec<_> = self.peers.iter().filter(|(_, peer)| silent(peer)).map(|(id, _)| *id).collect();
        for id in silent {
            self.let_go(&id, Refused::Silent, now_ms);
        }
        self.ping(ids, now_ms);
        let lost: Vec<_> = self.dialer.dials.extract_if(.., |dial| is_due(dial.until_ms, DIAL_MS, now_ms)).collect();
        self.give_up(lost, now_ms);
        if is_due(self.dialer.next_look_ms, LOOK_MS, now_ms) {
            self.dialer.next_look_ms = now_ms + LOOK_MS;
            self.exchange(ids, now_ms);
            self.look(now_ms);
        }
        self.take()
    }

    /// When [`Peers::tick`] has something to do again, Unix milliseconds.
    #[must_use]
    pub fn wake_ms(&self) -> u64 {
        let hello = self.peers.values().filter(|peer| !peer.is_ready()).map(|peer| peer.since_ms + super::HELLO_MS);
        let pings = self.peers.values().map(|peer| peer.next_ping_ms);
        hello.chain(pings).chain([self.dialer.next_look_ms]).min().unwrap_or(u64::MAX)
    }

    /// Dials as many as are missing.
    fn look(&mut self, now_ms: u64) {
        let kept = |purpose: Purpose| matches!(purpose, Purpose::Kept | Purpose::Unasked);
        let outbound = self.peers.values().filter(|peer| kept(peer.purpose)).count();
        let dialling = self.dialer.dials.iter().filter(|dial| kept(dial.purpose)).count();
        let room = self.options.peers.saturating_sub(self.peers.len() + self.dialer.dials.len());
        let missing = self.options.outbound.saturating_sub(outbound + dialling).min(room);
        for _ in 0..missing {
            let Some(address) = self.choose(now_ms) else { break };
            if !self.dial(address, Purpose::Kept, now_ms) {
                break;
            }
        }
        if missing == 0 && is_due(self.dialer.next_feeler_ms, FEELER_MS, now_ms) {
            self.dialer.next_feeler_ms = now_ms + self.lots.about(FEELER_MS);
            self.feel(now_ms);
        }
    }

    /// The next address to dial: an anchor, a seed where there is hardly anybody, one of the book, or a seed.
    fn choose(&mut self, now_ms: u64) -> Option<PeerAddress> {
        while let Some(anchor) = self.dialer.anchors.pop() {
            if self.may_dial(&anchor, false, now_ms) {
                return Some(anchor);
            }
        }
        let ready = self.peers.values().filter(|peer| peer.is_ready()).count();
        let seed = self.due_seed(now_ms);
        if ready < LONELY && seed.is_some() {
            return seed;
        }
        self.draw(false, now_ms).or(seed)
    }

    fn due_seed(&self, now_ms: u64) -> Option<PeerAddress> {
        let due = |seed: &&Fixed| {
            is_due(seed.next_try_ms, MAX_BACKOFF_MS, now_ms) && self.may_dial(&seed.address, false, now_ms)
        };
        self.dialer.seeds.iter().find(due).map(|seed| seed.address.clone())
    }

    /// An address of the book, of another network than all that were dialled. `untried` for one where nobody has
    /// answered yet.
    fn draw(&mut self, untried: bool, now_ms: u64) -> Option<PeerAddress> {
        // The lots are drawn from while the rest is looked at.
        let mut lots = self.lots.clone();
        let fits = |known: &Known| {
            let address = PeerAddress { peer: known.peer, ..known.address.clone() };
            self.may_dial(&address, !untried, now_ms)
        };
        let drawn = if untried {
            self.book.draw_heard(&mut lots, now_ms, fits)
        } else {
            self.book.draw(&mut lots, now_ms, fits)
        };
        let drawn = drawn.map(|known| PeerAddress { peer: known.peer, ..known.address.clone() });
        self.lots = lots;
        drawn
    }

    /// Whether an address may be dialled now: nobody known is there, nor being dialled, nor banned; limits leave room;
    /// and with `apart` none that was dialled is of its network.
    fn may_dial(&self, address: &PeerAddress, apart: bool, now_ms: u64) -> bool {
        let place = address.without_peer();
        let ip = self.limited_ip(address.ip());
        let banned = self.book.record().banned(address.peer.as_ref(), ip, now_ms).is_some();
        let dialled = self.dialer.dials.iter().any(|dial| dial.address.without_peer() == place);
        // Nor is there a way to anybody through oneself.
        let own = [address.peer, address.relay].contains(&Some(self.options.own));
        let taken = apart && self.is_taken(address);
        !own && !banned && !dialled && !taken && !self.is_there(address) && self.fits(Some(address))
    }

    /// Whether a peer is the one at an address, as far as is known.
    fn is_there(&self, address: &PeerAddress) -> bool {
        let place = address.without_peer();
        self.peers.iter().any(|(id, peer)| Some(*id) == address.peer || peer.address.as_ref() == Some(&place))
    }

    /// Whether one that was, or is being, dialled is of this address's /16 or /32.
    pub(super) fn is_taken(&self, address: &PeerAddress) -> bool {
        if address.scope() < Scope::Public && !self.options.strict_local {
            return false;
        }
        let network = |address: &PeerAddress| -> Group { address.group().wide() };
        let there = self.peers.values().filter(|peer| peer.outbound).filter_map(|peer| peer.address.as_ref());
        there.chain(self.dialled()).any(|other| network(other) == network(address))
    }

    /// Addresses that are being dialled.
    pub(super) fn dialled(&self) -> impl Iterator<Item = &PeerAddress> {
        self.dialer.dials.iter().map(|dial| &dial.address)
    }

    /// False if as many are being dialled as may be.
    fn dial(&mut self, address: PeerAddress, purpose: Purpose, now_ms: u64) -> bool {
        let may = self.dialer.dials.len() < MAX_DIALS;
        if may {
            self.start(address, purpose, now_ms);
        }
        may
    }

    fn start(&mut self, address: PeerAddress, purpose: Purpose, now_ms: u64) {
        self.counters.dials += 1;
        let (peer, text) = (address.peer, address.without_peer().to_string());
        tracing::debug!(address = text, ?purpose, "dialling");
        self.dialer.dials.push(Dial { address, purpose, until_ms: now_ms + DIAL_MS });
        self.effects.push(Effect::Dial { peer, address: text });
    }

    /// Tries an address that was only heard of, so that the book knows where somebody answers before it is needed. Where
    /// there is a peer that is no use, any that could take its place. With all peers there, that is one more for a moment.
    fn feel(&mut self, now_ms: u64) {
        if self.peers.len() + self.dialer.dials.len() > self.options.peers {
            return;
        }
        let instead = if self.useless(now_ms).is_some() { self.draw(false, now_ms) } else { None };
        if let Some(address) = instead.or_else(|| self.draw(true, now_ms)) {
            self.dial(address, Purpose::Feeler, now_ms);
        }
    }

    /// Somebody of this chain was there: it takes the place of one that is missing, or of a peer that is no use, if there
    /// is one.
    pub(super) fn felt(&mut self, id: &PeerId, now_ms: u64) {
        let kept = self.peers.values().filter(|peer| matches!(peer.purpose, Purpose::Kept | Purpose::Unasked)).count();
        let missing = kept < self.options.outbound;
        // It may be the one more than may be.
        if !missing || self.peers.len() > self.options.peers && !self.evict(now_ms) {
            let Some(useless) = self.useless(now_ms) else { return self.let_go_unharmed(id, now_ms) };
            self.counters.replaced += 1;
            self.let_go(&useless, Refused::Replaced, now_ms);
        }
        if let Some(peer) = self.peers.get_mut(id) {
            peer.purpose = Purpose::Kept;
        }
    }

    /// Lets a peer go that did nothing wrong: its address stays as good as it was.
    fn let_go_unharmed(&mut self, id: &PeerId, now_ms: u64) {
        if self.remove(id, now_ms).is_some() {
            self.effects.push(Effect::Disconnect { peer: *id, why: Refused::Full });
        }
    }
}
