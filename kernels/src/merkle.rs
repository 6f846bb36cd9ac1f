//! Merkle nodes one at a time (PROTOCOL §3). Many at once: [`crate::Backend::hash_pairs`].

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

/// 32 bytes: a leaf of a plot's Merkle tree, or a node of it.
pub type Cell = [u8; 32];

/// `node(l, r) = sha256(l || r)` (PROTOCOL §3).
#[must_use]
pub fn hash_node(left: &Cell, right: &Cell) -> Cell {
    let mut hasher = Sha256::new();
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// Height above which no zero subtree is asked for: 40 levels of rows and 20
/// of columns, with room to spare.
const ZERO_LEVELS: usize = 65;

/// `Z[level]`: the root of a subtree of `2^level` zero cells (PROTOCOL §3).
///
/// # Panics
/// If `level` is above 64.
#[must_use]
pub fn zero_subtree(level: u32) -> Cell {
    static LEVELS: OnceLock<[Cell; ZERO_LEVELS]> = OnceLock::new();
    let levels = LEVELS.get_or_init(|| {
        let mut levels = [[0; 32]; ZERO_LEVELS];
        for level in 1..ZERO_LEVELS {
            levels[level] = hash_node(&levels[level - 1], &levels[level - 1]);
        }
        levels
    });
    levels[level as usize]
}
