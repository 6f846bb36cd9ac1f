//! `spacetime plot resume`.

use std::path::PathBuf;

use clap::Args;
use spacetime_kernels::Shape;
use spacetime_plotter::{CopyOptions, CreateError, CreateOptions, Created, Resumed, finished_path, resume_staged};
use spacetime_prover::{Plot, PlotState};
use tracing::{info, warn};

use super::inspect::unfinished_in;
use super::many;
use super::progress::Screen;
use super::work::{Gpus, Work};
use crate::gpu::Growers;
use crate::{Failure, Failures};

/// Goes on with plots that were interrupted. With nothing to do it is done.
#[derive(Debug, Args)]
pub struct Resume {
    /// Unfinished plots, or folders that hold some.
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// Replaces a finished plot of the same name.
    #[arg(long)]
    force: bool,
    /// Prints JSON objects, a line each: progress, then the finished plot.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    work: Work,
    #[command(flatten)]
    gpus: Gpus,
}

impl Resume {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let control = self.work.control()?;
        let engine = self.work.engine();
        let screen = Screen::new(self.json);
        let mut failures = Failures::default();
        let mut files = Vec::new();
        for path in &self.paths {
            if path.is_dir() {
                files.extend(failures.take(unfinished_in(path)).unwrap_or_default());
            } else {
                files.push(path.clone());
            }
        }
        let mut growers: Option<(Shape, Growers)> = None;
        for file in files {
            // Either of its names may be given. What is wrong with the file is for others to say.
            let mut unfinished = finished_path(&file).into_os_string();
            unfinished.push(".tmp");
            let header = Plot::open_any(unfinished.as_ref()).ok().map(|plot| plot.header().clone());
            let row_bytes = header.as_ref().map_or(1, |header| header.shape.row_bytes() as u64);
            if let Some(header) = header.filter(|header| header.state == PlotState::Building)
                && growers.as_ref().is_none_or(|(shape, _)| *shape != header.shape)
            {
                // Those of another shape give their memory back first.
                drop(growers.take());
                let [opened] =
                    self.gpus.growers(&self.work, header.shape, header.rows, 1)?.try_into().expect("one set");
                growers = Some((header.shape, opened));
            }
            let progress = screen.start(&finished_path(&file), row_bytes);
            let events = |event| progress.see(event);
            let options = CreateOptions {
                engine: &engine,
                threads: self.work.threads(),
                growers: growers.as_ref().map_or(&[], |(_, growers)| growers),
                cpu_grows: self.work.cpu_grows(),
                memory: self.work.memory_bytes(),
                force: self.force,
                preallocate: true,
                control: &control,
                events: &events,
            };
            let resumed = resume_staged(&file, &options);
            progress.clear();
            match self.moved(resumed, &options, &screen) {
                Ok(Some((created, copied))) => many::report(&created, self.json, copied)?,
                Ok(None) => info!(path = %file.display(), "nothing to do"),
                // In a folder it is passed over: whoever was copying begins anew.
                Err(error @ CreateError::InterruptedCopy(_)) if !self.paths.contains(&file) => warn!("{error}"),
                Err(error) if error.is_stopped() => return failures.end_with(super::create_failure(&error)),
                Err(error) => failures.push(super::create_failure(&error)),
            }
        }
        failures.end()
    }
}

impl Resume {
    /// Moves a plot that was staged to where it belongs, and says whether it had to.
    fn moved(
        &self,
        resumed: Result<Resumed, CreateError>,
        options: &CreateOptions<'_>,
        screen: &Screen,
    ) -> Result<Option<(Created, bool)>, CreateError> {
        match resumed? {
            Resumed::Nothing => Ok(None),
            Resumed::Created(created) => Ok(Some((created, false))),
            Resumed::Staged(staged) => {
                let progress = screen.start_steps(staged.destination());
                let steps = |step| progress.see(step);
                let &CreateOptions { threads, memory, force, preallocate, control, .. } = options;
                let hasher = self.work.backend();
                let copying = CopyOptions { hasher, threads, memory, force, preallocate, control, steps: &steps };
                let created = staged.finish(&copying).map_err(|error| CreateError::Move(Box::new(error)))?;
                Ok(Some((created, true)))
            }
        }
    }
}
