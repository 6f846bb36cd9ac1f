//! What a block adds to its branch (PROTOCOL §7).

use std::fmt;
use std::io::{Read, Result, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use crypto_bigint::{NonZero, U256, U320};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use spacetime_kernels::Target;

use super::wide::to_bytes;
use crate::chain::Hash;

/// A block's weight, or the sum of a branch's: the branch with the greatest sum is the best chain.
///
/// Borsh: 32 bytes, big-endian. In text for machines: 64 hex digits; for people: decimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(U256);

impl Weight {
    /// Nothing: what genesis weighs.
    pub const ZERO: Self = Self(U256::ZERO);
    /// Where sums stop.
    pub const MAX: Self = Self(U256::MAX);

    /// `weight(target) = 2^256 / (target + 1)` (PROTOCOL §7). For the target 0, which no chain has, the greatest.
    #[must_use]
    pub fn of(target: &Target) -> Self {
        let above = U320::from_be_slice(&widened(target)).saturating_add(&U320::ONE);
        let above = NonZero::new(above).expect("a number plus one is not zero");
        let quotient = U320::ONE.shl_vartime(256).div_rem_vartime(&above).0;
        if quotient.bits_vartime() > 256 { Self::MAX } else { Self(quotient.resize()) }
    }

    /// The sum of a branch, `block` added to it. It saturates, which takes a target of nearly zero.
    #[must_use]
    pub fn plus(self, block: Self) -> Self {
        Self(self.0.saturating_add(&block.0))
    }

    /// The number, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        to_bytes(&self.0)
    }

    /// The weight that stands for a big-endian number.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(U256::from_be_slice(bytes))
    }
}

/// `target` with eight zero bytes before it.
fn widened(target: &Target) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[8..].copy_from_slice(&target.0);
    bytes
}

impl fmt::Display for Weight {
    /// In decimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NINE_DIGITS: u64 = 1_000_000_000;
        let mut number = self.to_bytes();
        // 2^256 has 78 decimal digits: nine lots of nine hold them.
        let mut lots = [0_u64; 9];
        for lot in &mut lots {
            let mut rest = 0;
            for word in number.as_chunks_mut::<4>().0 {
                let dividend = rest << 32 | u64::from(u32::from_be_bytes(*word));
                let quotient = u32::try_from(dividend / NINE_DIGITS).expect("the rest is below the divisor");
                *word = quotient.to_be_bytes();
                rest = dividend % NINE_DIGITS;
            }
            *lot = rest;
        }
        let digits: String = lots.iter().rev().map(|lot| format!("{lot:09}")).collect();
        let digits = digits.trim_start_matches('0');
        f.pad_integral(true, "", if digits.is_empty() { "0" } else { digits })
    }
}

impl BorshSerialize for Weight {
    fn serialize<W: Write>(&self, writer: &mut W) -> Result<()> {
        BorshSerialize::serialize(&self.to_bytes(), writer)
    }
}

impl BorshDeserialize for Weight {
    fn deserialize_reader<R: Read>(reader: &mut R) -> Result<Self> {
        <[u8; 32]>::deserialize_reader(reader).map(|bytes| Self::from_bytes(&bytes))
    }
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        Serialize::serialize(&Hash(self.to_bytes()), serializer)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        <Hash as Deserialize>::deserialize(deserializer).map(|hash| Self::from_bytes(&hash.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(last: u8) -> Target {
        let mut bytes = [0; 32];
        bytes[31] = last;
        Target(bytes)
    }

    #[test]
    fn extremes() {
        assert_eq!(Weight::of(&Target::MAX).to_string(), "1");
        assert_eq!(Weight::of(&target(0)), Weight::MAX);
        let half = "57896044618658097711785492504343953926634992332820282019728792003956564819968";
        assert_eq!(Weight::of(&target(1)).to_string(), half);
        assert_eq!(Weight::ZERO.to_string(), "0");
        assert_eq!(Weight::of(&target(1)).plus(Weight::of(&target(1))), Weight::MAX, "sums saturate");
        assert_eq!(Weight::of(&target(9)).plus(Weight::ZERO), Weight::of(&target(9)));
    }

    #[test]
    fn easier_targets_weigh_less() {
        for last in 1..=254 {
            assert!(Weight::of(&target(last)) > Weight::of(&target(last + 1)));
        }
    }

    #[test]
    fn encodings() {
        let weight = Weight::of(&target(6));
        let bytes = borsh::to_vec(&weight).unwrap();
        assert_eq!(bytes, weight.to_bytes());
        assert_eq!(borsh::from_slice::<Weight>(&bytes).unwrap(), weight);
        let text = serde_json::to_string(&weight).unwrap();
        assert_eq!(text.len(), 66);
        assert_eq!(serde_json::from_str::<Weight>(&text).unwrap(), weight);
        assert!(serde_json::from_str::<Weight>("\"12\"").is_err());
        assert_eq!(format!("{:>4}", Weight::of(&Target::MAX)), "   1");
    }
}
