//! Fuzz targets: whatever bytes come, decoding answers and holds its promises.
//!
//! `cargo test` tries random and mutated inputs for a short while; `cargo bolero
//! test -p spacetime-prover headers` (or `proofs`) goes on for as long as it is let.

mod common;

use bolero::check;
use common::{header, plot_bytes};
use sha2::{Digest, Sha256};
use spacetime_kernels::{Challenge, ColumnIndex, Shape};
use spacetime_prover::{Expected, HEADER_BYTES, Layout, MAX_SIBLINGS, PlotHeader, Proof, ProofRecord, check, tree};

#[test]
fn headers() {
    let (_, good) = plot_bytes(&header(1, 4, 1, 5, 2));
    let good: [u8; HEADER_BYTES] = good[..HEADER_BYTES].try_into().expect("a file begins with a header");
    // The input overwrites the fields; the checksum is made to fit, or nothing behind it would be reached.
    check!().for_each(|input: &[u8]| {
        let mut bytes = good;
        let fields = input.len().min(240);
        bytes[..fields].copy_from_slice(&input[..fields]);
        if input.len() <= 240 {
            bytes[..16].copy_from_slice(&good[..16]);
            let checksum = Sha256::digest(&bytes[..4064]);
            bytes[4064..].copy_from_slice(&checksum);
        }
        let Ok(header) = PlotHeader::decode(&bytes) else { return };
        assert_eq!(header.encode(), bytes, "what is accepted is written the same");
        let Ok(layout) = Layout::new(&header) else { return };
        let last = layout.strip(layout.segments() - 1, ColumnIndex(header.shape.columns() as u32 - 1));
        assert_eq!(last.offset_bytes + last.bytes(), layout.data_end());
        assert!(layout.data_end() <= layout.roots_offset() && layout.roots_offset() < layout.file_bytes());
    });
}

#[test]
fn proofs() {
    let good = Proof {
        challenge: [1; 32],
        column: 3,
        seed: [2; 32],
        rows: 5,
        leaf: [3; 32],
        leaf_index: 27,
        siblings: vec![[4; 32]; 7],
        root: [5; 32],
    };
    let good = serde_json::to_string(&good).expect("JSON");
    // The input is laid over a good proof, so that some of them still parse.
    check!().for_each(|input: &[u8]| {
        let mut text = good.clone().into_bytes();
        if let [at, patch @ ..] = input {
            let at = usize::from(*at) * text.len() / 256;
            let end = text.len().min(at + patch.len());
            text[at..end].copy_from_slice(&patch[..end - at]);
        }
        for text in [&text[..], input] {
            let Ok(record) = serde_json::from_slice::<ProofRecord>(text) else { continue };
            assert!(record.siblings.len() <= MAX_SIBLINGS);
            let again = serde_json::to_vec(&record).expect("JSON");
            assert_eq!(serde_json::from_slice::<ProofRecord>(&again).expect("what we wrote"), record);
            let expected = Expected {
                network: [0; 32],
                miner_key: [0; 48],
                shape: Shape::new(4, 1).expect("a shape"),
                challenge: Challenge(record.challenge),
                column: ColumnIndex(record.column),
                plot_id: [0; 32],
                root: None,
                score: None,
                target: None,
            };
            // Nobody finds rows and root for a plot id of zeros.
            check(&record.proof(), &expected).expect_err("a plot id of zeros");
        }
    });
    // The control: untouched, the proof parses.
    let proof: Proof = serde_json::from_str(&good).expect("a proof");
    assert_eq!(proof.siblings.len(), tree::ceil_log2(proof.rows) as usize + 4);
}
