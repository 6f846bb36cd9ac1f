//! The messages, in borsh. Every one is bounded: [`MAX_REQUEST_BYTES`], [`MAX_RESPONSE_BYTES`], [`MAX_GOSSIP_BYTES`]
//! before a byte is read, lists by their own caps before room is made.
//!
//! | message | is | waits for |
//! |---|---|---|
//! | HELLO | [`Request::Hello`], answered by [`Response::Hello`] | nothing: all else waits for it |
//! | REQUEST_PEERS, PEER_LIST | [`Request::Peers`], [`Response::Peers`] | HELLO |
//! | GET_HEADERS, HEADERS | [`Request::Headers`], [`Response::Headers`] | HELLO |
//! | GET_BLOCK, BLOCK | [`Request::Blocks`], [`Response::Blocks`] | HELLO |
//! | PING, PONG | [`Request::Ping`], [`Response::Pong`] | HELLO |
//! | NEW_CHALLENGE | [`Request::NewChallenge`], [`Response::Done`] | HELLO |
//! | BLOCK_ACCEPTED | [`Request::BlockAccepted`], [`Response::Done`] | HELLO |
//! | TX_POOL_REQUEST, TX | [`Request::Pool`], [`Response::Pool`] | HELLO |
//! | PROOF_SUBMISSION | [`Gossip::Submission`] | HELLO |
//! | BLOCK_PROPOSAL | [`Gossip::Proposal`] | HELLO |
//! | TX | [`Gossip::Transaction`] | HELLO |

use std::io::{self, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use spacetime_kernels::tagged_hash;
use spacetime_prover::Proof;

use crate::chain::{Block, BlockId, Capped, Epoch, Hash, Header, Height, MinerKey, Transaction, proof};
use crate::consensus::{Lineage, Weight};

/// The version that this speaks.
pub const PROTOCOL_VERSION: u32 = 1;
/// Most headers in one HEADERS.
pub const MAX_HEADERS: usize = 2000;
/// Most bytes of one HEADERS.
pub const MAX_HEADERS_BYTES: usize = 2 << 20;
/// Most blocks asked for at once.
pub const MAX_BLOCKS: usize = 64;
/// Bytes of blocks after which no further one is put into a BLOCK.
pub const MAX_BLOCKS_BYTES: usize = 4 << 20;
/// Most ids in a locator: each step back is twice the one before.
pub const MAX_LOCATOR: usize = 64;
/// Most addresses in a PEER_LIST.
pub const MAX_PEERS: usize = 64;
/// Longest address, as text (a multiaddr): IPv6, QUIC, and two ids where there is a relay are 188.
pub const MAX_ADDRESS_BYTES: usize = 256;
/// Longest name of a software.
pub const MAX_SOFTWARE_BYTES: usize = 64;
/// Most transactions in the answer to a TX_POOL_REQUEST.
pub const MAX_POOL: usize = 1024;
/// Bytes of transactions after which no further one is put into it.
pub const MAX_POOL_BYTES: usize = 1 << 20;
/// Longest request.
pub const MAX_REQUEST_BYTES: usize = 4096;
/// Longest answer: blocks, the last of which may go over by a whole block.
pub const MAX_RESPONSE_BYTES: usize = MAX_BLOCKS_BYTES + MAX_GOSSIP_BYTES;
/// Longest gossip: a block of 1 MiB with its metadata.
pub const MAX_GOSSIP_BYTES: usize = (1 << 20) + 4096;
/// A gossip is known again for so long: many times what it takes to be everywhere.
pub const GOSSIP_SEEN_MS: u64 = 30_000;

/// Answers GET_HEADERS and GET_BLOCK for every block down to genesis.
pub const CAPABLE_ARCHIVE: u32 = 1;
/// Answers TX_POOL_REQUEST and forwards transactions.
pub const CAPABLE_POOL: u32 = 2;

/// Where a peer's best chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Tip {
    /// The block.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// Its epoch.
    pub epoch: Epoch,
    /// Sum of weights up to it.
    pub weight: Weight,
}

impl From<&Lineage> for Tip {
    fn from(lineage: &Lineage) -> Self {
        Self { id: lineage.id, height: lineage.height, epoch: lineage.epoch, weight: lineage.weight }
    }
}

/// HELLO: what either side says first.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`].
    pub version: u32,
    /// The chain.
    pub genesis: BlockId,
    /// Where the sender's best chain ends.
    pub tip: Tip,
    /// `CAPABLE_…`, joined; unknown bits are ignored.
    pub capabilities: u32,
    /// Name and version of the software, UTF-8.
    pub software: Capped<u8, MAX_SOFTWARE_BYTES>,
    /// The sender's clock, Unix milliseconds.
    pub time_ms: u64,
}

/// A header with its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvedHeader {
    /// The header.
    pub header: Header,
    /// Its proof.
    pub proof: Proof,
}

impl BorshSerialize for ProvedHeader {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.header.serialize(writer)?;
        proof::write(&self.proof, writer)
    }
}

impl BorshDeserialize for ProvedHeader {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        Ok(Self { header: Header::deserialize_reader(reader)?, proof: proof::read(reader)? })
    }
}

/// GET_HEADERS.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GetHeaders {
    /// Blocks that the sender has, highest first, ever further apart, genesis last. The answer begins above the first
    /// of them that is on the best chain.
    pub locator: Capped<BlockId, MAX_LOCATOR>,
    /// Most headers wanted.
    pub limit: u32,
}

/// NEW_CHALLENGE: an epoch has begun for the sender, whose tip is still this. A peer that draws another challenge, or
/// holds another tip, is on another branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NewChallenge {
    /// The epoch.
    pub epoch: Epoch,
    /// Its challenge on the sender's chain.
    pub challenge: Hash,
    /// Where that ends.
    pub tip: Tip,
}

