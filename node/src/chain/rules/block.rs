//! What a block's body must be, whatever the state (PROTOCOL §6, §8).

use thiserror::Error;

use super::header::HeaderError;
use super::transaction::{TransactionError, check_form};
use crate::chain::{
    Amount, Block, Coinbase, Hash, Height, MinerKey, Payload, PlotId, Transaction, TransactionId, transaction_root,
};
use crate::consensus::Parameters;
use crate::state::PlotStatus;

/// The rule that a block breaks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BlockError {
    /// A rule of headers and proofs.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The body is not the header's (§6). It says nothing about the header.
    #[error("transactions have root {found}, the header says {expected}")]
    TransactionRoot {
        /// As computed.
        found: Hash,
        /// The header's.
        expected: Hash,
    },
    /// Too long without its metadata (§11).
    #[error("block of {bytes} bytes, at most {limit} are allowed")]
    Bytes {
        /// Its length.
        bytes: usize,
        /// The chain's limit.
        limit: u32,
    },
    /// Too many transactions (§11).
    #[error("{found} transactions, at most {limit} are allowed")]
    Transactions {
        /// The block's.
        found: usize,
        /// The chain's limit.
        limit: u32,
    },
    /// The first transaction is none, or no coinbase (§8).
    #[error("the first transaction is no coinbase")]
    NoCoinbase,
    /// A coinbase stands behind the first (§8).
    #[error("transaction {index} is a second coinbase")]
    SecondCoinbase {
        /// Its place.
        index: usize,
    },
    /// The coinbase is for another height (§8).
    #[error("coinbase: height is {found}, the header's is {expected}")]
    CoinbaseHeight {
        /// The coinbase's.
        found: Height,
        /// The header's.
        expected: Height,
    },
    /// The coinbase is another miner's (§8).
    #[error("coinbase: miner key is {found}, the header's is {expected}")]
    CoinbaseMiner {
        /// The coinbase's.
        found: MinerKey,
        /// The header's.
        expected: MinerKey,
    },
    /// A transaction breaks a rule.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// Its place in the block.
        index: usize,
        /// The rule.
        error: TransactionError,
    },
    /// The plot that won is unknown in the parent's state (§9).
    #[error("winning plot {plot_id} is not registered")]
    UnknownPlot {
        /// The header's.
        plot_id: PlotId,
    },
    /// The plot key is registered with other rows or another root (§9).
    #[error("winning plot is {found}, its key is registered as {registered}")]
    OtherPlot {
        /// The header's.
        found: PlotId,
        /// The registry's.
        registered: PlotId,
    },
    /// The plot may not win at this height (§9).
    #[error("winning plot {plot_id} is {status:?} at height {height}")]
    PlotStatus {
        /// The header's.
        plot_id: PlotId,
        /// What it is instead of mature.
        status: PlotStatus,
        /// The header's height.
        height: Height,
    },
    /// The miner was barred (§7, §9).
    #[error("miner {miner_key} was barred at height {since}")]
    Barred {
        /// The header's.
        miner_key: MinerKey,
        /// Since when.
        since: Height,
    },
    /// The coinbase pays more than it may (§8).
    #[error("coinbase pays {paid}, reward {reward} and fees {fees} allow less")]
    CoinbaseSum {
        /// Sum of its outputs.
        paid: Amount,
        /// The reward at this height.
        reward: Amount,
        /// The block's fees.
        fees: Amount,
    },
    /// More would be issued than amounts can count (§8).
    #[error("{issued} are issued and {paid} more would exceed 2^64")]
    Supply {
        /// Before the block.
        issued: Amount,
        /// What the block would add.
        paid: Amount,
    },
    /// The state after the block is another (§6).
    #[error("state root is {found}, the header says {expected}")]
    StateRoot {
        /// As computed.
        found: Hash,
        /// The header's.
        expected: Hash,
    },
}

impl BlockError {
    /// Whether the header is condemned by it: false where the body or proof was
    /// not the header's, or only the time has not come.
    #[must_use]
    pub fn condemns(&self) -> bool {
        match self {
            Self::TransactionRoot { .. } => false,
            Self::Header(error) => error.condemns(),
            _ => true,
        }
    }
}

/// The coinbase of a block whose body was checked.
pub(crate) fn coinbase(transactions: &[Transaction]) -> Result<&Coinbase, BlockError> {
    match transactions.first().map(|first| &first.payload) {
        Some(Payload::Coinbase(coinbase)) => Ok(coinbase),
        _ => Err(BlockError::NoCoinbase),
    }
}

/// Checks a body against its header and every rule that needs neither a state nor a signature. Returns the ids of
/// the transactions.
///
/// # Errors
/// The first rule broken. That the body is the header's comes first: only such a body says something about it.
pub fn check_body(block: &Block, parameters: &Parameters) -> Result<Vec<TransactionId>, BlockError> {
    let ids: Vec<_> = block.transactions.iter().map(Transaction::id).collect();
    let found = transaction_root(&ids);
    if found != block.header.transaction_root {
        return Err(BlockError::TransactionRoot { found, expected: block.header.transaction_root });
    }
    let limit = parameters.max_block_transactions;
    if ids.len() as u64 > u64::from(limit) {
        return Err(BlockError::Transactions { found: ids.len(), limit });
    }
    let (bytes, limit) = (block.encoded_len(), parameters.max_block_bytes);
    if bytes as u64 > u64::from(limit) {
        return Err(BlockError::Bytes { bytes, limit });
    }
    let coinbase = coinbase(&block.transactions)?;
    if coinbase.height != block.header.height {
        return Err(BlockError::CoinbaseHeight { found: coinbase.height, expected: block.header.height });
    }
    if coinbase.miner_key != block.header.miner_key {
        return Err(BlockError::CoinbaseMiner { found: coinbase.miner_key, expected: block.header.miner_key });
    }
    for (index, transaction) in block.transactions.iter().enumerate() {
        if index > 0 && matches!(transaction.payload, Payload::Coinbase(_)) {
            return Err(BlockError::SecondCoinbase { index });
        }
        check_form(transaction, parameters).map_err(|error| BlockError::Transaction { index, error })?;
    }
    Ok(ids)
}
