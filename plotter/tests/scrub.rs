//! Damage anywhere behind the header is found, named and healed.

#[path = "../../prover/tests/common/mod.rs"]
mod common;
mod made;

use std::path::Path;

use made::{Maker, params};
use proptest::prelude::*;
use spacetime_kernels::{Backend, ColumnIndex, plot_id};
use spacetime_plotter::{
    CheckOptions, CheckReport, Control, CreateError, Damage, Finding, Outcome, PlotParams, ScrubError, ScrubOptions,
    ScrubReport, Step, check, scrub,
};
use spacetime_prover::{HEADER_BYTES, Layout, Plot, PlotError, PlotHeader, PlotState, tree};

fn scrub_with(maker: &Maker, path: &Path, repair: bool) -> Result<ScrubReport, ScrubError> {
    let Maker { engine, threads, memory, control, .. } = maker;
    scrub(path, &ScrubOptions { engine, threads: *threads, memory: *memory, repair, control, steps: &|_| () })
}

fn check_with(maker: &Maker, path: &Path, rows: u64) -> Result<CheckReport, ScrubError> {
    let Maker { engine, threads, control, .. } = maker;
    check(path, &CheckOptions { engine, threads: *threads, rows, control, steps: &|_| () })
}

/// Which piece of the plot the byte at `at` belongs to.
fn piece_at(layout: &Layout, rows_per_segment: u64, at: u64) -> Damage {
    let columns = layout.columns();
    if at >= layout.roots_offset() {
        let cell = (at - layout.roots_offset()) / 32;
        let column = (cell % columns) as u32;
        return match cell / columns {
            0 => Damage::ColumnRoot { column },
            row => Damage::SubtreeRoot { segment: row - 1, column },
        };
    }
    if !(layout.data_offset()..layout.data_end()).contains(&at) {
        return Damage::Padding { offset_bytes: 0, bytes: 0 };
    }
    let cell = (at - layout.data_offset()) / 32;
    let segment = cell / (columns * rows_per_segment);
    let within = cell - segment * columns * rows_per_segment;
    Damage::Strip { segment, column: (within / layout.segment_rows(segment)) as u32 }
}

/// Damages the plot by `damage`, which may change anything behind the header,
/// and sees that scrub names exactly the pieces that changed and that repair
/// brings every byte back.
fn check_damage(maker: &Maker, path: &Path, damage: impl FnOnce(&Layout, &mut [u8])) -> Vec<Damage> {
    let plot = Plot::open_any(path).expect("a plot");
    let (layout, rows_per_segment) = (*plot.layout(), plot.header().rows_per_segment);
    let whole = std::fs::read(path).expect("the plot");
    let mut damaged = whole.clone();
    damage(&layout, &mut damaged);
    assert!(damaged[..HEADER_BYTES] == whole[..HEADER_BYTES], "the header is not what is tested here");
    let changed = (0..whole.len()).filter(|at| whole[*at] != damaged[*at]);
    let mut expected: Vec<_> = changed.map(|at| piece_at(&layout, rows_per_segment, at as u64)).collect();
    expected.sort();
    expected.dedup();
    std::fs::write(path, &damaged).expect("the test folder takes a small plot");

    let report = scrub_with(maker, path, false).expect("a scrub");
    let named = |report: &ScrubReport| {
        let mut named: Vec<_> = report
            .damage
            .iter()
            .map(|damage| match damage {
                Damage::Padding { .. } => Damage::Padding { offset_bytes: 0, bytes: 0 },
                other => *other,
            })
            .collect();
        named.sort();
        named.dedup();
        named
    };
    assert!(named(&report) == expected, "{:?} instead of {expected:?}", report.damage);
    assert!(report.damaged as usize >= expected.len());
    assert_eq!(report.outcome, if expected.is_empty() { Outcome::Whole } else { Outcome::Damaged });
    assert!(std::fs::read(path).expect("the plot") == damaged, "nobody asked for a repair");

    let report = scrub_with(maker, path, true).expect("a repair");
    assert!(named(&report) == expected, "{:?} instead of {expected:?}", report.damage);
    assert_eq!(report.outcome, if expected.is_empty() { Outcome::Whole } else { Outcome::Healed });
    assert!(std::fs::read(path).expect("the plot") == whole, "every byte is back");
    assert_eq!(scrub_with(maker, path, false).expect("a scrub").outcome, Outcome::Whole);
    expected
}

