//! What is known of a peer, as far as catching up is concerned.

use super::options::{APART_MS, MAX_BUSY_MS, MAX_REST_MS, REST_MS};
use crate::chain::{BlockId, Height};
use crate::network::message::Tip;
use crate::participant::RequestId;

/// Failures in a row after which what a peer claims is not believed for a while.
const MANY_FAILURES: u32 = 3;
/// Claims that were not true, after which no further one makes a peer distrusted for longer.
const MAX_LIES: u32 = 4;
/// How long a peer is distrusted then.
const MAX_DISTRUST_MS: u64 = APART_MS << MAX_LIES;

/// A peer that may be asked.
#[derive(Debug)]
pub(super) struct Peer {
    /// Where it says its best chain ends.
    pub claim: Tip,
    /// When that was first looked at.
    pub claimed_ms: Option<u64>,
    /// Whether it has bodies down to genesis.
    pub archive: bool,
    /// Its open question for headers.
    pub asked_headers: Option<RequestId>,
    /// Its open questions for blocks.
    pub asked_blocks: usize,
    /// It is not asked for headers before.
    pub headers_rest_ms: u64,
    /// It is not asked for blocks before.
    pub blocks_rest_ms: u64,
    /// It did what it is banned for: nothing more is asked of it.
    pub is_out: bool,
    /// Failures in a row.
    failures: u32,
    /// A block of it was seen that stands on nothing known: its headers are wanted, whatever it claims.
    pub look: bool,
    /// A block near the tip that it gave: where it is wanted still, that was in vain.
    pub gave: Option<BlockId>,
    /// A block near the tip that it claimed and did not give: if its headers show it all the same, it keeps it back.
    pub kept_back: Option<BlockId>,
    /// Answers in a row that ended below what it had claimed.
    pub doubts: u32,
    /// A claim of it that was not true.
    disbelieved: Option<BlockId>,
    /// No claim of it is believed before.
    distrusted_ms: u64,
    /// Claims of it that were not true.
    lies: u32,
    /// Whether its claim may be true, as of the last poll.
    is_believed: bool,
    /// Height of the highest header that it showed since it claimed what it claims.
    pub shown: Height,
    /// When it was last asked whether its branch is the one that is followed.
    pub probed_ms: Option<u64>,
    /// A block of it that is known, from where its headers are asked for next.
    pub cursor: Option<BlockId>,
    /// Height up to which it was seen to share the branch that is followed, and whether it leaves it there.
    pub shared: Option<Shared>,
    /// Since when that is not known, and the height of the best chain then.
    pub unknown: Option<(u64, Height)>,
    /// It has claimed another tip since: it may have changed branches.
    pub moved: bool,
    /// Smoothed time that it takes for a block, in microseconds.
    pub us_per_block: u64,
}

/// How far a peer's chain was seen to be the one that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    /// Up to here it is.
    pub height: Height,
    /// Above that it is another.
    pub leaves: bool,
}

impl Peer {
    pub(super) fn new(claim: Tip, archive: bool) -> Self {
        Self {
            claim,
            claimed_ms: None,
            archive,
            asked_headers: None,
            asked_blocks: 0,
            headers_rest_ms: 0,
            blocks_rest_ms: 0,
            is_out: false,
            failures: 0,
            look: false,
            gave: None,
            kept_back: None,
            doubts: 0,
            disbelieved: None,
            distrusted_ms: 0,
            lies: 0,
            is_believed: true,
            shown: Height(0),
            probed_ms: None,
            cursor: None,
            shared: None,
            unknown: None,
            moved: false,
            us_per_block: 0,
        }
    }

    /// Whether its claim may be true, as far as is known.
    pub(super) fn is_believed(&self) -> bool {
        self.is_believed && !self.is_out
    }

    /// Takes note of the clock. Nobody rests longer than the longest rest, even if the clock was set back.
    pub(super) fn look_at_clock(&mut self, now_ms: u64) {
        self.headers_rest_ms = self.headers_rest_ms.min(now_ms + MAX_REST_MS);
        self.blocks_rest_ms = self.blocks_rest_ms.min(now_ms + MAX_REST_MS);
        self.distrusted_ms = self.distrusted_ms.min(now_ms + MAX_DISTRUST_MS);
        self.claimed_ms = self.claimed_ms.map(|since| since.min(now_ms));
        self.probed_ms = self.probed_ms.map(|since| since.min(now_ms));
        self.unknown = self.unknown.map(|(since, tip)| (since.min(now_ms), tip));
        self.claimed_ms.get_or_insert(now_ms);
        self.is_believed = self.disbelieved != Some(self.claim.id) && now_ms >= self.distrusted_ms;
    }

    /// What it claims is not so: nor is what it claims next, for a while.
    pub(super) fn disbelieve(&mut self, now_ms: u64) {
        self.disbelieved = Some(self.claim.id);
        self.distrusted_ms = now_ms + (APART_MS << self.lies);
        self.lies = (self.lies + 1).min(MAX_LIES);
        self.is_believed = false;
    }

    /// It claims something and shows nothing of it. That may be for want of time: what it claims is believed again later.
    pub(super) fn distrust(&mut self, now_ms: u64) {
        self.distrusted_ms = self.distrusted_ms.max(now_ms + APART_MS);
        self.is_believed = false;
    }

    /// Whether it has failed so often in a row that nothing is to be had of it.
    pub(super) fn gives_nothing(&self) -> bool {
        self.failures >= MANY_FAILURES
    }

    /// Whether it gave what it was asked for last.
    pub(super) fn is_reliable(&self) -> bool {
        self.failures == 0
    }

    /// How far its chain is that which is followed was seen.
    pub(super) fn compared(&mut self, shared: Shared) {
        (self.shared, self.unknown, self.moved) = (Some(shared), None, false);
    }

    /// Another branch is followed.
    pub(super) fn forget_branch(&mut self) {
        (self.shared, self.unknown, self.probed_ms) = (None, None, None);
    }

    /// Whether its chain is known to leave the branch that is followed.
    pub(super) fn leaves(&self) -> bool {
        self.shared.is_some_and(|shared| shared.leaves)
    }

    /// It gave what was wanted.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// It did not: how long it rests, in milliseconds.
    pub(super) fn failed(&mut self) -> u64 {
        let rest = REST_MS << self.failures.min(6);
        self.failures += 1;
        rest.min(MAX_REST_MS)
    }

    /// It had no time for it: how long it rests, in milliseconds.
    pub(super) fn refused(&mut self) -> u64 {
        self.failed().min(MAX_BUSY_MS)
    }

    /// It took `ms` for `blocks` blocks.
    pub(super) fn took(&mut self, ms: u64, blocks: usize) {
        let now = ms.saturating_mul(1000) / blocks.max(1) as u64;
        self.us_per_block = if self.us_per_block == 0 { now } else { (3 * self.us_per_block + now) / 4 };
    }
}
