//! The protocol's golden vectors, grown and hashed by every backend.

mod golden;

use golden::{bytes, key, network, shape, vectors};
use sha2::{Digest, Sha256};
use spacetime_kernels::{Backend, Cell, CellRequest, ColumnIndex, Grower, RowIndex, plot_id};

#[test]
fn network_tags() {
    let vectors = vectors();
    assert_eq!(network(&vectors), bytes(&vectors["network"]["tag"]));
}

#[test]
fn plot_keys_and_ids() {
    let vectors = vectors();
    for item in vectors["plots"].as_array().expect("a list") {
        let key = key(&vectors, item);
        assert_eq!(key.0, bytes(&item["plot_key"]));
        let rows = item["rows"].as_u64().expect("a number");
        assert_eq!(plot_id(&key, rows, &bytes(&item["root"])), bytes(&item["plot_id"]));
    }
}

#[test]
fn rows() {
    let vectors = vectors();
    for item in vectors["rows"].as_array().expect("a list") {
        let (shape, key) = (shape(item), key(&vectors, item));
        let row = RowIndex(item["row"].as_u64().expect("a number"));
        assert_eq!(key.0, bytes(&item["plot_key"]));
        for &backend in Backend::available() {
            let mut cells: Vec<Cell> = vec![[0; 32]; shape.columns()];
            let mut grower = Grower::new(backend, shape);
            grower.grow(&key, &[row], &mut cells);
            assert_eq!(cells[0], bytes(&item["first"]), "{backend:?}");
            assert_eq!(cells[1], bytes(&item["second"]), "{backend:?}");
            assert_eq!(cells[shape.columns() - 1], bytes(&item["last"]), "{backend:?}");
            let digest: [u8; 32] = Sha256::digest(cells.as_flattened()).into();
            assert_eq!(digest, bytes(&item["sha256_of_row"]), "{backend:?}");
            let request = CellRequest { key, row, column: ColumnIndex(1) };
            let mut cell = [[0; 32]];
            grower.grow_cells(&[request], &mut cell);
            assert_eq!(cell[0], cells[1], "{backend:?}");
        }
    }
}

#[test]
fn compressions() {
    let vectors = vectors();
    let words = |cell: Cell| -> [u32; 8] {
        std::array::from_fn(|k| u32::from_be_bytes([cell[4 * k], cell[4 * k + 1], cell[4 * k + 2], cell[4 * k + 3]]))
    };
    for item in vectors["compress"].as_array().expect("a list") {
        let block: [u8; 64] = bytes(&item["block"]);
        let block: [u32; 16] = std::array::from_fn(|k| {
            u32::from_be_bytes([block[4 * k], block[4 * k + 1], block[4 * k + 2], block[4 * k + 3]])
        });
        for &backend in Backend::available() {
            let mut states = vec![words(bytes(&item["h"])); backend.lanes()];
            backend.compress_chains(&mut states, &[block], 1);
            assert_eq!(states, vec![words(bytes(&item["out"])); backend.lanes()], "{backend:?}");
        }
    }
}
