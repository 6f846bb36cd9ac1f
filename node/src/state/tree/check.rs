//! Walks a whole version and hashes it anew.

use super::{Child, Leaf, Node, NodeKey, NodeReader, TreeError, Version};
use super::{read_child, root};
use crate::chain::Hash;

/// What a version of the tree is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeTotals {
    /// The root's hash.
    pub root: Option<Hash>,
    /// Leaves, which is keys.
    pub leaves: u64,
    /// Internal nodes.
    pub internals: u64,
    /// Nibbles of the longest path.
    pub depth: usize,
}

/// Walks the tree of `version`, shows each leaf to `see`, ascending, and compares every node with what its parent says
/// of it.
///
/// # Errors
/// At the first node that is not there, cannot be read or is not what it should be, or as `see` says.
pub fn check<R: NodeReader + ?Sized, E: From<TreeError>>(
    reader: &R,
    version: Version,
    see: &mut dyn FnMut(&NodeKey, &Leaf) -> Result<(), E>,
) -> Result<TreeTotals, E> {
    let key = NodeKey::root(version);
    let node = root(reader, version)?;
    let mut totals = TreeTotals { root: Some(node.hash()), ..TreeTotals::default() };
    walk(reader, key, &node, see, &mut totals)?;
    Ok(totals)
}

fn walk<R: NodeReader + ?Sized, E: From<TreeError>>(
    reader: &R,
    key: NodeKey,
    node: &Node,
    see: &mut dyn FnMut(&NodeKey, &Leaf) -> Result<(), E>,
    totals: &mut TreeTotals,
) -> Result<(), E> {
    totals.depth = totals.depth.max(key.path.len());
    match node {
        Node::Empty => Ok(()),
        Node::Leaf(leaf) => {
            totals.leaves += 1;
            see(&key, leaf)
        }
        Node::Internal(node) => {
            totals.internals += 1;
            let children = node.slots().into_iter().enumerate();
            for (nibble, child) in children.filter_map(|(nibble, child)| Some((nibble, child?))) {
                let (key, node) = read_child(reader, key.path.child(nibble), &child)?;
                compare(&key, &node, &child)?;
                walk(reader, key, &node, see, totals)?;
            }
            Ok(())
        }
    }
}

fn compare(key: &NodeKey, node: &Node, child: &Child) -> Result<(), TreeError> {
    if node.hash() == child.hash {
        Ok(())
    } else {
        Err(TreeError::corrupt(key, "its hash is not the one that its parent names"))
    }
}
