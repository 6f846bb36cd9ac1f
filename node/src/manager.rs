//! The chain manager: takes blocks in any order and ends up with the one right
//! chain (PROTOCOL §7).
//!
//! A block goes through three hands. [`ChainManager::admit`] checks what is
//! cheap, against the branch the block stands on; blocks whose parent is
//! unknown, or whose branch is too light to be worth a row, wait in a bounded
//! pool. [`verify`] checks signatures and rows of many blocks at once; it needs
//! no manager, so that another thread may do it. [`ChainManager::apply`]
//! executes, writes one batch a block, and changes to a heavier branch.
//! [`ChainManager::submit`] does all three, [`ChainManager::import`] does them side by side.

mod admit;
mod apply;
mod headers;
mod import;
mod pruning;
mod reorganise;
mod verdict;
mod waiting;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use thiserror::Error;

pub use admit::{Admission, Candidate, verify};
pub use apply::Outcome;
pub use headers::{HeaderChecks, HeaderStop};
pub use import::ImportReport;
pub use reorganise::RewindError;
pub use verdict::{Alarm, Event, Refusal, Verdict};

use crate::chain::verify::Verifier;
use crate::chain::{BlockId, Epoch, Height, Transaction, TransactionId};
use crate::consensus::{Engine, Lineage, Parameters, SpaceTime, Specification, Weight};
use crate::state::{GenesisError, genesis};
use crate::store::cache::TipValues;
use crate::store::{Column, Database, OpenError, Store, StoreError};
use waiting::Waiting;

/// Bodies of both branches together for which a change of branches is executed in memory and written in one batch: states of
/// full blocks take some thirty times as much memory. With more the change goes block by block.
const MAX_SWITCH_BYTES: usize = 4 << 20;
/// Blocks that broke a rule and are not looked at again: enough for a day of attacks by one who wins every epoch.
const MAX_CONDEMNED: usize = 8192;
/// Blocks beside the best chain that are kept: each costs its maker a winning leaf, and those below the reorg limit are
/// forgotten.
const MAX_BRANCH_BLOCKS: usize = 4096;
/// Alarms that are remembered for whoever asks.
const MAX_ALARMS: usize = 16;
/// The initial sync is over when the tip's epoch is this close to the clock's (PROTOCOL §7).
const SYNCED_EPOCHS: u64 = 20;
/// It begins anew when the tip has fallen this far behind.
const STALE_MS: u64 = 24 * 60 * 60 * 1000;

/// What a node may choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Keeps the bodies of this many of the latest blocks, at least the reorg limit; without it, all.
    pub keep_bodies: Option<u64>,
}

/// Why there is no chain manager.
#[derive(Debug, Error)]
pub enum ManagerError {
    /// The specification makes no genesis.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Bodies are needed to return to them.
    #[error("bodies of {found} blocks are to be kept, the reorg limit needs {least}")]
    KeepBodies {
        /// What was asked for.
        found: u64,
        /// The chain's reorg limit.
        least: u64,
    },
}

/// Holds the best chain and those beside it. One thread writes; readers take a [`Store`] of their own.
#[derive(Debug)]
pub struct ChainManager<D> {
    specification: Arc<Specification>,
    engine: SpaceTime,
    genesis: Lineage,
    verifier: Arc<Verifier>,
    store: Store<D>,
    options: Options,
    tip: Lineage,
    /// Weight of the tip's parent: no branch that stays below is worth a row.
    parent_weight: Weight,
    /// Blocks beside the best chain, all of them in the store, and whose rules that need no state hold.
    branches: HashMap<BlockId, Lineage>,
    /// Blocks that were admitted and are not applied yet.
    admitted: HashMap<BlockId, Lineage>,
    /// Blocks that were applied since, and others waited for: those are judged anew when blocks are admitted next.
    awaited: Vec<BlockId>,
    waiting: Waiting,
    condemned: LruCache<BlockId, ()>,
    /// Most bytes of bodies for which branches are changed at once: see [`MAX_SWITCH_BYTES`].
    switch_bytes: usize,
    /// What is remembered of the tip's state.
    values: TipValues,
    alarms: Vec<Alarm>,
    syncing: bool,
}

impl<D: Database> ChainManager<D> {
    /// Opens the chain of `specification` in `database`, or begins it there. `seed` weights batches of signatures: it
    /// must be unknown to whoever makes them.
    ///
    /// # Errors
    /// If the specification makes no genesis, or the store is another chain's or not consistent.
    pub fn open(
        specification: Arc<Specification>,
        database: Arc<D>,
        seed: [u8; 32],
        options: Options,
    ) -> Result<Self, ManagerError> {
        let least = specification.parameters.reorg_limit;
        if let Some(found) = options.keep_bodies.filter(|found| *found < least) {
            return Err(ManagerError::KeepBodies { found, least });
        }
        let first = genesis(&specification)?;
        let (store, tip) = Store::open(database, &first)?;
        let verifier = Verifier::new(first.lineage.id, specification.parameters.shape(), seed);
        let mut manager = Self {
            engine: SpaceTime::new(&specification),
            specification,
            genesis: first.lineage,
            verifier: Arc::new(verifier),
            store,
            options,
            parent_weight: tip.weight,
            tip,
            branches: HashMap::new(),
            admitted: HashMap::new(),
            awaited: Vec::new(),
            waiting: Waiting::default(),
            condemned: LruCache::new(NonZeroUsize::new(MAX_CONDEMNED).expect("it is not zero")),
            switch_bytes: MAX_SWITCH_BYTES,
            values: TipValues::default(),
            alarms: Vec::new(),
            syncing: true,
        };
        manager.load_branches()?;
        manager.parent_weight = manager.parent_weight_of(&manager.tip)?;
        let mut events = Vec::new();
        manager.settle(&mut events)?;
        Ok(manager)
    }

