//! The third hand: executing and writing.

use std::collections::HashMap;

use super::{Candidate, ChainManager, Event, MAX_BRANCH_BLOCKS, Refusal, Verdict, verify};
use crate::chain::rules::{BlockError, TransactionError, coinbase};
use crate::chain::{Block, BlockId, Hash, Header, Transaction, TransactionId, plot_key};
use crate::consensus::{Engine, Lineage};
use crate::state::tree::{NodeReader, TreeUpdate, commit};
use crate::state::{Changes, Execution, Fault, OpeningClaim, Place, StateReader};
use crate::store::blocks::{connect, forget_side_block, mark_side_block, put_block};
use crate::store::cache::TipState;
use crate::store::open::put_tip;
use crate::store::versions::{put_version, replaced_by};
use crate::store::{Batch, Body, Database, StoreError, StoredHeader};

/// What became of blocks, and what happened to the chain.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What became of each block, in no particular order.
    pub verdicts: Vec<(BlockId, Verdict)>,
    /// What happened to the best chain, in order.
    pub events: Vec<Event>,
}

/// What a block changes.
pub(super) struct Executed {
    pub(super) changes: Changes,
    pub(super) update: TreeUpdate,
}

/// A block's header and proof as they are kept, and its body.
fn split(block: Block, lineage: Lineage) -> (StoredHeader, Body) {
    let Block { header, proof, transactions, metadata } = block;
    (StoredHeader { header, proof, lineage }, Body { transactions, metadata })
}

impl<D: Database> ChainManager<D> {
    /// Takes blocks in any order and does all there is to do. `now_ms` is the clock.
    ///
    /// # Errors
    /// If the store cannot be read or written: nothing is said about the blocks that are left.
    pub fn submit(&mut self, blocks: impl IntoIterator<Item = Block>, now_ms: u64) -> Result<Outcome, StoreError> {
        let mut outcome = Outcome::default();
        let mut blocks: Vec<Block> = blocks.into_iter().collect();
        loop {
            let admission = self.admit(blocks, now_ms)?;
            outcome.verdicts.extend(admission.verdicts);
            outcome.events.extend(admission.events);
            if admission.candidates.is_empty() {
                break;
            }
            let results = verify(&self.verifier, &admission.candidates);
            let applied = self.apply(admission.candidates.into_iter().zip(results))?;
            // Those that ran too far ahead of the state can be judged now.
            blocks = Vec::new();
            outcome.verdicts.extend(applied.verdicts);
            outcome.events.extend(applied.events);
        }
        // What waited and was judged later counts as it is now.
        let last: HashMap<BlockId, Verdict> = outcome.verdicts.drain(..).collect();
        outcome.verdicts = last.into_iter().collect();
        Ok(outcome)
    }

