//! Catching up: headers first with proofs checked in batches, then bodies from many peers at once. A state machine
//! without sockets, clock or threads.
//!
//! One branch is followed at a time, that of the peer who claims the heaviest chain. Its headers are asked for, checked
//! for what is cheap as far as plots' maturity lets judge above what was executed, and their signatures and rows in
//! batches. Bodies are asked of all peers who say they have them, and handed over lowest first, in pieces.
//! Whoever shows less than it claimed, or anything that breaks a rule, pays for it and is asked no more; what it was
//! asked for is asked of others.
//!
//! Nothing of it is kept across restarts: the store's tip is where it goes on.
//!
//! [`serve`] is the other side.

mod bodies;
mod compare;
mod headers;
mod locator;
mod meter;
mod options;
mod peer;
pub mod serve;
mod trunk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use meter::{Phase, Progress};

use crate::chain::rules::{BlockError, CheckedHeader, HeaderError};
use crate::chain::verify::{HeaderCheck, Verifier};
use crate::chain::{Block, BlockId, Height};
use crate::consensus::{Engine, Lineage};
use crate::manager::{self, ChainManager, Refusal, Verdict};
use crate::network::PeerId;
use crate::network::message::{CAPABLE_ARCHIVE, GetHeaders, ProvedHeader, Request, Response, Tip};
use crate::network::offence::{BAN_POINTS, Offence};
use crate::participant::{RequestFailure, RequestId, RequestIds};
use crate::store::{Database, StoreError};
use compare::Survey;
use headers::Answer;
use meter::Meter;
use options::{
    APART_MS, BLOCKS_DEADLINE_MS, COMPARE_MS, GRACE_MS, HEADERS_DEADLINE_MS, MAX_PEERS, SHOWN_MS, STALL_MS, Spans,
};
use peer::Peer;
use trunk::{Body, Stage, Trunk};

/// Headers whose cheap rules hold, one on another, on their way to have their signatures and rows checked.
#[derive(Clone, Debug)]
pub struct HeaderBatch {
    /// Names the batch.
    pub number: u64,
    /// The headers, and what is left to be checked of each.
    pub headers: Vec<(ProvedHeader, CheckedHeader)>,
}

impl HeaderBatch {
    /// Checks signatures and rows, on whatever thread: what [`Sync::headers_verified`] wants to know.
    #[must_use]
    pub fn verify(&self, verifier: &Verifier) -> Vec<Result<(), HeaderError>> {
        let checks = self.headers.iter().map(|(ProvedHeader { header, proof }, checked)| HeaderCheck {
            header,
            leaf: proof.leaf,
            checked,
        });
        let checks: Vec<_> = checks.collect();
        verifier.headers(&checks)
    }
}

/// What is to be done.
#[derive(Debug)]
pub enum SyncEffect {
    /// Ask a peer. One that is gone meanwhile fails to answer, by [`RequestFailure::Disconnected`].
    Request {
        /// Whom.
        peer: PeerId,
        /// Names the question.
        id: RequestId,
        /// What.
        request: Request,
        /// Until when, Unix milliseconds.
        deadline_ms: u64,
    },
    /// Check signatures and rows by [`HeaderBatch::verify`]; what comes of it goes to [`Sync::headers_verified`].
    VerifyHeaders(HeaderBatch),
    /// Blocks in order, and who sent them: they go to [`ChainManager::admit`] together, and what becomes of each to
    /// [`Sync::judged`].
    Blocks(Vec<(PeerId, Block)>),
    /// A peer did something wrong.
    Offence {
        /// Who.
        peer: PeerId,
        /// What.
        offence: Offence,
    },
    /// Something happened to the chain: an alarm.
    Event(manager::Event),
}

/// What a question was.
#[derive(Debug)]
enum What {
    /// Headers; the peer claimed this tip.
    Headers { claim: Tip, wanted: GetHeaders, purpose: Purpose },
    /// Whether the peer still has this header on its best chain, whose block it did not give.
    Vouch { id: BlockId },
    /// Blocks of the trunk.
    Blocks { ids: Vec<BlockId> },
    /// A block near the tip.
    Single { id: BlockId },
}

/// What headers are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To be followed.
    Follow,
    /// To see whether a peer's branch is the one that is followed.
    Probe,
    /// To see what the leader's chain weighs.
    Survey,
}

