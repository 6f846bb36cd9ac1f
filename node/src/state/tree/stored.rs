//! Nodes in a database: column `Tree`, keys as in [`NodeKey`], values as in [`Node`].

use super::{Node, NodeKey, NodeReader, TreeError, TreeUpdate, Version};
use crate::store::{Batch, Column, Database};

/// Nodes of a database.
#[derive(Clone, Copy)]
pub struct StoredNodes<'a, D: ?Sized>(pub &'a D);

impl<D: Database + ?Sized> NodeReader for StoredNodes<'_, D> {
    fn node(&self, key: &NodeKey) -> Result<Option<Node>, TreeError> {
        self.0.get(Column::Tree, &key.encode())?.map(|bytes| Node::decode(key, &bytes)).transpose()
    }
}

/// Adds an update's nodes to `batch`. Its stale nodes stay, so that older versions do: see [`delete_nodes`].
pub fn write_nodes(batch: &mut Batch, update: &TreeUpdate) {
    for (key, node) in &update.nodes {
        batch.put(Column::Tree, key.encode(), node.encode());
    }
}

/// Removes all versions above `version`: nothing of an earlier one points to them.
pub fn delete_versions_above(batch: &mut Batch, version: Version) {
    if let Some(first) = version.checked_add(1) {
        // Longer than any node's key, and so behind the last of the last version.
        batch.delete_range(Column::Tree, first.to_be_bytes(), [0xff; NodeKey::MAX_BYTES + 1]);
    }
}

/// Removes nodes: those that an update left stale, once versions before it are no longer needed.
pub fn delete_nodes<'a>(batch: &mut Batch, stale: impl IntoIterator<Item = &'a NodeKey>) {
    for key in stale {
        batch.delete(Column::Tree, key.encode());
    }
}
