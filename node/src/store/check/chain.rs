//! Facts, headers and their indices.

use super::{CheckError, Flaw, Phase, Walk};
use crate::chain::rules::check_header;
use crate::chain::{BlockId, Height, decode};
use crate::consensus::Lineage;
use crate::store::open::{FORMAT_KEY, GENESIS_KEY, OLDEST_BODY_KEY, OLDEST_STATE_KEY, TIP_KEY};
use crate::store::{Column, Database, StoreError, StoredHeader};

/// How far the walk along the best chain is.
#[derive(Default)]
struct Reached {
    /// The next height.
    next: u64,
    /// The block below it, as it is indexed.
    id: Option<BlockId>,
    /// What that block leaves, as computed.
    lineage: Option<Lineage>,
    /// Side blocks, and entries by time that belong to a block.
    side: u64,
    timed: u64,
    headers: u64,
}

impl<D: Database> Walk<'_, D> {
    /// Reads what the store says of itself.
    pub(super) fn check_meta(&mut self) -> Result<Option<BlockId>, CheckError> {
        self.pages(Column::Meta, |walk, key, _| {
            if ![FORMAT_KEY, GENESIS_KEY, TIP_KEY, OLDEST_STATE_KEY, OLDEST_BODY_KEY].contains(&key) {
                walk.note(Column::Meta, key, Flaw::Key);
            }
            Ok(())
        })?;
        let tip = self.sound(Column::Meta, TIP_KEY, self.store.tip())?;
        let header = match tip {
            Some(tip) => self.store.header(&tip).ok().flatten(),
            None => None,
        };
        self.span.lineage = header.map(|stored| stored.lineage).filter(|lineage| Some(lineage.id) == tip);
        self.span.tip = match &self.span.lineage {
            Some(lineage) => lineage.height,
            None => self.last_indexed()?,
        };
        for (key, oldest) in
            [(OLDEST_STATE_KEY, self.store.oldest_state()), (OLDEST_BODY_KEY, self.store.oldest_body())]
        {
            let oldest = self.sound(Column::Meta, key, oldest)?.unwrap_or(self.span.tip);
            let tip = self.span.tip;
            // Of a chain that was taken back, all bodies may have been pruned.
            let most = if key == OLDEST_STATE_KEY { tip.0 } else { tip.0.saturating_add(1) };
            if oldest.0 > most {
                self.note(Column::Meta, key, Flaw::Above { found: oldest, tip });
            }
            let oldest = Height(oldest.0.min(most));
            if key == OLDEST_STATE_KEY { self.span.oldest_state = oldest } else { self.span.oldest_body = oldest }
        }
        Ok(tip)
    }

    /// The greatest height in the index: the best there is where the tip cannot be read.
    fn last_indexed(&mut self) -> Result<Height, CheckError> {
        let last = self.store.database.last_until(Column::ByHeight, &[0xff; 41]).map_err(StoreError::from);
        let last = self.sound(Column::ByHeight, &[], last)?.flatten();
        let height = last.and_then(|(key, _)| key.first_chunk::<8>().map(|height| u64::from_be_bytes(*height)));
        Ok(Height(height.unwrap_or(0)))
    }

    /// Walks the index by height, and with it all headers.
    pub(super) fn check_headers(&mut self, tip: Option<BlockId>) -> Result<(), CheckError> {
        self.begin(Phase::Headers, self.span.tip.0.checked_add(1));
        let mut reached = Reached::default();
        self.pages(Column::ByHeight, |walk, key, value| match (key.len(), key.split_first_chunk::<8>()) {
            (8, Some((height, _))) => {
                walk.best_block(&mut reached, Height(u64::from_be_bytes(*height)), value)?;
                walk.advance(1)
            }
            (40, Some((height, id))) => {
                let id = BlockId(id.try_into().expect("40 less 8"));
                walk.side_block(&mut reached, Height(u64::from_be_bytes(*height)), id, key, value)
            }
            _ => {
                walk.note(Column::ByHeight, key, Flaw::Key);
                Ok(())
            }
        })?;
        if reached.next <= self.span.tip.0 {
            self.note(Column::ByHeight, &reached.next.to_be_bytes(), Flaw::Missing);
        }
        if let Some(found) = tip.filter(|tip| Some(*tip) != reached.id) {
            self.note(Column::Meta, TIP_KEY, Flaw::Tip { found, expected: reached.id });
        }
        if reached.lineage.is_some() && reached.next.checked_sub(1) == Some(self.span.tip.0) {
            self.span.lineage = reached.lineage;
        }
        self.totals.side_blocks = reached.side;
        self.stray_headers(reached.headers)?;
        self.stray_times(reached.timed)
    }

    fn best_block(&mut self, reached: &mut Reached, height: Height, value: &[u8]) -> Result<(), CheckError> {
        let key = height.0.to_be_bytes();
        if height > self.span.tip {
            self.note(Column::ByHeight, &key, Flaw::Above { found: height, tip: self.span.tip });
            return Ok(());
        }
        if height.0 > reached.next {
            self.note(Column::ByHeight, &reached.next.to_be_bytes(), Flaw::Missing);
            *reached = Reached { id: None, lineage: None, ..std::mem::take(reached) };
        }
        reached.next = height.0 + 1;
        self.totals.blocks += 1;
        let (below, parent) = (reached.id.take(), reached.lineage.take());
        let id: BlockId = match decode("block id", value, 32) {
            Ok(id) => id,
            Err(error) => {
                self.note(Column::ByHeight, &key, Flaw::Malformed(error.to_string()));
                return Ok(());
            }
        };
        reached.id = Some(id);
        let Some(stored) = self.header(id, height, &key)? else { return Ok(()) };
        reached.headers += 1;
        if let Some(expected) = below.filter(|below| *below != stored.header.parent) {
            self.note(Column::Headers, &id.0, Flaw::Parent { found: stored.header.parent, expected });
        }
        reached.timed += u64::from(self.check_time(&stored)?);
        reached.lineage = Some(self.follow(&stored, parent.as_ref()));
        Ok(())
    }

    /// The header that entry `key` of the index asks for, if it is that. What is wrong with it is noted.
    fn header(&mut self, id: BlockId, height: Height, key: &[u8]) -> Result<Option<StoredHeader>, CheckError> {
        let read = self.store.header(&id);
        let Some(stored) = self.sound(Column::Headers, &id.0, read)? else { return Ok(None) };
        let Some(stored) = stored else {
            // Either may be what is wrong.
            self.note(Column::Headers, &id.0, Flaw::Missing);
            self.note(Column::ByHeight, key, Flaw::NoHeader(id));
            return Ok(None);
        };
        let found = stored.header.id();
        if found != id {
            self.note(Column::Headers, &id.0, Flaw::HeaderId(found));
        } else if stored.header.height != height {
            self.note(Column::ByHeight, key, Flaw::Height { found: stored.header.height, expected: height });
        } else {
            return Ok(Some(stored));
        }
        Ok(None)
    }

    /// What a header leaves, computed where its parent's is known.
    fn follow(&mut self, stored: &StoredHeader, parent: Option<&Lineage>) -> Lineage {
        let StoredHeader { header, proof, lineage } = stored;
        let id = header.id();
        let (first, genesis) = (&self.genesis.header, &self.genesis.lineage);
        let computed = if header.height == Height(0) {
            if header != first || *proof != self.genesis.proof {
                self.note(Column::Headers, &id.0, Flaw::Genesis);
                return lineage.clone();
            }
            genesis.clone()
        } else {
            let Some(parent) = parent.filter(|parent| parent.id == header.parent) else { return lineage.clone() };
            match check_header(&self.engine, &self.parameters, genesis, parent, header, proof, None) {
                Ok(checked) => checked.lineage,
                Err(error) => {
                    self.note(Column::Headers, &id.0, Flaw::Rule(Box::new(error)));
                    return lineage.clone();
                }
            }
        };
        if computed != *lineage {
            self.note(Column::Headers, &id.0, Flaw::Lineage);
        }
        computed
    }

    /// Whether the index by time finds the block.
    fn check_time(&mut self, stored: &StoredHeader) -> Result<bool, CheckError> {
        let (key, expected) = (stored.header.timestamp_ms.to_be_bytes(), stored.header.height);
        let found = self.known::<Height>("height", Column::ByTime, &key)?;
        if let Some(found) = found.filter(|found| *found != expected) {
            self.note(Column::ByTime, &key, Flaw::Time { found, expected });
        }
        Ok(found.is_some())
    }

    fn side_block(
        &mut self,
        reached: &mut Reached,
        height: Height,
        id: BlockId,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), CheckError> {
        reached.side += 1;
        if !value.is_empty() {
            self.note(Column::ByHeight, key, Flaw::Value(value.len()));
        }
        if reached.id == Some(id) && reached.next == height.0.saturating_add(1) {
            self.note(Column::ByHeight, key, Flaw::Stray);
            return Ok(());
        }
        let Some(stored) = self.header(id, height, key)? else { return Ok(()) };
        reached.headers += 1;
        let parent = stored.header.parent;
        let read = self.store.known_header(&parent);
        let Some(below) = self.sound(Column::Headers, &parent.0, read)? else { return Ok(()) };
        self.follow(&stored, Some(&below.lineage));
        Ok(())
    }

    /// Names headers that no index finds, if there are more than were found.
    fn stray_headers(&mut self, found: u64) -> Result<(), CheckError> {
        if self.count(Column::Headers)? == found {
            return Ok(());
        }
        self.pages(Column::Headers, |walk, key, value| {
            let id: Option<BlockId> = key.try_into().ok().map(BlockId);
            let Some(id) = id else {
                walk.note(Column::Headers, key, Flaw::Key);
                return Ok(());
            };
            // What cannot be decoded was noted if it was looked for.
            let stored = decode::<StoredHeader>("header", value, value.len());
            let height = stored.as_ref().map_or(Height(u64::MAX), |stored| stored.lineage.height);
            if !walk.is_indexed(&id, height)? && !walk.is_noted(Column::Headers, key) {
                let flaw = stored.map_or_else(|error| Flaw::Malformed(error.to_string()), |_| Flaw::Stray);
                walk.note(Column::Headers, key, flaw);
            }
            Ok(())
        })
    }

    /// Whether the index by height has a block, on the best chain or beside it.
    pub(super) fn is_indexed(&mut self, id: &BlockId, height: Height) -> Result<bool, CheckError> {
        Ok(self.is_best(id, height)? || self.is_beside(id, height)?)
    }

    pub(super) fn is_best(&mut self, id: &BlockId, height: Height) -> Result<bool, CheckError> {
        // Damage of the index itself was noted when it was walked.
        Ok(matches!(self.store.id_at(height), Ok(Some(found)) if found == *id))
    }

    pub(super) fn is_beside(&mut self, id: &BlockId, height: Height) -> Result<bool, CheckError> {
        let key = [&height.0.to_be_bytes()[..], &id.0].concat();
        let read = self.store.database.get(Column::ByHeight, &key);
        Ok(self.sound(Column::ByHeight, &key, read)?.flatten().is_some())
    }

    fn stray_times(&mut self, found: u64) -> Result<(), CheckError> {
        if self.count(Column::ByTime)? == found {
            return Ok(());
        }
        self.pages(Column::ByTime, |walk, key, value| {
            let height = decode::<Height>("height", value, 8);
            let Ok(height) = height else { return Ok(()) };
            let header = match walk.store.id_at(height) {
                Ok(Some(id)) => walk.store.header(&id).ok().flatten(),
                _ => None,
            };
            // One that names the wrong height was noted if its own block asked for it.
            if header.is_none_or(|stored| stored.header.timestamp_ms.to_be_bytes() != *key)
                && !walk.is_noted(Column::ByTime, key)
            {
                walk.note(Column::ByTime, key, Flaw::Stray);
            }
            Ok(())
        })
    }

    /// Entries of a column.
    pub(super) fn count(&mut self, column: Column) -> Result<u64, CheckError> {
        let mut count = 0;
        self.pages(column, |_, _, _| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }
}
