//! What a node tells its miners and what they answer: in the same process as values, to others as JSON (`/rpc/work`,
//! `/rpc/submitProof`, `/rpc/submitBlock`). Hashes, keys and targets are hex there, objects their borsh in hex.

use serde::{Deserialize, Serialize};
use spacetime_prover::Proof;
use thiserror::Error;

use crate::builder::{Payout, Template};
use crate::chain::{
    Amount, BlockId, Epoch, Hash, Header, Height, MinerKey, MinerSignature, Transaction, first_transaction_path,
    transaction_root_by_path,
};
use crate::consensus::Fees;

/// What a node tells its miners. Each kind replaces what was told of it before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum Work {
    /// Said once, first.
    Chain(ChainWork),
    /// A group's column is known, as the best chain has it now. Said again where another branch took over, and for the
    /// group before the current one never.
    Group(GroupWork),
    /// An epoch has begun, or the chain's tip has changed within it.
    Epoch(EpochWork),
    /// The miner's proof leads: this header is to be signed.
    Sign(Box<SignWork>),
    /// An epoch's window is over. Said again when a block of the epoch takes its place on the best chain.
    Result(ResultWork),
    /// Nothing can be won until the next group is told.
    Pause(Pause),
}

/// Why nothing can be won.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Pause {
    /// There is more of the chain than the node has.
    #[error("the node is catching up")]
    Behind,
    /// Nobody would hear of a block.
    #[error("the node has no peer")]
    NoPeers,
}

/// Which chain this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainWork {
    /// The network's name.
    pub network: String,
    /// First part of its addresses.
    pub hrp: String,
    /// The genesis block's id, which all signatures bind.
    pub genesis: BlockId,
    /// Where epoch 0 begins, Unix milliseconds.
    pub genesis_time_ms: u64,
    /// Length of an epoch.
    pub epoch_ms: u64,
    /// Length of the challenge window, from the epoch's beginning.
    pub window_ms: u64,
    /// Epochs in a group.
    pub beacon_interval: u64,
    /// Columns of every plot, as a power of two.
    pub log2_columns: u8,
    /// Mixing rounds of every plot.
    pub rounds: u8,
    /// Least rows of a plot.
    pub min_rows: u64,
    /// Openings of an activation.
    pub openings: u32,
    /// Heights between a plot's activation and its first win.
    pub plot_maturity: u64,
    /// Heights that a plot lives since its latest win or activation; without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plot_lifetime: Option<u64>,
    /// The least fee of a transaction that pays one.
    pub fees: Fees,
    /// The node's clock, Unix milliseconds.
    pub time_ms: u64,
}

/// A group of epochs that share a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupWork {
    /// Number of the group.
    pub group: u64,
    /// What is swept.
    pub column: u32,
    /// Its epochs, in order, and their challenges.
    pub challenges: Vec<EpochChallenge>,
    /// The target in force: what a leaf has to be below in an epoch without a gap before it.
    pub target: Hash,
}

/// An epoch's challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochChallenge {
    /// The epoch.
    pub epoch: Epoch,
    /// Its challenge.
    pub challenge: Hash,
    /// When it begins, Unix milliseconds.
    pub start_ms: u64,
}

/// What wins an epoch now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochWork {
    /// The epoch.
    pub epoch: Epoch,
    /// Its challenge.
    pub challenge: Hash,
    /// Its column.
    pub column: u32,
    /// What a score must be below, big-endian.
    pub target: Hash,
    /// The tip that a block would be built upon.
    pub parent: BlockId,
    /// The height that the block would have.
    pub height: Height,
    /// What openings of activations are drawn from is read off `/rpc/plot`; this tells that the chain has moved.
    pub closes_ms: u64,
    /// The node's clock, Unix milliseconds.
    pub time_ms: u64,
}

/// A header that lacks its signature alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignWork {
    /// The header, its signature zero.
    #[serde(with = "header_hex")]
    pub header: Header,
    /// Whom the block pays.
    pub coinbase: CoinbaseProof,
    /// When it is too late, Unix milliseconds.
    pub expires_ms: u64,
}

/// A block's coinbase, and that its header names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinbaseProof {
    /// The block's first transaction.
    #[serde(with = "coinbase_hex")]
    pub transaction: Transaction,
    /// What it may pay.
    pub claimable: Amount,
    /// Transactions of the block.
    pub transactions: u64,
    /// From the first to the root over all of them, bottom-up.
    pub path: Vec<Hash>,
}

impl SignWork {
    /// What is asked of the miner of a block.
    #[must_use]
    pub fn new(template: &Template, expires_ms: u64) -> Self {
        let coinbase = CoinbaseProof::new(&template.transactions, template.claimable);
        Self { header: template.header.clone(), coinbase, expires_ms }
    }
}

