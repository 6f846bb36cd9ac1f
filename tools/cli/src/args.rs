//! Values of flags: each parsed whole and bounded before anything uses it.
//!
//! Every parser takes the text of one argument and returns a message without
//! the argument's name: clap puts `invalid value '…' for '--flag <VALUE>': `
//! before it and ends with exit code 2.

mod amount;
mod choice;
#[cfg(feature = "node")]
mod coins;
mod farm;
mod hex;

pub use amount::{Rate, Size, duration, rate, size};
pub use choice::{CpuEngine, Engines, GpuEngines, Strategy, engines, strategy};
#[cfg(feature = "node")]
pub use coins::{coins, show_coins};
pub use farm::FarmFlags;
pub use hex::{Challenges, HexError, MinerKey, bytes_32, challenges, decode, miner_key};
