//! A record that lasts as long as anybody holds it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{KEPT_EPOCHS, RecordError, SigningRecord};
use crate::chain::{BlockId, Epoch, Hash, MinerKey};

/// What was signed on one chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Signed {
    /// The latest epoch that is forgotten.
    pub(super) forgotten: Option<Epoch>,
    pub(super) epochs: BTreeMap<Epoch, Hash>,
}

impl Signed {
    /// Whether the header of `digest` may be signed, and whether it was before.
    pub(super) fn check(&self, epoch: Epoch, digest: &Hash) -> Result<bool, RecordError> {
        match (self.epochs.get(&epoch), self.forgotten) {
            (Some(signed), _) if signed == digest => Ok(true),
            (Some(&signed), _) => Err(RecordError::Other { epoch, signed, asked: *digest }),
            (None, Some(through)) if epoch <= through => Err(RecordError::Forgotten { epoch, through }),
            (None, _) => Ok(false),
        }
    }

    /// Takes in what may be signed, and forgets what is older than the latest [`KEPT_EPOCHS`].
    pub(super) fn insert(&mut self, epoch: Epoch, digest: Hash) {
        self.epochs.insert(epoch, digest);
        while self.epochs.len() > KEPT_EPOCHS {
            let (oldest, _) = self.epochs.pop_first().expect("it holds more than one");
            self.forgotten = self.forgotten.max(Some(oldest));
        }
    }
}

/// A record in memory, for tests: clones are one and the same, so that it outlasts the miner that is killed.
#[derive(Clone, Debug, Default)]
pub struct MemoryRecord(Arc<Mutex<BTreeMap<(BlockId, MinerKey), Signed>>>);

impl SigningRecord for MemoryRecord {
    fn remember(&mut self, genesis: &BlockId, key: &MinerKey, epoch: Epoch, digest: &Hash) -> Result<(), RecordError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let signed = all.entry((*genesis, *key)).or_default();
        if !signed.check(epoch, digest)? {
            signed.insert(epoch, *digest);
        }
        Ok(())
    }

    fn remembered(&self, genesis: &BlockId, key: &MinerKey, epoch: Epoch) -> Option<Hash> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(*genesis, *key))?.epochs.get(&epoch).copied()
    }
}
