//! Taking a transaction: the rules of the pool, cheapest first.

use std::cmp::Reverse;
use std::sync::Arc;

use super::queue::{Entry, Queue, Standing};
use super::{CheckedTransaction, Inserted, MAX_TRANSACTION_BYTES, Mempool, Place, PoolView, Refusal};
use crate::chain::{Address, Amount, Payload};
use crate::consensus::Fees;
use crate::state::Fault;

impl Mempool {
    /// Takes a transaction, if the tip's state and the bounds let it.
    ///
    /// # Errors
    /// The rule of the pool that it breaks, which may be kept at the next tip; or the state cannot be
    /// read. Nothing is changed then, but that what is stale in the account's queue is gone.
    pub fn insert(
        &mut self,
        transaction: CheckedTransaction,
        view: &impl PoolView,
    ) -> Result<Inserted, Fault<Refusal>> {
        let id = transaction.id();
        if self.contains(&id) {
            return Err(Refusal::Known { id }.into());
        }
        let (bytes, limit) = (transaction.bytes(), MAX_TRANSACTION_BYTES);
        if bytes > limit {
            return Err(Refusal::TooLong { bytes, limit }.into());
        }
        match transaction.get().sender_address() {
            Some(address) => self.insert_paid(address, transaction, view),
            None => self.insert_unpaid(transaction, view),
        }
    }

    fn insert_paid(
        &mut self,
        address: Address,
        transaction: CheckedTransaction,
        view: &impl PoolView,
    ) -> Result<Inserted, Fault<Refusal>> {
        self.check_floor(&transaction)?;
        let account = view.account(address)?;
        let mut inserted = Inserted::default();
        self.change_queue(address, &mut inserted.dropped, |queue| queue.settle(account));

        let (id, nonce, bytes) = (transaction.id(), transaction.get().nonce, transaction.bytes());
        let mut queue = self.queues.get(&address).cloned().unwrap_or_else(|| Queue::new(account));
        let transaction = Arc::new(transaction);
        let gone = queue.insert(Entry::new(Arc::clone(&transaction), self.tips))?;
        let standing = queue.entries()[&nonce].standing;
        let freed = (gone.iter().count(), gone.bytes());
        let victims = self.victims(address, standing, bytes, freed)?;
        // The dearest question comes last.
        judge(&transaction, view)?;
        for victim in victims {
            self.change_queue(victim, &mut inserted.dropped, Queue::pop);
        }
        inserted.replaced = gone.replaced.map(|entry| entry.transaction.id());
        self.change_queue(address, &mut inserted.dropped, |old| {
            *old = queue;
            gone.unpayable
        });
        if let Some(replaced) = inserted.replaced {
            self.places.remove(&replaced);
        }
        self.places.insert(id, Place::Queue(address, nonce));
        Ok(inserted)
    }

    fn check_floor(&self, transaction: &CheckedTransaction) -> Result<(), Refusal> {
        let Fees { base, per_byte } = self.limits.floor;
        let (fee, bytes) = (transaction.get().fee, transaction.bytes());
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
            let worst = ranks.next().filter(|(worst, ..)| *worst < standing);
            let Some((_, Reverse(nonce), owner)) = worst else {
                return Err(Refusal::Full { rate: standing.rate(), ready: standing.is_ready() });
            };
            count -= 1;
            held -= self.queues[owner].entries()[nonce].transaction.bytes();
            victims.push(*owner);
        }
        Ok(victims)
    }

    fn insert_unpaid(
        &mut self,
        transaction: CheckedTransaction,
        view: &impl PoolView,
    ) -> Result<Inserted, Fault<Refusal>> {
        let id = transaction.id();
        let payload = &transaction.get().payload;
        let plot_key = match payload {
            Payload::RegisterPlot(_) | Payload::ActivatePlot(_) => transaction.plot_key(),
            _ => None,
        };
        let plot_key = plot_key.ok_or(Refusal::NoSender { kind: payload.name() })?;
        self.unpaid.check(&transaction, plot_key)?;
        judge(&transaction, view)?;
        let number = self.unpaid.push(Arc::new(transaction), plot_key, self.tips);
        self.places.insert(id, Place::Unpaid(number));
        Ok(Inserted::default())
    }
}

fn judge(transaction: &CheckedTransaction, view: &impl PoolView) -> Result<(), Fault<Refusal>> {
    view.judge(&transaction.get().payload).map_err(|fault| match fault {
        Fault::Rule(error) => Refusal::Judged(error).into(),
        Fault::State(error) => Fault::State(error),
    })
}
