//! A plot in memory as a plot file (PROTOCOL §5).

use spacetime_kernels::{Backend, ColumnIndex};
use spacetime_prover::{Layout, PlotHeader, PlotState, tree};

use super::MemoryPlot;
use crate::consensus::Parameters;

impl MemoryPlot {
    /// The plot file with so many rows in a segment.
    ///
    /// # Panics
    /// If `rows_per_segment` is not a power of two.
    #[must_use]
    pub fn file(&self, parameters: &Parameters, rows_per_segment: u64) -> Vec<u8> {
        let mut header = PlotHeader {
            miner_key: self.miner_key.0,
            seed: self.seed,
            network: parameters.network_tag().0,
            shape: parameters.shape(),
            state: PlotState::Complete,
            rows: self.rows,
            rows_per_segment,
            first_row: 0,
            data_offset: 0,
            roots_offset: 0,
            root: self.root,
            plot_id: self.id().0,
        };
        (header.data_offset, header.roots_offset) = Layout::usual_offsets(&header).expect("a small plot");
        let layout = Layout::new(&header).expect("a small plot");
        let mut file = vec![0; layout.file_bytes() as usize];
        let mut put = |at: u64, bytes: &[u8]| file[at as usize..][..bytes.len()].copy_from_slice(bytes);
        put(0, &header.encode());
        put(layout.roots_offset(), self.column_roots.as_flattened());
        for segment in 0..layout.segments() {
            let mut subtree_roots = Vec::new();
            for column in (0..self.column_roots.len() as u32).map(ColumnIndex) {
                let strip = layout.strip(segment, column);
                let cells = &self.column(column)[strip.first_row as usize..][..strip.rows as usize];
                put(strip.offset_bytes, cells.as_flattened());
                subtree_roots.push(tree::root(Backend::fastest(), cells, 0, layout.subtree_depth()));
            }
            put(layout.subtree_roots_offset(segment), subtree_roots.as_flattened());
        }
        file
    }
}
