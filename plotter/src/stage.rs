//! Plots that are grown in one folder, on a fast disk, and then moved to
//! another with the segments that were asked for.
//!
//! Until it has been moved a staged plot keeps its name `NAME.plot.tmp` and its
//! trailer, which says where it belongs, so that [`crate::resume`] finishes the
//! job from wherever it was interrupted.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use spacetime_prover::{Plot, PlotHeader};
use tracing::info;

use crate::compact::plan_of;
use crate::copy::{CopyError, CopyOptions, begin_copy, copy_into};
use crate::create::{Created, folder_of, grow_new, refuse_taken, remove_own, with_margin};
use crate::error::CreateError;
use crate::options::CreateOptions;
use crate::params::PlotParams;
use crate::platform;
use crate::trailer::{Destination, Plan, PlanKind, Trailer, tmp_path};

/// A plot that is complete in its staging folder, locked, and waits to be moved.
#[derive(Debug)]
pub struct Staged {
    pub(crate) tmp: PathBuf,
    pub(crate) file: File,
    pub(crate) destination: Destination,
    /// Over a finished plot of the same name.
    pub(crate) replace: bool,
    /// The file that the plot goes to, with its space, if it was begun.
    pub(crate) reserved: Option<File>,
    pub(crate) rows_grown: u64,
    pub(crate) time: Duration,
}

/// Grows the plot that belongs at `destination` as `staging` (`NAME.plot` in
/// another folder). There it has segments of the usual size;
/// [`Staged::finish`], which another thread may call while the next plot
/// grows, gives it those that `params` ask for.
///
/// # Errors
/// As [`crate::create`], for either of the two places; if both are in one
/// folder, or the path of the destination does not fit the plan.
///
/// # Panics
/// If [`CreateOptions::threads`] is zero.
pub fn create_staged(
    params: &PlotParams,
    staging: &Path,
    destination: &Path,
    options: &CreateOptions<'_>,
) -> Result<Staged, CreateError> {
    let began = Instant::now();
    let (header, state) = params.header()?;
    let absolute = std::path::absolute(destination).map_err(CreateError::io(destination, "cannot tell where it is"))?;
    let plan = Plan { header, state, kind: PlanKind::Copied, replace: options.force, destination: None };
    let staged = PlotParams {
        // Other segments may not begin where a part does.
        rows_per_segment: params.first_row.and(Some(plan.header.rows_per_segment)),
        ..params.clone()
    };
    check_places(staging, &absolute, &plan, &staged, options)?;
    let rows_per_segment = plan.header.rows_per_segment;
    let destination = Destination { path: absolute, rows_per_segment };
    let grown = grow_new(&staged, staging, Some(destination.clone()), options)?;
    let rows_grown = grown.header.rows;
    Ok(Staged {
        tmp: tmp_path(staging),
        file: grown.file,
        destination,
        replace: options.force,
        reserved: None,
        rows_grown,
        time: began.elapsed(),
    })
}

/// Refuses what would be refused only once hours have gone by.
fn check_places(
    staging: &Path,
    destination: &Path,
    plan: &Plan,
    staged: &PlotParams,
    options: &CreateOptions<'_>,
) -> Result<(), CreateError> {
    let folders = [folder_of(staging), folder_of(destination)];
    let mut places = Vec::new();
    for folder in folders {
        std::fs::create_dir_all(folder).map_err(CreateError::io(folder, "cannot create the folder"))?;
        places.push(folder.canonicalize().map_err(CreateError::io(folder, "cannot tell where it is"))?);
    }
    if places[0] == places[1] {
        return Err(CreateError::StagedInPlace(folders[0].to_owned()));
    }
    refuse_taken(destination, plan, options.force)?;
    let end = |plan: &Plan, path| {
        Ok::<_, CreateError>(Trailer::new(&plan.layout().map_err(CreateError::trailer(path))?).end())
    };
    let mut needed = with_margin(end(plan, destination)?);
    if platform::same_disk(folders[0], folders[1]) {
        let (header, state) = staged.header()?;
        needed += end(&Plan { header, state, kind: PlanKind::Grown, replace: false, destination: None }, staging)?;
    }
    let free = platform::free_space(folders[1]).map_err(CreateError::io(folders[1], "cannot ask for free space"))?;
    if needed > free {
        return Err(CreateError::NoSpace { path: destination.to_owned(), needed, free });
    }
    Ok(())
}

