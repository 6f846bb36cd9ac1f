//! The names of all rules. A new one does not compile until it stands here, and then wants its block.

use spacetime_node::chain::rules::{BlockError, HeaderError, SignatureRule, TransactionError};
use spacetime_node::state::PlotStatus;
use spacetime_prover::VerifyError;

/// Rules that are named by an error of their own, by the name of the error that holds it.
pub(crate) const ALL: &[(&str, &[&str])] = &[
    ("", BLOCK),
    ("PlotStatus::", STATUS),
    ("Header::", HEADER),
    ("Header::Proof::", PROOF),
    ("Header::Signature::", HEADER_SIGNATURE),
    ("Transaction::", TRANSACTION),
    ("Transaction::Signature::", TRANSACTION_SIGNATURE),
];

/// The whole name of the rule that an error stands for.
pub(crate) fn path(error: &BlockError) -> String {
    match error {
        BlockError::Header(HeaderError::Proof(error)) => format!("Header::Proof::{}", proof(error)),
        BlockError::Header(HeaderError::Signature(rule)) => format!("Header::Signature::{}", signature(rule)),
        BlockError::Header(error) => format!("Header::{}", header(error)),
        BlockError::Transaction { error: TransactionError::Signature(rule), .. } => {
            format!("Transaction::Signature::{}", signature(rule))
        }
        BlockError::Transaction { error, .. } => format!("Transaction::{}", transaction(error)),
        BlockError::PlotStatus { status, .. } => format!("PlotStatus::{}", plot_status(status)),
        error => block(error).to_owned(),
    }
}

/// A function that names the variants of an error, and a list of those names. Variants in brackets are not listed:
/// they hold others, or say that all is well.
macro_rules! names {
    ($function:ident, $list:ident, $error:ident: $($variant:ident)* [$($other:ident)*]) => {
        const $list: &[&str] = &[$(stringify!($variant)),*];

        fn $function(error: &$error) -> &'static str {
            match error {
                $($error::$variant { .. } => stringify!($variant),)*
                $($error::$other { .. } => stringify!($other),)*
            }
        }
    };
}

names! { block, BLOCK, BlockError:
    TransactionRoot Bytes Transactions NoCoinbase SecondCoinbase CoinbaseHeight CoinbaseMiner UnknownPlot OtherPlot
    Barred CoinbaseSum Supply StateRoot
    [Header Transaction PlotStatus]
}

names! { plot_status, STATUS, PlotStatus: Pending Lapsed Immature Ended Retired [Mature] }

names! { header, HEADER, HeaderError:
    Version Height Epoch BeforeGenesis Timestamp Early Extension Target ProofId TooDeep
    [Proof Signature]
}

names! { proof, PROOF, VerifyError:
    Rows Challenge Column IndexColumn Row Siblings PlotId Root Score Target Path Leaf
    []
}

names! { transaction, TRANSACTION, TransactionError:
    NoSender CoinbaseSender UnpaidFee UnpaidNonce Fee Signatures NoAmount AmountOverflow Rows Openings SameHeader
    TwoMiners TwoEpochs EmptyOutput OutputSum Nonce NonceEnd Balance Barred Registered Retired Registrations
    UnpaidRegistrations UnknownPlot ForeignPlot Lapsed NotDrawn OpeningSiblings OpeningPath OpeningCell OldEvidence
    [Signature]
}

/// Of a header's signatures, and of a transaction's.
const HEADER_SIGNATURE: &[&str] = &["Header", "Reveal"];
const TRANSACTION_SIGNATURE: &[&str] = &["Account", "Miner", "Possession", "FirstHeader", "SecondHeader"];

names! { signature, SIGNATURE, SignatureRule: Header Reveal Account Miner Possession FirstHeader SecondHeader [] }

#[test]
fn every_signature_is_a_headers_or_a_transactions() {
    assert_eq!(SIGNATURE, [HEADER_SIGNATURE, TRANSACTION_SIGNATURE].concat());
}
