//! Every backend against the portable one, and the portable one against the
//! crate `sha2` and the protocol's vectors (`vectors.rs`).
//!
//! Each harness returns what it found wrong, so that its negative control can
//! hand it a wrong answer and see it found.

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use spacetime_kernels::{
    Backend, Best, Cell, CellRequest, Challenge, ColumnIndex, Grower, Hit, PlotKey, RowIndex, Score, Shape, Target,
    tagged_hash,
};

/// Lengths around every backend's lanes.
const LENGTHS: [usize; 14] = [0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 100];

fn cell(seed: &str, number: usize) -> Cell {
    tagged_hash(seed, &[&number.to_le_bytes()])
}

fn cells(seed: &str, count: usize) -> Vec<Cell> {
    (0..count).map(|number| cell(seed, number)).collect()
}

fn challenges(count: usize) -> Vec<Challenge> {
    cells("challenge", count).into_iter().map(Challenge).collect()
}

fn words(cell: Cell) -> [u32; 8] {
    std::array::from_fn(|k| u32::from_be_bytes([cell[4 * k], cell[4 * k + 1], cell[4 * k + 2], cell[4 * k + 3]]))
}

fn agree<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, want: &T) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("{what}: got {got:?}, want {want:?}")) }
}

fn for_each_backend(check: impl Fn(Backend) -> Result<(), String>) {
    for &backend in Backend::available() {
        check(backend).unwrap_or_else(|error| panic!("{}: {error}", backend.name()));
    }
}

/// `hash` is given pairs and returns as many nodes.
fn check_pairs(hash: impl Fn(&[[Cell; 2]]) -> Vec<Cell>) -> Result<(), String> {
    for length in LENGTHS {
        let pairs: Vec<_> =
            cells("left", length).into_iter().zip(cells("right", length)).map(<[Cell; 2]>::from).collect();
        let want: Vec<Cell> = pairs.iter().map(|pair| Sha256::digest(pair.as_flattened()).into()).collect();
        agree(&format!("{length} pairs"), &hash(&pairs), &want)?;
    }
    Ok(())
}

fn pairs_of(backend: Backend, pairs: &[[Cell; 2]]) -> Vec<Cell> {
    let mut nodes = vec![[0; 32]; pairs.len()];
    backend.hash_pairs(pairs, &mut nodes);
    nodes
}

#[test]
fn pairs() {
    for_each_backend(|backend| check_pairs(|pairs| pairs_of(backend, pairs)));
}

#[test]
fn nodes() {
    for_each_backend(|backend| {
        check_pairs(|pairs| {
            let (left, right): (Vec<Cell>, Vec<Cell>) = pairs.iter().map(|pair| (pair[0], pair[1])).unzip();
            let mut nodes = vec![[0; 32]; pairs.len()];
            backend.hash_nodes(&left, &right, &mut nodes);
            nodes
        })
    });
}

#[test]
fn a_wrong_last_node_is_found() {
    let found = check_pairs(|pairs| {
        let mut nodes = pairs_of(Backend::PORTABLE, pairs);
        if let [.., last] = &mut nodes[..]
            && pairs.len() == 33
        {
            last[31] ^= 1;
        }
        nodes
    });
    assert!(found.is_err());
}

/// `grow` returns the cell of `rows[k]` and column `c` at `c * rows.len() + k`.
fn check_rows(
    shape: Shape,
    key: &PlotKey,
    rows: &[RowIndex],
    grow: impl Fn(Shape, &PlotKey, &[RowIndex]) -> Vec<Cell>,
) -> Result<(), String> {
    let got = grow(shape, key, rows);
    let mut one = Grower::new(Backend::PORTABLE, shape);
    for (k, &row) in rows.iter().enumerate() {
        let mut want = vec![[0; 32]; shape.columns()];
        one.grow(key, &[row], &mut want);
        let got: Vec<Cell> = got.iter().skip(k).step_by(rows.len()).copied().collect();
        agree(&format!("row {} of {} rows, {shape:?}", row.0, rows.len()), &got, &want)?;
    }
    Ok(())
}

