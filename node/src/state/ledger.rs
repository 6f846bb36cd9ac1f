//! A block's view of its parent's state, and what it changes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use thiserror::Error;

use super::key::StateKey;
use super::values::{Account, BeaconEntry, ChainRecord, PlotRecord, Rewards, Value};
use crate::chain::{Address, Amount, DecodeError, Hash, Height, MinerKey};
use crate::store::DatabaseError;

/// Why the state cannot be used: never a block's fault.
#[derive(Debug, Error)]
pub enum StateError {
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A value is not what its key says.
    #[error("state: value of {key:?} is damaged: {source}")]
    Damaged {
        /// Whose value.
        key: StateKey,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A value's first byte says neither that it is there nor that it was removed.
    #[error("state: value of {key:?} is damaged: unknown marker")]
    Marker {
        /// Whose value.
        key: StateKey,
    },
    /// A value is not there that every state has.
    #[error("state: {key:?} is missing")]
    Missing {
        /// Whose value.
        key: StateKey,
    },
    /// A sum that the rules keep below 2^64 is not.
    #[error("state: {what} exceeds 2^64: the state is damaged")]
    Sum {
        /// Which sum.
        what: &'static str,
    },
}

/// Values of one state.
pub trait StateReader {
    /// The encoded value of `key`.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StateError>;
}

impl<R: StateReader + ?Sized> StateReader for &R {
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StateError> {
        (**self).read(key)
    }
}

/// What a block changes: encoded values by key, none where one is removed.
pub type Changes = BTreeMap<StateKey, Option<Vec<u8>>>;

/// What is known of one key: its value in the parent's state, and as it is now.
#[derive(Debug)]
struct Slot {
    before: Option<Vec<u8>>,
    now: Option<Value>,
    written: bool,
}

/// The parent's state with changes over it.
#[derive(Debug)]
pub struct Ledger<R> {
    base: R,
    slots: HashMap<StateKey, Slot>,
}

/// Getters of one kind of value each.
macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty)?) -> $value:ty, $variant:ident, $key:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// If the state cannot be read.
        pub fn $name(&mut self $(, $arg: $type)?) -> Result<Option<$value>, StateError> {
            Ok(self.get(&$key)?.map(|value| match value {
                Value::$variant(value) => value.clone(),
                _ => unreachable!("values are decoded by their keys' kind"),
            }))
        }
    )*};
}

impl<R: StateReader> Ledger<R> {
    /// Nothing changed yet.
    pub fn new(base: R) -> Self {
        Self { base, slots: HashMap::new() }
    }

    fn slot(&mut self, key: &StateKey) -> Result<&mut Slot, StateError> {
        match self.slots.entry(*key) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let before = self.base.read(key)?;
                let now = before
                    .as_deref()
                    .map(|bytes| Value::decode(key, bytes))
                    .transpose()
                    .map_err(|source| StateError::Damaged { key: *key, source })?;
                Ok(entry.insert(Slot { before, now, written: false }))
            }
        }
    }

    /// The value of `key` as it is now.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn get(&mut self, key: &StateKey) -> Result<Option<&Value>, StateError> {
        Ok(self.slot(key)?.now.as_ref())
    }

    /// Sets the value of `key`, or removes it.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn set(&mut self, key: &StateKey, value: Option<Value>) -> Result<(), StateError> {
        let slot = self.slot(key)?;
        slot.now = value;
        slot.written = true;
        Ok(())
    }

    getters! {
        /// An account, if it ever had a credit.
        account(address: Address) -> Account, Account, StateKey::Account(address);
        /// A plot, if it was ever registered.
        plot(plot_key: Hash) -> PlotRecord, Plot, StateKey::Plot(plot_key);
        /// The height at which a miner was barred, if it is.
        barred(miner_key: MinerKey) -> Height, Barred, StateKey::Barred(miner_key);
        /// The first block of the n-th group that had one.
        beacon(number: u64) -> BeaconEntry, Beacon, StateKey::Beacon(number);
        /// The rewards of the block at a height, while they are immature.
        rewards(height: Height) -> Rewards, Rewards, StateKey::Rewards(height);
        /// Supply, difficulty and beacon; only a state before genesis has none.
        chain_record() -> ChainRecord, Chain, StateKey::Chain;
    }

    /// Supply, difficulty and beacon.
    ///
    /// # Errors
    /// If the state cannot be read, or has none.
    pub fn chain(&mut self) -> Result<ChainRecord, StateError> {
        self.chain_record()?.ok_or(StateError::Missing { key: StateKey::Chain })
    }

    /// Adds to an account, which comes into being if it was not there.
    ///
    /// # Errors
    /// If the state cannot be read, or the sum has no room, which no supply allows.
    pub fn credit(&mut self, address: Address, amount: Amount) -> Result<(), StateError> {
        let mut account = self.account(address)?.unwrap_or_default();
        account.balance = account.balance.checked_add(amount).ok_or(StateError::Sum { what: "a balance" })?;
        self.set(&StateKey::Account(address), Some(Value::Account(account)))
    }

    /// All that is different now.
    #[must_use]
    pub fn into_changes(self) -> Changes {
        let written = self.slots.into_iter().filter(|(_, slot)| slot.written);
        let changed = written.filter_map(|(key, slot)| {
            let now = slot.now.map(|value| value.encode());
            (now != slot.before).then_some((key, now))
        });
        changed.collect()
    }
}
