//! A proof as the chain encodes it (PROTOCOL §6): the prover's type has no
//! encoding of its own, since it knows nothing of chains.

use std::io::{self, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use spacetime_kernels::tagged_hash;
use spacetime_prover::{MAX_SIBLINGS, Proof};

use super::codec::read_capped;
use super::types::Hash;

/// Longest encoding of a proof.
pub(crate) const MAX_PROOF_BYTES: usize = 32 + 4 + 32 + 8 + 32 + 8 + (4 + 32 * MAX_SIBLINGS) + 32;

/// Length of a proof's encoding.
pub(crate) fn encoded_len(proof: &Proof) -> usize {
    MAX_PROOF_BYTES - 32 * MAX_SIBLINGS + 32 * proof.siblings.len()
}

/// A proof's id.
#[must_use]
pub fn proof_id(proof: &Proof) -> Hash {
    let mut bytes = Vec::with_capacity(MAX_PROOF_BYTES);
    write(proof, &mut bytes).expect("writing to memory does not fail");
    Hash(tagged_hash("spacetime/proof/v1", &[&bytes]))
}

pub(crate) fn write<W: Write>(proof: &Proof, writer: &mut W) -> io::Result<()> {
    let Proof { challenge, column, seed, rows, leaf, leaf_index, siblings, root } = proof;
    challenge.serialize(writer)?;
    column.serialize(writer)?;
    seed.serialize(writer)?;
    rows.serialize(writer)?;
    leaf.serialize(writer)?;
    leaf_index.serialize(writer)?;
    siblings.serialize(writer)?;
    root.serialize(writer)
}

pub(crate) fn read<R: Read>(reader: &mut R) -> io::Result<Proof> {
    Ok(Proof {
        challenge: <[u8; 32]>::deserialize_reader(reader)?,
        column: u32::deserialize_reader(reader)?,
        seed: <[u8; 32]>::deserialize_reader(reader)?,
        rows: u64::deserialize_reader(reader)?,
        leaf: <[u8; 32]>::deserialize_reader(reader)?,
        leaf_index: u64::deserialize_reader(reader)?,
        siblings: read_capped(reader, MAX_SIBLINGS)?,
        root: <[u8; 32]>::deserialize_reader(reader)?,
    })
}
