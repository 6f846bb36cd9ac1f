//! A pool in step with a chain: it checks what comes from outside, follows the tip wherever it goes, and is what blocks
//! are built of. Pure: the chain is handed in, there is no clock and no socket.
//!
//! Whoever holds both calls [`ChainPool::follow`] after all that the chain manager does, with its events. Offers and
//! templates look at the tip by themselves, so that a forgotten call costs nothing but time.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use crate::builder::{BuildError, Ground, Payout, Template, Win, build_from};
use crate::chain::rules::{TransactionError, check_form};
use crate::chain::{Address, BlockId, Height, Payload, Transaction, TransactionId};
use crate::consensus::{Fees, Parameters};
use crate::manager::{ChainManager, Event};
use crate::mempool::save::{SaveError, Snapshot, load};
use crate::mempool::{
    CheckedTransaction, Inserted, Limits, MAX_UNPAID_ACTIVATIONS, MAX_UNPAID_REGISTRATIONS, Mempool, Refusal, StateView,
};
use crate::state::{Fault, StateError, StateKey};
use crate::store::{Database, Store, StoreError, StoredState};

/// Blocks in one step after which all accounts are looked at instead of those that the blocks changed: a full pool has
/// about as many as these many blocks do.
const MAX_STEPS: u64 = 16;

