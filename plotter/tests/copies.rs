//! Merged and compacted plots against plots made in one go.

#[path = "../../prover/tests/common/mod.rs"]
mod common;
mod made;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use made::{Maker, params};
use proptest::prelude::*;
use spacetime_kernels::{Backend, ColumnIndex};
use spacetime_plotter::{
    Control, CopyError, CopyOptions, CreateError, Created, PlotParams, Step, compact, default_rows_per_segment, merge,
};
use spacetime_prover::{HEADER_BYTES, Plot, PlotError, PlotHeader, PlotState, tree};

fn compact_with(maker: &Maker, source: &Path, rows_per_segment: Option<u64>) -> Result<Created, CopyError> {
    compact(source, &maker.path("out"), rows_per_segment, &maker.copy_options())
}

/// Grows the parts of a plot that begin at `cuts` and 0.
fn grow_parts(maker: &Maker, whole: &PlotParams, cuts: &[u64]) -> Vec<PathBuf> {
    let starts: Vec<u64> = std::iter::once(0).chain(cuts.iter().copied()).collect();
    let ends = starts[1..].iter().copied().chain([whole.rows]);
    (starts.iter().zip(ends))
        .map(|(start, end)| {
            let part = PlotParams { first_row: Some(*start), rows: end - start, ..whole.clone() };
            maker.create(&format!("part-{start}"), &part).expect("a part").path
        })
        .collect()
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the plot")
}

#[test]
fn compacted_plots_are_those_made_in_one_go() {
    let maker = Maker::new();
    for rows in [1, 2, 5, 16, 17, 100, 129] {
        let wanted: Vec<_> = [1, 2, 8, 32, 128, 1024]
            .map(|rows_per_segment| {
                let created = maker.create("x", &params(4, 1, rows, Some(rows_per_segment))).expect("a plot");
                let path = maker.path(&format!("from-{rows_per_segment}"));
                std::fs::rename(created.path, &path).expect("the plot is ours");
                (rows_per_segment, path)
            })
            .into();
        for (from, source) in &wanted {
            let before = read(source);
            for (to, expected) in &wanted {
                let created = compact_with(&maker, source, Some(*to)).expect("a plot");
                assert_eq!((created.path.clone(), created.rows_grown), (maker.path("out"), 0));
                assert_eq!(created.header, *Plot::open(expected).expect("a plot").header());
                assert!(read(&created.path) == read(expected), "{rows} rows, {from} a segment to {to}");
                std::fs::remove_file(created.path).expect("the plot is ours");
            }
            assert!(read(source) == before, "the source is as it was");
            // By default everything is one segment.
            let created = compact_with(&maker, source, None).expect("a plot");
            assert_eq!(created.header.rows_per_segment, 1 << tree::ceil_log2(rows));
            std::fs::remove_file(created.path).expect("the plot is ours");
        }
    }
}

#[test]
fn merged_plots_are_those_made_in_one_go() {
    let maker = Maker::new();
    for (rows, rows_per_segment, cuts) in [
        (100, 8, &[16, 24, 64][..]),
        (5, 16, &[]),
        (16, 16, &[]),
        (1, 1, &[]),
        (7, 1, &[1, 2, 3, 4, 5, 6]),
        (33, 32, &[32]),
        (1000, 64, &[512]),
    ] {
        let whole = params(5, 2, rows, Some(rows_per_segment));
        let mut parts = grow_parts(&maker, &whole, cuts);
        let before: Vec<_> = parts.iter().map(|part| read(part)).collect();
        let expected = maker.create("whole", &whole).expect("a plot");
        let created = merge(&maker.path("out"), &parts, &maker.copy_options()).expect("a plot");
        assert_eq!(created.header, expected.header);
        assert!(read(&created.path) == read(&expected.path), "{rows} rows, parts at {cuts:?}");
        assert!(parts.iter().zip(before).all(|(part, before)| read(part) == before), "the parts are as they were");
        // In any order.
        std::fs::remove_file(&created.path).expect("the plot is ours");
        parts.reverse();
        let created = merge(&maker.path("out"), &parts, &maker.copy_options()).expect("a plot");
        assert!(read(&created.path) == read(&expected.path));
        for path in parts.iter().chain([&created.path, &expected.path]) {
            std::fs::remove_file(path).expect("the file is ours");
        }
        assert_eq!(maker.files(), Vec::<String>::new());
    }
}

