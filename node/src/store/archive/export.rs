//! Writing a stretch of the best chain to a file.

use std::io::{self, BufWriter, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{ArchiveHead, ArchiveWriter};
use crate::chain::{BlockId, Height};
use crate::store::{Column, Database, Store, StoreError};
use crate::whole::{NotWritten, Unfinished};

/// Why blocks were not written.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The file cannot be written; what was written of it is gone.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There are no such blocks.
    #[error("heights {first} to {last}: the tip is at height {tip}, and genesis is part of no archive")]
    Range {
        /// The first that was asked for.
        first: Height,
        /// The last.
        last: Height,
        /// The tip's.
        tip: Height,
    },
    /// Their bodies were pruned.
    #[error("height {first}: its body was pruned, the oldest that is kept is of height {oldest}")]
    Pruned {
        /// The first that was asked for.
        first: Height,
        /// The oldest body.
        oldest: Height,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was told to stop.
    #[error("stopped before its end")]
    Stopped,
}

/// Writes the best chain's blocks of `heights` to `path`: under another name first, in the same folder, so that a file
/// of that name is always whole. `see` is told each height that is written, and stops it by `false`.
///
/// # Errors
/// If there are no such blocks, the store cannot be read or the file cannot be written.
pub fn export<D: Database>(
    store: &Store<D>,
    genesis: &BlockId,
    heights: RangeInclusive<Height>,
    path: &Path,
    mut see: impl FnMut(Height) -> bool,
) -> Result<(), ExportError> {
    let (first, last) = heights.into_inner();
    let tip = store.known_header(&store.tip()?)?.lineage.height;
    if first == Height(0) || first > last || last > tip {
        return Err(ExportError::Range { first, last, tip });
    }
    let oldest = store.oldest_body()?;
    if first < oldest {
        return Err(ExportError::Pruned { first, oldest });
    }
    let failed = |NotWritten { path, source, .. }| ExportError::Io { path, source };
    let unfinished = Unfinished::create(path).map_err(failed)?;
    let io = |source| ExportError::Io { path: unfinished.path.clone(), source };
    let head = ArchiveHead { genesis: *genesis, first, last };
    let mut archive = ArchiveWriter::begin(BufWriter::with_capacity(1 << 20, &unfinished.file), &head).map_err(io)?;
    for height in (first.0..=last.0).map(Height) {
        let missing = |column, key: &[u8]| StoreError::Missing { column, key: key.to_vec() };
        let id = store.id_at(height)?.ok_or_else(|| missing(Column::ByHeight, &height.0.to_be_bytes()))?;
        let block = store.block(&id)?.ok_or_else(|| missing(Column::Bodies, &id.0))?;
        archive.add(&block).map_err(io)?;
        if !see(height) {
            return Err(ExportError::Stopped);
        }
    }
    let mut writer = archive.finish().map_err(io)?;
    writer.flush().map_err(io)?;
    drop(writer);
    unfinished.finish(path).map_err(failed)
}
