//! Making a store, opening one that is there, and what it says about itself.
//!
//! Column `meta`, values borsh: `format` (four bytes), `genesis` (block id), `tip` (block id), `oldest_state` (height of
//! the oldest version that can be read), `oldest_body` (height of the oldest body that was not pruned).

use std::collections::HashMap;
use std::sync::Arc;

use borsh::BorshDeserialize;
use thiserror::Error;

use super::blocks::{Body, StoredHeader, connect, put_block};
use super::versions::put_version;
use super::{Batch, Column, Database, Store, StoreError};
use crate::chain::{BlockId, Height, encode};
use crate::consensus::Lineage;
use crate::state::tree::root;
use crate::state::{GenesisBlock, Ledger};

/// The format that this program writes. Later ones are refused.
pub const FORMAT: u32 = 1;

pub(super) const FORMAT_KEY: &[u8] = b"format";
pub(super) const GENESIS_KEY: &[u8] = b"genesis";
pub(super) const TIP_KEY: &[u8] = b"tip";
pub(super) const OLDEST_STATE_KEY: &[u8] = b"oldest_state";
pub(super) const OLDEST_BODY_KEY: &[u8] = b"oldest_body";
/// Is there while a snapshot is taken in, and as long as none was to its end.
pub(super) const UNFINISHED_KEY: &[u8] = b"unfinished_snapshot";

