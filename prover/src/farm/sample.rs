//! Which rows a random sample holds.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

/// Rows that lie together in a sample: 1 MiB, so that a disk reads longer than it seeks.
const WINDOW_ROWS: u64 = 1 << 15;

/// Most windows of one plot: a larger plot has larger windows, so the list of
/// them stays below 1 MiB.
const MAX_WINDOWS: u64 = 1 << 15;

/// A stream of numbers that is the same for the same seed (SplitMix64; nothing
/// secret hangs on it).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        // The standard library's hash maps are seeded by the system.
        Self(seed.unwrap_or_else(|| RandomState::new().hash_one(0)))
    }

    /// Another stream, which follows from this one.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// A number below `bound`, which is not zero.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// `want` of the rows in `rows`, or all if there are fewer: contiguous windows
/// drawn at random, in ascending order, those that touch joined.
pub(crate) fn windows(rows: &Range<u64>, want: u64, random: &mut Random) -> Vec<Range<u64>> {
    let held = rows.end.saturating_sub(rows.start);
    if want >= held {
        return if held == 0 { Vec::new() } else { vec![rows.clone()] };
    }
    let window_rows = WINDOW_ROWS.max((held / MAX_WINDOWS).next_power_of_two());
    let first = rows.start / window_rows;
    let mut slots_left = rows.end.div_ceil(window_rows) - first;
    let mut picked = Vec::new();
    let mut missing = want;
    // Fisher-Yates over slots that stand where they began unless `moved` says otherwise.
    let mut moved = HashMap::new();
    while missing > 0 {
        let at = random.below(slots_left);
        slots_left -= 1;
        let slot = moved.get(&at).copied().unwrap_or(at);
        let last = moved.remove(&slots_left).unwrap_or(slots_left);
        moved.insert(at, last);
        let start = ((first + slot) * window_rows).max(rows.start);
        let end = ((first + slot + 1) * window_rows).min(rows.end).min(start + missing);
        missing -= end - start;
        picked.push(start..end);
    }
    picked.sort_unstable_by_key(|window| window.start);
    picked.dedup_by(|next, window| {
        let touches = window.end == next.start;
        if touches {
            window.end = next.end;
        }
        touches
    });
    picked
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `picked` are `want` rows of `rows`, ascending, none twice, none touching.
    fn check_sample(rows: &Range<u64>, want: u64, picked: &[Range<u64>]) -> Result<(), String> {
        let held: u64 = picked.iter().map(|window| window.end - window.start).sum();
        if held != want.min(rows.end - rows.start) {
            return Err(format!("{held} rows"));
        }
        if picked.iter().any(|window| window.is_empty() || window.start < rows.start || window.end > rows.end) {
            return Err("out of range".to_owned());
        }
        if picked.windows(2).any(|pair| pair[0].end >= pair[1].start) {
            return Err("out of order".to_owned());
        }
        Ok(())
    }

    #[test]
    fn samples_hold_exactly_what_was_asked() {
        let mut random = Random::new(Some(1));
        for rows in [0..1, 0..100, 5..WINDOW_ROWS, 7..10 * WINDOW_ROWS + 3, WINDOW_ROWS - 1..3 * WINDOW_ROWS + 1] {
            let held = rows.end - rows.start;
            for want in [1, 2, 99, held / 2, held - 1, held, held + 1, u64::MAX] {
                for _ in 0..20 {
                    let picked = windows(&rows, want, &mut random);
                    check_sample(&rows, want, &picked).unwrap_or_else(|error| panic!("{want} of {rows:?}: {error}"));
                }
            }
        }
        assert_eq!(windows(&(4..4), 9, &mut random), []);
    }

    #[test]
    fn the_check_of_samples_can_fail() {
        for wrong in [&[][..], &[0..2, 1..3], &[0..2, 2..4], &[2..4, 0..2], &[0..1, 8..12], &[0..2, 4..5]] {
            assert!(check_sample(&(0..10), 4, wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_window_is_drawn_now_and_then() {
        let mut random = Random::new(Some(2));
        let mut seen = [0; 8];
        for _ in 0..400 {
            for window in windows(&(0..8 * WINDOW_ROWS), 2 * WINDOW_ROWS, &mut random) {
                for slot in window.start / WINDOW_ROWS..window.end / WINDOW_ROWS {
                    seen[slot as usize] += 1;
                }
            }
        }
        assert_eq!(seen.iter().sum::<u32>(), 800);
        assert!(seen.iter().all(|times| (60..140).contains(times)), "{seen:?}");
        // Without a seed two samples differ; with the same one they do not.
        let draw = |seed| windows(&(0..1 << 30), 100 * WINDOW_ROWS, &mut Random::new(seed));
        assert_ne!(draw(None), draw(None));
        assert_eq!(draw(Some(3)), draw(Some(3)));
    }

    #[test]
    fn the_greatest_plot_has_a_bounded_list() {
        let rows = 0..1 << 40;
        let picked = windows(&rows, 1 << 39, &mut Random::new(Some(4)));
        check_sample(&rows, 1 << 39, &picked).expect("a sample");
        assert!(picked.len() as u64 <= MAX_WINDOWS);
    }
}
