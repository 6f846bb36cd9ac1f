//! Catching up, against peers of every kind over a network that delays and loses: real chain manager, real blocks, every
//! run from a seed. `SYNC_SEED=n` runs one seed of each test alone,
//! `SYNC_TIMES=n` n times as many, and `SYNC_TRACE=1` prints what is asked.

mod network;
mod peers;
mod scenarios;
mod world;
