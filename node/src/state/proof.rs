//! A proof that a key holds a value in a state, or holds none (PROTOCOL §10). Whoever has the root needs nothing else.
//!
//! A proof is stored as
//!
//! ```text
//! ending   0: no leaf, 1: the leaf of the key itself, 2: another leaf, then key hash (32) and value hash (32)
//! le16     siblings, at most 256
//! bitmap   a bit a sibling, bottom first, lowest bit first: whether it is given; the last byte's other bits are zero
//! hashes   32 bytes for each that is given; the others are the placeholder's
//! ```

use std::io::{self, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use super::tree::{
    KeyHash, Leaf, Node, NodeKey, NodeReader, PLACEHOLDER, Span, TreeError, Version, inner_hash, leaf_hash, read_child,
    root, value_hash,
};
use crate::chain::Hash;

/// Most siblings of a proof: one a bit of the key's hash.
pub const MAX_SIBLINGS: usize = 256;

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StateProofError {
    /// It proves that the key holds nothing.
    #[error("the proof shows an absent key, a present one was expected")]
    Absent,
    /// It proves that the key holds something.
    #[error("the proof shows a present key, an absent one was expected")]
    Present,
    /// The leaf said to stand in the key's place is the key's own.
    #[error("the proof of absence ends at the key itself")]
    OwnLeaf,
    /// The leaf said to stand in the key's place stands elsewhere.
    #[error("the proof of absence ends at a leaf that shares {common_bits} bits with the key, {siblings} are needed")]
    ElsewhereLeaf {
        /// First bits that both keys have in common.
        common_bits: usize,
        /// Siblings above the leaf.
        siblings: usize,
    },
    /// The siblings lead to another root.
    #[error("the proof leads to root {found}, not to {expected}")]
    Root {
        /// The state's root.
        expected: Hash,
        /// Where the proof leads.
        found: Hash,
    },
}

/// Why bytes are no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StateProofEncodingError {
    /// They end too early.
    #[error("the proof is cut off")]
    Short,
    /// They go on behind the proof.
    #[error("{bytes} bytes follow the proof")]
    Extended {
        /// How many.
        bytes: usize,
    },
    /// The first byte names no ending.
    #[error("the proof's ending {found} is none of 0, 1 and 2")]
    Ending {
        /// The byte.
        found: u8,
    },
    /// There are more siblings than bits.
    #[error("the proof has {found} siblings, at most {MAX_SIBLINGS} are possible")]
    Siblings {
        /// How many.
        found: usize,
    },
    /// The bitmap goes on behind the last sibling.
    #[error("the proof's bitmap has bits beyond its siblings")]
    Bitmap,
    /// A placeholder is given, though the bitmap leaves it out.
    #[error("the proof writes out a placeholder")]
    Placeholder,
}

/// How the path from the root towards the key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// At nothing.
    Empty,
    /// At the key's own leaf.
    Own,
    /// At the leaf of another key, alone where the key's would be.
    Other(Leaf),
}

/// Shows what a key holds in the state of one root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateProof {
    ending: Ending,
    /// From the bottom up, placeholders among them; at most [`MAX_SIBLINGS`].
    siblings: Vec<Hash>,
}

/// Proves what `key` holds, or that it holds nothing, in the tree of `version`.
///
/// # Errors
/// If the version's tree is not there or cannot be read.
pub fn prove<R: NodeReader + ?Sized>(reader: &R, version: Version, key: &KeyHash) -> Result<StateProof, TreeError> {
    let (mut at, mut node) = (NodeKey::root(version), root(reader, version)?);
    let mut siblings = Vec::new();
    let ending = loop {
        let internal = match &node {
            Node::Empty => break Ending::Empty,
            Node::Leaf(leaf) if leaf.key == *key => break Ending::Own,
            Node::Leaf(leaf) => break Ending::Other(*leaf),
            Node::Internal(internal) => internal,
        };
        let nibble = key.nibble(at.path.len());
        let (mut start, mut width) = (0, 16);
        let taken = loop {
            match internal.span(start, width) {
                Span::Empty => break None,
                Span::Child(taken) => break Some(taken),
                Span::Halves => {}
            }
            width /= 2;
            let ours = nibble & !(width - 1);
            siblings.push(internal.span_hash(ours ^ width, width));
            start = ours;
        };
        let Some(taken) = taken else { break Ending::Empty };
        let child = internal.child(taken).ok_or_else(|| TreeError::corrupt(&at, "it lacks a child"))?;
        (at, node) = read_child(reader, at.path.child(taken), &child)?;
    };
    siblings.reverse();
    Ok(StateProof { ending, siblings })
}

