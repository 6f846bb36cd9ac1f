//! The miner in virtual time, with plots in memory and a node played by hand.

mod lines;
mod signing;
mod sweeps;
mod world;
