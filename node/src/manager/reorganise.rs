//! Changing to a heavier branch: executed in memory first, written in one batch.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::apply::Executed;
use super::{ChainManager, Event, Refusal};
use crate::chain::{BlockId, Height, Transaction, TransactionId};
use crate::consensus::{Engine, Lineage};
use crate::state::tree::{Layer, Overlay};
use crate::state::{StateError, StateKey, StateReader};
use crate::store::blocks::{connect, disconnect, forget_side_block};
use crate::store::open::{put_oldest_body, put_tip};
use crate::store::versions::{Held, forget_nodes_above, put_version, replaced_by};
use crate::store::{Batch, Column, Database, StoreError, StoredState};

/// Most bytes of transactions that an event gives back: no pool has room for more.
const MAX_RETURNED_BYTES: usize = 16 << 20;

/// The state of a branch: what its blocks have changed, over that at the fork.
struct BranchState<'a, D> {
    base: StoredState<'a, D>,
    changed: &'a HashMap<StateKey, (Height, Option<Vec<u8>>)>,
}

impl<D: Database> BranchState<'_, D> {
    fn held(&self, key: &StateKey) -> Result<Held, StateError> {
        match self.changed.get(key) {
            Some(held) => Ok(Some(held.clone())),
            None => self.base.held(key),
        }
    }
}

impl<D: Database> StateReader for BranchState<'_, D> {
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.held(key)?.and_then(|(_, value)| value))
    }
}

/// A block of a branch that was executed.
struct Adopted {
    lineage: Lineage,
    ids: Vec<TransactionId>,
    executed: Executed,
    /// Since when the keys that it changes held what they did.
    replaced: HashMap<StateKey, Height>,
}

impl<D: Database> ChainManager<D> {
    /// Changes to the best branch there is, as often as the best turns out to be broken.
    pub(super) fn settle(&mut self, events: &mut Vec<Event>) -> Result<(), StoreError> {
        let mut too_deep = HashSet::new();
        loop {
            let mut best = self.tip.clone();
            for lineage in self.branches.values().filter(|lineage| !too_deep.contains(&lineage.id)) {
                if self.engine.prefer(&best, lineage) {
                    best = lineage.clone();
                }
            }
            if best.id == self.tip.id {
                return Ok(());
            }
            let fork = self.fork_of(&best)?;
            if !self.may_fork_at(fork)? {
                too_deep.insert(best.id);
                self.raise_alarm(best.id, fork, events);
                continue;
            }
            if let Some(event) = self.switch_to(&best, fork)? {
                events.push(event);
            }
        }
    }

    /// Makes the branch of `best` the best chain. Nothing, if it breaks a rule: then it is gone.
    fn switch_to(&mut self, best: &Lineage, fork: Height) -> Result<Option<Event>, StoreError> {
        if self.is_too_large(best, fork)? {
            return self.switch_in_steps(best, fork).map(Some);
        }
        let branch = match self.execute_branch(best, fork)? {
            Ok(branch) => branch,
            Err((id, refusal)) => {
                tracing::warn!(%id, %refusal, "a branch breaks a rule");
                self.drop_branch(&id)?;
                return Ok(None);
            }
        };
        let mut batch = Batch::default();
        let abandoned = self.abandon(&mut batch, fork)?;
        let mut kept: HashSet<TransactionId> = HashSet::new();
        for Adopted { lineage, ids, executed, replaced } in &branch {
            connect(&mut batch, lineage, ids);
            put_version(&mut batch, lineage.height, &executed.changes, &executed.update, replaced);
            kept.extend(ids);
        }
        put_tip(&mut batch, &best.id);
        // Read before, so that nothing comes between what is written and what this manager holds for its tip.
        let parent_weight = self.parent_weight_of(best)?;
        self.store.write(batch)?;
        (self.tip, self.parent_weight) = (best.clone(), parent_weight);
        self.values.clear();

        let mut returned = Vec::new();
        let abandoned_ids = abandoned.iter().map(|(lineage, _)| lineage.id).collect();
        for (lineage, transactions) in abandoned {
            self.branches.insert(lineage.id, lineage);
            let wanted =
                |transaction: &Transaction| Self::is_returned(transaction) && !kept.contains(&transaction.id());
            returned.extend(transactions.into_iter().filter(wanted));
        }
        let adopted: Vec<_> = branch.iter().map(|adopted| adopted.lineage.id).collect();
        self.branches.retain(|id, _| !adopted.contains(id));
        // In a batch of its own: it looks at versions that were not there before.
        let mut batch = Batch::default();
        self.prune(&mut batch, self.tip.height)?;
        self.store.write(batch)?;
        self.forget_hopeless()?;
        Ok(Some(Event::Reorganised { fork, abandoned: abandoned_ids, adopted, returned }))
    }

