//! The next version of the tree: every node that changes is read, hashed and written once.

use std::collections::BTreeMap;

use super::{Child, Internal, KeyHash, Leaf, Node, NodeKey, NodeReader, Path, TreeError, Version};
use super::{read_child, root, value_hash};
use crate::chain::Hash;

/// What a new version of the tree adds and leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeUpdate {
    /// The new version.
    pub version: Version,
    /// Its root's hash.
    pub root: Hash,
    /// Its own nodes, by key; the root is always among them.
    pub nodes: Vec<(NodeKey, Node)>,
    /// Nodes of earlier versions that this one and later ones no longer need, by key.
    pub stale: Vec<NodeKey>,
}

/// Makes the version after `parent`, or version 0 without one, out of values by key, `None` removing a key. Of several
/// changes of one key the last counts; otherwise their order does not matter. Nothing is written.
///
/// # Errors
/// If the parent's tree is not there or cannot be read.
pub fn commit<R: NodeReader + ?Sized, V: AsRef<[u8]>>(
    reader: &R,
    parent: Option<Version>,
    changes: impl IntoIterator<Item = (KeyHash, Option<V>)>,
) -> Result<TreeUpdate, TreeError> {
    let version = match parent {
        None => 0,
        Some(version) => version.checked_add(1).ok_or(TreeError::LastVersion { version })?,
    };
    let changes: BTreeMap<_, _> =
        changes.into_iter().map(|(key, value)| (key, value.map(|value| value_hash(value.as_ref())))).collect();
    let changes: Vec<_> = changes.into_iter().map(|(key, value)| Change { key, value }).collect();
    let mut work = Work { reader, version, nodes: Vec::new(), stale: Vec::new() };
    let root = work.root(parent, &changes)?;
    let Work { mut nodes, mut stale, .. } = work;
    nodes.sort_unstable_by_key(|(key, _)| *key);
    stale.sort_unstable();
    Ok(TreeUpdate { version, root, nodes, stale })
}

/// What becomes of one key.
#[derive(Clone, Copy)]
struct Change {
    key: KeyHash,
    value: Option<Hash>,
}

/// A leaf whose place is not settled: it may rise, or sink, as others go and come.
#[derive(Clone, Copy)]
struct Held {
    leaf: Leaf,
    /// Where an earlier version has it already.
    stored: Option<NodeKey>,
}

impl Held {
    fn new(change: &Change) -> Option<Self> {
        change.value.map(|value| Self { leaf: Leaf { key: change.key, value }, stored: None })
    }
}

/// What a subtree has become.
enum Subtree {
    /// Nothing in it changed.
    Unchanged,
    /// No leaf is left.
    Empty,
    /// One leaf, still to be placed.
    Leaf(Held),
    /// Two or more, already among the new nodes.
    Internal(Child),
}

/// One of an internal node's sixteen places.
#[derive(Clone, Copy)]
enum Slot {
    /// Nothing.
    Empty,
    /// A node of an earlier version, or an internal one of this.
    Settled(Child),
    /// A leaf to be placed.
    Held(Held),
}

struct Work<'a, R: ?Sized> {
    reader: &'a R,
    version: Version,
    nodes: Vec<(NodeKey, Node)>,
    stale: Vec<NodeKey>,
}

