//! The chain of Spacetime without a network: it takes blocks from anywhere and
//! ends up with the one right chain and state (docs/PROTOCOL.md, sections 6 to 11).
//!
//! * [`chain`] holds the objects and the rules that need one block alone.
//! * [`consensus`] says whose turn it is, how hard it is to win and what it pays. Pure.
//! * [`mempool`] holds transactions that wait for a block.
//! * [`state`] holds accounts, plots and supply in a Jellyfish Merkle tree.
//! * `light`, a feature, follows headers without a state or a database.
//! * [`manager`] takes blocks in any order, and follows the heaviest chain.
//! * [`store`] keeps all of it, one write batch a block.
//! * [`builder`] makes the block of a winner.
//! * [`chain_pool`] keeps a mempool in step with a chain manager.
//!
//! Rules open no file, no socket and no clock: time, store and randomness are handed in.

#![forbid(unsafe_code)]

pub mod builder;
pub mod chain;
pub mod chain_pool;
pub mod config;
pub mod consensus;
#[cfg(feature = "light")]
pub mod light;
pub mod manager;
pub mod mempool;
pub mod miner;
pub mod network;
pub mod participant;
#[cfg(feature = "service")]
pub mod rpc;
#[cfg(feature = "service")]
pub mod service;
pub mod state;
pub mod store;
pub mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod toml_error;
mod whole;
