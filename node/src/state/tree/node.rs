//! Nodes, and how they are stored:
//!
//! * the empty root: `0`;
//! * a leaf: `1 || key hash || value hash`;
//! * an internal node: `2 || le16(children there are) || le16(those that are leaves)`, then for each child, ascending,
//!   `le64(version) || hash`.

use super::path::MAX_NIBBLES;
use super::{KeyHash, NodeKey, PLACEHOLDER, TreeError, Version, inner_hash, leaf_hash};
use crate::chain::Hash;

const EMPTY: u8 = 0;
const LEAF: u8 = 1;
const INTERNAL: u8 = 2;

const LEAF_BYTES: usize = 1 + 32 + 32;
const INTERNAL_HEAD_BYTES: usize = 1 + 2 + 2;
const CHILD_BYTES: usize = 8 + 32;

/// One stored node of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// The root of a tree without leaves.
    Empty,
    /// A key and what it holds.
    Leaf(Leaf),
    /// Two leaves or more, four levels of the tree.
    Internal(Internal),
}

/// A key and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The key's hash.
    pub key: KeyHash,
    /// The value's hash.
    pub value: Hash,
}

impl Leaf {
    /// The leaf's hash in the tree.
    #[must_use]
    pub fn hash(&self) -> Hash {
        leaf_hash(&self.key, &self.value)
    }
}

/// What a node says of a child; the child's path is its own with one nibble more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// Hash of the child's subtree.
    pub hash: Hash,
    /// The version that made the child.
    pub version: Version,
    /// Whether it is a leaf.
    pub is_leaf: bool,
}

/// Two leaves or more below up to 16 children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Internal {
    /// Bit `n` says whether there is a child at nibble `n`.
    present: u16,
    /// Which of them are leaves.
    leaves: u16,
    /// Those there are, by nibble.
    children: Box<[(Version, Hash)]>,
}

/// What a run of an internal node's children comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// Nothing.
    Empty,
    /// The child at this nibble: a leaf alone, or the run's only place.
    Child(usize),
    /// The hash of its halves.
    Halves,
}

impl Internal {
    /// A node of these children, by nibble.
    ///
    /// # Panics
    /// If there are none or a single leaf, which is no internal node.
    #[must_use]
    pub fn new(slots: &[Option<Child>; 16]) -> Self {
        let (mut present, mut leaves) = (0, 0);
        for (nibble, child) in slots.iter().enumerate() {
            if let Some(child) = child {
                present |= 1 << nibble;
                leaves |= u16::from(child.is_leaf) << nibble;
            }
        }
        let children = slots.iter().flatten().map(|child| (child.version, child.hash)).collect();
        let node = Self { present, leaves, children };
        assert!(node.has_two_leaves(), "an internal node has two leaves below it");
        node
    }

    /// Whether its children make it one: not none, and not a leaf alone.
    fn has_two_leaves(&self) -> bool {
        self.present != 0 && (self.present.count_ones() > 1 || self.leaves == 0)
    }

    /// The child at a nibble, if there is one.
    #[must_use]
    pub fn child(&self, nibble: usize) -> Option<Child> {
        let bit = 1u16 << nibble;
        (self.present & bit != 0).then(|| {
            let (version, hash) = self.children[self.rank(nibble)];
            Child { hash, version, is_leaf: self.leaves & bit != 0 }
        })
    }

    /// All its children, by nibble.
    #[must_use]
    pub fn slots(&self) -> [Option<Child>; 16] {
        std::array::from_fn(|nibble| self.child(nibble))
    }

    fn rank(&self, nibble: usize) -> usize {
        (self.present & ((1u16 << nibble) - 1)).count_ones() as usize
    }

    /// What the children from `start` on, `width` of them, a power of two, come to.
    pub(crate) fn span(&self, start: usize, width: usize) -> Span {
        let range = (((1u32 << width) - 1) << start) as u16;
        let present = self.present & range;
        match present.count_ones() {
            0 => Span::Empty,
            1 if width == 1 || self.leaves & present != 0 => Span::Child(present.trailing_zeros() as usize),
            _ => Span::Halves,
        }
    }

    /// Hash of the subtree over the children from `start` on, `width` of them, a power of two.
    pub(crate) fn span_hash(&self, start: usize, width: usize) -> Hash {
        match self.span(start, width) {
            Span::Empty => PLACEHOLDER,
            Span::Child(nibble) => self.children[self.rank(nibble)].1,
            Span::Halves => {
                let half = width / 2;
                inner_hash(&self.span_hash(start, half), &self.span_hash(start + half, half))
            }
        }
    }

    /// The node's hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.span_hash(0, 16)
    }
}

impl Node {
    /// Hash of the node's subtree.
    #[must_use]
    pub fn hash(&self) -> Hash {
        match self {
            Self::Empty => PLACEHOLDER,
            Self::Leaf(leaf) => leaf.hash(),
            Self::Internal(node) => node.hash(),
        }
    }

