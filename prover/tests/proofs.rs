//! Proofs: the golden vectors, the round trip through a file, and tampering.

mod common;

use common::{bytes, header, number, vectors, write_plot};
use serde_json::Value;
use spacetime_kernels::{Backend, Cell, Challenge, ColumnIndex, RowIndex, Score, Shape, Target, network_tag, score};
use spacetime_prover::{Expected, Plot, PlotError, PlotHeader, Proof, VerifyError, verify, verify_batch};

fn expected(item: &Value, challenge: &Value, column: &Value) -> Expected {
    let vectors = vectors();
    Expected {
        network: network_tag(vectors["network"]["name"].as_str().expect("a name")),
        miner_key: bytes(&vectors["plots"][0]["miner_key"]),
        shape: Shape::new(number(&item["log2_columns"]) as u8, number(&item["rounds"]) as u8).expect("a shape"),
        challenge: Challenge(bytes(challenge)),
        column: ColumnIndex(number(column) as u32),
        plot_id: bytes(&item["plot_id"]),
        root: None,
        score: None,
        target: None,
    }
}

fn proof(value: &Value) -> Proof {
    serde_json::from_value(value.clone()).expect("a proof")
}

#[test]
fn golden_proofs_hold() {
    for item in vectors()["plots"].as_array().expect("a list") {
        for search in item["searches"].as_array().expect("a list") {
            let mut expected = expected(item, &search["proof"]["challenge"], &search["column"]);
            expected.root = Some(bytes(&item["root"]));
            expected.score = Some(Score(bytes(&search["score"])));
            for &backend in Backend::available() {
                assert_eq!(verify(&proof(&search["proof"]), &expected, Some(backend)), Ok(()));
            }
        }
    }
}

#[test]
fn golden_bad_proofs_break_the_rule_they_name() {
    let vectors = vectors();
    let plot = &vectors["bad_proofs_plot"];
    for bad in vectors["bad_proofs"].as_array().expect("a list") {
        let rule = bad["rule"].as_str().expect("a rule");
        let mut expected = expected(plot, &plot["expected_challenge"], &bad["expected_column"]);
        if let Some(id) = bad.get("plot_id") {
            expected.plot_id = bytes(id);
        }
        let error = verify(&proof(&bad["proof"]), &expected, None).expect_err(rule);
        let named = match error {
            VerifyError::Row { .. } => "leaf is padding: row >= rows",
            VerifyError::IndexColumn { .. } => "index lies in another column",
            VerifyError::Siblings { found: 6, .. } => "one sibling short",
            VerifyError::Siblings { found: 8, .. } => "one sibling more",
            VerifyError::Path { .. } => "path does not lead to the root",
            VerifyError::PlotId { .. } => "rows differ from the plot's",
            VerifyError::Rows(0) => "rows = 0",
            VerifyError::Challenge { .. } => "another challenge than the expected one",
            VerifyError::Column { .. } => "column field differs from the expected one",
            VerifyError::Leaf { .. } => "path and plot id hold, the cell was never grown",
            other => panic!("{rule}: {other}"),
        };
        assert_eq!(named, rule);
    }
    // The control: untouched, the same proof holds.
    let column = &vectors["bad_proofs"][0]["expected_column"];
    assert_eq!(verify(&proof(&plot["good"]), &expected(plot, &plot["expected_challenge"], column), None), Ok(()));
}

fn expected_of(header: &PlotHeader, challenge: Challenge, column: ColumnIndex) -> Expected {
    let &PlotHeader { network, miner_key, shape, plot_id, .. } = header;
    Expected { network, miner_key, shape, challenge, column, plot_id, root: None, score: None, target: None }
}

