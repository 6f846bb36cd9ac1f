//! Reading what came from outside: bounded before anything is allocated.

use std::io::{self, Read, Write};
use std::ops::Deref;

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

/// Why bytes are not the object they should be.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Longer than any such object.
    #[error("{name} of {found} bytes, at most {limit} are allowed")]
    TooLong {
        /// What was read.
        name: &'static str,
        /// Its bytes.
        found: usize,
        /// The most there may be.
        limit: usize,
    },
    /// Not an encoding of it: too short, a length over its cap, an unknown kind.
    #[error("{name}: {reason}")]
    Malformed {
        /// What was read.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Bytes are left over.
    #[error("{name}: {left} bytes are left over")]
    Trailing {
        /// What was read.
        name: &'static str,
        /// How many.
        left: usize,
    },
}

/// Reads one object, `name` in messages, of at most `limit` bytes.
///
/// # Errors
/// If there are more bytes, or they are not exactly one object.
pub fn decode<T: BorshDeserialize>(name: &'static str, bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong { name, found: bytes.len(), limit });
    }
    let mut rest = bytes;
    let object =
        T::deserialize(&mut rest).map_err(|error| DecodeError::Malformed { name, reason: error.to_string() })?;
    match rest.len() {
        0 => Ok(object),
        left => Err(DecodeError::Trailing { name, left }),
    }
}

/// Bytes of an object in memory.
///
/// # Panics
/// Never: writing to memory does not fail, and no list is longer than its cap, far below 2^32.
#[must_use]
pub(crate) fn encode(object: &impl BorshSerialize) -> Vec<u8> {
    borsh::to_vec(object).expect("writing to memory does not fail")
}

/// Counts what is written.
pub(crate) struct Counter(pub(crate) usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A list of at most `MAX` items, which is checked before any room is made for them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Capped<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Capped<T, MAX> {
    /// The list, if it is not too long.
    #[must_use]
    pub fn new(items: Vec<T>) -> Option<Self> {
        (items.len() <= MAX).then_some(Self(items))
    }

    /// The list as a vector.
    #[must_use]
    pub fn into_inner(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for Capped<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for Capped<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: BorshSerialize, const MAX: usize> BorshSerialize for Capped<T, MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0.serialize(writer)
    }
}

impl<T: BorshDeserialize, const MAX: usize> BorshDeserialize for Capped<T, MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        read_capped(reader, MAX).map(Self)
    }
}

/// A list of at most `limit` items. Room is made as they come, so that a count alone costs nothing.
pub(super) fn read_capped<T: BorshDeserialize, R: Read>(reader: &mut R, limit: usize) -> io::Result<Vec<T>> {
    let count = u32::deserialize_reader(reader)? as usize;
    if count > limit {
        return Err(invalid(format!("a list of {count}, at most {limit} are allowed")));
    }
    (0..count).map(|_| T::deserialize_reader(reader)).collect()
}

/// A list of transactions, of which no chain allows as many in a block.
pub(crate) fn read_transactions<R: Read>(reader: &mut R) -> io::Result<Vec<super::Transaction>> {
    const MAX_TRANSACTIONS: usize = 1 << 16;
    read_capped(reader, MAX_TRANSACTIONS)
}

pub(super) fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// A target as 32 bytes, big-endian.
pub(crate) mod target {
    use std::io::{self, Read, Write};

    use borsh::{BorshDeserialize, BorshSerialize};
    use spacetime_kernels::Target;

    pub(crate) fn write<W: Write>(target: &Target, writer: &mut W) -> io::Result<()> {
        target.0.serialize(writer)
    }

    pub(crate) fn read<R: Read>(reader: &mut R) -> io::Result<Target> {
        BorshDeserialize::deserialize_reader(reader).map(Target)
    }
}

/// A score as 32 bytes, big-endian.
pub(crate) mod score {
    use std::io::{self, Read, Write};

    use borsh::{BorshDeserialize, BorshSerialize};
    use spacetime_kernels::Score;

    pub(crate) fn write<W: Write>(score: &Score, writer: &mut W) -> io::Result<()> {
        score.0.serialize(writer)
    }

    pub(crate) fn read<R: Read>(reader: &mut R) -> io::Result<Score> {
        BorshDeserialize::deserialize_reader(reader).map(Score)
    }
}
