//! What the file says, before it is decided which of it is right.

use std::collections::BTreeMap;
use std::ops::Range;

use spacetime_kernels::Cell;
use spacetime_prover::{HEADER_BYTES, PlotState};

use super::inside::{Fault, Inside};
use crate::columns::ColumnSet;
use crate::progress::{Phase, Step};
use crate::roots::RootStack;
use crate::sweep::pieces;

/// Bytes that must be zero and are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// The first wrong byte.
    pub(super) first: u64,
    /// Behind the last wrong byte.
    pub(super) end: u64,
    /// How many are wrong.
    pub(super) wrong: u64,
}

/// Roots that follow from the cells, roots that are cached, and where they differ.
#[derive(Debug)]
pub(super) struct Survey {
    /// Strips whose cells do not lead to their cached subtree root, by segment.
    pub(super) suspects: BTreeMap<u64, ColumnSet>,
    /// Column roots that follow from the cells; none in a part.
    pub(super) from_cells: Vec<Cell>,
    /// Column roots that follow from the cached subtree roots; none in a part.
    pub(super) from_cache: Vec<Cell>,
    /// Column roots as cached.
    pub(super) column_roots: Vec<Cell>,
    /// Damaged padding.
    pub(super) padding: Vec<Gap>,
}

impl Inside<'_> {
    /// Reads the whole file.
    pub(super) fn survey(&self) -> Result<Survey, Fault> {
        let (layout, columns) = (&self.layout, self.columns());
        let bytes = layout.data_end() - layout.data_offset();
        (self.tools.steps)(Step::Began { phase: Phase::Reading, total: bytes });
        let (mut from_cells, mut from_cache) = (RootStack::default(), RootStack::default());
        let mut suspects = BTreeMap::new();
        let mut row: Vec<Cell> = Vec::with_capacity(columns);
        let whole = self.header.state == PlotState::Complete;
        let all = ColumnSet::all(columns);
        let plan = (0..layout.segments()).flat_map(|segment| pieces(layout, segment, &all, self.piece_cells));
        self.sweep(self.tools.steps, plan, |piece, strips| {
            row.extend(strips);
            if row.len() < columns {
                return Ok(());
            }
            let cached = self.read_roots(layout.subtree_roots_offset(piece.segment))?;
            let mut differing = ColumnSet::new(columns);
            (0..columns).filter(|column| row[*column] != cached[*column]).for_each(|column| differing.insert(column));
            if !differing.is_empty() {
                suspects.insert(piece.segment, differing);
            }
            let row = std::mem::replace(&mut row, Vec::with_capacity(columns));
            if whole {
                self.push(&mut from_cells, row);
                self.push(&mut from_cache, cached);
            }
            Ok(())
        })?;
        let padding = [HEADER_BYTES as u64..layout.data_offset(), layout.data_end()..layout.roots_offset()];
        let padding = padding.into_iter().map(|range| self.gap(range)).collect::<Result<Vec<_>, _>>()?;
        Ok(Survey {
            suspects,
            from_cells: if whole { self.finish(&from_cells) } else { Vec::new() },
            from_cache: if whole { self.finish(&from_cache) } else { Vec::new() },
            column_roots: self.read_roots(layout.roots_offset())?,
            padding: padding.into_iter().flatten().collect(),
        })
    }

    /// Appends the subtree roots of the next segment.
    pub(super) fn push(&self, stack: &mut RootStack, row: Vec<Cell>) {
        let hasher = self.tools.engine.hasher();
        let level = self.layout.subtree_depth();
        self.tools.pool.install(|| stack.push(hasher, level, row, u32::MAX, |_: &[Cell]| ()));
    }

    /// Column roots over the segments that were pushed.
    pub(super) fn finish(&self, stack: &RootStack) -> Vec<Cell> {
        let hasher = self.tools.engine.hasher();
        self.tools.pool.install(|| stack.finish(hasher, self.layout.depth(), u32::MAX, |_: &[Cell]| ()))
    }

    /// What is not zero in `range`.
    pub(super) fn gap(&self, range: Range<u64>) -> Result<Option<Gap>, Fault> {
        let mut gap: Option<Gap> = None;
        let mut at = range.start;
        let mut bytes = Vec::new();
        while at < range.end {
            self.tools.control.step()?;
            bytes.resize((range.end - at).min(32 * self.piece_cells as u64) as usize, 0);
            self.read(&mut bytes, at)?;
            for (place, _) in (at..).zip(&bytes).filter(|(_, byte)| **byte != 0) {
                let gap = gap.get_or_insert(Gap { first: place, end: place, wrong: 0 });
                gap.end = place + 1;
                gap.wrong += 1;
            }
            at += bytes.len() as u64;
        }
        Ok(gap)
    }
}
