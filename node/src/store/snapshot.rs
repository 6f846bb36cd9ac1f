//! The file of `spacetime node checkpoint export` and `import`: the state after one block, and the headers that lead to it.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `SPCTSNAP` |
//! | 4 | version, 1 |
//! | 4 | zero |
//! | 32 | genesis id |
//! | 8 | height of the block, above zero |
//! | 32 | its id |
//! | 8 | number of values of its state |
//! | 32 | checksum: SHA-256 of all bytes before it |
//! | for each frame: | |
//! | 4 | length, above zero |
//! | length | whole items, one after another |
//! | 32 | checksum: SHA-256 of the checksum before, length and items |
//! | at the end: | |
//! | 4 | zero |
//! | 32 | checksum: SHA-256 of the checksum before and the four bytes |
//!
//! Items are, in frames of their own: the headers of heights 1 to that of the block, each with its proof, in borsh; then
//! the state's values, ascending by the hash of their keys: the key's length in one byte, the key (kind first), the
//! value's length in two bytes, the value. Numbers are little-endian.
//!
//! Nothing of it is believed but what the id of the block covers, which whoever imports has to know from elsewhere:
//! headers lead from genesis to that id, and weights, difficulty and beacon follow from them; the state's tree is built
//! anew, and its root is compared with the header's. Bodies are not part of it: blocks from the next one on are had from
//! peers, and forks below are not followed.

mod export;
mod frames;
mod import;
mod leaves;

use std::path::PathBuf;

use thiserror::Error;

pub use export::export;
pub use import::{Imported, SnapshotReader};

use crate::chain::rules::HeaderError;
use crate::chain::{BlockId, HEADER_BYTES, Hash, Height, proof::MAX_PROOF_BYTES};
use crate::consensus::Checkpoint;
use crate::state::GenesisError;
use crate::state::values::MAX_VALUE_BYTES;
use crate::store::StoreError;

/// What every snapshot begins with.
pub const MAGIC: [u8; 8] = *b"SPCTSNAP";
/// The version that this program writes. Later ones are refused.
pub const VERSION: u32 = 1;

/// Bytes of the head that its checksum covers.
const HEAD_BYTES: usize = 8 + 4 + 4 + 32 + 8 + 32 + 8;
const CHECKSUM_BYTES: usize = 32;
/// A frame ends with the item that exceeds this, in bytes.
const FRAME_BYTES: usize = 64 << 10;
/// Longest key of a state, kind and all.
const MAX_KEY_BYTES: usize = 1 + 48;
/// Longest item.
const MAX_ITEM_BYTES: usize = {
    let (header, value) = (HEADER_BYTES + MAX_PROOF_BYTES, 1 + MAX_KEY_BYTES + 2 + MAX_VALUE_BYTES);
    if header > value { header } else { value }
};
/// Longest frame: none is read that is longer.
const MAX_FRAME_BYTES: usize = FRAME_BYTES + MAX_ITEM_BYTES;

type Checksum = [u8; CHECKSUM_BYTES];

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The chain's genesis block.
    pub genesis: BlockId,
    /// The block.
    pub block: Checkpoint,
    /// Values of its state.
    pub values: u64,
}

/// How far an export or import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many headers are done.
    Headers(u64),
    /// So many values are done.
    Values(u64),
}

/// Why a snapshot was not written, or not taken in. In a database nothing is left of one that was not.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The specification makes no genesis.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The file cannot be written; what was written of it is gone.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no state of that height.
    #[error("height {height}: states of heights {oldest} to {newest} are kept, and genesis needs no snapshot")]
    NotKept {
        /// What was asked for.
        height: Height,
        /// The oldest that is kept.
        oldest: Height,
        /// The newest.
        newest: Height,
    },
    /// The disk fails.
    #[error("{name}: byte {offset}: {source}")]
    Read {
        /// What it is called.
        name: String,
        /// Where.
        offset: u64,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is another kind of file.
    #[error("{name}: no snapshot: it begins with {}", const_hex::encode(.found))]
    Magic {
        /// What it is called.
        name: String,
        /// Its first bytes.
        found: [u8; 8],
    },
    /// A later program made it.
    #[error("{name}: snapshot of version {found}, this program knows {VERSION}")]
    Newer {
        /// What it is called.
        name: String,
        /// Its version.
        found: u32,
    },
    /// It is of another chain.
    #[error("{name}: snapshot of the chain of genesis {found}, expected {expected}")]
    OtherChain {
        /// What it is called.
        name: String,
        /// Its genesis.
        found: BlockId,
        /// The specification's.
        expected: BlockId,
    },
    /// It is of another block than the one that is trusted.
    #[error("{name}: snapshot of block {}:{}, trusted is {}:{}", found.height, found.id, trusted.height, trusted.id)]
    Untrusted {
        /// What it is called.
        name: String,
        /// The block that it says it is of.
        found: Checkpoint,
        /// The block that is trusted.
        trusted: Checkpoint,
    },
    /// It ends too soon.
    #[error("{name}: ends at byte {offset}, within the {field}")]
    Truncated {
        /// What it is called.
        name: String,
        /// Where it ends.
        offset: u64,
        /// What is not whole.
        field: &'static str,
    },
    /// It is not as it was written.
    #[error("{name}: the {field} at byte {offset} is damaged: {reason}")]
    Damaged {
        /// What it is called.
        name: String,
        /// Where the field begins.
        offset: u64,
        /// What is damaged.
        field: &'static str,
        /// How that shows.
        reason: String,
    },
    /// A header breaks a rule.
    #[error("{name}: header of height {height}, in the frame at byte {offset}: {error}")]
    Header {
        /// What it is called.
        name: String,
        /// Where its frame begins.
        offset: u64,
        /// Its height.
        height: Height,
        /// The rule.
        error: Box<HeaderError>,
    },
    /// Headers do not lead from genesis to the block.
    #[error("{name}: header of height {height}, in the frame at byte {offset}: it is {found}, expected {expected}")]
    Chain {
        /// What it is called.
        name: String,
        /// Where its frame begins.
        offset: u64,
        /// The height.
        height: Height,
        /// The block, or what it stands on, as found.
        found: BlockId,
        /// As expected.
        expected: BlockId,
    },
    /// The values are not the state of the block.
    #[error("{name}: its values have root {found}, the header of the block says {expected}")]
    Root {
        /// What it is called.
        name: String,
        /// As computed.
        found: Hash,
        /// The header's.
        expected: Hash,
    },
    /// The database holds something already.
    #[error("there is a store already: a snapshot is taken in where there is none")]
    NotEmpty,
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was told to stop.
    #[error("stopped before its end")]
    Stopped,
}

impl SnapshotError {
    /// Whether it is the data that is wrong, and not the disk or its room.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Genesis(_)
            | Self::Write { .. }
            | Self::Read { .. }
            | Self::NotKept { .. }
            | Self::NotEmpty
            | Self::Untrusted { .. }
            | Self::Stopped => false,
            Self::Store(error) => error.is_damage(),
            _ => true,
        }
    }
}
