//! The branch that is followed: headers above what was executed, lowest first, and what there is of their blocks.

use std::collections::{HashMap, VecDeque};

use crate::chain::rules::CheckedHeader;
use crate::chain::{Block, BlockId, Height};
use crate::consensus::Lineage;
use crate::network::PeerId;
use crate::network::message::{ProvedHeader, Tip};

/// How far a header has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// Its cheap rules hold.
    Judged(Box<(ProvedHeader, CheckedHeader)>),
    /// Its signatures and its row are being looked at, in the batch of this number.
    Verifying(u64),
    /// They hold.
    Verified,
}

/// How far its block has come.
#[derive(Debug)]
pub(super) enum Body {
    /// It is to be asked for.
    Wanted,
    /// It was asked for, by so many open questions, since a time.
    Asked { questions: usize, since_ms: u64 },
    /// It is here.
    Here { from: PeerId, block: Box<Block>, bytes: usize },
    /// It was handed over.
    Handed,
    /// It was taken: the chain has it, or waits for another one to go on with it.
    Taken { from: PeerId },
}

impl Body {
    /// Whether it was handed over.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Handed | Self::Taken { .. })
    }
}

/// A header and what there is of its block.
#[derive(Debug)]
pub(super) struct Entry {
    pub lineage: Lineage,
    /// Who sent the header.
    pub from: PeerId,
    pub stage: Stage,
    pub body: Body,
    /// Peers that do not have the block.
    pub lacking: Vec<PeerId>,
}

/// A header that cannot be judged yet.
#[derive(Debug)]
pub(super) struct Raw {
    pub id: BlockId,
    pub from: PeerId,
    pub proved: ProvedHeader,
}

/// Headers one on another: first those that were judged, then those that are too far ahead for it.
#[derive(Debug, Default)]
pub(super) struct Trunk {
    pub entries: VecDeque<Entry>,
    pub raw: VecDeque<Raw>,
    heights: HashMap<BlockId, Height>,
    /// Who showed it last, and what that peer claimed when it was asked.
    pub leader: Option<(PeerId, Tip)>,
    /// Whether the leader's chain was seen to end here.
    pub ended: bool,
}

impl Trunk {
    pub(super) fn is_empty(&self) -> bool {
        self.heights.is_empty()
    }

    /// What its first header stands on.
    pub(super) fn base(&self) -> Option<BlockId> {
        let entry = self.entries.front().map(|entry| entry.lineage.parent);
        entry.or_else(|| self.raw.front().map(|raw| raw.proved.header.parent))
    }

    /// Its last header.
    pub(super) fn end(&self) -> Option<BlockId> {
        self.raw.back().map(|raw| raw.id).or_else(|| self.entries.back().map(|entry| entry.lineage.id))
    }

    /// Height of a header of it.
    pub(super) fn height_of(&self, id: &BlockId) -> Option<Height> {
        self.heights.get(id).copied()
    }

    /// Its header that stands on one of its judged headers.
    pub(super) fn child_of(&self, parent: &BlockId) -> Option<BlockId> {
        let place = self.height_of(parent)?.0 + 1 - self.first_height()?;
        self.ids().nth(usize::try_from(place).ok()?)
    }

    fn first_height(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.lineage.height.0)
    }

    /// Its judged header at a height.
    pub(super) fn at(&self, height: Height) -> Option<&Entry> {
        self.entries.get(usize::try_from(height.0.checked_sub(self.first_height()?)?).ok()?)
    }

    pub(super) fn entry(&self, id: &BlockId) -> Option<&Entry> {
        self.at(self.height_of(id)?)
    }

    pub(super) fn entry_mut(&mut self, id: &BlockId) -> Option<&mut Entry> {
        let place = self.height_of(id)?.0.checked_sub(self.first_height()?)?;
        self.entries.get_mut(usize::try_from(place).ok()?)
    }

    /// Adds a header that stands on the last one.
    pub(super) fn push_raw(&mut self, raw: Raw) {
        self.heights.insert(raw.id, raw.proved.header.height);
        self.raw.push_back(raw);
    }

    /// Moves the first header that was not judged to those that were.
    pub(super) fn judged(&mut self, checked: CheckedHeader) {
        let Some(Raw { from, proved, .. }) = self.raw.pop_front() else { return };
        let lineage = checked.lineage.clone();
        let stage = Stage::Judged(Box::new((proved, checked)));
        self.entries.push_back(Entry { lineage, from, stage, body: Body::Wanted, lacking: Vec::new() });
    }

    /// Lets go of the lowest header: it is part of the best chain.
    pub(super) fn pop_front(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.heights.remove(&entry.lineage.id);
        }
    }

    /// Lets go of the lowest header that was not judged: it has become part of the best chain.
    pub(super) fn pop_raw(&mut self) {
        if let Some(raw) = self.raw.pop_front() {
            self.heights.remove(&raw.id);
        }
    }

    /// Ids of all its headers, lowest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = BlockId> {
        self.entries.iter().map(|entry| entry.lineage.id).chain(self.raw.iter().map(|raw| raw.id))
    }

    /// Lets go of what was not judged.
    pub(super) fn drop_raw(&mut self) {
        for raw in self.raw.drain(..) {
            self.heights.remove(&raw.id);
        }
        self.ended = false;
    }

    /// Lets go of a header and what stands on it.
    pub(super) fn cut(&mut self, id: &BlockId) {
        let Some(height) = self.height_of(id) else { return };
        let above_all = |raw: &Raw| raw.proved.header.height >= height;
        while self.raw.back().is_some_and(above_all) {
            self.raw.pop_back().map(|raw| self.heights.remove(&raw.id));
        }
        while self.entries.back().is_some_and(|entry| entry.lineage.height >= height) {
            self.entries.pop_back().map(|entry| self.heights.remove(&entry.lineage.id));
        }
        self.ended = false;
    }

    /// Height up to which headers were verified, one after the other.
    pub(super) fn verified(&self) -> Option<Height> {
        let verified = self.entries.iter().take_while(|entry| matches!(entry.stage, Stage::Verified));
        verified.last().map(|entry| entry.lineage.height)
    }
}