/// Why a transaction is not taken, or the pool cannot do what it is asked for.
#[derive(Debug, Error)]
pub enum PoolError {
    /// The transaction can never be part of a block: whoever relayed it has not checked it.
    #[error(transparent)]
    Invalid(#[from] TransactionError),
    /// The pool does not take the transaction now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The chain's store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No block can be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The pool's file cannot be written or read.
    #[error(transparent)]
    Save(#[from] SaveError),
}

impl From<StateError> for PoolError {
    fn from(error: StateError) -> Self {
        Self::Store(error.into())
    }
}

impl From<Fault<Refusal>> for PoolError {
    fn from(fault: Fault<Refusal>) -> Self {
        match fault {
            Fault::Rule(refusal) => Self::Refused(refusal),
            Fault::State(error) => error.into(),
        }
    }
}

/// What became of a transaction that was offered: [`PoolError::Invalid`] or [`PoolError::Refused`] where it was not
/// taken.
pub type Verdict = Result<Inserted, PoolError>;

/// A pool and the tip that it has seen last.
#[derive(Debug)]
pub struct ChainPool {
    pool: Mempool,
    tip: BlockId,
    height: Height,
    /// Transactions of abandoned blocks that are yet to be taken back, in the order in which they stood there: some are
    /// left only where the store could not be read.
    returned: VecDeque<Transaction>,
    /// More than these are not taken back: no pool has room for them.
    most_returned: usize,
}

impl ChainPool {
    /// An empty pool at the chain's tip. Its floor is the chain's least fee, where that is higher.
    #[must_use]
    pub fn new<D: Database>(manager: &ChainManager<D>, limits: Limits) -> Self {
        let (own, least) = (limits.floor, &manager.parameters().fees);
        let floor = Fees { base: own.base.max(least.base), per_byte: own.per_byte.max(least.per_byte) };
        let tip = manager.tip();
        let most_returned = limits.transactions.saturating_add(MAX_UNPAID_REGISTRATIONS + MAX_UNPAID_ACTIVATIONS);
        Self {
            pool: Mempool::new(Limits { floor, ..limits }),
            tip: tip.id,
            height: tip.height,
            returned: VecDeque::new(),
            most_returned,
        }
    }

    /// What is held.
    #[must_use]
    pub fn pool(&self) -> &Mempool {
        &self.pool
    }

    /// Takes transactions from outside, each in its turn, cheapest check first: form; what pool and state
    /// tell at a glance; signatures, all together; the rules of the pool; and the rows of openings. The verdicts
    /// stand in the order of `transactions`, whose number and bytes the caller bounds. Nothing is remembered of those
    /// that are not taken.
    ///
    /// # Errors
    /// If the store cannot be read: some may have been taken.
    pub fn offer<D: Database>(
        &mut self,
        manager: &ChainManager<D>,
        transactions: Vec<Transaction>,
    ) -> Result<Vec<Verdict>, PoolError> {
        self.follow(manager, [])?;
        let view = view(manager);
        let mut verdicts = Vec::with_capacity(transactions.len());
        let (mut places, mut screened) = (Vec::new(), Vec::new());
        for (place, transaction) in transactions.into_iter().enumerate() {
            let formed = check_form(&transaction, manager.parameters()).map_err(PoolError::from);
            let verdict = told(formed.and_then(|()| Ok(self.pool.screen(&transaction, &view)?)))?;
            if verdict.is_ok() {
                places.push(place);
                screened.push(transaction);
            }
            verdicts.push(verdict.map(|()| Inserted::default()));
        }
        let checked = CheckedTransaction::check(screened, manager.verifier(), manager.parameters());
        for (place, checked) in places.into_iter().zip(checked) {
            let verdict = match checked {
                Ok(transaction) => self.insert(manager, &view, Arc::new(transaction)),
                Err(error) => Err(error.into()),
            };
            verdicts[place] = told(verdict)?;
        }
        Ok(verdicts)
    }

    fn insert<D: Database>(
        &mut self,
        manager: &ChainManager<D>,
        view: &StateView<'_, StoredState<'_, D>>,
        transaction: Arc<CheckedTransaction>,
    ) -> Verdict {
        let payload = &transaction.get().payload;
        if matches!(payload, Payload::ActivatePlot(_)) {
            // Rows are grown for what would be taken, and for nothing else.
            self.pool.check(&transaction, view)?;
            let claims = view.openings(payload).map_err(|fault| match fault {
                Fault::Rule(error) => Refusal::Judged(error).into(),
                Fault::State(error) => PoolError::from(error),
            })?;
            let requests: Vec<_> = claims.iter().map(|claim| claim.request).collect();
            for (claim, grown) in claims.iter().zip(manager.verifier().cells(&requests)) {
                if claim.cell != grown {
                    return Err(TransactionError::OpeningCell { index: claim.index, found: claim.cell, grown }.into());
                }
            }
        }
        Ok(self.pool.insert(transaction, view)?)
    }

    /// Goes to the manager's tip: what was mined, or is no longer good, is dropped, and transactions of abandoned blocks
    /// are taken back. `events` are what the manager has told since the last time; of events that were lost, as they
    /// are when a store fails, the abandoned blocks are looked up. Returns what is gone.
    ///
    /// # Errors
    /// If the store cannot be read: call again.
    pub fn follow<D: Database>(
        &mut self,
        manager: &ChainManager<D>,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<Vec<TransactionId>, PoolError> {
        let mut told = false;
        for event in events {
            if let Event::Reorganised { returned, .. } = event {
                told = true;
                self.returned.extend(returned);
            }
        }
        let (store, tip) = (manager.store(), manager.tip());
        let view = view(manager);
        let mut dropped = Vec::new();
        if tip.id != self.tip {
            let extended = self.height <= tip.height && store.id_at(self.height)? == Some(self.tip);
            if !extended && !told {
                self.returned.extend(self.abandoned(store, manager.parameters())?);
            }
            let touched = if extended { self.touched(store, tip.height)? } else { None };
            dropped = match touched {
                Some(touched) => self.pool.advance(touched, &view)?,
                None => self.pool.advance_all(&view)?,
            };
            (self.tip, self.height) = (tip.id, tip.height);
        }
        self.returned.truncate(self.most_returned);
        while let Some(transaction) = self.returned.front() {
            // The chain has checked it when it was part of it, openings too; where they are drawn anew, they must be
            // other ones.
            let checked = CheckedTransaction::already_checked(transaction.clone(), manager.parameters());
            self.pool.restore([checked], &view)?;
            self.returned.pop_front();
        }
        Ok(dropped)
    }

    /// Accounts that the blocks above the tip seen last have changed, unless there are too many of them.
    fn touched<D: Database>(&self, store: &Store<D>, tip: Height) -> Result<Option<HashSet<Address>>, StoreError> {
        if tip.0 - self.height.0 > MAX_STEPS {
            return Ok(None);
        }
        let mut touched = HashSet::new();
        for height in (self.height.0 + 1..=tip.0).map(Height) {
            let Some(undo) = store.undo(height)? else { return Ok(None) };
            touched.extend(undo.changed.iter().filter_map(|changed| match StateKey::parse(&changed.key) {
                Some(StateKey::Account(address)) => Some(address),
                _ => None,
            }));
        }
        Ok(Some(touched))
    }

    /// Transactions of the blocks from the tip seen last down to the best chain, as far as they are kept and forks are
    /// followed.
    fn abandoned<D: Database>(
        &self,
        store: &Store<D>,
        parameters: &Parameters,
    ) -> Result<Vec<Transaction>, StoreError> {
        let (mut blocks, mut id) = (Vec::new(), self.tip);
        while blocks.len() as u64 <= parameters.reorg_limit {
            let (Some(stored), Some(body)) = (store.header(&id)?, store.body(&id)?) else { break };
            if store.id_at(stored.header.height)? == Some(id) {
                break;
            }
            blocks.push(body.transactions);
            id = stored.header.parent;
        }
        let all = blocks.into_iter().rev().flatten();
        Ok(all.filter(|transaction| !matches!(transaction.payload, Payload::Coinbase(_))).collect())
    }

    /// The block of `win` upon the chain's tip, out of the best that the pool holds.
    ///
    /// # Errors
    /// If the epoch was not won by a plot that may win, or the store cannot be read.
    pub fn template<D: Database>(
        &mut self,
        manager: &ChainManager<D>,
        win: &Win,
        payout: &Payout,
    ) -> Result<Template, PoolError> {
        self.follow(manager, [])?;
        let (store, parent) = (manager.store(), manager.tip());
        let ground = Ground {
            engine: manager.engine(),
            parameters: manager.parameters(),
            genesis: manager.genesis(),
            parent,
            state: store.state(parent.height),
            nodes: store.nodes(),
            verifier: manager.verifier(),
        };
        Ok(build_from(&ground, win, payout, |room| self.pool.select(room))?)
    }

    /// Writes all that is held to `path`, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written; the one before it is still there.
    pub fn save(&self, path: &Path) -> Result<(), PoolError> {
        Ok(self.snapshot().save(path)?)
    }

    /// All that is held, to be written while the pool goes on.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.pool)
    }

    /// Offers what [`ChainPool::save`] wrote, and says how many were taken; none if there is no file. All is checked as
    /// if it came from anybody.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged, which leaves the pool as it is; or the store cannot be read.
    pub fn load<D: Database>(&mut self, manager: &ChainManager<D>, path: &Path) -> Result<usize, PoolError> {
        // Limits may have been wider when it was written: what does not fit now is dropped one by one.
        let transactions = load(path, &Limits::GREATEST)?;
        let verdicts = self.offer(manager, transactions)?;
        Ok(verdicts.iter().filter(|verdict| verdict.is_ok()).count())
    }
}

/// The state after the chain's tip.
fn view<D: Database>(manager: &ChainManager<D>) -> StateView<'_, StoredState<'_, D>> {
    let tip = manager.tip().height;
    StateView::new(manager.store().state(tip), tip, manager.parameters())
}

/// Tells a transaction's own fault from the store's.
fn told<T>(result: Result<T, PoolError>) -> Result<Result<T, PoolError>, PoolError> {
    match result {
        Err(error @ (PoolError::Store(_) | PoolError::Build(_) | PoolError::Save(_))) => Err(error),
        result => Ok(result),
    }
}
