//! A side branch's versions in memory, over the store's.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Node, NodeKey, NodeReader, Path, TreeError, TreeUpdate, Version};

/// The nodes of one block's version, held in memory and shared by the branches that contain the block.
#[derive(Debug, Default)]
pub struct Layer(HashMap<Path, Node>);

impl Layer {
    /// The nodes that an update makes.
    #[must_use]
    pub fn new(update: &TreeUpdate) -> Self {
        Self(update.nodes.iter().map(|(key, node)| (key.path, node.clone())).collect())
    }
}

/// A branch that leaves the stored chain at a fork: nodes up to the fork's version are those of `base`, later ones its
/// own alone. Two branches have different nodes of one version and path, so they never look into each other's.
#[derive(Clone, Debug)]
pub struct Overlay<R> {
    base: R,
    fork: Version,
    /// One a version, beginning after the fork.
    layers: Vec<Arc<Layer>>,
}

impl<R: NodeReader> Overlay<R> {
    /// A branch from `fork`, the last version that it shares with `base`, with the layers of its blocks in order.
    #[must_use]
    pub const fn new(base: R, fork: Version, layers: Vec<Arc<Layer>>) -> Self {
        Self { base, fork, layers }
    }

    /// Adds the next block's layer.
    pub fn push(&mut self, layer: Arc<Layer>) {
        self.layers.push(layer);
    }

    /// The branch's last version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.fork.saturating_add(self.layers.len() as u64)
    }
}

impl<R: NodeReader> NodeReader for Overlay<R> {
    fn node(&self, key: &NodeKey) -> Result<Option<Node>, TreeError> {
        let Some(above) = key.version.checked_sub(self.fork).and_then(|above| above.checked_sub(1)) else {
            return self.base.node(key);
        };
        let layer = usize::try_from(above).ok().and_then(|above| self.layers.get(above));
        Ok(layer.and_then(|layer| layer.0.get(&key.path)).cloned())
    }
}
