//! Bodies, and the index of their transactions.

use super::pages::Numbered;
use super::{CheckError, Flaw, Phase, Walk};
use crate::chain::{BlockId, Hash, Height, Transaction, TransactionId, decode, transaction_root};
use crate::store::blocks::MAX_ENTRY_BYTES;
use crate::store::{Body, Column, Database, StoreError};

/// Where transactions are: height and place.
type Place = (Height, u32);

impl<D: Database> Walk<'_, D> {
    /// Walks all bodies, and all transactions in them.
    pub(super) fn check_bodies(&mut self) -> Result<(), CheckError> {
        let best = (self.span.tip.0.saturating_add(1)).saturating_sub(self.span.oldest_body.0);
        let expected = best.saturating_add(self.totals.side_blocks);
        self.begin(Phase::Bodies, Some(expected));
        let (mut found, mut indexed) = (0, 0);
        self.pages(Column::Bodies, |walk, key, value| {
            let Ok(id) = key.try_into().map(BlockId) else {
                walk.note(Column::Bodies, key, Flaw::Key);
                return walk.advance(1);
            };
            if let Some(matched) = walk.body(id, value)? {
                found += 1;
                indexed += matched;
            }
            walk.advance(1)
        })?;
        self.totals.bodies = found;
        if found != expected {
            self.missing_bodies()?;
        }
        if self.count(Column::Transactions)? != indexed {
            self.misplaced_transactions()?;
        }
        Ok(())
    }

    /// How many of a body's transactions are found by their index; nothing of a body that no block asks for.
    fn body(&mut self, id: BlockId, value: &[u8]) -> Result<Option<u64>, CheckError> {
        let stored = match self.store.header(&id) {
            Ok(stored) => stored,
            // That was noted when headers were walked.
            Err(error) if error.is_damage() => return Ok(Some(0)),
            Err(StoreError::Database(error)) => return Err(error.into()),
            Err(_) => return Ok(Some(0)),
        };
        let Some(stored) = stored else {
            self.note(Column::Bodies, &id.0, Flaw::Stray);
            return Ok(None);
        };
        let height = stored.lineage.height;
        let best = self.is_best(&id, height)?;
        if !best && !self.is_beside(&id, height)? {
            if !self.is_noted(Column::Headers, &id.0) {
                self.note(Column::Bodies, &id.0, Flaw::Stray);
            }
            return Ok(None);
        }
        if best && height < self.span.oldest_body {
            self.note(Column::Bodies, &id.0, Flaw::Pruned { found: height, oldest: self.span.oldest_body });
            return Ok(None);
        }
        let body: Body = match decode("body", value, MAX_ENTRY_BYTES) {
            Ok(body) => body,
            Err(error) => {
                self.note(Column::Bodies, &id.0, Flaw::Malformed(error.to_string()));
                return Ok(Some(0));
            }
        };
        let ids: Vec<TransactionId> = body.transactions.iter().map(Transaction::id).collect();
        let (found, expected) = (transaction_root(&ids), stored.header.transaction_root);
        if found != expected && !self.is_noted(Column::Headers, &id.0) {
            self.note(Column::Bodies, &id.0, Flaw::TransactionRoot { found, expected });
            return Ok(Some(0));
        }
        self.totals.transactions += ids.len() as u64;
        if !best {
            return Ok(Some(0));
        }
        let mut matched = 0;
        for (place, (id, transaction)) in ids.iter().zip(&body.transactions).enumerate() {
            matched += u64::from(self.transaction(id, transaction, (height, place as u32))?);
        }
        Ok(Some(matched))
    }

    /// Whether the index finds a transaction where it is.
    fn transaction(&mut self, id: &TransactionId, it: &Transaction, place: Place) -> Result<bool, CheckError> {
        let read = self.store.transaction_place(id);
        match self.sound(Column::Transactions, &id.0, read)? {
            Some(Some(found)) => Ok(found == place),
            // A plot that lapsed may be registered by the very same bytes again: the index knows the later place, and
            // none once that was taken back.
            Some(None) if it.sender.is_none() && place.1 != 0 => Ok(false),
            Some(None) => {
                self.note(Column::Transactions, &id.0, Flaw::Missing);
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// Names blocks without a body, if fewer were found than there should be.
    fn missing_bodies(&mut self) -> Result<(), CheckError> {
        self.pages(Column::ByHeight, |walk, key, value| {
            let Some((height, rest)) = key.split_first_chunk::<8>() else { return Ok(()) };
            let height = Height(u64::from_be_bytes(*height));
            let pruned = rest.is_empty() && height < walk.span.oldest_body;
            let id: Option<[u8; 32]> = if rest.is_empty() { value.try_into().ok() } else { rest.try_into().ok() };
            let Some(id) = id.filter(|_| !pruned) else { return Ok(()) };
            let read = walk.store.database.get(Column::Bodies, &id);
            if walk.sound(Column::Bodies, &id, read)?.is_some_and(|body| body.is_none()) {
                walk.note(Column::Bodies, &id, Flaw::Missing);
            }
            Ok(())
        })
    }

    /// Names entries of the index that do not find their transaction.
    fn misplaced_transactions(&mut self) -> Result<(), CheckError> {
        self.begin(Phase::Strays, None);
        let place = |key: &[u8], value: &[u8]| {
            let (Height(height), place) = decode::<Place>("transaction place", value, 12).ok()?;
            (key.len() == 32).then_some((height, place))
        };
        self.pages(Column::Transactions, |walk, key, value| {
            if key.len() != 32 {
                walk.note(Column::Transactions, key, Flaw::Key);
            } else if let Err(error) = decode::<Place>("transaction place", value, 12)
                && !walk.is_noted(Column::Transactions, key)
            {
                walk.note(Column::Transactions, key, Flaw::Malformed(error.to_string()));
            }
            Ok(())
        })?;
        self.by_number(Column::Transactions, place, |walk, entries| {
            for of_height in entries.chunk_by(|a, b| a.0 == b.0) {
                walk.places(Height(of_height[0].0), of_height);
            }
            Ok(())
        })
    }

    fn places(&mut self, height: Height, entries: &[Numbered<u32>]) {
        let body = match self.store.id_at(height) {
            Ok(Some(id)) => self.store.body(&id),
            _ => Ok(None),
        };
        // A body that is damaged, or missing though it should not be, was noted as such.
        let Ok(body) = body else { return };
        if body.is_none() && (self.span.oldest_body..=self.span.tip).contains(&height) {
            return;
        }
        let transactions = body.map(|body| body.transactions).unwrap_or_default();
        let ids: Vec<Hash> = transactions.iter().map(|transaction| Hash(transaction.id().0)).collect();
        for (_, key, place) in entries {
            if ids.get(*place as usize).is_none_or(|id| id.0 != key[..]) {
                self.note(Column::Transactions, key, Flaw::Place { height, place: *place });
            }
        }
    }
}
