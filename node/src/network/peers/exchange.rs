//! PEER_LIST: where others are, told by peers.

use super::clocks::is_due;
use super::{Capped, PeerAddress, PeerId, Peers, Question, Request, RequestIds, Response, Scope};
use crate::network::address::Group;
use crate::network::message::{MAX_ADDRESS_BYTES, MAX_PEERS};

/// A peer is asked for addresses this often, milliseconds; the first time at once.
const EXCHANGE_MS: u64 = 120_000;
/// Addresses that are enough: nobody is asked while there are more.
const ENOUGH: usize = 1000;

/// Whom addresses come from that no peer told: one network, so that whoever speaks there fills its share alone.
const HEARSAY: Group = Group::Name(*b"hearsay.");

impl Peers {
    /// An address of a peer that was heard of outside of PEER_LIST.
    pub fn discovered(&mut self, id: PeerId, address: &str, now_ms: u64) {
        let Ok(mut address) = PeerAddress::parse(address) else { return };
        if id == self.options.own {
            return;
        }
        address.peer = Some(id);
        let (source, scope) = match self.peers.get(&id).and_then(|peer| peer.address.as_ref()) {
            // It says itself where it listens.
            Some(from) => (from.group(), from.scope()),
            None => (HEARSAY, Scope::Loopback),
        };
        if is_reachable(&address, scope) {
            self.book.heard(&address, source, now_ms);
        }
    }

    /// What is told a peer: nothing that it cannot reach, and not itself.
    pub(super) fn peer_list(&mut self, id: &PeerId, now_ms: u64) -> Response {
        let scope = self.scope_of(id);
        let known = self.book.sample(MAX_PEERS, scope, &mut self.lots, now_ms);
        let texts = known.into_iter().filter(|known| known.peer != Some(*id)).filter_map(|known| {
            let address = PeerAddress { peer: known.peer, ..known.address.clone() };
            Capped::<u8, MAX_ADDRESS_BYTES>::new(address.to_string().into_bytes())
        });
        Response::Peers(Capped::new(texts.take(MAX_PEERS).collect()).expect("no more were taken"))
    }

    /// What a peer told. It is hearsay, of which each network may fill its share of the book.
    pub(super) fn told_peers(&mut self, id: &PeerId, list: &[Capped<u8, MAX_ADDRESS_BYTES>], now_ms: u64) {
        let scope = self.scope_of(id);
        let source = self.peers.get(id).and_then(|peer| peer.address.as_ref()).map_or(HEARSAY, PeerAddress::group);
        let mut taken = 0;
        for text in list {
            let parsed = std::str::from_utf8(text).ok().and_then(|text| PeerAddress::parse(text).ok());
            // Other versions may know other kinds of addresses: what cannot be read is no offence.
            let Some(address) = parsed else { continue };
            if is_reachable(&address, scope) && address.peer != Some(self.options.own) {
                taken += usize::from(self.book.heard(&address, source, now_ms));
            }
        }
        tracing::debug!(peer = %id, told = list.len(), taken, "peer list");
    }

    /// Asks those for addresses whose turn it is, while there are too few.
    pub(super) fn exchange(&mut self, ids: &mut RequestIds, now_ms: u64) {
        let (heard, answered) = self.book.counts();
        if heard + answered >= ENOUGH {
            return;
        }
        let due = |peer: &super::Peer| peer.is_ready() && is_due(peer.next_exchange_ms, EXCHANGE_MS, now_ms);
        let due: Vec<_> = self.peers.iter().filter(|(_, peer)| due(peer)).map(|(id, _)| *id).collect();
        for id in due {
            let wait_ms = self.lots.about(EXCHANGE_MS);
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.next_exchange_ms = now_ms + wait_ms;
            }
            self.ask(id, Request::Peers, Question::Peers, now_ms + super::ANSWER_MS, ids);
        }
    }

    /// How far a peer is from here: what is nearer than that, it cannot reach.
    fn scope_of(&self, id: &PeerId) -> Scope {
        let address = self.peers.get(id).and_then(|peer| peer.address.as_ref());
        address.map_or(Scope::Public, PeerAddress::scope)
    }
}

/// Whether an address that was told in `scope` is one to be tried. A name is not: whoever has a domain has any number of
/// names in it, of which none says whose network it leads to. Seeds may be names.
fn is_reachable(address: &PeerAddress, scope: Scope) -> bool {
    address.ip().is_some() && address.scope() >= scope
}
