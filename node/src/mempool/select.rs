//! What a block should hold.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::checked::{CheckedTransaction, FeeRate};
use super::queue::Queue;
use super::unpaid::{Unpaid, is_registration};
use crate::builder::{Candidates, Room, comes_first};
use crate::chain::{Address, Transaction, TransactionId};

/// What nobody pays for gets this part of a block at most, so that it does not crowd out what is paid.
const UNPAID_PART: usize = 4;

/// Plots and evidence come first in this part of a block; beyond it they compete by what they pay.
const FIRST_PART: usize = 2;

/// The head of a queue: evidence and plots first, then by fee.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    first: bool,
    rate: FeeRate,
    id: Reverse<TransactionId>,
    address: Address,
    nonce: u64,
}

/// Transactions for a block, the best first and each account's by nonce: first those without a fee, in the
/// order in which they came, then registrations, activations and evidence, then the rest by fee for each byte.
///
/// One that the block does not take after all is given back with [`Selection::refuse`].
#[derive(Debug)]
pub struct Selection<'a> {
    queues: &'a BTreeMap<Address, Queue>,
    unpaid: Vec<&'a Arc<CheckedTransaction>>,
    heads: BinaryHeap<Head>,
    room: Room,
    unpaid_bytes: usize,
    first_bytes: usize,
    /// An unpaid registration is in the block.
    unpaid_registration: bool,
    last: Option<Last<'a>>,
}

/// What was offered last: it counts as taken.
#[derive(Clone, Copy, Debug)]
struct Last<'a> {
    transaction: &'a CheckedTransaction,
    first: bool,
    sender: Option<(Address, u64)>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(queues: &'a BTreeMap<Address, Queue>, unpaid: &'a Unpaid, room: Room) -> Self {
        // The first comes last, to be popped.
        let unpaid = unpaid.iter().rev().collect();
        let heads = queues.iter().filter_map(|(address, queue)| head(queue, *address, queue.next_nonce())).collect();
        let (unpaid_bytes, first_bytes) = (room.bytes / UNPAID_PART, room.bytes / FIRST_PART);
        Self { queues, unpaid, heads, room, unpaid_bytes, first_bytes, unpaid_registration: false, last: None }
    }

    /// What is left for others.
    #[must_use]
    pub fn room(&self) -> Room {
        self.room
    }

    /// The block does not take what was offered last: its room is free again, and nothing that
    /// its account has behind it is offered.
    pub fn refuse(&mut self) {
        let Some(Last { transaction, first, sender }) = self.last.take() else {
            return;
        };
        self.room.bytes += transaction.bytes();
        self.room.transactions += 1;
        let registration = is_registration(transaction);
        self.room.registrations += u32::from(registration);
        if sender.is_none() {
            self.unpaid_bytes += transaction.bytes();
            self.unpaid_registration &= !registration;
        } else if first {
            self.first_bytes += transaction.bytes();
        }
    }

    fn fits(&self, transaction: &CheckedTransaction) -> bool {
        transaction.bytes() <= self.room.bytes
            && self.room.transactions > 0
            && (self.room.registrations > 0 || !is_registration(transaction))
    }

    fn offer(&mut self, transaction: &'a Arc<CheckedTransaction>, first: bool, sender: Option<(Address, u64)>) {
        self.room.bytes -= transaction.bytes();
        self.room.transactions -= 1;
        self.room.registrations -= u32::from(is_registration(transaction));
        self.last = Some(Last { transaction, first, sender });
    }

    /// The next without a fee.
    fn next_unpaid(&mut self) -> Option<&'a Arc<CheckedTransaction>> {
        while let Some(transaction) = self.unpaid.pop() {
            let registration = is_registration(transaction);
            let second = registration && self.unpaid_registration;
            if second || transaction.bytes() > self.unpaid_bytes || !self.fits(transaction) {
                continue;
            }
            self.unpaid_bytes -= transaction.bytes();
            self.unpaid_registration |= registration;
            self.offer(transaction, true, None);
            return Some(transaction);
        }
        None
    }

    /// The next with a fee.
    fn next_paid(&mut self) -> Option<&'a Arc<CheckedTransaction>> {
        while let Some(found) = self.heads.pop() {
            let Some(transaction) = self.queues.get(&found.address).and_then(|queue| queue.ready_at(found.nonce))
            else {
                continue;
            };
            if !self.fits(transaction) {
                continue;
            }
            if found.first && transaction.bytes() > self.first_bytes {
                self.heads.push(Head { first: false, ..found });
                continue;
            }
            if found.first {
                self.first_bytes -= transaction.bytes();
            }
            self.offer(transaction, found.first, Some((found.address, found.nonce)));
            return Some(transaction);
        }
        None
    }
}

impl<'a> Iterator for Selection<'a> {
    type Item = &'a Arc<CheckedTransaction>;

    fn next(&mut self) -> Option<Self::Item> {
        // What was offered before was taken, so that the one behind it may follow.
        if let Some((address, nonce)) = self.last.take().and_then(|last| last.sender) {
            let next = nonce.checked_add(1).and_then(|nonce| head(self.queues.get(&address)?, address, nonce));
            self.heads.extend(next);
        }
        self.next_unpaid().or_else(|| self.next_paid())
    }
}

impl Candidates for Selection<'_> {
    fn next_candidate(&mut self) -> Option<&Transaction> {
        self.next().map(|transaction| transaction.get())
    }

    fn refuse(&mut self) {
        Selection::refuse(self);
    }
}

fn head(queue: &Queue, address: Address, nonce: u64) -> Option<Head> {
    let transaction = queue.ready_at(nonce)?;
    let first = comes_first(&transaction.get().payload);
    Some(Head { first, rate: transaction.rate(), id: Reverse(transaction.id()), address, nonce })
}
