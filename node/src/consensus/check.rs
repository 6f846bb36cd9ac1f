//! The bounds of a chain's parameters: with them no rule divides by zero, overflows or cannot be kept.

use spacetime_kernels::{MAX_CHALLENGES, MAX_ROWS, Shape, ShapeError};
use thiserror::Error;

use super::parameters::{Emission, Parameters, Schedule};
use crate::chain::address::{MAX_HRP_LENGTH, is_valid_hrp};

/// Longest name of a network, in bytes.
pub const MAX_NETWORK_BYTES: usize = 64;
/// Longest epoch: a day.
pub const MAX_EPOCH_MS: u64 = 86_400_000;
/// Most blocks or epochs in any interval, so that one added to any height a chain will see cannot overflow.
pub const MAX_INTERVAL: u64 = 1 << 32;
/// Most openings that activate a plot.
pub const MAX_OPENINGS: u32 = 255;
/// Least limit of a block's bytes.
pub const MIN_BLOCK_BYTES: u32 = 4 << 10;
/// Greatest limit of a block's bytes.
pub const MAX_BLOCK_BYTES: u32 = 16 << 20;
/// Most transactions in a block.
pub const MAX_BLOCK_TRANSACTIONS: u32 = 1 << 16;
/// Most steps of an emission table.
pub const MAX_EMISSION_STEPS: usize = 1024;

/// Why numbers are not the parameters of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParameterError {
    /// `p` or `R` is out of range (PROTOCOL §2).
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The network's name is empty or too long.
    #[error("network has {0} bytes, allowed are 1 to {MAX_NETWORK_BYTES}")]
    Network(usize),
    /// Addresses cannot begin with this.
    #[error("hrp {0:?} is not 1 to {MAX_HRP_LENGTH} characters of bech32 in lower case")]
    Hrp(String),
    /// `min_rows` is out of range (PROTOCOL §2).
    #[error("min_rows is {0}, allowed are 1 to {MAX_ROWS}")]
    MinRows(u64),
    /// `epoch_ms` is out of range.
    #[error("epoch_ms is {0}, allowed are 1 to {MAX_EPOCH_MS}")]
    Epoch(u64),
    /// The challenge window does not end before its epoch.
    #[error("window_ms is {window_ms}, which is not below epoch_ms, {epoch_ms}")]
    Window {
        /// Its length.
        window_ms: u64,
        /// The epoch's.
        epoch_ms: u64,
    },
    /// The ranks' delay does not end before its epoch.
    #[error("rank_delay_ms is {rank_delay_ms}, which is not below epoch_ms, {epoch_ms}")]
    RankDelay {
        /// Its length.
        rank_delay_ms: u64,
        /// The epoch's.
        epoch_ms: u64,
    },
    /// A group has no epochs, or more than one sweep can score.
    #[error("beacon_interval is {0}, allowed are 1 to {MAX_CHALLENGES}")]
    BeaconInterval(u64),
    /// The goal is no share between 0 and 1.
    #[error("goal is {numerator}/{denominator}, which does not lie between 0 and 1")]
    Goal {
        /// Of the share.
        numerator: u8,
        /// Of the share.
        denominator: u8,
    },
    /// A number of blocks or epochs is zero or too great.
    #[error("{name} is {value}, allowed are 1 to {MAX_INTERVAL}")]
    Interval {
        /// Its field.
        name: &'static str,
        /// Its value.
        value: u64,
    },
    /// A plot could win on a followable fork that is older than itself (PROTOCOL §7).
    #[error("plot_maturity is {plot_maturity}, which is below twice reorg_limit, {reorg_limit}")]
    PlotMaturity {
        /// As given.
        plot_maturity: u64,
        /// As given.
        reorg_limit: u64,
    },
    /// Activation takes no opening, or too many.
    #[error("openings is {0}, allowed are 1 to {MAX_OPENINGS}")]
    Openings(u32),
    /// A registration could lapse before its openings are drawn: with a block in each epoch that takes two groups
    /// (PROTOCOL §9).
    #[error("activation_window is {activation_window}, which is not above twice beacon_interval, {beacon_interval}")]
    ActivationWindow {
        /// As given.
        activation_window: u64,
        /// As given.
        beacon_interval: u64,
    },
    /// No registration fits a block, or more than transactions do.
    #[error("registrations_per_block is {registrations}, allowed are 1 to max_block_transactions, {transactions}")]
    Registrations {
        /// As given.
        registrations: u32,
        /// As given.
        transactions: u32,
    },
    /// Blocks are too small for any use, or too large to be passed on.
    #[error("max_block_bytes is {0}, allowed are {MIN_BLOCK_BYTES} to {MAX_BLOCK_BYTES}")]
    BlockBytes(u32),
    /// No coinbase fits a block, or too many transactions do.
    #[error("max_block_transactions is {0}, allowed are 1 to {MAX_BLOCK_TRANSACTIONS}")]
    BlockTransactions(u32),
    /// The fee of the longest transaction cannot be counted.
    #[error("fees of {base} and {per_byte} a byte overflow for a transaction of {bytes} bytes")]
    Fees {
        /// As given.
        base: u64,
        /// As given.
        per_byte: u64,
        /// As many as a block may have.
        bytes: u32,
    },
    /// Rewards are halved every no blocks.
    #[error("the halving interval of the emission is 0")]
    HalvingInterval,
    /// Nothing is left of the reward after the first block.
    #[error("ratio_q64 of the emission is 0")]
    EmissionRatio,
    /// The table of rewards is empty or too long.
    #[error("the emission table has {0} steps, allowed are 1 to {MAX_EMISSION_STEPS}")]
    EmissionSteps(usize),
    /// The table of rewards does not ascend.
    #[error("step {index} of the emission table starts at {start}, not after {before}")]
    EmissionOrder {
        /// Of the step, from 0.
        index: usize,
        /// Its height.
        start: u64,
        /// Height of the step before it.
        before: u64,
    },
}

