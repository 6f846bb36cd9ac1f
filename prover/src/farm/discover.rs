//! Finding plots: which paths there are, and which of them are plots.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::farm::plot::FarmPlot;
use crate::plot::{Plot, PlotError};

/// Most plots in one farm, and most paths that it remembers as refused: each
/// plot holds two open files, and few systems let a process have more than these.
pub const MAX_PLOTS: usize = 1 << 16;

/// A path that the farm does not use.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The path.
    pub path: PathBuf,
    /// Why.
    pub why: Arc<Refusal>,
}

/// Why a path is not used. Every message names it.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The file is no plot that can be searched.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The folder cannot be listed.
    #[error("{}: cannot list the folder: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another path leads to the same file.
    #[error("{}: is the same file as {}", path.display(), first.display())]
    SameFile {
        /// This path.
        path: PathBuf,
        /// The one in use.
        first: PathBuf,
    },
    /// Another file holds the same plot.
    #[error("{}: is a copy of {}: both are plot {}", path.display(), first.display(), const_hex::encode(plot_id))]
    SamePlot {
        /// This file.
        path: PathBuf,
        /// The one in use.
        first: PathBuf,
        /// Id of both.
        plot_id: [u8; 32],
    },
    /// There are too many.
    #[error("{}: a farm holds no more than {MAX_PLOTS} plots", .0.display())]
    TooMany(PathBuf),
}

/// What was found: plots in the order of the paths, in a folder by name.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) plots: Vec<Arc<FarmPlot>>,
    pub(crate) refused: Vec<Refused>,
    by_place: HashMap<(u64, u64), usize>,
    by_plot_id: HashMap<[u8; 32], usize>,
}

/// Looks for plots in `paths`: a file is taken whatever its name; of a folder
/// the files named `*.plot` in it, not those in folders below. Links are
/// followed. `known` are open plots: one whose file is as it was is not read again.
pub(crate) fn discover(paths: &[PathBuf], known: &[Arc<FarmPlot>]) -> Found {
    let known: HashMap<_, _> = known.iter().map(|plot| (plot.path(), plot)).collect();
    let mut found = Found::default();
    for path in paths {
        if !path.is_dir() {
            found.admit(path, &known);
            continue;
        }
        match plots_in(path) {
            Ok(files) => files.iter().for_each(|file| found.admit(file, &known)),
            Err(source) => found.refuse(path, Refusal::Folder { path: path.clone(), source }),
        }
    }
    found
}

/// What is called `*.plot` in `folder`, by name.
fn plots_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // One more than a farm holds, so that the last is refused out loud.
        if path.extension() == Some(OsStr::new("plot")) && files.len() <= MAX_PLOTS {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl Found {
    fn refuse(&mut self, path: &Path, why: Refusal) {
        if self.refused.len() < MAX_PLOTS {
            self.refused.push(Refused { path: path.to_owned(), why: Arc::new(why) });
        }
    }

    fn admit(&mut self, path: &Path, known: &HashMap<&Path, &Arc<FarmPlot>>) {
        if self.plots.len() >= MAX_PLOTS {
            return self.refuse(path, Refusal::TooMany(path.to_owned()));
        }
        let plot = match known.get(path) {
            Some(plot) if plot.is_unchanged() => Arc::clone(plot),
            _ => match Plot::open(path).and_then(FarmPlot::new) {
                Ok(plot) => Arc::new(plot),
                Err(error) => return self.refuse(path, error.into()),
            },
        };
        let first = |at: &usize| self.plots[*at].path().to_owned();
        if let Some(first) = plot.id().place().and_then(|place| self.by_place.get(&place)).map(first) {
            return self.refuse(path, Refusal::SameFile { path: path.to_owned(), first });
        }
        if let Some(first) = self.by_plot_id.get(&plot.plot_id()).map(first) {
            return self.refuse(path, Refusal::SamePlot { path: path.to_owned(), first, plot_id: plot.plot_id() });
        }
        self.by_place.extend(plot.id().place().map(|place| (place, self.plots.len())));
        self.by_plot_id.insert(plot.plot_id(), self.plots.len());
        self.plots.push(plot);
    }
}
