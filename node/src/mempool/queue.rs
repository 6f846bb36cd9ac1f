//! One account's transactions by nonce.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::checked::{CheckedTransaction, FeeRate, cost};
use super::refusal::Refusal;
use super::view::PoolView;
use super::{MAX_ACCOUNT_BYTES, MAX_QUEUE, REPLACEMENT_TENTHS, Rank};
use crate::chain::{Address, Payload, Transaction};
use crate::state::{Account, Fault, StateError};

/// How much a transaction counts: first whether it could be mined now, after those before it in its
/// queue; then the least that is paid for a byte up to it. It never rises along a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    ready: bool,
    rate: FeeRate,
}

impl Standing {
    pub(super) fn is_ready(self) -> bool {
        self.ready
    }

    pub(super) fn rate(self) -> FeeRate {
        self.rate
    }

    /// Whether it counts enough to push out what counts as `worst`: what is ready pushes out what is not, and otherwise
    /// it is a tenth more for each byte. By less, whoever pushes out their own again and again would have
    /// all others relay what is never paid.
    pub(super) fn displaces(self, worst: Self) -> bool {
        match self.ready == worst.ready {
            true => self.rate.is_raised_from(worst.rate, REPLACEMENT_TENTHS),
            false => self.ready,
        }
    }
}

/// A transaction in a queue.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) transaction: Arc<CheckedTransaction>,
    pub(super) standing: Standing,
    /// The tip at which it came.
    since: u64,
}

impl Entry {
    pub(super) fn new(transaction: Arc<CheckedTransaction>, since: u64) -> Self {
        let standing = Standing { ready: false, rate: transaction.rate() };
        Self { transaction, standing, since }
    }
}

/// What made way for a new entry.
#[derive(Debug, Default)]
pub(super) struct Gone {
    pub(super) replaced: Option<Entry>,
    /// From behind the gap that was filled: no longer paid for.
    pub(super) unpayable: Vec<Entry>,
}

impl Gone {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.replaced.iter().chain(&self.unpayable)
    }
}

/// The queue: at most [`MAX_QUEUE`] nonces from the account's next on, all of which it can pay.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    account: Account,
    entries: BTreeMap<u64, Entry>,
    bytes: usize,
}

impl Queue {
    pub(super) fn new(account: Account) -> Self {
        Self { account, ..Self::default() }
    }

