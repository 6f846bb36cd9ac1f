//! Putting a batch into its place in the file, and seeing that it arrived.

use std::time::{Duration, Instant};

use bytemuck::cast_slice;
use spacetime_kernels::{Backend, Cell, ColumnIndex, Grower, PlotKey, RowIndex, Shape};
use spacetime_prover::{HEADER_BYTES, Layout, tree};
use tracing::debug;

use crate::batch::Batch;
use crate::control::Control;
use crate::error::BuildError;
use crate::storage::Storage;

/// Bytes gathered before they are written: large enough for a disk's full rate.
pub(crate) const WRITE_BYTES: usize = 8 << 20;
/// The same in cells.
pub(crate) const WRITE_CELLS: usize = WRITE_BYTES / size_of::<Cell>();

/// Fewest rows of a batch that are grown again.
const MIN_CHECKED_ROWS: usize = 4;
/// Most rows of a batch that are grown again, however fast that goes.
const MAX_CHECKED_ROWS: usize = 32;
/// Share of a batch's own time beyond which no more than the fewest are.
const MAX_CHECK_SHARE: f64 = 0.02;

/// Columns of each run whose subtree root is hashed again, where a card hashed it.
const CHECKED_COLUMNS: usize = 4;

/// Bytes of the rows that [`check_batch`] grows at a time.
pub(crate) fn check_cells_bytes(checker: Backend, shape: Shape) -> u64 {
    (checker.lanes().max(MIN_CHECKED_ROWS) * shape.row_bytes()) as u64
}

/// Gathers pieces that follow each other in the file into large writes.
pub(crate) struct Gather<'a> {
    storage: &'a dyn Storage,
    control: &'a Control,
    offset_bytes: u64,
    most: usize,
    cells: Vec<Cell>,
}

impl<'a> Gather<'a> {
    /// Writes up to `most` cells at a time.
    pub(crate) fn new(storage: &'a dyn Storage, control: &'a Control, most: usize) -> Self {
        Self { storage, control, offset_bytes: 0, most, cells: Vec::with_capacity(most) }
    }

    pub(crate) fn put(&mut self, mut offset_bytes: u64, mut cells: &[Cell]) -> Result<(), BuildError> {
        while !cells.is_empty() {
            if offset_bytes != self.offset_bytes + 32 * self.cells.len() as u64 || self.cells.len() == self.most {
                self.flush()?;
                self.offset_bytes = offset_bytes;
            }
            let (now, later) = cells.split_at(cells.len().min(self.most - self.cells.len()));
            self.cells.extend_from_slice(now);
            offset_bytes += 32 * now.len() as u64;
            cells = later;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<(), BuildError> {
        if self.cells.is_empty() {
            return Ok(());
        }
        let bytes: &[u8] = cast_slice(&self.cells);
        self.control.pace(bytes.len() as u64)?;
        self.storage.write_at(bytes, self.offset_bytes)?;
        self.cells.clear();
        Ok(())
    }
}

/// Writes the strip pieces of `batch` in `columns`, which ascend, column by column within each segment.
pub(crate) fn write_batch(
    layout: &Layout,
    rows_per_segment: u64,
    batch: &Batch,
    columns: impl Iterator<Item = usize> + Clone,
    mut gather: Gather<'_>,
) -> Result<(), BuildError> {
    let end = batch.start + batch.rows as u64;
    let run_rows = batch.run_rows as u64;
    let mut start = batch.start;
    while start < end {
        let segment = start / rows_per_segment;
        let stop = end.min((segment + 1) * rows_per_segment);
        for column in columns.clone() {
            let strip = layout.strip(segment, ColumnIndex(column as u32));
            let runs = (start - batch.start) / run_rows..(stop - batch.start).div_ceil(run_rows);
            let mut offset_bytes = strip.offset_bytes + 32 * (start - segment * rows_per_segment);
            for run in runs {
                let piece = batch.column_of_run(run as usize, column);
                gather.put(offset_bytes, piece)?;
                offset_bytes += 32 * piece.len() as u64;
            }
        }
        start = stop;
    }
    gather.flush()
}

/// Tells the system that the batch's pages will not be needed soon, unless the
/// next batch writes to the same ones: they would be read again only to be filled up.
pub(crate) fn forget_batch(storage: &dyn Storage, layout: &Layout, rows_per_segment: u64, batch: &Batch) {
    const ROWS_OF_A_PAGE: u64 = HEADER_BYTES as u64 / 32;
    let end = batch.start + batch.rows as u64;
    let segments = batch.start / rows_per_segment..end.div_ceil(rows_per_segment);
    for segment in segments {
        let whole = segment * rows_per_segment + layout.segment_rows(segment) <= end;
        if whole || end.is_multiple_of(ROWS_OF_A_PAGE) {
            let first = layout.strip(segment, ColumnIndex(0));
            storage.forget(first.offset_bytes, first.bytes() * layout.columns());
        }
    }
}

/// Draws what is checked. It cannot be known before the batch is grown: its own hashes choose.
struct Draw(u64);

impl Draw {
    fn new(batch: &Batch) -> Self {
        Self(batch.cell(0, 0)[..8].try_into().map(u64::from_le_bytes).expect("eight bytes of a cell"))
    }

    /// SplitMix64: any spread over the batch will do.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) % bound
    }
}

/// Hashes some columns of each run of `batch` again, which another than the CPU hashed.
pub(crate) fn check_roots(batch: &Batch, first_row: u64, hasher: Backend, grower: &str) -> Result<(), BuildError> {
    let mut draw = Draw::new(batch);
    for run in 0..batch.runs() {
        for _ in 0..CHECKED_COLUMNS {
            let column = draw.below(batch.shape.shape.columns() as u64) as usize;
            let root = tree::root(hasher, batch.column_of_run(run, column), 0, batch.run_rows.ilog2());
            if root != *batch.root_of_run(run, column) {
                let row = first_row + batch.start + (run * batch.run_rows) as u64;
                return Err(BuildError::WrongRoot { row, column: column as u32, grower: grower.to_owned() });
            }
        }
    }
    Ok(())
}

/// How a batch was grown, and with what some of it is grown again.
#[derive(Clone, Copy)]
pub(crate) struct Growth<'a> {
    pub(crate) grower: &'a str,
    pub(crate) time: Duration,
    pub(crate) checker: Backend,
}

