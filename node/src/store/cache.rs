//! Values of the tip's state that were read or written lately: most blocks touch the same few.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::Database;
use super::versions::{Held, StoredState};
use crate::chain::Height;
use crate::state::{Changes, StateError, StateKey, StateReader};

/// Most values: those of several full blocks, in some 16 MiB.
const MAX_VALUES: NonZeroUsize = NonZeroUsize::new(1 << 16).expect("it is not zero");

/// What keys hold in the state after the tip.
#[derive(Debug)]
pub(crate) struct TipValues(Mutex<LruCache<StateKey, Held>>);

impl Default for TipValues {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_VALUES)))
    }
}

impl TipValues {
    fn held(&self) -> MutexGuard<'_, LruCache<StateKey, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tip is another block that does not follow the one before.
    pub(crate) fn clear(&self) {
        self.held().clear();
    }

    /// The tip is the next block, which made these changes.
    pub(crate) fn advance(&self, tip: Height, changes: Changes) {
        let mut held = self.held();
        for (key, value) in changes {
            held.put(key, Some((tip, value)));
        }
    }
}

/// The tip's state, through what is remembered of it.
#[derive(Debug)]
pub(crate) struct TipState<'a, D> {
    pub(crate) stored: StoredState<'a, D>,
    pub(crate) values: &'a TipValues,
}

impl<D: Database> TipState<'_, D> {
    /// What `key` holds.
    pub(crate) fn held(&self, key: &StateKey) -> Result<Held, StateError> {
        if let Some(held) = self.values.held().get(key) {
            return Ok(held.clone());
        }
        let held = self.stored.held(key)?;
        self.values.held().put(*key, held.clone());
        Ok(held)
    }
}

impl<D: Database> StateReader for TipState<'_, D> {
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.held(key)?.and_then(|(_, value)| value))
    }
}
