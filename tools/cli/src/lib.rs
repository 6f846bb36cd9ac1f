//! The command line of Spacetime: one module a verb, and what they share.
//!
//! * [`cli`] says which verbs and flags there are and hands each to its module.
//! * [`exit`] is how a verb ends: a [`Failure`] carries the exit code.
//! * [`args`] reads the values of flags, each bounded before it is used.
//! * [`out`] writes results to standard output; everything else goes to
//!   standard error.
//! * [`interrupt`] turns Ctrl-C into a flag that long work looks at.

#![forbid(unsafe_code)]

pub mod args;
pub mod bench;
pub mod cli;
#[cfg(feature = "node")]
pub mod devnet;
pub mod exit;
pub mod interrupt;
pub mod keys;
pub mod manual;
#[cfg(feature = "node")]
pub mod miner;
pub mod network;
#[cfg(feature = "node")]
pub mod node;
pub mod out;
pub mod plot;
pub mod prove;
pub mod verify;
#[cfg(feature = "node")]
pub mod wallet;

#[cfg(feature = "gpu")]
mod gpu;
#[cfg(not(feature = "gpu"))]
#[path = "no_gpu.rs"]
mod gpu;
mod leash;
mod log;

use std::process::ExitCode;

pub use exit::{Code, Failure, FailureExt, Failures};

/// Reads the command line, does what it says, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    log::start(cli.verbosity());
    if cli.is_leashed()
        && let Err(failure) = leash::wear()
    {
        return failure.report();
    }
    match cli.run() {
        Ok(()) => Code::Done.into(),
        Err(failure) => failure.report(),
    }
}