    /// Whether the bodies of both branches above `fork` are more than what is changed at once.
    fn is_too_large(&self, best: &Lineage, fork: Height) -> Result<bool, StoreError> {
        let mut bytes = 0;
        for tip in [best, &self.tip] {
            let mut next = tip.clone();
            while next.height > fork {
                bytes += self.store.body_bytes(&next.id)?;
                if bytes > self.switch_bytes {
                    return Ok(true);
                }
                next = self.parent_of(&next)?;
            }
        }
        Ok(false)
    }

    /// Changes branches one block and one batch after the other, so that large blocks are never in memory together.
    /// Every tip on the way is a valid chain's: after a crash, [`Self::settle`] goes on. Where a block of the branch
    /// breaks a rule the tip is the one below it, and settling looks for what is best then.
    fn switch_in_steps(&mut self, best: &Lineage, fork: Height) -> Result<Event, StoreError> {
        let path = self.path_to(best, fork)?.1;
        let (mut abandoned, mut returned, mut returned_bytes) = (Vec::new(), Vec::new(), 0);
        while self.tip.height > fork {
            let parent = self.parent_of(&self.tip)?;
            let mut batch = Batch::default();
            let gone = self.abandon(&mut batch, parent.height)?;
            put_tip(&mut batch, &parent.id);
            let parent_weight = self.parent_weight_of(&parent)?;
            self.store.write(batch)?;
            (self.tip, self.parent_weight) = (parent, parent_weight);
            self.values.clear();
            for (lineage, transactions) in gone {
                abandoned.push(lineage.id);
                self.branches.insert(lineage.id, lineage);
                for transaction in transactions.into_iter().filter(Self::is_returned).rev() {
                    returned_bytes += transaction.encoded_len();
                    if returned_bytes <= MAX_RETURNED_BYTES {
                        returned.push(transaction);
                    }
                }
            }
        }
        abandoned.reverse();
        let mut adopted = Vec::with_capacity(path.len());
        let mut kept: HashSet<TransactionId> = HashSet::new();
        for lineage in path {
            let id = lineage.id;
            let block = self.store.block(&id)?.ok_or_else(|| missing(Column::Bodies, &id))?;
            let ids: Vec<_> = block.transactions.iter().map(Transaction::id).collect();
            if let Err(error) = self.connect_next(block, lineage, &ids, false)? {
                tracing::warn!(%id, %error, "a branch breaks a rule");
                self.drop_branch(&id)?;
                break;
            }
            adopted.push(id);
            kept.extend(ids);
        }
        returned.retain(|transaction: &Transaction| !kept.contains(&transaction.id()));
        // Of the last block they were taken first.
        returned.reverse();
        Ok(Event::Reorganised { fork, abandoned, adopted, returned })
    }

    /// The block at `fork` below `best`, and those above it up to `best`, lowest first.
    fn path_to(&self, best: &Lineage, fork: Height) -> Result<(Lineage, Vec<Lineage>), StoreError> {
        let mut path = Vec::new();
        let mut next = best.clone();
        while next.height > fork {
            let parent = self.parent_of(&next)?;
            path.push(std::mem::replace(&mut next, parent));
        }
        path.reverse();
        Ok((next, path))
    }

    /// Executes a branch in memory, lowest block first. The inner error names the block that breaks a rule.
    fn execute_branch(
        &self,
        best: &Lineage,
        fork: Height,
    ) -> Result<Result<Vec<Adopted>, (BlockId, Refusal)>, StoreError> {
        let (mut parent, path) = self.path_to(best, fork)?;
        let mut changed: HashMap<StateKey, (Height, Option<Vec<u8>>)> = HashMap::new();
        let mut nodes = Overlay::new(self.store.nodes(), fork.0, Vec::new());
        let mut branch = Vec::with_capacity(path.len());
        for lineage in path {
            let block = self.store.block(&lineage.id)?.ok_or_else(|| missing(Column::Bodies, &lineage.id))?;
            let state = BranchState { base: self.store.state(fork), changed: &changed };
            let executed = match self.execute(&block, &parent, &lineage, &state, &nodes)? {
                Ok(executed) => executed,
                Err(error) => return Ok(Err((lineage.id, error.into()))),
            };
            let replaced = replaced_by(&executed.changes, |key| state.held(key))?;
            let held = |(key, value): (&StateKey, &Option<Vec<u8>>)| (*key, (lineage.height, value.clone()));
            changed.extend(executed.changes.iter().map(held));
            nodes.push(Arc::new(Layer::new(&executed.update)));
            let ids = block.transactions.iter().map(Transaction::id).collect();
            parent = lineage.clone();
            branch.push(Adopted { lineage, ids, executed, replaced });
        }
        Ok(Ok(branch))
    }

