//! The database on disk, on RocksDB: one column family a [`Column`].
//!
//! A batch is written to RocksDB's log and then seen as a whole, or not at all, whatever happens to the process. With
//! [`sync`](RocksOptions::sync) it is on disk when [`write`](Database::write) returns; without, a power failure (not
//! the end of the process alone) may take the latest batches away, always the last ones first.

mod check;
mod manifest;
mod tuning;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::{
    BottommostLevelCompaction, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB, ErrorKind, ReadOptions,
    WriteBatch, WriteOptions, properties,
};

use super::database::{Batch, Column, Database, DatabaseError, Entry, Operation, Visit};

/// How a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RocksOptions {
    /// Whether to make one where there is none. Otherwise that is an error.
    pub create: bool,
    /// Whether each batch waits until it is on disk. Off for bulk imports, which can begin again.
    pub sync: bool,
}

/// What a column takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnStats {
    /// The column.
    pub column: Column,
    /// Its keys, as RocksDB estimates them.
    pub keys: u64,
    /// Bytes of its tables on disk.
    pub table_bytes: u64,
    /// Its tables on disk.
    pub tables: u64,
    /// Bytes in memory that are not in a table yet.
    pub memory_bytes: u64,
}

/// What a database takes up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RocksStats {
    /// By column.
    pub columns: Vec<ColumnStats>,
    /// Bytes of blocks in the cache that all columns share.
    pub cache_bytes: u64,
}

/// A database in a folder, held by one process.
pub struct RocksDatabase {
    rocks: DB,
    path: PathBuf,
    sync: AtomicBool,
    /// Made once: RocksDB would allocate one for every read.
    reading: ReadOptions,
}

impl std::fmt::Debug for RocksDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksDatabase").field("path", &self.path).field("sync", &self.sync).finish_non_exhaustive()
    }
}

impl RocksDatabase {
    /// Opens the database in folder `path`, and replays its log.
    ///
    /// # Errors
    /// If there is none and none shall be made, another process holds it, or it is damaged or cannot be read.
    pub fn open(path: &Path, options: RocksOptions) -> Result<Self, DatabaseError> {
        if !path.join("CURRENT").exists() {
            // Without it, and without anything written, its making was interrupted: it begins anew.
            let shown = path.display().to_string();
            if std::fs::read_dir(path)
                .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| holds_contents(&entry))))
            {
                let reason = "CURRENT, which names the manifest, is not there".to_owned();
                return Err(DatabaseError::Corrupt { path: shown, reason });
            }
            if !options.create {
                return Err(DatabaseError::Missing { path: shown });
            }
        } else {
            manifest::check(path)?;
        }
        let tuning = tuning::Tuning::new();
        let families = Column::ALL.map(|column| ColumnFamilyDescriptor::new(column.name(), tuning.column(column)));
        let rocks = DB::open_cf_descriptors(&tuning.database(options.create), path, families)
            .map_err(|error| failed(path, error))?;
        Ok(Self { rocks, path: path.to_owned(), sync: AtomicBool::new(options.sync), reading: reading() })
    }

    /// Whether batches from now on wait until they are on disk. Turning it on puts all earlier ones there.
    ///
    /// # Errors
    /// If they cannot be put there.
    pub fn set_sync(&self, sync: bool) -> Result<(), DatabaseError> {
        self.sync.store(sync, Ordering::Release);
        if sync { self.done(self.rocks.flush_wal(true)) } else { Ok(()) }
    }

    /// What it takes up.
    ///
    /// # Errors
    /// If RocksDB does not say.
    pub fn stats(&self) -> Result<RocksStats, DatabaseError> {
        let mut columns = Vec::with_capacity(Column::ALL.len());
        for column in Column::ALL {
            let family = self.family(column);
            let metadata = self.rocks.get_column_family_metadata_cf(family);
            let property =
                |name| self.done(self.rocks.property_int_value_cf(family, name)).map(Option::unwrap_or_default);
            columns.push(ColumnStats {
                column,
                keys: property(properties::ESTIMATE_NUM_KEYS)?,
                table_bytes: metadata.size,
                tables: metadata.file_count as u64,
                memory_bytes: property(properties::CUR_SIZE_ALL_MEM_TABLES)?,
            });
        }
        let cache = self.rocks.property_int_value_cf(self.family(Column::Meta), properties::BLOCK_CACHE_USAGE);
        Ok(RocksStats { columns, cache_bytes: self.done(cache)?.unwrap_or_default() })
    }

    /// Rewrites all tables, which gives the room of what was removed back to the file system.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn compact(&self) -> Result<(), DatabaseError> {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.flush()?;
        for column in Column::ALL {
            self.rocks.compact_range_cf_opt(self.family(column), None::<&[u8]>, None::<&[u8]>, &options);
        }
        // A compaction reports nothing by itself; after a failed one nothing can be written.
        self.flush_column(Column::Meta)
    }

    /// Puts everything written so far into tables.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn flush(&self) -> Result<(), DatabaseError> {
        Column::ALL.into_iter().try_for_each(|column| self.flush_column(column))
    }

    fn flush_column(&self, column: Column) -> Result<(), DatabaseError> {
        self.done(self.rocks.flush_cf(self.family(column)))
    }

    /// Reads every block of every table from the disk, whatever is in the cache, and compares it with its checksum.
    ///
    /// # Errors
    /// If one is damaged or cannot be read.
    pub fn verify(&self) -> Result<(), DatabaseError> {
        // Tables must not go while they are read.
        self.done(self.rocks.disable_file_deletions())?;
        let verified = check::verify(&self.path);
        self.done(self.rocks.enable_file_deletions())?;
        verified
    }

    fn family(&self, column: Column) -> &ColumnFamily {
        self.rocks.cf_handle(column.name()).expect("every column was opened")
    }

    fn done<T>(&self, result: Result<T, rocksdb::Error>) -> Result<T, DatabaseError> {
        result.map_err(|error| failed(&self.path, error))
    }
}

