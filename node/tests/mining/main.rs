//! The miner in virtual time, with plots in memory and a node played by hand; and its edge, with files and threads.

mod disks;
mod lines;
mod registration;
mod running;
mod signing;
mod strange;
mod sweeps;
mod world;
