//! Which cells of a plot must be shown to activate it, and whether they lie
//! where they should (PROTOCOL §9).

use spacetime_kernels::{Cell, CellRequest, ColumnIndex, PlotKey, RowIndex, tagged_hash};
use spacetime_prover::tree::{ceil_log2, fold};

use super::values::PlotRecord;
use crate::chain::rules::TransactionError;
use crate::chain::{Hash, Opening, PlotId};
use crate::consensus::Parameters;

/// A cell that was shown and whose row is yet to be grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpeningClaim {
    /// Its place among the plot's openings.
    pub index: usize,
    /// The cell shown.
    pub cell: Cell,
    /// Where it must lie.
    pub request: CellRequest,
}

/// Row and column of a plot's `index`-th opening.
#[must_use]
pub fn draw(plot_id: &PlotId, mix: &Hash, index: u32, rows: u64, columns: usize) -> (RowIndex, ColumnIndex) {
    let drawn = tagged_hash("spacetime/opening/v1", &[&plot_id.0, &mix.0, &index.to_le_bytes()]);
    let row = u64::from_le_bytes(*drawn.first_chunk().expect("32 bytes hold 8"));
    let column = u32::from_le_bytes(*drawn[8..].first_chunk().expect("24 bytes hold 4"));
    (RowIndex(row % rows), ColumnIndex(column % columns as u32))
}

/// Checks the paths of all openings, as many as the chain asks for, and says what is left to be grown.
///
/// # Errors
/// The first opening whose path has another length or leads elsewhere.
pub fn check_paths(
    plot_key: &Hash,
    plot: &PlotRecord,
    mix: &Hash,
    openings: &[Opening],
    parameters: &Parameters,
) -> Result<Vec<OpeningClaim>, TransactionError> {
    let shape = parameters.shape();
    let depth = ceil_log2(plot.rows);
    let expected = depth as usize + usize::from(shape.log2_columns());
    let mut claims = Vec::with_capacity(openings.len());
    for (index, opening) in openings.iter().enumerate() {
        if opening.siblings.len() != expected {
            return Err(TransactionError::OpeningSiblings { index, found: opening.siblings.len(), expected });
        }
        let (row, column) = draw(&plot.plot_id, mix, index as u32, plot.rows, shape.columns());
        let leaf_index = u64::from(column.0) << depth | row.0;
        let found = fold(&opening.cell, leaf_index, &opening.siblings);
        if found != plot.root.0 {
            return Err(TransactionError::OpeningPath { index, found });
        }
        let request = CellRequest { key: PlotKey(plot_key.0), row, column };
        claims.push(OpeningClaim { index, cell: opening.cell, request });
    }
    Ok(claims)
}
