//! `spacetime man` and `spacetime completions`: made from the command line's
//! own description, so that they cannot drift from it.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};

use crate::cli::Cli;
use crate::{Failure, out};

/// `spacetime man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Writes a page for every verb into this folder instead; made if missing.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Some(dir) = self.out else {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page).context("cannot render the manual page")?;
            return out::write_all(&page);
        };
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
        clap_mangen::generate_to(Cli::command(), &dir)
            .with_context(|| format!("cannot write manual pages into {}", dir.display()))?;
        Ok(())
    }
}

/// `spacetime completions SHELL`.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    // Into memory first: the generator panics if its writer fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "spacetime", &mut script);
    out::write_all(&script)
}
