//! Plots made by the plotter against plots made the slow way.

#[path = "../../prover/tests/common/mod.rs"]
mod common;
mod made;

use made::{Maker, params};
use proptest::prelude::*;
use spacetime_kernels::Backend;
use spacetime_plotter::{Cpu, CreateError, PlotParams};
use spacetime_prover::{Plot, PlotState};

/// The file that `params` describe, made the slow way.
fn naive(params: &PlotParams) -> Vec<u8> {
    common::plot_bytes(&params.header().expect("good parameters").0).1
}

#[test]
fn files_are_those_of_the_slow_way() {
    let maker = Maker::new();
    for rows in [1, 2, 5, 15, 16, 17, 33, 64, 100] {
        for rows_per_segment in [1, 2, 8, 16, 32, 64, 1024] {
            let params = params(4, 2, rows, Some(rows_per_segment));
            let created = maker.create("x", &params).expect("a plot");
            assert_eq!(created.rows_grown, rows);
            let file = std::fs::read(&created.path).expect("the plot");
            assert!(file == naive(&params), "{rows} rows, {rows_per_segment} a segment");
            std::fs::remove_file(&created.path).expect("the plot is ours");
        }
    }
    assert_eq!(maker.files(), Vec::<String>::new(), "nothing is left behind");
}

#[test]
fn a_wrong_file_would_be_seen() {
    // The control of the test above: one bit decides.
    let maker = Maker::new();
    let params = params(4, 1, 20, Some(8));
    let created = maker.create("x", &params).expect("a plot");
    let mut file = std::fs::read(&created.path).expect("the plot");
    file[5000] ^= 1;
    assert!(file != naive(&params));
}

#[test]
fn bytes_do_not_depend_on_backend_threads_or_memory() {
    let params = params(6, 3, 3000, Some(256));
    let mut files = Vec::new();
    for &backend in Backend::available() {
        for (threads, memory) in [(1, None), (2, Some(9 << 20)), (5, Some(14 << 20))] {
            let maker = Maker { engine: Cpu(backend), threads, memory, ..Maker::new() };
            let created = maker.create("x", &params).expect("a plot");
            files.push(std::fs::read(created.path).expect("the plot"));
        }
    }
    assert!(files.iter().all(|file| *file == files[0]));
}

#[test]
fn roots_do_not_depend_on_segments() {
    let maker = Maker::new();
    let mut roots = Vec::new();
    for (index, rows_per_segment) in
        [None, Some(1), Some(4), Some(16), Some(128), Some(1 << 20)].into_iter().enumerate()
    {
        let created = maker.create(&index.to_string(), &params(5, 1, 333, rows_per_segment)).expect("a plot");
        roots.push((created.header.root, created.header.plot_id));
        Plot::open(&created.path).expect("a plot that opens");
    }
    assert!(roots.iter().all(|root| *root == roots[0]));
}

#[test]
fn parts_say_so() {
    let maker = Maker::new();
    let mut params = params(4, 1, 20, Some(8));
    params.first_row = Some(16);
    let created = maker.create("part", &params).expect("a part");
    assert_eq!(created.header.state, PlotState::Part);
    assert_eq!((created.header.first_row, created.header.root), (16, [0; 32]));
    let part = Plot::open_any(&created.path).expect("a part that opens");
    assert!(matches!(Plot::open(&created.path), Err(spacetime_prover::PlotError::NotComplete { .. })));
    // Its cells are those of rows 16 and on of the whole plot.
    params.first_row = None;
    params.rows = 36;
    let whole = maker.create("whole", &params).expect("a plot");
    let whole = Plot::open(&whole.path).expect("a plot");
    for column in (0..16).map(spacetime_kernels::ColumnIndex) {
        for segment in 0..3 {
            let strip = |plot: &Plot, segment| plot.read_strip(segment, column).expect("a strip");
            assert_eq!(strip(&part, segment), strip(&whole, segment + 2));
        }
    }
    // Subtree roots of a part have the segment's full depth, also where a whole plot's would be flatter.
    params.first_row = Some(32);
    params.rows = 3;
    let created = maker.create("small", &params).expect("a part");
    let small = Plot::open_any(&created.path).expect("a part");
    assert_eq!(small.layout().subtree_depth(), 3);
    let strip = small.read_strip(0, spacetime_kernels::ColumnIndex(7)).expect("a strip");
    let root = spacetime_prover::tree::root(Backend::PORTABLE, &strip, 0, 3);
    assert_eq!(small.read_subtree_roots(0).expect("roots")[7], root);
}

#[test]
fn a_taken_name_is_refused_unless_forced() {
    let maker = Maker::new();
    let first = params(4, 1, 20, None);
    let created = maker.create("x", &first).expect("a plot");
    let before = std::fs::read(&created.path).expect("the plot");
    let other = PlotParams { seed: [9; 32], ..first };
    assert!(matches!(maker.create("x", &other), Err(CreateError::Exists(_))));
    assert_eq!(std::fs::read(&created.path).expect("the plot"), before);
    let forced = Maker { force: true, folder: maker.folder, ..Maker::new() };
    forced.create("x", &other).expect("a plot over the old one");
    assert_ne!(std::fs::read(&created.path).expect("the plot"), before);
    assert_eq!(forced.files(), ["x.plot"]);
}

#[test]
fn what_does_not_fit_is_refused_before_it_starts() {
    let maker = Maker { memory: Some(1 << 60), ..Maker::new() };
    assert!(matches!(maker.create("x", &params(4, 1, 20, None)), Err(CreateError::NoMemory { .. })));
    let maker = Maker { memory: Some(1 << 20), folder: maker.folder, ..Maker::new() };
    assert!(matches!(maker.create("x", &params(13, 1, 20, None)), Err(CreateError::SmallBudget { .. })));
    let maker = Maker { memory: None, folder: maker.folder, ..Maker::new() };
    assert!(matches!(maker.create("x", &params(10, 1, 1 << 36, None)), Err(CreateError::NoSpace { .. })));
    assert!(matches!(maker.create("x", &params(4, 1, 0, None)), Err(CreateError::Params(_))));
    assert!(matches!(maker.create("x", &params(4, 1, 5, Some(3))), Err(CreateError::Params(_))));
    assert_eq!(maker.files(), Vec::<String>::new(), "nothing is left behind");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_small_plot_is_that_of_the_slow_way(p in 4u8..7, rounds in 1u8..4, rows in 1u64..200, log2_segment in 0u32..9, threads in 1usize..4) {
        let maker = Maker { threads, ..Maker::new() };
        let params = params(p, rounds, rows, Some(1 << log2_segment));
        let created = maker.create("x", &params).expect("a plot");
        prop_assert!(std::fs::read(created.path).expect("the plot") == naive(&params));
    }
}
