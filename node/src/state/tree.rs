//! The Jellyfish Merkle tree over `sha256(kind || key)`, one version a block (PROTOCOL §10).
//!
//! Roots and proofs are those of crate `jmt` 0.12 with SHA-256, to which the tests compare them; nodes and updates
//! are our own: `jmt` lets nobody else build its nodes, reads values that we keep by their keys, and hashes the path
//! to the root once for every change instead of once for all.
//!
//! A subtree without leaves is the placeholder, one with a single leaf is that leaf, and any other is the hash of its
//! two halves. Four levels of it make one stored [`Node`]. A node belongs to the version that made it: an update
//! makes new nodes and names those it leaves [stale](TreeUpdate::stale), so that every version not pruned stays whole.

mod build;
mod check;
mod hash;
mod node;
mod overlay;
mod path;
mod stored;
mod update;

use thiserror::Error;

pub use build::{NotAscending, TreeBuilder};
pub use check::{TreeTotals, check};
pub use hash::{KeyHash, PLACEHOLDER, value_hash};
pub use node::{Child, Internal, Leaf, Node};
pub use overlay::{Layer, Overlay};
pub use path::{NodeKey, Path};
pub use stored::{StoredNodes, delete_nodes, delete_versions_above, write_nodes};
pub use update::{TreeUpdate, commit};

pub(crate) use hash::{inner_hash, leaf_hash};
pub(crate) use node::Span;

use crate::store::DatabaseError;

/// A version of the tree: the height of the block that made it.
pub type Version = u64;

/// Where nodes come from: a store, or a branch in memory over one.
pub trait NodeReader {
    /// The node at `key`, if there is one.
    ///
    /// # Errors
    /// If it cannot be read, or is not one.
    fn node(&self, key: &NodeKey) -> Result<Option<Node>, TreeError>;
}

impl<R: NodeReader + ?Sized> NodeReader for &R {
    fn node(&self, key: &NodeKey) -> Result<Option<Node>, TreeError> {
        (**self).node(key)
    }
}

/// Why the tree cannot be read or updated.
#[derive(Debug, Error)]
pub enum TreeError {
    /// The database below it fails.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// There is no tree of this version: it was never made, or was pruned.
    #[error("the state has no tree of version {version}")]
    MissingRoot {
        /// The version asked for.
        version: Version,
    },
    /// A node that others point to is not there.
    #[error("the state's tree lacks node {path} of version {version}")]
    Missing {
        /// The node's version.
        version: Version,
        /// The node's path.
        path: Path,
    },
    /// A node is not what it should be.
    #[error("the state's tree has a damaged node {path} of version {version}: {reason}")]
    Corrupt {
        /// The node's version.
        version: Version,
        /// The node's path.
        path: Path,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The parent's version is the last one that a number can hold.
    #[error("the state's tree has no version after {version}")]
    LastVersion {
        /// The parent's version.
        version: Version,
    },
}

impl TreeError {
    pub(crate) fn missing(key: &NodeKey) -> Self {
        Self::Missing { version: key.version, path: key.path }
    }

    pub(crate) fn corrupt(key: &NodeKey, reason: &'static str) -> Self {
        Self::Corrupt { version: key.version, path: key.path, reason }
    }
}

/// The root of the tree of `version`.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn root<R: NodeReader + ?Sized>(reader: &R, version: Version) -> Result<Node, TreeError> {
    reader.node(&NodeKey::root(version))?.ok_or(TreeError::MissingRoot { version })
}

/// The child that `parent`, the node at `key`, has at `nibble`, with its own key.
///
/// # Errors
/// If it is not there, cannot be read, or is not of the kind that its parent says.
pub(crate) fn read_child<R: NodeReader + ?Sized>(
    reader: &R,
    path: Path,
    child: &Child,
) -> Result<(NodeKey, Node), TreeError> {
    let key = NodeKey { version: child.version, path };
    let node = reader.node(&key)?.ok_or_else(|| TreeError::missing(&key))?;
    if matches!(node, Node::Leaf(_)) != child.is_leaf {
        return Err(TreeError::corrupt(&key, "its kind is not the one that its parent names"));
    }
    Ok((key, node))
}
