//! A chain's specification: the file from which its genesis block and its rules come (PROTOCOL §11).
//!
//! ```toml
//! [genesis]
//! time_ms = 1798761600000      # Unix milliseconds
//! base = "00…66"               # starting target: 64 hex digits, big-endian
//! accounts = [{ address = "st1…", balance = 5 }]
//! plots = [{ miner_key = "…", seed = "…", rows = 4096, root = "…" }]
//!
//! [parameters]                 # the fields of `Parameters`
//!
//! [[checkpoints]]
//! height = 1000
//! id = "…"
//! ```

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use spacetime_kernels::{MAX_ROWS, Target};
use thiserror::Error;

use super::check::ParameterError;
use super::parameters::Parameters;
use crate::chain::{Address, AddressError, Amount, BlockId, Hash, Height, MinerKey};
use crate::toml_error;

/// Longest specification that is read, in bytes.
pub const MAX_SPECIFICATION_BYTES: usize = 16 << 20;
/// Latest genesis time: the end of the year 9999.
pub const MAX_GENESIS_TIME_MS: u64 = 253_402_300_799_999;

/// All that makes a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specification {
    /// What genesis says.
    pub genesis: Genesis,
    /// The chain's rules.
    pub parameters: Parameters,
    /// Blocks that the chain is known to hold, by ascending height.
    pub checkpoints: Vec<Checkpoint>,
}

/// What genesis says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Where epoch 0 begins, Unix milliseconds.
    pub time_ms: u64,
    /// The target in force at first.
    pub base: Target,
    /// Accounts that begin with money.
    pub accounts: Vec<GenesisAccount>,
    /// Plots that may win from height 1.
    pub plots: Vec<GenesisPlot>,
}

/// An account that begins with money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Whose.
    pub address: Address,
    /// How much; counts as issued.
    pub balance: Amount,
}

/// A plot that may win from height 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisPlot {
    /// Whose.
    pub miner_key: MinerKey,
    /// What it was grown from.
    pub seed: Hash,
    /// Its size.
    pub rows: u64,
    /// Root of its Merkle tree.
    pub root: Hash,
}

/// A block that the chain is known to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Where, above genesis.
    pub height: Height,
    /// Which.
    pub id: BlockId,
}

