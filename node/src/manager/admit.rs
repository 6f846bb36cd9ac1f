//! The first hand: what is cheap.

use std::collections::VecDeque;

use spacetime_prover::Proof;

use super::{Alarm, ChainManager, Event, MAX_ALARMS, Refusal, Verdict};
use crate::chain::rules::{BlockError, CheckedHeader, HeaderError, check_body, check_header};
use crate::chain::verify::{HeaderCheck, Verifier};
use crate::chain::{Block, BlockId, Hash, Header, Height, TransactionId, plot_key};
use crate::consensus::{Engine, Lineage, too_deep};
use crate::state::{Ledger, PlotStatus};
use crate::store::{Database, StoreError};

/// A block whose cheap rules hold.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The block.
    pub block: Block,
    /// Ids of its transactions.
    pub ids: Vec<TransactionId>,
    /// What is left to be checked of its header.
    pub checked: CheckedHeader,
}

impl Candidate {
    fn header_check(&self) -> HeaderCheck<'_> {
        HeaderCheck { header: &self.block.header, leaf: self.block.proof.leaf, checked: &self.checked }
    }
}

/// What became of the blocks that were handed in, and of those that waited for them.
#[derive(Debug, Default)]
pub struct Admission {
    /// To be verified, and then applied in this order.
    pub candidates: Vec<Candidate>,
    /// What became of the others.
    pub verdicts: Vec<(BlockId, Verdict)>,
    /// Forks that were too deep.
    pub events: Vec<Event>,
}

/// The second hand: signatures and rows of many blocks, in batches and side by side. Results stand in the order of
/// `candidates`.
#[must_use]
pub fn verify(verifier: &Verifier, candidates: &[Candidate]) -> Vec<Result<(), BlockError>> {
    let headers: Vec<_> = candidates.iter().map(Candidate::header_check).collect();
    let mut results: Vec<Result<(), BlockError>> =
        verifier.headers(&headers).into_iter().map(|result| result.map_err(BlockError::Header)).collect();
    let mut places = Vec::new();
    let mut transactions = Vec::new();
    for (block, candidate) in candidates.iter().enumerate().filter(|(block, _)| results[*block].is_ok()) {
        for (index, transaction) in candidate.block.transactions.iter().enumerate() {
            places.push((block, index));
            transactions.push(transaction);
        }
    }
    for ((block, index), result) in places.into_iter().zip(verifier.transactions(&transactions)) {
        if let (Err(error), Ok(())) = (result, &results[block]) {
            results[block] = Err(BlockError::Transaction { index, error });
        }
    }
    results
}

impl<D: Database> ChainManager<D> {
    /// Checks what is cheap of blocks in any order, and of those that waited for what was applied since: whoever applies
    /// has to come back, if with no blocks. `now_ms` is the clock.
    ///
    /// # Errors
    /// If the store cannot be read: the blocks may be good.
    pub fn admit(&mut self, blocks: impl IntoIterator<Item = Block>, now_ms: u64) -> Result<Admission, StoreError> {
        let admission = self.admit_all(blocks, now_ms);
        if admission.is_err() {
            // Those that were admitted are not handed out, and may come again.
            self.admitted.clear();
        }
        admission
    }

    fn admit_all(&mut self, blocks: impl IntoIterator<Item = Block>, now_ms: u64) -> Result<Admission, StoreError> {
        self.look_at_clock(now_ms);
        let mut admission = Admission::default();
        let mut queue: VecDeque<Block> = VecDeque::new();
        for id in std::mem::take(&mut self.awaited) {
            queue.extend(self.waiting.take_children(&id));
        }
        queue.extend(blocks);
        while let Some(block) = queue.pop_front() {
            let id = block.id();
            let count = admission.candidates.len();
            let verdict = self.admit_one(id, block, now_ms, &mut admission)?;
            // What has become known, if only as too light, may be what others wait for.
            for candidate in &admission.candidates[count..] {
                queue.extend(self.waiting.take_children(&candidate.checked.lineage.id));
            }
            if let Some(verdict) = verdict {
                if matches!(verdict, Verdict::Light | Verdict::Orphan { .. }) && self.waiting.light(&id).is_some() {
                    queue.extend(self.waiting.take_orphans(&id));
                }
                admission.verdicts.push((id, verdict));
            }
        }
        Ok(admission)
    }

