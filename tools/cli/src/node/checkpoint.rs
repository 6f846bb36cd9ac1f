//! `spacetime node checkpoint`: the state after one block as a file, so that a node need not take in all blocks before.

mod export;
mod import;

use std::path::Path;

use clap::Subcommand;
use spacetime_node::store::snapshot::{SnapshotError, Step};

use super::db::fail::store_failure;
use super::db::progress::Progress;
use crate::Failure;
use crate::interrupt::Interrupt;

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

/// How far an export or import is: headers first, then values.
struct Steps {
    progress: Progress,
    /// How many of the kind that is on are done.
    done: u64,
    /// How many values there are, until they have begun.
    values: Option<Option<u64>>,
}

impl Steps {
    fn begin(json: bool, headers: u64, values: Option<u64>) -> Self {
        let mut progress = Progress::new(json);
        progress.begin("headers", Some(headers));
        Self { progress, done: 0, values: Some(values) }
    }

    /// Tells of a step, and says whether to go on.
    fn see(&mut self, step: Step, interrupt: &Interrupt) -> bool {
        let (Step::Headers(now) | Step::Values(now)) = step;
        if let Step::Values(_) = step
            && let Some(values) = self.values.take()
        {
            self.progress.begin("values", values);
            self.done = 0;
        }
        self.progress.advance(now - self.done);
        self.done = now;
        !interrupt.requested()
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