    /// Executes candidates that were verified, in their order, and changes to another branch where that weighs more.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn apply(
        &mut self,
        verified: impl IntoIterator<Item = (Candidate, Result<(), BlockError>)>,
    ) -> Result<Outcome, StoreError> {
        let applied = self.apply_all(verified);
        if applied.is_err() {
            // Those that are left may come again.
            self.admitted.clear();
        }
        applied
    }

    fn apply_all(
        &mut self,
        verified: impl IntoIterator<Item = (Candidate, Result<(), BlockError>)>,
    ) -> Result<Outcome, StoreError> {
        let mut outcome = Outcome::default();
        for (candidate, result) in verified {
            let id = candidate.checked.lineage.id;
            self.admitted.remove(&id);
            let refusal = match result {
                Err(error) => Some(Refusal::Rule(error)),
                Ok(()) => self.known_refusal(&id, &candidate.block.header.parent),
            };
            let verdict = match refusal {
                Some(refusal) => self.refuse(id, refusal),
                None if candidate.checked.lineage.parent == self.tip.id => {
                    self.extend(candidate, &mut outcome.events)?
                }
                None => self.put_beside(candidate, &mut outcome.events)?,
            };
            if self.waiting.has_children(&id) {
                self.awaited.push(id);
            }
            outcome.verdicts.push((id, verdict));
        }
        Ok(outcome)
    }

    fn extend(&mut self, candidate: Candidate, events: &mut Vec<Event>) -> Result<Verdict, StoreError> {
        let Candidate { block, ids, checked } = candidate;
        let Lineage { id, height, .. } = checked.lineage;
        match self.connect_next(block, checked.lineage, &ids, true)? {
            Ok(()) => {
                events.push(Event::Connected { id, height });
                Ok(Verdict::Connected)
            }
            Err(error) => Ok(self.refuse(id, error.into())),
        }
    }

    /// Executes a child of the tip and makes it the tip, in one batch. `is_new` is a block that is not kept yet. The
    /// inner error is the block's.
    pub(super) fn connect_next(
        &mut self,
        block: Block,
        lineage: Lineage,
        ids: &[TransactionId],
        is_new: bool,
    ) -> Result<Result<(), BlockError>, StoreError> {
        let nodes = self.store.nodes();
        let state = TipState { stored: self.store.state(self.tip.height), values: &self.values };
        let Executed { changes, update } = match self.execute(&block, &self.tip, &lineage, &state, &nodes)? {
            Ok(executed) => executed,
            Err(error) => return Ok(Err(error)),
        };
        let mut batch = Batch::default();
        if is_new {
            let (stored, body) = split(block, lineage.clone());
            put_block(&mut batch, &stored, &body);
        }
        connect(&mut batch, &lineage, ids);
        let replaced = replaced_by(&changes, |key| state.held(key))?;
        put_version(&mut batch, lineage.height, &changes, &update, &replaced);
        put_tip(&mut batch, &lineage.id);
        self.prune(&mut batch, lineage.height)?;
        self.store.write(batch)?;
        self.values.advance(lineage.height, changes);
        self.parent_weight = self.tip.weight;
        self.branches.remove(&lineage.id);
        self.tip = lineage;
        self.forget_hopeless()?;
        Ok(Ok(()))
    }

    fn put_beside(&mut self, candidate: Candidate, events: &mut Vec<Event>) -> Result<Verdict, StoreError> {
        let lineage = candidate.checked.lineage;
        let parent = lineage.parent;
        if !self.branches.contains_key(&parent) && self.store.header(&parent)?.is_none() {
            // Its parent was refused in the meantime, for a reason that may pass.
            return Ok(Verdict::Orphan { parent });
        }
        let mut batch = Batch::default();
        let mut dropped = None;
        if self.branches.len() >= MAX_BRANCH_BLOCKS {
            let Some(lightest) = self.lightest_beside(&lineage) else {
                return Ok(Verdict::Refused(Refusal::Branches { limit: MAX_BRANCH_BLOCKS }));
            };
            forget_side_block(&mut batch, lightest.height, &lightest.id);
            dropped = Some(lightest.id);
        }
        let (stored, body) = split(candidate.block, lineage.clone());
        put_block(&mut batch, &stored, &body);
        mark_side_block(&mut batch, lineage.height, &lineage.id);
        self.store.write(batch)?;
        if let Some(dropped) = dropped {
            self.branches.remove(&dropped);
        }
        let id = lineage.id;
        let better = self.engine.prefer(&self.tip, &lineage);
        self.branches.insert(id, lineage);
        if better {
            self.settle(events)?;
        }
        Ok(match self.branches.contains_key(&id) {
            true => Verdict::Beside,
            false => self.known_refusal(&id, &parent).map_or(Verdict::Connected, Verdict::Refused),
        })
    }

    /// The lightest last block of a branch, which makes room for `lineage` unless it is heavier. Of equals any goes: a
    /// miner can sign as many blocks of one epoch as it likes, and they must not keep others out.
    fn lightest_beside(&self, lineage: &Lineage) -> Option<Lineage> {
        let others = self.branch_tips().into_iter().filter(|tip| tip.id != lineage.parent);
        others.min_by_key(|tip| tip.weight).filter(|tip| tip.weight <= lineage.weight).cloned()
    }

    /// Executes a block on its parent's state. The outer error is the store's, the inner one the block's.
    pub(super) fn execute<R: StateReader>(
        &self,
        block: &Block,
        parent: &Lineage,
        lineage: &Lineage,
        state: R,
        nodes: &impl NodeReader,
    ) -> Result<Result<Executed, BlockError>, StoreError> {
        let changes = match self.changes(block, parent, lineage, state) {
            Ok(changes) => changes,
            Err(Fault::Rule(error)) => return Ok(Err(error)),
            Err(Fault::State(error)) => return Err(error.into()),
        };
        let leaves = changes.iter().map(|(key, value)| (key.hash(), value.as_deref()));
        let update = commit(nodes, Some(parent.height.0), leaves)?;
        let expected = block.header.state_root;
        if update.root != expected {
            return Ok(Err(BlockError::StateRoot { found: update.root, expected }));
        }
        Ok(Ok(Executed { changes, update }))
    }

    fn changes<R: StateReader>(
        &self,
        block: &Block,
        parent: &Lineage,
        lineage: &Lineage,
        state: R,
    ) -> Result<Changes, Fault<BlockError>> {
        let Header { miner_key, plot_id, .. } = block.header;
        let parameters = self.parameters();
        let winner = Hash(plot_key(parameters, &miner_key, &block.proof.seed).0);
        let place = Place { parameters, parent, lineage, miner_key };
        let mut execution = Execution::begin(place, winner, plot_id, state)?;
        let mut openings: Vec<(usize, OpeningClaim)> = Vec::new();
        for (index, transaction) in block.transactions.iter().enumerate() {
            match execution.apply(transaction) {
                Ok(claims) => openings.extend(claims.into_iter().map(|claim| (index, claim))),
                Err(Fault::Rule(error)) => return Err(BlockError::Transaction { index, error }.into()),
                Err(Fault::State(error)) => return Err(error.into()),
            }
        }
        // Totals cost less than rows.
        let changes = execution.finish(coinbase(&block.transactions)?)?;
        let requests: Vec<_> = openings.iter().map(|(_, claim)| claim.request).collect();
        for ((index, claim), grown) in openings.into_iter().zip(self.verifier.cells(&requests)) {
            if claim.cell != grown {
                let error = TransactionError::OpeningCell { index: claim.index, found: claim.cell, grown };
                return Err(BlockError::Transaction { index, error }.into());
            }
        }
        Ok(changes)
    }

    /// Transactions of abandoned blocks that may be wanted again: all but coinbases.
    pub(super) fn is_returned(transaction: &Transaction) -> bool {
        !matches!(transaction.payload, crate::chain::Payload::Coinbase(_))
    }
}