    /// Blocks that stand on nothing that is kept, which a crash cannot leave behind but damage can, are not taken.
    fn load_branches(&mut self) -> Result<(), StoreError> {
        for (_, id) in self.store.side_blocks(self.store.oldest_state()?, Height(u64::MAX))? {
            let lineage = self.store.known_header(&id)?.lineage;
            let parent = Height(lineage.height.0.saturating_sub(1));
            if self.branches.contains_key(&lineage.parent) || self.store.id_at(parent)? == Some(lineage.parent) {
                self.branches.insert(id, lineage);
            }
        }
        Ok(())
    }

    /// What no branch weighs that is worth a row beside the best chain up to `tip`.
    fn parent_weight_of(&self, tip: &Lineage) -> Result<Weight, StoreError> {
        Ok(match tip.height {
            Height(0) => tip.weight,
            _ => self.lineage_of(&tip.parent)?.map_or(tip.weight, |parent| parent.weight),
        })
    }

    /// Changes branches block by block where their bodies together exceed `bytes` instead of the 4 MiB that are usual.
    pub fn limit_switch(&mut self, bytes: usize) {
        self.switch_bytes = bytes;
    }

    /// The chain's specification.
    #[must_use]
    pub fn specification(&self) -> &Arc<Specification> {
        &self.specification
    }

    /// The chain's parameters.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.specification.parameters
    }

    /// What genesis leaves to its children.
    #[must_use]
    pub fn genesis(&self) -> &Lineage {
        &self.genesis
    }

    /// Whose turn it is and which branch weighs more.
    #[must_use]
    pub fn engine(&self) -> &SpaceTime {
        &self.engine
    }

    /// What checks signatures and rows.
    #[must_use]
    pub fn verifier(&self) -> &Arc<Verifier> {
        &self.verifier
    }

    /// The store, for readers.
    #[must_use]
    pub fn store(&self) -> &Store<D> {
        &self.store
    }

    /// The best chain's last block.
    #[must_use]
    pub fn tip(&self) -> &Lineage {
        &self.tip
    }

    /// Whether the chain is still being caught up with, in which deep forks are followed (PROTOCOL §7).
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.syncing
    }

    /// Forks that were too deep to be followed, the latest last.
    #[must_use]
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// Whether a block was admitted and is yet to be applied.
    #[must_use]
    pub fn is_pending(&self, id: &BlockId) -> bool {
        self.admitted.contains_key(id)
    }

    /// Blocks that wait for a parent or for more weight.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Lets blocks that wait have `bytes` bytes together, instead of 64 MiB: with less of it more of a long branch has
    /// to come twice.
    pub fn limit_waiting(&mut self, bytes: usize) {
        self.waiting.limit(bytes);
    }

    /// Last blocks of the branches beside the best chain.
    #[must_use]
    pub fn branch_tips(&self) -> Vec<&Lineage> {
        let parents: HashSet<_> = self.branches.values().map(|lineage| lineage.parent).collect();
        self.branches.values().filter(|lineage| !parents.contains(&lineage.id)).collect()
    }

    /// Whether a block is on the best chain.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn is_on_best_chain(&self, lineage: &Lineage) -> Result<bool, StoreError> {
        if lineage.id == self.tip.id || lineage.id == self.tip.parent {
            return Ok(true);
        }
        Ok(lineage.height <= self.tip.height && self.store.id_at(lineage.height)? == Some(lineage.id))
    }

    /// What a block that is in the store leaves to its children.
    fn lineage_of(&self, id: &BlockId) -> Result<Option<Lineage>, StoreError> {
        if *id == self.tip.id {
            return Ok(Some(self.tip.clone()));
        }
        if let Some(lineage) = self.branches.get(id) {
            return Ok(Some(lineage.clone()));
        }
        Ok(self.store.header(id)?.map(|stored| stored.lineage))
    }

    /// What the parent of a stored block leaves to its children: it is stored too.
    fn parent_of(&self, lineage: &Lineage) -> Result<Lineage, StoreError> {
        let parent = lineage.parent;
        self.lineage_of(&parent)?.ok_or_else(|| StoreError::Missing { column: Column::Headers, key: parent.0.to_vec() })
    }

    /// Height at which the branch of a stored block leaves the best chain.
    fn fork_of(&self, lineage: &Lineage) -> Result<Height, StoreError> {
        let mut branch = lineage.clone();
        while !self.is_on_best_chain(&branch)? {
            branch = self.parent_of(&branch)?;
        }
        Ok(branch.height)
    }

    /// Takes note of the clock: whether this is still the initial sync.
    fn look_at_clock(&mut self, now_ms: u64) {
        let now = self.engine.epoch_of(now_ms).unwrap_or(Epoch(0));
        let behind = now.0.saturating_sub(self.tip.epoch.0);
        if behind <= SYNCED_EPOCHS {
            self.syncing = false;
        } else if behind.saturating_mul(self.parameters().epoch_ms) >= STALE_MS {
            self.syncing = true;
        }
    }

    /// Ids of the transactions of a stored block.
    fn transaction_ids(&self, id: &BlockId) -> Result<Option<Vec<TransactionId>>, StoreError> {
        let body = self.store.body(id)?;
        Ok(body.map(|body| body.transactions.iter().map(Transaction::id).collect()))
    }
}
