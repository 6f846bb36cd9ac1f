//! Headers: whom to ask, and what to make of the answer.

use super::options::{
    APART_MS, HEDGE_MS, MAX_HEADER_BATCHES, MAX_HEADER_QUESTIONS, MAX_JUDGED_AT_ONCE, NEAR_TIP_MS, REST_MS, Spans,
};
use super::peer::{Peer, Shared};
use super::serve::MAX_PROVED_BYTES;
use super::trunk::{Raw, Stage};
use super::{HeaderBatch, Purpose, Question, Sync, SyncEffect, What};
use crate::chain::proof;
use crate::chain::rules::{BlockError, HeaderError};
use crate::chain::{BlockId, HEADER_BYTES, Height};
use crate::consensus::Weight;
use crate::manager::{ChainManager, HeaderStop, Refusal};
use crate::network::PeerId;
use crate::network::message::{GetHeaders, MAX_HEADERS_BYTES, ProvedHeader, Tip};
use crate::network::offence::Offence;
use crate::participant::RequestIds;
use crate::store::{Database, StoreError};

/// An answer with headers.
#[derive(Debug)]
pub(super) struct Answer {
    pub peer: PeerId,
    /// What the peer claimed when it was asked.
    pub claim: Tip,
    /// What was asked.
    pub wanted: GetHeaders,
    /// What for.
    pub purpose: Purpose,
    pub headers: Vec<ProvedHeader>,
}

impl Answer {
    /// Whether it is an answer to what was asked: no more headers than were wanted, one on another, the first on one that
    /// was named.
    fn is_to_the_point(&self) -> bool {
        let stands_on = |above: &ProvedHeader, below: &ProvedHeader| {
            above.header.parent == below.header.id()
                && below.header.height.0.checked_add(1) == Some(above.header.height.0)
        };
        let named = |first: &ProvedHeader| self.wanted.locator.contains(&first.header.parent);
        self.headers.len() <= self.wanted.limit as usize
            && self.headers.first().is_none_or(named)
            && self.headers.windows(2).all(|pair| stands_on(&pair[1], &pair[0]))
    }

    /// Whether there would have been room for more: the peer's chain ends here.
    fn is_short(&self) -> bool {
        let length = |proved: &ProvedHeader| HEADER_BYTES + proof::encoded_len(&proved.proof);
        let bytes = size_of::<u32>() + self.headers.iter().map(length).sum::<usize>();
        self.headers.len() < self.wanted.limit as usize && bytes + MAX_PROVED_BYTES <= MAX_HEADERS_BYTES
    }
}

