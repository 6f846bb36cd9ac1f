//! The GPU engine against the CPU, byte for byte, on every adapter of this machine.
//!
//! Without an adapter these tests say SKIPPED and pass; with `SPACETIME_REQUIRE_GPU=1`
//! they fail. Mesa's software Vulkan will do.
#![cfg(feature = "gpu")]

mod each;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use each::each_adapter;
use proptest::prelude::*;
use spacetime_kernels::gpu::{GpuError, OpenOptions, Rewrite, SelfTestError, Shader};
use spacetime_kernels::{
    Backend, Best, BulkError, BulkGrower, BulkScorer, BulkWork, Cell, CellRequest, Challenge, ColumnIndex, Grower, Lot,
    MAX_CHALLENGES, Part, PlotKey, Proceed, RowIndex, Run, Shape, tagged_hash,
};

/// Some memory: software adapters are slow, and a test wants more than one table and lot.
const MEMORY: OpenOptions = OpenOptions { memory_bytes: Some(4 << 20), rewrite: None, unchecked: false };

fn shape(log2_columns: u8, rounds: u8) -> Shape {
    Shape::new(log2_columns, rounds).expect("within the protocol's bounds")
}

fn key(number: u8) -> PlotKey {
    PlotKey(tagged_hash("test", &[&[number]]))
}

/// Gives out lots, and keeps what comes back.
struct Collected {
    lots: VecDeque<(PlotKey, Lot)>,
    /// The lots given out that did not end yet, with the columns that came of their current run.
    open: VecDeque<(Lot, usize, usize)>,
    columns: usize,
    /// Strips and roots, column by column, of each run of each lot.
    runs: Vec<(Vec<Cell>, Vec<Cell>)>,
    most: usize,
    after_part: Box<dyn FnMut(usize) -> Proceed>,
    parts: usize,
}

impl Collected {
    fn new(columns: usize, lots: impl IntoIterator<Item = (PlotKey, Lot)>) -> Self {
        Self {
            lots: lots.into_iter().collect(),
            open: VecDeque::new(),
            columns,
            runs: Vec::new(),
            most: 0,
            after_part: Box::new(|_| Proceed::GoOn),
            parts: 0,
        }
    }
}

impl BulkWork for Collected {
    fn next(&mut self, most: usize) -> Option<(PlotKey, Lot)> {
        self.most = most;
        let (key, lot) = self.lots.pop_front()?;
        self.open.push_back((lot.clone(), 0, 0));
        Some((key, lot))
    }

    fn take(&mut self, part: Part<'_>) -> Proceed {
        let (lot, run, column) = self.open.front_mut().expect("parts belong to lots that were given out");
        assert_eq!((part.run, part.columns.start), (*run, *column), "runs and columns come in order");
        let padded_rows = lot.runs[*run].padded_rows();
        assert_eq!(part.strips.len(), part.columns.len() * padded_rows);
        assert_eq!(part.roots.len(), part.columns.len());
        if *column == 0 {
            self.runs.push((Vec::new(), Vec::new()));
        }
        let (strips, roots) = self.runs.last_mut().expect("one was just made");
        strips.extend_from_slice(part.strips);
        roots.extend_from_slice(part.roots);
        *column = part.columns.end;
        if *column == self.columns {
            (*run, *column) = (*run + 1, 0);
        }
        if *run == lot.runs.len() {
            self.open.pop_front();
        }
        self.parts += 1;
        (self.after_part)(self.parts)
    }

    fn proceed(&mut self) -> Proceed {
        Proceed::GoOn
    }
}

fn lot(first_row: u64, rows: &[usize]) -> Lot {
    let runs = rows.iter().map(|rows| Run { rows: *rows, level: rows.next_power_of_two().ilog2() }).collect();
    Lot { first_row: RowIndex(first_row), runs }
}

/// Strips and roots of one run, as a CPU backend has them.
fn expected(shape: Shape, key: &PlotKey, first_row: u64, run: Run) -> (Vec<Cell>, Vec<Cell>) {
    let backend = Backend::fastest();
    let rows: Vec<_> = (first_row..).take(run.rows).map(RowIndex).collect();
    let mut block = vec![[0; 32]; shape.columns() * run.rows];
    Grower::new(backend, shape).grow(key, &rows, &mut block);
    let (mut strips, mut roots) = (Vec::new(), Vec::new());
    for cells in block.chunks(run.rows) {
        let mut strip = cells.to_vec();
        strip.resize(run.padded_rows(), [0; 32]);
        strips.extend_from_slice(&strip);
        while strip.len() > 1 {
            let mut above = vec![[0; 32]; strip.len() / 2];
            backend.hash_pairs(strip.as_chunks().0, &mut above);
            strip = above;
        }
        roots.push(strip[0]);
    }
    (strips, roots)
}

