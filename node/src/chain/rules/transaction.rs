//! What a transaction must be, whatever the state (PROTOCOL §8 to §10), and
//! every way in which one can break a rule.

use spacetime_kernels::{Cell, MAX_ROWS};
use thiserror::Error;

use crate::chain::{Amount, BlockId, Epoch, Hash, Height, MinerKey, Payload, Transaction};
use crate::consensus::Parameters;

use super::signatures::SignatureRule;

/// The rule that a transaction breaks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransactionError {
    /// Every kind but these needs a paying account (§10).
    #[error("{kind}: has no sender; only a plot may be registered or activated without")]
    NoSender {
        /// The transaction's kind.
        kind: &'static str,
    },
    /// A coinbase is sent by nobody (§8).
    #[error("coinbase: has a sender")]
    CoinbaseSender,
    /// Without a sender the fee is 0 (§10).
    #[error("fee is {fee}, without a sender it is 0")]
    UnpaidFee {
        /// The transaction's.
        fee: Amount,
    },
    /// Without a sender the nonce is 0 (§10).
    #[error("nonce is {nonce}, without a sender it is 0")]
    UnpaidNonce {
        /// The transaction's.
        nonce: u64,
    },
    /// The fee is below the least for its length (§10).
    #[error("fee is {fee}, the least for {bytes} bytes is {least}")]
    Fee {
        /// The transaction's.
        fee: Amount,
        /// Length of its encoding.
        bytes: usize,
        /// The least.
        least: Amount,
    },
    /// A signature is missing, or one too many (§10).
    #[error("{kind}: {whose} signature {}", if *.found { "is not asked for" } else { "is missing" })]
    Signatures {
        /// The transaction's kind.
        kind: &'static str,
        /// The account's or the miner's.
        whose: &'static str,
        /// Whether it is there.
        found: bool,
    },
    /// Nothing is sent (§10).
    #[error("transfer: amount is 0")]
    NoAmount,
    /// Amount and fee have no sum.
    #[error("transfer: amount {amount} and fee {fee} exceed 2^64")]
    AmountOverflow {
        /// What is sent.
        amount: Amount,
        /// What is paid.
        fee: Amount,
    },
    /// Too few rows, or too many (§9).
    #[error("register plot: rows are {rows}, allowed are {least} to {MAX_ROWS}")]
    Rows {
        /// The plot's.
        rows: u64,
        /// The chain's least.
        least: u64,
    },
    /// Another number of openings than the chain's (§9).
    #[error("activate plot: {found} openings, expected {expected}")]
    Openings {
        /// The transaction's.
        found: usize,
        /// The chain's.
        expected: u32,
    },
    /// One header twice (§7).
    #[error("evidence: both headers are {0}")]
    SameHeader(BlockId),
    /// Headers of two miners (§7).
    #[error("evidence: headers of two miners, {first} and {second}")]
    TwoMiners {
        /// The first header's key.
        first: MinerKey,
        /// The second's.
        second: MinerKey,
    },
    /// Headers for two epochs (§7).
    #[error("evidence: headers for two epochs, {first} and {second}")]
    TwoEpochs {
        /// The first header's epoch.
        first: Epoch,
        /// The second's.
        second: Epoch,
    },
    /// A coinbase's output pays nothing (§8).
    #[error("coinbase: output {index} pays 0")]
    EmptyOutput {
        /// Its place.
        index: usize,
    },
    /// A coinbase's outputs have no sum (§8).
    #[error("coinbase: outputs exceed 2^64")]
    OutputSum,
    /// A key or signature does not hold (§6).
    #[error("{0} does not hold")]
    Signature(SignatureRule),
    /// Not the sender's next nonce (§10).
    #[error("nonce is {found}, the sender's next is {expected}")]
    Nonce {
        /// The transaction's.
        found: u64,
        /// The account's.
        expected: u64,
    },
    /// The sender has used up all nonces there are.
    #[error("the sender has no nonce left")]
    NonceEnd,
    /// The sender cannot pay (§10).
    #[error("sender has {balance}, needs {needed}")]
    Balance {
        /// What it has.
        balance: Amount,
        /// Fee and amount.
        needed: Amount,
    },
    /// The miner is barred for good (§7, §9).
    #[error("miner {miner_key} was barred at height {height}")]
    Barred {
        /// The miner.
        miner_key: MinerKey,
        /// Since when.
        height: Height,
    },
    /// The plot key is registered already (§9).
    #[error("register plot: plot key {plot_key} is registered since height {registered}")]
    Registered {
        /// The plot key.
        plot_key: Hash,
        /// Since when.
        registered: Height,
    },
    /// The plot key was retired, and never returns (§9).
    #[error("plot key {plot_key} was retired")]
    Retired {
        /// The plot key.
        plot_key: Hash,
    },
    /// The block has all the registrations that it may (§9).
    #[error("register plot: the block has {limit} registrations already")]
    Registrations {
        /// The chain's limit.
        limit: u32,
    },
    /// The block has a registration without a fee already (§9).
    #[error("register plot: the block has a registration without a fee already")]
    UnpaidRegistrations,
    /// No such plot (§9).
    #[error("plot key {plot_key} is not registered")]
    UnknownPlot {
        /// The plot key.
        plot_key: Hash,
    },
    /// The plot of somebody else (§9).
    #[error("plot key {plot_key} is of miner {owner}")]
    ForeignPlot {
        /// The plot key.
        plot_key: Hash,
        /// Whose it is.
        owner: MinerKey,
    },
    /// The registration has lapsed, or the plot's lifetime has ended (§9).
    #[error("plot key {plot_key} lapsed before height {height}")]
    Lapsed {
        /// The plot key.
        plot_key: Hash,
        /// The block's height.
        height: Height,
    },
    /// What the openings are drawn from is not known yet (§9).
    #[error("activate plot: openings are drawn from the first block of a group that has none yet")]
    NotDrawn,
    /// An opening's path has another length (§9).
    #[error("activate plot: opening {index} has {found} siblings, expected {expected}")]
    OpeningSiblings {
        /// The opening's place.
        index: usize,
        /// Its siblings.
        found: usize,
        /// `d + p`.
        expected: usize,
    },
    /// An opening's path leads elsewhere (§9).
    #[error("activate plot: opening {index} leads to {}, not to the plot's root", const_hex::encode(found))]
    OpeningPath {
        /// The opening's place.
        index: usize,
        /// Where it leads.
        found: Cell,
    },
    /// An opening's cell was never grown (§9).
    #[error("activate plot: opening {index} is {}, grown is {}", const_hex::encode(found), const_hex::encode(grown))]
    OpeningCell {
        /// The opening's place.
        index: usize,
        /// Its cell.
        found: Cell,
        /// The cell as grown.
        grown: Cell,
    },
    /// The evidence is too old (§7).
    #[error("evidence: of epoch {epoch}, the oldest that counts is {oldest}")]
    OldEvidence {
        /// The headers'.
        epoch: Epoch,
        /// The ancestor's.
        oldest: Epoch,
    },
}

