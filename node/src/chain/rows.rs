//! Rows that were grown, remembered: the dearest part of a proof is done once for each (plot, row). Cells that were
//! asked for are remembered longer than their rows.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use rayon::prelude::*;
use spacetime_kernels::{Backend, Cell, CellRequest, Grower, PlotKey, RowIndex, Shape};

/// Memory for remembered rows: 128 at main parameters, more than forks can have within a window.
const MEMORY_BYTES: usize = 32 << 20;

/// Most cells that are remembered by themselves, in some 8 MiB: those of 4,096 activations at main parameters, which
/// are asked for when a transaction comes, when a block is built of it, and when one comes that holds it.
const MAX_CELLS: NonZeroUsize = NonZeroUsize::new(1 << 16).expect("it is not zero");

/// A row, by plot key and index.
type RowId = ([u8; 32], u64);

/// A row's cells, by column.
type Row = Arc<[Cell]>;

/// Grows rows of one shape, those that are missing side by side, and remembers the latest.
#[derive(Debug)]
pub struct RowMemo {
    shape: Shape,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    rows: LruCache<RowId, Row>,
    /// Cells of rows that may have been forgotten, by column.
    cells: LruCache<(RowId, u32), Cell>,
}

/// A row that is not remembered, and the places of the requests that ask for it.
struct Missing {
    id: RowId,
    places: Vec<usize>,
}

impl RowMemo {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let row_bytes = shape.columns() * size_of::<Cell>();
        let capacity = NonZeroUsize::new(MEMORY_BYTES / row_bytes).unwrap_or(NonZeroUsize::MIN);
        Self { shape, memory: Mutex::new(Memory { rows: LruCache::new(capacity), cells: LruCache::new(MAX_CELLS) }) }
    }

    /// The cells that `requests` name, in their order. However many they are, no more rows are held at once than are
    /// grown side by side.
    ///
    /// # Panics
    /// If a column is not below `2^p`.
    #[must_use]
    pub fn cells(&self, requests: &[CellRequest]) -> Vec<Cell> {
        let mut cells = vec![[0; 32]; requests.len()];
        let mut missing: Vec<Missing> = Vec::new();
        let mut known = self.memory();
        let mut by_row: HashMap<RowId, usize> = HashMap::new();
        for (place, request) in requests.iter().enumerate() {
            if let Some(cell) = known.cell(request) {
                cells[place] = cell;
                continue;
            }
            let id = id(request);
            let row = *by_row.entry(id).or_insert(missing.len());
            if row == missing.len() {
                missing.push(Missing { id, places: Vec::new() });
            }
            missing[row].places.push(place);
        }
        drop(known);
        let lanes = Backend::fastest().lanes();
        let grown: Vec<(usize, Cell)> =
            missing.par_chunks(lanes).flat_map_iter(|missing| self.grow(missing, requests)).collect();
        for (place, cell) in grown {
            cells[place] = cell;
        }
        cells
    }

    /// Grows and remembers rows; says which cell each request for them asks for.
    fn grow(&self, missing: &[Missing], requests: &[CellRequest]) -> Vec<(usize, Cell)> {
        let rows: Vec<_> = missing.iter().map(|row| (PlotKey(row.id.0), RowIndex(row.id.1))).collect();
        let columns = self.shape.columns();
        let mut block = vec![[0; 32]; columns * rows.len()];
        Grower::new(Backend::for_rows(rows.len()), self.shape).grow_rows(&rows, &mut block);
        let mut found = Vec::new();
        let mut known = self.memory();
        for (Missing { id, places }, row) in missing.iter().zip(block.chunks_exact(columns)) {
            for place in places {
                let column = requests[*place].column.0;
                let cell = row[column as usize];
                known.cells.put((*id, column), cell);
                found.push((*place, cell));
            }
            known.rows.put(*id, Arc::from(row));
        }
        found
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Every entry is whole, wherever a thread may have panicked.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn cell(&mut self, request: &CellRequest) -> Option<Cell> {
        let (id, column) = (id(request), request.column.0);
        if let Some(cell) = self.cells.get(&(id, column)) {
            return Some(*cell);
        }
        let cell = self.rows.get(&id)?[column as usize];
        self.cells.put((id, column), cell);
        Some(cell)
    }
}

fn id(request: &CellRequest) -> RowId {
    (request.key.0, request.row.0)
}

#[cfg(test)]
mod tests {
    use spacetime_kernels::ColumnIndex;

    use super::*;

    #[test]
    fn cells_are_those_of_the_kernels_however_often_they_are_asked_for() {
        let shape = Shape::new(5, 2).unwrap();
        let memo = RowMemo::new(shape);
        let request = |n: u32| CellRequest {
            key: PlotKey([(n % 3) as u8; 32]),
            row: RowIndex(u64::from(n % 7)),
            column: ColumnIndex(n * 11 % 32),
        };
        let requests: Vec<_> = (0..100).map(request).collect();
        let mut expected = vec![[0; 32]; requests.len()];
        Grower::new(Backend::PORTABLE, shape).grow_cells(&requests, &mut expected);
        assert_eq!(memo.cells(&requests), expected);
        assert_eq!(memo.memory().rows.len(), 21, "each row once");
        assert_eq!(memo.cells(&requests), expected, "from memory");
        expected.swap(0, 1);
        assert_ne!(memo.cells(&requests), expected);
        assert!(memo.cells(&[]).is_empty());
    }

    #[test]
    fn more_rows_than_are_remembered_are_grown_piece_by_piece() {
        let shape = Shape::new(16, 1).unwrap();
        let memo = RowMemo::new(shape);
        assert_eq!(memo.memory().rows.cap().get(), 16);
        let count = 2 * Backend::fastest().lanes().max(16) as u32 * rayon::current_num_threads() as u32 + 3;
        let request = |n: u32| CellRequest {
            key: PlotKey([9; 32]),
            row: RowIndex(u64::from(n % (count - 2))),
            column: ColumnIndex(n * 4093 % 65536),
        };
        let requests: Vec<_> = (0..count).map(request).collect();
        let mut expected = vec![[0; 32]; requests.len()];
        Grower::new(Backend::PORTABLE, shape).grow_cells(&requests, &mut expected);
        assert_eq!(memo.cells(&requests), expected);
    }

    #[test]
    fn memory_is_bounded() {
        let memo = RowMemo::new(Shape::new(20, 1).unwrap());
        assert_eq!(memo.memory().rows.cap().get(), 1, "one row of 32 MiB");
    }

    #[test]
    fn cells_outlive_their_rows() {
        // Two rows fit.
        let shape = Shape::new(19, 1).unwrap();
        let memo = RowMemo::new(shape);
        let request = |row| CellRequest { key: PlotKey([1; 32]), row: RowIndex(row), column: ColumnIndex(9) };
        let requests: Vec<_> = (0..4).map(request).collect();
        let grown = memo.cells(&requests);
        assert_eq!(memo.memory().rows.len(), 2);
        assert_eq!(memo.memory().cells.len(), 4);
        // Nobody grows this: it comes from memory.
        memo.memory().cells.put((id(&requests[0]), 9), [7; 32]);
        assert_eq!(memo.cells(&requests), [&[[7; 32]], &grown[1..]].concat());
    }
}