impl Sync {
    /// Looks where headers belong that came, and keeps what stands on the trunk, or is better than it.
    pub(super) fn absorb<D: Database>(
        &mut self,
        answer: Answer,
        manager: &mut ChainManager<D>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let short = answer.is_short();
        let Answer { peer, claim, purpose, .. } = answer;
        if !answer.is_to_the_point() {
            self.wrong(&peer, Offence::WrongAnswer, now_ms);
            return Ok(());
        }
        if purpose == Purpose::Survey {
            self.surveyed(answer, short, manager, now_ms);
            return Ok(());
        }
        let mut headers = answer.headers;
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.look = false;
            peer.cursor = None;
        }
        let ids: Vec<_> = headers.iter().map(|proved| proved.header.id()).collect();
        if self.shows_kept_back(&peer, &ids, manager.parameters().reorg_limit) {
            // Whoever gives it meanwhile, this one has led here in vain.
            self.keeps_back(&peer, now_ms);
            return Ok(());
        }
        let mut known = 0;
        while let Some(id) = ids.get(known)
            && (self.trunk.height_of(id).is_some() || manager.holds(id)?)
        {
            known += 1;
        }
        let parent = match headers.get(known) {
            Some(first) => first.header.parent,
            None => match ids.last() {
                Some(last) => *last,
                None => {
                    self.nothing_above(&peer, claim, manager, now_ms);
                    return Ok(());
                }
            },
        };
        // What the locator named may have been let go of since.
        let Some(height) = self.height_of(&parent, manager)? else { return Ok(()) };
        if headers.get(known).is_some_and(|first| first.header.height.0 != height.0 + 1) {
            self.wrong(&peer, Offence::BadHeader, now_ms);
            return Ok(());
        }
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.shown = headers.last().map_or(peer.shown, |last| last.header.height);
            let leaves = known < headers.len() && self.trunk.end().is_some_and(|end| end != parent);
            if known < headers.len() || short {
                peer.compared(Shared { height, leaves });
            }
        }
        if known == headers.len() {
            self.all_known(&peer, claim, &parent, short, manager, now_ms)?;
            return Ok(());
        }
        let fresh: Vec<_> = headers.drain(known..).collect();
        let raw = |(id, proved): (&BlockId, ProvedHeader)| Raw { id: *id, from: peer, proved };
        let fresh: Vec<_> = ids[known..].iter().zip(fresh).map(raw).collect();
        if purpose == Purpose::Probe {
            return self.probed(&peer, &parent, &fresh, manager, now_ms);
        }
        if self.trunk.is_empty() || self.trunk.end() == Some(parent) {
            self.follow(&peer, claim, fresh, short, now_ms);
            return Ok(());
        }
        self.compare(&peer, claim, &parent, fresh, short, manager, now_ms)
    }

    /// Height of a block of the trunk or of one that the manager holds.
    fn height_of<D: Database>(&self, id: &BlockId, manager: &ChainManager<D>) -> Result<Option<Height>, StoreError> {
        if let Some(height) = self.trunk.height_of(id) {
            return Ok(Some(height));
        }
        match manager.holds(id)? {
            true => Ok(manager.place_of(id)?.map(|(lineage, _)| lineage.height)),
            false => Ok(None),
        }
    }

    /// A header of a branch that leaves the trunk: whether it is one.
    fn probed<D: Database>(
        &mut self,
        peer: &PeerId,
        parent: &BlockId,
        fresh: &[Raw],
        manager: &mut ChainManager<D>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let place = match self.trunk.entry(parent) {
            Some(entry) => Some((entry.lineage.clone(), self.fork)),
            None => manager.place_of(parent)?,
        };
        let checked = match place {
            Some((below, fork)) => {
                let proved = fresh.iter().take(1).map(|raw| (&raw.proved.header, &raw.proved.proof));
                let checks = manager.check_headers(&below, fork, proved, now_ms)?;
                self.effects.extend(checks.events.into_iter().map(SyncEffect::Event));
                if let Some(stop) = checks.stop {
                    self.stopped(peer, &stop, now_ms);
                }
                !checks.checked.is_empty()
            }
            None => false,
        };
        if let Some(state) = self.peers.get_mut(peer).filter(|state| !checked && state.leaves()) {
            // Where it leaves the trunk was not judged yet: soon.
            (state.shared, state.probed_ms) = (None, None);
            state.headers_rest_ms = state.headers_rest_ms.max(now_ms + REST_MS / 4);
        }
        Ok(())
    }

    /// Adds headers to the trunk.
    fn follow(&mut self, peer: &PeerId, claim: Tip, fresh: Vec<Raw>, short: bool, now_ms: u64) {
        self.progressed = true;
        if self.trunk.is_empty() {
            self.compare_until_ms = now_ms + self.options.compare_ms;
        }
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.succeeded();
        }
        fresh.into_iter().for_each(|raw| self.trunk.push_raw(raw));
        (self.trunk.leader, self.trunk.ended) = (Some((*peer, claim)), short);
    }

    /// The peer has nothing above what the locator named.
    fn nothing_above<D: Database>(&mut self, peer: &PeerId, claim: Tip, manager: &ChainManager<D>, now_ms: u64) {
        if !self.trunk.raw.is_empty() {
            // What its chain weighs is known when those are judged.
            (self.trunk.leader, self.trunk.ended) = (Some((*peer, claim)), true);
            return;
        }
        let end = self.trunk.entries.back().map_or(manager.tip().weight, |entry| entry.lineage.weight);
        self.weigh(peer, claim, end.max(manager.tip().weight), now_ms);
    }

    /// The peer told nothing new. `last` is the highest that it told.
    fn all_known<D: Database>(
        &mut self,
        peer: &PeerId,
        claim: Tip,
        last: &BlockId,
        short: bool,
        manager: &ChainManager<D>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        if !short {
            // The locator's steps were too long: it goes on from here.
            if let Some(peer) = self.peers.get_mut(peer) {
                (peer.cursor, peer.probed_ms) = (Some(*last), None);
            }
            return Ok(());
        }
        let weight = match self.trunk.entry(last) {
            Some(entry) => Some(entry.lineage.weight),
            None if self.trunk.height_of(last).is_some() => None,
            None => manager.place_of(last)?.map(|(lineage, _)| lineage.weight),
        };
        match weight {
            Some(weight) => self.weigh(peer, claim, weight, now_ms),
            None if self.trunk.end() == Some(*last) => {
                (self.trunk.leader, self.trunk.ended) = (Some((*peer, claim)), true);
            }
            None => self.rest(peer, REST_MS, now_ms),
        }
        Ok(())
    }

    /// A peer's chain was seen to its end, which weighs `weight`: is that what it claimed? Chains only ever grow
    /// heavier; but a peer that had to let go of a bad branch may say less once.
    pub(super) fn weigh(&mut self, peer: &PeerId, claim: Tip, weight: Weight, now_ms: u64) {
        let Some(state) = self.peers.get_mut(peer) else { return };
        if weight >= claim.weight {
            state.doubts = 0;
            state.succeeded();
            state.headers_rest_ms = now_ms + REST_MS;
            return;
        }
        state.doubts += 1;
        let rest = state.failed();
        if state.doubts >= 2 {
            tracing::warn!(%peer, claimed = %claim.weight, shown = %weight, "a peer claimed a heavier chain than it shows");
            state.doubts = 0;
            state.disbelieve(now_ms);
            self.blame(peer, Offence::Overstated);
        }
        self.rest(peer, rest, now_ms);
    }

    pub(super) fn rest(&mut self, peer: &PeerId, ms: u64, now_ms: u64) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.headers_rest_ms = peer.headers_rest_ms.max(now_ms + ms);
        }
    }

    pub(super) fn wrong(&mut self, peer: &PeerId, offence: Offence, now_ms: u64) {
        self.blame(peer, offence);
        self.rest(peer, APART_MS, now_ms);
    }

    /// Headers that leave the trunk below its end: they are followed instead if more is claimed of them, and what they
    /// show does not speak against it.
    #[expect(clippy::too_many_arguments, reason = "all of them are one answer")]
    fn compare<D: Database>(
        &mut self,
        peer: &PeerId,
        claim: Tip,
        parent: &BlockId,
        fresh: Vec<Raw>,
        short: bool,
        manager: &mut ChainManager<D>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let place = match self.trunk.entry(parent) {
            Some(entry) => Some((entry.lineage.clone(), self.fork)),
            // What they leave was not judged itself: it will have been soon.
            None if self.trunk.height_of(parent).is_some() => None,
            None => manager.place_of(parent)?,
        };
        let Some((below, fork)) = place else {
            self.rest(peer, REST_MS, now_ms);
            return Ok(());
        };
        let proved = fresh.iter().map(|raw| (&raw.proved.header, &raw.proved.proof));
        let checks = manager.check_headers(&below, fork, proved, now_ms)?;
        self.effects.extend(checks.events.into_iter().map(SyncEffect::Event));
        let shown = checks.checked.last().map_or(below.weight, |last| last.lineage.weight);
        let whole = short && checks.stop.is_none();
        match checks.stop {
            None | Some(HeaderStop::Ahead { .. }) => {}
            Some(stop) => {
                self.stopped(peer, &stop, now_ms);
                return Ok(());
            }
        }
        if whole && shown < claim.weight {
            self.weigh(peer, claim, shown, now_ms);
        }
        let offered = if whole { shown } else { claim.weight };
        if offered <= self.trunk_weight() {
            self.rest(peer, 5 * REST_MS, now_ms);
            return Ok(());
        }
        tracing::info!(%peer, height = below.height.0, "another branch is claimed to be heavier");
        match self.trunk.child_of(parent) {
            Some(child) => {
                self.trunk.cut(&child);
                self.survey = None;
                self.part_at(below.height);
            }
            None => self.drop_trunk("another one is claimed to be heavier"),
        }
        self.follow(peer, claim, fresh, short, now_ms);
        Ok(())
    }

    /// The trunk is another one above `height`: who shared it further leaves it there, and who left it before may not.
    fn part_at(&mut self, height: Height) {
        for peer in self.peers.values_mut() {
            match peer.shared {
                Some(Shared { leaves: true, .. }) | None => peer.forget_branch(),
                Some(shared) if shared.height > height => peer.compared(Shared { height, leaves: true }),
                Some(_) => {}
            }
        }
    }

    /// What is believed of the trunk.
    fn trunk_weight(&self) -> Weight {
        let known = self.trunk.entries.back().map_or(Weight::ZERO, |entry| entry.lineage.weight);
        let believed =
            |(peer, claim): &(PeerId, Tip)| self.peers.get(peer).is_some_and(Peer::is_believed).then_some(claim.weight);
        self.trunk.leader.as_ref().and_then(believed).map_or(known, |claimed| claimed.max(known))
    }

    /// What a header costs the peer that sent it.
    fn stopped(&mut self, peer: &PeerId, stop: &HeaderStop, now_ms: u64) {
        tracing::debug!(%peer, %stop, "headers are not taken");
        match stop {
            HeaderStop::Unlinked { .. } => self.wrong(peer, Offence::WrongAnswer, now_ms),
            HeaderStop::Ahead { .. } => {}
            HeaderStop::Refused(Refusal::Rule(BlockError::Header(error))) => match error {
                // Its clock or ours is off; it may be good soon.
                HeaderError::Early { .. } => self.rest(peer, REST_MS, now_ms),
                // Nobody is to blame for a branch that parted long ago.
                HeaderError::TooDeep { .. } => self.rest(peer, APART_MS, now_ms),
                _ => self.wrong(peer, Offence::BadHeader, now_ms),
            },
            HeaderStop::Refused(Refusal::Rule(_)) => self.wrong(peer, Offence::BadHeader, now_ms),
            // It was honest about headers; who served the block that broke a rule has paid.
            HeaderStop::Refused(_) => {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.disbelieve(now_ms);
                }
                self.rest(peer, APART_MS, now_ms);
            }
        }
    }

    /// Judges headers as far as what was executed lets.
    pub(super) fn judge<D: Database>(
        &mut self,
        manager: &mut ChainManager<D>,
        spans: &Spans,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        self.judges_on = false;
        let place = match (self.trunk.entries.back(), self.trunk.raw.front()) {
            (_, None) => return Ok(()),
            (Some(entry), _) => Some((entry.lineage.clone(), self.fork)),
            (None, Some(raw)) => manager.place_of(&raw.proved.header.parent)?,
        };
        let Some((below, fork)) = place else { return Ok(()) };
        self.fork = fork;
        let room = (self.fork.0 + spans.window).saturating_sub(below.height.0);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let more = room.min(self.trunk.raw.len()) > MAX_JUDGED_AT_ONCE;
        let room = room.min(MAX_JUDGED_AT_ONCE);
        if room == 0 {
            return Ok(());
        }
        let raw = self.trunk.raw.iter().take(room);
        let proved = raw.map(|raw| (&raw.proved.header, &raw.proved.proof));
        let checks = manager.check_headers(&below, self.fork, proved, now_ms)?;
        self.effects.extend(checks.events.into_iter().map(SyncEffect::Event));
        self.judges_on = more && checks.stop.is_none();
        for checked in checks.checked {
            self.trunk.judged(checked);
        }
        if let Some(stop) = checks.stop
            && let Some(from) = self.trunk.raw.front().map(|raw| raw.from)
        {
            self.trunk.drop_raw();
            self.forget_leader();
            self.stopped(&from, &stop, now_ms);
        }
        Ok(())
    }

    /// Looks whether the trunk, as far as it is known to its end, is what was claimed, and worth following.
    pub(super) fn conclude<D: Database>(&mut self, manager: &ChainManager<D>, spans: &Spans, now_ms: u64) {
        let Some(end) = self.trunk.entries.back().map(|entry| entry.lineage.clone()) else {
            return;
        };
        if self.trunk.raw.is_empty()
            && self.trunk.ended
            && let Some((leader, claim)) = self.trunk.leader
        {
            self.forget_leader();
            self.weigh(&leader, claim, end.weight, now_ms);
        }
        if self.trunk.raw.is_empty() && self.trunk.leader.is_none() && !self.leads_on(manager) {
            self.drop_trunk("it is not better than what is here");
            return;
        }
        if end.height.0 >= self.fork.0 + spans.window && !manager.is_worth_rows(self.fork, end.weight) {
            if let Some((leader, _)) = self.trunk.leader {
                self.rest(&leader, APART_MS, now_ms);
            }
            self.drop_trunk("it leaves what is here too deep to be seen to be heavier");
        }
    }

    /// Hands out headers to have their signatures and rows checked.
    pub(super) fn verify<D: Database>(&mut self, manager: &ChainManager<D>, spans: &Spans) {
        let Some(end) = self.trunk.entries.back() else { return };
        if !manager.is_worth_rows(self.fork, end.lineage.weight) {
            return;
        }
        while self.batches.len() < MAX_HEADER_BATCHES {
            let is_judged = |stage: &Stage| matches!(stage, Stage::Judged(_));
            let judged = self.trunk.entries.iter().filter(|entry| is_judged(&entry.stage)).count();
            // A batch that is not full waits for more while another one is on its way.
            if judged == 0 || judged < spans.batch && !self.batches.is_empty() {
                return;
            }
            let number = self.next_batch;
            self.next_batch += 1;
            let mut headers = Vec::with_capacity(judged.min(spans.batch));
            for entry in self.trunk.entries.iter_mut().filter(|entry| is_judged(&entry.stage)).take(spans.batch) {
                if let Stage::Judged(header) = std::mem::replace(&mut entry.stage, Stage::Verifying(number)) {
                    headers.push(*header);
                }
            }
            self.batches.insert(number);
            self.effects.push(SyncEffect::VerifyHeaders(HeaderBatch { number, headers }));
        }
    }

    /// Asks whoever claims the heaviest chain for what comes next.
    pub(super) fn ask_headers<D: Database>(
        &mut self,
        manager: &ChainManager<D>,
        ids: &mut RequestIds,
        spans: &Spans,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let follows = |question: &&Question| matches!(question.what, What::Headers { purpose: Purpose::Follow, .. });
        loop {
            let open = self.questions.values().filter(follows);
            let (count, latest) = open.fold((0, 0), |(count, latest), open| (count + 1, open.asked_ms.max(latest)));
            // Another peer is asked only beside one that does not answer.
            if count >= MAX_HEADER_QUESTIONS || count > 0 && now_ms < latest + HEDGE_MS {
                return Ok(());
            }
            let Some(peer) = self.next_to_ask(manager, now_ms)? else { return Ok(()) };
            let Some(state) = self.peers.get(&peer) else { return Ok(()) };
            if self.trunk.raw.len() >= spans.headers && !state.leaves() {
                return Ok(());
            }
            let (claim, cursor) = (state.claim, state.cursor);
            let locator = self.locator(manager, cursor)?;
            let wanted = GetHeaders { locator, limit: spans.headers as u32 };
            self.ask_for_headers(peer, wanted, Purpose::Follow, claim, ids, now_ms);
        }
    }

    /// The peer that claims the heaviest chain of which not all is known.
    fn next_to_ask<D: Database>(&self, manager: &ChainManager<D>, now_ms: u64) -> Result<Option<PeerId>, StoreError> {
        let mut best = None;
        for (id, peer) in &self.peers {
            if peer.asked_headers.is_some() || now_ms < peer.headers_rest_ms {
                continue;
            }
            let leads = self.trunk.leader.is_some_and(|(leader, _)| leader == *id);
            let rank = (peer.is_reliable(), peer.claim.weight, leads, u64::MAX - peer.us_per_block);
            if best.as_ref().is_some_and(|(other, _)| *other >= rank) {
                continue;
            }
            if peer.look && !peer.is_out || self.has_more(id, peer, manager)? {
                best = Some((rank, *id));
            }
        }
        Ok(best.map(|(_, id)| id))
    }

    /// Whether a peer claims a chain of which not all is known, and which headers have to tell.
    fn has_more<D: Database>(&self, id: &PeerId, peer: &Peer, manager: &ChainManager<D>) -> Result<bool, StoreError> {
        let Peer { claim, .. } = peer;
        let tip = manager.tip();
        if !peer.is_believed() || claim.weight <= tip.weight || self.trunk.height_of(&claim.id).is_some() {
            return Ok(false);
        }
        if peer.leaves() && claim.weight <= self.trunk_weight() {
            return Ok(false);
        }
        if self.trunk.is_empty() {
            // Single blocks are asked for without their headers.
            if claim.height.0 <= tip.height.0 + 1 {
                return Ok(false);
            }
        } else if self.trunk.raw.is_empty() {
            if self.trunk.entries.back().is_some_and(|end| claim.weight <= end.lineage.weight) {
                return Ok(false);
            }
        } else if self.trunk.ended && self.trunk.leader == Some((*id, *claim)) {
            return Ok(false);
        }
        Ok(!manager.is_condemned(&claim.id) && !manager.holds(&claim.id)?)
    }

    /// Whether the block that a peer claims is near enough to be asked for by itself, and since when it might come by itself.
    pub(super) fn near_since<D: Database>(&self, peer: &Peer, manager: &ChainManager<D>) -> Option<u64> {
        let near = self.trunk.is_empty() && peer.claim.height.0 <= manager.tip().height.0 + 1;
        let wanted = near && peer.is_believed() && Self::is_better(manager, &peer.claim);
        peer.claimed_ms.filter(|_| wanted).map(|since| since + NEAR_TIP_MS)
    }

    /// Whether headers show a block that their peer did not give a moment ago, though it should have it: who keeps the
    /// latest bodies alone, and has gone on, need not.
    fn shows_kept_back(&mut self, peer: &PeerId, ids: &[BlockId], reorg_limit: u64) -> bool {
        let Some(state) = self.peers.get_mut(peer) else { return false };
        let kept_back = state.kept_back.take();
        let shown = kept_back.and_then(|id| ids.iter().rev().position(|shown| *shown == id));
        shown.is_some_and(|above| state.archive || (above as u64) < reorg_limit)
    }

    /// A peer shows a header and does not give its block: it is left alone for a while, and pays.
    fn keeps_back(&mut self, peer: &PeerId, now_ms: u64) {
        tracing::warn!(%peer, "a peer does not give a block of its own chain");
        self.wrong(peer, Offence::Withheld, now_ms);
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.blocks_rest_ms = peer.blocks_rest_ms.max(now_ms + APART_MS);
        }
    }

    /// The peer said again, or did not, that a header is on its best chain whose block it did not give.
    pub(super) fn vouched(&mut self, peer: &PeerId, id: &BlockId, headers: &[ProvedHeader], now_ms: u64) {
        if headers.first().is_some_and(|first| first.header.id() == *id) {
            self.keeps_back(peer, now_ms);
        }
        if self.trunk.leader.is_some_and(|(leader, _)| leader == *peer) {
            self.forget_leader();
        }
    }
}
