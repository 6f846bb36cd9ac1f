//! Everything that is kept, one write batch a block.
//!
//! * [`database`] is what the store asks of a database.
//! * [`blocks`] keeps headers, bodies and their indices, [`versions`] the states.
//! * [`mod@check`] walks all of it, [`archive`] is the file that blocks travel in, [`snapshot`] that of a whole state.
//! * [`open`] makes a store, and looks whether one is whole.

pub mod accounts;
pub mod archive;
pub mod blocks;
pub(crate) mod cache;
pub mod check;
pub mod database;
pub mod memory;
pub mod open;
#[cfg(feature = "rocksdb")]
pub mod rocks;
pub mod snapshot;
pub mod space;
pub mod versions;

use std::sync::Arc;

use thiserror::Error;

pub use accounts::Balance;
pub use blocks::{Body, StoredHeader};
pub use database::{Batch, Column, Database, DatabaseError, Entry, Operation, Visit};
pub use memory::MemoryDatabase;
pub use open::{FORMAT, OpenError};
#[cfg(feature = "rocksdb")]
pub use rocks::{RocksDatabase, RocksOptions};
pub use space::SpaceGuard;
pub use versions::{Changed, StoredState, Undo};

use crate::chain::{DecodeError, Height};
use crate::state::StateError;
use crate::state::tree::TreeError;

/// Blocks and states in a database. Reading needs no lock; only the chain manager writes.
#[derive(Debug)]
pub struct Store<D> {
    pub(crate) database: Arc<D>,
}

impl<D> Clone for Store<D> {
    fn clone(&self) -> Self {
        Self { database: Arc::clone(&self.database) }
    }
}

/// Why the store cannot answer: never a block's fault.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A value of the state is damaged.
    #[error(transparent)]
    State(StateError),
    /// A node of the state's tree is missing or damaged.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An entry is not what its key says.
    #[error("store: column {}: entry {}: {source}", column.name(), const_hex::encode(key))]
    Damaged {
        /// Where it is.
        column: Column,
        /// Its key.
        key: Vec<u8>,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// An entry is not there that another one points to.
    #[error("store: column {}: entry {} is missing", column.name(), const_hex::encode(key))]
    Missing {
        /// Where it should be.
        column: Column,
        /// Its key.
        key: Vec<u8>,
    },
    /// No state of that height is kept.
    #[error("store: height {height} is not among the states that are kept, those of heights {oldest} to {newest}")]
    NotKept {
        /// What was asked for.
        height: Height,
        /// The oldest there is.
        oldest: Height,
        /// The newest there is.
        newest: Height,
    },
    /// Entries contradict each other.
    #[error("store: column {}: entry {}: {reason}", column.name(), const_hex::encode(key))]
    Inconsistent {
        /// Where one of them is.
        column: Column,
        /// Its key.
        key: Vec<u8>,
        /// What does not fit.
        reason: String,
    },
}

impl From<StateError> for StoreError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Database(error) => Self::Database(error),
            error => Self::State(error),
        }
    }
}

impl StoreError {
    /// Whether it is the data that is wrong, and not the disk or its room.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::NotKept { .. } => false,
            Self::Database(error) | Self::Tree(TreeError::Database(error)) => {
                matches!(error, DatabaseError::Corrupt { .. })
            }
            _ => true,
        }
    }
}
