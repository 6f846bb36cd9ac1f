//! Catching up, against peers of every kind over a network that delays and loses: real chain manager, real blocks, every
//! run from a seed. `SYNC_SEED=n` runs one seed of each test alone.

mod network;
mod peers;
mod scenarios;
mod world;
