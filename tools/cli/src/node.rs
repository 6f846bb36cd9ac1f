//! `spacetime node`: the chain that a node keeps.

pub(crate) mod chain;
mod checkpoint;
mod config;
mod db;
pub(crate) mod named;
mod out_file;
mod run;
mod settings;

use clap::Subcommand;

use crate::Failure;

/// The verbs of `spacetime node`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Joins the network, follows the chain, and mines if it is told to.
    Run(Box<run::RunVerb>),
    /// Prints what file, environment and flags come to, as a configuration file.
    Config(Box<config::ConfigVerb>),
    /// Writes the state after one block to a file, and begins a store with one, while no node runs.
    Checkpoint {
        /// What is to be done.
        #[command(subcommand)]
        verb: checkpoint::Verb,
    },
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
        Verb::Run(node) => node.run(),
        Verb::Config(config) => config.run(),
        Verb::Checkpoint { verb } => checkpoint::run(verb),
        Verb::Db { verb } => db::run(verb),
    }
}