impl Parameters {
    /// Whether a chain can have these parameters.
    ///
    /// (`R` of 5 and more is advice for chains of value, PROTOCOL §1, not a rule.)
    ///
    /// # Errors
    /// The first rule that they break.
    pub fn check(&self) -> Result<(), ParameterError> {
        Shape::new(self.log2_columns, self.rounds)?;
        self.check_names()?;
        self.check_times()?;
        self.check_intervals()?;
        self.check_blocks()?;
        self.emission.check()
    }

    fn check_names(&self) -> Result<(), ParameterError> {
        if !(1..=MAX_NETWORK_BYTES).contains(&self.network.len()) {
            return Err(ParameterError::Network(self.network.len()));
        }
        if !is_valid_hrp(&self.hrp) {
            return Err(ParameterError::Hrp(self.hrp.clone()));
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), ParameterError> {
        let Self { epoch_ms, window_ms, rank_delay_ms, beacon_interval, goal, .. } = *self;
        if !(1..=MAX_EPOCH_MS).contains(&epoch_ms) {
            return Err(ParameterError::Epoch(epoch_ms));
        }
        if window_ms >= epoch_ms {
            return Err(ParameterError::Window { window_ms, epoch_ms });
        }
        if rank_delay_ms >= epoch_ms {
            return Err(ParameterError::RankDelay { rank_delay_ms, epoch_ms });
        }
        if !(1..=MAX_CHALLENGES as u64).contains(&beacon_interval) {
            return Err(ParameterError::BeaconInterval(beacon_interval));
        }
        if goal.numerator == 0 || goal.numerator >= goal.denominator {
            return Err(ParameterError::Goal { numerator: goal.numerator, denominator: goal.denominator });
        }
        Ok(())
    }

    fn check_intervals(&self) -> Result<(), ParameterError> {
        let intervals = [
            ("retarget_interval", self.retarget_interval),
            ("gap_epochs", self.gap_epochs),
            ("reorg_limit", self.reorg_limit),
            ("plot_maturity", self.plot_maturity),
            ("activation_window", self.activation_window),
            ("plot_lifetime", self.plot_lifetime.unwrap_or(1)),
            ("coinbase_maturity", self.coinbase_maturity),
        ];
        for (name, value) in intervals {
            if !(1..=MAX_INTERVAL).contains(&value) {
                return Err(ParameterError::Interval { name, value });
            }
        }
        let Self { plot_maturity, reorg_limit, activation_window, beacon_interval, .. } = *self;
        if plot_maturity < 2 * reorg_limit {
            return Err(ParameterError::PlotMaturity { plot_maturity, reorg_limit });
        }
        if activation_window <= 2 * beacon_interval {
            return Err(ParameterError::ActivationWindow { activation_window, beacon_interval });
        }
        Ok(())
    }

    fn check_blocks(&self) -> Result<(), ParameterError> {
        if !(1..=MAX_ROWS).contains(&self.min_rows) {
            return Err(ParameterError::MinRows(self.min_rows));
        }
        if !(1..=MAX_OPENINGS).contains(&self.openings) {
            return Err(ParameterError::Openings(self.openings));
        }
        if !(MIN_BLOCK_BYTES..=MAX_BLOCK_BYTES).contains(&self.max_block_bytes) {
            return Err(ParameterError::BlockBytes(self.max_block_bytes));
        }
        let (registrations, transactions) = (self.registrations_per_block, self.max_block_transactions);
        if !(1..=MAX_BLOCK_TRANSACTIONS).contains(&transactions) {
            return Err(ParameterError::BlockTransactions(transactions));
        }
        if !(1..=transactions).contains(&registrations) {
            return Err(ParameterError::Registrations { registrations, transactions });
        }
        let (base, per_byte, bytes) = (self.fees.base.0, self.fees.per_byte.0, self.max_block_bytes);
        if per_byte.checked_mul(u64::from(bytes)).and_then(|fee| fee.checked_add(base)).is_none() {
            return Err(ParameterError::Fees { base, per_byte, bytes });
        }
        Ok(())
    }
}

impl Emission {
    fn check(&self) -> Result<(), ParameterError> {
        match &self.schedule {
            Schedule::Fixed { .. } | Schedule::Linear { .. } => {}
            Schedule::Halving { interval, .. } if *interval == 0 => return Err(ParameterError::HalvingInterval),
            Schedule::Halving { .. } => {}
            Schedule::Exponential { ratio_q64: 0, .. } => return Err(ParameterError::EmissionRatio),
            Schedule::Exponential { .. } => {}
            Schedule::Table { steps } => {
                if !(1..=MAX_EMISSION_STEPS).contains(&steps.len()) {
                    return Err(ParameterError::EmissionSteps(steps.len()));
                }
                for (index, pair) in steps.windows(2).enumerate() {
                    let (before, start) = (pair[0].0, pair[1].0);
                    if start <= before {
                        return Err(ParameterError::EmissionOrder { index: index + 1, start, before });
                    }
                }
            }
        }
        Ok(())
    }
}
