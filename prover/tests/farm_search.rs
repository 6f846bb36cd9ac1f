//! Searching files: every strategy against a search done the slow way.

mod common;
mod farming;

use std::num::NonZeroU64;
use std::path::PathBuf;

use common::{header, write_plot};
use farming::{COLUMN, challenges, check_full, folder_of, full, naive_best, options, paths_in};
use spacetime_kernels::{Backend, ColumnIndex, Target, score};
use spacetime_prover::farm::{Ended, FarmError, MAX_BLOCK_BYTES, MAX_QUEUE_DEPTH, MAX_THREADS, Missed, SearchError};
use spacetime_prover::{Farm, FarmOptions, SearchOptions, Strategy};

/// One row, strips below a page and off its bounds, strips of several blocks, partial last segments.
const SHAPES: [(u64, u64); 9] =
    [(1, 1), (1, 8), (5, 1), (37, 8), (128, 128), (200, 64), (1000, 256), (5000, 4096), (1029, 2048)];

fn sample(rows: u64) -> SearchOptions {
    options(Strategy::Sample(NonZeroU64::new(rows).expect("rows")))
}

#[test]
fn a_full_search_finds_what_a_slow_one_finds() {
    let folder = folder_of(&SHAPES);
    let paths = paths_in(folder.path(), SHAPES.len());
    for (queue_depth, block_bytes, threads, challenge_count) in
        [(1, 4096, 1, 1), (3, 4096, 2, 8), (4, 12288, 3, 2), (2, 1 << 20, 1, 3), (8, 2 << 20, 5, 5), (1, 8192, 2, 7)]
    {
        let farm = Farm::open([folder.path()], FarmOptions { queue_depth, block_bytes, ..FarmOptions::default() })
            .expect("good options");
        for column in [0, 3, 15].map(ColumnIndex) {
            let search = SearchOptions { threads, ..full() };
            let report = farm.search(column, &challenges(challenge_count), None, None, &search).expect("a search");
            assert_eq!(report.ended, Ended::Swept);
            check_full(&report, &paths).unwrap_or_else(|error| panic!("{column:?} in {block_bytes}: {error}"));
        }
    }
}

#[test]
fn the_check_of_full_searches_can_fail() {
    let folder = folder_of(&[(200, 64), (37, 8)]);
    let paths = paths_in(folder.path(), 2);
    let farm = Farm::open([folder.path()], FarmOptions::default()).expect("good options");
    let report = farm.search(COLUMN, &challenges(2), None, None, &full()).expect("a search");
    check_full(&report, &paths).expect("the control");
    let refuted = |change: fn(&mut spacetime_prover::SearchReport)| {
        let mut wrong = report.clone();
        change(&mut wrong);
        check_full(&wrong, &paths).expect_err("a wrong report");
    };
    refuted(|wrong| wrong.column = ColumnIndex(4));
    refuted(|wrong| wrong.challenges.swap(0, 1));
    refuted(|wrong| wrong.plots.swap(0, 1));
    refuted(|wrong| wrong.plots[1].leaves -= 1);
    refuted(|wrong| wrong.plots[0].best[1].as_mut().expect("a leaf").row ^= 1);
    refuted(|wrong| wrong.plots.truncate(1));
    refuted(|wrong| wrong.plots[0].missed = Some(Missed::Deadline));
}

#[test]
fn every_backend_finds_the_same() {
    let folder = folder_of(&[(1029, 2048)]);
    let farm = Farm::open([folder.path()], FarmOptions::default()).expect("good options");
    for &backend in Backend::available() {
        let search = SearchOptions { backend, ..full() };
        let report = farm.search(COLUMN, &challenges(8), None, None, &search).expect("a search");
        check_full(&report, &paths_in(folder.path(), 1)).unwrap_or_else(|error| panic!("{}: {error}", backend.name()));
    }
}

#[test]
fn a_sample_holds_exactly_so_many_rows() {
    // Three windows, strips that divide them, and a plot smaller than the sample.
    let folder = folder_of(&[(70_001, 16_384), (300, 64)]);
    let paths = paths_in(folder.path(), 2);
    let farm = Farm::open([folder.path()], FarmOptions::default()).expect("good options");
    let challenges = challenges(2);
    let cells: Vec<Vec<_>> = farm
        .plots()
        .iter()
        .map(|plot| {
            let segments = 0..plot.plot().layout().segments();
            segments.flat_map(|segment| plot.plot().read_strip(segment, COLUMN).expect("a strip")).collect()
        })
        .collect();
    for rows in [1, 2, 299, 300, 301, 32_768, 40_000, 70_000] {
        let report = farm.search(COLUMN, &challenges, None, None, &sample(rows)).expect("a search");
        assert_eq!(report.ended, Ended::Swept);
        for ((plot, cells), path) in report.plots.iter().zip(&cells).zip(&paths) {
            assert_eq!(plot.leaves, rows.min(cells.len() as u64), "{}", path.display());
            assert_eq!((plot.planned, plot.missed.is_none()), (plot.leaves, true));
            for ((found, best), challenge) in
                plot.best.iter().zip(naive_best(path, COLUMN, &challenges)).zip(&challenges)
            {
                let (found, best) = (found.expect("a leaf"), best.expect("a leaf"));
                assert_eq!(found.score, score(challenge, &cells[found.row as usize]));
                assert!(found.score >= best.score);
                // A whole plot's sample is the plot; one row's is its best by luck only.
                assert!(plot.leaves < cells.len() as u64 || found == best);
                assert!(rows > 1 || found != best);
            }
        }
        let again = farm.search(COLUMN, &challenges, None, None, &sample(rows)).expect("a search");
        assert_eq!(again.plots[0].best, report.plots[0].best, "the same seed draws the same rows");
    }
    assert_eq!(farm.search(COLUMN, &challenges, None, None, &sample(u64::MAX)).expect("a search").leaves(), 70_301);
    // Adaptive without a deadline is full.
    let report = farm.search(COLUMN, &challenges, None, None, &options(Strategy::Adaptive)).expect("a search");
    check_full(&report, &paths).expect("every row");
}

