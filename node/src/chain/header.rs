//! A block's header (PROTOCOL §6).

use borsh::{BorshDeserialize, BorshSerialize};
use spacetime_kernels::{Score, Target, tagged_hash};

use super::codec::{self, encode};
use super::types::{BlockId, Epoch, Hash, Height, MinerKey, MinerSignature, PlotId};

/// Every header's version.
pub const HEADER_VERSION: u32 = 1;

/// Length of every header's encoding.
pub const HEADER_BYTES: usize = 4 + 3 * 8 + 9 * 32 + 48 + 2 * 96;

/// A header: who won which epoch with which leaf, and what the block changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Header {
    /// [`HEADER_VERSION`].
    pub version: u32,
    /// One more than the parent's.
    pub height: Height,
    /// The epoch that was won.
    pub epoch: Epoch,
    /// Unix time in milliseconds, within the epoch.
    pub timestamp_ms: u64,
    /// The parent's id.
    pub parent: BlockId,
    /// What the score is below.
    #[borsh(serialize_with = "codec::target::write", deserialize_with = "codec::target::read")]
    pub target: Target,
    /// Whose plot won.
    pub miner_key: MinerKey,
    /// The plot that won.
    pub plot_id: PlotId,
    /// Its root.
    pub plot_root: Hash,
    /// The winning leaf's score.
    #[borsh(serialize_with = "codec::score::write", deserialize_with = "codec::score::read")]
    pub score: Score,
    /// Id of the proof that comes with the header.
    pub proof_id: Hash,
    /// Root over the ids of the transactions.
    pub transaction_root: Hash,
    /// Root of the state after the block.
    pub state_root: Hash,
    /// Zero; kept for a proof of elapsed time.
    pub extension: Hash,
    /// The miner's signature of the challenge, from which later challenges come.
    pub reveal: MinerSignature,
    /// The miner's signature of all the fields above.
    pub signature: MinerSignature,
}

impl Header {
    /// The block's id: it covers the signature.
    #[must_use]
    pub fn id(&self) -> BlockId {
        BlockId(tagged_hash("spacetime/header/v1", &[&encode(self)]))
    }

    /// What the miner signs: the genesis block's id, then all fields but the signature.
    #[must_use]
    pub fn signed_bytes(&self, genesis: &BlockId) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + HEADER_BYTES);
        bytes.extend_from_slice(&genesis.0);
        bytes.extend_from_slice(&encode(self));
        bytes.truncate(bytes.len() - self.signature.0.len());
        bytes
    }
}
