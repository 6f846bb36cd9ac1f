//! Networks of the program's own processes: `spacetime node run` and `spacetime miner`, each node in a network namespace of
//! its own with real packets between them (`tools/netsim/relay.py`), or all on this machine's loopback.
//!
//! * [`ground`] puts a test into a namespace where everything that it makes goes with it, whatever becomes of it.
//! * [`relay`] is the network between the nodes: delay, loss, partitions.
//! * [`chain`] makes keys, plots and genesis.
//! * [`fleet`] runs the processes; [`lines`] holds what they say, and when they said it; [`rpc`] asks them.

#![allow(dead_code)] // every test file is a program of its own, and none uses all of this

pub(crate) mod chain;
pub(crate) mod fleet;
pub(crate) mod ground;
pub(crate) mod lines;
pub(crate) mod relay;
pub(crate) mod rpc;

use std::time::{Duration, Instant};

/// How often a condition is looked at that nobody tells of.
const TICK: Duration = Duration::from_millis(25);

/// Waits until `found` finds something; fails the test after `patience`.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, patience: Duration, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < patience, "{what}: not after {patience:?}");
        std::thread::sleep(TICK);
    }
}

/// A number that whoever runs a test may choose by a variable, such as the blocks of a long run.
pub(crate) fn chosen<T: std::str::FromStr>(name: &str, usual: T) -> T {
    let variable = format!("NETSIM_{name}");
    match std::env::var(&variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no such number")),
        Err(_) => usual,
    }
}
