//! A block, and the root over its transactions (PROTOCOL §6).

use std::io::{self, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use spacetime_kernels::{Backend, Cell, hash_node, zero_subtree};
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

/// Siblings bottom-up of a block's first transaction, which lead to the root over all of them.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn first_transaction_path(ids: &[TransactionId]) -> Vec<Hash> {
    let leaves: Vec<_> = ids.iter().map(|id| id.0).collect();
    let (path, _) = tree::path(Backend::fastest(), &leaves, 0, 0, tree::ceil_log2(leaves.len() as u64));
    path.into_iter().map(Hash).collect()
}

/// The transaction root of a block that has so many, of which the first has this path; none if the path of so many is
/// longer or shorter.
#[must_use]
pub fn transaction_root_by_path(first: &TransactionId, transactions: u64, path: &[Hash]) -> Option<Hash> {
    if transactions == 0 || path.len() as u64 != u64::from(tree::ceil_log2(transactions)) {
        return None;
    }
    let siblings: Vec<_> = path.iter().map(|hash| hash.0).collect();
    Some(counted(&tree::fold(&first.0, 0, &siblings), transactions))
}

/// Root over the ids of a block's transactions: the tree of PROTOCOL §3, then their number.
#[must_use]
pub fn transaction_root(ids: &[TransactionId]) -> Hash {
    if ids.is_empty() {
        return Hash(zero_subtree(0));
    }
    let leaves: Vec<_> = ids.iter().map(|id| id.0).collect();
    let root = tree::root(Backend::fastest(), &leaves, 0, tree::ceil_log2(leaves.len() as u64));
    counted(&root, ids.len() as u64)
}

fn counted(root: &Cell, transactions: u64) -> Hash {
    let mut count = [0; 32];
    count[..8].copy_from_slice(&transactions.to_le_bytes());
    Hash(hash_node(root, &count))
}
