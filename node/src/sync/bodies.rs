//! Bodies: whom to ask for which, and handing them over in order.

use super::options::{
    APART_MS, BLOCKS_DEADLINE_MS, HEADERS_DEADLINE_MS, HEDGE_MS, LEAST_BLOCK_BYTES, MAX_BLOCK_QUESTIONS,
    MAX_BLOCK_QUESTIONS_EACH, MAX_PIECE_BYTES, MAX_PIECES, MAX_SINGLES, MAX_WINDOW_BYTES, QUESTION_BYTES, REST_MS,
    Spans, keeps_body,
};
use super::trunk::{Body, Entry, Stage};
use super::{Handed, Question, Single, Sync, SyncEffect, What};
use crate::chain::{Block, BlockId, Capped, Transaction, proof_id, transaction_root};
use crate::manager::ChainManager;
use crate::network::PeerId;
use crate::network::message::{GetHeaders, MAX_BLOCKS_BYTES, Request};
use crate::network::offence::Offence;
use crate::participant::RequestIds;
use crate::store::{Database, StoreError};

/// Whether a block is all that its header says: who sends another one is to blame for it, and nobody else.
fn is_its_headers(block: &Block) -> bool {
    let ids: Vec<_> = block.transactions.iter().map(Transaction::id).collect();
    transaction_root(&ids) == block.header.transaction_root && proof_id(&block.proof) == block.header.proof_id
}

impl Sync {
    /// Blocks that were asked for came, or some of them.
    pub(super) fn blocks_came(
        &mut self,
        peer: &PeerId,
        asked: &[BlockId],
        blocks: Vec<Block>,
        took_ms: u64,
        now_ms: u64,
    ) {
        let (mut came, mut bytes_came) = (vec![false; asked.len()], 0);
        let mut next = 0;
        let mut offence = None;
        for block in blocks {
            let id = block.id();
            let Some(place) = asked[next..].iter().position(|wanted| *wanted == id) else {
                offence = Some(Offence::WrongAnswer);
                break;
            };
            if !is_its_headers(&block) {
                tracing::warn!(%peer, %id, "a body is not its header's");
                offence = Some(Offence::BadBlock);
                break;
            }
            next += place + 1;
            came[next - 1] = true;
            let bytes = block.encoded_len();
            bytes_came += bytes;
            self.block_bytes = if self.block_bytes == 0 { bytes } else { (7 * self.block_bytes + bytes) / 8 };
            if let Some(entry) = self.trunk.entry_mut(&id)
                && matches!(entry.body, Body::Wanted | Body::Asked { .. })
            {
                entry.body = Body::Here { from: *peer, block: Box::new(block), bytes };
                self.progressed = true;
            }
        }
        let missing: Vec<_> = asked.iter().zip(&came).filter(|(_, came)| !**came).map(|(id, _)| *id).collect();
        self.release(&missing);
        // Where an answer is full, what is missing may have had no room.
        if offence.is_some() || bytes_came < MAX_BLOCKS_BYTES {
            for id in &missing {
                if let Some(entry) = self.trunk.entry_mut(id)
                    && !entry.lacking.contains(peer)
                {
                    entry.lacking.push(*peer);
                }
            }
        }
        let count = came.iter().filter(|came| **came).count();
        if let Some(state) = self.peers.get_mut(peer) {
            state.took(took_ms, count);
            if count > 0 {
                state.succeeded();
            } else {
                state.blocks_rest_ms = now_ms + state.failed();
            }
        }
        if let Some(offence) = offence {
            self.blame(peer, offence);
            if let Some(state) = self.peers.get_mut(peer) {
                state.blocks_rest_ms = now_ms + APART_MS;
            }
        }
    }

    /// One question less is open for these blocks.
    pub(super) fn release(&mut self, ids: &[BlockId]) {
        for id in ids {
            if let Some(entry) = self.trunk.entry_mut(id)
                && let Body::Asked { questions, .. } = &mut entry.body
            {
                *questions -= 1;
                if *questions == 0 {
                    entry.body = Body::Wanted;
                }
            }
        }
    }

    /// Whether `peer` may be asked for the block of `entry` at all.
    fn may_have(&self, peer: &PeerId, entry: &Entry, spans: &Spans) -> bool {
        let Some(state) = self.peers.get(peer) else { return false };
        let height = entry.lineage.height;
        if state.is_out {
            return false;
        }
        let kept = state.archive || keeps_body(state.claim.height.max(state.shown), height, spans.reorg_limit);
        let on_its_chain = state.moved || state.shared.is_none_or(|shared| !shared.leaves || height <= shared.height);
        state.claim.height.max(state.shown) >= height && kept && on_its_chain && !entry.lacking.contains(peer)
    }

