//! What an adapter has to get right before it is used: rows, roots and
//! scores, as the portable CPU backend has them.

use std::fmt;

use thiserror::Error;

use crate::backend::Backend;
use crate::bulk::{BulkError, BulkScorer, BulkWork, Lot, Part, Proceed, Run};
use crate::gpu::grower::GpuGrower;
use crate::gpu::scorer::GpuScorer;
use crate::grower::Grower;
use crate::merkle::Cell;
use crate::plot::{PlotKey, RowIndex, Shape};
use crate::score::{Best, Challenge, MAX_CHALLENGES};
use crate::tagged::tagged_hash;

/// The first thing in which an adapter differs from the CPU.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelfTestError {
    /// A cell.
    #[error("p={log2_columns} R={rounds}, row {row}, column {column}: cell {got} instead of {want}")]
    Cell {
        /// `p` of the row.
        log2_columns: u8,
        /// `R` of the row.
        rounds: u8,
        /// The row.
        row: u64,
        /// The column.
        column: usize,
        /// What the adapter has.
        got: Hex,
        /// What the CPU has.
        want: Hex,
    },
    /// A subtree root.
    #[error("p={log2_columns} R={rounds}, rows from {row} on, column {column}: root {got} instead of {want}")]
    Root {
        /// `p` of the rows.
        log2_columns: u8,
        /// `R` of the rows.
        rounds: u8,
        /// The first row below the root.
        row: u64,
        /// The column.
        column: usize,
        /// What the adapter has.
        got: Hex,
        /// What the CPU has.
        want: Hex,
    },
    /// A best leaf.
    #[error("of {cells} cells, challenge {challenge}: best is {got} instead of {want}")]
    Score {
        /// Cells scored.
        cells: usize,
        /// Which challenge.
        challenge: usize,
        /// What the adapter has.
        got: String,
        /// What the CPU has.
        want: String,
    },
    /// Something is missing.
    #[error("p={log2_columns} R={rounds}: {cells} of {wanted} cells were handed over")]
    Missing {
        /// `p` of the rows.
        log2_columns: u8,
        /// `R` of the rows.
        rounds: u8,
        /// Cells that came.
        cells: usize,
        /// Cells that should have come.
        wanted: usize,
    },
}

/// 32 bytes, printed as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex(pub Cell);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a self-test failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Bulk(BulkError),
    Differs(SelfTestError),
}

impl From<BulkError> for Failure {
    fn from(error: BulkError) -> Self {
        Self::Bulk(error)
    }
}

/// `p`, `R`, rows that each table has room for, and rows of the runs. The last takes more steps a row than
/// Mesa's software Vulkan grants an invocation loop iterations.
const GROWN: [(u8, u8, u32, &[usize]); 4] =
    [(4, 1, 9, &[1, 8, 3]), (6, 5, 70, &[16, 33, 1]), (8, 3, 64, &[64, 5]), (12, 16, 2, &[2])];

/// Grows some rows of several shapes on the grower's device, and compares every cell and root.
pub(crate) fn growing(grower: &GpuGrower) -> Result<(), Failure> {
    for (log2_columns, rounds, rows_each, runs) in GROWN {
        let shape = Shape::new(log2_columns, rounds).expect("within the protocol's bounds");
        // Every table is used, the last of them not full.
        let room = (rows_each * grower.tables()) as usize;
        let mut rows: Vec<usize> = runs.to_vec();
        let spare = room.saturating_sub(rows.iter().sum::<usize>() + 1);
        rows.extend(Some(spare).filter(|spare| *spare > 0));
        let mut test = Test::new(shape, rows);
        grower.grown_by(shape, rows_each.max(test.rows().div_ceil(grower.tables() as usize) as u32), &mut test)?;
        test.finish()?;
    }
    Ok(())
}

/// Takes one lot and compares it.
struct Test {
    shape: Shape,
    key: PlotKey,
    lot: Option<Lot>,
    runs: Vec<Run>,
    cells: usize,
    /// Column by column, as the CPU grew them.
    expected: Vec<Cell>,
    difference: Option<SelfTestError>,
}

/// Beyond 32 bits, so that both halves of a row's number count.
const FIRST_ROW: u64 = (3 << 32) - 5;

impl Test {
    fn new(shape: Shape, rows: Vec<usize>) -> Self {
        let key = PlotKey(tagged_hash("spacetime/self-test/v1", &[&[shape.log2_columns(), shape.rounds()]]));
        let run = |rows: usize| Run { rows, level: rows.next_power_of_two().ilog2() };
        let runs: Vec<Run> = rows.into_iter().map(run).collect();
        let lot = Lot { first_row: RowIndex(FIRST_ROW), runs: runs.clone() };
        let indices: Vec<_> = (FIRST_ROW..).take(lot.rows()).map(RowIndex).collect();
        let mut expected = vec![[0; 32]; shape.columns() * indices.len()];
        Grower::new(Backend::PORTABLE, shape).grow(&key, &indices, &mut expected);
        Self { shape, key, lot: Some(lot), runs, cells: 0, expected, difference: None }
    }

