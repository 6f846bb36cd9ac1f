//! Where nodes stand: a path of nibbles from the root, and the version that made them.
//!
//! A node key is stored as `be64(version) || nibble count || nibbles`, two nibbles a byte, the upper half first, the
//! last lower half zero where the count is odd. All nodes of one version lie together.

use std::fmt;
use std::io::{self, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};

use super::{KeyHash, Version};

/// Nibbles of a whole key hash: the deepest leaf's path.
pub(crate) const MAX_NIBBLES: usize = 64;

/// Nibbles from the root down.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    count: u8,
    /// Two a byte, the upper half first; what is beyond `count` is zero.
    nibbles: [u8; 32],
}

impl Path {
    /// The root's.
    pub const ROOT: Self = Self { count: 0, nibbles: [0; 32] };

    /// How many nibbles it has, at most 64.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "only the root's is empty, and it has a name")]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// The path of its child at `nibble`.
    ///
    /// # Panics
    /// If it has 64 nibbles already, or `nibble` is above 15.
    #[must_use]
    pub fn child(mut self, nibble: usize) -> Self {
        assert!(nibble < 16 && self.len() < MAX_NIBBLES, "a path has at most 64 nibbles below 16");
        let shift = if self.count.is_multiple_of(2) { 4 } else { 0 };
        self.nibbles[self.len() / 2] |= (nibble as u8) << shift;
        self.count += 1;
        self
    }

    /// Whether a leaf of `key` may stand at this path or below.
    #[must_use]
    pub fn leads_to(&self, key: &KeyHash) -> bool {
        let whole = self.len() / 2;
        self.nibbles[..whole] == key.0[..whole]
            && (self.count.is_multiple_of(2) || self.nibbles[whole] == key.0[whole] & 0xf0)
    }

    /// The first key that it leads to.
    pub(crate) const fn first(&self) -> KeyHash {
        KeyHash(self.nibbles)
    }

    fn bytes(&self) -> &[u8] {
        &self.nibbles[..self.len().div_ceil(2)]
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = const_hex::encode(self.bytes());
        write!(f, "/{}", &hex[..self.len()])
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({self})")
    }
}

/// What a node is stored under. It orders as its encoding does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey {
    /// The version that made the node.
    pub version: Version,
    /// Where it stands.
    pub path: Path,
}

impl NodeKey {
    /// Bytes of the longest encoding.
    pub const MAX_BYTES: usize = 8 + 1 + 32;

    /// The root of a version.
    #[must_use]
    pub const fn root(version: Version) -> Self {
        Self { version, path: Path::ROOT }
    }

    /// As it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::MAX_BYTES);
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.push(self.path.count);
        bytes.extend_from_slice(self.path.bytes());
        bytes
    }

    /// From what is stored; `None` if that is no node key.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let key = Self::deserialize_reader(&mut bytes).ok()?;
        bytes.is_empty().then_some(key)
    }
}

impl BorshSerialize for NodeKey {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(&self.version.to_be_bytes())?;
        writer.write_all(&[self.path.count])?;
        writer.write_all(self.path.bytes())
    }
}

impl BorshDeserialize for NodeKey {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let mut version = [0; 8];
        reader.read_exact(&mut version)?;
        let mut count = [0];
        reader.read_exact(&mut count)?;
        let mut path = Path { count: count[0], nibbles: [0; 32] };
        if path.len() > MAX_NIBBLES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a node's path has more than 64 nibbles"));
        }
        let bytes = path.len().div_ceil(2);
        reader.read_exact(&mut path.nibbles[..bytes])?;
        if path.len() % 2 == 1 && path.nibbles[bytes - 1] & 15 != 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a node's path has a nibble beyond its end"));
        }
        Ok(Self { version: u64::from_be_bytes(version), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_and_order_as_their_bytes() {
        let mut keys = Vec::new();
        for version in [0, 1, 255, 256, u64::MAX] {
            let mut path = Path::ROOT;
            keys.push(NodeKey { version, path });
            for step in 0..MAX_NIBBLES {
                path = path.child((step * 7 + 3) % 16);
                keys.push(NodeKey { version, path });
            }
        }
        let mut by_bytes = keys.clone();
        by_bytes.sort_by_key(NodeKey::encode);
        keys.sort();
        assert_eq!(keys, by_bytes);
        for key in keys {
            let bytes = key.encode();
            assert_eq!(NodeKey::decode(&bytes), Some(key));
            assert_eq!(borsh::to_vec(&key).unwrap(), bytes);
            assert_eq!(NodeKey::decode(&bytes[..bytes.len() - 1]), None);
            assert_eq!(NodeKey::decode(&[&bytes[..], &[0]].concat()), None);
        }
    }

    #[test]
    fn keys_with_impossible_paths_are_refused() {
        let mut long = vec![0; 8];
        long.push(65);
        long.extend([0; 33]);
        assert_eq!(NodeKey::decode(&long), None);
        assert_eq!(NodeKey::decode(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 0x31]), None);
        assert!(NodeKey::decode(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 0x30]).is_some());
    }

    #[test]
    fn paths_lead_to_the_keys_that_begin_with_them() {
        let key = KeyHash([0xab; 32]);
        assert!(Path::ROOT.leads_to(&key));
        assert!(Path::ROOT.child(10).leads_to(&key));
        assert!(Path::ROOT.child(10).child(11).leads_to(&key));
        assert!(!Path::ROOT.child(11).leads_to(&key));
        assert!(!Path::ROOT.child(10).child(10).leads_to(&key));
        assert_eq!(Path::ROOT.child(10).child(11).child(1).to_string(), "/ab1");
    }
}
