//! Scoring on vectors: only the first word of a score is compared, which
//! rejects nearly every leaf, and what passes is scored whole.

use crate::backend::Backend;
use crate::merkle::Cell;
use crate::score::{Best, Challenge, Hit, MAX_CHALLENGES, Target, score};
use crate::sha256::{INITIAL, K, State, round, small_sigma_0, words_of};

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
fn limits_of_best(best: &[Option<Best>]) -> [u32; MAX_CHALLENGES] {
    let mut limits = [u32::MAX; MAX_CHALLENGES];
    for (limit, best) in limits.iter_mut().zip(best) {
        *limit = best.map_or(u32::MAX, |best| first_word(&best.score.0));
    }
    limits
}

/// First words above which no score meets `target`.
fn limits_of_target(target: &Target) -> [u32; MAX_CHALLENGES] {
    [first_word(&target.0); MAX_CHALLENGES]
}

/// As [`Backend::score_best`] does, on a backend with a sieve.
pub(crate) fn score_best(
    backend: Backend,
    challenges: &[Challenge],
    strip: &[Cell],
    first_row: u64,
    best: &mut [Option<Best>],
) {
    backend.sift(&prepare(challenges), strip, &mut limits_of_best(best), |place, index, limits| {
        let found = Best { row: first_row + place as u64, score: score(&challenges[index], &strip[place]) };
        if best[index].is_none_or(|best| found.beats(&best)) {
            best[index] = Some(found);
            limits[index] = first_word(&found.score.0);
        }
    });
}

/// As [`Backend::score_below`] does, on a backend with a sieve.
pub(crate) fn score_below(
    backend: Backend,
    challenges: &[Challenge],
    target: &Target,
    strip: &[Cell],
    first_row: u64,
    hits: &mut Vec<Hit>,
) {
    backend.sift(&prepare(challenges), strip, &mut limits_of_target(target), |place, index, _| {
        let score = score(&challenges[index], &strip[place]);
        if target.is_met_by(&score) {
            hits.push(Hit { row: first_row + place as u64, challenge: index, score });
        }
    });
}

fn prepare(challenges: &[Challenge]) -> Vec<PreparedChallenge> {
    challenges.iter().map(PreparedChallenge::new).collect()
}
