//! `spacetime plot merge` and `spacetime plot compact`.

use std::path::{Path, PathBuf};

use clap::Args;
use spacetime_plotter::{Control, CopyError, CopyOptions, Created, compact, merge};

use super::inspect::plots_at;
use super::many::report;
use super::progress::Screen;
use super::work::Work;
use crate::{Code, Failure, Failures};

/// Makes one plot of parts that were grown with --first-row. The parts are kept.
#[derive(Debug, Args)]
pub struct Merge {
    /// The plot to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The parts, in any order.
    #[arg(required = true, value_name = "PART")]
    parts: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// Rewrites plots with other segments, so that one challenge is one sweep. The originals are kept.
#[derive(Debug, Args)]
pub struct Compact {
    /// Rows a segment, a power of two. Default: all of them in one.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    segment_rows: Option<u64>,
    /// Folder to write to; it is created if missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Plots, or folders that hold some.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// How cells are moved.
#[derive(Debug, Args)]
struct How {
    /// Overwrites a plot of the same name.
    #[arg(long)]
    force: bool,
    /// Does not reserve the space before copying.
    #[arg(long)]
    no_preallocate: bool,
    /// Prints a JSON object for each plot.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    work: Work,
}

impl Merge {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.how.work.note_cpu_alone();
        let control = self.how.work.control()?;
        let screen = Screen::new(self.how.json);
        let merged = self.how.copy(&self.out, &screen, &control, |options| merge(&self.out, &self.parts, options));
        report(&merged.map_err(|error| copy_failure(&error))?, self.how.json, true)
    }
}

impl Compact {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.how.work.note_cpu_alone();
        let control = self.how.work.control()?;
        let screen = Screen::new(self.how.json);
        let mut failures = Failures::default();
        for file in plots_at(&self.paths, &[".plot"], &mut failures) {
            let Some(name) = file.file_name() else {
                failures.push(Failure::usage(format!("{}: is no file", file.display())));
                continue;
            };
            let out = self.out.join(name);
            let compacted =
                self.how.copy(&out, &screen, &control, |options| compact(&file, &out, self.segment_rows, options));
            match compacted {
                Ok(created) => report(&created, self.how.json, true)?,
                Err(error) if error.is_stopped() => return failures.end_with(copy_failure(&error)),
                Err(error) => failures.push(copy_failure(&error)),
            }
        }
        failures.end()
    }
}

impl How {
    fn copy(
        &self,
        out: &Path,
        screen: &Screen,
        control: &Control,
        copy: impl FnOnce(&CopyOptions<'_>) -> Result<Created, CopyError>,
    ) -> Result<Created, CopyError> {
        let progress = screen.start_steps(out);
        let steps = |step| progress.see(step);
        copy(&CopyOptions {
            hasher: self.work.backend(),
            threads: self.work.threads(),
            memory: self.work.memory_bytes(),
            force: self.force,
            preallocate: !self.no_preallocate,
            control,
            steps: &steps,
        })
    }
}

/// A plot that was not copied, with its exit code.
pub(super) fn copy_failure(error: &CopyError) -> Failure {
    let code = match error {
        CopyError::Plot(error) => super::plot_code(error),
        CopyError::Create(error) => return super::create_failure(error),
        CopyError::NoParts | CopyError::SameFile(_) => Code::Usage,
        CopyError::NotAPart(_) | CopyError::OtherPlot { .. } | CopyError::Gap { .. } | CopyError::Overlap { .. } => {
            Code::Damaged
        }
        CopyError::Stopped(_) => Code::Interrupted,
    };
    Failure::new(code, error)
}
