//! Growing rows, with the memory that it takes.

use crate::backend::Backend;
use crate::merkle::Cell;
use crate::plot::{ColumnIndex, PlotKey, RowIndex, Shape};
use crate::sha256::{State, bytes_of};

/// One cell to be grown: of which plot, row and column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellRequest {
    /// The plot.
    pub key: PlotKey,
    /// The row, which is grown whole.
    pub row: RowIndex,
    /// The column whose cell is wanted.
    pub column: ColumnIndex,
}

/// The tables of the rows in flight: one contiguous table of words a lane.
#[derive(Debug)]
pub(crate) struct CellTable {
    columns: usize,
    cells: Vec<State>,
}

impl CellTable {
    fn new(shape: Shape, lanes: usize) -> Self {
        Self { columns: shape.columns(), cells: vec![[0; 8]; shape.columns() * lanes] }
    }

    pub(crate) fn lane_mut(&mut self, lane: usize) -> &mut [State] {
        &mut self.cells[lane * self.columns..][..self.columns]
    }

    fn cell(&self, lane: usize, column: usize) -> Cell {
        bytes_of(&self.cells[lane * self.columns + column])
    }
}

/// Grows rows of one shape on one thread, with tables of its own: 32 bytes
/// times columns times [`Backend::lanes`].
#[derive(Debug)]
pub struct Grower {
    backend: Backend,
    shape: Shape,
    table: CellTable,
}

impl Grower {
    /// Allocates the tables.
    #[must_use]
    pub fn new(backend: Backend, shape: Shape) -> Self {
        Self { backend, shape, table: CellTable::new(shape, backend.lanes()) }
    }

    /// Bytes that [`Grower::new`] allocates.
    #[must_use]
    pub fn memory_bytes(backend: Backend, shape: Shape) -> u64 {
        (shape.row_bytes() * backend.lanes()) as u64
    }

    /// The shape of the rows.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Grows `rows` of the plot `key` into `block`, column by column: the cell
    /// of `rows[k]` and column `c` is `block[c * rows.len() + k]`.
    ///
    /// # Panics
    /// If `block` does not hold `columns · rows.len()` cells.
    pub fn grow(&mut self, key: &PlotKey, rows: &[RowIndex], block: &mut [Cell]) {
        assert_eq!(block.len(), self.shape.columns() * rows.len(), "a block holds a cell for each column and row");
        let lanes = self.backend.lanes();
        for (group, in_flight) in rows.chunks(lanes).enumerate() {
            let requests: Vec<_> = in_flight.iter().map(|row| (*key, *row)).collect();
            self.backend.grow_lanes(self.shape, &requests, &mut self.table);
            for lane in 0..in_flight.len() {
                for column in 0..self.shape.columns() {
                    block[column * rows.len() + group * lanes + lane] = self.table.cell(lane, column);
                }
            }
        }
    }

    /// Grows the rows that `requests` name, each lane another plot and row,
    /// and keeps one cell of each, in the order asked.
    ///
    /// # Panics
    /// If `cells` and `requests` differ in length, or a column is not below `2^p`.
    pub fn grow_cells(&mut self, requests: &[CellRequest], cells: &mut [Cell]) {
        assert_eq!(requests.len(), cells.len(), "one cell for each request");
        let lanes = self.backend.lanes();
        for (requests, cells) in requests.chunks(lanes).zip(cells.chunks_mut(lanes)) {
            let rows: Vec<_> = requests.iter().map(|request| (request.key, request.row)).collect();
            self.backend.grow_lanes(self.shape, &rows, &mut self.table);
            for (lane, (request, cell)) in requests.iter().zip(cells).enumerate() {
                assert!(
                    (request.column.0 as usize) < self.shape.columns(),
                    "column {} is out of range",
                    request.column.0
                );
                *cell = self.table.cell(lane, request.column.0 as usize);
            }
        }
    }
}
