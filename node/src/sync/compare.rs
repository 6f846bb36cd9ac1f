//! Comparing branches of peers, so that nobody who is there first can lead far along a lighter one.
//!
//! Who claims the heaviest chain leads. All others who claim more than is here are asked for one header now and then, which
//! shows whether theirs is the branch that is followed. Where one leaves it, blocks are taken only as far as can be gone
//! back, and the leader's headers are looked at to their end, or until they weigh more than the others claim: all rules but
//! those that need a state, signatures and rows included. Nothing of them is kept.

use std::collections::{BTreeMap, VecDeque};

use super::headers::Answer;
use super::options::{HEADERS_DEADLINE_MS, MAX_HEADER_BATCHES, PROBE_MS, REST_MS, Spans};
use super::peer::{Peer, Shared};
use super::{HeaderBatch, Purpose, Question, Sync, SyncEffect, What};
use crate::chain::rules::{BlockError, CheckedHeader, HeaderError};
use crate::chain::{Capped, Height};
use crate::consensus::{Lineage, Weight};
use crate::manager::{ChainManager, Refusal};
use crate::network::PeerId;
use crate::network::message::{GetHeaders, ProvedHeader, Request, Tip};
use crate::network::offence::Offence;
use crate::participant::RequestIds;
use crate::store::{Database, StoreError};

/// The leader's headers above the trunk, looked at and let go.
#[derive(Debug)]
pub(super) struct Survey {
    peer: PeerId,
    /// The last header whose cheap rules hold.
    end: Lineage,
    /// Headers whose signatures and rows are to be checked: of one answer at most.
    waiting: VecDeque<(ProvedHeader, CheckedHeader)>,
    /// Batches that are being verified, and what their last headers weigh.
    batches: BTreeMap<u64, Weight>,
    /// What was verified.
    shown: Weight,
    /// What the peer claimed when it was asked last, once its chain was seen to end.
    ended: Option<Tip>,
}

impl Sync {
    /// Height above which no blocks are taken yet, if any.
    pub(super) fn hold<D: Database>(
        &mut self,
        manager: &ChainManager<D>,
        spans: &Spans,
        now_ms: u64,
    ) -> Result<Option<Height>, StoreError> {
        let tip = manager.tip().height;
        let is_long = self.trunk_height().0 > tip.0 + spans.reorg_limit;
        if self.trunk.is_empty() || !manager.is_syncing() {
            return Ok(None);
        }
        for peer in self.peers.values_mut().filter(|peer| peer.shared.is_none()) {
            peer.unknown.get_or_insert((now_ms, tip));
        }
        let oldest = manager.store().oldest_state()?;
        let (is_new, compare_ms) = (now_ms < self.compare_until_ms, self.options.compare_ms);
        let limits = self.rivals(manager).filter_map(|peer| match (peer.shared, peer.unknown) {
            // It shares the trunk as far as is known, or parted so long ago that there is no way back.
            (Some(Shared { leaves: false, .. }), _) => None,
            (Some(Shared { height, .. }), _) if height < oldest => None,
            (Some(Shared { height, .. }), _) => Some(height.0 + spans.reorg_limit),
            // It is asked a moment ago: a new branch waits for what it says, one that was compared does not wait long.
            (None, Some((since, _))) if !is_long || now_ms >= since + compare_ms => None,
            (None, Some((_, at))) => Some(if is_new { tip.0 } else { at.0 + spans.reorg_limit }),
            (None, None) => None,
        });
        Ok(limits.min().map(Height))
    }

    /// Peers whose branch may be heavier than the trunk, as far as they say.
    fn rivals<D: Database>(&self, manager: &ChainManager<D>) -> impl Iterator<Item = &Peer> {
        let least = manager.tip().weight.max(self.survey.as_ref().map_or(Weight::ZERO, |survey| survey.shown));
        let leader = self.trunk.leader.map(|(leader, _)| leader);
        let others = self.peers.iter().filter(move |(id, _)| Some(**id) != leader).map(|(_, peer)| peer);
        others.filter(move |peer| peer.is_believed() && peer.claim.weight > least)
    }

