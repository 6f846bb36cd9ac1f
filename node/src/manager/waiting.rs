//! Blocks that cannot be judged yet: their parent is unknown, or their branch
//! is too light for the dear checks.

use std::collections::{HashMap, VecDeque};

use crate::chain::{Block, BlockId};
use crate::consensus::Lineage;

/// Most blocks that wait: more than the deepest fork of any chain holds, several times.
const MAX_BLOCKS: usize = 4096;
/// Most bytes that they may have together.
const MAX_BYTES: usize = 64 << 20;

/// A block that waits.
#[derive(Debug)]
struct Entry {
    block: Block,
    bytes: usize,
    /// What it leaves to its children, where its parent is known and only weight is missing.
    lineage: Option<Lineage>,
}

/// Blocks that wait, the oldest of which make room for new ones.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    entries: HashMap<BlockId, Entry>,
    children: HashMap<BlockId, Vec<BlockId>>,
    /// In the order in which they came; those that have left are skipped.
    order: VecDeque<BlockId>,
    bytes: usize,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, id: &BlockId) -> bool {
        self.entries.contains_key(id)
    }

    /// What a block that waits for weight leaves to its children.
    pub(super) fn light(&self, id: &BlockId) -> Option<&Lineage> {
        self.entries.get(id)?.lineage.as_ref()
    }

    pub(super) fn insert(&mut self, id: BlockId, block: Block, lineage: Option<Lineage>) {
        if self.contains(&id) {
            return;
        }
        let bytes = block.encoded_len();
        self.children.entry(block.header.parent).or_default().push(id);
        self.entries.insert(id, Entry { block, bytes, lineage });
        self.order.push_back(id);
        self.bytes += bytes;
        while self.entries.len() > MAX_BLOCKS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.remove(&oldest);
        }
        if self.order.len() > 2 * MAX_BLOCKS {
            self.order.retain(|id| self.entries.contains_key(id));
        }
    }

    pub(super) fn remove(&mut self, id: &BlockId) -> Option<Block> {
        let entry = self.entries.remove(id)?;
        self.bytes -= entry.bytes;
        let parent = entry.block.header.parent;
        if let Some(siblings) = self.children.get_mut(&parent) {
            siblings.retain(|sibling| sibling != id);
            if siblings.is_empty() {
                self.children.remove(&parent);
            }
        }
        Some(entry.block)
    }

    /// Takes out all that stand directly on `parent`, in the order in which they came.
    pub(super) fn take_children(&mut self, parent: &BlockId) -> Vec<Block> {
        let children = self.children.get(parent).cloned().unwrap_or_default();
        children.iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Takes out all that stand on `ancestor`, however far above, and says their ids.
    pub(super) fn drop_descendants(&mut self, ancestor: &BlockId) -> Vec<BlockId> {
        let (mut dropped, mut next) = (Vec::new(), vec![*ancestor]);
        while let Some(parent) = next.pop() {
            for block in self.take_children(&parent) {
                let id = block.id();
                dropped.push(id);
                next.push(id);
            }
        }
        dropped
    }
}
