//! The file of `spacetime node db export` and `import`: blocks in a row, each with a checksum over all before it.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `SPCTBLKS` |
//! | 4 | version, 1 |
//! | 4 | zero |
//! | 32 | genesis id |
//! | 8, 8 | least and greatest height of the blocks |
//! | 32 | checksum: SHA-256 of all bytes before it |
//! | for each block: | |
//! | 4 | length, above zero |
//! | length | the block, borsh, with its metadata |
//! | 32 | checksum: SHA-256 of the checksum before, length and block |
//! | at the end: | |
//! | 4 | zero |
//! | 8 | number of blocks |
//! | 32 | checksum: SHA-256 of the checksum before and the twelve bytes |
//!
//! Numbers are little-endian. Blocks may stand in any order; an export writes those of the best chain, lowest first.

mod export;
mod read;
mod write;

use thiserror::Error;

pub use export::{ExportError, export};
pub use read::ArchiveReader;
pub use write::ArchiveWriter;

use crate::chain::{BlockId, Height, MAX_METADATA_BYTES};
use crate::consensus::Parameters;
use crate::store::StoreError;

/// What every archive begins with.
pub const MAGIC: [u8; 8] = *b"SPCTBLKS";
/// The version that this program writes. Later ones are refused.
pub const VERSION: u32 = 1;

/// Bytes of the head that its checksum covers.
const HEAD_BYTES: usize = 8 + 4 + 4 + 32 + 8 + 8;
const CHECKSUM_BYTES: usize = 32;
const _: () = assert!(HEAD_BYTES == 64);

type Checksum = [u8; CHECKSUM_BYTES];

/// What an archive says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveHead {
    /// The chain's genesis block.
    pub genesis: BlockId,
    /// The least height of its blocks.
    pub first: Height,
    /// The greatest.
    pub last: Height,
}

/// Longest encoding of a block with its metadata.
fn max_block_bytes(parameters: &Parameters) -> u64 {
    let metadata = 1 + 4 + MAX_METADATA_BYTES as u64;
    u64::from(parameters.max_block_bytes) + metadata
}

/// Why an archive cannot be read to its end. The blocks before are good as far as the archive goes.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The disk fails.
    #[error("{name}: byte {offset}: {source}")]
    Io {
        /// What it is called.
        name: String,
        /// Where.
        offset: u64,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is another kind of file.
    #[error("{name}: no archive of blocks: it begins with {}", const_hex::encode(.found))]
    Magic {
        /// What it is called.
        name: String,
        /// Its first bytes.
        found: [u8; 8],
    },
    /// A later program made it.
    #[error("{name}: archive of version {found}, this program knows {VERSION}")]
    Newer {
        /// What it is called.
        name: String,
        /// Its version.
        found: u32,
    },
    /// It holds another chain.
    #[error("{name}: blocks of the chain of genesis {found}, expected {expected}")]
    OtherChain {
        /// What it is called.
        name: String,
        /// Its genesis.
        found: BlockId,
        /// The specification's.
        expected: BlockId,
    },
    /// It ends too soon.
    #[error("{name}: ends at byte {offset}, within the {field} of block {block}")]
    Truncated {
        /// What it is called.
        name: String,
        /// Where it ends.
        offset: u64,
        /// What is not whole.
        field: &'static str,
        /// Blocks before, which are whole.
        block: u64,
    },
    /// It is not as it was written.
    #[error("{name}: the {field} of block {block} at byte {offset} is damaged: {reason}")]
    Damaged {
        /// What it is called.
        name: String,
        /// Where the field begins.
        offset: u64,
        /// What is damaged.
        field: &'static str,
        /// Blocks before.
        block: u64,
        /// How that shows.
        reason: String,
    },
    /// A block cannot be kept: for the store that takes it in.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ArchiveError {
    /// Whether it is the data that is wrong, and not the disk or its room.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Io { .. } => false,
            Self::Store(error) => error.is_damage(),
            _ => true,
        }
    }
}