    /// Takes the blocks above `fork` out of the best chain. They are kept beside it.
    fn abandon(&self, batch: &mut Batch, fork: Height) -> Result<Vec<(Lineage, Vec<Transaction>)>, StoreError> {
        let mut abandoned = Vec::new();
        let oldest_body = self.store.oldest_body()?;
        for height in (fork.0 + 1..=self.tip.height.0).map(Height) {
            let id = self.known_id_at(height)?;
            let transactions = match self.store.body(&id)? {
                Some(body) => body.transactions,
                // Only who goes back for good comes so far. The index forgot them with the body.
                None if height < oldest_body => Vec::new(),
                None => return Err(missing(Column::Bodies, &id)),
            };
            let lineage = self.store.known_header(&id)?.lineage;
            let ids: Vec<_> = transactions.iter().map(Transaction::id).collect();
            disconnect(batch, &lineage, &ids);
            abandoned.push((lineage, transactions));
        }
        self.store.roll_back(batch, self.tip.height, fork)?;
        forget_nodes_above(batch, fork);
        Ok(abandoned)
    }

    pub(super) fn known_id_at(&self, height: Height) -> Result<BlockId, StoreError> {
        let key = height.0.to_be_bytes();
        self.store.id_at(height)?.ok_or_else(|| StoreError::Missing { column: Column::ByHeight, key: key.to_vec() })
    }

    /// Forgets a block that broke a rule, and all that stand on it.
    fn drop_branch(&mut self, id: &BlockId) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let mut next = vec![*id];
        while let Some(id) = next.pop() {
            next.extend(self.branches.values().filter(|lineage| lineage.parent == id).map(|lineage| lineage.id));
            if let Some(lineage) = self.branches.remove(&id) {
                forget_side_block(&mut batch, lineage.height, &id);
            }
            self.condemn(id);
        }
        self.store.write(batch)
    }

    /// Goes back to the best chain's block at `to` and forgets all that came after it, beside the chain too.
    ///
    /// # Errors
    /// If its state was pruned, or the store cannot be read or written.
    pub fn rewind(&mut self, to: Height) -> Result<(), RewindError> {
        let oldest = self.store.oldest_state()?;
        if to < oldest {
            return Err(RewindError::Pruned { to, oldest });
        }
        if to > self.tip.height {
            return Err(RewindError::Above { to, tip: self.tip.height });
        }
        let id = self.known_id_at(to)?;
        let tip = self.store.known_header(&id)?.lineage;
        let mut batch = Batch::default();
        for (lineage, _) in self.abandon(&mut batch, to)? {
            forget_side_block(&mut batch, lineage.height, &lineage.id);
        }
        for (height, id) in self.store.side_blocks(to.next(), Height(u64::MAX))? {
            forget_side_block(&mut batch, height, &id);
        }
        put_tip(&mut batch, &id);
        if self.store.oldest_body()? > to {
            // No body is left, but those to come will be there.
            put_oldest_body(&mut batch, to.next());
        }
        let parent_weight = self.parent_weight_of(&tip)?;
        self.store.write(batch)?;
        (self.tip, self.parent_weight) = (tip, parent_weight);
        self.values.clear();
        self.branches.retain(|_, lineage| lineage.height <= to);
        self.admitted.clear();
        Ok(())
    }
}

/// Why the chain cannot go back.
#[derive(Debug, thiserror::Error)]
pub enum RewindError {
    /// Its state is gone.
    #[error("cannot go back to height {to}: the oldest state that is kept is that of height {oldest}")]
    Pruned {
        /// Where to.
        to: Height,
        /// The oldest possible.
        oldest: Height,
    },
    /// The chain is not that long.
    #[error("cannot go back to height {to}: the tip is at height {tip}")]
    Above {
        /// Where to.
        to: Height,
        /// The tip's height.
        tip: Height,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn missing(column: Column, id: &BlockId) -> StoreError {
    StoreError::Missing { column, key: id.0.to_vec() }
}
