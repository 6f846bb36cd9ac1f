//! The numbers that make one chain (PROTOCOL §11).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use spacetime_kernels::{Shape, network_tag};

use crate::chain::{Amount, Hash};

/// What all of one chain's nodes agree on. [`Parameters::check`] has seen every value of one that came from a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Name of the network, which goes into every plot key.
    pub network: String,
    /// First part of every address.
    pub hrp: String,
    /// `p`: plots have `2^p` columns.
    pub log2_columns: u8,
    /// `R`.
    pub rounds: u8,
    /// Fewest rows of a plot.
    pub min_rows: u64,
    /// Length of an epoch.
    pub epoch_ms: u64,
    /// How long proofs of an epoch are gathered. Not a rule of consensus.
    pub window_ms: u64,
    /// How long each next rank waits before it proposes. Not a rule of consensus.
    pub rank_delay_ms: u64,
    /// Epochs in a group.
    pub beacon_interval: u64,
    /// Share of epochs that shall have a block.
    pub goal: Goal,
    /// Blocks between two retargets.
    pub retarget_interval: u64,
    /// Epochs without a block that double the target.
    pub gap_epochs: u64,
    /// Deepest fork that is followed by itself, in blocks.
    pub reorg_limit: u64,
    /// Blocks between a plot's activation and its first win.
    pub plot_maturity: u64,
    /// Openings that activate a plot.
    pub openings: u32,
    /// Blocks within which a registered plot must be activated.
    pub activation_window: u64,
    /// Most registrations in a block.
    pub registrations_per_block: u32,
    /// Blocks that a plot lives since its latest win or activation; without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plot_lifetime: Option<u64>,
    /// Blocks before a reward can be spent.
    pub coinbase_maturity: u64,
    /// Most bytes of a block without its metadata.
    pub max_block_bytes: u32,
    /// Most transactions in a block, the coinbase among them.
    pub max_block_transactions: u32,
    /// The least fee.
    pub fees: Fees,
    /// What blocks pay.
    pub emission: Emission,
}

/// A share of epochs, `numerator / denominator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// Above zero and below the denominator.
    pub numerator: u8,
    /// At most 255, so that retargeting stays within 320 bits.
    pub denominator: u8,
}

/// The least fee of a transaction that pays one: `base + per_byte · bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Fees {
    /// For each transaction.
    pub base: Amount,
    /// For each byte of its encoding, signatures included.
    pub per_byte: Amount,
}

impl Fees {
    /// None.
    pub const ZERO: Self = Self { base: Amount::ZERO, per_byte: Amount::ZERO };
}

/// What blocks pay (PROTOCOL §8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Emission {
    /// How the reward goes down.
    pub schedule: Schedule,
    /// The least reward.
    #[serde(default)]
    pub reward_floor: Amount,
    /// The most that is ever issued, genesis accounts included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emission_cap: Option<Amount>,
}

/// How the reward goes down with the height. Borsh: a byte, 0 to 4 in the order given here, then the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// It does not.
    Fixed {
        /// `r0`.
        initial_reward: Amount,
    },
    /// By half after each interval, to nothing after 64.
    Halving {
        /// `r0`.
        initial_reward: Amount,
        /// Blocks between two halvings.
        interval: u64,
    },
    /// By the same amount each block.
    Linear {
        /// `r0`.
        initial_reward: Amount,
        /// What each block takes away.
        decay_per_block: Amount,
    },
    /// By the same ratio each block.
    Exponential {
        /// `r0`.
        initial_reward: Amount,
        /// What is left after each block, in 2^-64.
        ratio_q64: u64,
    },
    /// As listed.
    Table {
        /// Start height and reward, by ascending height; nothing before the first.
        steps: Vec<(u64, Amount)>,
    },
}

impl Parameters {
    /// Columns and rounds of the chain's plots.
    ///
    /// # Panics
    /// If they are out of range, which checked parameters are not.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape::new(self.log2_columns, self.rounds).expect("parameters were checked")
    }

    /// The network's tag, as plot keys and plot files have it (PROTOCOL §2).
    #[must_use]
    pub fn network_tag(&self) -> Hash {
        Hash(network_tag(&self.network))
    }
}
