//! What blocks pay (PROTOCOL §8). Integers only.

use super::parameters::{Emission, Schedule};
use crate::chain::{Amount, Height};

impl Emission {
    /// What the block at `height` may mint, `issued` units having been issued up to its parent.
    /// Genesis mints nothing.
    #[must_use]
    pub fn reward(&self, height: Height, issued: Amount) -> Amount {
        let Some(blocks_before) = height.0.checked_sub(1) else { return Amount::ZERO };
        let scheduled = self.schedule.reward(blocks_before).max(self.reward_floor.0);
        let left = self.emission_cap.map_or(u64::MAX, |cap| cap.0.saturating_sub(issued.0));
        Amount(scheduled.min(left))
    }
}

impl Schedule {
    /// What the block after `n` others, genesis not counted, pays before floor and cap.
    fn reward(&self, n: u64) -> u64 {
        match self {
            Self::Fixed { initial_reward } => initial_reward.0,
            Self::Halving { initial_reward, interval } => {
                let halvings = n.checked_div(*interval).unwrap_or(u64::MAX);
                u32::try_from(halvings).ok().and_then(|by| initial_reward.0.checked_shr(by)).unwrap_or(0)
            }
            Self::Linear { initial_reward, decay_per_block } => {
                initial_reward.0.saturating_sub(n.saturating_mul(decay_per_block.0))
            }
            Self::Exponential { initial_reward, ratio_q64 } => exponential(initial_reward.0, *ratio_q64, n),
            // Height n + 1 has passed a start s when s ≤ n + 1.
            Self::Table { steps } => {
                let passed = steps.partition_point(|(start, _)| start.saturating_sub(1) <= n);
                passed.checked_sub(1).map_or(0, |last| steps[last].1.0)
            }
        }
    }
}

/// `initial · (ratio / 2^64)^n` by square and multiply, truncating at each step. No product needs
/// more than 128 bits: `acc ≤ 2^64`, `ratio < 2^64`.
fn exponential(initial: u64, ratio_q64: u64, n: u64) -> u64 {
    let (mut acc, mut square, mut rest) = (1_u128 << 64, u128::from(ratio_q64), n);
    while rest > 0 {
        if rest & 1 == 1 {
            acc = (acc * square) >> 64;
        }
        square = (square * square) >> 64;
        rest >>= 1;
    }
    u64::try_from((u128::from(initial) * acc) >> 64).expect("acc is at most one")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(schedule: Schedule) -> Emission {
        Emission { schedule, reward_floor: Amount::ZERO, emission_cap: None }
    }

    #[test]
    fn genesis_pays_nothing() {
        let emission = Emission { reward_floor: Amount(5), ..plain(Schedule::Fixed { initial_reward: Amount(9) }) };
        assert_eq!(emission.reward(Height(0), Amount::ZERO), Amount::ZERO);
        assert_eq!(emission.reward(Height(1), Amount::ZERO), Amount(9));
    }

    #[test]
    fn half_is_left_after_four_years_on_main() {
        let emission = crate::consensus::Parameters::main().emission;
        // 1461 days, 12.5 s a block.
        let four_years = 1461 * 24 * 3600 * 2 / 25;
        let reward = emission.reward(Height(four_years + 1), Amount::ZERO).0;
        assert!((2_499_000_000..2_501_000_000).contains(&reward), "{reward}");
        assert_eq!(emission.reward(Height(1 << 60), Amount::ZERO), Amount(1), "the floor");
    }

    #[test]
    fn nothing_is_left_once_more_than_the_cap_is_issued() {
        let emission = Emission {
            emission_cap: Some(Amount(100)),
            reward_floor: Amount(7),
            ..plain(Schedule::Fixed { initial_reward: Amount(9) })
        };
        assert_eq!(emission.reward(Height(1), Amount(95)), Amount(5));
        assert_eq!(emission.reward(Height(1), Amount(100)), Amount::ZERO);
        assert_eq!(emission.reward(Height(1), Amount(u64::MAX)), Amount::ZERO);
    }

    #[test]
    fn tables_begin_where_they_say() {
        let steps = vec![(0, Amount(1)), (5, Amount(2)), (u64::MAX, Amount(3))];
        let emission = plain(Schedule::Table { steps });
        let rewards: Vec<_> =
            [1, 4, 5, u64::MAX - 1, u64::MAX].map(|height| emission.reward(Height(height), Amount::ZERO).0).into();
        assert_eq!(rewards, [1, 1, 2, 2, 3]);
        assert_eq!(plain(Schedule::Table { steps: vec![] }).reward(Height(1), Amount::ZERO), Amount::ZERO);
    }

    proptest! {
        #[test]
        fn any_numbers_will_do(
            a in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()],
            b in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()],
            height in prop_oneof![Just(u64::MAX), any::<u64>()],
            issued: u64, floor in 0_u64..10, cap: Option<u64>,
        ) {
            let schedules = [
                Schedule::Fixed { initial_reward: Amount(a) },
                Schedule::Halving { initial_reward: Amount(a), interval: b },
                Schedule::Linear { initial_reward: Amount(a), decay_per_block: Amount(b) },
                Schedule::Exponential { initial_reward: Amount(a), ratio_q64: b },
                Schedule::Table { steps: vec![(a, Amount(b))] },
            ];
            for schedule in schedules {
                let emission = Emission {
                    schedule, reward_floor: Amount(floor), emission_cap: cap.map(Amount),
                };
                let reward = emission.reward(Height(height), Amount(issued)).0;
                let table = matches!(emission.schedule, Schedule::Table { .. });
                prop_assert!(table || reward <= a.max(floor));
                prop_assert!(cap.is_none_or(|cap| reward <= cap.saturating_sub(issued)));
            }
        }
    }
}