    /// Nothing where the block became a candidate.
    fn admit_one(
        &mut self,
        id: BlockId,
        block: Block,
        now_ms: u64,
        admission: &mut Admission,
    ) -> Result<Option<Verdict>, StoreError> {
        let parent_id = block.header.parent;
        if let Some(refusal) = self.known_refusal(&id, &parent_id) {
            return Ok(Some(Verdict::Refused(refusal)));
        }
        if self.is_known(&id)? {
            return Ok(Some(Verdict::Known));
        }
        let parent = self.find_parent(&parent_id)?;
        let fork = self.fork_below(&parent_id)?;
        let (Some(lineage), Some(fork)) = (parent, fork) else {
            self.waiting.insert(id, block, None);
            return Ok(Some(Verdict::Orphan { parent: parent_id }));
        };
        let candidate = match self.check_cheap(block, &lineage, now_ms) {
            Ok(candidate) => candidate,
            Err(refusal) => return Ok(Some(self.refuse(id, refusal))),
        };
        if !self.may_fork_at(fork)? {
            let (header, proof) = (&candidate.block.header, &candidate.block.proof);
            let error = self.too_deep(header, proof, &candidate.checked, fork, &mut admission.events)?;
            return Ok(Some(Verdict::Refused(Refusal::Rule(error.into()))));
        }
        let offered = &candidate.checked.lineage;
        let ahead = offered.height.0 - fork.0 > self.parameters().plot_maturity;
        let extends_tip = fork == self.tip.height;
        let heaviest = offered.weight.max(self.waiting.heaviest(&id));
        if ahead || !(extends_tip || self.engine.could_outweigh(heaviest, self.parent_weight)) {
            let lineage = candidate.checked.lineage;
            self.waiting.insert(id, candidate.block, Some(lineage));
            return Ok(Some(Verdict::Light));
        }
        if let Some(missing) = self.waiting.missing_below(&parent_id) {
            let lineage = candidate.checked.lineage;
            self.waiting.insert(id, candidate.block, Some(lineage));
            return Ok(Some(Verdict::Orphan { parent: missing }));
        }
        let mut branch = self.take_light_ancestors(&candidate, now_ms)?;
        branch.push(candidate);
        for candidate in branch {
            let id = candidate.checked.lineage.id;
            if let Some(refusal) = self.known_refusal(&id, &candidate.block.header.parent) {
                admission.verdicts.push((id, Verdict::Refused(refusal)));
                continue;
            }
            if let Err(error) = self.check_plot_at(fork, &candidate.block.header, &candidate.block.proof)? {
                let verdict = self.refuse(id, error.into());
                admission.verdicts.push((id, verdict));
                continue;
            }
            self.waiting.forget_light(&id);
            self.admitted.insert(id, candidate.checked.lineage.clone());
            admission.candidates.push(candidate);
        }
        Ok(None)
    }

    pub(super) fn is_known(&self, id: &BlockId) -> Result<bool, StoreError> {
        let here = self.admitted.contains_key(id) || self.branches.contains_key(id) || self.waiting.contains(id);
        Ok(here || self.tip.id == *id || self.store.header(id)?.is_some())
    }

    /// Whether the block, or its parent, was refused for good before.
    pub(super) fn known_refusal(&mut self, id: &BlockId, parent: &BlockId) -> Option<Refusal> {
        if self.condemned.get(id).is_some() {
            return Some(Refusal::Condemned { ancestor: *id });
        }
        self.condemned.get(parent)?;
        self.condemn(*id);
        Some(Refusal::Condemned { ancestor: *parent })
    }

