//! A small world for the pool: accounts whose state is whatever a test wants.

mod attacks;
mod model;
mod reorg;
mod rules;
mod saved;
mod selected;

use std::collections::{HashMap, HashSet};

use super::*;
use crate::chain::rules::TransactionError;
use crate::chain::{
    AccountKey, ActivatePlot, Amount, Capped, Evidence, Hash, Header, Height, MinerKey, Payload, RegisterPlot,
    Signatures, Transaction, Transfer,
};
use crate::consensus::Parameters;
use crate::state::Account;

/// The state of a tip.
#[derive(Clone, Debug, Default)]
struct World {
    accounts: HashMap<Address, Account>,
    /// Plots and miners for which nothing is let in.
    closed: HashSet<MinerKey>,
    /// The database is broken.
    broken: bool,
}

impl World {
    fn set(&mut self, name: u8, balance: u64, nonce: u64) {
        self.accounts.insert(address(name), Account { balance: Amount(balance), nonce });
    }

    fn with(accounts: &[(u8, u64)]) -> Self {
        let mut world = Self::default();
        for (name, balance) in accounts {
            world.set(*name, *balance, 0);
        }
        world
    }
}

impl PoolView for World {
    fn account(&self, address: Address) -> Result<Account, StateError> {
        match self.broken {
            true => Err(StateError::Sum { what: "everything" }),
            false => Ok(self.accounts.get(&address).copied().unwrap_or_default()),
        }
    }

    fn judge(&self, payload: &Payload) -> Result<(), Fault<TransactionError>> {
        let miner_key = match payload {
            Payload::Evidence(evidence) => evidence.first.miner_key,
            payload => *payload.signing_miner().unwrap_or(&MinerKey::ZERO),
        };
        match self.closed.contains(&miner_key) {
            true => Err(TransactionError::Barred { miner_key, height: Height(1) }.into()),
            false => Ok(()),
        }
    }
}

fn key(name: u8) -> AccountKey {
    AccountKey([name; 32])
}

fn address(name: u8) -> Address {
    key(name).address()
}

fn miner(name: u8) -> MinerKey {
    MinerKey([name; 48])
}

fn checked(sender: Option<u8>, nonce: u64, fee: u64, payload: Payload) -> CheckedTransaction {
    let transaction =
        Transaction { sender: sender.map(key), nonce, fee: Amount(fee), payload, signatures: Signatures::default() };
    CheckedTransaction::already_checked(transaction, &Parameters::local())
}

/// A transfer to somebody; `memo` bytes make it longer.
fn transfer_of(name: u8, nonce: u64, fee: u64, amount: u64, memo: usize) -> CheckedTransaction {
    let memo = Capped::new(vec![0; memo]).expect("short");
    let to = Address([9; 20]);
    checked(Some(name), nonce, fee, Payload::Transfer(Transfer { to, amount: Amount(amount), memo }))
}

fn transfer(name: u8, nonce: u64, fee: u64) -> CheckedTransaction {
    transfer_of(name, nonce, fee, 1, 0)
}

fn register(sender: Option<u8>, nonce: u64, fee: u64, plot: u8) -> CheckedTransaction {
    let (possession, seed) = (crate::chain::MinerSignature::ZERO, Hash([plot; 32]));
    let plot = RegisterPlot { miner_key: miner(plot), possession, seed, rows: 16, root: Hash::ZERO };
    checked(sender, nonce, fee, Payload::RegisterPlot(plot))
}

fn activate(sender: Option<u8>, nonce: u64, fee: u64, plot: u8) -> CheckedTransaction {
    let plot = ActivatePlot { miner_key: miner(plot), plot_key: Hash([plot; 32]), openings: Capped::default() };
    checked(sender, nonce, fee, Payload::ActivatePlot(plot))
}

fn evidence(name: u8, nonce: u64, fee: u64, against: u8, header: &Header) -> CheckedTransaction {
    let mut first = header.clone();
    first.miner_key = miner(against);
    let mut second = first.clone();
    second.timestamp_ms += 1;
    checked(Some(name), nonce, fee, Payload::Evidence(Box::new(Evidence { first, second })))
}

fn limits() -> Limits {
    Limits { transactions: 100, bytes: 100_000, floor: Fees { base: Amount(10), per_byte: Amount(0) } }
}

/// A pool in which everything that is known twice agrees.
fn check(pool: &Mempool) {
    let entries = || pool.queues.values().flat_map(|queue| queue.entries().values());
    let count = entries().count();
    assert_eq!(pool.ranks.len(), count);
    assert!(pool.queues.iter().all(|(at, queue)| queue.ranks(*at).all(|rank| pool.ranks.contains(&rank))));
    assert_eq!(pool.bytes, entries().map(|entry| entry.transaction.bytes()).sum::<usize>());
    assert_eq!(pool.unpaid.bytes(), pool.unpaid.iter().map(|transaction| transaction.bytes()).sum::<usize>());
    assert_eq!(pool.len(), count + pool.unpaid.iter().count());
    assert!(
        pool.iter().all(|transaction| pool.get(&transaction.id()).is_some_and(|held| held.id() == transaction.id()))
    );
    assert!(count <= pool.limits.transactions && pool.bytes <= pool.limits.bytes);
    for queue in pool.queues.values() {
        assert!(!queue.entries().is_empty() && queue.bytes() <= MAX_ACCOUNT_BYTES);
        let standings: Vec<_> = queue.entries().values().map(|entry| entry.standing).collect();
        assert!(standings.is_sorted_by(|before, after| before >= after), "standings never rise along a queue");
    }
}

fn insert(pool: &mut Mempool, transaction: CheckedTransaction, world: &World) -> Result<Inserted, Refusal> {
    let result = pool.insert(transaction, world).map_err(|fault| match fault {
        Fault::Rule(refusal) => refusal,
        Fault::State(error) => panic!("{error}"),
    });
    check(pool);
    result
}

/// Ids of what a pool holds.
fn ids(pool: &Mempool) -> HashSet<TransactionId> {
    pool.iter().map(|transaction| transaction.id()).collect()
}

fn room() -> Room {
    Room { bytes: 1 << 20, transactions: 4095, registrations: 4 }
}