/// An open question.
#[derive(Debug)]
struct Question {
    peer: PeerId,
    asked_ms: u64,
    deadline_ms: u64,
    what: What,
}

/// A block that was handed over and is not judged.
#[derive(Debug)]
struct Handed {
    from: PeerId,
    piece: u64,
}

/// A block near the tip, asked of a peer for what it claims.
#[derive(Clone, Copy, Debug)]
struct Single {
    peer: PeerId,
    asked_ms: u64,
    handed: bool,
}

/// What a participant may choose.
#[derive(Clone, Copy, Debug)]
pub struct SyncOptions {
    /// How long branches of peers are compared before the first block of a long one is asked for, in milliseconds.
    pub compare_ms: u64,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self { compare_ms: COMPARE_MS }
    }
}

/// Catches up with the heaviest chain of all peers.
#[derive(Debug, Default)]
pub struct Sync {
    options: SyncOptions,
    peers: BTreeMap<PeerId, Peer>,
    questions: BTreeMap<RequestId, Question>,
    /// Answers with headers that were not looked at: not more than there were questions.
    answers: VecDeque<Answer>,
    trunk: Trunk,
    /// Height at which the trunk leaves what was executed.
    fork: Height,
    /// Until when a new branch waits to be compared.
    compare_until_ms: u64,
    survey: Option<Survey>,
    /// Height above which no blocks are taken, while branches are compared.
    hold: Option<Height>,
    /// Batches of headers that are being verified.
    batches: BTreeSet<u64>,
    next_batch: u64,
    /// Blocks that were handed over and are not judged.
    handed: BTreeMap<BlockId, Handed>,
    next_piece: u64,
    /// Blocks near the tip that were asked for or handed over.
    singles: BTreeMap<BlockId, Single>,
    /// Headers that turned out to be bad, which the manager has to be told.
    bad: Vec<BlockId>,
    /// Smoothed length of a block, in bytes.
    block_bytes: usize,
    /// Whether a block stood on one that broke a rule.
    condemned: bool,
    /// Whether more headers can be judged at once.
    judges_on: bool,
    effects: Vec<SyncEffect>,
    meter: Meter,
    progress: Progress,
    /// Whether anything has happened since the last poll.
    is_stirred: bool,
    progressed: bool,
    progressed_ms: u64,
    /// Whether a header was verified since the last poll, and when one last was, or there was nobody to be had one of.
    verified: bool,
    verified_ms: u64,
    wake_ms: Option<u64>,
}

impl Sync {
    /// Catches up with nobody yet.
    #[must_use]
    pub fn new(options: SyncOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// A peer may be asked from now on. `tip` is where it says its best chain ends, `capabilities` what it can do
    /// (`CAPABLE_…`).
    pub fn peer_ready(&mut self, peer: PeerId, tip: Tip, capabilities: u32) {
        self.is_stirred = true;
        if self.peers.len() < MAX_PEERS || self.peers.contains_key(&peer) {
            self.peers.insert(peer, Peer::new(tip, capabilities & CAPABLE_ARCHIVE != 0));
        }
    }

    /// A peer says where its best chain ends now.
    pub fn peer_tip(&mut self, peer: &PeerId, tip: Tip) {
        self.is_stirred = true;
        if let Some(peer) = self.peers.get_mut(peer)
            && peer.claim != tip
        {
            (peer.claim, peer.claimed_ms, peer.shown, peer.moved) = (tip, None, Height(0), true);
        }
    }

    /// A peer is gone. What it was asked for is asked of others.
    pub fn peer_gone(&mut self, peer: &PeerId) {
        self.is_stirred = true;
        self.peers.remove(peer);
        let gone: Vec<_> = self.questions.iter().filter(|(_, open)| open.peer == *peer).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(Question { what: What::Blocks { ids }, .. }) = self.questions.remove(&id) {
                self.release(&ids);
            }
        }
        self.singles.retain(|_, single| single.peer != *peer || single.handed);
        if self.trunk.leader.is_some_and(|(leader, _)| leader == *peer) {
            (self.trunk.leader, self.trunk.ended) = (None, false);
        }
    }

