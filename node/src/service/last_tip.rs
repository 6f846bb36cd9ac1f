//! Where the best chain ended when that was last written down. A store that ends below has lost something: RocksDB reads
//! its log as far as it is whole, and says nothing of what lies behind.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::chain::{BlockId, Height};
use crate::consensus::Lineage;
use crate::manager::ChainManager;
use crate::store::{Database, StoreError};
use crate::whole::{self, NotWritten};

/// A height, a blank and an id are below that.
const MAX_BYTES: u64 = 128;

/// Writes down where the chain ends, or says why not: nothing depends on it.
pub(super) fn save(path: &Path, tip: &Lineage) {
    let written = whole::write(path, format!("{} {}\n", tip.height, tip.id).as_bytes());
    if let Err(NotWritten { path, action, source }) = written {
        tracing::error!(error = %source, "{}: {action}", path.display());
    }
}

/// What was written down, if anything was that can be read: nothing depends on it but a warning.
fn load(path: &Path) -> Option<(Height, BlockId)> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    let (height, id) = text.trim_end().split_once(' ')?;
    Some((Height(height.parse().ok()?), BlockId(const_hex::decode_to_array(id).ok()?)))
}

/// The height at which the chain ended, if the store ends below and knows nothing of that block.
pub(super) fn lost<D: Database>(path: &Path, chain: &ChainManager<D>) -> Result<Option<Height>, StoreError> {
    let Some((height, id)) = load(path).filter(|(height, _)| *height > chain.tip().height) else { return Ok(None) };
    // A branch with fewer blocks may have taken over since.
    Ok(if chain.store().header(&id)?.is_some() { None } else { Some(height) })
}
