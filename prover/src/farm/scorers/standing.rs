//! Whether a bulk scorer is worth using: judged by what it took for real
//! blocks, uploads included, and what one CPU thread took for the same blocks.

use std::time::Duration;

/// Comparisons in a row that it may lose: the first block also warms it up.
const TRIES: u32 = 3;

/// Blocks scored without the CPU between two comparisons.
const BLOCKS_BETWEEN_COMPARISONS: u32 = 64;

/// Searches after which one that lost is tried again: machines change.
const SEARCHES_ASIDE: u32 = 32;

/// Longest that a block is waited for beyond what is measured: a thread that is
/// not run for a moment is no sign of a fault.
const LEAST_PATIENCE: Duration = Duration::from_millis(20);

/// One block, scored by both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Cells of the block: at least one.
    pub(crate) cells: usize,
    /// What the bulk scorer took.
    pub(crate) bulk: Duration,
    /// What one CPU thread took.
    pub(crate) cpu: Duration,
}

impl Comparison {
    fn is_won(&self) -> bool {
        self.bulk <= self.cpu
    }

    /// What a CPU thread takes for so many cells.
    fn cpu_time(&self, cells: usize) -> Duration {
        self.cpu.mul_f64(cells as f64 / self.cells as f64)
    }

    /// Fewest cells for which it wins for certain: fewer take the bulk scorer no
    /// longer than these did, and a CPU thread so much.
    fn least_cells(&self) -> usize {
        let cells = (self.cells as u128 * self.bulk.as_nanos()).div_ceil(self.cpu.as_nanos().max(1));
        usize::try_from(cells).unwrap_or(usize::MAX)
    }
}

/// What is done with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// The CPU scores it.
    Cpu,
    /// Both score it, and are compared.
    Both,
    /// The bulk scorer does.
    Bulk,
}

/// What is known of one bulk scorer for one number of challenges.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    last: Option<Comparison>,
    /// Comparisons lost in a row.
    lost: u32,
    /// Blocks it scored since the last comparison.
    blocks: u32,
    searches_aside: u32,
}

impl Standing {
    /// A search begins.
    pub(crate) fn begin_search(&mut self) {
        self.searches_aside += u32::from(self.has_lost());
        if self.searches_aside > SEARCHES_ASIDE {
            *self = Self::default();
        }
    }

    /// What to do with a block of so many cells.
    pub(crate) fn use_for(&self, cells: usize) -> Use {
        let Some(last) = self.last else { return Use::Both };
        match self.lost {
            // It loses on smaller blocks all the more, and may win on larger ones.
            TRIES.. if cells >= last.cells.saturating_mul(2) => Use::Both,
            1..TRIES if cells >= last.cells.div_ceil(2) => Use::Both,
            0 if cells < last.least_cells() => Use::Cpu,
            0 if self.blocks >= BLOCKS_BETWEEN_COMPARISONS => Use::Both,
            0 => Use::Bulk,
            _ => Use::Cpu,
        }
    }

    /// Whether any block of at most so many cells is of use to it.
    pub(crate) fn has_use_for_any(&self, most_cells: usize) -> bool {
        self.use_for(most_cells) != Use::Cpu
    }

    /// Both scored a block.
    pub(crate) fn compared(&mut self, comparison: Comparison) {
        let lost_before = if self.has_lost() { 0 } else { self.lost };
        let lost = if comparison.is_won() { 0 } else { lost_before + 1 };
        *self = Self { last: Some(comparison), lost, blocks: 0, searches_aside: 0 };
    }

    /// It scored a block by itself, and took or was given so long.
    pub(crate) fn scored(&mut self, cells: usize, bulk: Duration) {
        let Some(last) = self.last else { return };
        let comparison = Comparison { cells, bulk, cpu: last.cpu_time(cells) };
        if comparison.is_won() {
            self.blocks += 1;
        } else if self.lost == 0 {
            self.compared(comparison);
        }
    }

    /// How long a block may take it before a CPU thread scores it after all.
    pub(crate) fn patience(&self, cells: usize) -> Duration {
        (2 * self.cpu_time(cells)).max(LEAST_PATIENCE)
    }

    /// How much time there must be before the deadline for the CPU to take over
    /// when patience ends.
    pub(crate) fn least_time_left(&self, cells: usize) -> Duration {
        self.patience(cells) + 2 * self.cpu_time(cells)
    }

    /// The comparison that it lost for good.
    pub(crate) fn lost(&self) -> Option<Comparison> {
        self.last.filter(|_| self.has_lost())
    }

    /// Whether it was ever compared.
    pub(crate) fn is_known(&self) -> bool {
        self.last.is_some()
    }

