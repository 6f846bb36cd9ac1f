//! Challenges, scores and targets (PROTOCOL §4).

use sha2::{Digest, Sha256};

use crate::merkle::Cell;

/// Most challenges scored in one pass over a strip: one group of epochs
/// (PROTOCOL §11, `beacon_interval`).
pub const MAX_CHALLENGES: usize = 8;

/// The 32 bytes of a challenge, new in every epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Challenge(pub [u8; 32]);

/// `sha256(challenge || cell)`, a 256-bit number, big-endian: lower is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(pub [u8; 32]);

/// A proof wins when its score is below this 256-bit number, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(pub [u8; 32]);

impl Target {
    /// The easiest target there is: every score but the very highest wins.
    pub const MAX: Self = Self([0xff; 32]);

    /// Whether `score` wins.
    #[must_use]
    pub fn is_met_by(&self, score: &Score) -> bool {
        score.0 < self.0
    }
}

/// The best leaf of a pass over cells: the lowest score, of equal ones the lowest row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Best {
    /// Row of the leaf.
    pub row: u64,
    /// Its score.
    pub score: Score,
}

impl Best {
    /// Whether `self` is to be preferred to `other`.
    #[must_use]
    pub fn beats(&self, other: &Self) -> bool {
        (self.score, self.row) < (other.score, other.row)
    }
}

/// A leaf below the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Row of the leaf.
    pub row: u64,
    /// Which of the challenges it answers: its place in the list that was asked.
    pub challenge: usize,
    /// Its score.
    pub score: Score,
}

/// `score = sha256(challenge || cell)` (PROTOCOL §4), one at a time.
#[must_use]
pub fn score(challenge: &Challenge, cell: &Cell) -> Score {
    let mut hasher = Sha256::new();
    hasher.update(challenge.0);
    hasher.update(cell);
    Score(hasher.finalize().into())
}
