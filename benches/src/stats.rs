//! Percentiles of what was measured.

use serde::Serialize;

/// Some percentiles of one kind of measurement, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latencies {
    /// Half took no longer.
    pub p50_ms: f64,
    /// Nine of ten took no longer.
    pub p90_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// The worst.
    pub max_ms: f64,
}

impl Latencies {
    /// Of measurements in milliseconds, in any order; `None` if there are none.
    #[must_use]
    pub fn of(milliseconds: &[f64]) -> Option<Self> {
        let sorted = sorted(milliseconds);
        Some(Self {
            p50_ms: nearest_rank(&sorted, 50)?,
            p90_ms: nearest_rank(&sorted, 90)?,
            p99_ms: nearest_rank(&sorted, 99)?,
            max_ms: nearest_rank(&sorted, 100)?,
        })
    }
}

/// The middle one, of an even number the lower of the two in the middle; `None` if there are none.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    nearest_rank(&sorted(values), 50)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The least value that `percent` of all do not exceed: one that was measured, never one between two.
fn nearest_rank(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `found` are the percentiles of `values`, counted the slow way.
    fn check_percentiles(values: &[f64], found: Latencies) -> Result<(), String> {
        let expected = [(50, found.p50_ms), (90, found.p90_ms), (99, found.p99_ms), (100, found.max_ms)];
        for (percent, found) in expected {
            let share = |limit: f64| values.iter().filter(|value| **value <= limit).count() * 100;
            let enough = |limit: f64| share(limit) >= percent * values.len();
            if !values.contains(&found) || !enough(found) {
                return Err(format!("{percent}%: {found} is too low"));
            }
            if values.iter().any(|value| *value < found && enough(*value)) {
                return Err(format!("{percent}%: {found} is not the least"));
            }
        }
        Ok(())
    }

    #[test]
    fn percentiles_of_known_data() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let found = Latencies::of(&hundred).expect("there are some");
        assert_eq!(found, Latencies { p50_ms: 50.0, p90_ms: 90.0, p99_ms: 99.0, max_ms: 100.0 });
        assert_eq!(Latencies::of(&[]), None);
        assert_eq!(Latencies::of(&[7.0]).map(|found| (found.p50_ms, found.max_ms)), Some((7.0, 7.0)));
        for count in 1..=250 {
            let values: Vec<f64> = (0..count).map(|at| f64::from((at * 7919) % 101)).collect();
            check_percentiles(&values, Latencies::of(&values).expect("there are some")).expect("right");
        }
        // The negative control: wrong answers are told from right ones.
        assert!(check_percentiles(&hundred, Latencies { p90_ms: 89.0, ..found }).is_err());
        assert!(check_percentiles(&hundred, Latencies { p99_ms: 100.0, ..found }).is_err());
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.0));
    }
}
