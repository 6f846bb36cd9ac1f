//! What the tests of the tree and of its proofs share: random changes, and crate `jmt` to compare with.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::{BTreeMap, HashMap};

use jmt::storage::{LeafNode, Node, NodeKey, TreeReader};
use jmt::{JellyfishMerkleTree, OwnedValue, SimpleHasher};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use spacetime_node::state::tree::{KeyHash, Version};

/// A key and its new value, `None` to remove it.
pub(crate) type Change = (KeyHash, Option<Vec<u8>>);

/// Keys that share none, some, or all but the last of their nibbles.
pub(crate) fn key() -> impl Strategy<Value = KeyHash> {
    let ends = prop::sample::select(vec![0u8, 1, 2, 15, 16, 0x80, 0xff]);
    (prop::sample::select(vec![0usize, 1, 2, 15, 30, 31]), ends.clone(), ends).prop_map(|(at, byte, last)| {
        let mut key = [0; 32];
        key[at] = byte;
        key[31] ^= last;
        KeyHash(key)
    })
}

/// Few values, so that some changes change nothing; removals among them.
pub(crate) fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::weighted(0.6, prop::collection::vec(0..2u8, 0..2))
}

/// Up to `most` changes, some of one key.
pub(crate) fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((key(), value()), 0..most)
}

/// The changes that change something, the last of each key, by key.
pub(crate) fn effective(model: &BTreeMap<KeyHash, Vec<u8>>, changes: &[Change]) -> Vec<Change> {
    let last: BTreeMap<_, _> = changes.iter().cloned().collect();
    last.into_iter().filter(|(key, value)| model.get(key) != value.as_ref()).collect()
}

/// SHA-256 for `jmt`, by the `sha2` that the product uses.
pub(crate) struct Sha(Sha256);

impl SimpleHasher for Sha {
    fn new() -> Self {
        Self(Sha256::new())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// A tree of crate `jmt` in memory.
#[derive(Default)]
pub(crate) struct Jmt {
    nodes: HashMap<NodeKey, Node>,
    values: HashMap<(Version, jmt::KeyHash), Option<OwnedValue>>,
}

impl TreeReader for Jmt {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        Ok(self.nodes.get(key).cloned())
    }

    fn get_value_option(&self, most: Version, key: jmt::KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok((0..=most).rev().find_map(|version| self.values.get(&(version, key)).cloned()).flatten())
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        unimplemented!("only for restoring")
    }
}

impl Jmt {
    /// Makes a version, and returns its root.
    pub(crate) fn put(&mut self, version: Version, changes: &[Change]) -> [u8; 32] {
        let set = changes.iter().map(|(key, value)| (jmt::KeyHash(key.0), value.clone()));
        let tree = JellyfishMerkleTree::<_, Sha>::new(self);
        let (root, update) = tree.put_value_set(set, version).unwrap();
        self.nodes.extend(update.node_batch.nodes().clone());
        self.values.extend(update.node_batch.values().clone());
        root.0
    }

    /// How many nodes a version made.
    pub(crate) fn nodes_of(&self, version: Version) -> usize {
        self.nodes.keys().filter(|key| key.version() == version).count()
    }

    /// A proof as `jmt` makes it.
    pub(crate) fn prove(&self, version: Version, key: KeyHash) -> jmt::proof::SparseMerkleProof<Sha> {
        JellyfishMerkleTree::<_, Sha>::new(self).get_with_proof(jmt::KeyHash(key.0), version).unwrap().1
    }
}
