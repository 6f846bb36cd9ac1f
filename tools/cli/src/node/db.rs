//! `spacetime node db`: the store of blocks and states, while no node runs.

mod check;
mod export;
pub(super) mod fail;
mod import;
pub(super) mod open;
pub(super) mod progress;
mod rewind;
mod stats;

use clap::Subcommand;

use crate::Failure;

/// The verbs of `spacetime node db`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Reads all of the store and compares everything with all that it must agree with. Exits with 3 on damage.
    Check(check::Check),
    /// Prints how far the chain is and what the store takes up.
    Stats(stats::Stats),
    /// Rewrites the tables, which gives the room of what was removed back.
    Compact(stats::Compact),
    /// Goes back to an earlier block and forgets all that came after it.
    Rewind(rewind::Rewind),
    /// Writes blocks of the best chain to a file.
    Export(export::Export),
    /// Takes in the blocks of a file; makes the store if there is none.
    Import(import::Import),
}

/// Does what a verb says.
///
/// # Errors
/// Whatever went wrong, with its exit code.
pub(super) fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Check(check) => check.run(),
        Verb::Stats(stats) => stats.run(),
        Verb::Compact(compact) => compact.run(),
        Verb::Rewind(rewind) => rewind.run(),
        Verb::Export(export) => export.run(),
        Verb::Import(import) => import.run(),
    }
}
