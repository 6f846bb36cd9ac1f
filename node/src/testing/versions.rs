//! The states of a whole tree of blocks in memory: of each value and node, which block made it.

use std::collections::HashMap;

use crate::state::tree::{Node, NodeKey, NodeReader, TreeError, TreeUpdate};
use crate::state::{Changes, StateError, StateKey, StateReader};

/// A block by the order in which blocks were added; genesis is 0.
pub(super) type Index = usize;

/// What a block made, and which.
type Made<T> = (Index, T);

/// What one block replaced.
#[derive(Debug, Default)]
struct Undo {
    keys: Vec<StateKey>,
    stale: Vec<NodeKey>,
}

/// Who descends from whom, and what each block made.
#[derive(Debug, Default)]
pub(super) struct Versions {
    heights: Vec<u64>,
    parents: Vec<Index>,
    /// An ancestor far enough up that any is found in logarithmically many steps.
    jumps: Vec<Index>,
    undo: Vec<Undo>,
    values: HashMap<StateKey, Vec<Made<Option<Vec<u8>>>>>,
    nodes: HashMap<NodeKey, Vec<Made<Node>>>,
    /// Only descendants of this block, and it, can still be read.
    oldest: Index,
}

impl Versions {
    /// Adds a block; the first has no parent.
    pub(super) fn add(&mut self, parent: Option<Index>, changes: &Changes, update: &TreeUpdate) -> Index {
        let index = self.heights.len();
        let parent = parent.unwrap_or(0);
        let (height, jump) = if index == 0 { (0, 0) } else { (self.heights[parent] + 1, self.jump_of(parent)) };
        self.heights.push(height);
        self.parents.push(parent);
        self.jumps.push(jump);
        for (key, value) in changes {
            self.values.entry(*key).or_default().push((index, value.clone()));
        }
        for (key, node) in &update.nodes {
            self.nodes.entry(*key).or_default().push((index, node.clone()));
        }
        self.undo.push(Undo { keys: changes.keys().copied().collect(), stale: update.stale.clone() });
        index
    }

    /// Myers, "An applicative random-access stack" (1983).
    fn jump_of(&self, parent: Index) -> Index {
        let near = self.jumps[parent];
        let far = self.jumps[near];
        let same = self.heights[parent] - self.heights[near] == self.heights[near] - self.heights[far];
        if same { far } else { parent }
    }

    /// The ancestor of `of` at `height`, which is not above it.
    pub(super) fn ancestor(&self, mut of: Index, height: u64) -> Index {
        while self.heights[of] > height {
            let jump = self.jumps[of];
            of = if self.heights[jump] >= height { jump } else { self.parents[of] };
        }
        of
    }

    fn descends(&self, from: Index, of: Index) -> bool {
        self.heights[of] <= self.heights[from] && self.ancestor(from, self.heights[of]) == of
    }

    /// Forgets what only blocks can see that do not descend from the ancestor of `tip` that is `keep` blocks up.
    pub(super) fn prune(&mut self, tip: Index, keep: u64) {
        let height = self.heights[tip].saturating_sub(keep);
        if height <= self.heights[self.oldest] || !self.descends(tip, self.oldest) {
            return;
        }
        let oldest = self.ancestor(tip, height);
        let mut at = oldest;
        while at != self.oldest {
            self.forget(at);
            at = self.parents[at];
        }
        self.oldest = oldest;
    }

    fn forget(&mut self, at: Index) {
        let Undo { keys, stale } = std::mem::take(&mut self.undo[at]);
        for key in keys {
            let Some(mut values) = self.values.remove(&key) else { continue };
            values.retain(|(index, value)| match *index == at {
                true => value.is_some(),
                false => !self.descends(at, *index),
            });
            if !values.is_empty() {
                self.values.insert(key, values);
            }
        }
        for key in stale {
            let owner = self.ancestor(at, key.version);
            let Some(nodes) = self.nodes.get_mut(&key) else { continue };
            nodes.retain(|(index, _)| *index != owner);
            if nodes.is_empty() {
                self.nodes.remove(&key);
            }
        }
    }

    /// The state of a block.
    ///
    /// # Panics
    /// If it was pruned.
    pub(super) fn at(&self, index: Index) -> StateAt<'_> {
        assert!(self.descends(index, self.oldest), "the state of this block was pruned");
        StateAt { versions: self, index }
    }
}

/// The state of one block, with its tree.
#[derive(Clone, Copy, Debug)]
pub struct StateAt<'a> {
    versions: &'a Versions,
    index: Index,
}

impl StateReader for StateAt<'_> {
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StateError> {
        let values = self.versions.values.get(key).map_or(&[][..], Vec::as_slice);
        // Blocks are added after their ancestors, so the last that is an ancestor is the nearest.
        let nearest = values.iter().rev().find(|(index, _)| self.versions.descends(self.index, *index));
        Ok(nearest.and_then(|(_, value)| value.clone()))
    }
}

impl NodeReader for StateAt<'_> {
    fn node(&self, key: &NodeKey) -> Result<Option<Node>, TreeError> {
        if key.version > self.versions.heights[self.index] {
            return Ok(None);
        }
        let owner = self.versions.ancestor(self.index, key.version);
        let nodes = self.versions.nodes.get(key).map_or(&[][..], Vec::as_slice);
        Ok(nodes.iter().find(|(index, _)| *index == owner).map(|(_, node)| node.clone()))
    }
}
