//! Reads everything once more, from the disk itself.

use std::path::Path;

use rocksdb::statistics::Ticker;
use rocksdb::{DB, IteratorMode};

use super::tuning::Tuning;
use super::{failed, reading};
use crate::store::{Column, DatabaseError};

/// Reads all tables in folder `path`, of which none may go meanwhile.
pub(super) fn verify(path: &Path) -> Result<(), DatabaseError> {
    Column::ALL.into_iter().try_for_each(|column| verify_column(path, column))
}

/// Each column by itself, so that damage which RocksDB passes over is known by its column at least.
fn verify_column(path: &Path, column: Column) -> Result<(), DatabaseError> {
    let options = Tuning::checking();
    let family = [(column.name(), options.clone())];
    let rocks = DB::open_cf_with_opts_for_read_only(&options, path, family, false).map_err(|e| failed(path, e))?;
    let family = rocks.cf_handle(column.name()).expect("the column was opened");
    for entry in rocks.iterator_cf_opt(family, reading(), IteratorMode::Start) {
        entry.map_err(|error| failed(path, error))?;
    }
    match options.get_ticker_count(Ticker::BlockChecksumMismatchCount) {
        0 => Ok(()),
        // It only makes reading slower; rewriting the tables makes it good.
        blocks => Err(DatabaseError::Corrupt {
            path: path.display().to_string(),
            reason: format!("column {}: checksums of {blocks} filters of its tables are wrong", column.name()),
        }),
    }
}
