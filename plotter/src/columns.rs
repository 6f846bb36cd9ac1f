//! Sets of columns: a bit each.

use std::ops::Range;

/// Some of a plot's columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnSet {
    columns: usize,
    words: Vec<u64>,
}

impl ColumnSet {
    /// None of `columns` columns.
    pub(crate) fn new(columns: usize) -> Self {
        Self { columns, words: vec![0; columns.div_ceil(64)] }
    }

    /// All of `columns` columns.
    pub(crate) fn all(columns: usize) -> Self {
        (0..columns).fold(Self::new(columns), |mut set, column| {
            set.insert(column);
            set
        })
    }

    pub(crate) fn insert(&mut self, column: usize) {
        assert!(column < self.columns, "the column is one of the plot's");
        self.words[column / 64] |= 1 << (column % 64);
    }

    pub(crate) fn contains(&self, column: usize) -> bool {
        self.words[column / 64] >> (column % 64) & 1 == 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub(crate) fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// In ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        (0..self.columns).filter(|column| self.contains(*column))
    }

    /// Runs of neighbours, in ascending order.
    pub(crate) fn runs(&self) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for column in self.iter() {
            match runs.last_mut() {
                Some(run) if run.end == column => run.end += 1,
                _ => runs.push(column..column + 1),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_the_neighbours() {
        let mut set = ColumnSet::new(130);
        assert!(set.is_empty());
        for column in [0, 1, 63, 64, 65, 129] {
            set.insert(column);
        }
        assert_eq!(set.runs(), [0..2, 63..66, 129..130]);
        assert_eq!((set.len(), set.contains(64), set.contains(66)), (6, true, false));
        assert_eq!(ColumnSet::all(130).runs().first(), Some(&(0..130)));
    }
}
