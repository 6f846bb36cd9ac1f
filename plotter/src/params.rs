//! What a plot is asked to be.

use spacetime_kernels::{MAX_ROWS, Shape};
use spacetime_prover::{HeaderError, Layout, LayoutError, PlotHeader, PlotState, tree};
use thiserror::Error;

/// Bytes of a segment where the user does not say: a sweep of a rotating disk
/// stays sequential from here on (PROTOCOL §5).
const DEFAULT_SEGMENT_BYTES: u64 = 16 << 30;

/// Everything that decides a plot's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotParams {
    /// BLS12-381 public key of the miner, compressed G1.
    pub miner_key: [u8; 48],
    /// What tells this miner's plots apart.
    pub seed: [u8; 32],
    /// Network tag.
    pub network: [u8; 32],
    /// Columns and rounds.
    pub shape: Shape,
    /// Rows in this file.
    pub rows: u64,
    /// Rows stored together; none for the default.
    pub rows_per_segment: Option<u64>,
    /// First row, if this is a part for a merge.
    pub first_row: Option<u64>,
}

/// Why parameters make no plot.
#[derive(Debug, Error)]
pub enum ParamsError {
    /// A field is out of bounds.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The sizes do not fit a file.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

impl PlotParams {
    /// The header of the plot while it is being grown, and the state it ends in.
    ///
    /// # Errors
    /// If a field is out of the protocol's bounds.
    pub fn header(&self) -> Result<(PlotHeader, PlotState), ParamsError> {
        if !(1..=MAX_ROWS).contains(&self.rows) {
            return Err(HeaderError::Rows(self.rows).into());
        }
        let rows_per_segment = self.rows_per_segment.unwrap_or_else(|| match self.first_row {
            None => default_rows_per_segment(self.shape, self.rows),
            // Parts of a plot must agree, whatever rows each of them has.
            Some(_) => default_rows_per_segment(self.shape, MAX_ROWS),
        });
        let mut header = PlotHeader {
            miner_key: self.miner_key,
            seed: self.seed,
            network: self.network,
            shape: self.shape,
            state: PlotState::Building,
            rows: self.rows,
            rows_per_segment,
            first_row: self.first_row.unwrap_or(0),
            data_offset: 0,
            roots_offset: 0,
            root: [0; 32],
            plot_id: [0; 32],
        };
        (header.data_offset, header.roots_offset) = Layout::usual_offsets(&header)?;
        header.validate()?;
        let state = if self.first_row.is_some() { PlotState::Part } else { PlotState::Complete };
        Layout::new(&PlotHeader { state, ..header.clone() })?;
        Ok((header, state))
    }
}

/// Rows a segment where the user does not say: as many as make 16 GiB, no more
/// than the next power of two holds `rows`.
#[must_use]
pub fn default_rows_per_segment(shape: Shape, rows: u64) -> u64 {
    let most = (DEFAULT_SEGMENT_BYTES / shape.row_bytes() as u64).max(1);
    most.min(1 << tree::ceil_log2(rows))
}