impl<R: NodeReader + ?Sized> Work<'_, R> {
    /// Makes the new root, and returns its hash.
    fn root(&mut self, parent: Option<Version>, changes: &[Change]) -> Result<Hash, TreeError> {
        let subtree = match parent {
            None => self.build(Path::ROOT, &changes.iter().filter_map(Held::new).collect::<Vec<_>>())?,
            Some(parent) => {
                let (key, node) = (NodeKey::root(parent), root(self.reader, parent)?);
                match self.update(key, &node, changes)? {
                    Subtree::Unchanged => {
                        // Every version has a root of its own, so that it can be found.
                        let hash = node.hash();
                        self.stale.push(key);
                        self.nodes.push((NodeKey::root(self.version), node));
                        return Ok(hash);
                    }
                    subtree => subtree,
                }
            }
        };
        let node = match subtree {
            Subtree::Internal(child) => return Ok(child.hash),
            Subtree::Leaf(held) => {
                self.stale.extend(held.stored);
                Node::Leaf(held.leaf)
            }
            Subtree::Empty | Subtree::Unchanged => Node::Empty,
        };
        let hash = node.hash();
        self.nodes.push((NodeKey::root(self.version), node));
        Ok(hash)
    }

    /// Changes the subtree whose root `node` is stored at `key`.
    fn update(&mut self, key: NodeKey, node: &Node, changes: &[Change]) -> Result<Subtree, TreeError> {
        match node {
            Node::Empty => match self.build(key.path, &changes.iter().filter_map(Held::new).collect::<Vec<_>>())? {
                Subtree::Empty => Ok(Subtree::Unchanged),
                subtree => {
                    self.stale.push(key);
                    Ok(subtree)
                }
            },
            Node::Leaf(leaf) => self.update_leaf(key, leaf, changes),
            Node::Internal(node) => self.update_internal(key, node, changes),
        }
    }

    fn update_leaf(&mut self, key: NodeKey, leaf: &Leaf, changes: &[Change]) -> Result<Subtree, TreeError> {
        let mut held: Vec<_> = changes.iter().filter_map(Held::new).collect();
        match changes.binary_search_by_key(&leaf.key, |change| change.key) {
            Ok(at) if changes[at].value != Some(leaf.value) => self.stale.push(key),
            found => {
                let old = Held { leaf: *leaf, stored: Some(key) };
                match held.binary_search_by_key(&leaf.key, |held| held.leaf.key) {
                    Ok(at) => held[at] = old,
                    Err(at) => held.insert(at, old),
                }
                if held.len() == 1 {
                    debug_assert!(found.is_ok() || changes.iter().all(|change| change.value.is_none()));
                    return Ok(Subtree::Unchanged);
                }
            }
        }
        self.build(key.path, &held)
    }

    fn update_internal(&mut self, key: NodeKey, node: &Internal, changes: &[Change]) -> Result<Subtree, TreeError> {
        let depth = key.path.len();
        let mut slots = node.slots().map(|child| child.map_or(Slot::Empty, Slot::Settled));
        let mut changed = false;
        for group in changes.chunk_by(|a, b| a.key.nibble(depth) == b.key.nibble(depth)) {
            let nibble = group[0].key.nibble(depth);
            let path = key.path.child(nibble);
            let subtree = match node.child(nibble) {
                None => match self.build(path, &group.iter().filter_map(Held::new).collect::<Vec<_>>())? {
                    Subtree::Empty => Subtree::Unchanged,
                    subtree => subtree,
                },
                Some(child) => {
                    let (key, node) = read_child(self.reader, path, &child)?;
                    self.update(key, &node, group)?
                }
            };
            slots[nibble] = match subtree {
                Subtree::Unchanged => continue,
                Subtree::Empty => Slot::Empty,
                Subtree::Leaf(held) => Slot::Held(held),
                Subtree::Internal(child) => Slot::Settled(child),
            };
            changed = true;
        }
        if !changed {
            return Ok(Subtree::Unchanged);
        }
        self.stale.push(key);
        self.join(key.path, &slots)
    }

    /// Makes the subtree at `path` of leaves alone, ascending and each there once.
    fn build(&mut self, path: Path, leaves: &[Held]) -> Result<Subtree, TreeError> {
        match leaves {
            [] => return Ok(Subtree::Empty),
            [held] => return Ok(Subtree::Leaf(*held)),
            _ => {}
        }
        let depth = path.len();
        let mut slots = [Slot::Empty; 16];
        for group in leaves.chunk_by(|a, b| a.leaf.key.nibble(depth) == b.leaf.key.nibble(depth)) {
            let nibble = group[0].leaf.key.nibble(depth);
            slots[nibble] = match self.build(path.child(nibble), group)? {
                Subtree::Leaf(held) => Slot::Held(held),
                Subtree::Internal(child) => Slot::Settled(child),
                Subtree::Empty | Subtree::Unchanged => Slot::Empty,
            };
        }
        self.join(path, &slots)
    }

    /// Makes the subtree at `path` of what its sixteen places have become.
    fn join(&mut self, path: Path, slots: &[Slot; 16]) -> Result<Subtree, TreeError> {
        let mut taken = slots.iter().enumerate().filter(|(_, slot)| !matches!(slot, Slot::Empty));
        match (taken.next(), taken.next()) {
            (None, _) => return Ok(Subtree::Empty),
            (Some((_, Slot::Held(held))), None) => return Ok(Subtree::Leaf(*held)),
            (Some((nibble, Slot::Settled(child))), None) if child.is_leaf => {
                return match read_child(self.reader, path.child(nibble), child)? {
                    (key, Node::Leaf(leaf)) => Ok(Subtree::Leaf(Held { leaf, stored: Some(key) })),
                    (key, _) => Err(TreeError::corrupt(&key, "it is no leaf")),
                };
            }
            _ => {}
        }
        let mut children = [None; 16];
        for (nibble, slot) in slots.iter().enumerate() {
            children[nibble] = match slot {
                Slot::Empty => None,
                Slot::Settled(child) => Some(*child),
                Slot::Held(held) => Some(self.place(path.child(nibble), held)),
            };
        }
        let node = Internal::new(&children);
        let child = Child { hash: node.hash(), version: self.version, is_leaf: false };
        self.nodes.push((NodeKey { version: self.version, path }, Node::Internal(node)));
        Ok(Subtree::Internal(child))
    }

    /// Settles a leaf at `path`: it stays if it is stored there already.
    fn place(&mut self, path: Path, held: &Held) -> Child {
        let hash = held.leaf.hash();
        match held.stored {
            Some(key) if key.path == path => Child { hash, version: key.version, is_leaf: true },
            stored => {
                self.stale.extend(stored);
                self.nodes.push((NodeKey { version: self.version, path }, Node::Leaf(held.leaf)));
                Child { hash, version: self.version, is_leaf: true }
            }
        }
    }
}