    /// Asks for blocks of verified headers, lowest first, of whoever has least to do.
    pub(super) fn ask_blocks<D: Database>(
        &mut self,
        manager: &ChainManager<D>,
        ids: &mut RequestIds,
        spans: &Spans,
        now_ms: u64,
    ) {
        if !self.leads_on(manager) && self.trunk.leader.is_none() {
            return;
        }
        self.ask_again(ids, spans, now_ms);
        let block_bytes = self.block_bytes.max(LEAST_BLOCK_BYTES);
        let most = (QUESTION_BYTES / block_bytes).clamp(1, spans.blocks);
        let mut taken_bytes: usize = self
            .trunk
            .entries
            .iter()
            .map(|entry| match &entry.body {
                Body::Asked { .. } => block_bytes,
                Body::Here { bytes, .. } => *bytes,
                _ => 0,
            })
            .sum();
        let mut place = 0;
        let mut is_first = true;
        while let Some(entry) = self.trunk.entries.get(place) {
            if !matches!(entry.stage, Stage::Verified) || self.hold.is_some_and(|hold| entry.lineage.height > hold) {
                return;
            }
            if !matches!(entry.body, Body::Wanted) {
                is_first &= entry.body.is_gone();
                place += 1;
                continue;
            }
            // What is next is asked for in any case: all else waits for it.
            if taken_bytes >= MAX_WINDOW_BYTES && !is_first {
                return;
            }
            let Some(peer) = self.server_of(entry, spans, now_ms, None) else {
                is_first = false;
                place += 1;
                continue;
            };
            let mut wanted = Vec::new();
            while wanted.len() < most
                && let Some(entry) = self.trunk.entries.get(place)
                && matches!((&entry.stage, &entry.body), (Stage::Verified, Body::Wanted))
                && self.hold.is_none_or(|hold| entry.lineage.height <= hold)
                && self.may_have(&peer, entry, spans)
            {
                wanted.push(entry.lineage.id);
                place += 1;
            }
            taken_bytes += wanted.len() * block_bytes;
            is_first = false;
            self.ask_for(peer, wanted, ids, now_ms);
        }
    }

    /// The peer with the least to do that may have a block and can be asked now; not `beside`.
    fn server_of(&self, entry: &Entry, spans: &Spans, now_ms: u64, beside: Option<&[PeerId]>) -> Option<PeerId> {
        let open = self.questions.values().filter(|question| matches!(question.what, What::Blocks { .. })).count();
        if open >= MAX_BLOCK_QUESTIONS {
            return None;
        }
        let free = self.peers.iter().filter(|(id, peer)| {
            peer.asked_blocks < MAX_BLOCK_QUESTIONS_EACH
                && now_ms >= peer.blocks_rest_ms
                && beside.is_none_or(|beside| !beside.contains(id))
                && self.may_have(id, entry, spans)
        });
        free.min_by_key(|(_, peer)| (peer.asked_blocks, peer.us_per_block)).map(|(id, _)| *id)
    }

