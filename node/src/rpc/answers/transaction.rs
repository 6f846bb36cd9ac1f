//! Transactions in answers.

use serde::{Deserialize, Serialize};

use super::Units;
use crate::chain::{
    ActivatePlot, BlockId, Coinbase, Epoch, Evidence, Hash, Height, MinerKey, Payload, RegisterPlot, RetirePlot,
    Transaction, TransactionId, Transfer, encode, plot_key,
};
use crate::consensus::Parameters;

/// A transaction, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionAnswer {
    /// Its id.
    pub id: TransactionId,
    /// What it asks for.
    #[serde(flatten)]
    pub what: What,
    /// Who pays for it, if anybody does.
    pub sender: Option<String>,
    /// The sender's nonce.
    pub nonce: u64,
    /// What is paid for it.
    pub fee: Units,
    /// Length of its encoding.
    pub bytes: u64,
    /// Where it is; a block's transactions say nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The transaction itself; a block's transactions leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Place {
    /// In a block of the best chain.
    Block {
        /// The block's height.
        height: Height,
        /// The block.
        block: BlockId,
        /// The block's time.
        timestamp_ms: u64,
        /// Which of the block's transactions it is, from 0.
        index: u32,
        /// Blocks from this one to the tip, itself among them.
        confirmations: u64,
    },
    /// Waiting for a block.
    Pool,
}

/// What a transaction asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// The block's reward.
    Coinbase {
        /// Who won.
        miner_key: MinerKey,
        /// Who is paid.
        outputs: Vec<OutputAnswer>,
        /// What else the miner said.
        extra: String,
    },
    /// Money for an address.
    Transfer {
        /// Whose.
        to: String,
        /// How much.
        amount: Units,
        /// The note, where it is text of one line.
        memo: Option<String>,
        /// The note's bytes.
        memo_hex: String,
    },
    /// The first step of a plot's life.
    RegisterPlot {
        /// Whose plot.
        miner_key: MinerKey,
        /// Which.
        plot_key: Hash,
        /// Its rows.
        rows: u64,
        /// Its root.
        root: Hash,
    },
    /// The second step.
    ActivatePlot {
        /// Whose plot.
        miner_key: MinerKey,
        /// Which.
        plot_key: Hash,
    },
    /// The end of a plot.
    RetirePlot {
        /// Whose plot.
        miner_key: MinerKey,
        /// Which.
        plot_key: Hash,
    },
    /// Two headers of one miner for one epoch.
    Evidence {
        /// The miner.
        miner_key: MinerKey,
        /// The epoch.
        epoch: Epoch,
        /// The two headers.
        headers: [BlockId; 2],
    },
}

/// One payment of a coinbase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputAnswer {
    /// Who is paid.
    pub address: String,
    /// How much.
    pub amount: Units,
}

impl TransactionAnswer {
    /// In short: neither where it is nor its bytes.
    #[must_use]
    pub fn of(transaction: &Transaction, parameters: &Parameters) -> Self {
        Self {
            id: transaction.id(),
            what: What::of(&transaction.payload, parameters),
            sender: transaction.sender_address().map(|sender| sender.encode(&parameters.hrp)),
            nonce: transaction.nonce,
            fee: Units(transaction.fee),
            bytes: transaction.encoded_len() as u64,
            place: None,
            raw: None,
        }
    }

    /// With all that there is to say.
    #[must_use]
    pub fn at(transaction: &Transaction, parameters: &Parameters, place: Place) -> Self {
        let raw = Some(const_hex::encode(encode(transaction)));
        Self { place: Some(place), raw, ..Self::of(transaction, parameters) }
    }
}

impl What {
    fn of(payload: &Payload, parameters: &Parameters) -> Self {
        let hrp = &parameters.hrp;
        match payload {
            Payload::Coinbase(Coinbase { miner_key, outputs, extra, .. }) => {
                let outputs = outputs
                    .iter()
                    .map(|output| OutputAnswer { address: output.address.encode(hrp), amount: Units(output.amount) });
                Self::Coinbase { miner_key: *miner_key, outputs: outputs.collect(), extra: const_hex::encode(&**extra) }
            }
            Payload::Transfer(Transfer { to, amount, memo }) => Self::Transfer {
                to: to.encode(hrp),
                amount: Units(*amount),
                memo: memo_text(memo),
                memo_hex: const_hex::encode(&**memo),
            },
            Payload::RegisterPlot(RegisterPlot { miner_key, seed, rows, root, .. }) => Self::RegisterPlot {
                miner_key: *miner_key,
                plot_key: Hash(plot_key(parameters, miner_key, &seed.0).0),
                rows: *rows,
                root: *root,
            },
            Payload::ActivatePlot(ActivatePlot { miner_key, plot_key, .. }) => {
                Self::ActivatePlot { miner_key: *miner_key, plot_key: *plot_key }
            }
            Payload::RetirePlot(RetirePlot { miner_key, plot_key }) => {
                Self::RetirePlot { miner_key: *miner_key, plot_key: *plot_key }
            }
            Payload::Evidence(evidence) => {
                let Evidence { first, second } = &**evidence;
                Self::Evidence { miner_key: first.miner_key, epoch: first.epoch, headers: [first.id(), second.id()] }
            }
        }
    }
}

/// A note, where it is text that a terminal can show: nobody's note moves the cursor.
pub(in crate::rpc) fn memo_text(memo: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(memo).ok()?;
    (!text.is_empty() && !text.chars().any(is_sly)).then(|| text.to_owned())
}

/// Whether a character changes how those beside it are shown: controls, and what turns the direction of writing.
fn is_sly(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_shown_where_they_are_plain_text() {
        assert_eq!(memo_text("für den Kaffee ☕".as_bytes()), Some("für den Kaffee ☕".to_owned()));
        for memo in [&b""[..], b"a\nb", b"\x1b[2J", b"\xff", "\u{202e}evil".as_bytes(), "\u{9b}2J".as_bytes()] {
            assert_eq!(memo_text(memo), None, "{memo:?}");
        }
    }
}
