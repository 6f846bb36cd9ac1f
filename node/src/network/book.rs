//! What a node knows of others between two connections, and between two runs: where they are, which were the last, who
//! is banned, and what each has done.
//!
//! Addresses lie in two tables, as in Bitcoin's address manager: what was only heard of, and where somebody answered.
//! Where in a table an address may lie follows from a secret, its own network and, while it was only heard of, the
//! network of who told it. So whoever tells of a million addresses fills a share of the first table and no more, and
//! whoever answers at a million addresses of one network a share of the second.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::PeerId;
use super::address::{Group, PeerAddress, Scope};
use super::lots::Lots;
use super::record::Record;
use super::score::Fading;

mod save;

pub use save::{BookError, Snapshot};

/// Addresses in a bucket.
const SLOTS: usize = 16;
/// Buckets of addresses that were heard of: 2,048 addresses, about 200 bytes each.
const HEARD_BUCKETS: usize = 128;
/// Buckets that what one network tells can lie in: an eighth of all.
const HEARD_PER_SOURCE: usize = 16;
/// Buckets of addresses where somebody answered: 512 addresses.
const TRIED_BUCKETS: usize = 32;
/// Buckets that the addresses of one network can lie in: an eighth of all.
const TRIED_PER_GROUP: usize = 4;
/// Most addresses of the book.
pub const MAX_ADDRESSES: usize = (HEARD_BUCKETS + TRIED_BUCKETS) * SLOTS;
/// Most peers that are remembered as the last that were dialled: two more than are held.
pub const MAX_ANCHORS: usize = 10;

/// Wait before an address is tried for the second time.
const BACKOFF_MS: u64 = 2_000;
/// Longest wait: each failure doubles it up to here.
pub const MAX_BACKOFF_MS: u64 = 3_600_000;
/// Failures after which an address gives its place to another.
const FAILURES: u32 = 4;
/// Age after which an address that nobody told of again, or that did not answer again, gives its place.
const STALE_MS: u64 = 14 * 24 * 3_600_000;

/// An address that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Where, without who is there.
    pub address: PeerAddress,
    /// Who is there: hearsay until somebody answered.
    pub peer: Option<PeerId>,
    /// The network of who told of it.
    pub source: Group,
    /// When it was last told of, Unix milliseconds.
    pub heard_ms: u64,
    /// When somebody last answered there, Unix milliseconds; 0 if never.
    pub answered_ms: u64,
    /// Attempts in vain since somebody was there for a while.
    pub failures: u32,
    /// When it may be tried again, Unix milliseconds.
    pub next_try_ms: u64,
}

