//! Judging proofs, cheapest rule first (PROTOCOL §4).

use spacetime_kernels::{
    Backend, Cell, CellRequest, Challenge, ColumnIndex, Grower, MAX_ROWS, PlotKey, RowIndex, Score, Shape, Target,
    plot_id, score,
};
use thiserror::Error;

use crate::proof::Proof;
use crate::tree::{ceil_log2, fold};

/// What the chain and the header say a proof must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Network tag.
    pub network: [u8; 32],
    /// The miner's public key, compressed G1.
    pub miner_key: [u8; 48],
    /// The chain's columns and rounds.
    pub shape: Shape,
    /// The epoch's challenge.
    pub challenge: Challenge,
    /// The group's column.
    pub column: ColumnIndex,
    /// The plot id in the header.
    pub plot_id: [u8; 32],
    /// The plot root in the header, where there is one.
    pub root: Option<Cell>,
    /// The score in the header, where there is one.
    pub score: Option<Score>,
    /// What the score must be below; without one any score will do.
    pub target: Option<Target>,
}

/// The first rule of PROTOCOL §4 that a proof breaks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// No rows, or more than 2^40.
    #[error("rows are {0}, allowed are 1 to {MAX_ROWS}")]
    Rows(u64),
    /// It answers another challenge.
    #[error("challenge is {}, expected {}", const_hex::encode(found), const_hex::encode(expected))]
    Challenge {
        /// The proof's.
        found: [u8; 32],
        /// The epoch's.
        expected: [u8; 32],
    },
    /// It answers for another column.
    #[error("column is {found}, expected {expected}")]
    Column {
        /// The proof's.
        found: u32,
        /// The group's.
        expected: u32,
    },
    /// The index lies in another column than the proof says.
    #[error("leaf index {leaf_index} does not lie in column {column}")]
    IndexColumn {
        /// The proof's leaf index.
        leaf_index: u64,
        /// The column expected.
        column: u32,
    },
    /// The index lies in the padding.
    #[error("row {row} of leaf index is not below the {rows} rows")]
    Row {
        /// Row in the index.
        row: u64,
        /// The proof's rows.
        rows: u64,
    },
    /// The path is too short or too long.
    #[error("{found} siblings, expected {expected}")]
    Siblings {
        /// The proof's.
        found: usize,
        /// `d + p`.
        expected: usize,
    },
    /// Miner key, seed, rows and root make another plot id.
    #[error(
        "miner key, seed, rows and root make plot id {}, expected {}",
        const_hex::encode(found),
        const_hex::encode(expected)
    )]
    PlotId {
        /// As recomputed.
        found: [u8; 32],
        /// The header's.
        expected: [u8; 32],
    },
    /// The root is not the header's.
    #[error("root is {}, expected {}", const_hex::encode(found), const_hex::encode(expected))]
    Root {
        /// The proof's.
        found: Cell,
        /// The header's.
        expected: Cell,
    },
    /// The score is not the header's.
    #[error("score is {}, expected {}", const_hex::encode(found), const_hex::encode(expected))]
    Score {
        /// As recomputed.
        found: [u8; 32],
        /// The header's.
        expected: [u8; 32],
    },
    /// The score does not win.
    #[error("score {} is not below target {}", const_hex::encode(score), const_hex::encode(target))]
    Target {
        /// As recomputed.
        score: [u8; 32],
        /// The target.
        target: [u8; 32],
    },
    /// The siblings lead elsewhere.
    #[error("Merkle path leads to {}, not to the root {}", const_hex::encode(found), const_hex::encode(expected))]
    Path {
        /// Where they lead.
        found: Cell,
        /// The proof's root.
        expected: Cell,
    },
    /// The cell was never grown from this plot's key.
    #[error("leaf is {}, but row and column grow {}", const_hex::encode(found), const_hex::encode(grown))]
    Leaf {
        /// The proof's leaf.
        found: Cell,
        /// The cell as grown.
        grown: Cell,
    },
}

