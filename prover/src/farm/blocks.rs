//! Cutting a column's strips into reads.

use std::ops::Range;
use std::vec;

use spacetime_kernels::{Cell, ColumnIndex};

use crate::layout::Layout;
use crate::platform::DIRECT_ALIGNMENT;

const CELL_BYTES: u64 = size_of::<Cell>() as u64;

/// One read: cells of one strip, and what lies around them up to the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where the read begins, aligned.
    pub(crate) offset_bytes: u64,
    /// How long it is, aligned.
    pub(crate) bytes: usize,
    /// Bytes read before the first cell.
    pub(crate) skip_bytes: usize,
    /// Row of the first cell.
    pub(crate) first_row: u64,
    /// Cells in it.
    pub(crate) rows: usize,
}

impl Block {
    /// The cells in what was read.
    pub(crate) fn cells<'a>(&self, read: &'a [u8]) -> &'a [Cell] {
        bytemuck::cast_slice(&read[self.skip_bytes..][..self.rows * size_of::<Cell>()])
    }
}

/// The reads of some rows of a column, in ascending offset, made one at a time.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    layout: Layout,
    column: ColumnIndex,
    block_bytes: usize,
    now: Range<u64>,
    later: vec::IntoIter<Range<u64>>,
}

impl Blocks {
    /// `rows` are ascending and do not overlap; `block_bytes` is a multiple of a page.
    pub(crate) fn new(layout: Layout, column: ColumnIndex, rows: Vec<Range<u64>>, block_bytes: usize) -> Self {
        Self { layout, column, block_bytes, now: 0..0, later: rows.into_iter() }
    }

    /// Rows not yet cut.
    pub(crate) fn rows_left(&self) -> u64 {
        let rows = |range: &Range<u64>| range.end - range.start;
        rows(&self.now) + self.later.as_slice().iter().map(rows).sum::<u64>()
    }

    /// Cuts these rows instead of those that are left.
    pub(crate) fn replace(&mut self, rows: Vec<Range<u64>>) {
        self.now = 0..0;
        self.later = rows.into_iter();
    }

    /// The rows not yet cut, if they are one range.
    pub(crate) fn range_left(&self) -> Option<Range<u64>> {
        match (self.now.is_empty(), self.later.as_slice()) {
            (false, []) => Some(self.now.clone()),
            (true, [range]) => Some(range.clone()),
            _ => None,
        }
    }
}

impl Iterator for Blocks {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        if self.now.is_empty() {
            self.now = self.later.next()?;
        }
        let first_row = self.now.start;
        // No segment holds more rows than the first.
        let strip = self.layout.strip(first_row / self.layout.segment_rows(0), self.column);
        let begin = strip.offset_bytes + (first_row - strip.first_row) * CELL_BYTES;
        let offset_bytes = begin - begin % DIRECT_ALIGNMENT as u64;
        let skip_bytes = (begin - offset_bytes) as usize;
        let fitting = ((self.block_bytes - skip_bytes) / size_of::<Cell>()) as u64;
        let rows = fitting.min(self.now.end - first_row).min(strip.first_row + strip.rows - first_row);
        self.now.start += rows;
        let rows = rows as usize;
        // Data ends before the roots do, and these begin on a page: the file goes on at least so far.
        let bytes = (skip_bytes + rows * size_of::<Cell>()).next_multiple_of(DIRECT_ALIGNMENT);
        Some(Block { offset_bytes, bytes, skip_bytes, first_row, rows })
    }
}
