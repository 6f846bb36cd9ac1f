//! What was signed: one header for one epoch, whatever the parent, remembered across restarts (PROTOCOL §7).

mod file;
mod memory;

use std::fmt::Debug;

use sha2::{Digest, Sha256};
use thiserror::Error;

pub use file::{FileRecord, OpenRecordError};
pub use memory::MemoryRecord;

use crate::chain::{BlockId, Epoch, Hash, Header, MinerKey};

/// Epochs of one key and chain that are remembered one by one; of those before it is known that they may not be
/// signed any more. An hour of the main chain: no honest node asks for one as old.
pub const KEPT_EPOCHS: usize = 360;

/// Remembers what was signed.
pub trait SigningRecord: Debug {
    /// Remembers that `key` signs the header of `digest` for `epoch`, and returns only when that would outlast a loss
    /// of power. The same again is no change.
    ///
    /// # Errors
    /// If another header was signed for the epoch, or may have been, or this could not be remembered: then nothing
    /// may be signed.
    fn remember(&mut self, genesis: &BlockId, key: &MinerKey, epoch: Epoch, digest: &Hash) -> Result<(), RecordError>;

    /// The header that was signed for an epoch, as far as that is remembered.
    fn remembered(&self, genesis: &BlockId, key: &MinerKey, epoch: Epoch) -> Option<Hash>;
}

/// Why a header may not be signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Another was.
    #[error("another header was signed for epoch {epoch}: {signed}, not {asked}")]
    Other {
        /// The epoch.
        epoch: Epoch,
        /// What was signed.
        signed: Hash,
        /// What was to be.
        asked: Hash,
    },
    /// The epoch is so long ago that what was signed for it is forgotten.
    #[error("epoch {epoch} is too long ago: what was signed up to epoch {through} is not remembered")]
    Forgotten {
        /// The epoch.
        epoch: Epoch,
        /// The latest that is forgotten.
        through: Epoch,
    },
    /// The record cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// What the record knows a header by: SHA-256 of what is signed.
#[must_use]
pub fn digest(genesis: &BlockId, header: &Header) -> Hash {
    Hash(Sha256::digest(header.signed_bytes(genesis)).into())
}