/// What differs between the runs that came back and the CPU's.
fn check_lots(shape: Shape, lots: &[(PlotKey, Lot)], got: &[(Vec<Cell>, Vec<Cell>)]) -> Result<(), String> {
    let mut got = got.iter();
    for (key, lot) in lots {
        let mut first_row = lot.first_row.0;
        for run in &lot.runs {
            let Some((strips, roots)) = got.next() else { return Err("a run is missing".to_owned()) };
            let (want_strips, want_roots) = expected(shape, key, first_row, *run);
            for (what, got, want) in [("cell", strips, &want_strips), ("root", roots, &want_roots)] {
                if let Some(at) = (0..want.len().max(got.len())).find(|at| got.get(*at) != want.get(*at)) {
                    return Err(format!("{shape:?}, rows from {first_row} on, {run:?}: {what} {at} differs"));
                }
            }
            first_row += run.rows as u64;
        }
    }
    if got.next().is_some() { Err("too many runs".to_owned()) } else { Ok(()) }
}

fn grow(grower: &mut dyn BulkGrower, lots: &[(PlotKey, Lot)]) -> Collected {
    let mut work = Collected::new(grower.shape().columns(), lots.iter().cloned());
    grower.grow(&mut work).expect("the adapter works");
    assert!(work.open.is_empty(), "every lot ends");
    work
}

fn check_growing(grower: &mut dyn BulkGrower, lots: &[(PlotKey, Lot)]) {
    let work = grow(grower, lots);
    check_lots(grower.shape(), lots, &work.runs).unwrap_or_else(|error| panic!("{}: {error}", grower.name()));
}

#[test]
fn many_shapes_and_odd_numbers_of_rows() {
    each_adapter(|adapter| {
        for (log2_columns, rounds) in [(4, 1), (4, 255), (5, 2), (7, 31), (10, 7)] {
            let options = OpenOptions { memory_bytes: Some(8 << 20), ..MEMORY };
            let mut grower = adapter.open(shape(log2_columns, rounds), &options).expect("the adapter works");
            let lots = [
                (key(1), lot(0, &[1])),
                (key(2), lot(u64::from(u32::MAX) - 3, &[4, 7, 1])),
                (key(1), lot(17, &[63, 1, 2])),
                (key(3), lot((1 << 40) - 65, &[65])),
            ];
            check_growing(&mut grower, &lots);
        }
    });
}

/// The tables are full to the last row, and a lot follows another.
#[test]
fn full_lots() {
    each_adapter(|adapter| {
        let mut grower = adapter.open(shape(6, 5), &MEMORY).expect("the adapter works");
        let rows = grower.rows_in_flight();
        assert_eq!(rows, (4 << 20) / 2 / (64 * 32), "all memory is used, by two lots in turn");
        let lots = [
            (key(1), lot(0, &[rows])),
            (key(1), lot(rows as u64, &[rows / 2, rows / 4, rows / 4])),
            (key(1), lot(2 * rows as u64, &[rows - 1])),
        ];
        check_growing(&mut grower, &lots);
    });
}

/// Rows at the main network's parameters: 262,144 steps, more than Mesa's software Vulkan lets one invocation loop.
#[test]
fn rows_of_the_main_network() {
    each_adapter(|adapter| {
        let mut grower = adapter.open(shape(13, 31), &MEMORY).expect("the adapter works");
        assert_eq!(grower.rows_in_flight(), 8);
        check_growing(&mut grower, &[(key(1), lot(5, &[2, 1]))]);
    });
}

#[test]
fn the_largest_rows() {
    each_adapter(|adapter| {
        let options = OpenOptions { memory_bytes: Some(64 << 20), ..MEMORY };
        let mut grower = adapter.open(shape(20, 1), &options).expect("the adapter works");
        assert_eq!(grower.rows_in_flight(), 1);
        check_growing(&mut grower, &[(key(1), lot(9, &[1]))]);
    });
}