impl StateProof {
    /// Checks that in the state of `root` the key holds `value`, or nothing if that is `None`.
    ///
    /// # Errors
    /// If that is not what it shows.
    pub fn verify(&self, root: &Hash, key: &KeyHash, value: Option<&[u8]>) -> Result<(), StateProofError> {
        let bottom = match (&self.ending, value) {
            (Ending::Own, Some(value)) => leaf_hash(key, &value_hash(value)),
            (Ending::Own, None) => return Err(StateProofError::Present),
            (Ending::Empty | Ending::Other(_), Some(_)) => return Err(StateProofError::Absent),
            (Ending::Empty, None) => PLACEHOLDER,
            (Ending::Other(leaf), None) => {
                let (common_bits, siblings) = (leaf.key.common_bits(key), self.siblings.len());
                if leaf.key == *key {
                    return Err(StateProofError::OwnLeaf);
                }
                if common_bits < siblings {
                    return Err(StateProofError::ElsewhereLeaf { common_bits, siblings });
                }
                leaf.hash()
            }
        };
        let bits = (0..self.siblings.len()).rev();
        let found = self.siblings.iter().zip(bits).fold(bottom, |hash, (sibling, bit)| {
            if key.bit(bit) { inner_hash(sibling, &hash) } else { inner_hash(&hash, sibling) }
        });
        if found == *root { Ok(()) } else { Err(StateProofError::Root { expected: *root, found }) }
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + 64 + 2 + 32 * (1 + self.siblings.len()));
        match &self.ending {
            Ending::Empty => bytes.push(0),
            Ending::Own => bytes.push(1),
            Ending::Other(leaf) => {
                bytes.push(2);
                bytes.extend_from_slice(&leaf.key.0);
                bytes.extend_from_slice(&leaf.value.0);
            }
        }
        bytes.extend_from_slice(&(self.siblings.len() as u16).to_le_bytes());
        for eight in self.siblings.chunks(8) {
            let given = |(bit, sibling): (usize, &Hash)| u8::from(*sibling != PLACEHOLDER) << bit;
            bytes.push(eight.iter().enumerate().map(given).sum());
        }
        for sibling in self.siblings.iter().filter(|sibling| **sibling != PLACEHOLDER) {
            bytes.extend_from_slice(&sibling.0);
        }
        bytes
    }

    /// From what came over the wire, of which nothing may be left.
    ///
    /// # Errors
    /// If it is no proof, or not the only way to write it.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, StateProofEncodingError> {
        let proof = read(|length| {
            let (taken, rest) = bytes.split_at_checked(length).ok_or(StateProofEncodingError::Short)?;
            bytes = rest;
            Ok::<_, StateProofEncodingError>(taken.to_vec())
        })?;
        if bytes.is_empty() { Ok(proof) } else { Err(StateProofEncodingError::Extended { bytes: bytes.len() }) }
    }
}

/// Reads a proof from what `take` gives, never asking for more than [`MAX_SIBLINGS`] hashes.
fn read<E: From<StateProofEncodingError>>(mut take: impl FnMut(usize) -> Result<Vec<u8>, E>) -> Result<StateProof, E> {
    fn hash(bytes: &[u8]) -> [u8; 32] {
        bytes.try_into().expect("32 bytes were taken")
    }
    let ending = match take(1)?[0] {
        0 => Ending::Empty,
        1 => Ending::Own,
        2 => Ending::Other(Leaf { key: KeyHash(hash(&take(32)?)), value: Hash(hash(&take(32)?)) }),
        found => return Err(StateProofEncodingError::Ending { found }.into()),
    };
    let count = take(2)?;
    let count = usize::from(u16::from_le_bytes([count[0], count[1]]));
    if count > MAX_SIBLINGS {
        return Err(StateProofEncodingError::Siblings { found: count }.into());
    }
    let bitmap = take(count.div_ceil(8))?;
    if count % 8 != 0 && bitmap.last().is_some_and(|last| last >> (count % 8) != 0) {
        return Err(StateProofEncodingError::Bitmap.into());
    }
    let mut siblings = Vec::with_capacity(count);
    for index in 0..count {
        siblings.push(if bitmap[index / 8] >> (index % 8) & 1 == 0 {
            PLACEHOLDER
        } else {
            match Hash(hash(&take(32)?)) {
                PLACEHOLDER => return Err(StateProofEncodingError::Placeholder.into()),
                given => given,
            }
        });
    }
    Ok(StateProof { ending, siblings })
}

impl From<StateProofEncodingError> for io::Error {
    fn from(error: StateProofEncodingError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl BorshSerialize for StateProof {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(&self.encode())
    }
}

impl BorshDeserialize for StateProof {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        read(|length| {
            let mut bytes = vec![0; length];
            reader.read_exact(&mut bytes)?;
            Ok::<_, io::Error>(bytes)
        })
    }
}
