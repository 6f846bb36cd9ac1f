//! `spacetime node`: the chain that a node keeps.

mod db;

use clap::Subcommand;

use crate::Failure;

/// The verbs of `spacetime node`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Looks after the blocks and states that a node keeps, while no node runs.
    Db {
        /// What is to be done.
        #[command(subcommand)]
        verb: db::Verb,
    },
}

/// Does what a verb says.
///
/// # Errors
/// Whatever went wrong, with its exit code.
pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Db { verb } => db::run(verb),
    }
}
