//! Accounts, plots, immature rewards and supply in a Jellyfish Merkle tree (PROTOCOL §10).
//!
//! * [`key`] and [`values`] say what the state holds and how it is encoded.
//! * [`ledger`] is a block's view of its parent's state, and what it changes.
//! * [`admission`] says whether a state lets a transaction do what it asks for.
//! * [`execute`] applies a block to it, [`mod@genesis`] makes the first.
//! * [`tree`] hashes all of it, [`proof`] shows one value of it.

pub mod admission;
pub mod execute;
pub mod genesis;
pub mod key;
pub mod ledger;
pub mod openings;
pub mod proof;
pub mod tree;
pub mod values;

pub use admission::check_payload;
pub use execute::{Execution, Fault, Place, check_winner};
pub use genesis::{GenesisBlock, GenesisError, genesis};
pub use key::StateKey;
pub use ledger::{Changes, Ledger, StateError, StateReader};
pub use openings::OpeningClaim;
pub use values::{Account, BeaconEntry, ChainRecord, PlotRecord, PlotStatus, Rewards, Value};
