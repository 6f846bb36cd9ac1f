//! Blocks on their way in: from peers, from catching up, and from this node's own miners.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::{Effect, Participant, Verdict};
use crate::chain::rules::{BlockError, HeaderError, TransactionError};
use crate::chain::{Block, BlockId, Epoch, MinerKey};
use crate::manager::{self, Candidate, Event, Refusal};
use crate::network::PeerId;
use crate::network::message::{Gossip, GossipId, Request, Tip};
use crate::network::offence::Offence;
use crate::store::{Database, StoreError};

/// Blocks of which it is remembered where they came from: as many as can wait for others.
const MAX_SOURCES: usize = 8192;
/// Headers that one key may sign for an epoch before no more of them are looked at or forwarded (PROTOCOL §7): two are
/// evidence, a third still shows another branch.
const MAX_HEADERS_OF_KEY: usize = 3;
/// Other headers of a key and epoch than those first ones that a peer may send before it pays. It forwards the three that
/// it saw first itself, and three more after a restart.
const MAX_OTHER_HEADERS: usize = 2 * MAX_HEADERS_OF_KEY;
/// Keys and epochs whose headers are counted: those of a day of main's epochs, were each won by three.
const MAX_COUNTED: usize = 32768;
/// Peers, keys and epochs of which such other headers are counted.
const MAX_OTHERS: usize = 4096;
/// Pieces of gossiped blocks being verified at once: a node that is slower than the network catches up in batches instead.
const MAX_GOSSIP_IN_FLIGHT: usize = 8;

/// What a block that came to stand on the best chain speaks for who sent it: see [`crate::network::peers::Peers::useful`].
const BLOCK_MERIT: u32 = 1;

/// Where a block came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// One of this node's miners.
    Own,
    /// A peer forwarded it, in so many bytes.
    Gossip(PeerId, GossipId, usize),
    /// A peer forwarded it, and that was judged already: it waits for another block.
    Heard(PeerId),
    /// A peer was asked for it.
    Asked(PeerId),
}

impl Source {
    fn peer(self) -> Option<PeerId> {
        match self {
            Self::Own => None,
            Self::Gossip(peer, ..) | Self::Heard(peer) | Self::Asked(peer) => Some(peer),
        }
    }
}

/// What is on its way in.
#[derive(Debug)]
pub(super) struct Intake {
    sources: LruCache<BlockId, Source>,
    /// Pieces whose verification was asked for.
    in_flight: usize,
    /// The first verified headers by key and epoch.
    signed: LruCache<(MinerKey, Epoch), Vec<BlockId>>,
    /// How many others each peer sent.
    others: LruCache<(PeerId, MinerKey, Epoch), usize>,
}

impl Default for Intake {
    fn default() -> Self {
        let bound = |bound| NonZeroUsize::new(bound).expect("bounds are not zero");
        Self {
            sources: LruCache::new(bound(MAX_SOURCES)),
            in_flight: 0,
            signed: LruCache::new(bound(MAX_COUNTED)),
            others: LruCache::new(bound(MAX_OTHERS)),
        }
    }
}

impl Intake {
    /// Whether a further header of a key and epoch is looked at, and whether its sender overdoes it.
    fn may_look_at(&mut self, key: (MinerKey, Epoch), id: &BlockId, peer: &PeerId) -> (bool, bool) {
        let Some(first) = self.signed.get(&key) else { return (true, false) };
        if first.contains(id) {
            return (true, false);
        }
        let look = first.len() < MAX_HEADERS_OF_KEY;
        let others = self.others.get_or_insert_mut((*peer, key.0, key.1), || 0);
        *others += 1;
        (look, *others > MAX_OTHER_HEADERS)
    }

    /// Counts a verified header: whether it is among the first of its key and epoch, which alone are forwarded.
    fn count(&mut self, key: (MinerKey, Epoch), id: BlockId) -> bool {
        let first = self.signed.get_or_insert_mut(key, Vec::new);
        let known = first.contains(&id);
        if !known && first.len() < MAX_HEADERS_OF_KEY {
            first.push(id);
            return true;
        }
        known
    }
}

/// What a block costs who forwarded it and should have known better. Who forwards has checked all of it before, but for
/// what its state would show: a block beside its own chain it has not executed.
pub(super) fn fault(refusal: &Refusal) -> Option<Offence> {
    match refusal {
        Refusal::Branches { .. }
        | Refusal::Rule(BlockError::Header(HeaderError::Early { .. } | HeaderError::TooDeep { .. })) => None,
        Refusal::Condemned { .. } => Some(Offence::UnexecutedBlock),
        Refusal::Rule(error) if is_of_state(error) => Some(Offence::UnexecutedBlock),
        Refusal::Rule(_) | Refusal::Checkpoint { .. } => Some(Offence::BadBlock),
    }
}

