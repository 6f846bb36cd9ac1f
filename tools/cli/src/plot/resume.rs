//! `spacetime plot resume`.

use std::path::{Path, PathBuf};

use clap::Args;
use spacetime_plotter::{CreateOptions, resume};
use tracing::info;

use super::inspect::unfinished_in;
use super::many;
use super::progress::Screen;
use super::work::Work;
use crate::Failure;

/// Goes on with plots that were interrupted. With nothing to do it is done.
#[derive(Debug, Args)]
pub struct Resume {
    /// Unfinished plots, or folders that hold some.
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// Prints JSON objects, a line each: progress, then the finished plot.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    work: Work,
}

impl Resume {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let control = self.work.control()?;
        let engine = self.work.engine();
        let screen = Screen::new(self.json);
        let mut files = Vec::new();
        for path in &self.paths {
            if path.is_dir() {
                files.extend(unfinished_in(path)?);
            } else {
                files.push(path.clone());
            }
        }
        let mut failure = None;
        for file in files {
            let row_bytes = row_bytes(&file);
            let progress = screen.start(&file, row_bytes);
            let events = |event| progress.see(event);
            let options = CreateOptions {
                engine: &engine,
                threads: self.work.threads(),
                memory: self.work.memory_bytes(),
                force: false,
                preallocate: true,
                control: &control,
                events: &events,
            };
            match resume(&file, &options) {
                Ok(Some(created)) => {
                    drop(progress);
                    many::report(&created, self.json)?;
                }
                Ok(None) => info!(path = %file.display(), "nothing to do"),
                Err(error) if error.is_stopped() => return Err(super::create_failure(&error)),
                // One plot's failure is not the others'.
                Err(error) => {
                    if let Some(earlier) = failure.replace(super::create_failure(&error)) {
                        tracing::error!("{earlier}");
                    }
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

/// Bytes of a row of the plot at `path`, for the progress bar; what is wrong
/// with the file is for others to say.
fn row_bytes(path: &Path) -> u64 {
    spacetime_prover::Plot::open_any(path).map_or(1, |plot| plot.header().shape.row_bytes() as u64)
}