impl Staged {
    /// Where the plot belongs.
    #[must_use]
    pub fn destination(&self) -> &Path {
        &self.destination.path
    }

    /// Where it waits: `NAME.plot.tmp`, which [`crate::resume`] takes, too.
    #[must_use]
    pub fn staged(&self) -> &Path {
        &self.tmp
    }

    /// Takes the space where the plot belongs, so that what is made next does
    /// not count on it. [`Staged::finish`] does so itself if it was not done before.
    ///
    /// # Errors
    /// As [`crate::compact`], before anything is copied.
    pub fn reserve(&mut self, options: &CopyOptions<'_>) -> Result<(), CopyError> {
        let plot = self.plot()?;
        let Destination { path, rows_per_segment } = &self.destination;
        let plan = plan_of(plot.header(), *rows_per_segment)?;
        let options = CopyOptions { force: options.force || self.replace, ..*options };
        if options.force || already_there(path, &plan, plot.header()).is_none() {
            self.reserved = Some(begin_copy(path, &plan, std::slice::from_ref(&plot), &options)?);
        }
        Ok(())
    }

    fn plot(&self) -> Result<Plot, CopyError> {
        let file = self.file.try_clone().map_err(CreateError::io(&self.tmp, "cannot open twice"))?;
        Ok(Plot::from_file(&self.tmp, file)?)
    }

    /// Copies the plot to where it belongs, every strip verified on the way, and
    /// removes the staged file. Where that fails or is stopped, the staged file stays.
    ///
    /// # Errors
    /// As [`crate::compact`].
    ///
    /// # Panics
    /// If [`CopyOptions::threads`] is zero.
    pub fn finish(mut self, options: &CopyOptions<'_>) -> Result<Created, CopyError> {
        let began = Instant::now();
        let options = &CopyOptions { force: options.force || self.replace, ..*options };
        let reserved = self.reserved.take();
        let Destination { path, rows_per_segment } = &self.destination;
        let plot = self.plot()?;
        let plan = plan_of(plot.header(), *rows_per_segment)?;
        let mut created =
            match already_there(path, &plan, plot.header()).filter(|_| !options.force && reserved.is_none()) {
                // It was copied, and only the staged file was not removed any more.
                Some(created) => created,
                None => {
                    let sources = std::slice::from_ref(&plot);
                    let file = match reserved {
                        Some(file) => file,
                        None => begin_copy(path, &plan, sources, options)?,
                    };
                    copy_into(file, path, &plan, sources, options)?
                }
            };
        info!(path = %path.display(), staged = %self.tmp.display(), "moved");
        remove_own(&self.tmp, &self.file)?;
        let folder = folder_of(&self.tmp);
        platform::sync_folder(folder).map_err(CreateError::io(folder, "cannot sync"))?;
        (created.rows_grown, created.time) = (self.rows_grown, self.time + began.elapsed());
        Ok(created)
    }
}

/// The plot at `path`, if it is the one that `plan` describes and `staged` holds.
fn already_there(path: &Path, plan: &Plan, staged: &PlotHeader) -> Option<Created> {
    let plot = Plot::open_any(path).ok()?;
    let &PlotHeader { state, root, plot_id, .. } = staged;
    let header = PlotHeader { state, root, plot_id, ..plan.header.clone() };
    let bytes = plot.layout().file_bytes();
    (*plot.header() == header).then(|| Created {
        path: path.to_owned(),
        header,
        bytes,
        rows_grown: 0,
        time: Duration::ZERO,
    })
}
