//! What tests and benches are made with (feature `testing`): plots in memory, keys from seeds, and whole trees of
//! valid blocks. The same seed always makes the same.
//!
//! * [`MemoryPlot`], [`Miner`] and [`Wallet`] are the people, [`Random`] their dice.
//! * [`MemoryField`] shows plots to a miner.
//! * [`Fabric`] makes blocks upon any block it made before, with the product's own builder.
//! * [`Fabric::random_block`] makes one with a bit of everything that a chain can hold.

mod fabric;
mod field;
mod mixture;
mod people;
mod plot;
mod random;
mod versions;

pub use fabric::{Fabric, Made, Order, Setup};
pub use field::MemoryField;
pub use people::{Miner, Payer, Wallet, at_least_fee, report, sign};
pub use plot::MemoryPlot;
pub use random::Random;
pub use versions::StateAt;

use crate::consensus::Parameters;

/// The local chain's parameters with shorter spans, so that everything comes to pass within a few dozen blocks:
/// rewards mature after 3 blocks, plots after 16, registrations lapse after 20, forks are followed to a depth of 8.
#[must_use]
pub fn parameters() -> Parameters {
    Parameters { reorg_limit: 8, plot_maturity: 16, activation_window: 20, coinbase_maturity: 3, ..Parameters::local() }
}