#[test]
fn good_plots_pass() {
    let maker = Maker::new();
    for (p, rows, rows_per_segment) in
        [(4, 1, 1), (4, 1, 64), (4, 5, 2), (4, 17, 16), (5, 100, 32), (4, 33, 1), (6, 70, 1 << 20), (4, 3000, 1024)]
    {
        for first_row in [None, Some(0), Some(rows_per_segment)] {
            let params = PlotParams { first_row, ..params(p, 2, rows, Some(rows_per_segment)) };
            let path = maker.create("x", &params).expect("a plot").path;
            let report = scrub_with(&maker, &path, true).expect("a scrub");
            assert_eq!((report.outcome, report.damaged, report.rows_grown), (Outcome::Whole, 0, 0), "{params:?}");
            let report = check_with(&maker, &path, 8).expect("a check");
            assert!(report.is_good(), "{report:?}");
            assert_eq!(report.rows_checked.len() as u64, rows.min(8));
            assert_eq!(report.rows_checked[0], first_row.unwrap_or(0));
            std::fs::remove_file(path).expect("the plot is ours");
        }
    }
}

#[test]
fn every_single_flipped_byte_is_found() {
    // 16 columns, 3 rows: 1536 bytes of cells, 2560 of padding, roots behind them.
    let maker = Maker { threads: 1, ..Maker::new() };
    let path = maker.create("x", &params(4, 1, 3, Some(2))).expect("a plot").path;
    let whole = std::fs::read(&path).expect("the plot");
    for at in (HEADER_BYTES..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&path, damaged).expect("a small file");
        let report = scrub_with(&maker, &path, true).expect("a repair");
        assert_eq!((report.outcome, report.damaged), (Outcome::Healed, 1), "byte {at}");
        assert!(std::fs::read(&path).expect("the plot") == whole, "byte {at}");
    }
}

#[test]
fn zeroed_pieces_are_found() {
    let maker = Maker::new();
    for (rows, rows_per_segment) in [(1, 1), (1, 16), (40, 16), (21, 1), (64, 64), (5, 2)] {
        let path = maker.create("x", &params(4, 2, rows, Some(rows_per_segment))).expect("a plot").path;
        let zero = |from: u64, to: u64| {
            check_damage(&maker, &path, |_, file| file[from as usize..to as usize].fill(0));
        };
        let layout = *Plot::open(&path).expect("a plot").layout();
        let strip = layout.strip(layout.segments() - 1, ColumnIndex(3));
        zero(strip.offset_bytes, strip.offset_bytes + strip.bytes());
        zero(layout.data_offset(), layout.data_end());
        zero(layout.roots_offset(), layout.subtree_roots_offset(0));
        zero(layout.subtree_roots_offset(0), layout.file_bytes());
        zero(layout.roots_offset(), layout.file_bytes());
        // Cells and all roots: in segments of one row these are the same bytes, and agree.
        zero(layout.data_offset(), layout.file_bytes());
        std::fs::remove_file(path).expect("the plot is ours");
    }
}

#[test]
fn padding_is_zero() {
    let maker = Maker::new();
    let path = maker.create("x", &params(4, 1, 3, Some(2))).expect("a plot").path;
    let named = check_damage(&maker, &path, |layout, file| {
        file[layout.data_end() as usize + 10..layout.roots_offset() as usize - 1].fill(0xff);
    });
    assert_eq!(named, [Damage::Padding { offset_bytes: 0, bytes: 0 }]);
}

#[test]
fn roots_and_cells_of_one_column_at_once() {
    // Each pair of witnesses wrong, in one column and in several segments.
    let maker = Maker::new();
    let path = maker.create("x", &params(4, 1, 50, Some(16))).expect("a plot").path;
    let column = ColumnIndex(5);
    let cell = |layout: &Layout, segment| layout.strip(segment, column).offset_bytes as usize;
    let root = |layout: &Layout, segment| layout.subtree_roots_offset(segment) as usize + 32 * 5;
    let top = |layout: &Layout| layout.roots_offset() as usize + 32 * 5;
    check_damage(&maker, &path, |layout, file| {
        file[cell(layout, 0)] ^= 1;
        file[root(layout, 0)] ^= 1;
    });
    check_damage(&maker, &path, |layout, file| {
        file[cell(layout, 0)] ^= 1;
        file[root(layout, 2)] ^= 1;
    });
    check_damage(&maker, &path, |layout, file| {
        file[cell(layout, 3)] ^= 1;
        file[top(layout)] ^= 1;
    });
    check_damage(&maker, &path, |layout, file| {
        file[root(layout, 3)] ^= 1;
        file[top(layout)] ^= 1;
    });
    check_damage(&maker, &path, |layout, file| {
        file[cell(layout, 1)] ^= 1;
        file[cell(layout, 2)] ^= 1;
        file[root(layout, 2)] ^= 1;
        file[top(layout)] ^= 1;
        file[top(layout) + 32] ^= 1;
        file[cell(layout, 0) + 32 * 16] ^= 1;
    });
}

