//! One row and one leaf at a time, without instructions that some CPU lacks:
//! what every other backend is compared with, and what runs where no other
//! does (aarch64 for now). Plain Rust throughout, but for the compression that
//! grows rows on x86-64, which a test compares with the plain one.

use crate::merkle::Cell;
use crate::plot::{PlotKey, RowIndex, Shape};
use crate::score::{Best, Challenge, Hit, Score, Target};
use crate::sha256::{INITIAL, PADDING_64, State, bytes_of, compress, words_of};
use crate::table::CellTable;

/// A single stream's compression, as fast as it is had without SHA
/// instructions: assembly on x86-64 (`benches/RESULTS.md` has the numbers),
/// which takes bytes.
#[cfg(all(target_arch = "x86_64", unix))]
fn compress_single(state: &mut State, block: &[u32; 16]) {
    let bytes: [u8; 64] = bytemuck::must_cast(block.map(u32::to_be));
    sha2_asm::compress256(state, &[bytes]);
}

#[cfg(not(all(target_arch = "x86_64", unix)))]
use crate::sha256::compress as compress_single;

/// Grows one row into `table`, whose cells are words in column order (PROTOCOL §2).
#[inline]
fn grow(compress: impl Fn(&mut State, &[u32; 16]), shape: Shape, key: &PlotKey, row: RowIndex, table: &mut [State]) {
    let mask = shape.columns() - 1;
    let mut block = key.expand_block(row);
    let mut last = key.first_cell(row);
    assert_eq!(table.len(), shape.columns(), "a table is made for one shape");
    table[0] = last;
    for (i, cell) in table.iter_mut().enumerate().skip(1) {
        block[10] = i as u32;
        compress(&mut last, &block);
        *cell = last;
    }
    for _ in 0..shape.rounds() {
        for i in 0..=mask {
            let j = table[i.wrapping_sub(2) & mask][0] as usize & mask;
            block[..8].copy_from_slice(&table[i]);
            block[8..].copy_from_slice(&table[j]);
            compress(&mut last, &block);
            table[i] = last;
        }
    }
}

/// SHA-256 of the 64 bytes `left || right`.
fn hash_64(left: &State, right: &State) -> State {
    let mut block = [0; 16];
    block[..8].copy_from_slice(left);
    block[8..].copy_from_slice(right);
    let mut state = INITIAL;
    compress(&mut state, &block);
    compress(&mut state, &PADDING_64);
    state
}

fn hash_node(left: &Cell, right: &Cell) -> Cell {
    bytes_of(&hash_64(&words_of(left), &words_of(right)))
}

fn score(challenge: &State, cell: &Cell) -> Score {
    Score(bytes_of(&hash_64(challenge, &words_of(cell))))
}

pub(crate) fn score_best(challenges: &[Challenge], strip: &[Cell], first_row: u64, best: &mut [Option<Best>]) {
    for (challenge, best) in challenges.iter().zip(best) {
        let challenge = words_of(&challenge.0);
        for (row, cell) in (first_row..).zip(strip) {
            let found = Best { row, score: score(&challenge, cell) };
            if best.is_none_or(|best| found.beats(&best)) {
                *best = Some(found);
            }
        }
    }
}

pub(crate) fn score_below(
    challenges: &[Challenge],
    target: &Target,
    strip: &[Cell],
    first_row: u64,
    hits: &mut Vec<Hit>,
) {
    for (row, cell) in (first_row..).zip(strip) {
        for (index, challenge) in challenges.iter().enumerate() {
            let score = score(&words_of(&challenge.0), cell);
            if target.is_met_by(&score) {
                hits.push(Hit { row, challenge: index, score });
            }
        }
    }
}

/// The rows, one after another, into the lanes of `table`.
pub(crate) fn grow_lanes(shape: Shape, rows: &[(PlotKey, RowIndex)], table: &mut CellTable) {
    for (key, row) in rows {
        grow(compress_single, shape, key, *row, table.cells_mut());
    }
}

pub(crate) fn hash_pairs(pairs: &[[Cell; 2]], nodes: &mut [Cell]) {
    for (pair, node) in pairs.iter().zip(nodes) {
        *node = hash_node(&pair[0], &pair[1]);
    }
}

pub(crate) fn hash_nodes(left: &[Cell], right: &[Cell], nodes: &mut [Cell]) {
    for ((left, right), node) in left.iter().zip(right).zip(nodes) {
        *node = hash_node(left, right);
    }
}

/// `times` compressions of each state, each of another block and upon the one before.
pub(crate) fn compress_chains(states: &mut [State], blocks: &[[u32; 16]], times: usize) {
    for state in states {
        for block in blocks.iter().cycle().take(times) {
            compress(state, block);
        }
    }
}

/// The words of `cells` as bytes.
pub(crate) fn export(cells: &[State], bytes: &mut [Cell]) {
    for (bytes, cell) in bytes.iter_mut().zip(cells) {
        *bytes = bytes_of(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(compress: impl Fn(&mut State, &[u32; 16])) -> Vec<State> {
        let shape = Shape::new(6, 5).expect("within bounds");
        let mut table = vec![[0; 8]; shape.columns()];
        grow(compress, shape, &PlotKey([3; 32]), RowIndex(1 << 33), &mut table);
        table
    }

    #[test]
    fn rows_are_those_of_plain_rust() {
        assert_eq!(row_of(compress_single), row_of(compress));
    }

    #[test]
    fn a_wrong_compression_makes_another_row() {
        let wrong = |state: &mut State, block: &[u32; 16]| {
            compress(state, block);
            state[7] ^= 1;
        };
        assert_ne!(row_of(wrong), row_of(compress));
    }
}
