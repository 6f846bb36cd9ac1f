//! What people and metrics are shown.

use super::limits::KINDS;
use super::{Peer, PeerId, Peers, Tip};
use crate::network::offence::OFFENCES;

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Who.
    pub id: PeerId,
    /// Where, in text.
    pub address: Option<String>,
    /// Whether it was dialled.
    pub outbound: bool,
    /// Whether it said HELLO.
    pub ready: bool,
    /// Its software, as it says.
    pub software: String,
    /// `CAPABLE_…`, joined.
    pub capabilities: u32,
    /// Where its best chain ends, as it says.
    pub tip: Option<Tip>,
    /// What it was good for, less what it did wrong.
    pub score: i64,
    /// Round trip, milliseconds.
    pub rtt_ms: Option<u64>,
    /// How far its clock is ahead of ours, milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Since when it is connected, Unix milliseconds.
    pub since_ms: u64,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were taken.
    pub connected: u64,
    /// Connections that were let go at once.
    pub refused: u64,
    /// Peers that became ready.
    pub ready: u64,
    /// Attempts to connect.
    pub dials: u64,
    /// Attempts in vain.
    pub dials_failed: u64,
    /// Peers that gave way to others.
    pub replaced: u64,
    /// Bans.
    pub banned: u64,
    /// Offences, by [`crate::network::offence::Offence::ALL`].
    pub offences: [u64; OFFENCES],
    /// Messages over a limit, by [`super::Kind::ALL`].
    pub limited: [u64; KINDS],
    /// Bytes of large answers.
    pub sent_bytes: u64,
}

impl Peers {
    /// All peers.
    #[must_use]
    pub fn views(&self, now_ms: u64) -> Vec<PeerView> {
        let view = |(id, peer): (&PeerId, &Peer)| PeerView {
            id: *id,
            address: peer.address.as_ref().map(ToString::to_string),
            outbound: peer.outbound,
            ready: peer.is_ready(),
            software: peer.software.clone(),
            capabilities: peer.capabilities,
            tip: peer.tip,
            score: peer.score(now_ms),
            rtt_ms: peer.clock().map(|(trip_ms, _)| trip_ms),
            clock_offset_ms: peer.clock().map(|(_, offset_ms)| offset_ms),
            since_ms: peer.since_ms,
        };
        self.peers.iter().map(view).collect()
    }

    /// What has happened since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
