//! What is known of one peer while it is connected.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::limits::PeerLimits;
use super::{BAN_POINTS, Fading, MERIT_HALF_LIFE_MS, PENALTY_HALF_LIFE_MS, PeerAddress, Tip};

/// Why there is a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It dialled us.
    Inbound,
    /// We dialled it, to keep it.
    Kept,
    /// We dialled it, to see whether anybody is there.
    Feeler,
    /// Something else dialled it: a search for peers, or two ends through a relay.
    Unasked,
}

/// Answers that a peer's clock is judged by.
const SAMPLES: usize = 8;

/// A peer.
#[derive(Debug)]
pub(super) struct Peer {
    /// Where it is, if that could be read.
    pub(super) address: Option<PeerAddress>,
    pub(super) outbound: bool,
    pub(super) purpose: Purpose,
    pub(super) since_ms: u64,
    /// It asked HELLO, and is on this chain.
    pub(super) heard: bool,
    /// It answered ours.
    pub(super) answered: bool,
    pub(super) tip: Option<Tip>,
    pub(super) capabilities: u32,
    pub(super) software: String,
    pub(super) penalty: Fading,
    pub(super) merit: Fading,
    pub(super) limits: PeerLimits,
    pub(super) next_ping_ms: u64,
    pub(super) missed_pings: u32,
    /// Questions for headers and blocks that it refused, in a row.
    pub(super) refusals: u32,
    /// When it may be asked for addresses again.
    pub(super) next_exchange_ms: u64,
    /// Round trips and clock offsets, newest last, milliseconds.
    samples: VecDeque<(u64, i64)>,
}

impl Peer {
    pub(super) fn new(
        address: Option<PeerAddress>,
        outbound: bool,
        purpose: Purpose,
        penalty: Fading,
        limits: PeerLimits,
        now_ms: u64,
    ) -> Self {
        Self {
            address,
            outbound,
            purpose,
            since_ms: now_ms,
            heard: false,
            answered: false,
            tip: None,
            capabilities: 0,
            software: String::new(),
            penalty,
            merit: Fading::default(),
            limits,
            next_ping_ms: u64::MAX,
            missed_pings: 0,
            refusals: 0,
            next_exchange_ms: now_ms,
            samples: VecDeque::new(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.heard && self.answered
    }

    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.address.as_ref().and_then(PeerAddress::ip)
    }

    /// An answer that took from `sent_ms` to `now_ms`, and said that the peer's clock was `time_ms` meanwhile.
    pub(super) fn sample(&mut self, sent_ms: u64, now_ms: u64, time_ms: u64) {
        let trip_ms = now_ms.saturating_sub(sent_ms);
        let middle_ms = i128::from(sent_ms) + i128::from(trip_ms / 2);
        let offset = (i128::from(time_ms) - middle_ms).clamp(i64::MIN.into(), i64::MAX.into());
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((trip_ms, offset as i64));
    }

    /// The quickest of the last answers: its round trip, and the clock's offset, which it says best.
    pub(super) fn clock(&self) -> Option<(u64, i64)> {
        self.samples.iter().copied().min_by_key(|(trip_ms, _)| *trip_ms)
    }

    /// What it was good for.
    pub(super) fn merit(&self, now_ms: u64) -> u64 {
        self.merit.points(MERIT_HALF_LIFE_MS, now_ms)
    }

    /// What it was good for, less what it did wrong.
    pub(super) fn score(&self, now_ms: u64) -> i64 {
        let penalty = self.penalty.points(PENALTY_HALF_LIFE_MS, now_ms);
        debug_assert!(penalty < u64::from(BAN_POINTS) * 2, "banned before");
        self.merit(now_ms).cast_signed() - penalty.cast_signed()
    }
}
