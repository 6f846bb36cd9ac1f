//! A block, and the root over its transactions (PROTOCOL §6).

use std::io::{self, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use spacetime_kernels::{Backend, hash_node, zero_subtree};
use spacetime_prover::{Proof, tree};

use super::codec::{Capped, Counter, read_transactions};
use super::header::Header;
use super::proof;
use super::transaction::Transaction;
use super::types::{BlockId, Hash, TransactionId};

/// Most bytes of a block's metadata.
pub const MAX_METADATA_BYTES: usize = 64;

/// What a miner says about its software: outside id, size and validity.
pub type Metadata = Capped<u8, MAX_METADATA_BYTES>;

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its header.
    pub header: Header,
    /// The header's proof.
    pub proof: Proof,
    /// Its transactions, the coinbase first.
    pub transactions: Vec<Transaction>,
    /// Its metadata, if it has any.
    pub metadata: Option<Metadata>,
}

impl Block {
    /// The header's id.
    #[must_use]
    pub fn id(&self) -> BlockId {
        self.header.id()
    }

    /// Length of its encoding without metadata, which is limited.
    ///
    /// # Panics
    /// Never: counting bytes does not fail.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut counter = Counter(0);
        self.write_without_metadata(&mut counter).expect("counting bytes does not fail");
        counter.0
    }

    fn write_without_metadata<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.header.serialize(writer)?;
        proof::write(&self.proof, writer)?;
        self.transactions.serialize(writer)
    }
}

impl BorshSerialize for Block {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.write_without_metadata(writer)?;
        self.metadata.serialize(writer)
    }
}

impl BorshDeserialize for Block {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        Ok(Self {
            header: Header::deserialize_reader(reader)?,
            proof: proof::read(reader)?,
            transactions: read_transactions(reader)?,
            metadata: BorshDeserialize::deserialize_reader(reader)?,
        })
    }
}

/// Root over the ids of a block's transactions: the tree of PROTOCOL §3, then their number.
#[must_use]
pub fn transaction_root(ids: &[TransactionId]) -> Hash {
    if ids.is_empty() {
        return Hash(zero_subtree(0));
    }
    let leaves: Vec<_> = ids.iter().map(|id| id.0).collect();
    let root = tree::root(Backend::fastest(), &leaves, 0, tree::ceil_log2(leaves.len() as u64));
    let mut count = [0; 32];
    count[..8].copy_from_slice(&(ids.len() as u64).to_le_bytes());
    Hash(hash_node(&root, &count))
}