    pub(super) fn entries(&self) -> &BTreeMap<u64, Entry> {
        &self.entries
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn ranks(&self, address: Address) -> impl Iterator<Item = Rank> {
        self.entries.iter().map(move |(nonce, entry)| (entry.standing, Reverse(*nonce), address))
    }

    /// How many nonces are taken from `next` on without a gap.
    pub(super) fn consecutive_from(&self, next: u64) -> u64 {
        self.entries.range(next..).zip(next..).take_while(|((nonce, _), expected)| **nonce == *expected).count() as u64
    }

    /// The transaction that could be mined at `nonce`, after those before it.
    pub(super) fn ready_at(&self, nonce: u64) -> Option<&Arc<CheckedTransaction>> {
        self.entries.get(&nonce).filter(|entry| entry.standing.ready).map(|entry| &entry.transaction)
    }

    /// The nonce of the account's next transaction.
    pub(super) fn next_nonce(&self) -> u64 {
        self.account.nonce
    }

    /// Whether a transaction's nonce is one of those that wait, and its account has enough for it.
    pub(super) fn screen(&self, transaction: &Transaction) -> Result<(), Refusal> {
        self.check_nonce(transaction.nonce)?;
        let (balance, needed) = (self.account.balance, cost(transaction));
        if needed > u128::from(balance.0) { Err(Refusal::Balance { balance, needed }) } else { Ok(()) }
    }

    /// Takes another transaction, or changes nothing that matters to an owner who drops the queue.
    pub(super) fn insert(&mut self, entry: Entry) -> Result<Gone, Refusal> {
        let nonce = entry.transaction.get().nonce;
        self.check_nonce(nonce)?;
        let mut gone = Gone::default();
        if let Some(holder) = self.entries.get(&nonce) {
            check_replacement(&holder.transaction, &entry.transaction)?;
            gone.replaced = self.remove(nonce);
        }
        self.bytes += entry.transaction.bytes();
        self.entries.insert(nonce, entry);
        // Who replaces keeps what stands behind; who fills a gap comes before what waited behind it.
        let needed = match gone.replaced {
            Some(_) => self.cost_through(u64::MAX),
            None => self.cost_through(nonce),
        };
        let balance = self.account.balance;
        if needed > u128::from(balance.0) {
            return Err(Refusal::Balance { balance, needed });
        }
        gone.unpayable = self.drop_unpayable();
        let (bytes, limit) = (self.bytes, MAX_ACCOUNT_BYTES);
        if bytes > limit {
            return Err(Refusal::AccountBytes { bytes, limit });
        }
        self.rank();
        Ok(gone)
    }

    /// Lets go of what another state of the account makes stale: used nonces, nonces too far ahead, what can no longer be paid.
    pub(super) fn settle(&mut self, account: Account) -> Vec<Entry> {
        self.account = account;
        let next = account.nonce;
        let stale: Vec<_> =
            self.entries.keys().copied().filter(|nonce| *nonce < next || nonce - next >= MAX_QUEUE).collect();
        let mut dropped: Vec<_> = stale.into_iter().filter_map(|nonce| self.remove(nonce)).collect();
        dropped.append(&mut self.drop_unpayable());
        self.rank();
        dropped
    }

    /// Lets go of the last entry.
    pub(super) fn pop(&mut self) -> Vec<Entry> {
        let last = self.entries.last_key_value().map(|(nonce, _)| *nonce);
        let popped = last.and_then(|nonce| self.remove(nonce));
        self.rank();
        popped.into_iter().collect()
    }

    /// Whether [`Queue::judge`] has anything to look at.
    pub(super) fn is_due(&self, oldest: u64) -> bool {
        self.entries.values().any(|entry| is_due(entry, oldest))
    }

    /// Nonces of what came before the tip `oldest`, and of plots and evidence that the state no longer lets in.
    pub(super) fn judge(&self, oldest: u64, view: &impl PoolView) -> Result<Vec<u64>, StateError> {
        let mut stale = Vec::new();
        for (nonce, entry) in self.entries.iter().filter(|(_, entry)| is_due(entry, oldest)) {
            if entry.since < oldest || !is_allowed(&entry.transaction, view)? {
                stale.push(*nonce);
            }
        }
        Ok(stale)
    }

    /// Lets go of these nonces; what stands behind waits for others.
    pub(super) fn remove_all(&mut self, nonces: Vec<u64>) -> Vec<Entry> {
        let removed = nonces.into_iter().filter_map(|nonce| self.remove(nonce)).collect();
        self.rank();
        removed
    }

    fn check_nonce(&self, found: u64) -> Result<(), Refusal> {
        let next = self.account.nonce;
        if found < next {
            Err(Refusal::UsedNonce { found, next })
        } else if found == u64::MAX {
            Err(Refusal::LastNonce { found })
        } else if found - next >= MAX_QUEUE {
            Err(Refusal::FarNonce { found, next, limit: MAX_QUEUE })
        } else {
            Ok(())
        }
    }

    fn remove(&mut self, nonce: u64) -> Option<Entry> {
        let entry = self.entries.remove(&nonce)?;
        self.bytes -= entry.transaction.bytes();
        Some(entry)
    }

    /// Amounts and fees up to and with `nonce`: below 2^72, for there are few and each is below 2^65.
    fn cost_through(&self, nonce: u64) -> u128 {
        self.entries.range(..=nonce).map(|(_, entry)| entry.transaction.cost()).sum()
    }

    /// Lets go of the last entries until the account can pay for all.
    fn drop_unpayable(&mut self) -> Vec<Entry> {
        let mut needed = 0;
        let payable = |(_, entry): &(&u64, &Entry)| {
            needed += entry.transaction.cost();
            needed <= u128::from(self.account.balance.0)
        };
        let kept = self.entries.iter().take_while(payable).count();
        let rest: Vec<_> = self.entries.keys().skip(kept).copied().collect();
        rest.into_iter().filter_map(|nonce| self.remove(nonce)).collect()
    }

    /// Reckons every standing anew.
    fn rank(&mut self) {
        let mut expected = Some(self.account.nonce);
        let mut least: Option<FeeRate> = None;
        for (nonce, entry) in &mut self.entries {
            expected = expected.filter(|expected| expected == nonce);
            let own = entry.transaction.rate();
            let rate = least.map_or(own, |least| least.min(own));
            least = Some(rate);
            entry.standing = Standing { ready: expected.is_some(), rate };
            expected = expected.and_then(|nonce| nonce.checked_add(1));
        }
    }
}

/// Whether it is old, or the state has a say beyond the sender's nonce and balance.
fn is_due(entry: &Entry, oldest: u64) -> bool {
    entry.since < oldest || !matches!(entry.transaction.get().payload, Payload::Transfer(_))
}

/// What the state says of it.
pub(super) fn is_allowed(transaction: &CheckedTransaction, view: &impl PoolView) -> Result<bool, StateError> {
    match view.judge(&transaction.get().payload) {
        Ok(()) => Ok(true),
        Err(Fault::Rule(_)) => Ok(false),
        Err(Fault::State(error)) => Err(error),
    }
}

/// A tenth more than the holder pays, in all and for each byte, and never the same.
fn check_replacement(holder: &CheckedTransaction, new: &CheckedTransaction) -> Result<(), Refusal> {
    let held = u128::from(holder.get().fee.0);
    let tenths = u128::from(REPLACEMENT_TENTHS);
    let in_all = (held * tenths).div_ceil(10);
    let by_byte = (held * tenths * new.bytes() as u128).div_ceil(10 * holder.bytes() as u128);
    let least = in_all.max(by_byte).max(held + 1);
    let fee = new.get().fee;
    if u128::from(fee.0) < least { Err(Refusal::Replacement { fee, holder: holder.id(), least }) } else { Ok(()) }
}