#[test]
fn a_plot_without_the_column_is_missed_for_that() {
    let folder = folder_of(&[(200, 64)]);
    let wide = folder.path().join("wide.plot");
    write_plot(&wide, &header(9, 5, 2, 77, 16));
    let farm = Farm::open([folder.path()], FarmOptions::default()).expect("good options");
    let report = farm.search(ColumnIndex(16), &challenges(1), None, None, &full()).expect("a search");
    assert!(matches!(report.plots[0].missed, Some(Missed::Column { column: 16, columns: 16 })));
    assert_eq!((report.plots[0].leaves, report.plots[1].leaves), (0, 77));
    assert!(report.plots[1].missed.is_none());
    assert_eq!(report.best(0).expect("a leaf").plot, 1);
    // The control: column 15 is in both.
    let report = farm.search(ColumnIndex(15), &challenges(1), None, None, &full()).expect("a search");
    check_full(&report, &[farming::plot_path(folder.path(), 0), wide]).expect("both");
}

#[test]
fn reading_alone_reads_what_a_search_reads() {
    let folder = folder_of(&[(1000, 256), (37, 8)]);
    let farm = Farm::open([folder.path()], FarmOptions::default()).expect("good options");
    let search = farm.search(COLUMN, &challenges(1), None, None, &full()).expect("a search");
    let read = farm.read_only(COLUMN, None, &full()).expect("reads");
    assert_eq!((read.bytes(), read.leaves()), (search.bytes(), 1037));
    assert!(read.plots.iter().all(|plot| plot.best.is_empty() && plot.missed.is_none()));
}

#[test]
fn no_plots_make_an_empty_report() {
    let farm = Farm::open([] as [PathBuf; 0], FarmOptions::default()).expect("good options");
    let report = farm.search(COLUMN, &challenges(1), None, None, &full()).expect("a search");
    assert_eq!((report.ended, report.plots.len(), report.best(0)), (Ended::Swept, 0, None));
}

#[test]
fn a_search_says_whether_its_leaf_wins() {
    let folder = folder_of(&[(200, 64)]);
    let farm = Farm::open([folder.path()], FarmOptions::default()).expect("good options");
    let best = farm.search(COLUMN, &challenges(1), None, None, &full()).expect("a search").best(0).expect("a leaf");
    let search = |target| farm.search(COLUMN, &challenges(1), target, None, &full()).expect("a search");
    let mut above = best.score.0;
    *above.last_mut().expect("a byte") += 1;
    for (target, wins) in [(None, true), (Some(best.score.0), false), (Some(above), true), (Some([0; 32]), false)] {
        let report = search(target.map(Target));
        assert_eq!(report.wins(&report.best(0).expect("a leaf")), wins, "{target:?}");
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let open = |queue_depth, block_bytes| {
        Farm::open([] as [PathBuf; 0], FarmOptions { queue_depth, block_bytes, ..FarmOptions::default() })
    };
    for depth in [0, MAX_QUEUE_DEPTH + 1] {
        assert_eq!(open(depth, 4096).expect_err("a depth out of range"), FarmError::QueueDepth(depth));
    }
    for bytes in [0, 1, 4095, 4097, MAX_BLOCK_BYTES + 4096] {
        assert_eq!(open(1, bytes).expect_err("a size out of range"), FarmError::BlockBytes(bytes));
    }
    let farm = open(MAX_QUEUE_DEPTH, MAX_BLOCK_BYTES).expect("the greatest there are");
    let search = |count, options: &SearchOptions| farm.search(COLUMN, &challenges(count), None, None, options);
    assert!(matches!(search(0, &full()), Err(SearchError::Challenges(0))));
    assert!(matches!(search(9, &full()), Err(SearchError::Challenges(9))));
    for threads in [0, MAX_THREADS + 1] {
        assert!(matches!(search(1, &SearchOptions { threads, ..full() }), Err(SearchError::Threads(_))));
    }
    let first = SearchOptions { stop_at_first_winner: true, ..full() };
    assert!(matches!(search(1, &first), Err(SearchError::NoTarget)));
    search(8, &full()).expect("the control");
}