#[test]
fn every_leaf_of_a_file_proves() {
    let folder = tempfile::tempdir().expect("a folder");
    // (rows, rows per segment): one row, partial and whole last segments, one segment larger than the plot
    for (rows, rows_per_segment) in [(1, 1), (1, 8), (2, 1), (5, 1), (5, 2), (5, 4), (5, 16), (8, 4), (37, 8), (64, 64)]
    {
        let path = folder.path().join("x.plot");
        let header = write_plot(&path, &header(1, 4, 1, rows, rows_per_segment));
        let plot = Plot::open(&path).expect("a plot");
        let challenge = Challenge([3; 32]);
        let mut proofs = Vec::new();
        for column in (0..16).map(ColumnIndex) {
            for row in (0..rows).map(RowIndex) {
                let proof = plot.prove(&challenge, column, row, Backend::fastest()).expect("a proof");
                proofs.push((proof, expected_of(&header, challenge, column)));
            }
        }
        let batch: Vec<_> = proofs.iter().map(|(proof, expected)| (proof, expected)).collect();
        for result in verify_batch(&batch, None) {
            assert_eq!(result, Ok(()), "{rows} rows, {rows_per_segment} a segment");
        }
    }
}

#[test]
fn tampered_fields_are_refused_one_by_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.plot");
    let header = write_plot(&path, &header(1, 5, 2, 21, 8));
    let challenge = Challenge([9; 32]);
    let column = ColumnIndex(11);
    let proof = Plot::open(&path).expect("a plot").prove(&challenge, column, RowIndex(17), Backend::PORTABLE);
    let proof = proof.expect("a proof");
    let mut expected = expected_of(&header, challenge, column);
    expected.root = Some(header.root);
    expected.score = Some(score(&challenge, &proof.leaf));
    expected.target = Some(Target::MAX);
    assert_eq!(verify(&proof, &expected, None), Ok(()));

    let refused = |change: &dyn Fn(&mut Proof, &mut Expected), kind: fn(&VerifyError) -> bool| {
        let (mut proof, mut expected) = (proof.clone(), expected.clone());
        change(&mut proof, &mut expected);
        let error = verify(&proof, &expected, None).expect_err("a tampered proof");
        assert!(kind(&error), "unexpected rule: {error:?}");
    };
    for bit in 0..256 {
        let flip = |bytes: &mut [u8; 32]| bytes[bit / 8] ^= 1 << (bit % 8);
        refused(&|proof, _| flip(&mut proof.challenge), |error| matches!(error, VerifyError::Challenge { .. }));
        refused(&|proof, _| flip(&mut proof.seed), |error| matches!(error, VerifyError::PlotId { .. }));
        refused(&|proof, _| flip(&mut proof.root), |error| matches!(error, VerifyError::PlotId { .. }));
        refused(&|proof, _| flip(&mut proof.leaf), |error| matches!(error, VerifyError::Score { .. }));
        for k in 0..proof.siblings.len() {
            refused(&|proof, _| flip(&mut proof.siblings[k]), |error| matches!(error, VerifyError::Path { .. }));
        }
    }
    for bit in 0..64 {
        // The low bits name another row, the next another column, or a row beyond the plot.
        refused(&|proof, _| proof.leaf_index ^= 1 << bit, |error| {
            matches!(error, VerifyError::Path { .. } | VerifyError::IndexColumn { .. } | VerifyError::Row { .. })
        });
        refused(&|proof, _| proof.rows ^= 1 << bit, |error| {
            matches!(
                error,
                VerifyError::Rows(_)
                    | VerifyError::IndexColumn { .. }
                    | VerifyError::Row { .. }
                    | VerifyError::Siblings { .. }
                    | VerifyError::PlotId { .. }
            )
        });
    }
    for bit in 0..32 {
        refused(&|proof, _| proof.column ^= 1 << bit, |error| matches!(error, VerifyError::Column { .. }));
    }
    refused(&|_, expected| expected.root = Some([1; 32]), |error| matches!(error, VerifyError::Root { .. }));
    refused(&|_, expected| expected.target = Some(Target([0; 32])), |error| {
        matches!(error, VerifyError::Target { .. })
    });
    // The score itself does not win: below means below.
    let own = expected.score.expect("a score").0;
    refused(&|_, expected| expected.target = Some(Target(own)), |error| matches!(error, VerifyError::Target { .. }));
    // Without the header's score the leaf is caught by its path.
    refused(
        &|proof, expected| {
            proof.leaf[0] ^= 1;
            expected.score = None;
        },
        |error| matches!(error, VerifyError::Path { .. }),
    );
}