    fn has_lost(&self) -> bool {
        self.lost >= TRIES
    }

    fn cpu_time(&self, cells: usize) -> Duration {
        self.last.map_or(Duration::ZERO, |last| last.cpu_time(cells))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn comparison(cells: usize, bulk: u32, cpu: u32) -> Comparison {
        Comparison { cells, bulk: bulk * MS, cpu: cpu * MS }
    }

    fn after(comparisons: &[Comparison]) -> Standing {
        let mut standing = Standing::default();
        comparisons.iter().for_each(|&comparison| standing.compared(comparison));
        standing
    }

    #[test]
    fn a_winner_gets_blocks_that_are_large_enough() {
        assert_eq!(Standing::default().use_for(1), Use::Both);
        // A tenth of the time: a tenth of the cells take the CPU as long.
        let standing = after(&[comparison(1000, 1, 10)]);
        for (cells, used) in [(1, Use::Cpu), (99, Use::Cpu), (100, Use::Bulk), (1000, Use::Bulk), (9000, Use::Bulk)] {
            assert_eq!(standing.use_for(cells), used, "{cells}");
        }
        assert!(standing.has_use_for_any(100) && !standing.has_use_for_any(99));
        // As fast as a CPU thread is fast enough, on blocks as large.
        let even = after(&[comparison(1000, 10, 10)]);
        assert_eq!((even.use_for(999), even.use_for(1000)), (Use::Cpu, Use::Bulk));
        // A clock too coarse to tell them apart.
        assert_eq!(after(&[comparison(1000, 0, 0)]).use_for(1), Use::Bulk);
    }

    #[test]
    fn it_may_warm_up_but_not_lose_again_and_again() {
        let loss = comparison(1000, 11, 10);
        for losses in 1..TRIES as usize {
            let standing = after(&vec![loss; losses]);
            assert_eq!((standing.use_for(1000), standing.use_for(499), standing.lost()), (Use::Both, Use::Cpu, None));
        }
        let lost = after(&[loss; TRIES as usize]);
        assert_eq!((lost.use_for(1999), lost.use_for(2000)), (Use::Cpu, Use::Both));
        assert_eq!(lost.lost(), Some(loss));
        // On larger blocks it has all its tries.
        let mut larger = lost;
        larger.compared(comparison(2000, 21, 20));
        assert_eq!((larger.lost(), larger.use_for(2000)), (None, Use::Both));
        larger.compared(comparison(2000, 20, 20));
        assert_eq!(larger.use_for(2000), Use::Bulk);
    }

    #[test]
    fn one_that_lost_is_tried_again_after_some_searches() {
        let mut standing = after(&[comparison(1000, 11, 10); TRIES as usize]);
        for _ in 0..SEARCHES_ASIDE {
            standing.begin_search();
            assert_eq!(standing.use_for(1000), Use::Cpu);
        }
        standing.begin_search();
        assert_eq!(standing.use_for(1000), Use::Both);
        // The control: one that wins is not forgotten.
        let mut winner = after(&[comparison(1000, 1, 10)]);
        (0..=2 * SEARCHES_ASIDE).for_each(|_| winner.begin_search());
        assert_eq!(winner.use_for(1000), Use::Bulk);
    }

    #[test]
    fn a_winner_is_compared_now_and_then_and_when_it_gets_slow() {
        let mut standing = after(&[comparison(1000, 1, 10)]);
        for _ in 0..BLOCKS_BETWEEN_COMPARISONS {
            assert_eq!(standing.use_for(1000), Use::Bulk);
            standing.scored(1000, 10 * MS);
        }
        assert_eq!(standing.use_for(1000), Use::Both);
        standing.compared(comparison(1000, 1, 10));
        assert_eq!(standing.use_for(1000), Use::Bulk);
        standing.scored(500, 6 * MS);
        assert_eq!((standing.use_for(1000), standing.lost()), (Use::Both, None));
        standing.compared(comparison(1000, 1, 10));
        assert_eq!(standing.use_for(1000), Use::Bulk);
    }

    #[test]
    fn patience_and_the_time_before_a_deadline_follow_the_cpu() {
        let standing = after(&[comparison(1000, 10, 100)]);
        assert_eq!((standing.patience(1000), standing.least_time_left(1000)), (200 * MS, 400 * MS));
        assert_eq!(standing.patience(10), LEAST_PATIENCE);
        assert_eq!(Standing::default().least_time_left(1000), LEAST_PATIENCE);
        // Whoever uses it up has lost.
        let mut late = standing;
        late.scored(1000, standing.patience(1000));
        assert_eq!(late.use_for(1000), Use::Both);
    }
}