impl CoinbaseProof {
    /// Of a block's transactions, of which the first may pay so much.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn new(transactions: &[Transaction], claimable: Amount) -> Self {
        let ids: Vec<_> = transactions.iter().map(Transaction::id).collect();
        let path = first_transaction_path(&ids);
        Self { transaction: transactions[0].clone(), claimable, transactions: ids.len() as u64, path }
    }

    /// The transaction root of the block; none if the path is none of so many transactions.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        transaction_root_by_path(&self.transaction.id(), self.transactions, &self.path)
    }
}

/// How an epoch ended, as far as this node can tell at the window's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultWork {
    /// The epoch.
    pub epoch: Epoch,
    /// The best score seen from anybody, big-endian; none where nobody won.
    pub best: Option<Hash>,
    /// The block of the epoch on the best chain, if there is one yet, and whose it is.
    pub block: Option<(BlockId, MinerKey)>,
}

/// A miner's winning leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinerProof {
    /// The epoch that is won.
    pub epoch: Epoch,
    /// Whose plot it is.
    pub miner_key: MinerKey,
    /// The leaf.
    pub proof: Proof,
    /// The miner's signature of the challenge (see [`crate::consensus::reveal_message`]). The node keeps it to itself
    /// until there is a block.
    pub reveal: MinerSignature,
    /// Who is to be paid.
    #[serde(with = "payout_json")]
    pub payout: Payout,
}

/// The signature that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinerSigned {
    /// The header's epoch.
    pub epoch: Epoch,
    /// Whose signature.
    pub miner_key: MinerKey,
    /// Over the header of [`SignWork`].
    pub signature: MinerSignature,
}

/// What the chain knows of a plot, for a miner that brings it to life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum PlotState {
    /// Never heard of, or lapsed: it can be registered.
    Absent,
    /// Registered; `mix` is what the openings are drawn from, once the block is there.
    Pending {
        /// Height of the registration.
        registered: Height,
        /// What openings are drawn from.
        mix: Option<Hash>,
        /// Last height at which it can be activated.
        until: Height,
    },
    /// Active; it may win from a height on.
    Active {
        /// The first height it may win.
        mature_from: Height,
        /// The last height it may win, unless it does before; none where lifetimes have no end.
        until: Option<Height>,
        /// What openings are drawn from if it is activated again.
        mix: Option<Hash>,
    },
    /// Over for good: retired, or its miner is barred.
    Ended,
}

/// A header as borsh in hex.
mod header_hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::chain::{HEADER_BYTES, Header, codec, decode};

    pub(super) fn serialize<S: Serializer>(header: &Header, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&const_hex::encode(codec::encode(header)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Header, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = const_hex::decode(&text).map_err(D::Error::custom)?;
        decode("header", &bytes, HEADER_BYTES).map_err(D::Error::custom)
    }
}

/// A coinbase as borsh in hex.
mod coinbase_hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::chain::{Transaction, decode};

    /// Longer than any coinbase: sixteen outputs and some text.
    const MAX_BYTES: usize = 1024;

    pub(super) fn serialize<S: Serializer>(transaction: &Transaction, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&const_hex::encode(transaction.encoded()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Transaction, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = const_hex::decode(&text).map_err(D::Error::custom)?;
        decode("coinbase", &bytes, MAX_BYTES).map_err(D::Error::custom)
    }
}

/// Who is paid, as JSON: shares of an address in hex and its parts, unclaimed parts, extra data in hex.
mod payout_json {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::builder::{Payout, Share};
    use crate::chain::{Address, Capped};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ShareJson {
        address: Address,
        parts: u32,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct PayoutJson {
        shares: Vec<ShareJson>,
        #[serde(default)]
        unclaimed_parts: u32,
        #[serde(default)]
        extra: String,
    }

    pub(super) fn serialize<S: Serializer>(payout: &Payout, serializer: S) -> Result<S::Ok, S::Error> {
        let shares = payout.shares.iter().map(|&Share { address, parts }| ShareJson { address, parts }).collect();
        let extra = const_hex::encode(&*payout.extra);
        PayoutJson { shares, unclaimed_parts: payout.unclaimed_parts, extra }.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Payout, D::Error> {
        // The text is bounded by whoever read it, the lists by their caps.
        let json = PayoutJson::deserialize(deserializer)?;
        let shares = json.shares.into_iter().map(|ShareJson { address, parts }| Share { address, parts }).collect();
        let shares = Capped::new(shares).ok_or_else(|| D::Error::custom("payout: too many shares"))?;
        let extra = const_hex::decode(&json.extra).map_err(D::Error::custom)?;
        let extra = Capped::new(extra).ok_or_else(|| D::Error::custom("payout: too much extra data"))?;
        Ok(Payout { shares, unclaimed_parts: json.unclaimed_parts, extra })
    }
}

#[cfg(test)]
mod tests;
