//! The chain without hashes and bytes: who finds which leaf is drawn, all that follows from it is the
//! product's own consensus. Everything comes from a seed, so each run is the same.
#![allow(dead_code, unreachable_pub)] // each user takes its own share

pub mod forks;
pub mod liar;
pub mod random;
pub mod settling;

use spacetime_kernels::{Score, Target};
use spacetime_node::chain::{BlockId, Epoch, HEADER_VERSION, Hash, Header, Height, MinerKey, MinerSignature, PlotId};
use spacetime_node::consensus::{Goal, Lineage};

/// `target / 2^256`: the share of all scores that win.
pub fn winning(target: &Target) -> f64 {
    let high = u128::from_be_bytes(*target.0.first_chunk().expect("32 bytes are more than 16"));
    high as f64 / 2_f64.powi(128)
}

/// The score at `share` of all scores, 0 to 1, exact to 64 bits.
pub fn score_at(share: f64) -> Score {
    let mut score = Score([0; 32]);
    score.0[..8].copy_from_slice(&((share * 2_f64.powi(64)) as u64).to_be_bytes());
    score
}

/// Winning leaves an epoch with which the goal is met: 1.609 for four epochs in five.
pub fn wanted(goal: Goal) -> f64 {
    -(1.0 - f64::from(goal.numerator) / f64::from(goal.denominator)).ln()
}

/// What consensus sees of a header; the rest is empty. `tag` makes reveal and id what no other block's are.
pub fn header(parent: &Lineage, epoch: Epoch, timestamp_ms: u64, score: Score, tag: u64) -> (Header, BlockId) {
    let mut reveal = MinerSignature::ZERO;
    reveal.0[..8].copy_from_slice(&tag.to_le_bytes());
    let mut id = BlockId::ZERO;
    id.0[..8].copy_from_slice(&tag.to_le_bytes());
    let header = Header {
        version: HEADER_VERSION,
        height: Height(parent.height.0 + 1),
        epoch,
        timestamp_ms,
        parent: parent.id,
        target: Target::MAX,
        miner_key: MinerKey::ZERO,
        plot_id: PlotId::ZERO,
        plot_root: Hash::ZERO,
        score,
        proof_id: Hash::ZERO,
        transaction_root: Hash::ZERO,
        state_root: Hash::ZERO,
        extension: Hash::ZERO,
        reveal,
        signature: MinerSignature::ZERO,
    };
    (header, id)
}

/// The value that `share` of all `values` are not above.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted[at.clamp(1, sorted.len()) - 1]
}
