//! Parsed keys, so that one which signs again and again is checked once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{BlsError, MinerKey, PublicKey};

/// Most keys a [`KeyCache`] holds: those of the miners of far more blocks than a fork may be
/// deep, in about 1 MiB.
pub const MAX_CACHED_KEYS: usize = 4096;

/// Remembers good public keys, the [`MAX_CACHED_KEYS`] / 2 last used at least. Bad ones are
/// not remembered: they would let anybody push the good ones out. May be shared by threads.
#[derive(Debug, Default)]
pub struct KeyCache {
    generations: Mutex<Generations>,
}

/// What was used since the last turn, and what was used before. When the young are
/// half the bound, they become the old, and the old are forgotten.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<MinerKey, PublicKey>,
    old: HashMap<MinerKey, PublicKey>,
}

impl KeyCache {
    /// A cache without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// [`PublicKey::parse`], or what it gave before.
    ///
    /// # Errors
    /// As [`PublicKey::parse`].
    pub fn parse(&self, key: &MinerKey) -> Result<PublicKey, BlsError> {
        if let Some(known) = self.lock().get(key) {
            return Ok(known);
        }
        // Outside the lock: two threads may do the same work once, none waits for another's.
        let parsed = PublicKey::parse(key)?;
        self.lock().insert(parsed);
        Ok(parsed)
    }

    /// How many keys are held.
    #[must_use]
    pub fn len(&self) -> usize {
        let generations = self.lock();
        generations.young.len() + generations.old.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // Every key in the maps is good, wherever a thread may have panicked.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&mut self, key: &MinerKey) -> Option<PublicKey> {
        if let Some(known) = self.young.get(key) {
            return Some(*known);
        }
        let known = self.old.remove(key)?;
        self.insert(known);
        Some(known)
    }

    fn insert(&mut self, key: PublicKey) {
        self.old.remove(&key.bytes);
        self.young.insert(key.bytes, key);
        if self.young.len() >= MAX_CACHED_KEYS / 2 {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::bls::SecretKey;

    #[test]
    fn the_cache_gives_what_parsing_gives_within_its_bound() {
        let cache = KeyCache::new();
        let good = SecretKey::from_ikm(&[1; 32]).public_key();
        assert!(cache.is_empty());
        assert_eq!(cache.parse(&good.to_bytes()), Ok(good));
        let mut infinity = MinerKey::ZERO;
        infinity.0[0] = 0xc0;
        assert_eq!(cache.parse(&infinity), Err(BlsError::KeyIsInfinity));
        assert_eq!(cache.len(), 1, "bad keys are not held");
        let point = SecretKey::from_ikm(&[2; 32]).public_key().point;
        for n in 0..3 * MAX_CACHED_KEYS as u64 {
            // Stand-ins that nobody could parse: the cache looks at the bytes alone.
            let mut bytes = MinerKey::ZERO;
            bytes.0[..8].copy_from_slice(&n.to_le_bytes());
            cache.lock().insert(PublicKey { bytes, point });
            assert!(cache.len() <= MAX_CACHED_KEYS);
            if n % 1000 == 0 {
                assert!(cache.lock().get(&good.to_bytes()).is_some(), "what is used stays");
            }
        }
        let mut first = MinerKey::ZERO;
        first.0[0] = 1;
        assert!(cache.lock().get(&first).is_none(), "what is not used goes");
    }
}
