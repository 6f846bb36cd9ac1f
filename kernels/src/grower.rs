//! Growing rows, with the memory that it takes.

use crate::backend::Backend;
use crate::merkle::Cell;
use crate::plot::{ColumnIndex, PlotKey, RowIndex, Shape};
use crate::sha256::bytes_of;
use crate::table::CellTable;

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
        Self { backend, shape, table: CellTable::new(shape.columns(), backend.lanes()) }
    }

    /// Bytes that a grower's tables occupy once they are used.
    #[must_use]
    pub fn memory_bytes(backend: Backend, shape: Shape) -> u64 {
        CellTable::bytes(shape.columns(), backend.lanes()) as u64
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
            for (column, strip) in block.chunks_exact_mut(rows.len()).enumerate() {
                let cells = self.table.column(column, in_flight.len());
                self.backend.export(cells, &mut strip[group * lanes..][..in_flight.len()]);
            }
        }
    }

    /// Grows rows of any plots, each lane another, into `block`, row by row: column `c` of `rows[k]` is
    /// `block[k * columns + c]`.
    ///
    /// # Panics
    /// If `block` does not hold `columns · rows.len()` cells.
    pub fn grow_rows(&mut self, rows: &[(PlotKey, RowIndex)], block: &mut [Cell]) {
        let columns = self.shape.columns();
        assert_eq!(block.len(), columns * rows.len(), "a block holds a cell for each row and column");
        let lanes = self.backend.lanes();
        for (rows, block) in rows.chunks(lanes).zip(block.chunks_mut(columns * lanes)) {
            self.backend.grow_lanes(self.shape, rows, &mut self.table);
            for column in 0..columns {
                let cells = self.table.column(column, lanes);
                for (row, cell) in block.chunks_exact_mut(columns).zip(cells) {
                    row[column] = bytes_of(cell);
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
                *cell = bytes_of(&self.table.column(request.column.0 as usize, lanes)[lane]);
            }
        }
    }
}
