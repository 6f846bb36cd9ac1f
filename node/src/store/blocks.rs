//! Headers, bodies, and what finds them.
//!
//! | column | key | value |
//! |---|---|---|
//! | headers | block id | [`StoredHeader`] |
//! | bodies | block id | [`Body`] |
//! | by_height | height | id of the best chain's block |
//! | by_height | height, block id | nothing: a block beside the best chain |
//! | by_time | timestamp | height, best chain only |
//! | transactions | transaction id | height and place, best chain only |
//!
//! Numbers in keys are big-endian, values are borsh.

use std::ops::ControlFlow;

use borsh::{BorshDeserialize, BorshSerialize};
use spacetime_prover::Proof;

use super::{Batch, Column, Database, Store, StoreError};
use crate::chain::{
    Block, BlockId, Header, Height, Metadata, Transaction, TransactionId, codec, decode, encode, proof,
};
use crate::consensus::Lineage;

/// No entry of these columns is longer: a block of the largest chain that parameters allow.
pub(super) const MAX_ENTRY_BYTES: usize = 17 << 20;

/// A header whose rules hold, with its proof and what it leaves behind.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StoredHeader {
    /// The header.
    pub header: Header,
    /// Its proof; genesis has one of zeros.
    #[borsh(serialize_with = "proof::write", deserialize_with = "proof::read")]
    pub proof: Proof,
    /// What it leaves to its children.
    pub lineage: Lineage,
}

/// What a block holds beside its header.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Body {
    /// Its transactions, the coinbase first.
    #[borsh(deserialize_with = "codec::read_transactions")]
    pub transactions: Vec<Transaction>,
    /// Its metadata, if it has any.
    pub metadata: Option<Metadata>,
}

fn side_key(height: Height, id: &BlockId) -> Vec<u8> {
    [&height.0.to_be_bytes()[..], &id.0].concat()
}

impl<D: Database> Store<D> {
    /// One entry of a column, decoded.
    pub(super) fn entry<T: BorshDeserialize>(
        &self,
        name: &'static str,
        column: Column,
        key: &[u8],
    ) -> Result<Option<T>, StoreError> {
        let Some(bytes) = self.database.get(column, key)? else {
            return Ok(None);
        };
        let entry = decode(name, &bytes, MAX_ENTRY_BYTES);
        entry.map(Some).map_err(|source| StoreError::Damaged { column, key: key.to_vec(), source })
    }

