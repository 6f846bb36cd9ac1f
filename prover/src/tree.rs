//! Merkle trees over cells in memory (PROTOCOL §3).

use spacetime_kernels::{Backend, Cell, hash_node, zero_subtree};

/// `ceil(log2(n))`, the depth of a tree over `n` leaves.
///
/// # Panics
/// If `n` is zero.
#[must_use]
pub fn ceil_log2(n: u64) -> u32 {
    assert!(n > 0, "a tree has a leaf");
    u64::BITS - (n - 1).leading_zeros()
}

/// Root over `nodes`, each of which stands `level` levels above the cells,
/// padded with zero subtrees to `depth` levels above the nodes.
///
/// # Panics
/// If there is no node, or more than `2^depth`.
#[must_use]
pub fn root(backend: Backend, nodes: &[Cell], level: u32, depth: u32) -> Cell {
    climb(backend, nodes, level, depth, |_, _| ())
}

/// Siblings bottom-up of node `index`, and the root they lead to; for the rest see [`root`].
///
/// # Panics
/// As [`root`], and if `index` is out of range.
#[must_use]
pub fn path(backend: Backend, nodes: &[Cell], index: usize, level: u32, depth: u32) -> (Vec<Cell>, Cell) {
    assert!(index < nodes.len(), "the node is one of the nodes");
    let mut siblings = Vec::with_capacity(depth as usize);
    let root = climb(backend, nodes, level, depth, |nodes, k| {
        let sibling = (index >> k) ^ 1;
        siblings.push(nodes.get(sibling).copied().unwrap_or_else(|| zero_subtree(level + k)));
    });
    (siblings, root)
}

/// The node that `leaf` and its `siblings` lead to: bit k of `index` is 0
/// where the node is the left child at level k.
#[must_use]
pub fn fold(leaf: &Cell, index: u64, siblings: &[Cell]) -> Cell {
    siblings.iter().enumerate().fold(*leaf, |node, (k, sibling)| {
        if index.checked_shr(k as u32).unwrap_or(0) & 1 == 0 {
            hash_node(&node, sibling)
        } else {
            hash_node(sibling, &node)
        }
    })
}

/// Shows each level, bottom-up and without the root, to `see`, and returns the root.
fn climb(backend: Backend, nodes: &[Cell], level: u32, depth: u32, mut see: impl FnMut(&[Cell], u32)) -> Cell {
    assert!(!nodes.is_empty(), "a tree has a leaf");
    assert!(depth >= ceil_log2(nodes.len() as u64), "{} nodes do not fit {depth} levels", nodes.len());
    let mut below = nodes.to_vec();
    let mut above = Vec::with_capacity(nodes.len().div_ceil(2));
    for k in 0..depth {
        see(&below, k);
        if below.len() % 2 == 1 {
            below.push(zero_subtree(level + k));
        }
        above.clear();
        above.resize(below.len() / 2, [0; 32]);
        backend.hash_pairs(below.as_chunks().0, &mut above);
        std::mem::swap(&mut below, &mut above);
    }
    below[0]
}