fn rows_of(backend: Backend, shape: Shape, key: &PlotKey, rows: &[RowIndex]) -> Vec<Cell> {
    let mut block = vec![[0; 32]; shape.columns() * rows.len()];
    Grower::new(backend, shape).grow(key, rows, &mut block);
    block
}

/// Rows on both sides of 2^32, not in order.
fn some_rows(count: usize) -> Vec<RowIndex> {
    (0..count as u64).map(|k| RowIndex((1 << 32) - 3 + k * 7 % 16 + (k << 33))).collect()
}

#[test]
fn rows_of_every_shape() {
    let key = PlotKey(cell("key", 0));
    for_each_backend(|backend| {
        for log2_columns in 4..=8 {
            for rounds in [1, 2, 5] {
                let shape = Shape::new(log2_columns, rounds).expect("within bounds");
                for count in [0, 1, 2, backend.lanes() - 1, backend.lanes(), backend.lanes() + 1, 37] {
                    check_rows(shape, &key, &some_rows(count), |s, k, r| rows_of(backend, s, k, r))?;
                }
            }
        }
        Ok(())
    });
}

/// Tables large enough for huge pages, and the most rounds there are.
#[test]
fn rows_of_large_shapes() {
    let key = PlotKey(cell("key", 1));
    for_each_backend(|backend| {
        for (log2_columns, rounds, count) in [(13, 1, backend.lanes() + 1), (4, 255, 3), (16, 1, 1)] {
            let shape = Shape::new(log2_columns, rounds).expect("within bounds");
            check_rows(shape, &key, &some_rows(count), |s, k, r| rows_of(backend, s, k, r))?;
        }
        Ok(())
    });
}

#[test]
fn a_wrong_row_is_found() {
    let (shape, key) = (Shape::new(4, 1).expect("within bounds"), PlotKey(cell("key", 0)));
    let found = check_rows(shape, &key, &some_rows(5), |shape, key, rows| {
        let mut block = rows_of(Backend::PORTABLE, shape, key, rows);
        block.swap(3, 4);
        block
    });
    assert!(found.is_err());
}

/// Each request of another plot and row, `shape` the same.
fn check_cells(shape: Shape, grow: impl Fn(&[CellRequest]) -> Vec<Cell>) -> Result<(), String> {
    for length in LENGTHS {
        let requests: Vec<_> = (0..length)
            .map(|k| CellRequest {
                key: PlotKey(cell("plot", k / 2)),
                row: RowIndex((k as u64) << 31 | 5),
                column: ColumnIndex((k * 11 % shape.columns()) as u32),
            })
            .collect();
        let want: Vec<Cell> = requests
            .iter()
            .map(|request| rows_of(Backend::PORTABLE, shape, &request.key, &[request.row])[request.column.0 as usize])
            .collect();
        agree(&format!("{length} cells"), &grow(&requests), &want)?;
    }
    Ok(())
}

fn cells_of(backend: Backend, shape: Shape, requests: &[CellRequest]) -> Vec<Cell> {
    let mut cells = vec![[0; 32]; requests.len()];
    Grower::new(backend, shape).grow_cells(requests, &mut cells);
    cells
}

#[test]
fn cells_of_many_plots() {
    let shape = Shape::new(6, 3).expect("within bounds");
    for_each_backend(|backend| check_cells(shape, |requests| cells_of(backend, shape, requests)));
}

#[test]
fn a_cell_of_another_column_is_found() {
    let shape = Shape::new(6, 3).expect("within bounds");
    let found = check_cells(shape, |requests| {
        let mut requests = requests.to_vec();
        if let [first, ..] = &mut requests[..] {
            first.column.0 ^= 1;
        }
        cells_of(Backend::PORTABLE, shape, &requests)
    });
    assert!(found.is_err());
}