    fn rows(&self) -> usize {
        self.runs.iter().map(|run| run.rows).sum()
    }

    /// The CPU's strip of a run, padded.
    fn strip(&self, run: usize, column: usize) -> Vec<Cell> {
        let first: usize = self.runs[..run].iter().map(|run| run.rows).sum();
        let rows = self.rows();
        let mut strip = self.expected[column * rows + first..][..self.runs[run].rows].to_vec();
        strip.resize(self.runs[run].padded_rows(), [0; 32]);
        strip
    }

    fn compare(&mut self, part: &Part<'_>) -> Option<SelfTestError> {
        let padded_rows = self.runs[part.run].padded_rows();
        let (log2_columns, rounds) = (self.shape.log2_columns(), self.shape.rounds());
        let first_row = FIRST_ROW + self.runs[..part.run].iter().map(|run| run.rows as u64).sum::<u64>();
        self.cells += part.strips.len();
        let strips = part.strips.chunks(padded_rows);
        for ((column, got), root) in part.columns.clone().zip(strips).zip(part.roots) {
            let want = self.strip(part.run, column);
            if let Some(place) = (0..padded_rows).find(|place| got[*place] != want[*place]) {
                let (got, want) = (Hex(got[place]), Hex(want[place]));
                let row = first_row + place as u64;
                return Some(SelfTestError::Cell { log2_columns, rounds, row, column, got, want });
            }
            let want = subtree_root(want);
            if *root != want {
                let (got, want) = (Hex(*root), Hex(want));
                return Some(SelfTestError::Root { log2_columns, rounds, row: first_row, column, got, want });
            }
        }
        None
    }

    fn finish(self) -> Result<(), Failure> {
        let wanted = self.runs.iter().map(|run| run.padded_rows()).sum::<usize>() * self.shape.columns();
        let (log2_columns, rounds, cells) = (self.shape.log2_columns(), self.shape.rounds(), self.cells);
        let missing = (cells != wanted).then_some(SelfTestError::Missing { log2_columns, rounds, cells, wanted });
        self.difference.or(missing).map_or(Ok(()), |difference| Err(Failure::Differs(difference)))
    }
}

fn subtree_root(mut nodes: Vec<Cell>) -> Cell {
    while nodes.len() > 1 {
        let mut above = vec![[0; 32]; nodes.len() / 2];
        Backend::PORTABLE.hash_pairs(nodes.as_chunks().0, &mut above);
        nodes = above;
    }
    nodes[0]
}

impl BulkWork for Test {
    fn next(&mut self, _: usize) -> Option<(PlotKey, Lot)> {
        Some((self.key, self.lot.take()?))
    }

    fn take(&mut self, part: Part<'_>) -> Proceed {
        self.difference = self.compare(&part);
        if self.difference.is_some() { Proceed::Stop } else { Proceed::GoOn }
    }

    fn proceed(&mut self) -> Proceed {
        Proceed::GoOn
    }
}

/// Cells that are scored: one, a workgroup's and one more, several workgroups'.
const SCORED: [usize; 4] = [1, 64, 513, 3000];

/// Scores some strips, and compares the best leaves.
pub(crate) fn scoring(scorer: &mut GpuScorer) -> Result<(), Failure> {
    for cells in SCORED {
        let made = |tag, count: usize| (0..count).map(move |number| tagged_hash(tag, &[&number.to_le_bytes()]));
        let strip: Vec<Cell> = made("spacetime/self-test/v1", cells).collect();
        let challenges: Vec<_> = made("spacetime/self-test/v2", MAX_CHALLENGES).map(Challenge).collect();
        let challenges = &challenges[..1 + cells % MAX_CHALLENGES];
        let mut want = vec![None; challenges.len()];
        Backend::PORTABLE.score_best(challenges, &strip, FIRST_ROW, &mut want);
        let mut got = vec![None; challenges.len()];
        scorer.score_best(challenges, &strip, FIRST_ROW, &mut got)?;
        if let Some(challenge) = (0..challenges.len()).find(|place| got[*place] != want[*place]) {
            let (got, want) = (in_words(got[challenge]), in_words(want[challenge]));
            return Err(Failure::Differs(SelfTestError::Score { cells, challenge, got, want }));
        }
    }
    Ok(())
}

fn in_words(best: Option<Best>) -> String {
    best.map_or("none".to_owned(), |best| format!("{} in row {}", Hex(best.score.0), best.row))
}
