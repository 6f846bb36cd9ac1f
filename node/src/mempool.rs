//! Transactions that wait for a block (PROTOCOL §10).
//!
//! The pool takes transactions whose form and signatures were checked, and sees to the rest:
//!
//! * Each account has a queue by nonce. A gap in it waits to be filled; what stands behind it is
//!   kept, but sorted out first. The account can pay for its whole queue or it is not let in.
//! * A nonce that is taken is given to another transaction for a tenth more fee, in all and for each byte.
//! * A full pool lets go of what pays least for its bytes, for what pays a tenth more; a transaction counts no more
//!   than the worst one before it in its queue, which must be mined first.
//! * Registrations and activations that nobody pays for have a small place of their own.
//!
//! Nothing is remembered of a transaction that was refused: what is wrong today may be right
//! at the next tip. There is no clock: age is counted in tips. Every function is pure but
//! those of [`save`], and the state is handed in as a [`PoolView`].

mod checked;
mod insert;
mod queue;
mod refusal;
pub mod save;
mod select;
#[cfg(test)]
mod tests;
mod unpaid;
mod view;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub use crate::builder::Room;
use crate::chain::{Address, TransactionId};
use crate::consensus::Fees;
use crate::state::{Fault, StateError};

pub use self::checked::{CheckedTransaction, FeeRate};
use self::queue::{Entry, Queue, Standing};
pub use self::refusal::Refusal;
pub use self::select::Selection;
use self::unpaid::Unpaid;
pub use self::view::{PoolView, StateView};

/// How far a nonce may lie ahead of its account's next, and so how many transactions of one
/// account are held: more than an exchange sends in a block, few enough to walk through each time.
pub const MAX_QUEUE: u64 = 64;

/// Most bytes of one account's transactions: a farm's activations, or a full queue of anything else.
pub const MAX_ACCOUNT_BYTES: usize = 512 << 10;

/// Longest transaction that is held: a quarter of a block; no chain's activation is as long.
pub const MAX_TRANSACTION_BYTES: usize = 256 << 10;

/// Most registrations without a fee: a block takes one, so these wait a quarter of an hour.
pub const MAX_UNPAID_REGISTRATIONS: usize = 64;

/// Most activations without a fee; each is of a plot that is registered.
pub const MAX_UNPAID_ACTIVATIONS: usize = 256;

/// Most bytes of all transactions without a fee.
pub const MAX_UNPAID_BYTES: usize = 4 << 20;

/// Tips after which a transaction is let go: about a day of blocks at the main parameters.
pub const MAX_AGE_TIPS: u64 = 7200;

/// A replacement pays this many tenths of what it replaces.
pub const REPLACEMENT_TENTHS: u64 = 11;

/// How much the pool holds of what is paid for, and for how little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most transactions.
    pub transactions: usize,
    /// Most bytes of their encodings.
    pub bytes: usize,
    /// The least fee, not below the chain's.
    pub floor: Fees,
}

impl Limits {
    /// The widest that an operator may set: a million transactions in 1 GiB, at no fee but the chain's.
    pub const GREATEST: Self = Self { transactions: 1_000_000, bytes: 1 << 30, floor: Fees::ZERO };

    /// 20,000 transactions in 16 MiB, which is sixteen full blocks and near 40 MiB of memory.
    #[must_use]
    pub fn new(floor: Fees) -> Self {
        Self { transactions: 20_000, bytes: 16 << 20, floor }
    }
}

/// What an insertion did besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// The transaction whose nonce it took.
    pub replaced: Option<TransactionId>,
    /// Whatever had to go: others' that pay less, the account's own behind a filled gap
    /// that it can pay no more, and what was stale.
    pub dropped: Vec<TransactionId>,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Queue(Address, u64),
    Unpaid(u64),
}

/// A place in the order of letting go: the first goes first. Of one queue, the last always comes first.
type Rank = (Standing, Reverse<u64>, Address);

/// The pool.
#[derive(Debug)]
pub struct Mempool {
    limits: Limits,
    queues: BTreeMap<Address, Queue>,
    /// All entries of all queues, those that are let go first in front.
    ranks: BTreeSet<Rank>,
    /// Bytes of all queues.
    bytes: usize,
    unpaid: Unpaid,
    places: HashMap<TransactionId, Place>,
    /// Tips seen since the pool was made.
    tips: u64,
}