/// A specification as the file has it: addresses are text until the chain's hrp is known.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    genesis: FileGenesis,
    parameters: Parameters,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    checkpoints: Vec<Checkpoint>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileGenesis {
    time_ms: u64,
    base: Hash,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    accounts: Vec<FileAccount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    plots: Vec<GenesisPlot>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAccount {
    address: String,
    balance: Amount,
}

/// Why a text is not the specification of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecificationError {
    /// It is too long; nothing of it was read.
    #[error("a specification has at most {MAX_SPECIFICATION_BYTES} bytes, this has {0}")]
    TooLong(usize),
    /// It is not TOML, or has a field too many, too few or of a wrong form.
    #[error("{0}")]
    Form(String),
    /// The parameters break a rule.
    #[error("parameters: {0}")]
    Parameters(#[from] ParameterError),
    /// Genesis lies too far in the future for any clock.
    #[error("genesis time {0} ms is past the year 9999")]
    Time(u64),
    /// The starting base is zero, which no score is below.
    #[error("the starting base is 0")]
    Base,
    /// An account's address is none.
    #[error("genesis account {index}: {reason}")]
    Address {
        /// Of the account, from 0.
        index: usize,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// An account is there twice.
    #[error("genesis account {index}, {address}, is there twice")]
    DuplicateAccount {
        /// Of the second, from 0.
        index: usize,
        /// Both have it, here in hex.
        address: Address,
    },
    /// The balances cannot be counted.
    #[error("the balances of the genesis accounts overflow")]
    Balances,
    /// More is handed out at genesis than may ever be issued.
    #[error("genesis accounts hold {balances}, which is above the emission cap, {cap}")]
    Cap {
        /// Their sum.
        balances: Amount,
        /// The most there may ever be.
        cap: Amount,
    },
    /// A plot is too small or too large.
    #[error("genesis plot {index} has {rows} rows, allowed are {min_rows} to {MAX_ROWS}")]
    Rows {
        /// Of the plot, from 0.
        index: usize,
        /// Its size.
        rows: u64,
        /// The chain's least size.
        min_rows: u64,
    },
    /// A plot, or its twin that differs in rows alone, is there twice (PROTOCOL §9).
    #[error("genesis plot {index} has the miner key and the seed of another")]
    DuplicatePlot {
        /// Of the second, from 0.
        index: usize,
    },
    /// Checkpoints do not ascend from above genesis.
    #[error("checkpoint {index} is at height {height}, which is not above {below}")]
    CheckpointOrder {
        /// Of the checkpoint, from 0.
        index: usize,
        /// Its height.
        height: Height,
        /// The height before it, genesis for the first.
        below: Height,
    },
}

impl Specification {
    /// The main chain's, as this release has it.
    #[must_use]
    pub fn main() -> Self {
        static MAIN: LazyLock<Specification> = LazyLock::new(|| own(include_str!("../../specifications/main.toml")));
        MAIN.clone()
    }

    /// The test chain's, as this release has it.
    #[must_use]
    pub fn test() -> Self {
        static TEST: LazyLock<Specification> = LazyLock::new(|| own(include_str!("../../specifications/test.toml")));
        TEST.clone()
    }

    /// A local chain's, without plots.
    #[must_use]
    pub fn local() -> Self {
        static LOCAL: LazyLock<Specification> = LazyLock::new(|| own(include_str!("../../specifications/local.toml")));
        LOCAL.clone()
    }

    /// Reads a specification file's text and checks all of it. That miner keys are points of their
    /// curve is for whoever builds genesis to see.
    ///
    /// # Errors
    /// The first thing that is wrong; see [`SpecificationError`].
    pub fn parse(text: &str) -> Result<Self, SpecificationError> {
        if text.len() > MAX_SPECIFICATION_BYTES {
            return Err(SpecificationError::TooLong(text.len()));
        }
        let File { genesis, parameters, checkpoints } = toml::from_str(text).map_err(|error| {
            let (line, reason) = toml_error::place(text, &error);
            SpecificationError::Form(format!("line {line}: {reason}"))
        })?;
        parameters.check()?;
        let accounts = genesis.accounts.iter().enumerate().map(|(index, account)| {
            let address = Address::parse(&account.address, &parameters.hrp)
                .map_err(|reason| SpecificationError::Address { index, reason })?;
            Ok(GenesisAccount { address, balance: account.balance })
        });
        let accounts = accounts.collect::<Result<_, SpecificationError>>()?;
        let FileGenesis { time_ms, base, plots, .. } = genesis;
        let genesis = Genesis { time_ms, base: Target(base.0), accounts, plots };
        let specification = Self { genesis, parameters, checkpoints };
        specification.check()?;
        Ok(specification)
    }

    /// The text of a file that [`Specification::parse`] reads as this very specification.
    ///
    /// # Panics
    /// If the hrp is none, which that of checked parameters is.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let Genesis { time_ms, base, accounts, plots } = &self.genesis;
        let accounts = accounts.iter().map(|&GenesisAccount { address, balance }| FileAccount {
            address: address.encode(&self.parameters.hrp),
            balance,
        });
        let genesis =
            FileGenesis { time_ms: *time_ms, base: Hash(base.0), accounts: accounts.collect(), plots: plots.clone() };
        let file = File { genesis, parameters: self.parameters.clone(), checkpoints: self.checkpoints.clone() };
        toml::to_string(&file).expect("every field has a form in TOML")
    }

    /// Whether a chain can begin with this specification.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), SpecificationError> {
        self.parameters.check()?;
        if self.genesis.time_ms > MAX_GENESIS_TIME_MS {
            return Err(SpecificationError::Time(self.genesis.time_ms));
        }
        if self.genesis.base.0 == [0; 32] {
            return Err(SpecificationError::Base);
        }
        self.check_accounts()?;
        self.check_plots()?;
        let mut below = Height(0);
        for (index, &Checkpoint { height, .. }) in self.checkpoints.iter().enumerate() {
            if height <= below {
                return Err(SpecificationError::CheckpointOrder { index, height, below });
            }
            below = height;
        }
        Ok(())
    }

    fn check_accounts(&self) -> Result<(), SpecificationError> {
        let mut seen = BTreeSet::new();
        for (index, account) in self.genesis.accounts.iter().enumerate() {
            if !seen.insert(account.address) {
                return Err(SpecificationError::DuplicateAccount { index, address: account.address });
            }
        }
        let balances = Amount::checked_sum(self.genesis.accounts.iter().map(|account| account.balance));
        let balances = balances.ok_or(SpecificationError::Balances)?;
        match self.parameters.emission.emission_cap {
            Some(cap) if balances > cap => Err(SpecificationError::Cap { balances, cap }),
            _ => Ok(()),
        }
    }

    fn check_plots(&self) -> Result<(), SpecificationError> {
        let min_rows = self.parameters.min_rows;
        let mut seen = BTreeSet::new();
        for (index, plot) in self.genesis.plots.iter().enumerate() {
            if !(min_rows..=MAX_ROWS).contains(&plot.rows) {
                return Err(SpecificationError::Rows { index, rows: plot.rows, min_rows });
            }
            if !seen.insert((plot.miner_key, plot.seed)) {
                return Err(SpecificationError::DuplicatePlot { index });
            }
        }
        Ok(())
    }
}

/// One of the program's own specifications.
fn own(text: &str) -> Specification {
    Specification::parse(text).expect("the program's own specifications are tested")
}

impl Parameters {
    /// The main chain's.
    #[must_use]
    pub fn main() -> Self {
        Specification::main().parameters
    }

    /// The test chain's.
    #[must_use]
    pub fn test() -> Self {
        Specification::test().parameters
    }

    /// A local chain's.
    #[must_use]
    pub fn local() -> Self {
        Specification::local().parameters
    }
}