    /// Remembers that a block broke a rule, and lets go of what waits for it.
    pub(super) fn condemn(&mut self, id: BlockId) {
        self.condemned.put(id, ());
        self.waiting.forget_light(&id);
        for descendant in self.waiting.drop_descendants(&id) {
            self.condemned.put(descendant, ());
        }
    }

    pub(super) fn refuse(&mut self, id: BlockId, refusal: Refusal) -> Verdict {
        let condemns = match &refusal {
            Refusal::Rule(error) => error.condemns(),
            Refusal::Condemned { .. } | Refusal::Checkpoint { .. } => true,
            Refusal::Branches { .. } => false,
        };
        if condemns {
            self.condemn(id);
        }
        Verdict::Refused(refusal)
    }

    /// What a block leaves to its children, wherever it is, if its parent was known.
    pub(super) fn find_parent(&self, id: &BlockId) -> Result<Option<Lineage>, StoreError> {
        match self.admitted.get(id).or_else(|| self.waiting.light(id)) {
            Some(lineage) => Ok(Some(lineage.clone())),
            None => self.lineage_of(id),
        }
    }

    /// Height at which the branch of a block leaves what was executed of the best chain. Nothing, where a block below
    /// it was refused, or dropped for want of room.
    pub(super) fn fork_below(&self, id: &BlockId) -> Result<Option<Height>, StoreError> {
        let mut id = *id;
        while let Some(lineage) = self.admitted.get(&id).or_else(|| self.waiting.light(&id)) {
            id = lineage.parent;
        }
        self.lineage_of(&id)?.map(|lineage| self.fork_of(&lineage)).transpose()
    }

    fn check_cheap(&self, block: Block, parent: &Lineage, now_ms: u64) -> Result<Candidate, Refusal> {
        let parameters = self.parameters();
        let checked =
            check_header(&self.engine, parameters, &self.genesis, parent, &block.header, &block.proof, Some(now_ms))
                .map_err(BlockError::Header)?;
        self.check_checkpoint(&checked.lineage)?;
        let ids = check_body(&block, parameters)?;
        Ok(Candidate { block, ids, checked })
    }

    /// Whether the specification names no other block at this height.
    pub(super) fn check_checkpoint(&self, lineage: &Lineage) -> Result<(), Refusal> {
        let Lineage { id, height, .. } = *lineage;
        let at_height = self.specification.checkpoints.iter().find(|checkpoint| checkpoint.height == height);
        match at_height.filter(|checkpoint| checkpoint.id != id) {
            Some(checkpoint) => Err(Refusal::Checkpoint { height, expected: checkpoint.id }),
            None => Ok(()),
        }
    }

    /// Whether forks at this height are followed: not deeper than the limit, but for the initial sync, and never
    /// below what is kept.
    pub(super) fn may_fork_at(&self, fork: Height) -> Result<bool, StoreError> {
        if fork == self.tip.height {
            return Ok(true);
        }
        let followed = self.syncing || !too_deep(self.tip.height, fork, self.parameters().reorg_limit);
        Ok(followed && fork >= self.oldest_fork()?)
    }

    /// The oldest block that can be returned to with those above it kept beside, whole.
    fn oldest_fork(&self) -> Result<Height, StoreError> {
        let below_bodies = Height(self.store.oldest_body()?.0.saturating_sub(1));
        Ok(below_bodies.max(self.store.oldest_state()?))
    }

    /// Raises the alarm that a header which is not followed may deserve, and says why it is not.
    pub(super) fn too_deep(
        &mut self,
        header: &Header,
        proof: &Proof,
        checked: &CheckedHeader,
        fork: Height,
        events: &mut Vec<Event>,
    ) -> Result<HeaderError, StoreError> {
        if !self.is_alarmed(fork) && self.deserves_alarm(header, proof, checked, fork)? {
            self.raise_alarm(checked.lineage.id, fork, events);
        }
        let limit = self.parameters().reorg_limit;
        let depth = self.tip.height.0 - fork.0;
        Ok(HeaderError::TooDeep { fork, depth, limit })
    }

