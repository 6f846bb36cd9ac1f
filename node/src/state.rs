//! Accounts, plots, immature rewards and supply in a Jellyfish Merkle tree (PROTOCOL §10).

pub mod proof;
pub mod tree;