/// The least fee of a transaction of `bytes` bytes that has a sender.
#[must_use]
pub fn least_fee(bytes: usize, parameters: &Parameters) -> Amount {
    let fees = &parameters.fees;
    Amount(fees.base.0.saturating_add(fees.per_byte.0.saturating_mul(bytes as u64)))
}

/// Checks what can be checked without a state and without a signature.
///
/// # Errors
/// The first rule broken, cheapest first.
pub fn check_form(transaction: &Transaction, parameters: &Parameters) -> Result<(), TransactionError> {
    let kind = transaction.payload.name();
    let may_be_unpaid = matches!(transaction.payload, Payload::RegisterPlot(_) | Payload::ActivatePlot(_));
    match (&transaction.payload, &transaction.sender) {
        (Payload::Coinbase(_), Some(_)) => return Err(TransactionError::CoinbaseSender),
        (Payload::Coinbase(_), None) => {}
        (_, None) if !may_be_unpaid => return Err(TransactionError::NoSender { kind }),
        _ => {}
    }
    if transaction.sender.is_none() {
        if transaction.fee != Amount::ZERO {
            return Err(TransactionError::UnpaidFee { fee: transaction.fee });
        }
        if transaction.nonce != 0 {
            return Err(TransactionError::UnpaidNonce { nonce: transaction.nonce });
        }
    }
    let signatures = [
        ("account's", transaction.sender.is_some(), transaction.signatures.account.is_some()),
        ("miner's", transaction.payload.signing_miner().is_some(), transaction.signatures.miner.is_some()),
    ];
    for (whose, wanted, found) in signatures {
        if wanted != found {
            return Err(TransactionError::Signatures { kind, whose, found });
        }
    }
    check_payload(transaction, parameters)?;
    if transaction.sender.is_some() {
        let bytes = transaction.encoded_len();
        let least = least_fee(bytes, parameters);
        if transaction.fee < least {
            return Err(TransactionError::Fee { fee: transaction.fee, bytes, least });
        }
    }
    Ok(())
}

fn check_payload(transaction: &Transaction, parameters: &Parameters) -> Result<(), TransactionError> {
    match &transaction.payload {
        Payload::Coinbase(coinbase) => {
            if let Some(index) = coinbase.outputs.iter().position(|output| output.amount == Amount::ZERO) {
                return Err(TransactionError::EmptyOutput { index });
            }
            Amount::checked_sum(coinbase.outputs.iter().map(|output| output.amount))
                .map(|_| ())
                .ok_or(TransactionError::OutputSum)
        }
        Payload::Transfer(transfer) => {
            if transfer.amount == Amount::ZERO {
                return Err(TransactionError::NoAmount);
            }
            let (amount, fee) = (transfer.amount, transaction.fee);
            amount.checked_add(fee).map(|_| ()).ok_or(TransactionError::AmountOverflow { amount, fee })
        }
        Payload::RegisterPlot(register) => {
            let (rows, least) = (register.rows, parameters.min_rows);
            if (least..=MAX_ROWS).contains(&rows) { Ok(()) } else { Err(TransactionError::Rows { rows, least }) }
        }
        Payload::ActivatePlot(activate) => {
            let (found, expected) = (activate.openings.len(), parameters.openings);
            if found as u64 == u64::from(expected) {
                Ok(())
            } else {
                Err(TransactionError::Openings { found, expected })
            }
        }
        Payload::RetirePlot(_) => Ok(()),
        Payload::Evidence(evidence) => {
            let (first, second) = (&evidence.first, &evidence.second);
            if first.miner_key != second.miner_key {
                return Err(TransactionError::TwoMiners { first: first.miner_key, second: second.miner_key });
            }
            if first.epoch != second.epoch {
                return Err(TransactionError::TwoEpochs { first: first.epoch, second: second.epoch });
            }
            let id = first.id();
            if id == second.id() { Err(TransactionError::SameHeader(id)) } else { Ok(()) }
        }
    }
}