#[test]
fn small_memory_heals_as_well() {
    // Strips of 2^14 cells that neither a piece nor what may be held can take.
    let maker = Maker::new();
    let path = maker.create("x", &params(4, 1, 20_000, Some(1 << 14))).expect("a plot").path;
    let maker = Maker { memory: Some(1 << 20), folder: maker.folder, ..Maker::new() };
    check_damage(&maker, &path, |layout, file| {
        for segment in 0..2 {
            for column in [0, 1, 7, 15] {
                let strip = layout.strip(segment, ColumnIndex(column));
                file[(strip.offset_bytes + strip.bytes() / 2) as usize] ^= 0x80;
                file[(strip.offset_bytes + strip.bytes() - 1) as usize] ^= 0x80;
            }
        }
    });
    check_damage(&maker, &path, |layout, file| {
        file[layout.data_offset() as usize..layout.data_end() as usize].fill(0);
    });
    let maker = Maker { memory: Some(100_000), folder: maker.folder, ..Maker::new() };
    let refused = scrub_with(&maker, &path, false).expect_err("too little");
    assert!(matches!(refused, ScrubError::Refused(CreateError::SmallBudget { .. })), "{refused}");
}

#[test]
fn parts_are_scrubbed_by_growing() {
    let maker = Maker::new();
    for (rows, rows_per_segment) in [(20, 8), (3, 8), (40, 16)] {
        let params = PlotParams { first_row: Some(2 * rows_per_segment), ..params(4, 2, rows, Some(rows_per_segment)) };
        let path = maker.create("part", &params).expect("a part").path;
        check_damage(&maker, &path, |layout, file| file[layout.data_offset() as usize + 3] ^= 1);
        check_damage(&maker, &path, |layout, file| file[layout.subtree_roots_offset(0) as usize + 40] ^= 1);
        check_damage(&maker, &path, |layout, file| file[layout.roots_offset() as usize + 40] ^= 1);
        check_damage(&maker, &path, |layout, file| {
            file[layout.data_offset() as usize..layout.file_bytes() as usize].fill(0xaa);
        });
        std::fs::remove_file(path).expect("the part is ours");
    }
}

/// A plot whose cell at segment 0, column 2 was wrong from the beginning: every root agrees with it.
fn never_right(path: &Path) -> (PlotHeader, Vec<u8>) {
    let (header, mut file) = common::plot_bytes(&common::header(3, 4, 1, 20, 8));
    let layout = Layout::new(&header).expect("a small plot");
    let strip = layout.strip(0, ColumnIndex(2)).offset_bytes as usize;
    file[strip] ^= 1;
    std::fs::write(path, &file).expect("a small file");
    let plot = Plot::open(path).expect("a plot");
    let backend = Backend::PORTABLE;
    let mut roots = plot.read_column_roots().expect("roots");
    let subtree: Vec<_> = (0..layout.segments())
        .map(|segment| {
            let cells = plot.read_strip(segment, ColumnIndex(2)).expect("a strip");
            tree::root(backend, &cells, 0, layout.subtree_depth())
        })
        .collect();
    file[layout.subtree_roots_offset(0) as usize + 64..][..32].copy_from_slice(&subtree[0]);
    roots[2] = tree::root(backend, &subtree, layout.subtree_depth(), layout.depth() - layout.subtree_depth());
    file[layout.roots_offset() as usize + 64..][..32].copy_from_slice(&roots[2]);
    let root = tree::root(backend, &roots, layout.depth(), 4);
    let header = PlotHeader { root, plot_id: plot_id(&header.key(), header.rows, &root), ..header };
    file[..HEADER_BYTES].copy_from_slice(&header.encode());
    std::fs::write(path, &file).expect("a small file");
    (header, file)
}

