//! From a search to a proof, also where the best plot is damaged.

mod common;
mod farming;

use std::fs;
use std::path::Path;

use farming::{COLUMN, PORTABLE, challenges, folder_of, full, naive_best, plot_path};
use spacetime_kernels::{Cell, Challenge, ColumnIndex, RowIndex, Target, plot_id, score};
use spacetime_prover::farm::{LeafClaim, PlotFault, ProveError};
use spacetime_prover::{Expected, Farm, FarmOptions, Plot, PlotError, SearchReport, VerifyError, tree, verify};

fn open(folder: &Path) -> Farm {
    Farm::open([folder], FarmOptions::default()).expect("good options")
}

fn search(farm: &Farm, target: Option<Target>) -> SearchReport {
    farm.search(COLUMN, &challenges(3), target, None, &full()).expect("a search")
}

#[test]
fn every_answer_proves() {
    let folder = folder_of(&[(1000, 256), (37, 8), (1, 1)]);
    let farm = open(folder.path());
    for target in [None, Some(Target::MAX)] {
        let report = search(&farm, target);
        for (at, &challenge) in report.challenges.iter().enumerate() {
            let answer = farm.prove(&report, at, PORTABLE).expect("a proof");
            let best = report.best(at).expect("a leaf");
            assert_eq!((answer.score, answer.row), (best.score, best.row));
            assert!(answer.passed_over.is_empty());
            let header = answer.plot.plot().header().clone();
            let expected = Expected {
                network: header.network,
                miner_key: header.miner_key,
                shape: header.shape,
                challenge,
                column: COLUMN,
                plot_id: answer.plot.plot_id(),
                root: Some(header.root),
                score: Some(answer.score),
                target,
            };
            assert_eq!(verify(&answer.proof, &expected, None), Ok(()));
            let record = answer.record();
            assert_eq!(record.proof(), answer.proof);
            assert_eq!((record.row, record.score), (Some(best.row), Some(best.score.0)));
            assert_eq!(record.path, Some(answer.plot.path().display().to_string()));
            // The control: it proves nothing about another challenge.
            let other = Expected { challenge: Challenge([0; 32]), ..expected };
            assert!(verify(&answer.proof, &other, None).is_err());
        }
    }
}

#[test]
fn a_leaf_that_does_not_win_is_not_proved() {
    let folder = folder_of(&[(37, 8)]);
    let farm = open(folder.path());
    let report = search(&farm, Some(Target([0; 32])));
    let best = report.best(1).expect("a leaf").score;
    let error = farm.prove(&report, 1, PORTABLE).expect_err("nothing is below zero");
    assert!(matches!(error, ProveError::NoWinner { score, .. } if score == best));
    let empty = open(&folder.path().join("nowhere"));
    let error = empty.prove(&search(&empty, None), 0, PORTABLE).expect_err("no plots");
    assert_eq!(error.to_string(), "no plot has a leaf that can be proved");
}

/// Puts `cell` into the plot at `path`. With `roots` made to fit, all but growing the row says that it belongs there.
fn forge(path: &Path, column: ColumnIndex, row: u64, cell: Cell, roots: bool) {
    let mut file = fs::read(path).expect("a file");
    let plot = Plot::open(path).expect("a plot");
    let layout = plot.layout();
    let mut header = plot.header().clone();
    let strip = layout.strip(row / header.rows_per_segment, column);
    let mut put = |at: u64, bytes: &[u8]| file[at as usize..][..bytes.len()].copy_from_slice(bytes);
    put(strip.offset_bytes + 32 * (row - strip.first_row), &cell);
    if roots {
        let mut cells: Vec<Cell> = Vec::new();
        for segment in 0..layout.segments() {
            let mut strip_cells = plot.read_strip(segment, column).expect("a strip");
            if segment == strip.segment {
                strip_cells[(row - strip.first_row) as usize] = cell;
            }
            let root = tree::root(PORTABLE, &strip_cells, 0, layout.subtree_depth());
            put(layout.subtree_roots_offset(segment) + 32 * u64::from(column.0), &root);
            cells.extend(strip_cells);
        }
        let mut column_roots = plot.read_column_roots().expect("roots");
        column_roots[column.0 as usize] = tree::root(PORTABLE, &cells, 0, layout.depth());
        put(layout.roots_offset(), column_roots.as_flattened());
        header.root = tree::root(PORTABLE, &column_roots, 0, u32::from(header.shape.log2_columns()));
        header.plot_id = plot_id(&header.key(), header.rows, &header.root);
        put(0, &header.encode());
    }
    fs::write(path, file).expect("a file");
}

