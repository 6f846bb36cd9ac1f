//! A whole version out of all its leaves, in their order, with no more in memory than one path.

use super::node::Internal;
use super::{Child, Leaf, Node, NodeKey, Path, Version};
use crate::chain::Hash;

/// An internal node on the way to the last leaf: its children so far.
type Slots = [Option<Child>; 16];

/// Makes the tree of leaves that come in ascending order of their keys. Each node is handed out as soon as it is known.
#[derive(Debug)]
pub struct TreeBuilder {
    version: Version,
    /// The internal nodes on the way to the last leaf, from the root down.
    way: Vec<Slots>,
    /// The last leaf: its place depends on the next one's.
    last: Option<Leaf>,
    leaves: u64,
}

/// Leaves that do not ascend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its key is not greater than the one before")]
pub struct NotAscending;

impl TreeBuilder {
    /// Of no leaf yet. All nodes belong to `version`.
    #[must_use]
    pub const fn new(version: Version) -> Self {
        Self { version, way: Vec::new(), last: None, leaves: 0 }
    }

    /// How many leaves came.
    #[must_use]
    pub const fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Adds the next leaf. `put` is handed the nodes that are known by it.
    ///
    /// # Errors
    /// If its key is not greater than the one before: then nothing was added.
    pub fn add(&mut self, leaf: Leaf, mut put: impl FnMut(NodeKey, Node)) -> Result<(), NotAscending> {
        if self.last.is_some_and(|last| last.key >= leaf.key) {
            return Err(NotAscending);
        }
        self.leaves += 1;
        let Some(last) = self.last.replace(leaf) else { return Ok(()) };
        let shared = last.key.common_bits(&leaf.key) / 4;
        while self.way.len() <= shared {
            self.way.push([None; 16]);
        }
        self.place(&last, shared, &mut put);
        Ok(())
    }

    /// Settles a leaf below the last node of its way, and closes the nodes below `shared`, which no further leaf reaches.
    fn place(&mut self, leaf: &Leaf, shared: usize, put: &mut impl FnMut(NodeKey, Node)) {
        let depth = self.way.len() - 1;
        let path = path_of(leaf, depth + 1);
        put(NodeKey { version: self.version, path }, Node::Leaf(*leaf));
        let mut child = Child { hash: leaf.hash(), version: self.version, is_leaf: true };
        for depth in (0..=depth).rev() {
            self.way[depth][leaf.key.nibble(depth)] = Some(child);
            if depth <= shared {
                break;
            }
            child = self.close(leaf, put);
        }
    }

    /// Finishes the last node on the way to `leaf`.
    fn close(&mut self, leaf: &Leaf, put: &mut impl FnMut(NodeKey, Node)) -> Child {
        let slots = self.way.pop().expect("there is a node on the way");
        let node = Internal::new(&slots);
        let child = Child { hash: node.hash(), version: self.version, is_leaf: false };
        put(NodeKey { version: self.version, path: path_of(leaf, self.way.len()) }, Node::Internal(node));
        child
    }

    /// Hands out the rest, the root at last, and says its hash.
    pub fn finish(mut self, mut put: impl FnMut(NodeKey, Node)) -> Hash {
        let key = NodeKey::root(self.version);
        let (Some(last), false) = (self.last, self.way.is_empty()) else {
            let node = self.last.map_or(Node::Empty, Node::Leaf);
            let hash = node.hash();
            put(key, node);
            return hash;
        };
        self.place(&last, 0, &mut put);
        self.close(&last, &mut put).hash
    }
}

/// The first nibbles of a leaf's key.
fn path_of(leaf: &Leaf, nibbles: usize) -> Path {
    (0..nibbles).fold(Path::ROOT, |path, depth| path.child(leaf.key.nibble(depth)))
}

#[cfg(test)]
mod tests {
    use super::super::{KeyHash, NodeReader, TreeError, commit};
    use super::*;
    use crate::state::tree::value_hash;

    struct Nothing;

    impl NodeReader for Nothing {
        fn node(&self, _: &NodeKey) -> Result<Option<Node>, TreeError> {
            Ok(None)
        }
    }

    fn built(leaves: &[(KeyHash, Vec<u8>)]) -> (Hash, Vec<(NodeKey, Node)>) {
        let (mut builder, mut nodes) = (TreeBuilder::new(0), Vec::new());
        for (key, value) in leaves {
            let leaf = Leaf { key: *key, value: value_hash(value) };
            builder.add(leaf, |key, node| nodes.push((key, node))).unwrap();
        }
        assert_eq!(builder.leaves(), leaves.len() as u64);
        let root = builder.finish(|key, node| nodes.push((key, node)));
        nodes.sort_unstable_by_key(|(key, _)| *key);
        (root, nodes)
    }

    fn compare(mut leaves: Vec<(KeyHash, Vec<u8>)>) {
        leaves.sort();
        leaves.dedup_by_key(|(key, _)| *key);
        let update = commit(&Nothing, None, leaves.iter().map(|(key, value)| (*key, Some(value)))).unwrap();
        let (root, nodes) = built(&leaves);
        assert_eq!(root, update.root, "{} leaves", leaves.len());
        assert!(nodes == update.nodes, "{} leaves", leaves.len());
    }

    #[test]
    fn it_is_the_tree_of_a_commit() {
        for count in (0..40).chain([255, 256, 257, 3000]) {
            compare((0..count).map(|n: u64| (KeyHash::of(2, &n.to_le_bytes()), vec![1, n as u8])).collect());
        }
        // Keys that share long beginnings: deep ways that are opened and closed.
        for seed in 0..200u64 {
            let key = |n: u64| {
                let mut key = [0; 32];
                let mix = (seed * 977 + n * 31) % 251;
                key[..4].copy_from_slice(&(0x1111_1111u32 >> (mix % 29)).to_be_bytes());
                key[(mix % 32) as usize] ^= (n % 7) as u8;
                key[31] ^= (mix % 3) as u8;
                KeyHash(key)
            };
            compare((0..1 + seed % 23).map(|n| (key(n), vec![n as u8])).collect());
        }
    }

    #[test]
    fn leaves_ascend() {
        let mut builder = TreeBuilder::new(0);
        let leaf = |byte| Leaf { key: KeyHash([byte; 32]), value: Hash([1; 32]) };
        builder.add(leaf(5), |_, _| {}).unwrap();
        assert_eq!(builder.add(leaf(5), |_, _| {}), Err(NotAscending));
        assert_eq!(builder.add(leaf(4), |_, _| {}), Err(NotAscending));
        builder.add(leaf(6), |_, _| {}).unwrap();
        assert_eq!(builder.leaves(), 2);
    }
}
