//! `spacetime plot remove`.

use std::fs::{File, TryLockError};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use spacetime_prover::{Plot, PlotError};

use crate::{Failure, Failures, out};

/// What a plot of any version begins with (PROTOCOL §5).
const MAGIC: [u8; 8] = *b"SPCTPLOT";

/// Deletes plots, finished or not, whole or damaged. Nothing else is deleted, whatever it is called.
#[derive(Debug, Args)]
pub struct Remove {
    /// The plots.
    #[arg(required = true, value_name = "FILE")]
    paths: Vec<PathBuf>,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
}

impl Remove {
    pub(crate) fn run(self) -> Result<(), Failure> {
        // All are looked at before the first is gone.
        let mut failures = Failures::default();
        for path in &self.paths {
            failures.take(looks_like_a_plot(path));
        }
        failures.end()?;
        if !self.yes {
            confirm(&self.paths)?;
        }
        let mut failures = Failures::default();
        for path in &self.paths {
            failures.take(remove(path));
        }
        failures.end()
    }
}

/// Refuses what is no plot: a plot may be damaged, or of another version, but it begins as one.
fn looks_like_a_plot(path: &Path) -> Result<(), Failure> {
    let Err(error) = Plot::open_any(path) else { return Ok(()) };
    let damaged = matches!(error, PlotError::Short { .. } | PlotError::Header { .. } | PlotError::Layout { .. });
    let mut magic = [0; MAGIC.len()];
    let mut begins =
        || File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok_and(|()| magic == MAGIC);
    if damaged && begins() { Ok(()) } else { Err(super::plot_failure(&error)) }
}

fn remove(path: &Path) -> Result<(), Failure> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Failure::failed(format!("{}: is being made by another process", path.display())));
        }
        Err(TryLockError::Error(error)) => {
            return Err(Failure::failed(format!("cannot lock {}: {error}", path.display())));
        }
    }
    std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    out::line(format_args!("{} removed", path.display()))
}

fn confirm(paths: &[PathBuf]) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("--yes: needed to remove plots where there is no terminal to ask on"));
    }
    let names: Vec<_> = paths.iter().map(|path| Path::new(path).display().to_string()).collect();
    let mut stderr = std::io::stderr();
    write!(stderr, "Remove {}? [y/N] ", names.join(", ")).and_then(|()| stderr.flush()).context("cannot ask")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(Failure::failed("nothing was removed")) }
}