    /// Whether a header that is not followed was won: by a plot that is known, and signed. Anybody can make others,
    /// and no row is grown for any.
    fn deserves_alarm(
        &self,
        header: &Header,
        proof: &Proof,
        checked: &CheckedHeader,
        fork: Height,
    ) -> Result<bool, StoreError> {
        let Header { miner_key, plot_id, height, .. } = *header;
        let key = Hash(plot_key(self.parameters(), &miner_key, &proof.seed).0);
        let oldest = self.store.oldest_state()?;
        let plot = Ledger::new(self.store.state(fork.max(oldest))).plot(key)?;
        let could_win =
            plot.is_some_and(|plot| plot.plot_id == plot_id && plot.mature_from.is_some_and(|from| from <= height));
        let check = HeaderCheck { header, leaf: proof.leaf, checked };
        Ok(could_win && self.verifier.are_signed(&[check])[0].is_ok())
    }

    fn is_alarmed(&self, fork: Height) -> bool {
        self.alarms.iter().any(|alarm| alarm.fork == fork)
    }

    /// One alarm a fork, however many blocks come of it.
    pub(super) fn raise_alarm(&mut self, block: BlockId, fork: Height, events: &mut Vec<Event>) {
        if self.is_alarmed(fork) {
            return;
        }
        let alarm = Alarm { fork, tip: self.tip.height, block };
        tracing::error!(fork = fork.0, tip = alarm.tip.0, %block, "a fork deeper than the reorg limit is not followed");
        if self.alarms.len() == MAX_ALARMS {
            self.alarms.remove(0);
        }
        self.alarms.push(alarm.clone());
        events.push(Event::Alarm(alarm));
    }

    /// The blocks that waited for the weight which `candidate` brings, lowest first.
    fn take_light_ancestors(&mut self, candidate: &Candidate, now_ms: u64) -> Result<Vec<Candidate>, StoreError> {
        let mut blocks = Vec::new();
        let mut parent = candidate.block.header.parent;
        while self.waiting.light(&parent).is_some() {
            let Some(block) = self.waiting.remove(&parent) else { break };
            parent = block.header.parent;
            blocks.push(block);
        }
        let mut candidates: Vec<Candidate> = Vec::with_capacity(blocks.len());
        let Some(mut below) = self.find_parent(&parent)? else {
            return Ok(candidates);
        };
        for block in blocks.into_iter().rev() {
            // It passed before; only the clock is later now.
            let Ok(candidate) = self.check_cheap(block, &below, now_ms) else { break };
            below = candidate.checked.lineage.clone();
            candidates.push(candidate);
        }
        Ok(candidates)
    }

    /// What the state at the fork says of the winning plot (PROTOCOL §7, "Cheap before dear"): it must have been
    /// activated and not have ended there, and be mature at the header's own height.
    pub(super) fn check_plot_at(
        &self,
        fork: Height,
        header: &Header,
        proof: &Proof,
    ) -> Result<Result<(), BlockError>, StoreError> {
        let Header { miner_key, plot_id, height, .. } = *header;
        let parameters = self.parameters();
        let key = Hash(plot_key(parameters, &miner_key, &proof.seed).0);
        let mut ledger = Ledger::new(self.store.state(fork));
        let Some(plot) = ledger.plot(key)? else {
            return Ok(Err(BlockError::UnknownPlot { plot_id }));
        };
        if plot.plot_id != plot_id {
            return Ok(Err(BlockError::OtherPlot { found: plot_id, registered: plot.plot_id }));
        }
        if let Some(since) = ledger.barred(miner_key)? {
            return Ok(Err(BlockError::Barred { miner_key, since }));
        }
        let status = match plot.status(fork, parameters) {
            status if !status.is_active() => status,
            _ if plot.mature_from.is_none_or(|from| from > height) => PlotStatus::Immature,
            _ => return Ok(Ok(())),
        };
        Ok(Err(BlockError::PlotStatus { plot_id, status, height }))
    }
}