/// Checks every rule but the dearest, and returns the cell that is left to be
/// grown and compared with the leaf.
///
/// # Errors
/// The first rule broken, in the order of PROTOCOL §4.
pub fn check(proof: &Proof, expected: &Expected) -> Result<CellRequest, VerifyError> {
    if !(1..=MAX_ROWS).contains(&proof.rows) {
        return Err(VerifyError::Rows(proof.rows));
    }
    if proof.challenge != expected.challenge.0 {
        return Err(VerifyError::Challenge { found: proof.challenge, expected: expected.challenge.0 });
    }
    let column = expected.column.0;
    if proof.column != column {
        return Err(VerifyError::Column { found: proof.column, expected: column });
    }
    let depth = ceil_log2(proof.rows);
    if u64::from(column) >= expected.shape.columns() as u64 || proof.leaf_index >> depth != u64::from(column) {
        return Err(VerifyError::IndexColumn { leaf_index: proof.leaf_index, column });
    }
    let row = proof.leaf_index & ((1 << depth) - 1);
    if row >= proof.rows {
        return Err(VerifyError::Row { row, rows: proof.rows });
    }
    let siblings = depth as usize + usize::from(expected.shape.log2_columns());
    if proof.siblings.len() != siblings {
        return Err(VerifyError::Siblings { found: proof.siblings.len(), expected: siblings });
    }
    let key = PlotKey::derive(&expected.network, &expected.miner_key, &proof.seed, expected.shape);
    let id = plot_id(&key, proof.rows, &proof.root);
    if id != expected.plot_id {
        return Err(VerifyError::PlotId { found: id, expected: expected.plot_id });
    }
    if let Some(root) = expected.root.filter(|root| *root != proof.root) {
        return Err(VerifyError::Root { found: proof.root, expected: root });
    }
    let score = score(&expected.challenge, &proof.leaf);
    if let Some(claimed) = expected.score.filter(|claimed| *claimed != score) {
        return Err(VerifyError::Score { found: score.0, expected: claimed.0 });
    }
    if let Some(target) = expected.target.filter(|target| !target.is_met_by(&score)) {
        return Err(VerifyError::Target { score: score.0, target: target.0 });
    }
    let root = fold(&proof.leaf, proof.leaf_index, &proof.siblings);
    if root != proof.root {
        return Err(VerifyError::Path { found: root, expected: proof.root });
    }
    Ok(CellRequest { key, row: RowIndex(row), column: expected.column })
}

/// Checks every rule; the row is grown with `backend`, or with the one that
/// grows a single row soonest.
///
/// # Errors
/// The first rule broken.
pub fn verify(proof: &Proof, expected: &Expected, backend: Option<Backend>) -> Result<(), VerifyError> {
    verify_batch(&[(proof, expected)], backend).remove(0)
}

/// Judges many proofs, growing the rows of all that pass the cheap rules
/// side by side. Results stand in the order of `proofs`.
#[must_use]
pub fn verify_batch(proofs: &[(&Proof, &Expected)], backend: Option<Backend>) -> Vec<Result<(), VerifyError>> {
    let mut results = Vec::with_capacity(proofs.len());
    let mut to_grow: Vec<(usize, CellRequest)> = Vec::new();
    for (index, (proof, expected)) in proofs.iter().enumerate() {
        let checked = check(proof, expected);
        if let Ok(request) = &checked {
            to_grow.push((index, *request));
        }
        results.push(checked.map(|_| ()));
    }
    // Lanes share a shape, so proofs of one chain, which are the rule, are grown in one go.
    while let Some(&(first, _)) = to_grow.first() {
        let shape = proofs[first].1.shape;
        let (same, other): (Vec<_>, Vec<_>) =
            to_grow.into_iter().partition(|(index, _)| proofs[*index].1.shape == shape);
        to_grow = other;
        let requests: Vec<_> = same.iter().map(|(_, request)| *request).collect();
        let mut cells = vec![[0; 32]; requests.len()];
        let backend = backend.unwrap_or_else(|| Backend::for_rows(requests.len()));
        Grower::new(backend, shape).grow_cells(&requests, &mut cells);
        for ((index, _), grown) in same.into_iter().zip(cells) {
            let found = proofs[index].0.leaf;
            if found != grown {
                results[index] = Err(VerifyError::Leaf { found, grown });
            }
        }
    }
    results
}
