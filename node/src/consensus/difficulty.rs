//! How hard it is to win, block by block (PROTOCOL §7, "Retarget").
//!
//! Epochs come from peers: whatever they say, nothing here overflows or panics.

use borsh::{BorshDeserialize, BorshSerialize};
use crypto_bigint::{NonZero, U256, U320};
use spacetime_kernels::Target;

use super::parameters::{Goal, Parameters};
use super::wide::{from_target, to_target};
use crate::chain::{Epoch, codec};

/// Most doublings of a target after one gap.
pub const MAX_SHIFT: u32 = 255;

/// `2^32 · log2(n / d)`, truncated, by repeated squaring of a mantissa in 2^-63 (PROTOCOL §7).
///
/// # Panics
/// Unless `1 ≤ d ≤ n < 2^65`, the range in which nothing overflows.
#[must_use]
pub fn log2_q32(n: u128, d: u128) -> u64 {
    assert!(1 <= d && d <= n && n < 1 << 65, "log2_q32 of {n} / {d}");
    let mut k = n.ilog2() - d.ilog2();
    if d << k > n {
        k -= 1;
    }
    let mut x = (n << 63) / (d << k);
    let mut r = u64::from(k);
    for _ in 0..32 {
        x = (x * x) >> 63;
        r <<= 1;
        if x >= 1 << 64 {
            x >>= 1;
            r |= 1;
        }
    }
    r
}

/// The base after `blocks` blocks were found in `epochs` epochs (PROTOCOL §7): at most four times
/// `base`, at least a quarter, never zero.
///
/// `1 ≤ blocks ≤ epochs` on every chain; fewer epochs count as no epoch without a block.
///
/// # Panics
/// If `goal` is not a share above 0 and below 1, which checked parameters have.
#[must_use]
pub fn retarget(base: &Target, blocks: u64, epochs: u64, goal: Goal) -> Target {
    let n = 2 * u128::from(epochs);
    let d = 2 * u128::from(epochs.saturating_sub(blocks)) + 1;
    let seen = log2_q32(n.max(d), d);
    let denominator = u128::from(goal.denominator);
    let want = log2_q32(denominator, denominator.saturating_sub(u128::from(goal.numerator)));

    let base: U320 = from_target(base).resize();
    let seen = NonZero::new(U320::from_u64(seen.max(1))).expect("at least 1");
    // 256 bits times 35.
    let wanted = base.saturating_mul(&U320::from_u64(want)).div_rem_vartime(&seen).0;
    let next = wanted.clamp(base.shr_vartime(2), base.shl_vartime(2));
    let next = next.clamp(U320::ONE, U256::MAX.resize());
    to_target(&next.resize())
}

/// `min(2^256 - 1, target · 2^shift)`.
fn eased(target: &Target, shift: u32) -> Target {
    let number = from_target(target);
    if number.bits_vartime() + shift > 256 { Target::MAX } else { to_target(&number.shl_vartime(shift)) }
}

/// What a block leaves for the difficulty of the blocks after it. The epoch of that block itself,
/// the parent of those to come, is handed in beside it.
///
/// Borsh: base (32 bytes, big-endian), blocks, start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Difficulty {
    /// The target in force, at least 1.
    #[borsh(serialize_with = "codec::target::write", deserialize_with = "codec::target::read")]
    pub base: Target,
    /// Blocks found since the interval began.
    pub blocks: u64,
    /// Epoch of the block that the interval began with.
    pub start: Epoch,
}

impl Difficulty {
    /// As genesis leaves it.
    #[must_use]
    pub fn genesis(base: Target) -> Self {
        Self { base, blocks: 0, start: Epoch(0) }
    }

    /// Target of a block in `epoch` whose parent lies in `parent_epoch`, and how many times the
    /// base was doubled for it.
    ///
    /// # Panics
    /// If `gap_epochs` is 0, which checked parameters have not.
    #[must_use]
    pub fn target(&self, parent_epoch: Epoch, epoch: Epoch, parameters: &Parameters) -> (Target, u32) {
        let gaps = epoch.0.saturating_sub(parent_epoch.0) / parameters.gap_epochs;
        let shift = u32::try_from(gaps).unwrap_or(MAX_SHIFT).min(MAX_SHIFT);
        if shift == 0 { (self.base, 0) } else { (eased(&self.base, shift), shift) }
    }

