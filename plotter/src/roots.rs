//! Subtree roots of all columns at once, folded as rows come in (PROTOCOL §3).

use rayon::prelude::*;
use spacetime_kernels::{Backend, Cell, zero_subtree};

/// Nodes of one level, one for each column.
pub(crate) type ColumnNodes = Vec<Cell>;

/// `node(left[c], right[c])` for every column, on all threads of the pool.
pub(crate) fn join(backend: Backend, left: &[Cell], right: &[Cell]) -> ColumnNodes {
    /// Cells hashed in one go: enough to keep a thread busy for some microseconds.
    const CHUNK: usize = 512;
    let mut nodes = vec![[0; 32]; left.len()];
    nodes
        .par_chunks_mut(CHUNK)
        .zip(left.par_chunks(CHUNK).zip(right.par_chunks(CHUNK)))
        .for_each(|(nodes, (left, right))| backend.hash_nodes(left, right, nodes));
    nodes
}

/// Joins with the zero subtree of the same level.
fn join_zero(backend: Backend, left: &[Cell], level: u32) -> ColumnNodes {
    join(backend, left, &vec![zero_subtree(level); left.len()])
}

/// What is called with the subtree roots of each segment, in segment order.
pub(crate) trait SegmentRoots: FnMut(&[Cell]) {}
impl<F: FnMut(&[Cell])> SegmentRoots for F {}

/// Folds consecutive runs of rows, all of the same level `from`, into one of
/// level `to`, padding with zeros, and hands out what passes `segment_level`
/// (if that lies above `from`) on the way.
pub(crate) fn fold_runs(
    backend: Backend,
    mut runs: Vec<ColumnNodes>,
    from: u32,
    to: u32,
    segment_level: u32,
    mut segment_roots: impl SegmentRoots,
) -> ColumnNodes {
    for level in from..to {
        runs = runs
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => join(backend, left, right),
                [left] => join_zero(backend, left, level),
                _ => unreachable!("chunks of two hold one or two"),
            })
            .collect();
        if level + 1 == segment_level {
            runs.iter().for_each(|roots| segment_roots(roots));
        }
    }
    assert_eq!(runs.len(), 1, "the runs fit the levels");
    runs.remove(0)
}

/// The whole subtrees of the rows so far, largest first: the digits of a
/// binary counter. Any row of PROTOCOL §3's tree follows from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RootStack {
    /// Level and nodes; levels fall strictly.
    pub(crate) entries: Vec<(u32, ColumnNodes)>,
}

impl RootStack {
    /// Appends the subtree of the rows that follow, and hands out what comes to stand at `segment_level`.
    pub(crate) fn push(
        &mut self,
        backend: Backend,
        level: u32,
        nodes: ColumnNodes,
        segment_level: u32,
        mut segment_roots: impl SegmentRoots,
    ) {
        assert!(self.entries.last().is_none_or(|(last, _)| *last >= level), "rows come in whole aligned runs");
        let mut top = (level, nodes);
        while let Some((_, left)) = self.entries.pop_if(|(last, _)| *last == top.0) {
            top = (top.0 + 1, join(backend, &left, &top.1));
            if top.0 == segment_level {
                segment_roots(&top.1);
            }
        }
        self.entries.push(top);
    }

    /// Pads with zeros to one node a column at `depth`, and hands out the last
    /// segment's roots if they were not whole before.
    pub(crate) fn finish(
        &self,
        backend: Backend,
        depth: u32,
        segment_level: u32,
        mut segment_roots: impl SegmentRoots,
    ) -> ColumnNodes {
        let mut entries = self.entries.clone();
        let (mut level, mut nodes) = entries.pop().expect("a plot has a row");
        while level < depth {
            nodes = match entries.pop_if(|(last, _)| *last == level) {
                Some((_, left)) => join(backend, &left, &nodes),
                None => join_zero(backend, &nodes, level),
            };
            level += 1;
            if level == segment_level {
                segment_roots(&nodes);
            }
        }
        assert!(entries.is_empty(), "the rows fit the depth");
        nodes
    }
}

#[cfg(test)]
mod tests {
    use spacetime_prover::tree;

    use super::*;

    /// Every number of rows up to 40 in runs of 1, 2 and 4, against the plain tree.
    #[test]
    fn stack_and_tree_agree() {
        let backend = Backend::PORTABLE;
        let cells: Vec<Cell> = (0..40u8).map(|row| [row + 1; 32]).collect();
        for log2_run in 0..3u32 {
            for rows in 1..=40usize {
                let depth = tree::ceil_log2(rows as u64);
                for segment_level in log2_run..6 {
                    if log2_run > depth {
                        continue;
                    }
                    let segment_level = segment_level.min(depth);
                    let mut stack = RootStack::default();
                    let mut segments = Vec::new();
                    let mut record = |roots: &[Cell]| segments.push(roots[0]);
                    for run in cells[..rows].chunks(1 << log2_run) {
                        let root = tree::root(backend, run, 0, log2_run);
                        if log2_run == segment_level {
                            record(&[root]);
                        }
                        stack.push(backend, log2_run, vec![root], segment_level, &mut record);
                    }
                    let whole = stack.finish(backend, depth, segment_level, &mut record);
                    assert_eq!(whole, [tree::root(backend, &cells[..rows], 0, depth)]);
                    let expected: Vec<_> = cells[..rows]
                        .chunks(1 << segment_level)
                        .map(|segment| tree::root(backend, segment, 0, segment_level))
                        .collect();
                    assert_eq!(segments, expected, "{rows} rows, runs of 2^{log2_run}, segments of 2^{segment_level}");
                }
            }
        }
    }

    #[test]
    fn folded_runs_are_the_tree() {
        let backend = Backend::PORTABLE;
        for runs in 1..=8usize {
            let nodes: Vec<ColumnNodes> = (0..runs).map(|run| vec![[run as u8; 32], [100 + run as u8; 32]]).collect();
            let folded =
                fold_runs(backend, nodes.clone(), 2, 5, 2, |_: &[Cell]| panic!("level 2 is where they come from"));
            for column in 0..2 {
                let nodes: Vec<_> = nodes.iter().map(|run| run[column]).collect();
                assert_eq!(folded[column], tree::root(backend, &nodes, 2, 3));
            }
        }
    }
}