impl Known {
    /// Whether it may be tried. A time further away than the longest wait comes from a clock that was wrong.
    #[must_use]
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.next_try_ms <= now_ms || self.next_try_ms > now_ms.saturating_add(2 * MAX_BACKOFF_MS)
    }

    /// Whether it gives its place to another.
    fn gives_way(&self, now_ms: u64) -> bool {
        let last_ms = self.heard_ms.max(self.answered_ms);
        self.failures >= FAILURES || now_ms.saturating_sub(last_ms) > STALE_MS
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Table {
    Heard,
    Tried,
}

/// The peer book.
#[derive(Clone, Debug)]
pub struct Book {
    /// What places follow from; nobody else knows it.
    secret: [u8; 32],
    /// Whether addresses of this machine and site are spread by network, as all others are.
    strict_local: bool,
    heard: Vec<Option<Known>>,
    tried: Vec<Option<Known>>,
    /// Where each address lies.
    places: HashMap<PeerAddress, (Table, usize)>,
    /// The last peers that were dialled, oldest first.
    anchors: Vec<PeerAddress>,
    /// Bans and penalties.
    pub(super) record: Record,
}

impl Book {
    /// An empty book. `secret` is 32 bytes that nobody else knows. With `strict_local` addresses of this machine and
    /// of private networks are spread by network too; without, each counts as a network of its own, since the nodes of
    /// a local chain all have such.
    #[must_use]
    pub fn new(secret: [u8; 32], strict_local: bool) -> Self {
        Self {
            secret,
            strict_local,
            heard: vec![None; HEARD_BUCKETS * SLOTS],
            tried: vec![None; TRIED_BUCKETS * SLOTS],
            places: HashMap::new(),
            anchors: Vec::new(),
            record: Record::default(),
        }
    }

    /// How many addresses are known: heard of, and answered.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let answered = self.tried.iter().flatten().count();
        (self.places.len() - answered, answered)
    }

    /// Bans and penalties.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// An address, if it is known.
    #[must_use]
    pub fn get(&self, address: &PeerAddress) -> Option<&Known> {
        let (table, place) = *self.places.get(&address.without_peer())?;
        self.table(table)[place].as_ref()
    }

    /// Takes note of an address that somebody of the network `source` told of. False if there is no place for it.
    pub fn heard(&mut self, address: &PeerAddress, source: Group, now_ms: u64) -> bool {
        if address.scope() == Scope::Nowhere || address.port == 0 {
            return false;
        }
        let key = address.without_peer();
        if let Some((table, place)) = self.places.get(&key).copied() {
            let known = self.table_mut(table)[place].as_mut().expect("places name what is there");
            known.heard_ms = known.heard_ms.max(now_ms);
            if known.failures == 0 {
                known.peer = known.peer.or(address.peer);
            }
            return true;
        }
        let known = Known {
            peer: address.peer,
            source: source.wide(),
            heard_ms: now_ms,
            answered_ms: 0,
            failures: 0,
            next_try_ms: 0,
            address: key,
        };
        self.place(Table::Heard, known, now_ms)
    }

    /// Somebody answered at an address: `peer`, who speaks the protocol on this chain. Failures before count until it
    /// has stayed a while ([`Book::lasted`]).
    pub fn answered(&mut self, address: &PeerAddress, peer: PeerId, now_ms: u64) {
        if address.scope() == Scope::Nowhere || address.port == 0 {
            return;
        }
        let before = self.remove(address);
        let source = before.as_ref().map_or_else(|| address.group().wide(), |known| known.source);
        let failures = before.as_ref().map_or(0, |known| known.failures);
        let known = Known {
            address: address.without_peer(),
            peer: Some(peer),
            source,
            heard_ms: before.map_or(now_ms, |known| known.heard_ms),
            answered_ms: now_ms,
            failures,
            next_try_ms: now_ms.saturating_add(BACKOFF_MS),
        };
        // Where there is no place among the answered, it may still have one among the heard.
        if !self.place(Table::Tried, known.clone(), now_ms) {
            self.place(Table::Heard, known, now_ms);
        }
    }

    /// Who answered at an address stayed for long enough.
    pub fn lasted(&mut self, address: &PeerAddress) {
        if let Some((table, place)) = self.places.get(&address.without_peer()).copied() {
            self.table_mut(table)[place].as_mut().expect("places name what is there").failures = 0;
        }
    }

    /// Nobody answered, or somebody who is no use. It is tried again after twice the wait, about.
    pub fn failed(&mut self, address: &PeerAddress, lots: &mut Lots, now_ms: u64) {
        let Some((table, place)) = self.places.get(&address.without_peer()).copied() else { return };
        let known = self.table_mut(table)[place].as_mut().expect("places name what is there");
        known.failures = known.failures.saturating_add(1);
        // Who is there was hearsay: the next attempt takes whoever is. Behind a relay there is no way without.
        if known.answered_ms == 0 && known.address.relay.is_none() {
            known.peer = None;
        }
        known.next_try_ms = now_ms.saturating_add(backoff_ms(known.failures, lots));
    }

    /// Forgets an address: what is there is of another chain.
    pub fn forget(&mut self, address: &PeerAddress) {
        self.remove(address);
        self.anchors.retain(|anchor| anchor.without_peer() != address.without_peer());
    }

    /// An address to dial, among those that are due and fit, from either table with equal chance. Buckets are drawn
    /// first, so that many addresses in one bucket are no more likely than few.
    pub fn draw(&self, lots: &mut Lots, now_ms: u64, fits: impl Fn(&Known) -> bool) -> Option<&Known> {
        let first = if lots.below(2) == 0 { Table::Tried } else { Table::Heard };
        let second = if first == Table::Tried { Table::Heard } else { Table::Tried };
        self.draw_from(first, lots, now_ms, &fits).or_else(|| self.draw_from(second, lots, now_ms, &fits))
    }

    /// As [`Book::draw`], where nobody has answered yet: for trying whether anybody does.
    pub fn draw_heard(&self, lots: &mut Lots, now_ms: u64, fits: impl Fn(&Known) -> bool) -> Option<&Known> {
        self.draw_from(Table::Heard, lots, now_ms, &fits)
    }

    fn draw_from(&self, table: Table, lots: &mut Lots, now_ms: u64, fits: &impl Fn(&Known) -> bool) -> Option<&Known> {
        let mut buckets: Vec<_> = self.table(table).chunks(SLOTS).collect();
        lots.shuffle(&mut buckets);
        let fits = |known: &&Known| known.is_due(now_ms) && fits(known);
        let found = buckets.into_iter().find_map(|bucket| {
            let fitting: Vec<_> = bucket.iter().flatten().filter(fits).collect();
            (!fitting.is_empty()).then_some(fitting)
        })?;
        Some(found[lots.below(found.len())])
    }

    /// Up to `count` addresses to tell somebody who can reach `scope`: those that answered lately before those that
    /// were heard of, at most a quarter of the book, so that nobody reads it out.
    #[must_use]
    pub fn sample(&self, count: usize, scope: Scope, lots: &mut Lots, now_ms: u64) -> Vec<&Known> {
        let fresh = |known: &&Known| known.address.scope() >= scope && !known.gives_way(now_ms);
        let mut tried: Vec<_> = self.tried.iter().flatten().filter(fresh).collect();
        let mut heard: Vec<_> = self.heard.iter().flatten().filter(fresh).filter(|known| known.failures == 0).collect();
        lots.shuffle(&mut tried);
        lots.shuffle(&mut heard);
        // A small book has nothing to hide.
        let count = count.min((self.places.len() / 4).max(16));
        tried.into_iter().chain(heard).take(count).collect()
    }

    /// Remembers a peer that was dialled, to be dialled first after a restart. Of too many the oldest goes.
    pub fn anchor(&mut self, address: PeerAddress) {
        self.anchors.retain(|anchor| anchor.peer != address.peer && anchor.without_peer() != address.without_peer());
        self.anchors.push(address);
        if self.anchors.len() > MAX_ANCHORS {
            self.anchors.remove(0);
        }
    }

    /// A peer that is an anchor no longer.
    pub fn no_anchor(&mut self, peer: &PeerId) {
        self.anchors.retain(|anchor| anchor.peer != Some(*peer));
    }

    /// The last peers that were dialled, oldest first.
    #[must_use]
    pub fn anchors(&self) -> &[PeerAddress] {
        &self.anchors
    }

    fn table(&self, table: Table) -> &[Option<Known>] {
        match table {
            Table::Heard => &self.heard,
            Table::Tried => &self.tried,
        }
    }

    fn table_mut(&mut self, table: Table) -> &mut [Option<Known>] {
        match table {
            Table::Heard => &mut self.heard,
            Table::Tried => &mut self.tried,
        }
    }

    fn remove(&mut self, address: &PeerAddress) -> Option<Known> {
        let (table, place) = self.places.remove(&address.without_peer())?;
        self.table_mut(table)[place].take()
    }

    /// Puts an address where it belongs, if whoever is there gives way.
    fn place(&mut self, table: Table, known: Known, now_ms: u64) -> bool {
        let place = self.place_of(table, &known);
        if self.table(table)[place].as_ref().is_some_and(|other| !other.gives_way(now_ms)) {
            return false;
        }
        if let Some(other) = self.table_mut(table)[place].take() {
            self.places.remove(&other.address);
        }
        self.places.insert(known.address.clone(), (table, place));
        self.table_mut(table)[place] = Some(known);
        true
    }

    fn place_of(&self, table: Table, known: &Known) -> usize {
        let address = known.address.to_string();
        let network = self.network(&known.address);
        let bucket = match table {
            Table::Heard => {
                let part = self.hash("heard part", &[&network, &bytes(known.source)]) % HEARD_PER_SOURCE as u64;
                self.hash("heard", &[&bytes(known.source), &part.to_le_bytes()]) % HEARD_BUCKETS as u64
            }
            Table::Tried => {
                let part = self.hash("tried part", &[address.as_bytes()]) % TRIED_PER_GROUP as u64;
                self.hash("tried", &[&network, &part.to_le_bytes()]) % TRIED_BUCKETS as u64
            }
        };
        let slot = self.hash("slot", &[&bucket.to_le_bytes(), address.as_bytes()]) % SLOTS as u64;
        bucket as usize * SLOTS + slot as usize
    }

    /// What an address is spread by: its /16 or /32.
    fn network(&self, address: &PeerAddress) -> Vec<u8> {
        if address.scope() < Scope::Public && !self.strict_local {
            return address.to_string().into_bytes();
        }
        bytes(address.group().wide())
    }

    fn hash(&self, what: &str, parts: &[&[u8]]) -> u64 {
        let mut hasher = Sha256::new_with_prefix(self.secret);
        for part in [what.as_bytes()].iter().chain(parts) {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let hash = hasher.finalize();
        u64::from_le_bytes(std::array::from_fn(|i| hash[i]))
    }

    /// What a peer has done, as it stands in the book while it is away.
    pub(super) fn penalty(&self, peer: &PeerId) -> Fading {
        self.record.penalty(peer)
    }
}

/// The wait after so many failures, with chance in it so that not all come at once.
pub(super) fn backoff_ms(failures: u32, lots: &mut Lots) -> u64 {
    let doubled = BACKOFF_MS.saturating_mul(1 << failures.saturating_sub(1).min(20));
    lots.about(doubled.min(MAX_BACKOFF_MS))
}

fn bytes(group: Group) -> Vec<u8> {
    match group {
        Group::V4(bytes) => [&[4], &bytes[..]].concat(),
        Group::V6(bytes) => [&[6], &bytes[..]].concat(),
        Group::Name(bytes) => [&[1], &bytes[..]].concat(),
    }
}

#[cfg(test)]
mod tests;
