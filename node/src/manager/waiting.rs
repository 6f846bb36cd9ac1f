//! Blocks that cannot be judged yet: their parent is unknown, or their branch
//! is too light for the dear checks. Of the latter the headers are remembered where there is no room for bodies, so
//! that a branch of any size is seen to have become heavy, and its blocks are taken when they come again.

use std::collections::{HashMap, VecDeque};

use crate::chain::{Block, BlockId};
use crate::consensus::{Lineage, Weight};

/// Most blocks that wait: more than the deepest fork of any chain holds, several times.
const MAX_BLOCKS: usize = 4096;
/// Most bytes that they may have together, unless another limit is set.
const MAX_BYTES: usize = 64 << 20;

/// A block that waits.
#[derive(Debug)]
struct Entry {
    block: Block,
    bytes: usize,
}

/// A header that waits for more weight on its branch, whether there was room for its body or not.
#[derive(Debug)]
struct Light {
    lineage: Lineage,
    /// The greatest weight of it and those known to stand on it.
    heaviest: Weight,
}

/// Blocks that wait, the oldest of which make room for new ones.
#[derive(Debug)]
pub(super) struct Waiting {
    entries: HashMap<BlockId, Entry>,
    children: HashMap<BlockId, Vec<BlockId>>,
    /// In the order in which they came; those that have left are skipped.
    order: VecDeque<BlockId>,
    bytes: usize,
    max_bytes: usize,
    lights: HashMap<BlockId, Light>,
    /// As `order`, of the lights.
    light_order: VecDeque<BlockId>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            children: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            max_bytes: MAX_BYTES,
            lights: HashMap::new(),
            light_order: VecDeque::new(),
        }
    }
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, id: &BlockId) -> bool {
        self.entries.contains_key(id)
    }

    /// Lets blocks have this many bytes together.
    pub(super) fn limit(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
        self.make_room();
    }

    /// What a block that waits for weight leaves to its children.
    pub(super) fn light(&self, id: &BlockId) -> Option<&Lineage> {
        Some(&self.lights.get(id)?.lineage)
    }

    /// The greatest weight known of the branches with a block that waits for weight.
    pub(super) fn heaviest(&self, id: &BlockId) -> Weight {
        self.lights.get(id).map_or(Weight::ZERO, |light| light.heaviest)
    }

    /// The lowest of `id` and the blocks below it that wait for weight whose body there was no room for.
    pub(super) fn missing_below(&self, id: &BlockId) -> Option<BlockId> {
        let (mut next, mut missing) = (*id, None);
        while let Some(light) = self.lights.get(&next) {
            if !self.contains(&next) {
                missing = Some(next);
            }
            next = light.lineage.parent;
        }
        missing
    }

    /// The block waits for weight no more.
    pub(super) fn forget_light(&mut self, id: &BlockId) {
        self.lights.remove(id);
    }

    fn note_light(&mut self, lineage: Lineage) {
        let Lineage { id, parent, weight, .. } = lineage;
        self.lights.entry(id).or_insert_with(|| {
            self.light_order.push_back(id);
            Light { lineage, heaviest: weight }
        });
        let mut below = parent;
        while let Some(light) = self.lights.get_mut(&below).filter(|light| light.heaviest < weight) {
            light.heaviest = weight;
            below = light.lineage.parent;
        }
        self.make_room_for_lights();
    }

    /// Notes that the branch of these headers is as heavy as `heaviest`, before their blocks have come.
    pub(super) fn note_heavy<'a>(&mut self, lineages: impl IntoIterator<Item = &'a Lineage>, heaviest: Weight) {
        for lineage in lineages {
            let id = lineage.id;
            let light = self.lights.entry(id).or_insert_with(|| {
                self.light_order.push_back(id);
                Light { lineage: lineage.clone(), heaviest }
            });
            light.heaviest = light.heaviest.max(heaviest);
        }
        self.make_room_for_lights();
    }

    fn make_room_for_lights(&mut self) {
        while self.lights.len() > MAX_BLOCKS {
            let Some(oldest) = self.light_order.pop_front() else { break };
            self.lights.remove(&oldest);
        }
        if self.light_order.len() > 2 * MAX_BLOCKS {
            self.light_order.retain(|id| self.lights.contains_key(id));
        }
    }

    /// `lineage` is what the block leaves to its children, where its parent is known and only weight is missing.
    pub(super) fn insert(&mut self, id: BlockId, block: Block, lineage: Option<Lineage>) {
        if let Some(lineage) = lineage {
            self.note_light(lineage);
        }
        if self.contains(&id) {
            return;
        }
        let bytes = block.encoded_len();
        self.children.entry(block.header.parent).or_default().push(id);
        self.entries.insert(id, Entry { block, bytes });
        self.order.push_back(id);
        self.bytes += bytes;
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.entries.len() > MAX_BLOCKS || self.bytes > self.max_bytes {
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

    /// Whether any block that waits stands directly on `parent`.
    pub(super) fn has_children(&self, parent: &BlockId) -> bool {
        self.children.contains_key(parent)
    }

    /// Takes out all that stand directly on `parent`, in the order in which they came.
    pub(super) fn take_children(&mut self, parent: &BlockId) -> Vec<Block> {
        let children = self.children.get(parent).cloned().unwrap_or_default();
        children.iter().filter_map(|id| self.remove(id)).collect()
    }

    /// As [`Self::take_children`], without those that were judged and found too light.
    pub(super) fn take_orphans(&mut self, parent: &BlockId) -> Vec<Block> {
        let mut children = self.children.get(parent).cloned().unwrap_or_default();
        children.retain(|id| !self.lights.contains_key(id));
        children.iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Takes out all that stand on `ancestor`, however far above, and says their ids.
    pub(super) fn drop_descendants(&mut self, ancestor: &BlockId) -> Vec<BlockId> {
        let (mut dropped, mut next) = (Vec::new(), vec![*ancestor]);
        while let Some(parent) = next.pop() {
            for block in self.take_children(&parent) {
                let id = block.id();
                self.lights.remove(&id);
                dropped.push(id);
                next.push(id);
            }
        }
        dropped
    }
}