    fn ask_for(&mut self, peer: PeerId, wanted: Vec<BlockId>, ids: &mut RequestIds, now_ms: u64) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.asked_blocks += 1;
        for id in &wanted {
            let Some(entry) = self.trunk.entry_mut(id) else { continue };
            match &mut entry.body {
                Body::Asked { questions, since_ms } => (*questions, *since_ms) = (*questions + 1, now_ms),
                body => *body = Body::Asked { questions: 1, since_ms: now_ms },
            }
        }
        let id = ids.next();
        let request = Request::Blocks(Capped::new(wanted.clone()).expect("no more are put together"));
        let deadline_ms = now_ms + BLOCKS_DEADLINE_MS;
        self.questions.insert(id, Question { peer, asked_ms: now_ms, deadline_ms, what: What::Blocks { ids: wanted } });
        self.effects.push(SyncEffect::Request { peer, id, request, deadline_ms });
    }

    /// The block that all others wait for.
    fn head(&self) -> Option<&Entry> {
        self.trunk.entries.iter().find(|entry| !entry.body.is_gone())
    }

    /// Asks another peer for the block that all others wait for, if it takes long, and whoever showed its header whether
    /// it stands by it, if it does not have the block.
    fn ask_again(&mut self, ids: &mut RequestIds, spans: &Spans, now_ms: u64) {
        let Some(entry) = self.head() else { return };
        let id = entry.lineage.id;
        match entry.body {
            Body::Asked { questions: 1, since_ms } if now_ms >= since_ms + HEDGE_MS => {
                let asks = |question: &&Question| matches!(&question.what, What::Blocks { ids } if ids.contains(&id));
                let beside: Vec<_> = self.questions.values().filter(asks).map(|question| question.peer).collect();
                if let Some(peer) = self.server_of(entry, spans, now_ms, Some(&beside)) {
                    self.ask_for(peer, vec![id], ids, now_ms);
                }
            }
            Body::Wanted if !entry.lacking.is_empty() => {
                let (from, below) = (entry.from, entry.lineage.parent);
                // Who has not all bodies may not have this one, and is not to blame.
                if entry.lacking.contains(&from)
                    && let Some(peer) = self.peers.get_mut(&from)
                    && peer.archive
                    && peer.asked_headers.is_none()
                    && now_ms >= peer.headers_rest_ms
                {
                    let question = ids.next();
                    peer.asked_headers = Some(question);
                    peer.headers_rest_ms = now_ms + REST_MS;
                    let locator = Capped::new(vec![below]).expect("one is not too many");
                    let request = Request::Headers(GetHeaders { locator, limit: 1 });
                    let deadline_ms = now_ms + HEADERS_DEADLINE_MS;
                    let what = What::Vouch { id };
                    self.questions.insert(question, Question { peer: from, asked_ms: now_ms, deadline_ms, what });
                    self.effects.push(SyncEffect::Request { peer: from, id: question, request, deadline_ms });
                }
                let entry = self.trunk.entry(&id).expect("it was there a moment ago");
                if !self.peers.keys().any(|peer| self.may_have(peer, entry, spans)) {
                    tracing::info!(%id, "nobody has a block of the branch that is followed");
                    self.trunk.cut(&id);
                    self.forget_leader();
                }
            }
            _ => {}
        }
    }

    /// Hands over what is here in order.
    pub(super) fn hand_over<D: Database>(
        &mut self,
        manager: &mut ChainManager<D>,
        spans: &Spans,
    ) -> Result<(), StoreError> {
        loop {
            let mut pieces: Vec<_> = self.handed.values().map(|handed| handed.piece).collect();
            pieces.sort_unstable();
            pieces.dedup();
            if pieces.len() >= MAX_PIECES {
                return Ok(());
            }
            let entries = &self.trunk.entries;
            let Some(first) = entries.iter().position(|entry| !entry.body.is_gone()) else {
                return Ok(());
            };
            let (mut count, mut bytes_here) = (0, 0);
            while let Some(entry) = entries.get(first + count)
                && let Body::Here { bytes, .. } = &entry.body
                && self.hold.is_none_or(|hold| entry.lineage.height <= hold)
                && count < spans.piece
                && bytes_here < MAX_PIECE_BYTES
            {
                bytes_here += bytes;
                count += 1;
            }
            // A piece that is not full waits for more while others are on their way.
            let is_full = count >= spans.piece || bytes_here >= MAX_PIECE_BYTES;
            if count == 0 || !is_full && !pieces.is_empty() && first + count < entries.len() {
                return Ok(());
            }
            if self.fork < manager.tip().height {
                let ahead = self.trunk.entries.iter().skip(first);
                let verified = ahead.take_while(|entry| matches!(entry.stage, Stage::Verified));
                let lineages: Vec<_> = verified.map(|entry| entry.lineage.clone()).collect();
                manager.expect_blocks(&lineages)?;
            }
            let piece = self.next_piece;
            self.next_piece += 1;
            let mut blocks = Vec::with_capacity(count);
            for entry in self.trunk.entries.iter_mut().skip(first).take(count) {
                let Body::Here { from, .. } = entry.body else { continue };
                if let Body::Here { block, .. } = std::mem::replace(&mut entry.body, Body::Handed) {
                    self.handed.insert(entry.lineage.id, Handed { from, piece });
                    blocks.push((from, *block));
                }
            }
            self.effects.push(SyncEffect::Blocks(blocks));
        }
    }

    /// Asks for blocks near the tip that did not come by themselves.
    pub(super) fn ask_singles<D: Database>(
        &mut self,
        manager: &ChainManager<D>,
        ids: &mut RequestIds,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let near = |peer| self.near_since(peer, manager).is_some_and(|since| now_ms >= since);
        let (mut wanted, mut in_vain) = (Vec::new(), Vec::new());
        for (id, peer) in self.peers.iter().filter(|(_, peer)| near(peer)) {
            let free = peer.asked_blocks < MAX_BLOCK_QUESTIONS_EACH && now_ms >= peer.blocks_rest_ms;
            let block = peer.claim.id;
            if free
                && self.may_ask_single(&block, id, now_ms)
                && !manager.is_condemned(&block)
                && !manager.holds(&block)?
            {
                match peer.gave == Some(block) {
                    true => in_vain.push(*id),
                    false => wanted.push((*id, block)),
                }
            }
        }
        // It gave a block that could not be used yet: by the epoch it is early, or what it stands on is not here.
        for id in in_vain {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            peer.gave = None;
            peer.blocks_rest_ms = now_ms + peer.failed();
        }
        for (peer, block) in wanted {
            let room = self.singles.len() < MAX_SINGLES || self.singles.contains_key(&block);
            if !room || !self.may_ask_single(&block, &peer, now_ms) {
                continue;
            }
            let Some(state) = self.peers.get_mut(&peer) else { continue };
            state.asked_blocks += 1;
            self.singles.insert(block, Single { peer, asked_ms: now_ms, handed: false });
            let id = ids.next();
            let request = Request::Blocks(Capped::new(vec![block]).expect("one is not too many"));
            let deadline_ms = now_ms + BLOCKS_DEADLINE_MS;
            self.questions
                .insert(id, Question { peer, asked_ms: now_ms, deadline_ms, what: What::Single { id: block } });
            self.effects.push(SyncEffect::Request { peer, id, request, deadline_ms });
        }
        Ok(())
    }

    /// Whether a block near the tip was asked of nobody, or of another one who takes long.
    fn may_ask_single(&self, block: &BlockId, peer: &PeerId, now_ms: u64) -> bool {
        let late = |single: &Single| !single.handed && single.peer != *peer && now_ms >= single.asked_ms + HEDGE_MS;
        self.singles.get(block).is_none_or(late)
    }

    /// A block near the tip came, or not.
    pub(super) fn single_came(&mut self, peer: &PeerId, id: BlockId, mut blocks: Vec<Block>, now_ms: u64) {
        // Whoever was asked first may be faster than who was asked beside it.
        let expected = self.singles.get(&id).is_some_and(|single| !single.handed);
        let offence = match blocks.pop() {
            // It has gone on, or keeps something back: headers tell.
            None => None,
            Some(block) if !blocks.is_empty() || block.id() != id => Some(Offence::WrongAnswer),
            Some(block) if !is_its_headers(&block) => Some(Offence::BadBlock),
            Some(block) => {
                if expected {
                    self.singles.insert(id, Single { peer: *peer, asked_ms: now_ms, handed: true });
                    self.effects.push(SyncEffect::Blocks(vec![(*peer, block)]));
                }
                return;
            }
        };
        self.forget_single(peer, &id);
        if let Some(offence) = offence {
            self.blame(peer, offence);
        }
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.blocks_rest_ms = now_ms + peer.failed();
            peer.look = true;
            peer.kept_back = offence.is_none().then_some(id);
        }
    }

    /// When to look again if nothing happens.
    pub(super) fn next_wake(&self, now_ms: u64) -> Option<u64> {
        let questions = self.questions.values();
        let deadlines = questions.clone().map(|question| question.deadline_ms + super::GRACE_MS);
        let headers = questions.filter(|question| matches!(question.what, What::Headers { .. }));
        let hedges = headers.map(|question| question.asked_ms + HEDGE_MS);
        let head = self.head().and_then(|entry| match entry.body {
            Body::Asked { questions: 1, since_ms } => Some(since_ms + HEDGE_MS),
            _ => None,
        });
        let judges = self.judges_on.then_some(now_ms);
        let singles = self.singles.values().map(|single| single.asked_ms + HEDGE_MS);
        let rests = self.peers.values().flat_map(|peer| {
            let rests = [peer.headers_rest_ms, peer.blocks_rest_ms];
            rests.into_iter().chain(peer.claimed_ms.map(|since| since + super::options::NEAR_TIP_MS))
        });
        let compare_ms = self.options.compare_ms;
        let compared = self.peers.values().filter_map(|peer| peer.unknown.map(|(since, _)| since + compare_ms));
        let stall = (!self.trunk.is_empty()).then_some(self.progressed_ms + super::STALL_MS);
        let all = deadlines.chain(hedges).chain(singles).chain(rests).chain(head).chain(stall).chain(compared);
        all.filter(|at| *at > now_ms).chain(judges).min()
    }
}