    /// A block of `peer` stands on `parent`, which is not known: its headers are wanted.
    pub fn orphan(&mut self, peer: &PeerId, parent: &BlockId) {
        self.is_stirred = true;
        if self.trunk.height_of(parent).is_some() {
            return;
        }
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.look = true;
        }
    }

    /// Whether a question is one of this.
    #[must_use]
    pub fn asked(&self, id: RequestId) -> bool {
        self.questions.contains_key(&id)
    }

    /// A peer answers, or does not.
    pub fn response(&mut self, peer: &PeerId, id: RequestId, result: Result<Response, RequestFailure>, now_ms: u64) {
        self.is_stirred = true;
        if self.questions.get(&id).is_none_or(|question| question.peer != *peer) {
            return;
        }
        let Some(Question { asked_ms, what, .. }) = self.questions.remove(&id) else { return };
        self.close(peer, id, &what);
        match (what, result) {
            (What::Headers { claim, wanted, purpose }, Ok(Response::Headers(headers))) => {
                let headers = headers.into_inner();
                self.answers.push_back(Answer { peer: *peer, claim, wanted, purpose, headers });
            }
            (What::Vouch { id }, Ok(Response::Headers(headers))) => self.vouched(peer, &id, &headers, now_ms),
            (What::Blocks { ids }, Ok(Response::Blocks(blocks))) => {
                let ms = now_ms.saturating_sub(asked_ms);
                self.blocks_came(peer, &ids, blocks.into_inner(), ms, now_ms);
            }
            (What::Single { id }, Ok(Response::Blocks(blocks))) => {
                self.single_came(peer, id, blocks.into_inner(), now_ms)
            }
            (what, result) => self.unanswered(peer, what, result, now_ms),
        }
    }

    /// Frees the room that a question took.
    fn close(&mut self, peer: &PeerId, id: RequestId, what: &What) {
        let Some(peer) = self.peers.get_mut(peer) else { return };
        match what {
            What::Headers { .. } | What::Vouch { .. } => {
                peer.asked_headers = peer.asked_headers.filter(|open| *open != id)
            }
            What::Blocks { .. } | What::Single { .. } => peer.asked_blocks = peer.asked_blocks.saturating_sub(1),
        }
    }

    /// A question has no answer, or one of another kind.
    fn unanswered(&mut self, peer: &PeerId, what: What, result: Result<Response, RequestFailure>, now_ms: u64) {
        let offence = match result {
            Ok(Response::Refused) | Err(RequestFailure::Disconnected | RequestFailure::Unsupported) => None,
            Ok(_) => Some(Offence::WrongAnswer),
            Err(RequestFailure::Timeout) => Some(Offence::Slow),
            Err(RequestFailure::Malformed) => Some(Offence::Malformed),
        };
        let (refused, is_shown) = (matches!(result, Ok(Response::Refused)), self.is_shown(now_ms));
        tracing::debug!(%peer, ?offence, "a question was not answered");
        if let Some(offence) = offence {
            self.blame(peer, offence);
        }
        if let Some(peer) = self.peers.get_mut(peer) {
            let rest = now_ms + if refused { peer.refused() } else { peer.failed() };
            if matches!(what, What::Headers { .. }) && peer.leaves() {
                // It claims another branch, and does not show it.
                peer.disbelieve(now_ms);
            } else if matches!(what, What::Headers { .. }) && refused && peer.gives_nothing() && !is_shown {
                // To claim costs nothing, nor does it to refuse. But of a chain that comes in the rest may, too.
                peer.distrust(now_ms);
            }
            match what {
                What::Headers { .. } | What::Vouch { .. } => peer.headers_rest_ms = rest,
                What::Blocks { .. } | What::Single { .. } => peer.blocks_rest_ms = rest,
            }
            // Whatever was wrong with a single block, headers tell more.
            peer.look |= matches!(what, What::Single { .. });
        }
        match what {
            What::Blocks { ids } => self.release(&ids),
            What::Single { id } => self.forget_single(peer, &id),
            What::Headers { .. } | What::Vouch { .. } => {}
        }
    }

    /// A block near the tip is not to be had from a peer.
    fn forget_single(&mut self, peer: &PeerId, id: &BlockId) {
        if self.singles.get(id).is_some_and(|single| single.peer == *peer && !single.handed) {
            self.singles.remove(id);
        }
    }

    /// Headers of [`SyncEffect::VerifyHeaders`] were verified: results stand in their order.
    pub fn headers_verified(&mut self, batch: &HeaderBatch, results: Vec<Result<(), HeaderError>>) {
        self.is_stirred = true;
        if self.survey_verified(batch, &results) {
            self.progressed = true;
            return;
        }
        if !self.batches.remove(&batch.number) {
            return;
        }
        self.progressed = true;
        for ((_, checked), result) in batch.headers.iter().zip(results) {
            let id = checked.lineage.id;
            let Some(entry) = self.trunk.entry_mut(&id) else { continue };
            if !matches!(entry.stage, Stage::Verifying(number) if number == batch.number) {
                continue;
            }
            let Err(error) = result else {
                entry.stage = Stage::Verified;
                self.verified = true;
                continue;
            };
            let from = entry.from;
            tracing::warn!(peer = %from, %id, %error, "a header breaks a rule");
            self.blame(&from, Offence::BadHeader);
            self.trunk.cut(&id);
            self.forget_leader();
            self.bad.push(id);
        }
    }

    /// What became of a block, wherever it came from.
    pub fn judged(&mut self, id: &BlockId, verdict: &Verdict) {
        self.is_stirred = true;
        let handed = self.handed.remove(id);
        let single = self.singles.remove(id);
        if let Some(peer) =
            single.as_ref().filter(|single| single.handed).and_then(|single| self.peers.get_mut(&single.peer))
        {
            peer.gave = Some(*id);
        }
        self.progressed |= handed.is_some();
        match verdict {
            Verdict::Connected | Verdict::Beside | Verdict::Known | Verdict::Light => {
                if let Some(entry) = self.trunk.entry_mut(id)
                    && let Some(Handed { from, .. }) = handed
                {
                    entry.body = Body::Taken { from };
                }
            }
            Verdict::Orphan { parent } => {
                if let Some(single) = single {
                    self.orphan(&single.peer, parent);
                }
                self.missing(parent, id);
            }
            Verdict::Refused(refusal) => {
                let single = single.filter(|single| single.handed).map(|single| single.peer);
                self.refused(id, refusal, handed.as_ref(), single);
            }
        }
    }

    /// The manager misses a block that was thought to be taken: it and those above it are asked for again.
    fn missing(&mut self, parent: &BlockId, orphan: &BlockId) {
        let (Some(from), Some(to)) = (self.trunk.height_of(parent), self.trunk.height_of(orphan)) else { return };
        for height in (from.0..=to.0).map(Height) {
            let id = self.trunk.at(height).map(|entry| entry.lineage.id);
            if let Some(entry) = id.and_then(|id| self.trunk.entry_mut(&id))
                && entry.body.is_gone()
            {
                self.handed.remove(&entry.lineage.id);
                entry.body = Body::Wanted;
            }
        }
    }

    fn refused(&mut self, id: &BlockId, refusal: &Refusal, handed: Option<&Handed>, single: Option<PeerId>) {
        match refusal {
            // Bodies were compared with their headers as they came: this speaks of somebody else's copy.
            Refusal::Rule(BlockError::TransactionRoot { .. } | BlockError::Header(HeaderError::ProofId { .. })) => {
                if let Some(entry) = self.trunk.entry_mut(id).filter(|_| handed.is_some()) {
                    entry.body = Body::Wanted;
                }
                return;
            }
            Refusal::Rule(error) if error.condemns() => {
                if let Some(from) = single.or(handed.map(|handed| handed.from)) {
                    tracing::warn!(peer = %from, %id, %refusal, "a block breaks a rule");
                    self.blame(&from, Offence::BadBlock);
                }
            }
            // It stands on one that was found to break a rule after it had been taken.
            Refusal::Condemned { .. } => {
                self.condemned = true;
                return;
            }
            _ => {}
        }
        if self.trunk.height_of(id).is_some() {
            self.trunk.cut(id);
            self.forget_leader();
        }
    }

    /// Lets go of blocks that broke a rule when their branch was executed: who served the lowest of them pays.
    fn drop_condemned<D: Database>(&mut self, manager: &ChainManager<D>) {
        if !std::mem::take(&mut self.condemned) {
            return;
        }
        let broken = self.trunk.entries.iter().find(|entry| manager.is_condemned(&entry.lineage.id));
        let Some((id, body)) = broken.map(|entry| (entry.lineage.id, &entry.body)) else { return };
        if let Body::Taken { from } = *body {
            tracing::warn!(peer = %from, %id, "a block breaks a rule");
            self.blame(&from, Offence::BadBlock);
        }
        self.trunk.cut(&id);
        self.forget_leader();
    }

    /// What is to be done now. `ids` names questions.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn poll<D: Database>(
        &mut self,
        manager: &mut ChainManager<D>,
        ids: &mut RequestIds,
        now_ms: u64,
    ) -> Result<Vec<SyncEffect>, StoreError> {
        self.is_stirred = false;
        let spans = Spans::of(manager.parameters());
        self.meter.note(now_ms, manager.tip().height);
        self.look_at_clock(now_ms);
        self.expire(now_ms);
        for id in std::mem::take(&mut self.bad) {
            manager.condemn_header(id);
        }
        self.drop_condemned(manager);
        self.trim(manager)?;
        while let Some(answer) = self.answers.pop_front() {
            self.absorb(answer, manager, now_ms)?;
        }
        self.judge(manager, &spans, now_ms)?;
        self.conclude(manager, &spans, now_ms);
        self.verify(manager, &spans);
        self.ask_headers(manager, ids, &spans, now_ms)?;
        self.probe(manager, ids, &spans, now_ms)?;
        self.look_ahead(manager, ids, &spans, now_ms);
        self.hold = self.hold(manager, &spans, now_ms)?;
        self.ask_blocks(manager, ids, &spans, now_ms);
        self.hand_over(manager, &spans)?;
        self.ask_singles(manager, ids, now_ms)?;
        self.watch(now_ms);
        self.note_progress(manager.tip(), now_ms);
        self.wake_ms = self.next_wake(now_ms);
        Ok(std::mem::take(&mut self.effects))
    }

    /// When to poll if nothing happens before, Unix milliseconds: at once, where something has happened since the last
    /// time.
    #[must_use]
    pub fn wake_ms(&self) -> Option<u64> {
        if self.is_stirred { Some(0) } else { self.wake_ms }
    }

    /// How far it has come, as of the last poll.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Questions that are open.
    #[must_use]
    pub fn open_questions(&self) -> usize {
        self.questions.len()
    }

    fn blame(&mut self, peer: &PeerId, offence: Offence) {
        if let Some(peer) = self.peers.get_mut(peer) {
            // It is about to be let go.
            peer.is_out |= offence.points() >= BAN_POINTS;
        }
        self.effects.push(SyncEffect::Offence { peer: *peer, offence });
    }

    /// Nobody is thought to have more of the trunk than there is.
    fn forget_leader(&mut self) {
        (self.trunk.leader, self.trunk.ended) = (None, false);
    }

    /// Nothing was before now, and no wait is longer than the longest, even if the clock was set back.
    fn look_at_clock(&mut self, now_ms: u64) {
        self.peers.values_mut().for_each(|peer| peer.look_at_clock(now_ms));
        for question in self.questions.values_mut() {
            question.asked_ms = question.asked_ms.min(now_ms);
            question.deadline_ms = question.deadline_ms.min(now_ms + BLOCKS_DEADLINE_MS.max(HEADERS_DEADLINE_MS));
        }
        self.singles.values_mut().for_each(|single| single.asked_ms = single.asked_ms.min(now_ms));
        self.compare_until_ms = self.compare_until_ms.min(now_ms + self.options.compare_ms);
        self.progressed_ms = self.progressed_ms.min(now_ms);
        self.verified_ms = self.verified_ms.min(now_ms);
    }

    /// Gives up questions long after their deadlines. Who was late the edge says itself: of these the answer may wait
    /// where this node has not looked yet.
    fn expire(&mut self, now_ms: u64) {
        let late = |question: &Question| now_ms >= question.deadline_ms.saturating_add(GRACE_MS);
        let late: Vec<_> =
            self.questions.iter().filter(|(_, open)| late(open)).map(|(id, open)| (*id, open.peer)).collect();
        for (id, peer) in late {
            self.response(&peer, id, Err(RequestFailure::Disconnected), now_ms);
        }
    }

    /// Lets go of what has become part of the best chain, and looks where the trunk leaves it now.
    fn trim<D: Database>(&mut self, manager: &ChainManager<D>) -> Result<(), StoreError> {
        let tip = manager.tip().height;
        while let Some(Lineage { id, height, .. }) = self.trunk.entries.front().map(|entry| &entry.lineage)
            && *height <= tip
            && manager.store().id_at(*height)? == Some(*id)
        {
            self.trunk.pop_front();
            self.progressed = true;
        }
        while self.trunk.entries.is_empty()
            && let Some(raw) = self.trunk.raw.front()
            && raw.proved.header.height <= tip
            && manager.holds(&raw.id)?
        {
            self.trunk.pop_raw();
        }
        let Some(base) = self.trunk.base() else { return Ok(()) };
        match manager.place_of(&base)? {
            Some((_, fork)) => self.fork = fork,
            None => self.drop_trunk("what it stands on is gone"),
        }
        Ok(())
    }

    fn drop_trunk(&mut self, reason: &str) {
        tracing::debug!(reason, headers = self.trunk.entries.len(), "the branch is not followed any more");
        self.trunk = Trunk::default();
        self.survey = None;
        self.peers.values_mut().for_each(Peer::forget_branch);
    }

    /// Replaces whoever leads nowhere.
    fn watch(&mut self, now_ms: u64) {
        if std::mem::take(&mut self.progressed) || self.trunk.is_empty() {
            self.progressed_ms = now_ms;
        }
        if now_ms.saturating_sub(self.progressed_ms) < STALL_MS {
            return;
        }
        if let Some((leader, _)) = self.trunk.leader
            && let Some(peer) = self.peers.get_mut(&leader)
        {
            peer.headers_rest_ms = now_ms + APART_MS;
        }
        self.drop_trunk("no progress");
        self.handed.clear();
        self.batches.clear();
        self.progressed_ms = now_ms;
    }

    /// Whether a header was verified lately, or nobody could show one.
    fn is_shown(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.verified_ms) < SHOWN_MS
    }

    fn note_progress(&mut self, tip: &Lineage, now_ms: u64) {
        if std::mem::take(&mut self.verified) || self.peers.is_empty() {
            self.verified_ms = now_ms;
        }
        // Of claims alone nobody catches up.
        let is_shown = self.is_shown(now_ms);
        let claims = self.peers.values().filter(|peer| peer.is_believed() && peer.claim.weight > tip.weight);
        let target = claims.map(|peer| peer.claim.height).max().unwrap_or(tip.height).max(tip.height);
        let headers = self.trunk.verified().unwrap_or(tip.height).max(tip.height);
        let asks = |what: fn(&What) -> bool| self.questions.values().any(|question| what(&question.what));
        let phase = if self.survey.is_some() || self.hold.is_some_and(|hold| hold <= tip.height) {
            Phase::Comparing
        } else if headers > tip.height || !self.handed.is_empty() {
            Phase::Blocks
        } else if is_shown
            && (target > tip.height || !self.trunk.is_empty() || asks(|what| matches!(what, What::Headers { .. })))
        {
            Phase::Headers
        } else {
            Phase::Idle
        };
        self.progress = Progress {
            phase,
            height: tip.height,
            headers,
            target,
            blocks_per_second: self.meter.rate(),
            left_ms: self.meter.left_ms(tip.height, target),
            peers: self.peers.len(),
        };
    }

    /// Whether a claim is of a better chain than the one up to `tip`, as far as it says.
    fn is_better<D: Database>(manager: &ChainManager<D>, claim: &Tip) -> bool {
        let tip = manager.tip();
        // Between blocks of equal weight the score decides, which a claim does not say.
        let rival = claim.weight == tip.weight && claim.height == tip.height && claim.epoch == tip.epoch;
        claim.weight > tip.weight || rival && claim.id != tip.id
    }

    /// Whether the trunk as it is known is better than the best chain.
    fn leads_on<D: Database>(&self, manager: &ChainManager<D>) -> bool {
        let end = self.trunk.entries.back();
        end.is_some_and(|end| manager.engine().prefer(manager.tip(), &end.lineage))
    }
}
