//! The miner in virtual time, with plots in memory and a node played by hand.

mod lines;
mod registration;
mod signing;
mod sweeps;
mod world;
