//! Numbers and ids that must not be mixed up.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Base units in one coin.
pub const UNITS_PER_COIN: u64 = 1_000_000_000;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
            Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Blocks since genesis, which has height 0.
    Height
}
number! {
    /// Epochs since genesis, which has epoch 0 (PROTOCOL §7).
    Epoch
}
number! {
    /// Money in base units, [`UNITS_PER_COIN`] to a coin.
    Amount
}

impl Height {
    /// The height after this one.
    ///
    /// # Panics
    /// If there is none: no chain gets near 2^64 blocks.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The sum, where it fits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, where it is not negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The sum of many, where it fits.
    #[must_use]
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

macro_rules! bytes {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// All bytes zero: what stands in the genesis header for what comes from a miner.
            pub const ZERO: Self = Self([0; $length]);
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&const_hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                unhex(deserializer).map(Self)
            }
        }
    };
}

/// Exactly `N` bytes in hex without a prefix.
fn unhex<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
    let text = <String as Deserialize>::deserialize(deserializer)?;
    let mut bytes = [0; N];
    if text.len() != 2 * N || const_hex::decode_to_slice(&text, &mut bytes).is_err() {
        return Err(serde::de::Error::custom(format!("expected {} hex digits", 2 * N)));
    }
    Ok(bytes)
}

bytes! {
    /// A block's id, which is its header's (PROTOCOL §6).
    BlockId, 32
}
bytes! {
    /// A transaction's id, over all of it with its signatures (PROTOCOL §10).
    TransactionId, 32
}
bytes! {
    /// A plot's id (PROTOCOL §3).
    PlotId, 32
}
bytes! {
    /// A miner's BLS12-381 public key, compressed G1. Not yet checked to be one.
    MinerKey, 48
}
bytes! {
    /// A miner's BLS12-381 signature, compressed G2. Not yet checked to be one.
    MinerSignature, 96
}
bytes! {
    /// An account's Ed25519 public key. Not yet checked to be one.
    AccountKey, 32
}
bytes! {
    /// The first 20 bytes of the SHA-256 of an account's public key (PROTOCOL §6).
    Address, 20
}
bytes! {
    /// An account's Ed25519 signature.
    AccountSignature, 64
}
bytes! {
    /// Any other SHA-256: a root, a mix, an id without a type of its own.
    Hash, 32
}

impl AccountKey {
    /// The address of the account that this key signs for (PROTOCOL §6).
    #[must_use]
    pub fn address(&self) -> Address {
        let digest = Sha256::digest(self.0);
        Address(*digest.first_chunk().expect("a SHA-256 is longer than an address"))
    }
}
