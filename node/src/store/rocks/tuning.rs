//! What RocksDB is told. All memory that it may take has a bound here; together they stay far below the 512 MiB that a
//! node may have.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, DataBlockIndexType, LogLevel, Options};

use crate::store::Column;

/// Blocks of tables, with their indexes and filters, for all columns together.
const CACHE_BYTES: usize = 128 << 20;

/// What is written and not in tables yet, for all columns together.
const WRITE_BUFFER_BYTES: usize = 64 << 20;

/// What one column gathers before it makes a table.
const COLUMN_BUFFER_BYTES: usize = 16 << 20;

/// Buffers of a column: one being filled, others being written.
const COLUMN_BUFFERS: i32 = 3;

/// The log behind the buffers; beyond it the oldest buffers become tables.
const LOG_BYTES: u64 = 128 << 20;

/// Tables grow to this.
const TABLE_BYTES: u64 = 32 << 20;

/// Tables that are held open: most systems allow a process 1,024 files.
const OPEN_FILES: i32 = 512;

/// The list of tables is begun anew at this length.
const MANIFEST_BYTES: usize = 4 << 20;

/// RocksDB's diary: so many files, each at most so long.
const DIARY_FILES: usize = 3;
const DIARY_BYTES: usize = 2 << 20;

/// Bits of a filter for each key: one read in a hundred is in vain.
const FILTER_BITS: f64 = 10.0;

/// Blocks of columns that are read a key at a time, and of those that are read in runs or have large values.
const POINT_BLOCK_BYTES: usize = 4 << 10;
const RUN_BLOCK_BYTES: usize = 16 << 10;

/// Flushes and compactions at once.
const BACKGROUND_JOBS: i32 = 2;

/// Options that share one cache.
pub(super) struct Tuning {
    cache: Cache,
}

impl Tuning {
    pub(super) fn new() -> Self {
        Self { cache: Cache::new_lru_cache(CACHE_BYTES) }
    }

    /// For the database as a whole.
    pub(super) fn database(&self, create: bool) -> Options {
        let mut options = Options::default();
        options.create_if_missing(create);
        // The making of a database may have been interrupted between two of them.
        options.create_missing_column_families(true);
        options.set_paranoid_checks(true);
        options.set_atomic_flush(true);
        options.set_db_write_buffer_size(WRITE_BUFFER_BYTES);
        options.set_max_total_wal_size(LOG_BYTES);
        // A log that breaks off, as a process killed while writing leaves it, counts up to there: a prefix of batches.
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        options.set_max_manifest_file_size(MANIFEST_BYTES);
        options.set_max_open_files(OPEN_FILES);
        options.set_max_background_jobs(BACKGROUND_JOBS);
        options.set_keep_log_file_num(DIARY_FILES);
        options.set_max_log_file_size(DIARY_BYTES);
        options.set_log_level(LogLevel::Warn);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        options.set_bytes_per_sync(1 << 20);
        options
    }

    /// For one column.
    pub(super) fn column(&self, column: Column) -> Options {
        let mut options = Options::default();
        options.set_write_buffer_size(COLUMN_BUFFER_BYTES);
        options.set_max_write_buffer_number(COLUMN_BUFFERS);
        options.set_target_file_size_base(TABLE_BYTES);
        if column == Column::Tree {
            // Nodes are hashes, which nothing compresses.
            options.set_compression_type(DBCompressionType::None);
        } else {
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_bottommost_compression_type(DBCompressionType::Zstd);
        }
        options.set_block_based_table_factory(&self.tables(column));
        options
    }

    fn tables(&self, column: Column) -> BlockBasedOptions {
        let mut tables = BlockBasedOptions::default();
        tables.set_block_cache(&self.cache);
        tables.set_cache_index_and_filter_blocks(true);
        tables.set_cache_index_and_filter_blocks_with_high_priority(true);
        tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
        match column {
            Column::Headers | Column::Transactions | Column::Tree | Column::Undo | Column::Meta => {
                tables.set_block_size(POINT_BLOCK_BYTES);
                tables.set_bloom_filter(FILTER_BITS, false);
                tables.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
            }
            Column::Bodies => {
                tables.set_block_size(RUN_BLOCK_BYTES);
                tables.set_bloom_filter(FILTER_BITS, false);
            }
            // The newest version of a key is the first entry from it on: sought, never asked for by its whole key.
            Column::State | Column::Registry => tables.set_block_size(POINT_BLOCK_BYTES),
            Column::ByHeight | Column::ByTime => tables.set_block_size(RUN_BLOCK_BYTES),
        }
        tables
    }

    /// For a second look at the same files: nothing comes from a cache, filters and indexes are read with their table,
    /// and blocks whose checksum is wrong are counted, even where RocksDB can do without them.
    pub(super) fn checking() -> Options {
        let mut tables = BlockBasedOptions::default();
        tables.disable_cache();
        tables.set_cache_index_and_filter_blocks(false);
        tables.set_bloom_filter(FILTER_BITS, false);
        let mut options = Options::default();
        options.set_paranoid_checks(true);
        options.set_max_open_files(OPEN_FILES);
        options.set_keep_log_file_num(DIARY_FILES);
        options.set_log_level(LogLevel::Warn);
        options.set_block_based_table_factory(&tables);
        options.enable_statistics();
        options
    }
}