/// What one peer asks or tells another.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Request {
    /// HELLO.
    Hello(Hello),
    /// REQUEST_PEERS.
    Peers,
    /// GET_HEADERS.
    Headers(GetHeaders),
    /// GET_BLOCK, of several.
    Blocks(Capped<BlockId, MAX_BLOCKS>),
    /// PING: any number, and the sender's clock.
    Ping(u64),
    /// NEW_CHALLENGE.
    NewChallenge(NewChallenge),
    /// BLOCK_ACCEPTED: the sender's best chain ends here now.
    BlockAccepted(Tip),
    /// TX_POOL_REQUEST.
    Pool,
}

impl Request {
    /// Longest answer that there can be to it, in bytes: more is not read.
    #[must_use]
    pub const fn max_response_bytes(&self) -> usize {
        match self {
            // Hundreds, and some for what later versions add.
            Self::Hello(_) | Self::Ping(_) | Self::NewChallenge(_) | Self::BlockAccepted(_) => 4096,
            Self::Peers => 16 + MAX_PEERS * (4 + MAX_ADDRESS_BYTES),
            Self::Headers(_) => 16 + MAX_HEADERS_BYTES,
            Self::Blocks(_) | Self::Pool => MAX_RESPONSE_BYTES,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Response {
    /// HELLO.
    Hello(Hello),
    /// PEER_LIST: addresses in their text form, with the peer's id.
    Peers(Capped<Capped<u8, MAX_ADDRESS_BYTES>, MAX_PEERS>),
    /// HEADERS: consecutive, lowest first, [`MAX_HEADERS_BYTES`] at most. None, if the locator's first block is the tip.
    Headers(#[borsh(deserialize_with = "read_headers")] Capped<ProvedHeader, MAX_HEADERS>),
    /// BLOCK: those of the asked that there are, in the order asked, up to [`MAX_BLOCKS_BYTES`].
    Blocks(Capped<Block, MAX_BLOCKS>),
    /// PONG.
    Pong {
        /// The PING's number.
        number: u64,
        /// The sender's clock, Unix milliseconds.
        time_ms: u64,
    },
    /// Taken note of.
    Done,
    /// TX: what the pool holds.
    Pool(Capped<Transaction, MAX_POOL>),
    /// Not now: too much was asked, or HELLO is missing.
    Refused,
}

/// HEADERS, of which no more bytes are read than it may have.
fn read_headers<R: Read>(reader: &mut R) -> io::Result<Capped<ProvedHeader, MAX_HEADERS>> {
    Capped::deserialize_reader(&mut reader.take(MAX_HEADERS_BYTES as u64))
}

/// PROOF_SUBMISSION: a leaf that wins an epoch, before there is a block. Nobody needs to sign it: only who holds the
/// plot can make the proof, and only who holds the key can make a block of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofSubmission {
    /// The epoch that is won.
    pub epoch: Epoch,
    /// Whose plot it is.
    pub miner_key: MinerKey,
    /// The leaf.
    pub proof: Proof,
}

impl BorshSerialize for ProofSubmission {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.epoch.serialize(writer)?;
        self.miner_key.serialize(writer)?;
        proof::write(&self.proof, writer)
    }
}

impl BorshDeserialize for ProofSubmission {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let (epoch, miner_key) = (Epoch::deserialize_reader(reader)?, MinerKey::deserialize_reader(reader)?);
        Ok(Self { epoch, miner_key, proof: proof::read(reader)? })
    }
}

/// What goes from peer to peer through the whole network, validated before it is forwarded.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Gossip {
    /// BLOCK_PROPOSAL.
    Proposal(Box<Block>),
    /// PROOF_SUBMISSION.
    Submission(Box<ProofSubmission>),
    /// TX.
    Transaction(Box<Transaction>),
}

/// A gossip's id: the hash of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GossipId(pub [u8; 32]);

impl GossipId {
    /// Of a gossip's encoding.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(tagged_hash("spacetime/gossip/v1", &[bytes]))
    }
}

#[cfg(test)]
mod tests {
    use spacetime_prover::MAX_SIBLINGS;

    use super::*;
    use crate::chain::{HEADER_BYTES, decode, encode};

    #[test]
    fn headers_are_bounded_in_number_and_in_bytes() {
        let header: Header = decode("header", &[0; HEADER_BYTES], HEADER_BYTES).unwrap();
        let proof = |siblings| Proof {
            challenge: [0; 32],
            column: 0,
            seed: [0; 32],
            rows: 0,
            leaf: [0; 32],
            leaf_index: 0,
            siblings: vec![[0; 32]; siblings],
            root: [0; 32],
        };
        let answer = |siblings, count: usize| {
            let headers = vec![ProvedHeader { header: header.clone(), proof: proof(siblings) }; count];
            let mut bytes = vec![2];
            headers.serialize(&mut bytes).unwrap();
            decode::<Response>("answer", &bytes, MAX_RESPONSE_BYTES).map(|_| bytes.len())
        };
        assert_eq!(answer(0, MAX_HEADERS).unwrap(), 1 + 4 + MAX_HEADERS * (HEADER_BYTES + 152));
        assert!(answer(0, MAX_HEADERS + 1).is_err());
        let longest = encode(&ProvedHeader { header: header.clone(), proof: proof(MAX_SIBLINGS) }).len();
        let fitting = (MAX_HEADERS_BYTES - 4) / longest;
        assert!(fitting < MAX_HEADERS);
        assert!(answer(MAX_SIBLINGS, fitting).is_ok());
        assert!(answer(MAX_SIBLINGS, fitting + 1).is_err(), "more than two MiB");
    }
}
