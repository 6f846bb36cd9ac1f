//! What the pool takes.

use crate::chain::rules::{TransactionError, check_form};
use crate::chain::verify::Verifier;
use crate::chain::{Amount, Hash, Payload, Transaction, TransactionId, plot_key};
use crate::consensus::Parameters;

/// A transaction whose form and signatures hold, with what is asked of it again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedTransaction {
    transaction: Transaction,
    id: TransactionId,
    bytes: usize,
    plot_key: Option<Hash>,
}

impl CheckedTransaction {
    /// Checks the form of many transactions, and the signatures of those that have it. The openings of an activation
    /// are left to be grown ([`super::StateView::openings`]).
    #[must_use]
    pub fn check(
        transactions: Vec<Transaction>,
        verifier: &Verifier,
        parameters: &Parameters,
    ) -> Vec<Result<Self, TransactionError>> {
        let mut results: Vec<_> = transactions.iter().map(|transaction| check_form(transaction, parameters)).collect();
        let formed: Vec<_> = (0..results.len()).filter(|index| results[*index].is_ok()).collect();
        let claimed: Vec<_> = formed.iter().map(|index| &transactions[*index]).collect();
        for (index, signed) in formed.into_iter().zip(verifier.transactions(&claimed)) {
            results[index] = signed;
        }
        let wrap =
            |(transaction, result): (_, Result<_, _>)| result.map(|()| Self::already_checked(transaction, parameters));
        transactions.into_iter().zip(results).map(wrap).collect()
    }

    /// Wraps a transaction whose form, signatures and openings were checked before, as those of blocks were.
    #[must_use]
    pub fn already_checked(transaction: Transaction, parameters: &Parameters) -> Self {
        let plot_key = match &transaction.payload {
            Payload::RegisterPlot(plot) => Some(Hash(plot_key(parameters, &plot.miner_key, &plot.seed.0).0)),
            Payload::ActivatePlot(plot) => Some(plot.plot_key),
            Payload::RetirePlot(plot) => Some(plot.plot_key),
            Payload::Coinbase(_) | Payload::Transfer(_) | Payload::Evidence(_) => None,
        };
        Self { id: transaction.id(), bytes: transaction.encoded_len(), plot_key, transaction }
    }

    /// The transaction.
    #[must_use]
    pub fn get(&self) -> &Transaction {
        &self.transaction
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// Length of its encoding.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it pays for each byte.
    #[must_use]
    pub fn rate(&self) -> FeeRate {
        FeeRate::new(self.transaction.fee, self.bytes)
    }

    /// The key of the plot that it is about.
    #[must_use]
    pub fn plot_key(&self) -> Option<Hash> {
        self.plot_key
    }

    /// Fee and amount together, which may be more than there can be.
    pub(super) fn cost(&self) -> u128 {
        cost(&self.transaction)
    }
}

/// What a transaction takes from its sender.
pub(super) fn cost(transaction: &Transaction) -> u128 {
    let amount = match &transaction.payload {
        Payload::Transfer(transfer) => transfer.amount,
        _ => Amount::ZERO,
    };
    u128::from(transaction.fee.0) + u128::from(amount.0)
}

/// A fee for each byte, in 2^-32 base units, rounded down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeeRate(u128);

impl FeeRate {
    /// `fee` for `bytes` bytes.
    #[must_use]
    pub fn new(fee: Amount, bytes: usize) -> Self {
        Self((u128::from(fee.0) << 32) / (bytes.max(1) as u128))
    }

    /// Whether it is more than `rate`, and at least so many tenths of it.
    pub(super) fn is_raised_from(self, rate: Self, tenths: u64) -> bool {
        // Both are below 2^96, and rounded down.
        self > rate && (self.0 + 1) * 10 >= rate.0 * u128::from(tenths)
    }

    /// Base units a byte, for messages.
    #[must_use]
    pub fn units_per_byte(self) -> f64 {
        self.0 as f64 / (1u64 << 32) as f64
    }
}