#[test]
fn a_plot_that_was_never_right_is_left_alone() {
    let maker = Maker::new();
    let path = maker.path("x");
    let (header, mut file) = never_right(&path);
    // It keeps what it promises, so only growing tells.
    assert_eq!(scrub_with(&maker, &path, true).expect("a scrub").outcome, Outcome::Whole);
    let report = check_with(&maker, &path, 20).expect("a check");
    assert_eq!(report.findings, [Finding::Cell { row: 0, column: 2 }]);
    assert_eq!(report.rows_checked, (0..20).collect::<Vec<_>>());
    // Damage beside it: the rows that are grown do not lead to the roots.
    let layout = Layout::new(&header).expect("a small plot");
    for column in [2, 5] {
        file[layout.strip(0, ColumnIndex(column)).offset_bytes as usize + 40] ^= 1;
        std::fs::write(&path, &file).expect("a small file");
        assert_eq!(scrub_with(&maker, &path, false).expect("a scrub").outcome, Outcome::Damaged);
        let report = scrub_with(&maker, &path, true).expect("a scrub");
        assert_eq!(report.outcome, Outcome::NeverRight);
        assert!(std::fs::read(&path).expect("the plot") == file, "nothing is written");
    }
    // A plot root that nothing leads to.
    let (good, mut file) = common::plot_bytes(&common::header(3, 4, 1, 20, 8));
    let header = PlotHeader { root: header.root, plot_id: header.plot_id, ..good };
    file[..HEADER_BYTES].copy_from_slice(&header.encode());
    std::fs::write(&path, &file).expect("a small file");
    let report = scrub_with(&maker, &path, true).expect("a scrub");
    assert_eq!((report.outcome, report.rows_grown), (Outcome::NeverRight, 20));
    assert!(std::fs::read(&path).expect("the plot") == file, "nothing is written");
    assert!(check_with(&maker, &path, 2).expect("a check").findings.contains(&Finding::PlotRoot));
}

#[test]
#[should_panic(expected = "instead of")]
fn a_scrub_that_names_the_wrong_piece_would_be_seen() {
    // The control of `check_damage`: in a plot that was never right scrub cannot name what changed.
    let maker = Maker::new();
    let path = maker.path("x");
    let (header, _) = never_right(&path);
    let root = Layout::new(&header).expect("a small plot").subtree_roots_offset(0) as usize;
    let cells = header.data_offset as usize;
    check_damage(&maker, &path, |layout, file| {
        file[cells..layout.data_end() as usize].fill(0);
        file[root..layout.file_bytes() as usize].fill(0);
    });
}

#[test]
fn a_trailer_is_somebody_elses() {
    let maker = Maker::new();
    let path = maker.create("x", &params(4, 1, 20, Some(8))).expect("a plot").path;
    let file = [std::fs::read(&path).expect("the plot"), vec![9; 5000]].concat();
    std::fs::write(&path, &file).expect("a small file");
    assert_eq!(scrub_with(&maker, &path, true).expect("a scrub").outcome, Outcome::Whole);
    assert!(std::fs::read(&path).expect("the plot") == file);
}

#[test]
fn check_finds_wrong_roots_and_rows() {
    let maker = Maker::new();
    let path = maker.create("x", &params(4, 1, 50, Some(16))).expect("a plot").path;
    let layout = *Plot::open(&path).expect("a plot").layout();
    let whole = std::fs::read(&path).expect("the plot");
    let found = |at: u64| {
        let mut damaged = whole.clone();
        damaged[at as usize] ^= 1;
        std::fs::write(&path, damaged).expect("a small file");
        check_with(&maker, &path, 50).expect("a check").findings
    };
    assert_eq!(found(layout.subtree_roots_offset(2) + 32 * 3), [Finding::ColumnRoot { column: 3 }]);
    assert_eq!(found(layout.roots_offset() + 32 * 3), [Finding::PlotRoot, Finding::ColumnRoot { column: 3 }]);
    let strip = layout.strip(3, ColumnIndex(9));
    assert_eq!(found(strip.offset_bytes + 33), [Finding::Cell { row: 49, column: 9 }]);
}

