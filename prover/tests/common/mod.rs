//! A naive plot writer and the golden vectors, for the tests of this crate.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own share

use std::path::Path;

use serde_json::Value;
use spacetime_kernels::{Backend, Cell, Grower, RowIndex, Shape, network_tag, plot_id};
use spacetime_prover::{Layout, PlotHeader, PlotState, tree};

pub fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../kernels/tests/data/spacetime.json")).expect("the vectors are JSON")
}

pub fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    const_hex::decode_to_array(value.as_str().expect("a hex string")).expect("hex of the right length")
}

pub fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

/// Header of the plot of the given shape and rows, whose root is still to come.
pub fn header(seed: u8, p: u8, rounds: u8, rows: u64, rows_per_segment: u64) -> PlotHeader {
    let mut header = PlotHeader {
        miner_key: [7; 48],
        seed: [seed; 32],
        network: network_tag("local"),
        shape: Shape::new(p, rounds).expect("a shape"),
        state: PlotState::Building,
        rows,
        rows_per_segment,
        first_row: 0,
        data_offset: 0,
        roots_offset: 0,
        root: [0; 32],
        plot_id: [0; 32],
    };
    (header.data_offset, header.roots_offset) = Layout::usual_offsets(&header).expect("a small plot");
    header
}

/// The bytes of the complete plot that `header` describes, made the slow way.
pub fn plot_bytes(header: &PlotHeader) -> (PlotHeader, Vec<u8>) {
    let key = header.key();
    let columns = header.shape.columns();
    let rows: Vec<_> = (0..header.rows).map(RowIndex).collect();
    let mut cells = vec![[0; 32]; columns * rows.len()];
    Grower::new(Backend::PORTABLE, header.shape).grow(&key, &rows, &mut cells);
    let depth = tree::ceil_log2(header.rows);
    let root = |cells: &[Cell], depth| tree::root(Backend::PORTABLE, cells, 0, depth);
    let column_roots: Vec<_> = cells.chunks(rows.len()).map(|column| root(column, depth)).collect();
    let mut header = header.clone();
    header.state = PlotState::Complete;
    header.root = root(&column_roots, u32::from(header.shape.log2_columns()));
    header.plot_id = plot_id(&key, header.rows, &header.root);

    let layout = Layout::new(&header).expect("a small plot");
    let mut file = vec![0; layout.file_bytes() as usize];
    let mut put = |at: u64, bytes: &[u8]| file[at as usize..][..bytes.len()].copy_from_slice(bytes);
    put(0, &header.encode());
    put(layout.roots_offset(), column_roots.as_flattened());
    for segment in 0..layout.segments() {
        let mut subtree_roots = Vec::new();
        for (column, column_cells) in (0..).zip(cells.chunks(rows.len())) {
            let strip = layout.strip(segment, spacetime_kernels::ColumnIndex(column));
            let strip_cells = &column_cells[strip.first_row as usize..][..strip.rows as usize];
            put(strip.offset_bytes, strip_cells.as_flattened());
            subtree_roots.push(root(strip_cells, layout.subtree_depth()));
        }
        put(layout.subtree_roots_offset(segment), subtree_roots.as_flattened());
    }
    (header, file)
}

/// Writes the complete plot that `header` describes to `path`.
pub fn write_plot(path: &Path, header: &PlotHeader) -> PlotHeader {
    let (header, file) = plot_bytes(header);
    std::fs::write(path, file).expect("the test folder takes a small plot");
    header
}
