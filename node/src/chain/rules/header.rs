//! What a header and its proof must be, given what the parent leaves behind (PROTOCOL §4, §6, §7).

use spacetime_kernels::{CellRequest, ColumnIndex, Target};
use spacetime_prover::{Expected, Proof, VerifyError, check};
use thiserror::Error;

use super::signatures::SignatureRule;
use crate::chain::{Epoch, HEADER_VERSION, Hash, Header, Height, proof_id};
use crate::consensus::{Claim, Engine, Lineage, Parameters, reveal_message};

/// How far ahead of this node's clock another's may be, in milliseconds (PROTOCOL §7).
pub const CLOCK_TOLERANCE_MS: u64 = 500;

/// The rule that a header or its proof breaks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// Not the version there is (§6).
    #[error("header version is {0}, known is {HEADER_VERSION}")]
    Version(u32),
    /// Not one more than the parent's (§6).
    #[error("height is {found}, the parent's is {parent}")]
    Height {
        /// The header's.
        found: Height,
        /// The parent's.
        parent: Height,
    },
    /// Not after the parent's (§7).
    #[error("epoch is {found}, the parent's is {parent}")]
    Epoch {
        /// The header's.
        found: Epoch,
        /// The parent's.
        parent: Epoch,
    },
    /// Before genesis (§7).
    #[error("timestamp {timestamp_ms} lies before genesis")]
    BeforeGenesis {
        /// The header's.
        timestamp_ms: u64,
    },
    /// Not the epoch of the timestamp (§7).
    #[error("epoch is {found}, timestamp {timestamp_ms} lies in epoch {expected}")]
    Timestamp {
        /// The header's epoch.
        found: Epoch,
        /// The header's timestamp.
        timestamp_ms: u64,
        /// The timestamp's epoch.
        expected: Epoch,
    },
    /// Its time has not come (§7). It may be good later.
    #[error("epoch {found} has not begun, the clock is in epoch {latest}")]
    Early {
        /// The header's.
        found: Epoch,
        /// The latest that is accepted.
        latest: Epoch,
    },
    /// Not zero (§6).
    #[error("extension is {0}, it must be zero")]
    Extension(Hash),
    /// Not what the parent's chain asks for (§7).
    #[error("target is {}, expected {}", const_hex::encode(found.0), const_hex::encode(expected.0))]
    Target {
        /// The header's.
        found: Target,
        /// As computed.
        expected: Target,
    },
    /// The proof is not the header's (§6). It says nothing about the header.
    #[error("proof id is {found}, the header says {expected}")]
    ProofId {
        /// As computed.
        found: Hash,
        /// The header's.
        expected: Hash,
    },
    /// The proof breaks a rule of its own (§4).
    #[error("proof: {0}")]
    Proof(#[from] VerifyError),
    /// A key or signature does not hold (§6, §7).
    #[error("{0} does not hold")]
    Signature(SignatureRule),
    /// It forks off too deep to be followed (§7).
    #[error("forks off at height {fork}, {depth} below the tip, at most {limit} are followed")]
    TooDeep {
        /// Height of the last common block.
        fork: Height,
        /// Tip height less that.
        depth: u64,
        /// The chain's reorg limit.
        limit: u64,
    },
}

impl HeaderError {
    /// Whether it speaks against the header for good.
    #[must_use]
    pub fn condemns(&self) -> bool {
        !matches!(self, Self::Early { .. } | Self::ProofId { .. } | Self::TooDeep { .. })
    }
}

/// What is left to be checked of a header, and what it leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedHeader {
    /// What it leaves to its children.
    pub lineage: Lineage,
    /// What its reveal signs.
    pub reveal_message: [u8; 64],
    /// The cell whose row is yet to be grown and compared with the proof's leaf.
    pub request: CellRequest,
}

/// Checks every rule of a header and its proof but signatures, the row, and what needs a state; cheapest first.
/// `genesis` is the genesis block's lineage. `now_ms` is the clock, without which no header is early.
///
/// # Errors
/// The first rule broken.
pub fn check_header(
    engine: &impl Engine,
    parameters: &Parameters,
    genesis: &Lineage,
    parent: &Lineage,
    header: &Header,
    proof: &Proof,
    now_ms: Option<u64>,
) -> Result<CheckedHeader, HeaderError> {
    if header.version != HEADER_VERSION {
        return Err(HeaderError::Version(header.version));
    }
    if parent.height.0.checked_add(1) != Some(header.height.0) {
        return Err(HeaderError::Height { found: header.height, parent: parent.height });
    }
    check_time(engine, parent, header, now_ms)?;
    if header.extension != Hash::ZERO {
        return Err(HeaderError::Extension(header.extension));
    }
    let Claim { target, challenge, column } = engine.claim(parent, header.epoch);
    if header.target != target {
        return Err(HeaderError::Target { found: header.target, expected: target });
    }
    let found = proof_id(proof);
    if found != header.proof_id {
        return Err(HeaderError::ProofId { found, expected: header.proof_id });
    }
    let expected = Expected {
        network: parameters.network_tag().0,
        miner_key: header.miner_key.0,
        shape: parameters.shape(),
        challenge,
        column: ColumnIndex(column.0),
        plot_id: header.plot_id.0,
        root: Some(header.plot_root.0),
        score: Some(header.score),
        target: Some(target),
    };
    let request = check(proof, &expected)?;
    Ok(CheckedHeader {
        lineage: engine.extend(parent, header, header.id()),
        reveal_message: reveal_message(&genesis.id, &challenge),
        request,
    })
}

fn check_time(engine: &impl Engine, parent: &Lineage, header: &Header, now_ms: Option<u64>) -> Result<(), HeaderError> {
    if header.epoch <= parent.epoch {
        return Err(HeaderError::Epoch { found: header.epoch, parent: parent.epoch });
    }
    let timestamp_ms = header.timestamp_ms;
    let expected = engine.epoch_of(timestamp_ms).ok_or(HeaderError::BeforeGenesis { timestamp_ms })?;
    if header.epoch != expected {
        return Err(HeaderError::Timestamp { found: header.epoch, timestamp_ms, expected });
    }
    if let Some(now_ms) = now_ms {
        let latest = engine.epoch_of(now_ms.saturating_add(CLOCK_TOLERANCE_MS)).unwrap_or(Epoch(0));
        if header.epoch > latest {
            return Err(HeaderError::Early { found: header.epoch, latest });
        }
    }
    Ok(())
}
