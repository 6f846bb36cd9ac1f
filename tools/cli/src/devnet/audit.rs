//! What the nodes have left on disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use spacetime_node::chain::{Amount, BlockId};
use spacetime_node::consensus::Specification;
use spacetime_node::state::{Ledger, genesis};
use spacetime_node::store::check::{Watch, check};
use spacetime_node::store::{RocksDatabase, RocksOptions, Store};

use crate::{Failure, FailureExt};

/// What a node's store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Audited {
    /// Where its chain ends.
    pub(super) tip: BlockId,
    /// The height of that.
    pub(super) height: u64,
    /// All that was ever issued.
    pub(super) issued: Amount,
    /// What of it was burnt.
    pub(super) burnt: Amount,
}

/// Reads all of the store of the node `name` in `data`: every root, every entry, and that what accounts and rewards come
/// to is what was issued less what was burnt.
///
/// # Errors
/// With code 3 if anything of it is wrong; if it cannot be read; with code 130 if it was told to stop.
pub(super) fn audit(
    name: &str,
    data: &Path,
    specification: &Specification,
    stop: &AtomicBool,
) -> Result<Audited, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{name}: its store cannot be read: {error}"));
    let options = RocksOptions { create: false, sync: true };
    let database = Arc::new(RocksDatabase::open(&data.join("chain"), options).map_err(|error| failed(&error))?);
    let watch = Watch { steps: &mut |_| (), stop };
    let report = match check(&database, specification, watch) {
        Ok(report) => report,
        Err(_) if stop.load(std::sync::atomic::Ordering::Relaxed) => {
            return Err(Failure::interrupted("stopped while the stores were checked"));
        }
        Err(error) => return Err(failed(&error)),
    };
    if let Some(first) = report.findings.first() {
        return Err(Failure::damaged(format!("{name}: its store is damaged in {} places: {first}", report.found)));
    }
    let genesis = genesis(specification).or_damaged()?;
    let (store, tip) = Store::open(database, &genesis).map_err(|error| failed(&error))?;
    let record = Ledger::new(store.state(tip.height)).chain().map_err(|error| failed(&error))?;
    Ok(Audited { tip: tip.id, height: tip.height.0, issued: record.issued, burnt: record.burnt })
}
