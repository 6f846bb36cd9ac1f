//! What a block may be filled with, and in which order it is tried: registrations, activations and evidence first,
//! where their senders' nonces let them, and then what pays best.

use std::borrow::Borrow;

use crate::chain::{Payload, Transaction};
use crate::consensus::Parameters;

/// Candidates of a list without room for them, after which no more are tried: the block is as good as full.
const MAX_MISFITS: usize = 256;

/// Whether such a transaction goes before others that its sender's nonces do not put before it: plots come to life
/// within a span of blocks, and who cheats wins on until it is reported.
pub(crate) fn comes_first(payload: &Payload) -> bool {
    matches!(payload, Payload::RegisterPlot(_) | Payload::ActivatePlot(_) | Payload::Evidence(_))
}

/// How much a block has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of transactions.
    pub bytes: usize,
    /// Transactions.
    pub transactions: usize,
    /// Registrations; of them one may be unpaid.
    pub registrations: u32,
}

impl Room {
    /// An empty block's. Header, proof and coinbase take some of it: [`super::build_from`] says how much is left.
    #[must_use]
    pub fn of(parameters: &Parameters) -> Self {
        Self {
            bytes: parameters.max_block_bytes as usize,
            transactions: parameters.max_block_transactions as usize,
            registrations: parameters.registrations_per_block,
        }
    }
}

/// Transactions for a block in the order in which they are to be tried.
pub trait Candidates {
    /// The next one. The one before counts as taken, unless it was refused.
    fn next_candidate(&mut self) -> Option<&Transaction>;

    /// The block does not take the last one: its room is free again.
    fn refuse(&mut self);
}

/// A list as candidates, best first: once those that come first, and then all that were not taken.
pub(super) struct Listed<T> {
    left: Vec<Option<T>>,
    only_first: bool,
    next: usize,
    /// The one that was offered last, and its length.
    last: Option<(usize, usize)>,
    bytes: usize,
    misfits: usize,
}

impl<T: Borrow<Transaction>> Listed<T> {
    pub(super) fn new(candidates: impl IntoIterator<Item = T>, room: Room) -> Self {
        let left = candidates.into_iter().map(Some).collect();
        Self { left, only_first: true, next: 0, last: None, bytes: room.bytes, misfits: 0 }
    }

    /// The place of the next one that fits, and its length.
    fn find(&mut self) -> Option<(usize, usize)> {
        loop {
            if self.next == self.left.len() || self.misfits == MAX_MISFITS {
                if !self.only_first {
                    return None;
                }
                (self.only_first, self.next, self.misfits) = (false, 0, 0);
                continue;
            }
            let place = self.next;
            self.next += 1;
            let Some(candidate) = self.left[place].as_ref().map(Borrow::borrow) else { continue };
            if self.only_first && !comes_first(&candidate.payload) {
                continue;
            }
            let bytes = candidate.encoded_len();
            if bytes <= self.bytes {
                return Some((place, bytes));
            }
            self.misfits += 1;
        }
    }
}

impl<T: Borrow<Transaction>> Candidates for Listed<T> {
    fn next_candidate(&mut self) -> Option<&Transaction> {
        if let Some((place, _)) = self.last.take() {
            self.left[place] = None;
        }
        let (place, bytes) = self.find()?;
        self.bytes -= bytes;
        self.last = Some((place, bytes));
        self.left[place].as_ref().map(Borrow::borrow)
    }

    fn refuse(&mut self) {
        if let Some((_, bytes)) = self.last.take() {
            self.bytes += bytes;
        }
    }
}
