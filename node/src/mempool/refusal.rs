//! The rules of the pool.

use thiserror::Error;

use super::checked::FeeRate;
use crate::chain::rules::TransactionError;
use crate::chain::{Amount, Hash, TransactionId};
use crate::state::Fault;

/// Why the pool does not take a transaction. None of it says that the transaction is invalid for ever, and
/// the pool remembers none of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It is held already.
    #[error("transaction {id} is held already")]
    Known {
        /// Its id.
        id: TransactionId,
    },
    /// Only plots are registered and activated by nobody's account; a coinbase is part of a block.
    #[error("a {kind} without a sender is not held")]
    NoSender {
        /// The transaction's kind.
        kind: &'static str,
    },
    /// Longer than any that is held.
    #[error("transaction of {bytes} bytes, at most {limit} are held")]
    TooLong {
        /// Length of its encoding.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// It pays less than this node wants.
    #[error("fee is {fee}, the least for {bytes} bytes is {least}")]
    Floor {
        /// What it pays.
        fee: Amount,
        /// Length of its encoding.
        bytes: usize,
        /// What is wanted.
        least: Amount,
    },
    /// No block on this tip can hold it.
    #[error("not on this tip: {0}")]
    Judged(TransactionError),
    /// Its nonce has been used on this tip.
    #[error("nonce is {found}, the account's next is {next}")]
    UsedNonce {
        /// The transaction's.
        found: u64,
        /// The account's.
        next: u64,
    },
    /// Its nonce lies too far ahead.
    #[error("nonce is {found}, held are {next} and the {} after it", limit - 1)]
    FarNonce {
        /// The transaction's.
        found: u64,
        /// The account's next.
        next: u64,
        /// How many nonces are held.
        limit: u64,
    },
    /// The last of all nonces has none after it, so no block takes it.
    #[error("nonce is {found}, which has none after it")]
    LastNonce {
        /// The transaction's.
        found: u64,
    },
    /// Another transaction has its nonce, and it does not pay enough to take its place.
    #[error("fee is {fee}, taking the place of {holder} costs {least}")]
    Replacement {
        /// What it pays.
        fee: Amount,
        /// What holds the nonce.
        holder: TransactionId,
        /// The least fee for it.
        least: u128,
    },
    /// The account cannot pay for it and for what it has in the queue.
    #[error("balance is {balance}, the account's queue would cost {needed}")]
    Balance {
        /// The account's.
        balance: Amount,
        /// Amounts and fees together.
        needed: u128,
    },
    /// The account has too much in its queue.
    #[error("the account's queue would have {bytes} bytes, at most {limit} are held")]
    AccountBytes {
        /// What it would have.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// The pool is full of what counts as much or more.
    #[error("the pool is full; {} units a byte{} is too little", rate.units_per_byte(), if *ready { "" } else { " behind a gap" })]
    Full {
        /// The least that is paid for a byte up to and with this one in its queue.
        rate: FeeRate,
        /// Whether it could be mined after what its account has in the pool; behind a gap it counts less.
        ready: bool,
    },
    /// The plot has a transaction without a fee already.
    #[error("plot {plot_key} has {holder} without a fee already")]
    UnpaidPlot {
        /// The plot's key.
        plot_key: Hash,
        /// What is held.
        holder: TransactionId,
    },
    /// The place for what nobody pays for is full.
    #[error("{held} of {kind} without a fee are held already")]
    UnpaidCount {
        /// Registrations or activations.
        kind: &'static str,
        /// How many there are, which is the bound.
        held: usize,
    },
    /// The place for what nobody pays for is full.
    #[error("transactions without a fee would have {bytes} bytes, at most {limit} are held")]
    UnpaidBytes {
        /// What they would have.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
}

impl From<Refusal> for Fault<Refusal> {
    fn from(refusal: Refusal) -> Self {
        Self::Rule(refusal)
    }
}