/// Why a store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A later program made it.
    #[error("store has format {found}, this program knows {FORMAT}")]
    Newer {
        /// Its format.
        found: u32,
    },
    /// It holds another chain.
    #[error("store holds the chain of genesis {found}, expected {expected}")]
    OtherChain {
        /// Its genesis.
        found: BlockId,
        /// The specification's.
        expected: BlockId,
    },
    /// It holds nothing: whoever was to make it was interrupted.
    #[error("nothing is in it yet")]
    Empty,
    /// A snapshot was not taken in to its end: whoever takes one in begins anew.
    #[error("it holds part of a snapshot, which was not taken in to its end: import one again")]
    Unfinished,
    /// It holds entries, but not those of a store.
    #[error("not a store: {missing} is missing")]
    NoStore {
        /// What every store has.
        missing: &'static str,
    },
    /// Its tip contradicts itself.
    #[error("tip {tip}: {reason}")]
    Tip {
        /// The tip's id.
        tip: BlockId,
        /// What does not fit.
        reason: String,
    },
    /// It cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<D: Database> Store<D> {
    /// Opens the store in `database`, or makes one if nothing is in it, for the chain of `genesis`. Returns the tip's
    /// lineage too, of which header, state root and indices were seen to agree.
    ///
    /// # Errors
    /// If it is of a later format or another chain, or its tip is not consistent.
    pub fn open(database: Arc<D>, genesis: &GenesisBlock) -> Result<(Self, Lineage), OpenError> {
        let store = Self { database };
        if store.meta::<u32>(FORMAT_KEY)?.is_none() && store.is_empty()? {
            store.create(genesis)?;
        }
        store.check_kind(&genesis.lineage.id)?;
        let tip = store.check_tip()?;
        Ok((store, tip))
    }

    /// Looks whether it is a store of the format that this program knows, and of the chain of genesis `expected`.
    pub(super) fn check_kind(&self, expected: &BlockId) -> Result<(), OpenError> {
        match self.meta::<u32>(FORMAT_KEY)? {
            None if self.is_empty()? => return Err(OpenError::Empty),
            None if self.is_unfinished()? => return Err(OpenError::Unfinished),
            None => return Err(OpenError::NoStore { missing: "its format" }),
            Some(FORMAT) => {}
            Some(found) => return Err(OpenError::Newer { found }),
        }
        match self.meta::<BlockId>(GENESIS_KEY)? {
            Some(found) if found == *expected => Ok(()),
            Some(found) => Err(OpenError::OtherChain { found, expected: *expected }),
            None => Err(OpenError::NoStore { missing: "its genesis" }),
        }
    }

    /// Whether it holds part of a snapshot.
    pub(super) fn is_unfinished(&self) -> Result<bool, StoreError> {
        Ok(self.database.get(Column::Meta, UNFINISHED_KEY)?.is_some())
    }

    pub(super) fn is_empty(&self) -> Result<bool, StoreError> {
        for column in Column::ALL {
            if self.database.first_from(column, &[])?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn create(&self, genesis: &GenesisBlock) -> Result<(), StoreError> {
        let GenesisBlock { header, proof, lineage, changes, update } = genesis;
        let mut batch = Batch::default();
        let stored = StoredHeader { header: header.clone(), proof: proof.clone(), lineage: lineage.clone() };
        put_block(&mut batch, &stored, &Body { transactions: Vec::new(), metadata: None });
        connect(&mut batch, lineage, &[]);
        put_version(&mut batch, lineage.height, changes, update, &HashMap::new());
        batch.put(Column::Meta, FORMAT_KEY, encode(&FORMAT));
        batch.put(Column::Meta, GENESIS_KEY, encode(&lineage.id));
        put_tip(&mut batch, &lineage.id);
        put_oldest_state(&mut batch, lineage.height);
        put_oldest_body(&mut batch, lineage.height);
        self.write(batch)
    }

    /// Does all of `batch`, or nothing.
    pub(crate) fn write(&self, batch: Batch) -> Result<(), StoreError> {
        Ok(self.database.write(batch)?)
    }

    fn meta<T: BorshDeserialize>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.entry("fact about the store", Column::Meta, key)
    }

    fn known_meta<T: BorshDeserialize>(&self, key: &[u8]) -> Result<T, StoreError> {
        self.meta(key)?.ok_or_else(|| StoreError::Missing { column: Column::Meta, key: key.to_vec() })
    }

    /// The tip's id.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn tip(&self) -> Result<BlockId, StoreError> {
        self.known_meta(TIP_KEY)
    }

    /// The oldest version of the state that can be read and returned to.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn oldest_state(&self) -> Result<Height, StoreError> {
        self.known_meta(OLDEST_STATE_KEY)
    }

    /// The oldest body of the best chain that is kept; genesis has one in every store, but says nothing.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn oldest_body(&self) -> Result<Height, StoreError> {
        self.known_meta(OLDEST_BODY_KEY)
    }

    /// Looks whether the tip's header, indices, state record and state root agree.
    fn check_tip(&self) -> Result<Lineage, OpenError> {
        let tip = self.tip()?;
        let broken = |reason: String| OpenError::Tip { tip, reason };
        let StoredHeader { header, lineage, .. } = self.known_header(&tip)?;
        if header.id() != tip || lineage.id != tip || lineage.height != header.height {
            return Err(broken("its header has another id or height".to_owned()));
        }
        match self.id_at(lineage.height)? {
            Some(id) if id == tip => {}
            other => return Err(broken(format!("height {} is indexed as {other:?}", lineage.height))),
        }
        if let Some(above) = lineage.height.0.checked_add(1).map(Height)
            && let Some(id) = self.id_at(above)?
        {
            return Err(broken(format!("block {id} is indexed above it, at height {above}")));
        }
        let found = root(&self.nodes(), lineage.height.0).map_err(StoreError::from)?.hash();
        if found != header.state_root {
            return Err(broken(format!("its state has root {found}, its header says {}", header.state_root)));
        }
        let record = Ledger::new(self.state(lineage.height)).chain().map_err(StoreError::from)?;
        if record.difficulty != lineage.difficulty {
            return Err(broken("its state has another difficulty than its header leaves behind".to_owned()));
        }
        Ok(lineage)
    }
}

/// Notes which block is the tip.
pub(crate) fn put_tip(batch: &mut Batch, id: &BlockId) {
    batch.put(Column::Meta, TIP_KEY, encode(id));
}

/// Notes which version of the state is the oldest that is whole.
pub(crate) fn put_oldest_state(batch: &mut Batch, height: Height) {
    batch.put(Column::Meta, OLDEST_STATE_KEY, encode(&height));
}

/// Notes which body of the best chain is the oldest that is kept.
pub(crate) fn put_oldest_body(batch: &mut Batch, height: Height) {
    batch.put(Column::Meta, OLDEST_BODY_KEY, encode(&height));
}
