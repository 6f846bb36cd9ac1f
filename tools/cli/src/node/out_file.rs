//! `--out` of the verbs that write a file.

use std::path::PathBuf;

use clap::Args;

use crate::Failure;

/// Where it is written to.
#[derive(Clone, Debug, Args)]
pub(super) struct OutFile {
    /// The file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replaces a file that is there.
    #[arg(long)]
    force: bool,
}

impl OutFile {
    /// The file, which is not there, or may be replaced.
    pub(super) fn checked(self) -> Result<PathBuf, Failure> {
        let name = self.out.display();
        if self.out.file_name().is_none() {
            return Err(Failure::usage(format!("--out {name}: names no file")));
        }
        if self.out.exists() && !self.force {
            return Err(Failure::failed(format!("{name}: exists; --force replaces it")));
        }
        Ok(self.out)
    }
}