    /// What a block in `epoch` leaves, whose parent lies in `parent_epoch` and left `self`.
    #[must_use]
    pub fn extend(&self, parent_epoch: Epoch, epoch: Epoch, parameters: &Parameters) -> Self {
        let (target, shift) = self.target(parent_epoch, epoch, parameters);
        if shift > 0 {
            return Self { base: target, blocks: 0, start: epoch };
        }
        let blocks = self.blocks.saturating_add(1);
        if blocks < parameters.retarget_interval {
            return Self { blocks, ..*self };
        }
        let epochs = epoch.0.saturating_sub(self.start.0);
        Self { base: retarget(&self.base, blocks, epochs, parameters.goal), blocks: 0, start: epoch }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOAL: Goal = Goal { numerator: 4, denominator: 5 };

    #[test]
    fn logarithms_at_the_ends() {
        assert_eq!(log2_q32(1 << 64, 1), 64 << 32);
        assert_eq!(log2_q32((1 << 65) - 1, (1 << 65) - 1), 0);
        assert_eq!(log2_q32((1 << 65) - 1, 1), (65 << 32) - 1, "just below 65");
    }

    #[test]
    #[should_panic(expected = "log2_q32")]
    fn no_logarithm_below_zero() {
        let _ = log2_q32(1, 2);
    }

    #[test]
    fn steps_are_at_most_fourfold() {
        let mut middle = [0; 32];
        middle[8] = 4;
        let mut quarter = middle;
        quarter[8] = 1;
        let mut fourfold = middle;
        fourfold[8] = 16;
        assert_eq!(retarget(&Target(middle), u64::MAX, u64::MAX, GOAL), Target(quarter));
        assert_eq!(retarget(&Target(middle), 1, u64::MAX, GOAL), Target(fourfold));
        assert_eq!(retarget(&Target::MAX, 1, u64::MAX, GOAL), Target::MAX);
        assert_eq!(retarget(&Target(middle), 0, 0, GOAL), Target(fourfold), "nothing found in no time");
    }

    #[test]
    fn encoding() {
        let difficulty = Difficulty { base: Target::MAX, blocks: 3, start: Epoch(7) };
        let bytes = borsh::to_vec(&difficulty).unwrap();
        assert_eq!(bytes.len(), 48);
        assert_eq!(borsh::from_slice::<Difficulty>(&bytes).unwrap(), difficulty);
        assert!(borsh::from_slice::<Difficulty>(&bytes[1..]).is_err());
    }

    proptest! {
        #[test]
        fn any_numbers_will_do(
            base: [u8; 32], blocks: u64, start: u64, parent: u64, epoch: u64,
            gap_epochs in prop_oneof![Just(1), Just(u64::MAX), 1..=u64::MAX],
            retarget_interval in prop_oneof![Just(1), Just(u64::MAX), 1..=u64::MAX],
            numerator in 1_u8..255,
        ) {
            let goal = Goal { numerator, denominator: 255 };
            let parameters = Parameters { gap_epochs, retarget_interval, goal, ..Parameters::local() };
            let before = Difficulty { base: Target(base), blocks, start: Epoch(start) };
            let (target, shift) = before.target(Epoch(parent), Epoch(epoch), &parameters);
            prop_assert!(target >= before.base && shift <= MAX_SHIFT);
            let after = before.extend(Epoch(parent), Epoch(epoch), &parameters);
            prop_assert!(shift == 0 || after.base == target);
            prop_assert!(base == [0; 32] || after.base.0 != [0; 32]);
        }

        #[test]
        fn logarithms_agree_with_floating_point(d in 1_u128..1 << 64, n in 1_u128..1 << 65) {
            prop_assume!(d <= n);
            let float = (n as f64 / d as f64).log2() * (1_u64 << 32) as f64;
            prop_assert!((log2_q32(n, d) as f64 - float).abs() < 64.0, "{}", float);
        }
    }
}
