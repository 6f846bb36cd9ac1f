//! What the network counts.

use std::sync::atomic::{AtomicU64, Ordering};

use super::inputs::{CLASSES, Class};

/// Counts, shared with whoever shows them.
#[derive(Debug, Default)]
pub struct NetworkCounters {
    pub(super) connections: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) dropped: [AtomicU64; CLASSES],
    pub(super) refused_answers: AtomicU64,
    pub(super) received_bytes: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
    pub(super) gossip_received: AtomicU64,
    pub(super) gossip_published: AtomicU64,
}

/// Counts at a moment, all since the start but the connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections that there are now.
    pub connections: u64,
    /// Connections that were refused by ban or address.
    pub refused: u64,
    /// Bytes from peers that were no message.
    pub malformed: u64,
    /// Messages that found no room, by [`Class::ALL`].
    pub dropped: [u64; CLASSES],
    /// Answers that were refused because a peer did not read those before.
    pub refused_answers: u64,
    /// Bytes of questions, answers and gossip that came in.
    pub received_bytes: u64,
    /// Bytes of questions and answers, and of gossip once, that went out.
    pub sent_bytes: u64,
    /// Gossip that came in, each once.
    pub gossip_received: u64,
    /// Gossip of our own.
    pub gossip_published: u64,
}

/// Adds to a count.
pub(super) fn add(count: &AtomicU64, number: usize) {
    count.fetch_add(number as u64, Ordering::Relaxed);
}

impl NetworkCounters {
    /// What they are now.
    #[must_use]
    pub fn read(&self) -> Traffic {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Traffic {
            connections: read(&self.connections),
            refused: read(&self.refused),
            malformed: read(&self.malformed),
            dropped: Class::ALL.map(|class| read(&self.dropped[class.index()])),
            refused_answers: read(&self.refused_answers),
            received_bytes: read(&self.received_bytes),
            sent_bytes: read(&self.sent_bytes),
            gossip_received: read(&self.gossip_received),
            gossip_published: read(&self.gossip_published),
        }
    }
}
