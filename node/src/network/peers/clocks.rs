//! PING: signs of life, and what peers' clocks say of ours.

use super::{PeerId, Peers, Question, Refused, Request, RequestIds};

/// An offset from peers' clocks from which on it is warned of, milliseconds.
pub const CLOCK_WARNING_MS: u64 = 250;
/// The warning comes again after this, milliseconds.
const WARN_AGAIN_MS: u64 = 600_000;

/// Whether a time has come. One that is further away than two of the longest waits for it, `longest_ms`, is of a clock
/// that has been set back since.
pub(super) fn is_due(at_ms: u64, longest_ms: u64, now_ms: u64) -> bool {
    at_ms <= now_ms || at_ms > now_ms.saturating_add(2 * longest_ms)
}

impl Peers {
    /// How far peers' clocks are ahead of ours, milliseconds: the median over those that are ready, of those that were
    /// dialled where there are three, since nobody chooses to be among them. None without a peer.
    #[must_use]
    pub fn clock_offset_ms(&self) -> Option<i64> {
        let offsets = |outbound: bool| {
            let peers = self.peers.values().filter(|peer| peer.is_ready() && (peer.outbound || !outbound));
            let mut offsets: Vec<_> = peers.filter_map(|peer| Some(peer.clock()?.1)).collect();
            offsets.sort_unstable();
            offsets
        };
        let dialled = offsets(true);
        let offsets = if dialled.len() >= 3 { dialled } else { offsets(false) };
        // Of an even number the one nearer to ours.
        let middle = [offsets.get(offsets.len().wrapping_sub(1) / 2), offsets.get(offsets.len() / 2)];
        middle.into_iter().flatten().copied().min_by_key(|offset| offset.unsigned_abs())
    }

    /// Warns, now and then, while our clock is not peers'.
    pub(super) fn watch_clock(&mut self, now_ms: u64) {
        let offset_ms = self.clock_offset_ms().unwrap_or(0);
        if offset_ms.unsigned_abs() < CLOCK_WARNING_MS {
            if self.warned_ms.take().is_some() {
                tracing::info!(offset_ms, "the clock agrees with peers' again");
            }
        } else if self.warned_ms.is_none_or(|warned_ms| now_ms.saturating_sub(warned_ms) >= WARN_AGAIN_MS) {
            self.warned_ms = Some(now_ms);
            tracing::warn!(offset_ms, limit_ms = CLOCK_WARNING_MS, "peers' clocks differ from this machine's");
        }
    }

    /// Asks those for a sign of life whose turn it is.
    pub(super) fn ping(&mut self, ids: &mut RequestIds, now_ms: u64) {
        let is_due = |peer: &super::Peer| peer.is_ready() && is_due(peer.next_ping_ms, super::PING_MS, now_ms);
        let due = self.peers.iter().filter(|(_, peer)| is_due(peer)).map(|(id, _)| *id);
        for id in due.collect::<Vec<_>>() {
            let wait_ms = self.lots.about(super::PING_MS);
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.next_ping_ms = now_ms + wait_ms;
            }
            let number = self.lots.number();
            let question = Question::Ping { number, sent_ms: now_ms };
            self.ask(id, Request::Ping(number), question, now_ms + super::ANSWER_MS, ids);
        }
    }

    pub(super) fn missed_ping(&mut self, id: &PeerId, now_ms: u64) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.missed_pings += 1;
        if peer.missed_pings >= super::MISSED_PINGS {
            self.let_go(id, Refused::Silent, now_ms);
        }
    }
}