/// Grows some rows of `batch` again with `checker` and compares them with what
/// is read back from the file: at least four, and no more than fit 2% of the
/// time that growing the whole batch took. What the page cache still holds
/// comes from there: this shows that every cell went to its place, and whether the
/// disk keeps it is for a scrub to see.
pub(crate) fn check_batch(
    storage: &dyn Storage,
    layout: &Layout,
    (key, first_row): (&PlotKey, u64),
    rows_per_segment: u64,
    batch: &Batch,
    Growth { grower, time, checker }: Growth<'_>,
) -> Result<(), BuildError> {
    let shape = batch.shape.shape;
    let mut again = Grower::new(checker, shape);
    let began = Instant::now();
    let mut checked = 0;
    let mut at_a_time = MIN_CHECKED_ROWS;
    let mut draw = Draw::new(batch);
    while checked < MAX_CHECKED_ROWS.min(batch.rows) {
        let mut rows = Vec::new();
        while rows.len() < at_a_time.min(batch.rows) {
            let row = draw.below(batch.rows as u64);
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        let indices: Vec<_> = rows.iter().map(|row| RowIndex(first_row + batch.start + row)).collect();
        let mut cells = vec![[0; 32]; indices.len() * shape.columns()];
        again.grow(key, &indices, &mut cells);
        for (index, row) in rows.iter().map(|row| batch.start + row).enumerate() {
            let segment = row / rows_per_segment;
            for column in 0..shape.columns() {
                let strip = layout.strip(segment, ColumnIndex(column as u32));
                let mut cell = [0; 32];
                storage.read_at(&mut cell, strip.offset_bytes + 32 * (row % rows_per_segment))?;
                if cell != cells[column * rows.len() + index] {
                    return Err(BuildError::WrongCell {
                        row: first_row + row,
                        column: column as u32,
                        checker: checker.name(),
                        grower: grower.to_owned(),
                    });
                }
            }
        }
        checked += rows.len();
        at_a_time = checker.lanes().max(MIN_CHECKED_ROWS);
        let for_next = began.elapsed().mul_f64(1.0 + at_a_time as f64 / checked as f64);
        if for_next > time.mul_f64(MAX_CHECK_SHARE) {
            break;
        }
    }
    debug!(rows = checked, backend = checker.name(), time_ms = began.elapsed().as_millis() as u64, "rows grown again");
    Ok(())
}