#[test]
fn a_batch_names_the_bad_ones_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut proofs = Vec::new();
    for (seed, p) in [(1, 4), (2, 5), (3, 4)] {
        let path = folder.path().join("x.plot");
        let header = write_plot(&path, &header(seed, p, 1, 9, 4));
        let plot = Plot::open(&path).expect("a plot");
        for row in 0..9 {
            let (challenge, column) = (Challenge([seed; 32]), ColumnIndex(row as u32));
            let proof = plot.prove(&challenge, column, RowIndex(row), Backend::fastest()).expect("a proof");
            proofs.push((proof, expected_of(&header, challenge, column)));
        }
    }
    proofs[4].0.siblings[2] = [0; 32];
    proofs[20].0.column = 9;
    let batch: Vec<_> = proofs.iter().map(|(proof, expected)| (proof, expected)).collect();
    let failed: Vec<_> = verify_batch(&batch, None)
        .iter()
        .enumerate()
        .filter(|(_, result)| result.is_err())
        .map(|(index, _)| index)
        .collect();
    assert_eq!(failed, [4, 20]);
}

#[test]
fn a_damaged_strip_or_root_makes_no_proof() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.plot");
    write_plot(&path, &header(1, 4, 1, 13, 4));
    let good = std::fs::read(&path).expect("a file");
    let plot = Plot::open(&path).expect("a plot");
    let (challenge, column, row) = (Challenge([0; 32]), ColumnIndex(5), RowIndex(6));
    let prove_damaged = |at: u64| {
        let mut bad = good.clone();
        bad[at as usize] ^= 1;
        std::fs::write(&path, bad).expect("a small file");
        Plot::open(&path).expect("the header is whole").prove(&challenge, column, row, Backend::PORTABLE)
    };
    let strip = plot.layout().strip(1, column);
    let damaged = prove_damaged(strip.offset_bytes + 40).expect_err("a damaged strip");
    assert!(matches!(damaged, PlotError::DamagedStrip { segment: 1, column: 5, .. }), "{damaged}");
    let damaged = prove_damaged(plot.layout().subtree_roots_offset(0) + 5 * 32).expect_err("a damaged root");
    assert!(matches!(damaged, PlotError::DamagedRoots { which: "subtree roots", .. }), "{damaged}");
    let damaged = prove_damaged(plot.layout().roots_offset()).expect_err("a damaged root");
    assert!(matches!(damaged, PlotError::DamagedRoots { which: "column roots", .. }), "{damaged}");
    // The control: a byte that this proof does not touch does not spoil it.
    prove_damaged(plot.layout().strip(2, column).offset_bytes).expect("another strip's damage is not this one's");
}

/// Naive tree over naive cells, as the vectors' author built it.
#[test]
fn golden_plots_have_their_roots_and_best_rows() {
    for item in vectors()["plots"].as_array().expect("a list") {
        let mut header =
            header(0, number(&item["log2_columns"]) as u8, number(&item["rounds"]) as u8, number(&item["rows"]), 4);
        header.miner_key = bytes(&item["miner_key"]);
        header.seed = bytes(&item["seed"]);
        header.network = bytes(&vectors()["network"]["tag"]);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("golden.plot");
        let header = write_plot(&path, &header);
        assert_eq!(header.root, bytes::<32>(&item["root"]));
        assert_eq!(header.plot_id, bytes::<32>(&item["plot_id"]));
        let plot = Plot::open(&path).expect("a plot");
        for search in item["searches"].as_array().expect("a list") {
            let challenge = Challenge(bytes(&search["proof"]["challenge"]));
            let column = ColumnIndex(number(&search["column"]) as u32);
            let strips: Vec<Vec<Cell>> = (0..plot.layout().segments())
                .map(|segment| plot.read_strip(segment, column).expect("a strip"))
                .collect();
            for &backend in Backend::available() {
                let mut best = [None];
                for (segment, strip) in (0..).zip(&strips) {
                    backend.score_best(&[challenge], strip, 4 * segment, &mut best);
                }
                let best = best[0].expect("a plot has leaves");
                assert_eq!(best.row, number(&search["best_row"]));
                assert_eq!(best.score.0, bytes(&search["score"]));
                let made = plot.prove(&challenge, column, RowIndex(best.row), backend).expect("a proof");
                assert_eq!(serde_json::to_value(made).expect("JSON"), search["proof"]);
            }
        }
    }
}
