//! What the store asks of a database: sorted columns of bytes, read at will
//! and written in batches that are done whole or not at all.

use std::ops::ControlFlow;
use std::sync::Arc;

use thiserror::Error;

/// A column of sorted keys and values. Their contents are described beside the code that writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// Headers, their proofs and what they leave behind, by block id.
    Headers,
    /// Transactions and metadata, by block id.
    Bodies,
    /// Ids of the best chain, by height.
    ByHeight,
    /// Heights of the best chain, by timestamp.
    ByTime,
    /// Where transactions of the best chain are, by id.
    Transactions,
    /// Values of the state but for plots, by key and version.
    State,
    /// Nodes of the state's tree, by version and path.
    Tree,
    /// What each block changed, by height: what rollback removes and pruning may forget.
    Undo,
    /// Plots, by plot key and version.
    Registry,
    /// A few facts about the store itself.
    Meta,
}

impl Column {
    /// All columns.
    pub const ALL: [Self; 10] = [
        Self::Headers,
        Self::Bodies,
        Self::ByHeight,
        Self::ByTime,
        Self::Transactions,
        Self::State,
        Self::Tree,
        Self::Undo,
        Self::Registry,
        Self::Meta,
    ];

    /// Its name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Bodies => "bodies",
            Self::ByHeight => "by_height",
            Self::ByTime => "by_time",
            Self::Transactions => "transactions",
            Self::State => "state",
            Self::Tree => "tree",
            Self::Undo => "undo",
            Self::Registry => "registry",
            Self::Meta => "meta",
        }
    }
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// What a scan shows each key and value to.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sets a key's value.
    Put(Column, Vec<u8>, Vec<u8>),
    /// Removes a key, if it is there.
    Delete(Column, Vec<u8>),
    /// Removes all keys from the first, included, to the second, excluded.
    DeleteRange(Column, Vec<u8>, Vec<u8>),
}

/// Changes that are done together, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(pub Vec<Operation>);

impl Batch {
    /// Sets a key's value.
    pub fn put(&mut self, column: Column, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.0.push(Operation::Put(column, key.into(), value.into()));
    }

    /// Removes a key, if it is there.
    pub fn delete(&mut self, column: Column, key: impl Into<Vec<u8>>) {
        self.0.push(Operation::Delete(column, key.into()));
    }

    /// Removes all keys from `from`, included, to `to`, excluded.
    pub fn delete_range(&mut self, column: Column, from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) {
        self.0.push(Operation::DeleteRange(column, from.into(), to.into()));
    }
}

/// Why a database cannot do what it was asked.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// Reading or writing failed; damage that the database itself finds is `Corrupt`.
    #[error("database {path}: {reason}")]
    Io {
        /// Folder of the database.
        path: String,
        /// What the database says.
        reason: String,
    },
    /// There is none, and none was to be made.
    #[error("database {path}: there is none")]
    Missing {
        /// Folder of the database.
        path: String,
    },
    /// Another process, or another part of this one, holds it.
    #[error("database {path}: in use by another process")]
    Locked {
        /// Folder of the database.
        path: String,
    },
    /// A checksum or a value on disk is wrong.
    #[error("database {path}: damaged: {reason}")]
    Corrupt {
        /// Folder of the database.
        path: String,
        /// What is damaged, and how it was noticed.
        reason: String,
    },
    /// Less room is left than the guard asks for; nothing was written.
    #[error(
        "database {path}: {free_bytes} bytes are free, {needed_bytes} are kept free: stopped before the disk is full"
    )]
    NoSpace {
        /// Folder of the database.
        path: String,
        /// Free on its file system.
        free_bytes: u64,
        /// What the guard asks for.
        needed_bytes: u64,
    },
}

/// Sorted columns. Readers may run beside the one writer and see whole batches only.
pub trait Database: Send + Sync {
    /// The value of `key`.
    ///
    /// # Errors
    /// If it cannot be read.
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError>;

    /// The first entry whose key is `from` or greater.
    ///
    /// # Errors
    /// If it cannot be read.
    fn first_from(&self, column: Column, from: &[u8]) -> Result<Option<Entry>, DatabaseError>;

    /// The last entry whose key is `until` or less.
    ///
    /// # Errors
    /// If it cannot be read.
    fn last_until(&self, column: Column, until: &[u8]) -> Result<Option<Entry>, DatabaseError>;

    /// Shows entries from `from`, included, to `to`, excluded (to the end without one), ascending, until `see` breaks.
    ///
    /// # Errors
    /// If they cannot be read.
    fn scan(&self, column: Column, from: &[u8], to: Option<&[u8]>, see: &mut Visit<'_>) -> Result<(), DatabaseError>;

    /// Does all of `batch`, or nothing.
    ///
    /// # Errors
    /// If it cannot be written; nothing of it is then seen, now or after a restart.
    fn write(&self, batch: Batch) -> Result<(), DatabaseError>;
}

/// A shared database is one too.
impl<D: Database + ?Sized> Database for Arc<D> {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        (**self).get(column, key)
    }

    fn first_from(&self, column: Column, from: &[u8]) -> Result<Option<Entry>, DatabaseError> {
        (**self).first_from(column, from)
    }

    fn last_until(&self, column: Column, until: &[u8]) -> Result<Option<Entry>, DatabaseError> {
        (**self).last_until(column, until)
    }

    fn scan(&self, column: Column, from: &[u8], to: Option<&[u8]>, see: &mut Visit<'_>) -> Result<(), DatabaseError> {
        (**self).scan(column, from, to, see)
    }

    fn write(&self, batch: Batch) -> Result<(), DatabaseError> {
        (**self).write(batch)
    }
}