/// Whether a rule is one that only the state of the block's parent shows to be broken.
fn is_of_state(error: &BlockError) -> bool {
    use TransactionError as T;
    match error {
        BlockError::StateRoot { .. }
        | BlockError::CoinbaseSum { .. }
        | BlockError::Supply { .. }
        | BlockError::PlotStatus { .. }
        | BlockError::Barred { .. } => true,
        BlockError::Transaction { error, .. } => matches!(
            error,
            T::Nonce { .. }
                | T::NonceEnd
                | T::Balance { .. }
                | T::Barred { .. }
                | T::Registered { .. }
                | T::Retired { .. }
                | T::Registrations { .. }
                | T::UnpaidRegistrations
                | T::UnknownPlot { .. }
                | T::ForeignPlot { .. }
                | T::Lapsed { .. }
                | T::NotDrawn
                | T::OpeningSiblings { .. }
                | T::OpeningPath { .. }
                | T::OpeningCell { .. }
                | T::OldEvidence { .. }
        ),
        _ => false,
    }
}

impl<D: Database> Participant<D> {
    /// A block that a peer forwards.
    pub(super) fn take_proposal(
        &mut self,
        peer: PeerId,
        gossip: GossipId,
        block: Block,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let id = block.id();
        let key = (block.header.miner_key, block.header.epoch);
        let (look, overdone) = self.intake.may_look_at(key, &id, &peer);
        if overdone {
            self.offence(peer, Offence::Flood, now_ms);
        }
        if !look || self.intake.in_flight >= MAX_GOSSIP_IN_FLIGHT {
            self.judge(peer, gossip, Verdict::Ignore);
            return Ok(());
        }
        let bytes = block.encoded_len();
        self.take_blocks([(Source::Gossip(peer, gossip, bytes), block)], now_ms)
    }

    /// Blocks in any order: what is cheap is checked here, the rest on another thread.
    pub(super) fn take_blocks(
        &mut self,
        blocks: impl IntoIterator<Item = (Source, Block)>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let mut taken = Vec::new();
        for (source, block) in blocks {
            let id = block.id();
            // Who comes second with a block that is being looked at is not to blame for it, whatever it is.
            let is_second = self.intake.sources.contains(&id) && self.chain.is_pending(&id);
            match source {
                Source::Gossip(peer, gossip, _) if is_second => {
                    self.judge(peer, gossip, Verdict::Ignore);
                    continue;
                }
                _ if is_second => {}
                _ => {
                    self.intake.sources.put(id, source);
                }
            }
            taken.push(block);
        }
        self.admit(taken, now_ms)
    }

    fn admit(&mut self, blocks: Vec<Block>, now_ms: u64) -> Result<(), StoreError> {
        let admission = self.chain.admit(blocks, now_ms)?;
        self.follow(admission.events)?;
        for (id, verdict) in admission.verdicts {
            self.judged(id, &verdict, true, now_ms);
        }
        if !admission.candidates.is_empty() {
            self.intake.in_flight += 1;
            self.effects.push(Effect::VerifyBlocks(admission.candidates));
        }
        Ok(())
    }

    /// Blocks whose signatures and rows were checked: they are executed and written, and then announced.
    pub(super) fn blocks_verified(
        &mut self,
        verified: Vec<(Candidate, Result<(), BlockError>)>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        self.intake.in_flight = self.intake.in_flight.saturating_sub(1);
        // More of a winner than are forwarded may have been verified at once.
        let mut surplus = Vec::new();
        for (candidate, _) in verified.iter().filter(|(_, result)| result.is_ok()) {
            let (header, id) = (&candidate.block.header, candidate.checked.lineage.id);
            if !self.intake.count((header.miner_key, header.epoch), id) {
                surplus.push(id);
            }
        }
        let before = self.chain.tip().id;
        let proposals: Vec<_> = verified
            .iter()
            .map(|(candidate, _)| (candidate.checked.lineage.id, &candidate.block))
            .filter(|(id, _)| self.intake.sources.peek(id) == Some(&Source::Own))
            .map(|(id, block)| (id, block.clone()))
            .collect();
        let outcome = self.chain.apply(verified)?;
        self.follow(outcome.events)?;
        for (id, verdict) in outcome.verdicts {
            let stands = matches!(verdict, manager::Verdict::Connected | manager::Verdict::Beside);
            if let Some((_, block)) = proposals.iter().find(|(own, _)| *own == id).filter(|_| stands) {
                self.counters.proposed += 1;
                tracing::info!(height = block.header.height.0, epoch = block.header.epoch.0, %id, "proposed a block");
                self.peers.spread(block.encoded_len(), true, now_ms);
                self.effects.push(Effect::Publish(Gossip::Proposal(Box::new(block.clone()))));
            }
            self.judged(id, &verdict, !surplus.contains(&id), now_ms);
        }
        if self.chain.tip().id != before {
            self.announce(now_ms);
        }
        // What ran too far ahead of the state, or waited for these, can be judged now.
        self.admit(Vec::new(), now_ms)
    }

