//! What the state holds. All values are encoded with borsh, fields in the order given here.

use borsh::{BorshDeserialize, BorshSerialize};

use super::key::StateKey;
use crate::chain::{
    Amount, Capped, DecodeError, Epoch, Hash, Height, MAX_OUTPUTS, MinerKey, Output, PlotId, decode, encode,
};
use crate::consensus::{Beacon, Difficulty, Parameters};

/// An account; it comes into being by any credit, and stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Account {
    /// What it can spend.
    pub balance: Amount,
    /// The nonce of its next transaction.
    pub nonce: u64,
}

/// What a block leaves behind for the whole chain.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChainRecord {
    /// Everything ever issued, genesis accounts included.
    pub issued: Amount,
    /// Everything ever burnt.
    pub burnt: Amount,
    /// Target in force, and how far its interval has come.
    pub difficulty: Difficulty,
    /// Mix and active beacon. Zero at genesis, where they are the genesis id: a state cannot hold its own block's id.
    pub beacon: Beacon,
    /// How many groups after the first have had a block.
    pub groups: u64,
}

/// The first block of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BeaconEntry {
    /// Its height.
    pub height: Height,
    /// Its mix.
    pub mix: Hash,
}

/// What one block paid, until it can be spent.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Rewards {
    /// The block's epoch.
    pub epoch: Epoch,
    /// The miner who won it.
    pub miner_key: MinerKey,
    /// Who will be paid; nobody once evidence against the miner was shown.
    pub outputs: Capped<Output, MAX_OUTPUTS>,
}

impl Rewards {
    /// What it will pay in all; every coinbase's outputs were checked to have a sum.
    #[must_use]
    pub fn total(&self) -> Option<Amount> {
        Amount::checked_sum(self.outputs.iter().map(|output| output.amount))
    }
}

/// A plot (PROTOCOL §9).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PlotRecord {
    /// Whose it is.
    pub miner_key: MinerKey,
    /// Its id, which covers seed, rows and root.
    pub plot_id: PlotId,
    /// Its rows.
    pub rows: u64,
    /// Its root.
    pub root: Hash,
    /// Height of its registration; 0 for genesis plots.
    pub registered: Height,
    /// Which beacon entry its next openings are drawn from: the second after its registration or latest activation.
    pub draw: u64,
    /// The first height that it may win; none until it was activated.
    pub mature_from: Option<Height>,
    /// Height of its latest win or activation.
    pub last: Height,
    /// Whether its miner has ended it.
    pub retired: bool,
}

/// What a plot is worth at a height, were its miner not barred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlotStatus {
    /// Registered, and may still be activated.
    Pending,
    /// Not activated in time: it may be registered again.
    Lapsed,
    /// Activated, but not old enough to win.
    Immature,
    /// May win.
    Mature,
    /// Has not won or been activated for too long: it may be registered again.
    Ended,
    /// Ended for good by its miner.
    Retired,
}

impl PlotStatus {
    /// Pending or active: no second registration of the plot key is allowed.
    #[must_use]
    pub fn is_live(self) -> bool {
        self == Self::Pending || self.is_active()
    }

    /// Activated and not ended.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Self::Immature | Self::Mature)
    }
}

impl PlotRecord {
    /// What it is worth to a block at `height`. Nothing is ever written for a lapse: it is computed here.
    #[must_use]
    pub fn status(&self, height: Height, parameters: &Parameters) -> PlotStatus {
        if self.retired {
            return PlotStatus::Retired;
        }
        let Some(mature_from) = self.mature_from else {
            let lapse = self.registered.0.saturating_add(parameters.activation_window);
            return if height.0 <= lapse { PlotStatus::Pending } else { PlotStatus::Lapsed };
        };
        let end = parameters.plot_lifetime.map_or(u64::MAX, |lifetime| self.last.0.saturating_add(lifetime));
        match height {
            height if height.0 > end => PlotStatus::Ended,
            height if height < mature_from => PlotStatus::Immature,
            _ => PlotStatus::Mature,
        }
    }
}

/// Any value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`StateKey::Parameters`].
    Parameters(Hash),
    /// Of [`StateKey::Chain`].
    Chain(ChainRecord),
    /// Of [`StateKey::Account`].
    Account(Account),
    /// Of [`StateKey::Plot`].
    Plot(PlotRecord),
    /// Of [`StateKey::Barred`]: the height at which it was.
    Barred(Height),
    /// Of [`StateKey::Beacon`].
    Beacon(BeaconEntry),
    /// Of [`StateKey::Rewards`].
    Rewards(Rewards),
}

/// No value is longer: rewards with all their outputs take half of it.
pub(crate) const MAX_VALUE_BYTES: usize = 1024;

impl Value {
    /// Its encoding: that of what it holds, without a discriminant.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Parameters(value) => encode(value),
            Self::Chain(value) => encode(value),
            Self::Account(value) => encode(value),
            Self::Plot(value) => encode(value),
            Self::Barred(value) => encode(value),
            Self::Beacon(value) => encode(value),
            Self::Rewards(value) => encode(value),
        }
    }

    /// Reads the value of `key`.
    ///
    /// # Errors
    /// If it is not exactly one such value.
    pub fn decode(key: &StateKey, bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(match key {
            StateKey::Parameters => Self::Parameters(decode("parameters", bytes, MAX_VALUE_BYTES)?),
            StateKey::Chain => Self::Chain(decode("chain record", bytes, MAX_VALUE_BYTES)?),
            StateKey::Account(_) => Self::Account(decode("account", bytes, MAX_VALUE_BYTES)?),
            StateKey::Plot(_) => Self::Plot(decode("plot", bytes, MAX_VALUE_BYTES)?),
            StateKey::Barred(_) => Self::Barred(decode("barred miner", bytes, MAX_VALUE_BYTES)?),
            StateKey::Beacon(_) => Self::Beacon(decode("beacon", bytes, MAX_VALUE_BYTES)?),
            StateKey::Rewards(_) => Self::Rewards(decode("rewards", bytes, MAX_VALUE_BYTES)?),
        })
    }
}