/// `score` folds the best of each challenge over a strip into what it is given.
fn check_best(score: impl Fn(&[Challenge], &[Cell], u64, &mut [Option<Best>])) -> Result<(), String> {
    for length in LENGTHS {
        for count in 1..=8 {
            let (challenges, strip) = (challenges(count), cells("leaf", length));
            let (mut got, mut want) = (vec![None; count], vec![None; count]);
            // Four passes: the first finds, the others hold equal leaves in other
            // rows, above and below, of which only the lowest may win.
            for first_row in [1 << 33, 1 << 34, 7, 1 << 35] {
                score(&challenges, &strip, first_row, &mut got);
                Backend::PORTABLE.score_best(&challenges, &strip, first_row, &mut want);
                agree(&format!("best of {length} leaves, {count} challenges"), &got, &want)?;
            }
        }
    }
    Ok(())
}

#[test]
fn best_scores() {
    for_each_backend(|backend| check_best(|c, strip, row, best| backend.score_best(c, strip, row, best)));
}

#[test]
fn the_first_of_equal_leaves_wins() {
    for_each_backend(|backend| {
        let mut best = [None];
        backend.score_best(&challenges(1), &[[9; 32]; 40], 100, &mut best);
        let score = spacetime_kernels::score(&challenges(1)[0], &[9; 32]);
        agree("best", &best, &[Some(Best { row: 100, score })])
    });
}

#[test]
fn the_last_of_equal_leaves_is_found_wrong() {
    let found = check_best(|challenges, strip, first_row, best| {
        let first_row = if first_row == 7 { 8 } else { first_row };
        Backend::PORTABLE.score_best(challenges, strip, first_row, best);
    });
    assert!(found.is_err());
}

/// Targets of all sizes, a score itself and its neighbours among them.
fn targets(challenge: &Challenge, strip: &[Cell]) -> Vec<Target> {
    let first_byte = |byte| Target(std::array::from_fn(|k| if k == 0 { byte } else { 0 }));
    let mut targets = vec![Target([0; 32]), first_byte(1), first_byte(0x10), first_byte(0x80), Target::MAX];
    if let Some(leaf) = strip.last() {
        let Score(score) = spacetime_kernels::score(challenge, leaf);
        let (mut above, mut below) = (score, score);
        above[31] = above[31].saturating_add(1);
        below[31] = below[31].saturating_sub(1);
        targets.extend([Target(score), Target(above), Target(below)]);
    }
    targets
}

/// `score` returns the hits of a strip whose first row is 2^33.
fn check_below(score: impl Fn(&[Challenge], &Target, &[Cell], u64) -> Vec<Hit>) -> Result<(), String> {
    for length in LENGTHS {
        for count in [1, 2, 8] {
            let (challenges, strip) = (challenges(count), cells("leaf", length));
            for target in targets(&challenges[count - 1], &strip) {
                let got = score(&challenges, &target, &strip, 1 << 33);
                let mut want = Vec::new();
                Backend::PORTABLE.score_below(&challenges, &target, &strip, 1 << 33, &mut want);
                agree(&format!("hits in {length} leaves, {count} challenges"), &got, &want)?;
            }
        }
    }
    Ok(())
}

fn hits_of(backend: Backend, challenges: &[Challenge], target: &Target, strip: &[Cell], first_row: u64) -> Vec<Hit> {
    let mut hits = Vec::new();
    backend.score_below(challenges, target, strip, first_row, &mut hits);
    hits
}

#[test]
fn scores_below_a_target() {
    for_each_backend(|backend| check_below(|c, target, strip, row| hits_of(backend, c, target, strip, row)));
}

#[test]
fn a_missed_hit_is_found() {
    let found = check_below(|challenges, target, strip, first_row| {
        let mut hits = hits_of(Backend::PORTABLE, challenges, target, strip, first_row);
        hits.pop();
        hits
    });
    assert!(found.is_err());
}

/// The portable scores are SHA-256 of challenge and cell.
#[test]
fn portable_scores() {
    let (challenges, strip) = (challenges(3), cells("leaf", 5));
    let hits = hits_of(Backend::PORTABLE, &challenges, &Target::MAX, &strip, 0);
    assert_eq!(hits.len(), 15);
    for hit in hits {
        let score = [challenges[hit.challenge].0, strip[hit.row as usize]];
        assert_eq!(hit.score.0, <[u8; 32]>::from(Sha256::digest(score.as_flattened())));
    }
}

