//! Taking a transaction: the rules of the pool, cheapest first.

use std::cmp::Reverse;
use std::sync::Arc;

use super::queue::{Entry, Queue, Standing};
use super::{CheckedTransaction, Inserted, MAX_TRANSACTION_BYTES, Mempool, Place, PoolView, Refusal};
use crate::chain::{Address, Amount, Hash, Payload, Transaction, TransactionId};
use crate::consensus::Fees;
use crate::state::Fault;

/// What taking a transaction with a fee does. Nothing is changed before all of it is known.
struct Plan {
    /// The account's queue afterwards.
    queue: Queue,
    replaced: Option<Entry>,
    /// What was stale in the queue, and what can be paid no more.
    dropped: Vec<Entry>,
    /// Accounts whose last transaction has to go, once for each time.
    victims: Vec<Address>,
}

impl Mempool {
    /// Takes a transaction, if the tip's state and the bounds let it.
    ///
    /// # Errors
    /// The rule of the pool that it breaks, which may be kept at the next tip; or the state cannot be read. Nothing is
    /// changed then.
    pub fn insert(
        &mut self,
        transaction: impl Into<Arc<CheckedTransaction>>,
        view: &impl PoolView,
    ) -> Result<Inserted, Fault<Refusal>> {
        let transaction = transaction.into();
        let id = transaction.id();
        self.check_alone(transaction.get(), id, transaction.bytes())?;
        let Some(address) = transaction.get().sender_address() else {
            let plot_key = self.check_unpaid(&transaction, view)?;
            let number = self.unpaid.push(transaction, plot_key, self.tips);
            self.places.insert(id, Place::Unpaid(number));
            return Ok(Inserted::default());
        };
        let nonce = transaction.get().nonce;
        let Plan { queue, replaced, dropped, victims } = self.plan(address, transaction, view)?;
        let mut inserted = Inserted::default();
        for victim in victims {
            self.change_queue(victim, &mut inserted.dropped, Queue::pop);
        }
        inserted.replaced = replaced.map(|entry| entry.transaction.id());
        self.change_queue(address, &mut inserted.dropped, |old| {
            *old = queue;
            dropped
        });
        if let Some(replaced) = inserted.replaced {
            self.places.remove(&replaced);
        }
        self.places.insert(id, Place::Queue(address, nonce));
        Ok(inserted)
    }

    /// Whether [`Mempool::insert`] would take a transaction: for whoever has something dear to do before.
    ///
    /// # Errors
    /// As [`Mempool::insert`].
    pub fn check(&self, transaction: &Arc<CheckedTransaction>, view: &impl PoolView) -> Result<(), Fault<Refusal>> {
        self.check_alone(transaction.get(), transaction.id(), transaction.bytes())?;
        match transaction.get().sender_address() {
            Some(address) => self.plan(address, Arc::clone(transaction), view).map(drop),
            None => self.check_unpaid(transaction, view).map(drop),
        }
    }

    /// What is cheap, of a transaction that nobody has checked yet: whether it is known, its length and fee, whether
    /// its sender could pay for it and has come near its nonce, and what the state says of plots and evidence.
    /// Signatures are dearer by far.
    ///
    /// # Errors
    /// As [`Mempool::insert`].
    pub fn screen(&self, transaction: &Transaction, view: &impl PoolView) -> Result<(), Fault<Refusal>> {
        let bytes = transaction.encoded_len();
        self.check_alone(transaction, transaction.id(), bytes)?;
        match transaction.sender_address() {
            Some(address) => Queue::new(view.account(address)?).screen(transaction)?,
            None => self.unpaid.check_room(matches!(transaction.payload, Payload::RegisterPlot(_)), bytes)?,
        }
        judge(&transaction.payload, view)
    }

    /// What needs no state.
    fn check_alone(&self, transaction: &Transaction, id: TransactionId, bytes: usize) -> Result<(), Refusal> {
        if self.contains(&id) {
            return Err(Refusal::Known { id });
        }
        let limit = MAX_TRANSACTION_BYTES;
        if bytes > limit {
            return Err(Refusal::TooLong { bytes, limit });
        }
        match transaction.sender {
            Some(_) => self.check_floor(transaction.fee, bytes),
            None => Ok(()),
        }
    }

    fn plan(
        &self,
        address: Address,
        transaction: Arc<CheckedTransaction>,
        view: &impl PoolView,
    ) -> Result<Plan, Fault<Refusal>> {
        let account = view.account(address)?;
        let mut queue = self.queues.get(&address).cloned().unwrap_or_default();
        let mut dropped = queue.settle(account);
        let (nonce, bytes) = (transaction.get().nonce, transaction.bytes());
        let gone = queue.insert(Entry::new(Arc::clone(&transaction), self.tips))?;
        let standing = queue.entries()[&nonce].standing;
        let freed = || gone.iter().chain(&dropped);
        let freed = (freed().count(), freed().map(|entry| entry.transaction.bytes()).sum());
        let victims = self.victims(address, standing, bytes, freed)?;
        // The dearest question comes last.
        judge(&transaction.get().payload, view)?;
        dropped.extend(gone.unpayable);
        Ok(Plan { queue, replaced: gone.replaced, dropped, victims })
    }

    fn check_floor(&self, fee: Amount, bytes: usize) -> Result<(), Refusal> {
        let Fees { base, per_byte } = self.limits.floor;
        let least = Amount(base.0.saturating_add(per_byte.0.saturating_mul(bytes as u64)));
        if fee < least { Err(Refusal::Floor { fee, bytes, least }) } else { Ok(()) }
    }

    /// Accounts, one for each time that its last transaction must go to make room for one of `bytes` bytes
    /// and this standing. The count and bytes that are `freed` anyway are no longer there.
    fn victims(
        &self,
        address: Address,
        standing: Standing,
        bytes: usize,
        freed: (usize, usize),
    ) -> Result<Vec<Address>, Refusal> {
        let mut count = (self.ranks.len() + 1).saturating_sub(freed.0);
        let mut held = (self.bytes + bytes).saturating_sub(freed.1);
        let mut victims = Vec::new();
        // An account does not push out its own: what it has before this one counts as much or more.
        let mut ranks = self.ranks.iter().filter(|(_, _, owner)| *owner != address);
        while count > self.limits.transactions || held > self.limits.bytes {
            let worst = ranks.next().filter(|(worst, ..)| standing.displaces(*worst));
            let Some((_, Reverse(nonce), owner)) = worst else {
                return Err(Refusal::Full { rate: standing.rate(), ready: standing.is_ready() });
            };
            count -= 1;
            held -= self.queues[owner].entries()[nonce].transaction.bytes();
            victims.push(*owner);
        }
        Ok(victims)
    }

    /// The key of the plot that a transaction without a fee is about.
    fn check_unpaid(&self, transaction: &CheckedTransaction, view: &impl PoolView) -> Result<Hash, Fault<Refusal>> {
        let payload = &transaction.get().payload;
        let plot_key = match payload {
            Payload::RegisterPlot(_) | Payload::ActivatePlot(_) => transaction.plot_key(),
            _ => None,
        };
        let plot_key = plot_key.ok_or(Refusal::NoSender { kind: payload.name() })?;
        self.unpaid.check(transaction, plot_key)?;
        judge(payload, view)?;
        Ok(plot_key)
    }
}

fn judge(payload: &Payload, view: &impl PoolView) -> Result<(), Fault<Refusal>> {
    view.judge(payload).map_err(|fault| match fault {
        Fault::Rule(error) => Refusal::Judged(error).into(),
        Fault::State(error) => Fault::State(error),
    })
}
