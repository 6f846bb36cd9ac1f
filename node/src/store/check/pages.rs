//! Reading columns a page at a time: nothing is held open while a page is judged.

use std::ops::ControlFlow;

use super::{CheckError, Flaw, Walk};
use crate::store::{Column, Database, DatabaseError, Entry};

/// Most entries of a page.
const PAGE_ENTRIES: usize = 1024;
/// A page ends with the entry that exceeds this, in bytes.
const PAGE_BYTES: usize = 4 << 20;
/// Most entries that are sorted at once.
const CHUNK_ENTRIES: usize = 1 << 18;

/// An entry that names a height: its key, and what else of it is of use.
pub(super) type Numbered<T> = (u64, Vec<u8>, T);

impl<D: Database> Walk<'_, D> {
    /// Shows all entries of a column, ascending, to `each`. A damaged page ends it: nobody knows what comes behind.
    pub(super) fn pages(
        &mut self,
        column: Column,
        mut each: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<(), CheckError>,
    ) -> Result<(), CheckError> {
        let mut from = Vec::new();
        loop {
            let (page, ended) = self.page(column, &from);
            for (key, value) in &page {
                each(self, key, value)?;
            }
            if let Some((key, _)) = page.last() {
                from.clone_from(key);
                from.push(0);
            }
            match ended {
                Ok(false) => {}
                Ok(true) => return Ok(()),
                Err(error @ DatabaseError::Corrupt { .. }) => {
                    self.note(column, &from, Flaw::Unreadable(format!("{error}, here or behind")));
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The entries from `from` on, and whether they are the last.
    fn page(&self, column: Column, from: &[u8]) -> (Vec<Entry>, Result<bool, DatabaseError>) {
        let (mut page, mut bytes, mut ended) = (Vec::new(), 0, true);
        let scanned = self.store.database.scan(column, from, None, &mut |key, value| {
            if page.len() == PAGE_ENTRIES || bytes >= PAGE_BYTES {
                ended = false;
                return ControlFlow::Break(());
            }
            bytes += key.len() + value.len();
            page.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        (page, scanned.map(|()| ended))
    }

    /// Shows those entries of a column that `number` gives a number to `each`, many at once, sorted by that number.
    pub(super) fn by_number<T: Ord>(
        &mut self,
        column: Column,
        mut number: impl FnMut(&[u8], &[u8]) -> Option<(u64, T)>,
        mut each: impl FnMut(&mut Self, &[Numbered<T>]) -> Result<(), CheckError>,
    ) -> Result<(), CheckError> {
        let mut chunk: Vec<Numbered<T>> = Vec::new();
        let mut sorted = |walk: &mut Self, chunk: &mut Vec<Numbered<T>>| {
            chunk.sort_unstable();
            each(walk, chunk)?;
            chunk.clear();
            Ok::<_, CheckError>(())
        };
        self.pages(column, |walk, key, value| {
            if let Some((number, more)) = number(key, value) {
                chunk.push((number, key.to_vec(), more));
            }
            if chunk.len() == CHUNK_ENTRIES {
                sorted(walk, &mut chunk)?;
            }
            walk.advance(1)
        })?;
        sorted(self, &mut chunk)
    }
}
