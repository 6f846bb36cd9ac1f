//! Keys of the state, and what they hash to (PROTOCOL §10).

use sha2::{Digest, Sha256};

use super::tree::KeyHash;
use crate::chain::{Address, Hash, Height, MinerKey};
use crate::store::Column;

/// What a value of the state belongs to.
///
/// Written down as a kind byte and a key of that kind's length; numbers are
/// big-endian, so that keys sort as numbers do. The tree's key is the SHA-256 of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateKey {
    /// Kind 0, no key: the parameters' hash, so that the genesis id covers them.
    Parameters,
    /// Kind 1, no key: supply, difficulty and beacon.
    Chain,
    /// Kind 2, 20 bytes: an account.
    Account(Address),
    /// Kind 3, 32 bytes: a plot, by plot key.
    Plot(Hash),
    /// Kind 4, 48 bytes: a barred miner.
    Barred(MinerKey),
    /// Kind 5, 8 bytes: the first block of a group, by how many groups have had one, from 1.
    Beacon(u64),
    /// Kind 6, 8 bytes: the immature rewards of one block.
    Rewards(Height),
}

impl StateKey {
    /// Kind and key.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let number: [u8; 8];
        let (kind, key): (u8, &[u8]) = match self {
            Self::Parameters => (0, &[]),
            Self::Chain => (1, &[]),
            Self::Account(address) => (2, &address.0),
            Self::Plot(plot_key) => (3, &plot_key.0),
            Self::Barred(miner_key) => (4, &miner_key.0),
            Self::Beacon(count) => {
                number = count.to_be_bytes();
                (5, &number)
            }
            Self::Rewards(height) => {
                number = height.0.to_be_bytes();
                (6, &number)
            }
        };
        [&[kind], key].concat()
    }

    /// The key that `bytes` are, if they are one.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (&kind, key) = bytes.split_first()?;
        Some(match kind {
            0 if key.is_empty() => Self::Parameters,
            1 if key.is_empty() => Self::Chain,
            2 => Self::Account(Address(key.try_into().ok()?)),
            3 => Self::Plot(Hash(key.try_into().ok()?)),
            4 => Self::Barred(MinerKey(key.try_into().ok()?)),
            5 => Self::Beacon(u64::from_be_bytes(key.try_into().ok()?)),
            6 => Self::Rewards(Height(u64::from_be_bytes(key.try_into().ok()?))),
            _ => return None,
        })
    }

    /// The tree's key.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.bytes()).into())
    }

    /// The column that its values are kept in.
    #[must_use]
    pub fn column(&self) -> Column {
        match self {
            Self::Plot(_) => Column::Registry,
            _ => Column::State,
        }
    }
}