    /// A header that is kept, of the best chain or beside it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn header(&self, id: &BlockId) -> Result<Option<StoredHeader>, StoreError> {
        self.entry("header", Column::Headers, &id.0)
    }

    /// A header that must be there.
    ///
    /// # Errors
    /// If it is not, or cannot be read.
    pub fn known_header(&self, id: &BlockId) -> Result<StoredHeader, StoreError> {
        self.header(id)?.ok_or_else(|| StoreError::Missing { column: Column::Headers, key: id.0.to_vec() })
    }

    /// A body that is kept: those of old blocks may have been pruned.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn body(&self, id: &BlockId) -> Result<Option<Body>, StoreError> {
        self.entry("body", Column::Bodies, &id.0)
    }

    /// Length of a body as it is kept, 0 of one that is not.
    pub(crate) fn body_bytes(&self, id: &BlockId) -> Result<usize, StoreError> {
        Ok(self.database.get(Column::Bodies, &id.0)?.map_or(0, |body| body.len()))
    }

    /// A whole block.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError> {
        let (Some(stored), Some(body)) = (self.header(id)?, self.body(id)?) else {
            return Ok(None);
        };
        let (StoredHeader { header, proof, .. }, Body { transactions, metadata }) = (stored, body);
        Ok(Some(Block { header, proof, transactions, metadata }))
    }

    /// The best chain's block at a height.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn id_at(&self, height: Height) -> Result<Option<BlockId>, StoreError> {
        self.entry("block id", Column::ByHeight, &height.0.to_be_bytes())
    }

    /// The last block of the best chain whose timestamp is not after `timestamp_ms`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn height_at_time(&self, timestamp_ms: u64) -> Result<Option<Height>, StoreError> {
        let Some((key, bytes)) = self.database.last_until(Column::ByTime, &timestamp_ms.to_be_bytes())? else {
            return Ok(None);
        };
        let height = decode("height", &bytes, 8);
        height.map(Some).map_err(|source| StoreError::Damaged { column: Column::ByTime, key, source })
    }

    /// Where a transaction of the best chain is: height, and place in the block.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn transaction_place(&self, id: &TransactionId) -> Result<Option<(Height, u32)>, StoreError> {
        self.entry("transaction place", Column::Transactions, &id.0)
    }

    /// Blocks beside the best chain at heights from `from` to `to`, both included, lowest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn side_blocks(&self, from: Height, to: Height) -> Result<Vec<(Height, BlockId)>, StoreError> {
        let mut found = Vec::new();
        let end = to.0.checked_add(1).map(u64::to_be_bytes);
        let end = end.as_ref().map(|end| &end[..]);
        self.database.scan(Column::ByHeight, &from.0.to_be_bytes(), end, &mut |key, _| {
            if let Some((height, id)) = key.split_first_chunk::<8>()
                && let Ok(id) = id.try_into()
            {
                found.push((Height(u64::from_be_bytes(*height)), BlockId(id)));
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }
}

/// Keeps a block, wherever it stands.
pub(crate) fn put_block(batch: &mut Batch, header: &StoredHeader, body: &Body) {
    put_header(batch, header);
    batch.put(Column::Bodies, header.lineage.id.0, encode(body));
}

/// Keeps a header alone.
pub(crate) fn put_header(batch: &mut Batch, header: &StoredHeader) {
    batch.put(Column::Headers, header.lineage.id.0, encode(header));
}

/// Forgets a block that stands beside the best chain.
pub(crate) fn forget_side_block(batch: &mut Batch, height: Height, id: &BlockId) {
    batch.delete(Column::Headers, id.0);
    batch.delete(Column::Bodies, id.0);
    batch.delete(Column::ByHeight, side_key(height, id));
}

/// Forgets the body of a block of the best chain, and where its transactions were.
pub(crate) fn forget_body(batch: &mut Batch, id: &BlockId, ids: &[TransactionId]) {
    batch.delete(Column::Bodies, id.0);
    forget_transactions(batch, ids);
}

/// Notes that a block stands beside the best chain.
pub(crate) fn mark_side_block(batch: &mut Batch, height: Height, id: &BlockId) {
    batch.put(Column::ByHeight, side_key(height, id), []);
}

/// Makes a block part of the best chain: indices only.
pub(crate) fn connect(batch: &mut Batch, lineage: &Lineage, ids: &[TransactionId]) {
    let height = lineage.height;
    batch.put(Column::ByHeight, height.0.to_be_bytes(), lineage.id.0);
    batch.delete(Column::ByHeight, side_key(height, &lineage.id));
    batch.put(Column::ByTime, lineage.timestamp_ms.to_be_bytes(), height.0.to_le_bytes());
    for (place, id) in ids.iter().enumerate() {
        batch.put(Column::Transactions, id.0, encode(&(height, place as u32)));
    }
}

/// Takes a block out of the best chain: indices only.
pub(crate) fn disconnect(batch: &mut Batch, lineage: &Lineage, ids: &[TransactionId]) {
    batch.delete(Column::ByHeight, lineage.height.0.to_be_bytes());
    mark_side_block(batch, lineage.height, &lineage.id);
    batch.delete(Column::ByTime, lineage.timestamp_ms.to_be_bytes());
    forget_transactions(batch, ids);
}

/// Forgets where transactions are.
fn forget_transactions(batch: &mut Batch, ids: &[TransactionId]) {
    ids.iter().for_each(|id| batch.delete(Column::Transactions, id.0));
}
