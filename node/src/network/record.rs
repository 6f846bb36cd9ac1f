//! What peers did before, and who may not come back yet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::PeerId;
use super::address::owner;
use super::score::Fading;

/// Most bans at a time. Where there are more, those that end first go: an attacker with more addresses than these is
/// not kept out by bans.
pub const MAX_BANS: usize = 4096;
/// Most peers whose penalties are remembered while they are away. Of more, the oldest go.
pub const MAX_PENALTIES: usize = 1024;
/// Half of a penalty is forgotten after this.
pub const PENALTY_HALF_LIFE_MS: u64 = 10 * 60_000;

/// Who a ban keeps out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Banned {
    /// A peer, wherever it is.
    Peer(PeerId),
    /// Whoever is at an address: an IPv4 address, or an IPv6 /64, in its one form.
    Ip(IpAddr),
}

impl Banned {
    /// Whoever is at an IP address: of IPv6 the whole /64, which is one owner's.
    #[must_use]
    pub fn ip(ip: IpAddr) -> Self {
        Self::Ip(owner(ip))
    }
}

/// Bans and penalties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    bans: BTreeMap<Banned, u64>,
    penalties: BTreeMap<PeerId, Fading>,
}

impl Record {
    /// Keeps somebody out until a time, Unix milliseconds. A longer ban is not made shorter.
    pub fn ban(&mut self, who: Banned, until_ms: u64, now_ms: u64) {
        self.bans.retain(|_, until| *until > now_ms);
        let until = self.bans.entry(who).or_insert(until_ms);
        *until = (*until).max(until_ms);
        if self.bans.len() > MAX_BANS {
            let first = self.bans.iter().min_by_key(|(_, until)| **until).map(|(who, _)| *who);
            first.map(|who| self.bans.remove(&who));
        }
    }

    /// Ends a ban. False if there was none.
    pub fn pardon(&mut self, who: &Banned) -> bool {
        self.bans.remove(who).is_some()
    }

    /// Until when a peer, or whoever is at its address, is kept out.
    #[must_use]
    pub fn banned(&self, peer: Option<&PeerId>, ip: Option<IpAddr>, now_ms: u64) -> Option<u64> {
        let of = |who: Banned| self.bans.get(&who).copied().filter(|until| *until > now_ms);
        peer.and_then(|peer| of(Banned::Peer(*peer))).max(ip.and_then(|ip| of(Banned::ip(ip))))
    }

    /// All bans, and until when each is.
    pub fn bans(&self) -> impl Iterator<Item = (Banned, u64)> + '_ {
        self.bans.iter().map(|(who, until)| (*who, *until))
    }

    /// What a peer has to its account.
    #[must_use]
    pub fn penalty(&self, peer: &PeerId) -> Fading {
        self.penalties.get(peer).copied().unwrap_or_default()
    }

    /// Remembers what a peer has to its account.
    pub fn remember(&mut self, peer: PeerId, penalty: Fading, now_ms: u64) {
        let points = |penalty: &Fading| penalty.points(PENALTY_HALF_LIFE_MS, now_ms);
        if points(&penalty) == 0 {
            self.penalties.remove(&peer);
            return;
        }
        self.penalties.insert(peer, penalty);
        if self.penalties.len() > MAX_PENALTIES {
            self.penalties.retain(|_, penalty| points(penalty) > 0);
        }
        if self.penalties.len() > MAX_PENALTIES {
            let least = self.penalties.iter().min_by_key(|(_, penalty)| points(penalty)).map(|(peer, _)| *peer);
            least.map(|peer| self.penalties.remove(&peer));
        }
    }

    /// All penalties.
    pub(super) fn penalties(&self) -> impl Iterator<Item = (PeerId, Fading)> + '_ {
        self.penalties.iter().map(|(peer, penalty)| (*peer, *penalty))
    }

    /// What a file says.
    pub(super) fn restored(bans: Vec<(Banned, u64)>, penalties: Vec<(PeerId, Fading)>) -> Self {
        Self { bans: bans.into_iter().collect(), penalties: penalties.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_ban_holds_for_its_time_and_covers_the_64_of_ipv6() {
        let mut record = Record::default();
        let peer = PeerId([1; 32]);
        record.ban(Banned::Peer(peer), 100, 0);
        record.ban(Banned::ip(ip("2001:db8::1")), 200, 0);
        record.ban(Banned::ip(ip("::ffff:192.0.2.1")), 300, 0);
        assert_eq!(record.banned(Some(&peer), None, 99), Some(100));
        assert_eq!(record.banned(Some(&peer), None, 100), None);
        assert_eq!(record.banned(Some(&PeerId([2; 32])), None, 0), None);
        assert_eq!(record.banned(None, Some(ip("2001:db8::ffff:1")), 0), Some(200));
        assert_eq!(record.banned(None, Some(ip("2001:db8:0:1::1")), 0), None);
        assert_eq!(record.banned(Some(&peer), Some(ip("192.0.2.1")), 0), Some(300));
        assert_eq!(record.banned(None, Some(ip("192.0.2.2")), 0), None);
        // A shorter ban does not shorten it.
        record.ban(Banned::ip(ip("192.0.2.1")), 50, 0);
        assert_eq!(record.banned(None, Some(ip("192.0.2.1")), 60), Some(300));
        assert!(record.pardon(&Banned::ip(ip("192.0.2.1"))));
        assert_eq!(record.banned(None, Some(ip("192.0.2.1")), 60), None);
        assert!(!record.pardon(&Banned::ip(ip("192.0.2.1"))));
    }

    #[test]
    fn bans_and_penalties_have_a_bound() {
        let mut record = Record::default();
        let id = |n: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&(n as u64).to_le_bytes());
            PeerId(key)
        };
        for n in 0..MAX_BANS + 10 {
            record.ban(Banned::Peer(id(n)), 1_000_000 + n as u64, 0);
            let mut penalty = Fading::default();
            penalty.add(1 + n as u64, PENALTY_HALF_LIFE_MS, 0);
            record.remember(id(n), penalty, 0);
        }
        assert_eq!(record.bans().count(), MAX_BANS);
        assert_eq!(record.banned(Some(&id(9)), None, 0), None);
        assert_eq!(record.banned(Some(&id(10)), None, 0), Some(1_000_010));
        assert_eq!(record.penalties().count(), MAX_PENALTIES);
        assert_eq!(record.penalty(&id(0)), Fading::default());
        assert_ne!(record.penalty(&id(MAX_BANS)), Fading::default());
        // What has faded is not remembered.
        record.remember(id(MAX_BANS), Fading::default(), 0);
        assert_eq!(record.penalties().count(), MAX_PENALTIES - 1);
    }
}
