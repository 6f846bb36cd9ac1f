//! The protocol's golden vectors, grown, hashed and scored by every adapter.
//!
//! Without an adapter these tests say SKIPPED and pass; with `SPACETIME_REQUIRE_GPU=1` they fail.
#![cfg(feature = "gpu")]

mod each;
mod golden;

use each::each_adapter;
use golden::{bytes, key, shape, vectors};
use serde_json::Value;
use sha2::{Digest, Sha256};
use spacetime_kernels::gpu::{Adapter, GpuGrower, OpenOptions};
use spacetime_kernels::{
    BulkGrower, BulkScorer, BulkWork, Cell, Challenge, Lot, Part, PlotKey, Proceed, RowIndex, Run, hash_node,
};

/// One run, and what came back of it.
struct One {
    lot: Option<(PlotKey, Lot)>,
    strips: Vec<Cell>,
    roots: Vec<Cell>,
}

impl BulkWork for One {
    fn next(&mut self, _: usize) -> Option<(PlotKey, Lot)> {
        self.lot.take()
    }

    fn take(&mut self, part: Part<'_>) -> Proceed {
        self.strips.extend_from_slice(part.strips);
        self.roots.extend_from_slice(part.roots);
        Proceed::GoOn
    }

    fn proceed(&mut self) -> Proceed {
        Proceed::GoOn
    }
}

/// Strips, padded, and column roots of `rows` rows from `first_row` on.
fn grown(grower: &mut GpuGrower, key: PlotKey, first_row: u64, rows: usize) -> (Vec<Cell>, Vec<Cell>) {
    let run = Run { rows, level: rows.next_power_of_two().ilog2() };
    let lot = Some((key, Lot { first_row: RowIndex(first_row), runs: vec![run] }));
    let mut one = One { lot, strips: Vec::new(), roots: Vec::new() };
    grower.grow(&mut one).expect("the adapter works");
    (one.strips, one.roots)
}

fn open(adapter: &Adapter, item: &Value) -> GpuGrower {
    let options = OpenOptions { memory_bytes: Some(4 << 20), ..OpenOptions::default() };
    adapter.open(shape(item), &options).expect("the adapter works")
}

#[test]
fn rows() {
    let vectors = vectors();
    each_adapter(|adapter| {
        for item in vectors["rows"].as_array().expect("a list") {
            let row = item["row"].as_u64().expect("a number");
            let (cells, roots) = grown(&mut open(adapter, item), key(&vectors, item), row, 1);
            assert_eq!(cells[0], bytes(&item["first"]));
            let digest: [u8; 32] = Sha256::digest(cells.as_flattened()).into();
            assert_eq!(digest, bytes(&item["sha256_of_row"]));
            assert_eq!(roots, cells, "a tree of one leaf");
        }
    });
}

#[test]
fn plots_and_their_best_leaves() {
    let vectors = vectors();
    each_adapter(|adapter| {
        let mut scorer = adapter.open_scorer(&OpenOptions::default()).expect("the adapter works");
        for item in vectors["plots"].as_array().expect("a list") {
            let rows = item["rows"].as_u64().expect("a number") as usize;
            let (strips, mut nodes) = grown(&mut open(adapter, item), key(&vectors, item), 0, rows);
            for search in item["searches"].as_array().expect("a list") {
                let column = search["column"].as_u64().expect("a number") as usize;
                let strip = &strips[column * rows.next_power_of_two()..][..rows];
                let challenge = Challenge(bytes(&search["proof"]["challenge"]));
                let mut best = [None];
                scorer.score_best(&[challenge], strip, 0, &mut best).expect("the adapter works");
                let best = best[0].expect("there are cells");
                assert_eq!(best.row, search["best_row"].as_u64().expect("a number"));
                assert_eq!(best.score.0, bytes(&search["score"]));
            }
            // The column roots are the card's; the few levels above them are not its work.
            while nodes.len() > 1 {
                nodes = nodes.chunks(2).map(|pair| hash_node(&pair[0], &pair[1])).collect();
            }
            assert_eq!(nodes[0], bytes(&item["root"]));
        }
    });
}
