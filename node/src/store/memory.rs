//! A database in memory: what light clients and the tests of the rules run on.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::database::{Batch, Column, Database, DatabaseError, Entry, Operation, Visit};

/// What stands where other databases name their folder.
const PATH: &str = "(memory)";

/// Columns in memory. It can be told to fail, so that tests see what a failing disk does to whoever writes.
#[derive(Debug, Default)]
pub struct MemoryDatabase(RwLock<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    columns: BTreeMap<Column, BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Writes that still succeed before one fails.
    writes_left: Option<u64>,
    /// Reads fail while it is set.
    unreadable: bool,
    /// Writes after which reads begin to fail.
    readable_writes: Option<u64>,
}

impl MemoryDatabase {
    /// An empty database.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `after` more writes succeed and the one after them fail, doing nothing; later ones succeed again.
    pub fn fail_write(&self, after: u64) {
        self.exclusive().writes_left = Some(after);
    }

    /// Lets every read fail, or no longer.
    pub fn fail_reads(&self, fail: bool) {
        self.exclusive().unreadable = fail;
    }

    /// Lets every read fail once `writes` more writes have succeeded.
    pub fn fail_reads_after(&self, writes: u64) {
        self.exclusive().readable_writes = Some(writes);
    }

    /// A second database with the same contents, which no fault was injected into: what a restart would find.
    #[must_use]
    pub fn reopened(&self) -> Self {
        let columns = self.shared().columns.clone();
        Self(RwLock::new(Inner { columns, ..Inner::default() }))
    }

    /// Bytes of all keys and values of a column.
    #[must_use]
    pub fn bytes(&self, column: Column) -> u64 {
        let inner = self.shared();
        inner.columns.get(&column).into_iter().flatten().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    /// A batch is applied without a panic between, so a poisoned lock still guards whole batches.
    fn shared(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from one column, which may not have been written yet.
    fn read<T>(
        &self,
        column: Column,
        read: impl FnOnce(&BTreeMap<Vec<u8>, Vec<u8>>) -> Option<T>,
    ) -> Result<Option<T>, DatabaseError> {
        let inner = self.shared();
        if inner.unreadable {
            return Err(injected("reading"));
        }
        Ok(inner.columns.get(&column).and_then(read))
    }
}

fn injected(what: &str) -> DatabaseError {
    DatabaseError::Io { path: PATH.to_owned(), reason: format!("{what} was told to fail") }
}

fn owned((key, value): (&Vec<u8>, &Vec<u8>)) -> Entry {
    (key.clone(), value.clone())
}

impl Database for MemoryDatabase {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.read(column, |entries| entries.get(key).cloned())
    }

    fn first_from(&self, column: Column, from: &[u8]) -> Result<Option<Entry>, DatabaseError> {
        let range = (Bound::Included(from), Bound::Unbounded);
        self.read(column, |entries| entries.range::<[u8], _>(range).next().map(owned))
    }

    fn last_until(&self, column: Column, until: &[u8]) -> Result<Option<Entry>, DatabaseError> {
        let range = (Bound::Unbounded, Bound::Included(until));
        self.read(column, |entries| entries.range::<[u8], _>(range).next_back().map(owned))
    }

    /// The lock is held meanwhile: `see` must not write.
    fn scan(&self, column: Column, from: &[u8], to: Option<&[u8]>, see: &mut Visit<'_>) -> Result<(), DatabaseError> {
        self.read(column, |entries| {
            let seen = entries.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
            for (key, value) in seen.take_while(|(key, _)| to.is_none_or(|to| key.as_slice() < to)) {
                if see(key, value).is_break() {
                    break;
                }
            }
            None::<()>
        })?;
        Ok(())
    }

    fn write(&self, batch: Batch) -> Result<(), DatabaseError> {
        let mut inner = self.exclusive();
        match inner.writes_left {
            Some(0) => {
                inner.writes_left = None;
                return Err(injected("writing"));
            }
            Some(left) => inner.writes_left = Some(left - 1),
            None => {}
        }
        for operation in batch.0 {
            match operation {
                Operation::Put(column, key, value) => {
                    inner.columns.entry(column).or_default().insert(key, value);
                }
                Operation::Delete(column, key) => {
                    inner.columns.entry(column).or_default().remove(&key);
                }
                Operation::DeleteRange(column, from, to) => {
                    if from < to {
                        let entries = inner.columns.entry(column).or_default();
                        let mut rest = entries.split_off(&from);
                        let mut after = rest.split_off(&to);
                        entries.append(&mut after);
                    }
                }
            }
        }
        if let Some(left) = inner.readable_writes.take() {
            match left.saturating_sub(1) {
                0 => inner.unreadable = true,
                left => inner.readable_writes = Some(left),
            }
        }
        Ok(())
    }
}
