//! Open questions, both ways: whose they are, until when, and how many bytes of answers wait to be read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use libp2p::request_response::{InboundRequestId, OutboundRequestId, ResponseChannel};
use tokio::time::Instant;

use super::codec::Frame;
use crate::network::PeerId;
use crate::participant::{RequestId, Ticket};

/// Open questions to a peer, and of a peer. What is asked beyond is not sent, or refused.
pub(super) const MAX_PER_PEER: usize = 32;
/// Bytes of answers that wait for one peer to read them: three of the longest.
const MAX_UNREAD_PER_PEER: usize = 16 << 20;
/// Bytes of answers that wait for all peers together.
const MAX_UNREAD: usize = 96 << 20;

/// Bytes of an answer that is given in any case, within the bound of its peer.
const SMALL: usize = 4096;

/// A question that we asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours {
    pub(super) peer: PeerId,
    pub(super) id: RequestId,
    deadline: Instant,
}

/// Questions that we asked.
#[derive(Debug, Default)]
pub(super) struct Asked {
    open: HashMap<OutboundRequestId, Ours>,
    deadlines: BTreeSet<(Instant, OutboundRequestId)>,
}

impl Asked {
    /// Whether one more may be asked of a peer.
    pub(super) fn fits(&self, peer: PeerId) -> bool {
        self.open.values().filter(|ours| ours.peer == peer).count() < MAX_PER_PEER
    }

    pub(super) fn insert(&mut self, sent: OutboundRequestId, peer: PeerId, id: RequestId, timeout: Duration) {
        let now = Instant::now();
        // No deadline is further away than what libp2p gives up at.
        let deadline = now + timeout.min(super::behaviour::EXCHANGE);
        self.open.insert(sent, Ours { peer, id, deadline });
        self.deadlines.insert((deadline, sent));
    }

    /// The question that has an answer now, unless its time was over.
    pub(super) fn remove(&mut self, sent: &OutboundRequestId) -> Option<Ours> {
        let ours = self.open.remove(sent)?;
        self.deadlines.remove(&(ours.deadline, *sent));
        Some(ours)
    }

    /// When the next is overdue.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// One that is overdue.
    pub(super) fn overdue(&mut self) -> Option<Ours> {
        let (_, sent) = *self.deadlines.first().filter(|(deadline, _)| *deadline <= Instant::now())?;
        self.remove(&sent)
    }
}

/// A question that a peer asked.
#[derive(Debug)]
pub(super) struct Theirs {
    pub(super) peer: PeerId,
    pub(super) channel: ResponseChannel<Frame>,
    received: InboundRequestId,
}

/// Questions that peers asked.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    last: u64,
    open: BTreeMap<Ticket, Theirs>,
    named: HashMap<InboundRequestId, Ticket>,
    /// Answers that are being read.
    unread: HashMap<InboundRequestId, (PeerId, usize)>,
}

impl Tickets {
    /// Names a question. None, and the channel back, if the peer has too many open.
    pub(super) fn open(
        &mut self,
        peer: PeerId,
        received: InboundRequestId,
        channel: ResponseChannel<Frame>,
    ) -> Result<Ticket, ResponseChannel<Frame>> {
        if self.open.values().filter(|theirs| theirs.peer == peer).count() >= MAX_PER_PEER {
            return Err(channel);
        }
        self.last += 1;
        let ticket = Ticket(self.last);
        self.open.insert(ticket, Theirs { peer, channel, received });
        self.named.insert(received, ticket);
        Ok(ticket)
    }

    /// The question that is answered now, unless its time was over.
    pub(super) fn close(&mut self, ticket: Ticket) -> Option<Theirs> {
        let theirs = self.open.remove(&ticket)?;
        self.named.remove(&theirs.received);
        Some(theirs)
    }

    /// Whether so many bytes may wait for a peer to read them. They do from now on.
    pub(super) fn hold(&mut self, theirs: &Theirs, bytes: usize) -> bool {
        let all: usize = self.unread.values().map(|(_, bytes)| bytes).sum();
        let of_peer = self.unread.values().filter(|(peer, _)| *peer == theirs.peer).map(|(_, bytes)| bytes);
        // Slow readers of much must not keep others from the little that keeps connections alive.
        let fits_all = bytes <= SMALL || all + bytes <= MAX_UNREAD;
        let fits = fits_all && of_peer.sum::<usize>() + bytes <= MAX_UNREAD_PER_PEER;
        if fits {
            self.unread.insert(theirs.received, (theirs.peer, bytes));
        }
        fits
    }

    /// A question has come to its end, one way or the other. True if an answer was being read.
    pub(super) fn end(&mut self, received: &InboundRequestId) -> bool {
        if let Some(ticket) = self.named.remove(received) {
            self.open.remove(&ticket);
        }
        self.unread.remove(received).is_some()
    }
}
