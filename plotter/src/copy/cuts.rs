//! How a plot is cut into blocks that fit memory.

use std::ops::Range;

use spacetime_prover::{Layout, Plot, PlotHeader, tree};

use super::CopyOptions;
use crate::error::CreateError;
use crate::memory::allowed;
use crate::sweep::BUFFERS;

/// Fewest cells of a block: below it the disk only seeks.
const MIN_BLOCK_CELLS: u64 = 1 << 12;
/// What a cell of a block takes: the buffers, what is gathered for writing, and
/// its nodes while they are folded.
const BLOCK_COPIES: u64 = BUFFERS + 4;
/// How the rows are cut: in segments of the sources, of the target, and in the
/// longer of the two, whose columns are read and written together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cuts {
    pub(super) rows: u64,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) both: u64,
    pub(super) block_cells: u64,
    /// Level of the nodes that a block is hashed to first.
    pub(super) level: u32,
    /// Depth of the sources' subtree roots.
    pub(super) from_depth: u32,
    /// Depth of the roots over [`Cuts::both`].
    pub(super) both_depth: u32,
}

/// Some columns of some rows, within one of [`Cuts::both`]: either one column or all of its rows.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) columns: Range<usize>,
    /// Counted from the target's first.
    pub(super) rows: Range<u64>,
}

impl Cuts {
    pub(super) fn new(
        header: &PlotHeader,
        layout: &Layout,
        sources: &[Plot],
        options: &CopyOptions<'_>,
    ) -> Result<Self, CreateError> {
        let budget = allowed(options.memory)?;
        let (from, to) = (sources[0].header().rows_per_segment, header.rows_per_segment);
        let both = from.max(to);
        let from_depth = sources[0].layout().subtree_depth();
        let level = from_depth.min(layout.subtree_depth());
        let segments = header.rows.div_ceil(both);
        let row = header.shape.row_bytes() as u64;
        let stack = (tree::ceil_log2(segments) as u64 + 6) * row;
        let nodes = |level: u32| 3 * 32 * header.rows.min(both).div_ceil(1 << level);
        // What one thread hashes at a time, and half of it again.
        let hashing = options.threads as u64 * (1 << 20);
        let mut cuts = Self {
            rows: header.rows,
            from,
            to,
            both,
            block_cells: MIN_BLOCK_CELLS,
            level,
            from_depth,
            both_depth: layout.subtree_depth().max(from_depth.min(layout.depth())),
        };
        let needed = |cells: u64| stack + hashing + nodes(level.min(cells.ilog2())) + 32 * BLOCK_COPIES * cells;
        if needed(cuts.block_cells) > budget {
            return Err(CreateError::SmallBudget { budget, needed: needed(cuts.block_cells) });
        }
        let most = header.rows * header.shape.columns() as u64;
        while cuts.block_cells < most && needed(2 * cuts.block_cells) <= budget {
            cuts.block_cells *= 2;
        }
        cuts.level = level.min(cuts.block_cells.ilog2());
        Ok(cuts)
    }

    /// All blocks: by rows of [`Cuts::both`], then by column.
    pub(super) fn blocks(self, columns: usize) -> impl Iterator<Item = Block> + Send {
        (0..self.rows.div_ceil(self.both)).flat_map(move |segment| {
            let rows = segment * self.both..self.rows.min((segment + 1) * self.both);
            let height = rows.end - rows.start;
            let whole = height <= self.block_cells;
            let together = if whole { (self.block_cells / height).min(columns as u64) as usize } else { 1 };
            // A power of two, so that cuts fall between nodes.
            let step = if whole { self.both } else { self.block_cells };
            (0..columns).step_by(together).flat_map(move |first| {
                rows.clone().step_by(step as usize).map({
                    let end = rows.end;
                    move |start| Block {
                        columns: first..columns.min(first + together),
                        rows: start..end.min(start + step),
                    }
                })
            })
        })
    }

    /// The rows of `block` by segments of `rows_per_segment`: segment and rows.
    pub(super) fn parts_of(
        rows: &Range<u64>,
        rows_per_segment: u64,
    ) -> impl Iterator<Item = (u64, Range<u64>)> + use<> {
        let Range { start, end } = *rows;
        (start / rows_per_segment..end.div_ceil(rows_per_segment)).map(move |segment| {
            let first = segment * rows_per_segment;
            (segment, first.max(start)..(first + rows_per_segment).min(end))
        })
    }
}
