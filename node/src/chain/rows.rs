//! Rows that were grown, remembered: the dearest part of a proof is done once for each (plot, row).

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use rayon::prelude::*;
use spacetime_kernels::{Backend, Cell, CellRequest, Grower, PlotKey, RowIndex, Shape};

/// Memory for remembered rows: 128 at main parameters, more than forks can have within a window.
const MEMORY_BYTES: usize = 32 << 20;

/// A row, by plot key and index.
type RowId = ([u8; 32], u64);

/// A row's cells, by column.
type Row = Arc<[Cell]>;

/// Grows rows of one shape, those that are missing side by side, and remembers the latest.
#[derive(Debug)]
pub struct RowMemo {
    shape: Shape,
    capacity: NonZeroUsize,
    rows: Mutex<LruCache<RowId, Row>>,
}

impl RowMemo {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let row_bytes = shape.columns() * size_of::<Cell>();
        let capacity = NonZeroUsize::new(MEMORY_BYTES / row_bytes).unwrap_or(NonZeroUsize::MIN);
        Self { shape, capacity, rows: Mutex::new(LruCache::new(capacity)) }
    }

    /// The cells that `requests` name, in their order. However many they are, no more rows than are remembered, or
    /// than all cores grow at once, are held beside those.
    ///
    /// # Panics
    /// If a column is not below `2^p`.
    #[must_use]
    pub fn cells(&self, requests: &[CellRequest]) -> Vec<Cell> {
        let at_once = self.capacity.get().max(Backend::fastest().lanes() * rayon::current_num_threads());
        requests.chunks(at_once).flat_map(|requests| self.cells_at_once(requests)).collect()
    }

    fn cells_at_once(&self, requests: &[CellRequest]) -> Vec<Cell> {
        let mut rows: HashMap<RowId, Row> = HashMap::new();
        let mut missing: Vec<RowId> = Vec::new();
        {
            let mut known = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
            let mut asked = std::collections::HashSet::new();
            for id in requests.iter().map(id).filter(|id| asked.insert(*id)) {
                match known.get(&id) {
                    Some(row) => drop(rows.insert(id, Arc::clone(row))),
                    None => missing.push(id),
                }
            }
        }
        let lanes = Backend::fastest().lanes();
        let grown: Vec<(RowId, Row)> = missing.par_chunks(lanes).flat_map_iter(|ids| self.grow(ids)).collect();
        let mut known = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, row) in grown {
            known.put(id, Arc::clone(&row));
            rows.insert(id, row);
        }
        drop(known);
        requests.iter().map(|request| rows[&id(request)][request.column.0 as usize]).collect()
    }

    fn grow(&self, ids: &[RowId]) -> Vec<(RowId, Row)> {
        let rows: Vec<_> = ids.iter().map(|(key, row)| (PlotKey(*key), RowIndex(*row))).collect();
        let columns = self.shape.columns();
        let mut block = vec![[0; 32]; columns * rows.len()];
        Grower::new(Backend::for_rows(rows.len()), self.shape).grow_rows(&rows, &mut block);
        ids.iter().copied().zip(block.chunks_exact(columns).map(Arc::from)).collect()
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
        assert_eq!(memo.rows.lock().unwrap().len(), 21, "each row once");
        assert_eq!(memo.cells(&requests), expected, "from memory");
        expected.swap(0, 1);
        assert_ne!(memo.cells(&requests), expected);
        assert!(memo.cells(&[]).is_empty());
    }

    #[test]
    fn more_rows_than_are_remembered_are_grown_piece_by_piece() {
        let shape = Shape::new(16, 1).unwrap();
        let memo = RowMemo::new(shape);
        assert_eq!(memo.capacity.get(), 16);
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
        assert_eq!(memo.rows.lock().unwrap().cap().get(), 1, "one row of 32 MiB");
    }
}
