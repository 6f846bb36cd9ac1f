//! Where each strip and root lies in a plot file (PROTOCOL §5).

use spacetime_kernels::{Cell, ColumnIndex};
use thiserror::Error;

use crate::header::{HEADER_BYTES, PlotHeader};
use crate::tree::ceil_log2;

const CELL_BYTES: u64 = size_of::<Cell>() as u64;

/// One column of one segment: contiguous in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strip {
    /// Which segment of the file.
    pub segment: u64,
    /// Which column.
    pub column: ColumnIndex,
    /// Row of the first cell, counted from the plot's first, also in a part.
    pub first_row: u64,
    /// Cells in the strip.
    pub rows: u64,
    /// Where the strip begins in the file, in bytes.
    pub offset_bytes: u64,
}

impl Strip {
    /// Length in the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.rows * CELL_BYTES
    }
}

/// Sizes and places that follow from a header. Nothing in it overflows: that
/// was checked when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    columns: u64,
    rows: u64,
    rows_per_segment: u64,
    first_row: u64,
    data_offset: u64,
    roots_offset: u64,
    file_bytes: u64,
    depth: u32,
    subtree_depth: u32,
}

/// Why a header's sizes cannot be those of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// The sizes do not fit 63 bits.
    #[error("{rows} rows of {columns} columns do not fit into any file")]
    TooLarge {
        /// Rows in the header.
        rows: u64,
        /// Columns in the header.
        columns: u64,
    },
    /// The roots begin before the data ends.
    #[error("roots offset is {roots_offset}, but the data reaches to byte {data_end}")]
    Overlap {
        /// Where the roots begin.
        roots_offset: u64,
        /// Where the data ends.
        data_end: u64,
    },
    /// The file is shorter than its header says.
    #[error("the file has {found} bytes, its header asks for {expected}: it is truncated")]
    Truncated {
        /// The file's length.
        found: u64,
        /// The least that the header asks for.
        expected: u64,
    },
}

impl Layout {
    /// Works out places and sizes from a header that was [validated](PlotHeader::validate).
    ///
    /// # Errors
    /// If they overflow, or data and roots overlap.
    pub fn new(header: &PlotHeader) -> Result<Self, LayoutError> {
        let columns = header.shape.columns() as u64;
        let &PlotHeader { rows, rows_per_segment, first_row, data_offset, roots_offset, .. } = header;
        let too_large = LayoutError::TooLarge { rows, columns };
        let segments = rows.div_ceil(rows_per_segment);
        let data_end = columns
            .checked_mul(CELL_BYTES)
            .and_then(|row_bytes| row_bytes.checked_mul(rows))
            .and_then(|data_bytes| data_bytes.checked_add(data_offset))
            .ok_or(too_large)?;
        if roots_offset < data_end {
            return Err(LayoutError::Overlap { roots_offset, data_end });
        }
        let file_bytes = (segments + 1)
            .checked_mul(columns * CELL_BYTES)
            .and_then(|roots_bytes| roots_bytes.checked_add(roots_offset))
            .filter(|bytes| i64::try_from(*bytes).is_ok())
            .ok_or(too_large)?;
        let segment_depth = rows_per_segment.ilog2();
        // A part does not know the whole plot's depth, so it keeps the segment's.
        let part = header.state == crate::PlotState::Part;
        let depth = ceil_log2(rows);
        let subtree_depth = if part { segment_depth } else { depth.min(segment_depth) };
        Ok(Self {
            columns,
            rows,
            rows_per_segment,
            first_row,
            data_offset,
            roots_offset,
            file_bytes,
            depth,
            subtree_depth,
        })
    }

    /// The usual places: data behind the header, roots behind the data.
    ///
    /// # Errors
    /// If `header`'s rows and columns do not fit into a file. Its offsets are not looked at.
    pub fn usual_offsets(header: &PlotHeader) -> Result<(u64, u64), LayoutError> {
        let columns = header.shape.columns() as u64;
        let data_offset = HEADER_BYTES as u64;
        let roots_offset = (columns * CELL_BYTES)
            .checked_mul(header.rows)
            .and_then(|bytes| bytes.checked_add(data_offset))
            .and_then(|end| end.checked_next_multiple_of(HEADER_BYTES as u64))
            .ok_or(LayoutError::TooLarge { rows: header.rows, columns })?;
        Ok((data_offset, roots_offset))
    }

    /// Checks that a file of `found` bytes holds data and roots. More may follow them.
    ///
    /// # Errors
    /// If it is shorter.
    pub fn check_file_bytes(&self, found: u64) -> Result<(), LayoutError> {
        let expected = self.file_bytes;
        if found < expected { Err(LayoutError::Truncated { found, expected }) } else { Ok(()) }
    }

    /// Columns.
    #[must_use]
    pub fn columns(&self) -> u64 {
        self.columns
    }

    /// Segments in the file, the last of which may hold fewer rows.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.rows.div_ceil(self.rows_per_segment)
    }

    /// Rows of a segment.
    #[must_use]
    pub fn segment_rows(&self, segment: u64) -> u64 {
        self.rows_per_segment.min(self.rows - segment * self.rows_per_segment)
    }

    /// The strip of `column` in `segment`.
    ///
    /// # Panics
    /// If either is out of range.
    #[must_use]
    pub fn strip(&self, segment: u64, column: ColumnIndex) -> Strip {
        assert!(segment < self.segments() && u64::from(column.0) < self.columns, "strip out of range");
        let before = segment * self.rows_per_segment;
        let rows = self.segment_rows(segment);
        Strip {
            segment,
            column,
            first_row: self.first_row + before,
            rows,
            offset_bytes: self.data_offset + (before * self.columns + u64::from(column.0) * rows) * CELL_BYTES,
        }
    }

    /// Where the data begins.
    #[must_use]
    pub fn data_offset(&self) -> u64 {
        self.data_offset
    }

    /// Where the data ends.
    #[must_use]
    pub fn data_end(&self) -> u64 {
        self.data_offset + self.rows * self.columns * CELL_BYTES
    }

    /// Where the column roots begin; the subtree roots follow them.
    #[must_use]
    pub fn roots_offset(&self) -> u64 {
        self.roots_offset
    }

    /// Where the subtree roots of `segment` begin: one for each column.
    #[must_use]
    pub fn subtree_roots_offset(&self, segment: u64) -> u64 {
        self.roots_offset + (segment + 1) * self.columns * CELL_BYTES
    }

    /// Length of header, data and roots together.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Depth `d` of a column's tree over the rows in this file.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Depth of a segment's part of a column (PROTOCOL §5).
    #[must_use]
    pub fn subtree_depth(&self) -> u32 {
        self.subtree_depth
    }
}
