//! Who is paid by a block (PROTOCOL §8).

use crate::chain::{Address, Amount, Capped, Coinbase, Height, MAX_EXTRA_BYTES, MAX_OUTPUTS, MinerKey, Output};

/// Who is paid how much of what a block may pay, and what else its coinbase says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payout {
    /// Who is paid.
    pub shares: Capped<Share, MAX_OUTPUTS>,
    /// Parts that nobody claims: of the reward they are never minted, of fees they are burnt.
    pub unclaimed_parts: u32,
    /// Whatever the miner likes.
    pub extra: Capped<u8, MAX_EXTRA_BYTES>,
}

/// Somebody's share, in parts of the sum of all parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Who is paid.
    pub address: Address,
    /// How many parts.
    pub parts: u32,
}

impl Payout {
    /// All for one.
    ///
    /// # Panics
    /// Never: one share is not too many.
    #[must_use]
    pub fn all_to(address: Address) -> Self {
        let shares = Capped::new(vec![Share { address, parts: 1 }]).expect("one share is not too many");
        Self { shares, ..Self::default() }
    }

    /// A coinbase that pays `claimable` by shares. What rounding leaves goes to the first, unless part of it is not
    /// claimed anyway; outputs of nothing are left out.
    #[must_use]
    pub fn coinbase(&self, height: Height, miner_key: MinerKey, claimable: Amount) -> Coinbase {
        let parts =
            self.shares.iter().map(|share| u64::from(share.parts)).sum::<u64>() + u64::from(self.unclaimed_parts);
        let part_of = |share: &Share| {
            // No part of it is greater than the whole.
            let amount = u128::from(claimable.0) * u128::from(share.parts) / u128::from(parts.max(1));
            Output { address: share.address, amount: Amount(amount as u64) }
        };
        let mut outputs: Vec<_> = self.shares.iter().filter(|share| share.parts > 0).map(part_of).collect();
        if self.unclaimed_parts == 0 {
            let paid: u64 = outputs.iter().map(|output| output.amount.0).sum();
            outputs.iter_mut().take(1).for_each(|first| first.amount.0 += claimable.0 - paid);
        }
        outputs.retain(|output| output.amount > Amount::ZERO);
        let outputs = Capped::new(outputs).expect("an output for each share at most");
        Coinbase { height, miner_key, outputs, extra: self.extra.clone() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payout(parts: &[u32], unclaimed_parts: u32) -> Payout {
        let shares = parts.iter().zip(0..).map(|(&parts, name)| Share { address: Address([name; 20]), parts });
        Payout { shares: Capped::new(shares.collect()).unwrap(), unclaimed_parts, ..Payout::default() }
    }

    fn paid(payout: &Payout, claimable: u64) -> Vec<(u8, u64)> {
        let coinbase = payout.coinbase(Height(1), MinerKey::ZERO, Amount(claimable));
        coinbase.outputs.iter().map(|output| (output.address.0[0], output.amount.0)).collect()
    }

    #[test]
    fn shares() {
        assert_eq!(paid(&payout(&[1], 0), 10), [(0, 10)]);
        assert_eq!(paid(&payout(&[1, 2], 0), 10), [(0, 4), (1, 6)], "the rest goes to the first");
        assert_eq!(paid(&payout(&[0, 1, 2], 0), 10), [(1, 4), (2, 6)], "who has no part is not the first");
        assert_eq!(paid(&payout(&[1, 2], 3), 10), [(0, 1), (1, 3)]);
        assert_eq!(paid(&payout(&[1, 9], 0), 2), [(0, 1), (1, 1)]);
        assert_eq!(paid(&payout(&[1, 9], 1), 2), [(1, 1)], "an output of nothing is left out");
        assert_eq!(paid(&payout(&[], 0), 10), []);
        assert_eq!(paid(&payout(&[0], 0), 10), []);
        assert_eq!(paid(&payout(&[1, 1], 0), 0), []);
    }

    proptest! {
        #[test]
        fn never_more_than_there_is(
            parts in prop::collection::vec(prop_oneof![Just(0), Just(u32::MAX), any::<u32>()], 0..=MAX_OUTPUTS),
            unclaimed in prop_oneof![Just(0), any::<u32>()],
            claimable in prop_oneof![Just(u64::MAX), any::<u64>()],
        ) {
            let sum: u128 = paid(&payout(&parts, unclaimed), claimable).iter().map(|(_, amount)| u128::from(*amount)).sum();
            let all = unclaimed == 0 && parts.iter().any(|parts| *parts > 0);
            prop_assert!(sum <= u128::from(claimable));
            prop_assert!(!all || sum == u128::from(claimable));
        }
    }
}