/// More memory than one buffer may have: rows are spread over several.
#[test]
fn several_buffers() {
    each_adapter(|adapter| {
        // A quarter more than two bindings of software Vulkan.
        let options = OpenOptions { memory_bytes: Some(640 << 20), ..MEMORY };
        let mut grower = adapter.open(shape(16, 1), &options).expect("the adapter works");
        let rows = grower.rows_in_flight();
        check_growing(&mut grower, &[(key(4), lot(3, &[rows - 64, 63]))]);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn runs_of_any_size(first_row in 0..1u64 << 40, rows in prop::collection::vec(1..40usize, 1..6)) {
        each_adapter(|adapter| {
            let mut grower = adapter.open(shape(5, 3), &MEMORY).expect("the adapter works");
            check_growing(&mut grower, &[(key(1), lot(first_row, &rows)), (key(2), lot(0, &rows))]);
        });
    }
}

/// Cells of rows of many plots, as checking proofs takes them; more than are in flight.
#[test]
fn single_cells_of_many_plots() {
    each_adapter(|adapter| {
        let shape = shape(10, 7);
        let mut grower = adapter.open(shape, &MEMORY).expect("the adapter works");
        let requests: Vec<_> = (0..100u64)
            .map(|number| CellRequest {
                key: key(number as u8 % 7),
                row: RowIndex((number << 31) + number),
                column: ColumnIndex((number * 37 % 1024) as u32),
            })
            .collect();
        assert!(requests.len() > grower.rows_in_flight());
        let mut want = vec![[0; 32]; requests.len()];
        Grower::new(Backend::fastest(), shape).grow_cells(&requests, &mut want);
        let mut got = vec![[0; 32]; requests.len()];
        grower.grow_cells(&requests, &mut got).expect("the adapter works");
        assert_eq!(got, want);
        // What it grew for others does not disturb lots.
        check_growing(&mut grower, &[(key(1), lot(0, &[16, 5]))]);
    });
}

/// Negative control of `check_lots`: one wrong bit anywhere is seen.
#[test]
fn a_wrong_bit_is_seen() {
    let shape = shape(4, 1);
    let lots = [(key(1), lot(0, &[3, 2]))];
    let mut first_row = 0;
    let mut right = Vec::new();
    for run in &lots[0].1.runs {
        right.push(expected(shape, &lots[0].0, first_row, *run));
        first_row += run.rows as u64;
    }
    assert_eq!(check_lots(shape, &lots, &right), Ok(()));
    let mut wrong = right.clone();
    wrong[1].0[5][31] ^= 1;
    assert!(check_lots(shape, &lots, &wrong).is_err());
    let mut wrong = right.clone();
    wrong[0].1[15][0] ^= 0x80;
    assert!(check_lots(shape, &lots, &wrong).is_err());
    assert!(check_lots(shape, &lots, &right[..1]).is_err());
}

/// Several devices at a time, as several adapters would.
#[test]
fn several_devices_side_by_side() {
    each_adapter(|adapter| {
        std::thread::scope(|scope| {
            for number in 0..3u8 {
                scope.spawn(move || {
                    let mut grower = adapter.open(shape(6, 5), &MEMORY).expect("the adapter works");
                    check_growing(&mut grower, &[(key(number), lot(u64::from(number), &[100, 29]))]);
                });
            }
        });
    });
}

#[test]
fn a_lost_device_says_so_and_stays_lost() {
    each_adapter(|adapter| {
        let mut grower = adapter.open(shape(8, 3), &MEMORY).expect("the adapter works");
        let plug = grower.plug();
        let rows = grower.rows_in_flight();
        let lots: Vec<_> = (0..6).map(|number| (key(1), lot(number * rows as u64, &[rows]))).collect();
        let mut work = Collected::new(256, lots.clone());
        work.after_part = Box::new(move |parts| {
            if parts == 1 {
                plug.pull();
            }
            Proceed::GoOn
        });
        let error = grower.grow(&mut work).expect_err("the device is gone");
        assert!(matches!(&error, BulkError::Lost { name, .. } if *name == adapter.name()), "{error}");
        assert!(!work.open.is_empty(), "what was in flight did not end");
        // What ended before is good.
        let ended = work.runs.len() - 1;
        check_lots(grower.shape(), &lots[..ended], &work.runs[..ended]).expect("what was handed over is right");
        let mut again = Collected::new(256, lots);
        assert_eq!(grower.grow(&mut again).map_err(|error| error.to_string()), Err(error.to_string()));
        assert!(again.runs.is_empty());
        assert!(grower.lot_time().is_err());
    });
}

/// A card that hangs in the midst of growing, when nothing is handed over yet, is told of.
#[test]
fn a_device_that_hangs_is_lost() {
    each_adapter(|adapter| {
        let mut grower = adapter.open(shape(10, 31), &MEMORY).expect("the adapter works");
        let lots = [(key(1), lot(0, &[grower.rows_in_flight()]))];
        check_growing(&mut grower, &lots);
        grower.hang(Duration::from_millis(200));
        let began = Instant::now();
        let mut work = Collected::new(1024, lots);
        let error = grower.grow(&mut work).expect_err("it hangs");
        let BulkError::Lost { name, reason } = &error else { panic!("{error}") };
        assert!(*name == adapter.name() && reason == "it did not answer for 0.2 s", "{error}");
        assert!(work.runs.is_empty() && began.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn work_that_is_called_off_can_be_taken_up_again() {
    each_adapter(|adapter| {
        let mut grower = adapter.open(shape(8, 3), &MEMORY).expect("the adapter works");
        let rows = grower.rows_in_flight();
        let lots: Vec<_> = (0..3).map(|number| (key(1), lot(number * rows as u64, &[rows]))).collect();
        let mut work = Collected::new(256, lots.clone());
        work.after_part = Box::new(|_| Proceed::Stop);
        grower.grow(&mut work).expect("being called off is no failure");
        assert_eq!(work.parts, 1, "nothing comes after a stop");
        check_growing(&mut grower, &lots);
    });
}

/// Changes one shader: what computes wrong from the start is found by the self-test.
fn rewritten(shader: Shader, source: String, name: &str, from: &str, to: &str) -> String {
    if shader.name() != name {
        return source;
    }
    assert!(source.contains(from), "{name}: {from}");
    source.replace(from, to)
}

#[test]
fn a_lying_adapter_is_refused() {
    type IsIt = fn(&SelfTestError) -> bool;
    let lies: [(Rewrite, IsIt); 5] = [
        // The first round does not see the cell before the one before.
        (
            |shader, source| rewritten(shader, source, "grow", "((index - 2u)", "((index - 1u)"),
            |difference| matches!(difference, SelfTestError::Cell { row: 12_884_901_883, .. }),
        ),
        // Row numbers beyond 32 bits.
        (
            |shader, source| rewritten(shader, source, "grow", "vec4<u32>(seed.number_high,", "vec4<u32>(0u,"),
            |difference| matches!(difference, SelfTestError::Cell { .. }),
        ),
        (
            |shader, source| rewritten(shader, source, "grow", "if next_chosen == index", "if false"),
            |difference| matches!(difference, SelfTestError::Cell { .. }),
        ),
        (
            |shader, source| {
                rewritten(
                    shader,
                    source,
                    "transpose",
                    "vec4<u32>(0u), vec4<u32>(0u));",
                    "vec4<u32>(1u), vec4<u32>(0u));",
                )
            },
            |difference| matches!(difference, SelfTestError::Cell { .. }),
        ),
        (
            |shader, source| rewritten(shader, source, "merkle", "hash_pair(left, right)", "hash_pair(right, left)"),
            |difference| matches!(difference, SelfTestError::Root { .. }),
        ),
    ];
    each_adapter(|adapter| {
        for (rewrite, is_it) in lies {
            let options = OpenOptions { rewrite: Some(rewrite), ..MEMORY };
            match adapter.open(shape(6, 5), &options).map(|_| ()) {
                Err(GpuError::SelfTest { name, difference }) if is_it(&difference) => assert_eq!(name, adapter.name()),
                other => panic!("{other:?}"),
            }
        }
        let rewrite: Rewrite =
            |shader, source| rewritten(shader, source, "score", "return x.b.w < y.b.w;", "return false;");
        // The last word decides too rarely to matter; the first must.
        adapter.open_scorer(&OpenOptions { rewrite: Some(rewrite), ..MEMORY }).expect("nothing is seen to differ");
        let rewrite: Rewrite =
            |shader, source| rewritten(shader, source, "score", "return x.a.x < y.a.x;", "return x.a.x > y.a.x;");
        let refused = adapter.open_scorer(&OpenOptions { rewrite: Some(rewrite), ..MEMORY }).map(|_| ());
        assert!(
            matches!(refused, Err(GpuError::SelfTest { difference: SelfTestError::Score { .. }, .. })),
            "{refused:?}"
        );
    });
}

#[test]
fn a_shader_that_does_not_compile_is_an_error() {
    each_adapter(|adapter| {
        let rewrite: Rewrite = |_, source| source + "}";
        let refused = adapter.open(shape(6, 5), &OpenOptions { rewrite: Some(rewrite), ..MEMORY }).map(|_| ());
        assert!(matches!(refused, Err(GpuError::Bulk(_))), "{refused:?}");
    });
}

#[test]
fn too_little_memory_is_an_error() {
    each_adapter(|adapter| {
        let options = OpenOptions { memory_bytes: Some(512 << 10), ..MEMORY };
        adapter.open(shape(13, 1), &options).expect("one row in each half");
        let options = OpenOptions { memory_bytes: Some((512 << 10) - 1), ..MEMORY };
        let refused = adapter.open(shape(13, 1), &options).map(|_| ());
        assert!(matches!(refused, Err(GpuError::SmallMemory { needed_bytes: 524_288, .. })), "{refused:?}");
    });
}

fn cells(count: usize) -> Vec<Cell> {
    (0..count).map(|number| tagged_hash("cell", &[&number.to_le_bytes()])).collect()
}

fn best_of(challenges: &[Challenge], strip: &[Cell], first_row: u64) -> Vec<Option<Best>> {
    let mut best = vec![None; challenges.len()];
    Backend::fastest().score_best(challenges, strip, first_row, &mut best);
    best
}

#[test]
fn scores_are_the_cpu_s() {
    each_adapter(|adapter| {
        let mut scorer = adapter.open_scorer(&MEMORY).expect("the adapter works");
        let challenges: Vec<_> = cells(MAX_CHALLENGES).into_iter().map(Challenge).collect();
        for (cells, count) in
            [(0, 1), (1, 8), (511, 2), (512, 3), (513, 8), (5000, 1), (70_000, 8)].map(|(n, c)| (self::cells(n), c))
        {
            let want = best_of(&challenges[..count], &cells, 77);
            let mut got = vec![None; count];
            scorer.score_best(&challenges[..count], &cells, 77, &mut got).expect("the adapter works");
            assert_eq!(got, want, "{} cells, {count} challenges", cells.len());
        }
        // Of equal scores the first row, and a better leaf from before stays.
        let same = vec![[7; 32]; 2000];
        let mut got = vec![None; 2];
        scorer.score_best(&challenges[..2], &same, 5, &mut got).expect("the adapter works");
        assert_eq!(got.iter().map(|best| best.expect("there are cells").row).collect::<Vec<_>>(), [5, 5]);
        let before = got.clone();
        scorer.score_best(&challenges[..2], &same, 900, &mut got).expect("the adapter works");
        assert_eq!(got, before);
    });
}

#[test]
fn a_strip_larger_than_the_buffers_is_scored_in_pieces() {
    each_adapter(|adapter| {
        let mut scorer = adapter.open_scorer(&MEMORY).expect("the adapter works");
        let cells = cells((1 << 20) + 3);
        let challenges = [Challenge([9; 32])];
        let mut got = vec![None];
        scorer.score_best(&challenges, &cells, 1, &mut got).expect("the adapter works");
        assert_eq!(got, best_of(&challenges, &cells, 1));
    });
}

/// The register-only kernel computes what its measure says it does.
#[test]
fn bare_compression_is_compression() {
    each_adapter(|adapter| {
        let meter = adapter.open_meter(&MEMORY).expect("the adapter works");
        let words =
            |cell: Cell| std::array::from_fn(|at| u32::from_be_bytes(std::array::from_fn(|k| cell[4 * at + k])));
        let start: Vec<[u32; 8]> = cells(130).into_iter().map(words).collect();
        let mut got = start.clone();
        meter.compress_chains(&mut got, 3).expect("the adapter works");
        for (start, got) in start.into_iter().zip(got) {
            let (mut before, mut value) = ([0; 8], start);
            for _ in 0..3 {
                let mut block = [0; 16];
                block[..8].copy_from_slice(&value);
                block[8..].copy_from_slice(&before);
                let mut next = [value];
                Backend::PORTABLE.compress_chains(&mut next, &[block], 1);
                (before, value) = (value, next[0]);
            }
            assert_eq!(got, value);
        }
    });
}
