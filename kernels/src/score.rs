//! Challenges, scores and targets (PROTOCOL §4).

use sha2::{Digest, Sha256};

use crate::merkle::Cell;
use crate::sha256::{INITIAL, K, State, round, small_sigma_0, words_of};

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

/// What of a score depends on the challenge alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreparedChallenge {
    /// The challenge: words 0 to 7 of the block.
    pub(crate) words: State,
    /// The state after the eight rounds that take these words.
    pub(crate) after_eight_rounds: State,
    /// What the challenge adds to words 16 to 23 of the schedule.
    pub(crate) schedule: State,
}

impl PreparedChallenge {
    pub(crate) fn new(challenge: &Challenge) -> Self {
        let words = words_of(&challenge.0);
        let mut state = INITIAL;
        for t in 0..8 {
            round(&mut state, t, words[t].wrapping_add(K[t]));
        }
        let mut schedule = words;
        for k in 0..7 {
            schedule[k] = words[k].wrapping_add(small_sigma_0(words[k + 1]));
        }
        Self { words, after_eight_rounds: state, schedule }
    }
}

/// The first word of a score, big-endian like all of it.
fn first_word(bytes: &[u8; 32]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// First words above which the challenges' scores cannot beat `best`.
pub(crate) fn limits_of_best(best: &[Option<Best>]) -> [u32; MAX_CHALLENGES] {
    let mut limits = [u32::MAX; MAX_CHALLENGES];
    for (limit, best) in limits.iter_mut().zip(best) {
        *limit = best.map_or(u32::MAX, |best| first_word(&best.score.0));
    }
    limits
}

/// First words above which no score meets `target`.
pub(crate) fn limits_of_target(target: &Target) -> [u32; MAX_CHALLENGES] {
    [first_word(&target.0); MAX_CHALLENGES]
}

/// Works out a score that a sieve let through; keeps it, and lowers the
/// limit, if it is the best so far.
pub(crate) fn keep_best(challenge: &Challenge, cell: &Cell, row: u64, best: &mut Option<Best>, limit: &mut u32) {
    let found = Best { row, score: score(challenge, cell) };
    if best.is_none_or(|best| found.beats(&best)) {
        *best = Some(found);
        *limit = first_word(&found.score.0);
    }
}

/// `score = sha256(challenge || cell)` (PROTOCOL §4), one at a time.
#[must_use]
pub fn score(challenge: &Challenge, cell: &Cell) -> Score {
    let mut hasher = Sha256::new();
    hasher.update(challenge.0);
    hasher.update(cell);
    Score(hasher.finalize().into())
}
