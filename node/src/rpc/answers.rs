//! What calls answer, as JSON; wallets read them by the same types.
//!
//! Money is a text of base units in decimal (`"1500000000"` is one and a half coins), since not every reader of JSON has
//! whole numbers of 64 bits; heights, epochs, nonces and times, in Unix milliseconds, are numbers. Hashes and keys are hex,
//! addresses bech32m, objects their borsh in hex.

mod transaction;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) use transaction::memo_text;
pub use transaction::{OutputAnswer, Place, TransactionAnswer, What};

use crate::chain::{Amount, BlockId, Epoch, Hash, Height, MinerKey, PlotId, TransactionId};

/// Money, as a text of base units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Units(pub Amount);

impl Serialize for Units {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let units = text.parse().map_err(|_| serde::de::Error::custom("expected base units as a text"))?;
        Ok(Self(Amount(units)))
    }
}

/// `/rpc/getHead`: the chain, where it ends, and how far the node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadAnswer {
    /// The network's name.
    pub network: String,
    /// First part of its addresses.
    pub hrp: String,
    /// The genesis block's id, which all signatures bind.
    pub genesis: BlockId,
    /// The best chain's last block.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its time.
    pub timestamp_ms: u64,
    /// Sum of the chain's weights.
    pub weight: Hash,
    /// The epoch by the node's clock.
    pub clock_epoch: Epoch,
    /// Whether the node is still catching up.
    pub syncing: bool,
    /// How far that has come.
    pub sync: SyncAnswer,
    /// Blocks before a reward can be spent.
    pub coinbase_maturity: u64,
    /// Columns of every plot, as a power of two.
    pub log2_columns: u8,
    /// Mixing rounds of every plot.
    pub rounds: u8,
    /// Least rows of a plot.
    pub min_rows: u64,
    /// What everything ever issued comes to.
    pub issued: Units,
    /// What of it was burnt.
    pub burnt: Units,
    /// The node's software.
    pub software: String,
}

/// How far catching up has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncAnswer {
    /// Height up to which headers were verified.
    pub headers: Height,
    /// Height of the heaviest chain that anybody claims.
    pub target: Height,
    /// Thousandths of blocks a second, over the last half minute.
    pub milliblocks_per_second: u64,
    /// What is left of it; none where the rate is not known.
    pub left_ms: Option<u64>,
    /// Peers that can be asked.
    pub peers: u64,
}

/// `/rpc/getBlock`: a block and its transactions in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockAnswer {
    /// Its id.
    pub id: BlockId,
    /// Whether it is on the best chain.
    pub best_chain: bool,
    /// Blocks of the best chain from it to the tip, itself among them; 0 beside the best chain.
    pub confirmations: u64,
    /// Its height.
    pub height: Height,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its time.
    pub timestamp_ms: u64,
    /// Its parent.
    pub parent: BlockId,
    /// What the score is below.
    pub target: Hash,
    /// The winning leaf's score.
    pub score: Hash,
    /// Whose plot won.
    pub miner_key: MinerKey,
    /// The plot.
    pub plot_id: PlotId,
    /// Root over the ids of its transactions.
    pub transaction_root: Hash,
    /// Root of the state after it.
    pub state_root: Hash,
    /// Its transactions, the coinbase first; none where the node no longer keeps them.
    pub transactions: Option<Vec<TransactionAnswer>>,
    /// The whole block, where `raw=true` asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

/// `/rpc/getBalance`: an account after the best chain's last block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceAnswer {
    /// Whose.
    pub address: String,
    /// After which block.
    pub block: BlockId,
    /// Its height.
    pub height: Height,
    /// What can be spent in the next block.
    pub mature: Units,
    /// Rewards that cannot be spent yet.
    pub immature: Units,
    /// The nonce of the account's next transaction by the chain alone.
    pub nonce: u64,
    /// The nonce of its next transaction behind those that wait in the node's pool.
    pub next_nonce: u64,
    /// Where `proof=true` asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofAnswer>,
}

/// What shows an account to whoever trusts a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofAnswer {
    /// The header whose state root it leads to.
    pub header: String,
    /// The account's value in the state; none where it never had a credit, which the proof shows as well.
    pub account: Option<String>,
    /// The path ([`crate::state::proof`]).
    pub path: String,
}

/// `/rpc/sendTx`: the transaction waits in the pool, and was told to the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentAnswer {
    /// Its id.
    pub id: TransactionId,
    /// Whether the pool had it before.
    pub known: bool,
}

/// `/rpc/estimateFee`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeAnswer {
    /// For a transaction of so many bytes, signatures included.
    pub bytes: u64,
    /// The least that the node takes.
    pub least: Units,
    /// What a transaction pays that would be in the next block, by what waits now.
    pub next_block: Units,
}

/// `/rpc/history`: what happened to an account, the latest first. One answer looks at some blocks only: as long as there
/// is `before`, ask again with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryAnswer {
    /// Whose.
    pub address: String,
    /// The highest block that was looked at.
    pub from: Height,
    /// The lowest.
    pub to: Height,
    /// What waits in the pool; the first answer alone has it.
    pub waiting: Vec<Happening>,
    /// What happened, the latest first.
    pub happened: Vec<Happening>,
    /// `before` of the next call. None when there is nothing more: genesis was looked at, or older blocks are no longer
    /// kept.
    pub before: Option<Height>,
    /// Whether the node no longer keeps transactions of blocks below `to`.
    pub pruned: bool,
}

/// One thing that happened to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// What.
    pub kind: HappeningKind,
    /// The transaction; none of what genesis gave.
    pub id: Option<TransactionId>,
    /// Where; none while it waits.
    pub height: Option<Height>,
    /// When; none while it waits.
    pub timestamp_ms: Option<u64>,
    /// How much was moved; zero where nothing but a fee was paid.
    pub amount: Units,
    /// What the account paid for it.
    pub fee: Units,
    /// The other side of a transfer.
    pub other: Option<String>,
    /// A transfer's note, where it is text.
    pub memo: Option<String>,
    /// The plot that it is about.
    pub plot_key: Option<Hash>,
}

/// What happened to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HappeningKind {
    /// It had money from the beginning.
    Genesis,
    /// A block paid it, which it can spend later.
    Reward,
    /// Somebody sent it money.
    Received,
    /// It sent money.
    Sent,
    /// It sent money to itself.
    ToItself,
    /// It paid for the registration of a plot.
    RegisterPlot,
    /// It paid for the activation of a plot.
    ActivatePlot,
    /// It paid for the end of a plot.
    RetirePlot,
    /// It reported a miner; the reward is not told here.
    Evidence,
}

/// `/health`: the node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthAnswer {
    /// The height it is at.
    pub height: Height,
}

/// `/ready`: whether the node is of use to wallets and miners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyAnswer {
    /// Whether it is.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<String>,
}