    /// Height that is claimed of the trunk.
    fn trunk_height(&self) -> Height {
        let end = self.trunk.end().and_then(|end| self.trunk.height_of(&end)).unwrap_or(self.fork);
        self.trunk.leader.map_or(end, |(_, claim)| claim.height.max(end))
    }

    /// Asks peers for a header each, to see whether theirs is the branch that is followed.
    pub(super) fn probe<D: Database>(
        &mut self,
        manager: &ChainManager<D>,
        ids: &mut RequestIds,
        spans: &Spans,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        if self.trunk.is_empty() || !manager.is_syncing() {
            return Ok(());
        }
        let tip = manager.tip();
        let is_stale = |peer: &Peer| match peer.shared {
            None => true,
            Some(_) if peer.moved => true,
            Some(Shared { leaves: true, .. }) => false,
            Some(shared) => shared.height.0 + spans.reorg_limit < tip.height.0,
        };
        let wanted = self.peers.iter().filter(|(_, peer)| {
            peer.is_believed()
                && peer.claim.weight > tip.weight
                && peer.asked_headers.is_none()
                && now_ms >= peer.headers_rest_ms
                && peer.probed_ms.is_none_or(|probed| now_ms >= probed + PROBE_MS)
                && is_stale(peer)
        });
        let wanted: Vec<_> = wanted.map(|(id, _)| *id).collect();
        for peer in wanted {
            // Who leads is asked for more than this.
            if self.trunk.leader.is_some_and(|(leader, _)| leader == peer) {
                continue;
            }
            let Some(state) = self.peers.get_mut(&peer) else { continue };
            state.probed_ms = Some(now_ms);
            let (claim, cursor) = (state.claim, state.cursor);
            let limit = if cursor.is_some() { spans.headers } else { 1 };
            let locator = self.locator(manager, cursor)?;
            self.ask_for_headers(peer, GetHeaders { locator, limit: limit as u32 }, Purpose::Probe, claim, ids, now_ms);
        }
        Ok(())
    }

    pub(super) fn ask_for_headers(
        &mut self,
        peer: PeerId,
        wanted: GetHeaders,
        purpose: Purpose,
        claim: Tip,
        ids: &mut RequestIds,
        now_ms: u64,
    ) {
        let id = ids.next();
        if let Some(state) = self.peers.get_mut(&peer) {
            state.asked_headers = Some(id);
        }
        let deadline_ms = now_ms + HEADERS_DEADLINE_MS;
        let what = What::Headers { claim, wanted: wanted.clone(), purpose };
        self.questions.insert(id, Question { peer, asked_ms: now_ms, deadline_ms, what });
        self.effects.push(SyncEffect::Request { peer, id, request: Request::Headers(wanted), deadline_ms });
    }

