//! A manager over memory, and what is asked of it.

use std::ops::ControlFlow;
use std::sync::Arc;

use spacetime_node::chain::{Block, BlockId, Hash};
use spacetime_node::manager::{ChainManager, Options, Outcome, Verdict};
use spacetime_node::store::{Column, Database, Entry, MemoryDatabase};
use spacetime_node::testing::Fabric;

pub(crate) type Manager = ChainManager<MemoryDatabase>;

/// Long after every block that a test makes.
pub(crate) const LATER_MS: u64 = 4_000_000_000_000;

pub(crate) fn open(fabric: &Fabric, database: &Arc<MemoryDatabase>) -> Manager {
    let specification = Arc::new(fabric.specification.clone());
    ChainManager::open(specification, database.clone(), [3; 32], Options::default()).expect("the store is good")
}

pub(crate) fn fresh(fabric: &Fabric) -> (Manager, Arc<MemoryDatabase>) {
    let database = Arc::new(MemoryDatabase::new());
    (open(fabric, &database), database)
}

pub(crate) fn blocks<'a>(fabric: &Fabric, ids: impl IntoIterator<Item = &'a BlockId>) -> Vec<Block> {
    ids.into_iter().map(|id| fabric.block(id).clone()).collect()
}

/// A clock that finds the chain synced: it stands in the block's epoch.
pub(crate) fn clock_at(fabric: &Fabric, id: &BlockId) -> u64 {
    fabric.made(id).lineage.timestamp_ms
}

pub(crate) fn submit(manager: &mut Manager, blocks: Vec<Block>, now_ms: u64) -> Outcome {
    manager.submit(blocks, now_ms).expect("memory can be read and written")
}

/// Submits one block, and says what became of it.
pub(crate) fn verdict(manager: &mut Manager, block: &Block, now_ms: u64) -> Verdict {
    let id = block.id();
    let outcome = submit(manager, vec![block.clone()], now_ms);
    outcome.verdicts.into_iter().find(|(of, _)| *of == id).expect("each block has a verdict").1
}

pub(crate) fn state_root(manager: &Manager) -> Hash {
    manager.store().known_header(&manager.tip().id).expect("the tip is there").header.state_root
}

/// All that a database holds.
pub(crate) fn dump(database: &MemoryDatabase) -> Vec<(Column, Vec<Entry>)> {
    Column::ALL
        .into_iter()
        .map(|column| {
            let mut entries = Vec::new();
            let mut see = |key: &[u8], value: &[u8]| {
                entries.push((key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            };
            database.scan(column, &[], None, &mut see).expect("memory can be read");
            (column, entries)
        })
        .collect()
}

/// The columns of [`dump`] that the best chain alone decides: not those of blocks beside it.
pub(crate) fn decided(database: &MemoryDatabase) -> Vec<(Column, Vec<Entry>)> {
    let beside = [Column::Headers, Column::Bodies, Column::ByHeight];
    dump(database).into_iter().filter(|(column, _)| !beside.contains(column)).collect()
}
