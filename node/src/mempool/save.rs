//! The pool in a file, between two runs of a node.
//!
//! Magic `SPCTPOOL`, version and count (4 bytes each, little-endian), each transaction's encoding
//! with its length (4 bytes) before it, and the SHA-256 of all before. Written beside the file
//! and renamed, so that there is always a whole one.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    CheckedTransaction, Limits, MAX_TRANSACTION_BYTES, MAX_UNPAID_ACTIVATIONS, MAX_UNPAID_BYTES,
    MAX_UNPAID_REGISTRATIONS, Mempool,
};
use crate::chain::{DecodeError, Transaction, decode, encode};
use crate::whole::{self, NotWritten};

/// What such a file begins with.
const MAGIC: [u8; 8] = *b"SPCTPOOL";
/// The version that is written.
const VERSION: u32 = 1;
/// Bytes before the first transaction.
const HEAD_BYTES: usize = 16;
/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 32;

/// Why a pool could not be saved or read. A node can start without one.
#[derive(Debug, Error)]
pub enum SaveError {
    /// The system says no.
    #[error("mempool file {}: {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Longer than any pool within the limits.
    #[error("mempool file {}: has {found} bytes, a pool has at most {limit}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The bound.
        limit: u64,
    },
    /// Shorter than an empty pool.
    #[error("mempool file {}: has {found} bytes, an empty pool has {}", path.display(), HEAD_BYTES + CHECKSUM_BYTES)]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
    /// Something else.
    #[error("mempool file {}: is no mempool", path.display())]
    Magic {
        /// The file.
        path: PathBuf,
    },
    /// From another version of the program.
    #[error("mempool file {}: version is {found}, known is {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Damaged.
    #[error("mempool file {}: checksum does not match, the file is damaged", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
    },
    /// More than there can be.
    #[error("mempool file {}: says {found} transactions, a pool has at most {limit}", path.display())]
    Count {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// The transactions are fewer bytes than it says, or more.
    #[error("mempool file {}: ends within transaction {index}, or goes on behind it", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// The transaction's place.
        index: usize,
    },
    /// A transaction that is none.
    #[error("mempool file {}: transaction {index}: {source}", path.display())]
    Transaction {
        /// The file.
        path: PathBuf,
        /// Its place.
        index: usize,
        /// What is wrong.
        source: DecodeError,
    },
}

impl SaveError {
    fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}

/// Most transactions of a pool within the limits, and most bytes of its file.
fn bounds(limits: &Limits) -> (usize, u64) {
    // Limits are whatever an operator likes.
    let count = limits.transactions.saturating_add(MAX_UNPAID_REGISTRATIONS + MAX_UNPAID_ACTIVATIONS);
    let fixed = HEAD_BYTES + MAX_UNPAID_BYTES + CHECKSUM_BYTES;
    let bytes = limits.bytes.saturating_add(fixed).saturating_add(count.saturating_mul(4));
    (count, bytes as u64)
}

/// What a pool holds, to be written while the pool goes on.
#[derive(Debug)]
pub struct Snapshot(Vec<Arc<CheckedTransaction>>);

impl Snapshot {
    /// Of all that `pool` holds.
    #[must_use]
    pub fn of(pool: &Mempool) -> Self {
        Self(pool.iter().cloned().collect())
    }

    /// Writes it to `path`, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written; the one before it is still there.
    pub fn save(&self, path: &Path) -> Result<(), SaveError> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.0.len() as u32).to_le_bytes());
        for transaction in &self.0 {
            bytes.extend_from_slice(&(transaction.bytes() as u32).to_le_bytes());
            bytes.extend_from_slice(&encode(transaction.get()));
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        whole::write(path, &bytes).map_err(|NotWritten { path, action, source }| SaveError::Io { path, action, source })
    }
}

/// Reads what [`Snapshot::save`] wrote, none if there is no file. Nothing of it is trusted: form and signatures of each are to
/// be checked again before a pool takes it, in this order.
///
/// # Errors
/// If the file cannot be read, is damaged, or holds more than a pool of these limits does.
pub fn load(path: &Path, limits: &Limits) -> Result<Vec<Transaction>, SaveError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(SaveError::io(path, "cannot open it"))?,
    };
    let (count_limit, limit) = bounds(limits);
    let found = file.metadata().map_err(SaveError::io(path, "cannot see its length"))?.len();
    if found > limit {
        return Err(SaveError::TooLong { path: path.to_owned(), found, limit });
    }
    let mut bytes = Vec::with_capacity(found as usize);
    // It may have grown since.
    file.take(limit).read_to_end(&mut bytes).map_err(SaveError::io(path, "cannot read it"))?;
    parse(path, &bytes, count_limit)
}

fn parse(path: &Path, bytes: &[u8], count_limit: usize) -> Result<Vec<Transaction>, SaveError> {
    let path = || path.to_owned();
    let short = || SaveError::TooShort { path: path(), found: bytes.len() };
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(short)?;
    let (head, mut rest) = body.split_first_chunk::<HEAD_BYTES>().ok_or_else(short)?;
    if head[..8] != MAGIC {
        return Err(SaveError::Magic { path: path() });
    }
    let found = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
    if found != VERSION {
        return Err(SaveError::Version { path: path(), found });
    }
    if Sha256::digest(body)[..] != checksum[..] {
        return Err(SaveError::Checksum { path: path() });
    }
    let found = u32::from_le_bytes([head[12], head[13], head[14], head[15]]) as usize;
    if found > count_limit {
        return Err(SaveError::Count { path: path(), found, limit: count_limit });
    }
    // As they come: the count alone makes no room.
    let mut transactions = Vec::new();
    for index in 0..found {
        let length = || SaveError::Length { path: path(), index };
        let (bytes, after) = rest.split_first_chunk().ok_or_else(length)?;
        let (encoding, after) = after.split_at_checked(u32::from_le_bytes(*bytes) as usize).ok_or_else(length)?;
        rest = after;
        let transaction = decode("transaction", encoding, MAX_TRANSACTION_BYTES)
            .map_err(|source| SaveError::Transaction { path: path(), index, source })?;
        transactions.push(transaction);
    }
    if rest.is_empty() { Ok(transactions) } else { Err(SaveError::Length { path: path(), index: found }) }
}