    /// As it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Empty => vec![EMPTY],
            Self::Leaf(leaf) => {
                let mut bytes = Vec::with_capacity(LEAF_BYTES);
                bytes.push(LEAF);
                bytes.extend_from_slice(&leaf.key.0);
                bytes.extend_from_slice(&leaf.value.0);
                bytes
            }
            Self::Internal(node) => {
                let mut bytes = Vec::with_capacity(INTERNAL_HEAD_BYTES + CHILD_BYTES * node.children.len());
                bytes.push(INTERNAL);
                bytes.extend_from_slice(&node.present.to_le_bytes());
                bytes.extend_from_slice(&node.leaves.to_le_bytes());
                for (version, hash) in &node.children {
                    bytes.extend_from_slice(&version.to_le_bytes());
                    bytes.extend_from_slice(&hash.0);
                }
                bytes
            }
        }
    }

    /// From what is stored at `key`.
    ///
    /// # Errors
    /// If it is no node, or none that may stand there.
    pub fn decode(key: &NodeKey, bytes: &[u8]) -> Result<Self, TreeError> {
        let corrupt = |reason| TreeError::corrupt(key, reason);
        match bytes.split_first() {
            Some((&EMPTY, [])) if key.path.len() == 0 => Ok(Self::Empty),
            Some((&EMPTY, [])) => Err(corrupt("it is empty, which the root alone can be")),
            Some((&LEAF, rest)) => {
                let (halves, []) = rest.as_chunks::<32>() else { return Err(corrupt("a leaf's length is wrong")) };
                let &[path, value] = halves else { return Err(corrupt("a leaf's length is wrong")) };
                let leaf = Leaf { key: KeyHash(path), value: Hash(value) };
                if !key.path.leads_to(&leaf.key) {
                    return Err(corrupt("a leaf stands where its key does not lead"));
                }
                Ok(Self::Leaf(leaf))
            }
            Some((&INTERNAL, rest)) => decode_internal(key, rest).map(Self::Internal).map_err(corrupt),
            _ => Err(corrupt("it is of no known kind")),
        }
    }
}

fn decode_internal(key: &NodeKey, bytes: &[u8]) -> Result<Internal, &'static str> {
    let Some((&[p0, p1, l0, l1], rest)) = bytes.split_first_chunk::<4>() else {
        return Err("an internal node's length is wrong");
    };
    let (present, leaves) = (u16::from_le_bytes([p0, p1]), u16::from_le_bytes([l0, l1]));
    let (children, extra) = rest.as_chunks::<CHILD_BYTES>();
    if !extra.is_empty() || children.len() != present.count_ones() as usize {
        return Err("an internal node's length is wrong");
    }
    let children = children.iter().map(|child| {
        let (version, hash) = child.split_at(8);
        let version = u64::from_le_bytes(version.try_into().expect("split after 8 bytes"));
        (version, Hash(hash.try_into().expect("40 bytes less 8")))
    });
    let node = Internal { present, leaves, children: children.collect() };
    if key.path.len() >= MAX_NIBBLES {
        return Err("an internal node stands below the last nibble");
    }
    if leaves & !present != 0 {
        return Err("an internal node counts a leaf that it does not have");
    }
    if !node.has_two_leaves() {
        return Err("an internal node has less than two leaves");
    }
    if node.children.iter().any(|&(version, _)| version > key.version) {
        return Err("an internal node has a child younger than itself");
    }
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::super::Path;
    use super::*;

    fn internal(present: u16, leaves: u16) -> Node {
        let child = |nibble: usize| Child {
            hash: Hash([nibble as u8; 32]),
            version: nibble as u64,
            is_leaf: leaves >> nibble & 1 != 0,
        };
        let slots = std::array::from_fn(|nibble| (present >> nibble & 1 != 0).then(|| child(nibble)));
        Node::Internal(Internal::new(&slots))
    }

    #[test]
    fn nodes_round_trip_and_refuse_every_other_length() {
        let key = NodeKey { version: 15, path: Path::ROOT };
        let leaf = Leaf { key: KeyHash([1; 32]), value: Hash([2; 32]) };
        for node in [Node::Empty, Node::Leaf(leaf), internal(3, 3), internal(1, 0), internal(0xffff, 0x8001)] {
            let bytes = node.encode();
            assert_eq!(Node::decode(&key, &bytes).unwrap(), node);
            for length in 0..bytes.len() {
                assert!(Node::decode(&key, &bytes[..length]).is_err(), "{length} of {}", bytes.len());
            }
            assert!(Node::decode(&key, &[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn nodes_that_break_one_rule_are_refused() {
        let reason = |key: NodeKey, bytes: &[u8]| match Node::decode(&key, bytes) {
            Err(TreeError::Corrupt { version, path, reason }) => {
                assert_eq!((version, path), (key.version, key.path));
                reason
            }
            other => panic!("{other:?}"),
        };
        let root = NodeKey::root(15);
        let below = NodeKey { version: 15, path: Path::ROOT.child(7) };
        let deep = NodeKey { version: 15, path: (0..64).fold(Path::ROOT, |path, _| path.child(1)) };
        let good = internal(3, 1).encode();
        assert_eq!(reason(root, &[3]), "it is of no known kind");
        assert_eq!(reason(below, &[0]), "it is empty, which the root alone can be");
        let leaf = Node::Leaf(Leaf { key: KeyHash([1; 32]), value: Hash([2; 32]) }).encode();
        assert_eq!(reason(below, &leaf), "a leaf stands where its key does not lead");
        assert_eq!(reason(deep, &good), "an internal node stands below the last nibble");
        let mut bytes = good.clone();
        bytes[3] = 4;
        assert_eq!(reason(root, &bytes), "an internal node counts a leaf that it does not have");
        let mut bytes = internal(1, 0).encode();
        bytes[3] = 1;
        assert_eq!(reason(root, &bytes), "an internal node has less than two leaves");
        assert_eq!(reason(root, &[2, 0, 0, 0, 0]), "an internal node has less than two leaves");
        assert_eq!(reason(NodeKey::root(0), &good), "an internal node has a child younger than itself");
    }
}