    /// The pool goes where the chain went.
    pub(super) fn follow(&mut self, events: Vec<Event>) -> Result<(), StoreError> {
        for event in &events {
            match event {
                Event::Connected { .. } => self.counters.connected += 1,
                Event::Reorganised { adopted, abandoned, fork, .. } => {
                    self.counters.connected += adopted.len() as u64;
                    self.counters.reorganised += 1;
                    tracing::info!(
                        fork = fork.0,
                        abandoned = abandoned.len(),
                        adopted = adopted.len(),
                        "another branch took over"
                    );
                }
                Event::Alarm(_) => self.counters.alarms += 1,
            }
        }
        if let Err(error) = self.with_pool(|pool, chain| pool.follow(chain, events))? {
            tracing::error!(%error, "the pool does not follow the chain");
        }
        Ok(())
    }

    /// What becomes of a block; one that is taken is forwarded if it `goes_on`.
    fn judged(&mut self, id: BlockId, verdict: &manager::Verdict, goes_on: bool, now_ms: u64) {
        self.sync.judged(&id, verdict);
        if *verdict == manager::Verdict::Known && self.chain.is_pending(&id) {
            // Another copy of it came. What becomes of it, and of the gossip that brought it, is not known yet.
            return;
        }
        let waits = matches!(verdict, manager::Verdict::Orphan { .. } | manager::Verdict::Light);
        let Some(source) = self.intake.sources.pop(&id) else { return };
        if waits {
            let later = if let Source::Gossip(peer, ..) = source { Source::Heard(peer) } else { source };
            self.intake.sources.put(id, later);
        }
        let (judged, offence) = match verdict {
            manager::Verdict::Connected | manager::Verdict::Beside => {
                self.tell_of(&id, *verdict == manager::Verdict::Connected, source);
                (if goes_on { Verdict::Accept } else { Verdict::Ignore }, None)
            }
            manager::Verdict::Known | manager::Verdict::Light | manager::Verdict::Orphan { .. } => {
                (Verdict::Ignore, None)
            }
            manager::Verdict::Refused(refusal) => {
                self.counters.refused += 1;
                let offence = fault(refusal);
                match source.peer() {
                    Some(peer) => tracing::warn!(%peer, %id, reason = %refusal, "refused a block"),
                    None => tracing::error!(%id, reason = %refusal, "refused a block of this node's own miner"),
                }
                (if offence.is_some() { Verdict::Reject } else { Verdict::Ignore }, offence)
            }
        };
        if let (manager::Verdict::Connected, Some(peer)) = (verdict, source.peer()) {
            self.peers.useful(&peer, BLOCK_MERIT, now_ms);
        }
        if let Source::Gossip(peer, gossip, bytes) = source {
            if judged == Verdict::Accept {
                self.peers.spread(bytes, false, now_ms);
            }
            self.judge(peer, gossip, judged);
            if let manager::Verdict::Orphan { parent } = verdict {
                self.sync.orphan(&peer, parent);
            }
        }
        // Of blocks that were asked for, catching up knows whose fault it is.
        if let (Source::Gossip(peer, ..) | Source::Heard(peer), Some(offence)) = (source, offence) {
            self.offence(peer, offence, now_ms);
        }
    }

    /// A line of the log for each block. While catching up there are thousands.
    fn tell_of(&self, id: &BlockId, best: bool, source: Source) {
        let (peer, height) = (source.peer().map(tracing::field::display), self.chain.tip().height.0);
        if self.is_behind() {
            tracing::debug!(%id, best, peer, height, "took a block");
        } else {
            tracing::info!(%id, best, peer, height, "took a block");
        }
    }

    /// Tells all peers where the best chain ends now. While catching up that is news to nobody.
    fn announce(&mut self, now_ms: u64) {
        if self.is_behind() {
            return;
        }
        let tip = Tip::from(self.chain.tip());
        self.tell_peers(&Request::BlockAccepted(tip), now_ms);
    }
}
