//! Subtrees that were written before the rows in front of them: they are noted
//! down once those are there, and grow together meanwhile so that few are held.

use std::collections::BTreeMap;

use spacetime_kernels::{Backend, Cell};

use crate::roots::{ColumnNodes, join};
use crate::trailer::Progress;

/// A piece, as a slot of the trailer names the last one.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) start: u64,
    pub(crate) level: u32,
    pub(crate) roots: ColumnNodes,
}

/// One piece, or a subtree of several.
#[derive(Debug)]
struct Node {
    end: u64,
    level: u32,
    /// Roots of the whole; those of `last`, if they are none.
    roots: Option<ColumnNodes>,
    last: Leaf,
}

impl Node {
    fn roots(&self) -> &[Cell] {
        self.roots.as_ref().unwrap_or(&self.last.roots)
    }
}

/// Rows that are on the disk while rows before them are not.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    by_start: BTreeMap<u64, Node>,
}

impl Waiting {
    /// Bytes that one of them takes, for rows of `row_bytes`.
    pub(crate) fn bytes(row_bytes: usize) -> u64 {
        2 * row_bytes as u64
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_start.len()
    }

    /// Adds a piece that ends before row `end`, and moves to `progress` what
    /// follows on it without a gap. Every subtree that comes to stand at
    /// `segment_level` on the way is handed out with one of its rows.
    pub(crate) fn add(
        &mut self,
        backend: Backend,
        leaf: Leaf,
        end: u64,
        progress: &mut Progress,
        segment_level: u32,
        mut segment_roots: impl FnMut(u64, &[Cell]),
    ) {
        let start = leaf.start;
        let node = Node { end, level: leaf.level, roots: None, last: leaf };
        if start == progress.rows_done {
            advance(backend, node, progress, segment_level, &mut segment_roots);
        } else {
            self.put(backend, start, node, segment_level, &mut segment_roots);
        }
        while let Some(node) = self.by_start.remove(&progress.rows_done) {
            advance(backend, node, progress, segment_level, &mut segment_roots);
        }
    }

    /// Joins `node` with its other half as often as that is there.
    fn put(
        &mut self,
        backend: Backend,
        mut start: u64,
        mut node: Node,
        segment_level: u32,
        segment_roots: &mut impl FnMut(u64, &[Cell]),
    ) {
        loop {
            let other = start ^ (1 << node.level);
            if self.by_start.get(&other).is_none_or(|other| other.level != node.level) {
                break;
            }
            let other_node = self.by_start.remove(&other).expect("it was just looked at");
            let (left, right) = if other < start { (other_node, node) } else { (node, other_node) };
            let (level, roots) = (left.level + 1, join(backend, left.roots(), right.roots()));
            start = start.min(other);
            if level == segment_level {
                segment_roots(start, &roots);
            }
            node = Node { end: right.end, level, roots: Some(roots), last: right.last };
        }
        self.by_start.insert(start, node);
    }
}

/// Appends `node` to the rows that are done.
fn advance(
    backend: Backend,
    node: Node,
    progress: &mut Progress,
    segment_level: u32,
    segment_roots: &mut impl FnMut(u64, &[Cell]),
) {
    let start = progress.rows_done;
    let nodes = node.roots().to_vec();
    progress.stack.push(backend, node.level, nodes, segment_level, |roots: &[Cell]| segment_roots(start, roots));
    progress.rows_done = node.end;
    (progress.last_start, progress.last_level, progress.last_roots) =
        (node.last.start, node.last.level, node.last.roots);
}

#[cfg(test)]
mod tests;
