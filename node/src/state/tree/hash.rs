//! What the tree hashes, and how.

use sha2::{Digest, Sha256};

use crate::chain::Hash;

/// The hash of a subtree without leaves.
pub const PLACEHOLDER: Hash = Hash(*b"SPARSE_MERKLE_PLACEHOLDER_HASH__");

const LEAF_DOMAIN: &[u8; 13] = b"JMT::LeafNode";
/// Sixteen bytes, hence the missing letter.
const INNER_DOMAIN: &[u8; 16] = b"JMT::IntrnalNode";

/// Where a value stands in the tree: `sha256(kind || key)`, used raw (PROTOCOL §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// The place of `key` among keys of `kind`.
    #[must_use]
    pub fn of(kind: u8, key: &[u8]) -> Self {
        Self(Sha256::new().chain_update([kind]).chain_update(key).finalize().into())
    }

    /// Its `index`-th nibble, the first being the upper half of the first byte.
    ///
    /// # Panics
    /// From 64 on.
    #[must_use]
    pub fn nibble(&self, index: usize) -> usize {
        let byte = self.0[index / 2];
        usize::from(if index.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
    }

    /// Its `index`-th bit, the first being the highest of the first byte.
    ///
    /// # Panics
    /// From 256 on.
    #[must_use]
    pub fn bit(&self, index: usize) -> bool {
        self.0[index / 8] & (0x80 >> (index % 8)) != 0
    }

    /// How many bits it begins with that `other` begins with too.
    #[must_use]
    pub fn common_bits(&self, other: &Self) -> usize {
        let differ = self.0.iter().zip(&other.0).position(|(a, b)| a != b);
        differ.map_or(256, |index| 8 * index + (self.0[index] ^ other.0[index]).leading_zeros() as usize)
    }
}

/// What a leaf holds of its value.
#[must_use]
pub fn value_hash(value: &[u8]) -> Hash {
    Hash(Sha256::digest(value).into())
}

/// The hash of a leaf.
pub(crate) fn leaf_hash(key: &KeyHash, value: &Hash) -> Hash {
    Hash(Sha256::new().chain_update(LEAF_DOMAIN).chain_update(key.0).chain_update(value.0).finalize().into())
}

/// The hash of a subtree with two leaves or more, from its halves.
pub(crate) fn inner_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(Sha256::new().chain_update(INNER_DOMAIN).chain_update(left.0).chain_update(right.0).finalize().into())
}
