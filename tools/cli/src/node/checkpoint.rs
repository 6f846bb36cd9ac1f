//! `spacetime node checkpoint`: the state after one block as a file, so that a node need not take in all blocks before.

mod export;
mod import;

use std::path::Path;

use clap::Subcommand;
use spacetime_node::store::snapshot::SnapshotError;

use super::db::fail::store_failure;
use crate::Failure;

/// The verbs of `spacetime node checkpoint`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Writes the state after a block, and the headers that lead to it, to a file.
    Export(export::Export),
    /// Begins a store with the state of a file. Exits with 3 if the file is not what the trusted block covers.
    Import(import::Import),
}

/// Does what a verb says.
///
/// # Errors
/// Whatever went wrong, with its exit code.
pub(super) fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Export(export) => export.run(),
        Verb::Import(import) => import.run(),
    }
}

fn snapshot_failure(folder: &Path, error: &SnapshotError) -> Failure {
    match error {
        SnapshotError::Store(error) => store_failure(folder, error),
        SnapshotError::NotKept { .. } | SnapshotError::OtherChain { .. } | SnapshotError::Untrusted { .. } => {
            Failure::usage(error)
        }
        SnapshotError::NotEmpty => Failure::failed(format!("{}: {error}", folder.display())),
        SnapshotError::Stopped => Failure::interrupted("stopped; nothing is left of it"),
        SnapshotError::Newer { .. } => Failure::failed(error),
        error if error.is_damage() => Failure::damaged(error),
        error => Failure::failed(error),
    }
}