/// Whether a folder's entry shows that something was written to a database here: a table, a log that is not empty, or any
/// list of tables but the first, which is there before CURRENT is.
fn holds_contents(entry: &std::fs::DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    let extension = Path::new(&*name).extension().unwrap_or_default();
    let log = extension == "log" && entry.metadata().is_ok_and(|file| file.len() > 0);
    log || extension == "sst" || name.starts_with("MANIFEST-") && name != "MANIFEST-000001"
}

/// How RocksDB says that another process has the lock, and that this one has it already.
const LOCKED: [&str; 2] = ["While lock file", "lock hold by current process"];

/// RocksDB's error in our words; its own name the file.
fn failed(path: &Path, error: rocksdb::Error) -> DatabaseError {
    let (path, kind, reason) = (path.display().to_string(), error.kind(), error.into_string());
    match kind {
        ErrorKind::Corruption => DatabaseError::Corrupt { path, reason },
        ErrorKind::IOError if reason.contains("No such file") => DatabaseError::Corrupt { path, reason },
        ErrorKind::IOError if LOCKED.iter().any(|locked| reason.contains(locked)) => DatabaseError::Locked { path },
        _ => DatabaseError::Io { path, reason },
    }
}

/// Reading checks checksums, and goes by key alone.
fn reading() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options.set_total_order_seek(true);
    options
}

impl Database for RocksDatabase {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.done(self.rocks.get_cf_opt(self.family(column), key, &self.reading))
    }

    fn first_from(&self, column: Column, from: &[u8]) -> Result<Option<Entry>, DatabaseError> {
        let mut entries = self.rocks.raw_iterator_cf_opt(self.family(column), reading());
        entries.seek(from);
        self.done(entries.status())?;
        Ok(entries.item().map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    fn last_until(&self, column: Column, until: &[u8]) -> Result<Option<Entry>, DatabaseError> {
        let mut entries = self.rocks.raw_iterator_cf_opt(self.family(column), reading());
        entries.seek_for_prev(until);
        self.done(entries.status())?;
        Ok(entries.item().map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    fn scan(&self, column: Column, from: &[u8], to: Option<&[u8]>, see: &mut Visit<'_>) -> Result<(), DatabaseError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let mut options = reading();
        if let Some(to) = to {
            options.set_iterate_upper_bound(to);
        }
        let mut entries = self.rocks.raw_iterator_cf_opt(self.family(column), options);
        entries.seek(from);
        while let Some((key, value)) = entries.item() {
            if see(key, value).is_break() {
                return Ok(());
            }
            entries.next();
        }
        self.done(entries.status())
    }

    fn write(&self, batch: Batch) -> Result<(), DatabaseError> {
        let mut changes = WriteBatch::default();
        for operation in &batch.0 {
            match operation {
                Operation::Put(column, key, value) => changes.put_cf(self.family(*column), key, value),
                Operation::Delete(column, key) => changes.delete_cf(self.family(*column), key),
                Operation::DeleteRange(column, from, to) if from < to => {
                    changes.delete_range_cf(self.family(*column), from, to);
                }
                Operation::DeleteRange(..) => {}
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(self.sync.load(Ordering::Acquire));
        self.done(self.rocks.write_opt(changes, &options))
    }
}