/// `compress` compresses as [`Backend::compress_chains`] of `lanes` does.
fn check_chains(lanes: usize, compress: impl Fn(&mut [[u32; 8]], &[[u32; 16]], usize)) -> Result<(), String> {
    let block = |k: usize| bytes_to_block(cell("low", k), cell("high", k));
    let blocks: Vec<[u32; 16]> = (0..5).map(block).collect();
    for times in [0, 1, 2, 13] {
        let states: Vec<[u32; 8]> = cells("state", 2 * lanes).into_iter().map(words).collect();
        let (mut got, mut want) = (states.clone(), states);
        compress(&mut got, &blocks, times);
        for (lane, state) in want.iter_mut().enumerate() {
            let mut turned = blocks.clone();
            turned.rotate_left(lane % lanes % blocks.len());
            Backend::PORTABLE.compress_chains(std::slice::from_mut(state), &turned, times);
        }
        agree(&format!("{times} compressions"), &got, &want)?;
    }
    Ok(())
}

fn bytes_to_block(low: Cell, high: Cell) -> [u32; 16] {
    let (low, high) = (words(low), words(high));
    std::array::from_fn(|k| if k < 8 { low[k] } else { high[k - 8] })
}

#[test]
fn chains_of_compressions() {
    for_each_backend(|backend| {
        check_chains(backend.lanes(), |states, blocks, times| backend.compress_chains(states, blocks, times))
    });
}

#[test]
fn a_compression_too_many_is_found() {
    let found = check_chains(1, |states, blocks, times| Backend::PORTABLE.compress_chains(states, blocks, times + 1));
    assert!(found.is_err());
}

#[test]
fn names_lead_to_backends() {
    for &backend in Backend::available() {
        assert_eq!(Backend::named(backend.name()), Ok(backend));
    }
    assert!(Backend::available().contains(&Backend::PORTABLE));
    assert!(Backend::named("sse9").is_err());
    for rows in [0, 1, 2, 16, 1000] {
        assert!(Backend::available().contains(&Backend::for_rows(rows)));
    }
}

/// Whoever sets `SPACETIME_REQUIRE_BACKEND` (names joined by commas) wants no
/// green run on a CPU that lacks them.
#[test]
fn required_backends_are_exercised() {
    let required = std::env::var("SPACETIME_REQUIRE_BACKEND").unwrap_or_default();
    for name in required.split(',').filter(|name| !name.is_empty()) {
        let backend = Backend::named(name).expect("SPACETIME_REQUIRE_BACKEND names a backend of this CPU");
        assert!(Backend::available().contains(&backend), "{name} is not among those tested");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_rows(log2_columns in 4u8..=7, rounds in 1u8..=9, key: [u8; 32], rows in prop::collection::vec(0u64..1 << 40, 0..40)) {
        let shape = Shape::new(log2_columns, rounds).expect("within bounds");
        let rows: Vec<_> = rows.into_iter().map(RowIndex).collect();
        for &backend in Backend::available() {
            check_rows(shape, &PlotKey(key), &rows, |s, k, r| rows_of(backend, s, k, r)).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn any_strip(
        strip in prop::collection::vec(any::<[u8; 32]>(), 0..70),
        challenges in prop::collection::vec(any::<[u8; 32]>(), 1..=8),
        first_row in 0u64..1 << 40,
        target: [u8; 32],
    ) {
        let challenges: Vec<_> = challenges.into_iter().map(Challenge).collect();
        let mut want = vec![None; challenges.len()];
        Backend::PORTABLE.score_best(&challenges, &strip, first_row, &mut want);
        let hits = hits_of(Backend::PORTABLE, &challenges, &Target(target), &strip, first_row);
        for &backend in Backend::available() {
            let mut got = vec![None; challenges.len()];
            backend.score_best(&challenges, &strip, first_row, &mut got);
            prop_assert_eq!(&got, &want);
            prop_assert_eq!(&hits_of(backend, &challenges, &Target(target), &strip, first_row), &hits);
        }
    }
}