#[test]
fn the_next_best_plot_answers_for_a_damaged_one() {
    let shapes = [(200, 64), (300, 128), (37, 8)];
    let honest = folder_of(&shapes);
    let challenge = challenges(3)[1];
    let bests = (0..3).map(|at| naive_best(&plot_path(honest.path(), at), COLUMN, &[challenge])[0].expect("a leaf"));
    let (at, best) = bests.enumerate().min_by_key(|(_, best)| best.score).expect("three plots");
    // A cell that scores better than any there is.
    let lucky = (0_u64..).map(|n| {
        let mut cell = [0; 32];
        cell[..8].copy_from_slice(&n.to_le_bytes());
        cell
    });
    let lucky = lucky.into_iter().find(|cell| score(&challenge, cell) < best.score).expect("there is one");
    for (roots, row) in [(false, 5), (true, 30)] {
        let folder = folder_of(&shapes);
        let (liar, path) = ((at + 1) % 3, plot_path(folder.path(), (at + 1) % 3));
        forge(&path, COLUMN, row, lucky, roots);
        let farm = open(folder.path());
        let report = search(&farm, None);
        let found = report.best(1).expect("a leaf");
        assert_eq!((found.plot, found.row), (liar, row), "the search believes the lie");
        let answer = farm.prove(&report, 1, PORTABLE).expect("a proof");
        assert_eq!((answer.plot.path(), answer.row), (&*plot_path(folder.path(), at), best.row));
        assert_eq!(answer.passed_over[0].plot.path(), path);
        let fault = farm.plots()[liar].fault().expect("it is kept");
        match &*fault {
            PlotFault::Plot(PlotError::DamagedStrip { .. }) => assert!(!roots),
            PlotFault::Proof { source: VerifyError::Leaf { .. }, .. } => assert!(roots),
            other => panic!("{other}"),
        }
        assert!(fault.to_string().contains(&path.display().to_string()));
        assert!(farm.plots()[at].fault().is_none());
    }
}

#[test]
fn damaged_plots_alone_make_no_proof() {
    let folder = folder_of(&[(37, 8)]);
    let path = plot_path(folder.path(), 0);
    let farm = open(folder.path());
    let report = search(&farm, None);
    let row = report.best(0).expect("a leaf").row;
    Plot::open(&path).expect("a plot").prove(&challenges(1)[0], COLUMN, RowIndex(row), PORTABLE).expect("the control");
    forge(&path, COLUMN, row ^ 1, [0; 32], false);
    let error = farm.prove(&report, 0, PORTABLE).expect_err("no other plot");
    assert!(matches!(&error, ProveError::NoLeaf { passed_over } if passed_over.len() == 1), "{error}");
    assert!(error.to_string().contains("one plot turned out to be damaged"));
}

#[test]
fn a_leaf_is_proved_without_its_report() {
    let folder = folder_of(&[(1000, 256)]);
    let farm = open(folder.path());
    let report = search(&farm, None);
    let (best, plot) = (report.best(0).expect("a leaf"), farm.plots().remove(0));
    let claim = LeafClaim {
        challenge: report.challenges[0],
        column: COLUMN,
        row: best.row,
        score: best.score,
        target: Some(Target::MAX),
    };
    let proof = plot.prove(&claim, PORTABLE).expect("a proof");
    assert_eq!(proof, farm.prove(&report, 0, PORTABLE).expect("a proof").proof);
    assert!(plot.fault().is_none());
    // A claim that is wrong is not proved, nor one of a row or a column that there is not.
    let wrong = [
        LeafClaim { row: (best.row + 1) % 1000, ..claim },
        LeafClaim { row: 1000, ..claim },
        LeafClaim { column: ColumnIndex(16), ..claim },
        LeafClaim { target: Some(Target(best.score.0)), ..claim },
        LeafClaim { challenge: Challenge([0; 32]), ..claim },
    ];
    for claim in wrong {
        assert!(plot.prove(&claim, PORTABLE).is_err(), "{claim:?}");
    }
}