    /// Looks at the leader's headers to their end, as long as another branch might be heavier.
    pub(super) fn look_ahead<D: Database>(
        &mut self,
        manager: &ChainManager<D>,
        ids: &mut RequestIds,
        spans: &Spans,
        now_ms: u64,
    ) {
        let Some((leader, claim)) = self.trunk.leader else { return };
        let parts = self.rivals(manager).any(|peer| peer.shared.is_some_and(|shared| shared.leaves));
        if !parts || !manager.is_syncing() {
            return;
        }
        let Some(end) = self.trunk.entries.back().map(|entry| entry.lineage.clone()) else { return };
        let survey = self.survey.get_or_insert_with(|| Survey {
            peer: leader,
            end,
            waiting: VecDeque::new(),
            batches: BTreeMap::new(),
            shown: Weight::ZERO,
            ended: None,
        });
        // Whoever leads now goes on where the one before stopped.
        survey.peer = leader;
        while survey.batches.len() < MAX_HEADER_BATCHES && !survey.waiting.is_empty() {
            let count = survey.waiting.len().min(spans.batch);
            let headers: Vec<_> = survey.waiting.drain(..count).collect();
            let weight = headers.last().map_or(Weight::ZERO, |(_, checked)| checked.lineage.weight);
            let number = self.next_batch;
            self.next_batch += 1;
            survey.batches.insert(number, weight);
            self.effects.push(SyncEffect::VerifyHeaders(HeaderBatch { number, headers }));
        }
        if !survey.waiting.is_empty() {
            return;
        }
        if let Some(claimed) = survey.ended {
            if survey.batches.is_empty() {
                survey.ended = None;
                let shown = survey.shown.max(survey.end.weight);
                self.weigh(&leader, claimed, shown, now_ms);
                if self.peers.get(&leader).is_none_or(|peer| !peer.is_believed()) {
                    self.forget_leader();
                }
            }
            return;
        }
        let end = survey.end.id;
        let Some(peer) = self.peers.get(&leader) else { return };
        if peer.asked_headers.is_some() || now_ms < peer.headers_rest_ms {
            return;
        }
        let locator = Capped::new(vec![end, manager.genesis().id]).expect("two are not too many");
        let wanted = GetHeaders { locator, limit: spans.headers as u32 };
        self.ask_for_headers(leader, wanted, Purpose::Survey, claim, ids, now_ms);
    }

    /// The leader's next headers came, which stand on the last that were looked at.
    pub(super) fn surveyed<D: Database>(
        &mut self,
        answer: Answer,
        short: bool,
        manager: &ChainManager<D>,
        now_ms: u64,
    ) {
        let Answer { peer, claim, headers, .. } = answer;
        let Some(survey) = self.survey.as_mut().filter(|survey| survey.peer == peer) else { return };
        survey.ended = short.then_some(claim);
        for proved in headers {
            if proved.header.parent != survey.end.id {
                // It has reorganised, or never had them: whoever leads is looked for anew.
                self.survey = None;
                self.forget_leader();
                self.rest(&peer, REST_MS, now_ms);
                return;
            }
            match manager.check_unplaced(&survey.end, &proved.header, &proved.proof, now_ms) {
                Ok(checked) => {
                    survey.end = checked.lineage.clone();
                    survey.waiting.push_back((proved, checked));
                }
                // What is left has not begun.
                Err(Refusal::Rule(BlockError::Header(HeaderError::Early { .. }))) => {
                    survey.ended = Some(claim);
                    return;
                }
                Err(refusal) => {
                    tracing::warn!(%peer, %refusal, "a header far ahead breaks a rule");
                    let breaks = matches!(refusal, Refusal::Rule(_));
                    self.disprove(&peer, breaks.then_some(Offence::BadHeader), now_ms);
                    return;
                }
            }
        }
    }

    /// Headers of a survey were verified. False if the batch was none of one.
    pub(super) fn survey_verified(&mut self, batch: &HeaderBatch, results: &[Result<(), HeaderError>]) -> bool {
        let Some(survey) = self.survey.as_mut() else { return false };
        let Some(weight) = survey.batches.remove(&batch.number) else { return false };
        let peer = survey.peer;
        if results.iter().all(Result::is_ok) {
            survey.shown = survey.shown.max(weight);
        } else {
            self.disprove(&peer, Some(Offence::BadHeader), 0);
        }
        true
    }

    /// The leader's chain is not what it claims.
    fn disprove(&mut self, peer: &PeerId, offence: Option<Offence>, now_ms: u64) {
        self.survey = None;
        self.forget_leader();
        if let Some(state) = self.peers.get_mut(peer) {
            state.disbelieve(now_ms);
        }
        match offence {
            Some(offence) => self.wrong(peer, offence, now_ms),
            None => self.rest(peer, super::options::APART_MS, now_ms),
        }
    }
}
