//! Plain Rust, one row and one leaf at a time: what every other backend is
//! compared with, and what runs where no other does (aarch64 for now).

use crate::merkle::Cell;
use crate::plot::{PlotKey, RowIndex, Shape};
use crate::score::{Best, Challenge, Hit, Score, Target};
use crate::sha256::{INITIAL, PADDING_64, State, bytes_of, compress, words_of};
use crate::table::CellTable;

/// Grows one row into `table`, whose cells are words in column order (PROTOCOL §2).
pub(crate) fn grow(shape: Shape, key: &PlotKey, row: RowIndex, table: &mut [State]) {
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
        grow(shape, key, *row, table.cells_mut());
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