#[test]
fn a_small_budget_makes_smaller_blocks_and_the_same_bytes() {
    // Strips of 16384 and 8192 cells in blocks of 4096, and the other way round.
    let maker = Maker::new();
    for (rows, from, to) in
        [(20_000, 1 << 14, 1 << 13), (20_000, 1 << 13, 1 << 15), (9000, 1 << 14, 16), (9000, 16, 1 << 14)]
    {
        let source = maker.create("source", &params(4, 1, rows, Some(from))).expect("a plot").path;
        let expected = maker.create("expected", &params(4, 1, rows, Some(to))).expect("a plot").path;
        for memory in [4 << 20, 6 << 20, 32 << 20] {
            let options = CopyOptions { memory: Some(memory), ..maker.copy_options() };
            let created = compact(&source, &maker.path("out"), Some(to), &options).expect("a plot");
            assert!(read(&created.path) == read(&expected), "{rows} rows, {from} to {to}, {memory} bytes");
            std::fs::remove_file(&created.path).expect("the plot is ours");
        }
        let options = CopyOptions { memory: Some(100_000), ..maker.copy_options() };
        let refused = compact(&source, &maker.path("out"), Some(to), &options).expect_err("too little");
        assert!(matches!(refused, CopyError::Create(CreateError::SmallBudget { .. })), "{refused}");
        std::fs::remove_file(source).expect("the plot is ours");
        std::fs::remove_file(expected).expect("the plot is ours");
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let maker = Maker::new();
    let whole = params(4, 1, 64, Some(8));
    let parts = grow_parts(&maker, &whole, &[16, 32]);
    let out = maker.path("out");
    let refused = |parts: &[PathBuf]| merge(&out, parts, &maker.copy_options()).expect_err("they do not fit");
    let with = |part: PathBuf| refused(&[parts[0].clone(), part, parts[2].clone()]);
    let made = |name: &str, change: &dyn Fn(&mut PlotParams)| {
        let mut params = PlotParams { first_row: Some(16), rows: 16, ..whole.clone() };
        change(&mut params);
        maker.create(name, &params).expect("a plot").path
    };
    assert!(matches!(refused(&[]), CopyError::NoParts));
    assert!(matches!(refused(&parts[1..]), CopyError::Gap { first_row: 16, expected: 0, .. }));
    assert!(matches!(
        refused(&[parts[0].clone(), parts[2].clone()]),
        CopyError::Gap { first_row: 32, expected: 16, .. }
    ));
    assert!(matches!(refused(&[parts[0].clone(), parts[0].clone()]), CopyError::Overlap { first_row: 0, .. }));
    let long = made("long", &|params| params.rows = 17);
    assert!(matches!(with(long), CopyError::Overlap { first_row: 32, last_row: 32, .. }));
    let short = made("short", &|params| params.rows = 15);
    assert!(matches!(with(short), CopyError::Gap { first_row: 32, expected: 31, .. }));
    let complete = made("complete", &|params| params.first_row = None);
    assert!(matches!(with(complete.clone()), CopyError::NotAPart(path) if path == complete));
    type Change = dyn Fn(&mut PlotParams);
    let others: [(&str, &Change); 6] = [
        ("miner key", &|params| params.miner_key = [8; 48]),
        ("seed", &|params| params.seed = [8; 32]),
        ("network", &|params| params.network = [8; 32]),
        ("number of columns", &|params| params.shape = common::header(1, 5, 1, 1, 1).shape),
        ("number of rounds", &|params| params.shape = common::header(1, 4, 2, 1, 1).shape),
        ("number of rows per segment", &|params| params.rows_per_segment = Some(16)),
    ];
    for (index, (expected, change)) in others.into_iter().enumerate() {
        let other = made(&format!("other-{index}"), change);
        let error = with(other.clone());
        assert!(error.to_string().contains(expected) && error.to_string().contains(&*other.to_string_lossy()));
        assert!(matches!(error, CopyError::OtherPlot { field, .. } if field == expected));
    }
    // An unfinished one, none at all, and one that is no plot.
    let unfinished = maker.path("unfinished");
    let mut header =
        PlotHeader::decode(read(&parts[1])[..HEADER_BYTES].try_into().expect("a header")).expect("a header");
    header.state = PlotState::Building;
    std::fs::write(&unfinished, [&header.encode()[..], &read(&parts[1])[HEADER_BYTES..]].concat())
        .expect("a small file");
    assert!(matches!(with(unfinished), CopyError::Create(CreateError::Unfinished(_))));
    assert!(matches!(with(maker.path("nothing")), CopyError::Plot(PlotError::Io { .. })));
    assert!(matches!(with(maker.folder.path().into()), CopyError::Plot(PlotError::NotAFile(_))));
    assert!(!out.exists() && maker.files().iter().all(|name| !name.contains("tmp")));
    // The control: the parts themselves fit.
    merge(&out, &parts, &maker.copy_options()).expect("a plot");
    assert!(matches!(refused(&parts), CopyError::Create(CreateError::Exists(_))));
}

#[test]
fn damage_is_not_copied() {
    let maker = Maker::new();
    let whole = params(4, 1, 64, Some(8));
    let parts = grow_parts(&maker, &whole, &[16, 32]);
    let plot = Plot::open_any(&parts[1]).expect("a part");
    let good = read(&parts[1]);
    for at in [plot.layout().strip(1, ColumnIndex(9)).offset_bytes + 40, plot.layout().subtree_roots_offset(1) + 32 * 9]
    {
        let mut bad = good.clone();
        bad[at as usize] ^= 1;
        std::fs::write(&parts[1], &bad).expect("a small file");
        for memory in [3 << 20, 64 << 20] {
            let options = CopyOptions { memory: Some(memory), ..maker.copy_options() };
            let error = merge(&maker.path("out"), &parts, &options).expect_err("damage");
            assert!(
                matches!(&error, CopyError::Plot(PlotError::DamagedStrip { path, segment: 1, column: 9 }) if *path == parts[1]),
                "{error}"
            );
        }
    }
    std::fs::write(&parts[1], &good).expect("a small file");
    let created = merge(&maker.path("whole"), &parts, &maker.copy_options()).expect("a plot");
    let layout = *Plot::open(&created.path).expect("a plot").layout();
    let good = read(&created.path);
    let strip = layout.strip(3, ColumnIndex(2)).offset_bytes as usize;
    let root = layout.subtree_roots_offset(3) as usize + 64;
    let mut bad = good.clone();
    bad[strip] ^= 1;
    std::fs::write(&created.path, &bad).expect("a small file");
    for to in [1, 4, 8, 64] {
        let error = compact_with(&maker, &created.path, Some(to)).expect_err("damage");
        assert!(matches!(error, CopyError::Plot(PlotError::DamagedStrip { segment: 3, column: 2, .. })), "{error}");
    }
    // Cells and subtree root agree, and neither leads to the plot root.
    let strip_cells: Vec<_> = bad[strip..strip + 256].as_chunks::<32>().0.to_vec();
    bad[root..root + 32].copy_from_slice(&tree::root(Backend::PORTABLE, &strip_cells, 0, 3));
    std::fs::write(&created.path, &bad).expect("a small file");
    let error = compact_with(&maker, &created.path, None).expect_err("damage");
    assert!(matches!(error, CopyError::Plot(PlotError::DamagedRoots { .. })), "{error}");
    assert!(maker.files().iter().all(|name| !name.contains("tmp") && !name.starts_with("out")), "nothing is left");
    // Wrong column roots and padding are not read, and come out right.
    let mut bad = good.clone();
    bad[layout.roots_offset() as usize] ^= 1;
    std::fs::write(&created.path, &bad).expect("a small file");
    let copied = compact_with(&maker, &created.path, Some(8)).expect("a plot");
    assert!(read(&copied.path) == good);
}

#[test]
fn compacting_refuses_what_it_must() {
    let maker = Maker::new();
    let created = maker.create("x", &params(4, 1, 20, Some(8))).expect("a plot");
    let before = read(&created.path);
    let forced = CopyOptions { force: true, ..maker.copy_options() };
    let onto_itself = compact(&created.path, &created.path, None, &forced).expect_err("its own source");
    assert!(matches!(onto_itself, CopyError::SameFile(_)), "{onto_itself}");
    #[cfg(unix)]
    {
        let link = maker.path("link");
        std::os::unix::fs::symlink(&created.path, &link).expect("a link");
        assert!(matches!(compact(&created.path, &link, None, &forced), Err(CopyError::SameFile(_))));
    }
    assert!(read(&created.path) == before);
    assert!(matches!(compact_with(&maker, &created.path, Some(3)), Err(CopyError::Create(CreateError::Params(_)))));
    let part = PlotParams { first_row: Some(8), ..params(4, 1, 20, Some(8)) };
    let part = maker.create("part", &part).expect("a part").path;
    assert!(matches!(compact_with(&maker, &part, None), Err(CopyError::Plot(PlotError::NotComplete { .. }))));
    // A taken name, unless forced.
    std::fs::write(maker.path("out"), b"something").expect("a small file");
    assert!(matches!(compact_with(&maker, &created.path, None), Err(CopyError::Create(CreateError::Exists(_)))));
    compact(&created.path, &maker.path("out"), None, &forced).expect("a plot over it");
    assert_eq!(Plot::open(&maker.path("out")).expect("a plot").header().rows_per_segment, 32);
    assert!(maker.files().iter().all(|name| !name.contains("tmp")));
}

/// A step hook that stops after so many steps.
fn stop_after(control: &Control, steps: usize) -> impl Fn(Step) + Sync {
    let passed = AtomicUsize::new(0);
    move |step| {
        if matches!(step, Step::Advanced(_)) && passed.fetch_add(1, Ordering::Relaxed) + 1 >= steps {
            control.stop();
        }
    }
}

#[test]
fn a_stopped_copy_leaves_nothing() {
    let maker = Maker::new();
    let created = maker.create("x", &params(4, 1, 20_000, Some(1 << 10))).expect("a plot");
    for steps in [1, 2, 5, 20] {
        let control = Control::default();
        let stop = stop_after(&control, steps);
        let options = CopyOptions { memory: Some(4 << 20), control: &control, steps: &stop, ..maker.copy_options() };
        let error = compact(&created.path, &maker.path("out"), None, &options).expect_err("stopped");
        assert!(error.is_stopped(), "{error}");
        assert_eq!(maker.files(), ["x.plot"]);
    }
}

#[test]
fn what_a_killed_copy_leaves_is_in_nobodys_way() {
    let maker = Maker::new();
    let created = maker.create("x", &params(4, 1, 200, Some(16))).expect("a plot");
    let out = maker.path("out");
    let tmp = maker.path("out").with_extension("plot.tmp");
    // The file as it stands in the middle of a copy.
    let caught = std::sync::Mutex::new(None);
    let catch = |step| {
        if matches!(step, Step::Advanced(_)) {
            caught.lock().expect("no panic").get_or_insert_with(|| read(&tmp));
        }
    };
    let copied =
        compact(&created.path, &out, None, &CopyOptions { steps: &catch, ..maker.copy_options() }).expect("a plot");
    let whole = read(&copied.path);
    let caught = caught.into_inner().expect("no panic").expect("a step");
    std::fs::remove_file(&out).expect("the plot is ours");
    // Nobody takes it for a plot that grows.
    std::fs::write(&tmp, &caught).expect("a small file");
    let refused = maker.resume("out").expect_err("a copy");
    assert!(matches!(refused, CreateError::InterruptedCopy(_)), "{refused}");
    // It makes way for the next copy, also when only its name was missing, and for another plot.
    for left in [&caught, &whole] {
        std::fs::write(&tmp, left).expect("a small file");
        compact_with(&maker, &created.path, None).expect("a plot");
        assert!(read(&out) == whole);
        assert_eq!(maker.files(), ["out.plot", "x.plot"]);
        std::fs::remove_file(&out).expect("the plot is ours");
    }
    std::fs::write(&tmp, &caught).expect("a small file");
    maker.create("out", &params(4, 1, 5, None)).expect("a plot");
    assert_eq!(maker.files(), ["out.plot", "x.plot"]);
    std::fs::remove_file(&out).expect("the plot is ours");
    // Complete but for its name: resuming names it.
    std::fs::write(&tmp, &whole).expect("a small file");
    assert!(maker.resume("out").expect("a plot").is_some());
    assert!(read(&out) == whole);
    std::fs::remove_file(&out).expect("the plot is ours");
    // But a plot that grows, and another complete one, stay.
    for other in [common::plot_bytes(&common::header(9, 4, 1, 20, 32)).1, b"no plot".repeat(1000)] {
        std::fs::write(&tmp, &other).expect("a small file");
        let refused = compact_with(&maker, &created.path, None).expect_err("it is not ours");
        assert!(matches!(refused, CopyError::Create(CreateError::Unfinished(_))), "{refused}");
        assert!(read(&tmp) == other);
    }
    let held = std::fs::File::open(&tmp).expect("the file");
    held.lock().expect("nobody else holds it");
    std::fs::write(&tmp, &caught).expect("a small file");
    let refused = compact_with(&maker, &created.path, None).expect_err("somebody is at work on it");
    assert!(matches!(refused, CopyError::Create(CreateError::Locked { .. })), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_parts_merge_and_any_segments_compact(
        p in 4u8..6, rows in 1u64..150, log2_from in 0u32..7, log2_to in 0u32..9, cuts in any::<u16>(),
        memory in prop_oneof![Just(4u64 << 20), Just(64 << 20)], threads in 1usize..3,
    ) {
        let maker = Maker { threads, memory: Some(64 << 20), ..Maker::new() };
        let whole = params(p, 1, rows, Some(1 << log2_from));
        let cuts: Vec<u64> = (1..16)
            .filter(|cut| cuts >> cut & 1 == 1)
            .map(|cut| cut << log2_from)
            .filter(|row| *row < rows)
            .collect();
        let parts = grow_parts(&maker, &whole, &cuts);
        let options = CopyOptions { memory: Some(memory), ..maker.copy_options() };
        let merged = merge(&maker.path("merged"), &parts, &options).expect("a plot");
        let expected = maker.create("expected", &whole).expect("a plot");
        prop_assert!(read(&merged.path) == read(&expected.path));
        let compacted = compact(&merged.path, &maker.path("out"), Some(1 << log2_to), &options).expect("a plot");
        let params = PlotParams { rows_per_segment: Some(1 << log2_to), ..whole };
        let expected = maker.create("other", &params).expect("a plot");
        prop_assert!(read(&compacted.path) == read(&expected.path));
    }
}

#[test]
fn wrong_bytes_would_be_seen() {
    // The control of the comparisons above: other segments are other bytes.
    let maker = Maker::new();
    let params = params(4, 1, 20, None);
    assert_eq!(default_rows_per_segment(params.shape, 20), 32);
    let created = maker.create("x", &params).expect("a plot");
    let copied = compact_with(&maker, &created.path, Some(8)).expect("a plot");
    assert!(read(&copied.path) != read(&created.path));
    assert_eq!(copied.header.root, created.header.root);
}
