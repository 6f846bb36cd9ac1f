//! Stops writing before the disk is full: a database that runs out of room in the middle of its own work is harder to
//! bring back than one that was told to stop.

use std::io;
use std::path::{Path, PathBuf};

use super::database::{Batch, Column, Database, DatabaseError, Entry, Operation, Visit};

/// What a store keeps free beside what it writes: room for the tables that RocksDB rewrites before it drops the old
/// ones, and for its log.
pub const KEEP_FREE_BYTES: u64 = 1 << 30;

/// Bytes that are free for us on the file system of a folder; on systems that we cannot ask, as many as there can be.
///
/// # Errors
/// If the file system does not say.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    #[cfg(unix)]
    {
        let stat = rustix::fs::statvfs(folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
    #[cfg(not(unix))]
    {
        std::fs::metadata(folder).map(|_| u64::MAX)
    }
}

/// A database that refuses to write when the room left would be less than what is kept free. Reading goes on.
#[derive(Debug)]
pub struct SpaceGuard<D, P = fn(&Path) -> io::Result<u64>> {
    inner: D,
    folder: PathBuf,
    keep_free_bytes: u64,
    probe: P,
}

impl<D: Database> SpaceGuard<D> {
    /// Guards `inner`, which writes to the file system of `folder`.
    #[must_use]
    pub fn new(inner: D, folder: &Path, keep_free_bytes: u64) -> Self {
        Self::with_probe(inner, folder, keep_free_bytes, free_bytes)
    }
}

impl<D: Database, P: Fn(&Path) -> io::Result<u64>> SpaceGuard<D, P> {
    /// Guards `inner` by what `probe` says is free, in bytes.
    #[must_use]
    pub fn with_probe(inner: D, folder: &Path, keep_free_bytes: u64, probe: P) -> Self {
        Self { inner, folder: folder.to_owned(), keep_free_bytes, probe }
    }

    /// The database that is guarded.
    pub const fn inner(&self) -> &D {
        &self.inner
    }

    /// Whether `bytes` more may be written.
    fn check(&self, bytes: u64) -> Result<(), DatabaseError> {
        let path = || self.folder.display().to_string();
        let free_bytes = (self.probe)(&self.folder)
            .map_err(|error| DatabaseError::Io { path: path(), reason: format!("free space: {error}") })?;
        let needed_bytes = self.keep_free_bytes.saturating_add(bytes);
        if free_bytes < needed_bytes {
            return Err(DatabaseError::NoSpace { path: path(), free_bytes, needed_bytes });
        }
        Ok(())
    }
}

/// Bytes that a batch adds at most, but for what the database itself needs.
fn batch_bytes(batch: &Batch) -> u64 {
    let bytes = batch.0.iter().map(|operation| match operation {
        Operation::Put(_, key, value) => key.len() + value.len(),
        Operation::Delete(_, key) => key.len(),
        Operation::DeleteRange(_, from, to) => from.len() + to.len(),
    });
    bytes.sum::<usize>() as u64
}

impl<D: Database, P: Fn(&Path) -> io::Result<u64> + Send + Sync> Database for SpaceGuard<D, P> {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.inner.get(column, key)
    }

    fn first_from(&self, column: Column, from: &[u8]) -> Result<Option<Entry>, DatabaseError> {
        self.inner.first_from(column, from)
    }

    fn last_until(&self, column: Column, until: &[u8]) -> Result<Option<Entry>, DatabaseError> {
        self.inner.last_until(column, until)
    }

    fn scan(&self, column: Column, from: &[u8], to: Option<&[u8]>, see: &mut Visit<'_>) -> Result<(), DatabaseError> {
        self.inner.scan(column, from, to, see)
    }

    fn write(&self, batch: Batch) -> Result<(), DatabaseError> {
        self.check(batch_bytes(&batch))?;
        self.inner.write(batch)
    }
}