#[test]
fn what_is_no_finished_plot_is_refused() {
    let maker = Maker::new();
    let path = maker.create("x", &params(4, 1, 20, Some(8))).expect("a plot").path;
    let whole = std::fs::read(&path).expect("the plot");
    // A damaged header.
    let mut damaged = whole.clone();
    damaged[180] ^= 1;
    std::fs::write(&path, &damaged).expect("a small file");
    for repair in [false, true] {
        let refused = scrub_with(&maker, &path, repair).expect_err("a bad header");
        assert!(matches!(refused, ScrubError::DamagedHeader(_)), "{refused}");
    }
    assert!(matches!(check_with(&maker, &path, 1), Err(ScrubError::DamagedHeader(_))));
    assert!(std::fs::read(&path).expect("the plot") == damaged);
    // A truncated file, a folder, nothing.
    std::fs::write(&path, &whole[..whole.len() - 1]).expect("a small file");
    assert!(matches!(scrub_with(&maker, &path, true), Err(ScrubError::Plot(PlotError::Layout { .. }))));
    assert!(matches!(scrub_with(&maker, maker.folder.path(), true), Err(ScrubError::Plot(PlotError::NotAFile(_)))));
    assert!(matches!(check_with(&maker, &maker.path("y"), 1), Err(ScrubError::Plot(PlotError::Io { .. }))));
    // An unfinished one.
    let mut header = PlotHeader::decode(whole[..HEADER_BYTES].try_into().expect("a header")).expect("a header");
    (header.state, header.root, header.plot_id) = (PlotState::Building, [0; 32], [0; 32]);
    std::fs::write(&path, [&header.encode()[..], &whole[HEADER_BYTES..]].concat()).expect("a small file");
    assert!(matches!(scrub_with(&maker, &path, true), Err(ScrubError::Unfinished(_))));
    assert!(matches!(check_with(&maker, &path, 1), Err(ScrubError::Unfinished(_))));
}

#[test]
fn two_repairs_exclude_each_other() {
    let maker = Maker::new();
    let path = maker.create("x", &params(4, 1, 20, Some(8))).expect("a plot").path;
    let held = std::fs::File::open(&path).expect("the plot");
    held.lock().expect("nobody else holds it");
    let refused = scrub_with(&maker, &path, true).expect_err("it is locked");
    assert!(matches!(refused, ScrubError::Refused(CreateError::Locked { .. })), "{refused}");
    assert_eq!(scrub_with(&maker, &path, false).expect("reading needs no lock").outcome, Outcome::Whole);
    drop(held);
    assert_eq!(scrub_with(&maker, &path, true).expect("a scrub").outcome, Outcome::Whole);
}

#[test]
fn a_repair_that_was_stopped_is_repeated() {
    let maker = Maker::new();
    let path = maker.create("x", &params(4, 1, 3000, Some(512))).expect("a plot").path;
    let whole = std::fs::read(&path).expect("the plot");
    let layout = *Plot::open(&path).expect("a plot").layout();
    let mut damaged = whole.clone();
    for segment in 0..layout.segments() {
        damaged[layout.strip(segment, ColumnIndex(4)).offset_bytes as usize] ^= 1;
        damaged[layout.subtree_roots_offset(segment) as usize] ^= 1;
    }
    std::fs::write(&path, &damaged).expect("a small file");
    let mut stops = 0;
    for after in 1.. {
        let control = Control::default();
        let steps = std::sync::atomic::AtomicUsize::new(0);
        let stop_after = |step| {
            let passed = steps.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if matches!(step, Step::Advanced(_)) && passed >= 8 * after {
                control.stop();
            }
        };
        let Maker { engine, threads, memory, .. } = &maker;
        let options = ScrubOptions {
            engine,
            threads: *threads,
            memory: *memory,
            repair: true,
            control: &control,
            steps: &stop_after,
        };
        match scrub(&path, &options) {
            Err(error) => assert!(error.is_stopped(), "{error}"),
            Ok(report) => {
                assert!(matches!(report.outcome, Outcome::Healed | Outcome::Whole));
                break;
            }
        }
        stops += 1;
    }
    assert!(stops > 3, "it was stopped on the way");
    assert!(std::fs::read(&path).expect("the plot") == whole);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn any_damage_is_found_and_healed(
        p in 4u8..6, rows in 1u64..80, log2_segment in 0u32..7, part in any::<bool>(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..12),
        zeroed in proptest::option::of((any::<prop::sample::Index>(), 1usize..3000)),
    ) {
        let maker = Maker { threads: 2, ..Maker::new() };
        let rows_per_segment = 1u64 << log2_segment;
        let first_row = part.then_some(3 * rows_per_segment);
        let params = PlotParams { first_row, ..params(p, 1, rows, Some(rows_per_segment)) };
        let path = maker.create("x", &params).expect("a plot").path;
        // A strip of one cell and its root are the same bytes: in a part, zeros in both would agree.
        let zeroed = zeroed.filter(|_| !part || log2_segment > 0);
        check_damage(&maker, &path, |_, file| {
            let body = &mut file[HEADER_BYTES..];
            for (at, bits) in &flips {
                let at = at.index(body.len());
                body[at] ^= bits;
            }
            if let Some((at, bytes)) = zeroed {
                let at = at.index(body.len());
                let end = body.len().min(at + bytes);
                body[at..end].fill(0);
            }
        });
    }
}
