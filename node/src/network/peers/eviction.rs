//! Room for one more: whom it may come from, and who gives way.

use std::collections::BTreeMap;

use super::peer::Purpose;
use super::{Group, Peer, PeerAddress, PeerId, Peers, Refused};

/// Peers that are safe for each of their virtues: an attacker would have to be quicker, and more useful, than these.
const SAFE: usize = 4;
/// Peers that something else dialled, whom others choose as much as we do: far fewer than are dialled.
const MAX_UNASKED: usize = 2;
/// A peer that was dialled and is no use for this long may be replaced, milliseconds.
const USELESS_MS: u64 = 300_000;
/// So many blocks behind, a peer's chain is of no use.
const FAR_BEHIND: u64 = 20;
/// After so many refusals in a row a peer is of no use: each comes after a longer rest than the one before.
const MANY_REFUSALS: u32 = 8;

impl Peers {
    /// Whether one more may be, at `address`. Somebody may have been let go for it.
    pub(super) fn make_room(&mut self, address: Option<&PeerAddress>, purpose: Purpose, now_ms: u64) -> bool {
        if !self.fits(address) {
            return false;
        }
        let outbound = self.peers.values().filter(|peer| peer.purpose != Purpose::Inbound).count();
        let inbound = self.peers.len() - outbound;
        let full = self.peers.len() >= self.options.peers;
        match purpose {
            Purpose::Inbound if full || inbound >= self.options.inbound => self.evict(now_ms),
            Purpose::Inbound => true,
            // Not asked for: it has room where others are missing, and none of its network was dialled.
            Purpose::Unasked => {
                let unasked = self.peers.values().filter(|peer| peer.purpose == Purpose::Unasked).count();
                let fits = address.is_some_and(|address| !self.is_taken(address) || self.carries(address));
                !full && outbound < self.options.outbound && fits && unasked < MAX_UNASKED
            }
            // It was counted when it was dialled. If others came meanwhile, they give way.
            Purpose::Kept => !full || self.evict(now_ms),
            // It goes at once, or another does for it.
            Purpose::Feeler => self.peers.len() <= self.options.peers || self.evict(now_ms),
        }
    }

    /// Whether a relay is at an address through which somebody is being dialled.
    fn carries(&self, address: &PeerAddress) -> bool {
        let relay = |dialled: &PeerAddress| PeerAddress { relay: None, ..dialled.without_peer() };
        self.dialled().any(|dialled| dialled.relay.is_some() && relay(dialled) == *address)
    }

    /// Whether limits by address leave room.
    pub(super) fn fits(&self, address: Option<&PeerAddress>) -> bool {
        let Some(ip) = self.limited_ip(address.and_then(PeerAddress::ip)) else { return true };
        let all = || self.peers.values().filter_map(Peer::ip);
        all().filter(|other| *other == ip).count() < self.options.per_ip
            && all().filter(|other| Group::of(*other) == Group::of(ip)).count() < self.options.per_group
    }

    /// Lets an inbound peer go: not the quickest, nor the most useful, nor the older half of the rest; of those that
    /// are left the youngest of the largest network. False if all are safe.
    pub(super) fn evict(&mut self, now_ms: u64) -> bool {
        let inbound = self.peers.iter().filter(|(_, peer)| peer.purpose == Purpose::Inbound);
        let mut left: Vec<(PeerId, &Peer)> = inbound.map(|(id, peer)| (*id, peer)).collect();
        left.sort_by_key(|(_, peer)| peer.clock().map_or(u64::MAX, |(trip_ms, _)| trip_ms));
        left.drain(..SAFE.min(left.len()));
        left.sort_by_key(|(_, peer)| std::cmp::Reverse(peer.merit(now_ms)));
        left.drain(..SAFE.min(left.len()));
        left.sort_by_key(|(_, peer)| peer.since_ms);
        left.drain(..left.len() / 2);
        let mut groups: BTreeMap<Option<Group>, Vec<(u64, PeerId)>> = BTreeMap::new();
        for (id, peer) in left {
            let group = peer.address.as_ref().map(|address| address.group().wide());
            groups.entry(group).or_default().push((peer.since_ms, id));
        }
        let largest = groups.into_values().max_by_key(Vec::len);
        let Some((_, id)) = largest.and_then(|group| group.into_iter().max()) else { return false };
        self.counters.replaced += 1;
        self.let_go(&id, Refused::Replaced, now_ms);
        true
    }

    /// A peer that was dialled and never gave anything, its chain far behind ours, or that only ever refuses.
    pub(super) fn useless(&self, now_ms: u64) -> Option<PeerId> {
        let useless = |peer: &Peer| {
            let behind = peer.tip.is_some_and(|tip| tip.height.0.saturating_add(FAR_BEHIND) < self.tip.height.0);
            let old = now_ms.saturating_sub(peer.since_ms) >= USELESS_MS;
            let refuses = peer.refusals >= MANY_REFUSALS;
            peer.outbound && peer.is_ready() && old && (refuses || behind && peer.merit(now_ms) == 0)
        };
        let found = self.peers.iter().filter(|(_, peer)| useless(peer));
        found.min_by_key(|(_, peer)| peer.tip.map(|tip| tip.height)).map(|(id, _)| *id)
    }
}