impl Mempool {
    /// An empty pool.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            queues: BTreeMap::new(),
            ranks: BTreeSet::new(),
            bytes: 0,
            unpaid: Unpaid::default(),
            places: HashMap::new(),
            tips: 0,
        }
    }

    /// How much it holds at most.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many transactions are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of all encodings held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.unpaid.bytes()
    }

    /// Whether a transaction is held.
    #[must_use]
    pub fn contains(&self, id: &TransactionId) -> bool {
        self.places.contains_key(id)
    }

    /// A transaction that is held.
    #[must_use]
    pub fn get(&self, id: &TransactionId) -> Option<&Arc<CheckedTransaction>> {
        match self.places.get(id)? {
            Place::Queue(address, nonce) => Some(&self.queues.get(address)?.entries().get(nonce)?.transaction),
            Place::Unpaid(number) => self.unpaid.get(*number),
        }
    }

    /// Everything that is held, unpaid ones first and those of one account by nonce: the order in
    /// which a new pool takes them back.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<CheckedTransaction>> {
        let paid = self.queues.values().flat_map(|queue| queue.entries().values().map(|entry| &entry.transaction));
        self.unpaid.iter().chain(paid)
    }

    /// The nonce that the account's next transaction should have: the first that neither the
    /// state nor the pool has.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn next_nonce(&self, address: Address, view: &impl PoolView) -> Result<u64, StateError> {
        let next = view.account(address)?.nonce;
        let taken = self.queues.get(&address).map_or(0, |queue| queue.consecutive_from(next));
        Ok(next.saturating_add(taken))
    }

    /// Takes the transactions of blocks that are no longer on the best chain, in the order in which they
    /// stood there, after [`Mempool::advance`] has seen the new tip. Those that no longer fit are left.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn restore(
        &mut self,
        transactions: impl IntoIterator<Item = CheckedTransaction>,
        view: &impl PoolView,
    ) -> Result<(), StateError> {
        for transaction in transactions {
            match self.insert(transaction, view) {
                Ok(_) | Err(Fault::Rule(_)) => {}
                Err(Fault::State(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Looks at everything again that a new tip may have changed: the accounts in `touched`, whose state is
    /// another than at the last tip, and all plots and evidence. Returns what is gone: mined, overtaken,
    /// no longer paid for, never to be valid any more, or too old.
    ///
    /// # Errors
    /// If the state cannot be read. What was looked at before stays as it is then; call again.
    pub fn advance(
        &mut self,
        touched: impl IntoIterator<Item = Address>,
        view: &impl PoolView,
    ) -> Result<Vec<TransactionId>, StateError> {
        self.tips += 1;
        let mut dropped = Vec::new();
        for address in touched {
            if self.queues.contains_key(&address) {
                let account = view.account(address)?;
                self.change_queue(address, &mut dropped, |queue| queue.settle(account));
            }
        }
        let oldest = self.tips.saturating_sub(MAX_AGE_TIPS);
        let due: Vec<_> = self.queues.iter().filter(|(_, queue)| queue.is_due(oldest)).map(|(at, _)| *at).collect();
        for address in due {
            let stale = self.queues[&address].judge(oldest, view)?;
            self.change_queue(address, &mut dropped, |queue| queue.remove_all(stale));
        }
        for transaction in self.unpaid.judge(oldest, view)? {
            self.places.remove(&transaction.id());
            dropped.push(transaction.id());
        }
        Ok(dropped)
    }

    /// [`Mempool::advance`] for a tip of which nobody knows what it changed.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn advance_all(&mut self, view: &impl PoolView) -> Result<Vec<TransactionId>, StateError> {
        let all: Vec<_> = self.queues.keys().copied().collect();
        self.advance(all, view)
    }

    /// What a block builder should try, best first, within `room`.
    #[must_use]
    pub fn select(&self, room: Room) -> Selection<'_> {
        Selection::new(&self.queues, &self.unpaid, room)
    }

    /// Changes an account's queue with all that is kept about it beside; `change` returns what it dropped.
    fn change_queue(
        &mut self,
        address: Address,
        dropped: &mut Vec<TransactionId>,
        change: impl FnOnce(&mut Queue) -> Vec<Entry>,
    ) {
        let Self { queues, ranks, bytes, places, .. } = self;
        let queue = queues.entry(address).or_default();
        *bytes -= queue.bytes();
        for rank in queue.ranks(address) {
            ranks.remove(&rank);
        }
        for entry in change(queue) {
            places.remove(&entry.transaction.id());
            dropped.push(entry.transaction.id());
        }
        *bytes += queue.bytes();
        ranks.extend(queue.ranks(address));
        if queue.entries().is_empty() {
            queues.remove(&address);
        }
    }
}
