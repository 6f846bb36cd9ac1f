//! Reading a plot from front to back in large pieces, one ahead of the hashing.

use std::ops::Range;
use std::sync::mpsc::sync_channel;

use rayon::prelude::*;
use spacetime_kernels::{Backend, Cell, ColumnIndex};
use spacetime_prover::{Layout, tree};

use crate::columns::ColumnSet;
use crate::roots::RootStack;

/// Buffers of a sweep: one is read while the other is hashed.
pub(crate) const BUFFERS: u64 = 2;
/// Cells that one thread hashes at a time.
const LEAF_CELLS: usize = 1 << 14;

/// Some columns of some rows of one segment: contiguous in the file, for there
/// is either one column or the whole strip of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) segment: u64,
    pub(crate) columns: Range<usize>,
    /// Counted from the segment's first.
    pub(crate) rows: Range<u64>,
    pub(crate) offset_bytes: u64,
}

impl Piece {
    /// Rows, which fit memory because a piece does.
    pub(crate) fn height(&self) -> usize {
        (self.rows.end - self.rows.start) as usize
    }

    pub(crate) fn cells(&self) -> usize {
        self.columns.len() * self.height()
    }
}

/// Cuts the strips of `columns` in `segment` into pieces of at most `most_cells`
/// cells, in ascending offset. A strip that is longer is cut at multiples of a power of two.
pub(crate) fn pieces(layout: &Layout, segment: u64, columns: &ColumnSet, most_cells: usize) -> Vec<Piece> {
    let rows = layout.segment_rows(segment);
    let most_rows = 1u64 << (most_cells as u64).ilog2();
    let mut pieces = Vec::new();
    for run in columns.runs() {
        let together = usize::try_from(most_cells as u64 / rows).unwrap_or(usize::MAX).max(1);
        for first in run.clone().step_by(together) {
            let columns = first..run.end.min(first + together);
            let strip = layout.strip(segment, ColumnIndex(first as u32));
            let height = if rows <= most_cells as u64 { rows } else { most_rows };
            let mut start = 0;
            while start < rows {
                let rows = start..rows.min(start + height);
                start = rows.end;
                let offset_bytes = strip.offset_bytes + 32 * rows.start;
                pieces.push(Piece { segment, columns: columns.clone(), rows, offset_bytes });
            }
        }
    }
    pieces
}

/// Roots at `level` over consecutive columns of `rows` cells each, on all threads of the pool.
pub(crate) fn roots_of(backend: Backend, cells: &[Cell], rows: usize, level: u32) -> Vec<Cell> {
    if level == 0 {
        return cells.to_vec();
    }
    let leaf_level = level.min(LEAF_CELLS.ilog2());
    let leaf_rows = 1usize << leaf_level;
    cells
        .par_chunks(rows)
        .map(|column| {
            if column.len() <= leaf_rows {
                return tree::root(backend, column, 0, level);
            }
            let leaves: Vec<_> =
                column.par_chunks(leaf_rows).map(|leaf| tree::root(backend, leaf, 0, leaf_level)).collect();
            tree::root(backend, &leaves, leaf_level, level - leaf_level)
        })
        .collect()
}

/// Strip roots from pieces as they come, in the order of [`pieces`].
pub(crate) struct StripRoots {
    backend: Backend,
    subtree_depth: u32,
    /// The strip that is cut into several pieces, as far as it was seen.
    open: RootStack,
    /// Level of each of its pieces.
    level: u32,
}

impl StripRoots {
    pub(crate) fn new(backend: Backend, layout: &Layout) -> Self {
        Self { backend, subtree_depth: layout.subtree_depth(), open: RootStack::default(), level: 0 }
    }

    /// Roots of the strips that end with this piece, one for each of its columns or none.
    pub(crate) fn add(&mut self, layout: &Layout, piece: &Piece, cells: &[Cell]) -> Vec<Cell> {
        let strip_rows = layout.segment_rows(piece.segment);
        if piece.rows.end - piece.rows.start == strip_rows {
            return roots_of(self.backend, cells, piece.height(), self.subtree_depth);
        }
        if piece.rows.start == 0 {
            self.level = piece.height().ilog2();
        }
        let root = roots_of(self.backend, cells, piece.height(), self.level);
        self.open.push(self.backend, self.level, root, u32::MAX, |_: &[Cell]| ());
        if piece.rows.end < strip_rows {
            return Vec::new();
        }
        std::mem::take(&mut self.open).finish(self.backend, self.subtree_depth, u32::MAX, |_: &[Cell]| ())
    }
}

/// Fills a buffer for each of `plans` on a thread of its own, one ahead of
/// `work`, which gets them in order. The first error ends it.
pub(crate) fn read_ahead<P: Send, E: Send>(
    plans: impl Iterator<Item = P> + Send,
    read: impl Fn(&P, &mut Vec<Cell>) -> Result<(), E> + Send,
    mut work: impl FnMut(P, &[Cell]) -> Result<(), E>,
) -> Result<(), E> {
    let (to_work, filled) = sync_channel::<(P, Vec<Cell>)>(BUFFERS as usize);
    let (worked, empty) = sync_channel::<Vec<Cell>>(BUFFERS as usize);
    for _ in 0..BUFFERS {
        worked.send(Vec::new()).expect("the channel holds every buffer");
    }
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            crate::platform::lower_priority();
            for plan in plans {
                // A closed channel: the other side failed, and says why itself.
                let Ok(mut buffer) = empty.recv() else { return Ok(()) };
                read(&plan, &mut buffer)?;
                if to_work.send((plan, buffer)).is_err() {
                    return Ok(());
                }
            }
            Ok(())
        });
        let mut result = Ok(());
        while let Ok((plan, buffer)) = filled.recv() {
            result = work(plan, &buffer);
            if result.is_err() {
                break;
            }
            // Nobody waits for it any more once the last piece is read.
            let _ = worked.send(buffer);
        }
        drop((filled, worked));
        let read = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result.and(read)
    })
}
