//! Making a new plot, and going on with an unfinished one.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use spacetime_kernels::{BulkError, PlotKey, RowIndex, Shape};
use spacetime_prover::{HEADER_BYTES, Layout, PlotError, PlotHeader};
use tracing::warn;

use crate::batch::{BatchShape, Scratch, UNIT_ROWS, run_roots};
use crate::build::Build;
use crate::engine::Engine;
use crate::error::CreateError;
use crate::memory::{Sizes, sizes};
use crate::options::{CreateOptions, locked};
use crate::params::PlotParams;
use crate::platform;
use crate::storage::Storage;
use crate::trailer::{Destination, Plan, PlanKind, Progress, Trailer, TrailerError, new_path, tmp_path};

/// Bytes that stay free on the disk: a hundredth of the plot, between these.
const MIN_MARGIN: u64 = 1 << 20;
const MAX_MARGIN: u64 = 1 << 30;

/// A plot that was finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The file.
    pub path: PathBuf,
    /// Its header; root and id are zero in a part.
    pub header: PlotHeader,
    /// Length of the file.
    pub bytes: u64,
    /// Rows that this run grew; the others were there already.
    pub rows_grown: u64,
    /// How long it took.
    pub time: Duration,
}

/// What making a plot will take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes on disk, with the trailer that goes when the plot is complete.
    pub disk: u64,
    /// Bytes free there, if the folder exists.
    pub disk_free: Option<u64>,
    /// Bytes of memory.
    pub memory: u64,
    /// Rows a batch.
    pub batch_rows: u64,
    /// Time for growing and hashing, from a short measurement; writing overlaps with it.
    pub time: Duration,
}

/// Space that `end` bytes ask for, with the margin.
pub(crate) fn with_margin(end: u64) -> u64 {
    end.saturating_add((end / 100).clamp(MIN_MARGIN, MAX_MARGIN))
}

/// Measures and reckons without writing anything.
///
/// # Errors
/// If the parameters make no plot, or memory is not there.
pub fn estimate(params: &PlotParams, out: &Path, options: &CreateOptions<'_>) -> Result<Estimate, CreateError> {
    let (header, state) = params.header()?;
    let plan = Plan { header, state, kind: PlanKind::Grown, replace: options.force, destination: None };
    let layout = plan.layout().map_err(CreateError::trailer(out))?;
    let Sizes { batch_rows, bytes: memory, .. } = sizes(&plan.header, &layout, options)?;
    let time = estimated_time(&plan.header, options)?;
    let disk_free = platform::free_space(out).ok();
    Ok(Estimate { disk: Trailer::new(&layout).end(), disk_free, memory, batch_rows, time })
}

/// How long all who grow rows take together for the plot.
fn estimated_time(header: &PlotHeader, options: &CreateOptions<'_>) -> Result<Duration, CreateError> {
    let &CreateOptions { engine, threads, growers, .. } = options;
    let mut rows_per_second = 0.0;
    if options.cpu_takes_part() {
        let measured = growing_time(&header.key(), header.shape, engine, threads, MEASURED_UNITS);
        let units = header.rows.div_ceil(UNIT_ROWS as u64).div_ceil(threads as u64);
        let time = measured.div_f64(f64::from(MEASURED_UNITS)).mul_f64(units as f64);
        if growers.is_empty() {
            return Ok(time);
        }
        rows_per_second += header.rows as f64 / time.as_secs_f64();
    }
    // All cards at once, for several of them may be queues of one.
    let rate = |grower| {
        let mut grower = locked(grower);
        let lot_time = grower.lot_time()?;
        Ok::<_, BulkError>(grower.rows_in_flight() as f64 / lot_time.as_secs_f64())
    };
    let rates: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = growers.iter().map(|grower| scope.spawn(move || rate(grower))).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|rate| rate.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    for rate in rates {
        rows_per_second += rate?;
    }
    // A plot that lasts longer than a Duration is as good as endless.
    Ok(Duration::try_from_secs_f64(header.rows as f64 / rows_per_second).unwrap_or(Duration::MAX))
}

/// Refuses several plots in all that do not fit the disks under `folders`,
/// which need not exist yet, before the first is grown.
///
/// # Errors
/// If they do not fit, the parameters make no plot, or the system does not say what is free.
pub fn check_room(params: &PlotParams, folders: &[PathBuf], plots: u64) -> Result<(), CreateError> {
    let (header, state) = params.header()?;
    let plan = Plan { header, state, kind: PlanKind::Grown, replace: false, destination: None };
    let mut disks: Vec<&Path> = Vec::new();
    let (mut fitting, mut free) = (0u64, 0u64);
    let mut end = 0;
    for folder in folders {
        end = Trailer::new(&plan.layout().map_err(CreateError::trailer(folder))?).end();
        let exists = |folder: &&Path| folder.as_os_str().is_empty() || folder.exists();
        let there = folder.ancestors().find(exists).filter(|there| !there.as_os_str().is_empty());
        let there = there.unwrap_or(Path::new("."));
        if !disks.iter().any(|disk| platform::same_disk(disk, there)) {
            disks.push(there);
            let here = platform::free_space(there).map_err(CreateError::io(there, "cannot ask for free space"))?;
            free = free.saturating_add(here);
            fitting = fitting.saturating_add(here.saturating_sub(with_margin(end) - end) / end);
        }
    }
    if fitting < plots {
        let path = folders.first().cloned().unwrap_or_default();
        return Err(CreateError::NoSpace { path, needed: with_margin(end.saturating_mul(plots)), free });
    }
    Ok(())
}

/// Units that each thread grows for an estimate.
const MEASURED_UNITS: u32 = 2;

/// How long growing and Merkle hashing alone take: each of `threads` grows
/// `units` times 16 rows, and nothing is written.
#[must_use]
pub fn growing_time(key: &PlotKey, shape: Shape, engine: &dyn Engine, threads: usize, units: u32) -> Duration {
    let unit = BatchShape::new(shape, UNIT_ROWS, UNIT_ROWS as u64);
    let columns = shape.columns();
    let rows: Vec<_> = (0..UNIT_ROWS as u64).map(RowIndex).collect();
    let began = Instant::now();
    // All threads at once, for they share memory and caches.
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                platform::lower_priority();
                let (mut worker, mut scratch) = (engine.worker(shape), Scratch::new(unit));
                let (mut cells, mut roots) = (vec![[0; 32]; UNIT_ROWS * columns], vec![[0; 32]; columns]);
                for _ in 0..units {
                    worker.grow(key, &rows, &mut cells);
                    run_roots(engine.hasher(), UNIT_ROWS, &cells, &mut scratch, &mut roots);
                }
            });
        }
    });
    began.elapsed()
}

/// Makes the plot `path` (`NAME.plot`). While it grows it is called
/// `NAME.plot.tmp` and locked; that name appears with a whole header only.
///
/// # Errors
/// If the parameters make no plot, the name is taken, another process is at
/// work on it, space or memory is not there (nothing is left behind then), or
/// something goes wrong on the way (what was done can be resumed then).
pub fn create(params: &PlotParams, path: &Path, options: &CreateOptions<'_>) -> Result<Created, CreateError> {
    let began = Instant::now();
    // The file is locked until it has its name.
    let Grown { file, header, bytes } = grow_new(params, path, None, options)?;
    publish(path, &file, options.force)?;
    let rows_grown = header.rows;
    Ok(Created { path: path.to_owned(), header, bytes, rows_grown, time: began.elapsed() })
}

/// A plot that is complete but for its name, locked.
pub(crate) struct Grown {
    pub(crate) file: File,
    pub(crate) header: PlotHeader,
    /// Length of the file, without the trailer that a staged plot keeps.
    bytes: u64,
}

/// Grows the plot that is to be at `path`, or at its destination if it is a staged one.
pub(crate) fn grow_new(
    params: &PlotParams,
    path: &Path,
    destination: Option<Destination>,
    options: &CreateOptions<'_>,
) -> Result<Grown, CreateError> {
    let (header, state) = params.header()?;
    let plan = Plan { header, state, kind: PlanKind::Grown, replace: options.force, destination };
    let layout = plan.layout().map_err(CreateError::trailer(path))?;
    let sizes = sizes(&plan.header, &layout, options)?;
    let file = begin(path, &plan, &layout, &Begin { force: options.force, preallocate: options.preallocate })?;
    let build = Build {
        storage: &file,
        plan: &plan,
        trailer: Trailer::new(&layout),
        layout,
        progress: Progress::default(),
        sizes,
        options,
    };
    let header = platform::at_idle_priority(|| build.run())
        .map_err(|source| CreateError::Build { path: tmp_path(path), source })?;
    Ok(Grown { file, header, bytes: layout.file_bytes() })
}

/// The folder that a file lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes `NAME.plot.tmp.new`, which a process that died left before the plot
/// had a header, unless a process is at work on it at this moment.
///
/// # Errors
/// If it cannot be opened or removed.
pub fn remove_stillborn(new: &Path) -> Result<(), CreateError> {
    match open_locked(new) {
        Ok(file) => remove_own(new, &file),
        Err(CreateError::Locked { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How a new file is begun.
pub(crate) struct Begin {
    /// Over a plot or an unfinished plot of the same name.
    pub(crate) force: bool,
    /// With all of its space reserved.
    pub(crate) preallocate: bool,
}

/// Puts `NAME.plot.tmp` there, whole: header, plan, space; locked by this process.
/// What an interrupted copy left makes way, for its sources are whole.
pub(crate) fn begin(path: &Path, plan: &Plan, layout: &Layout, options: &Begin) -> Result<File, CreateError> {
    let (tmp, new) = (tmp_path(path), new_path(path));
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).map_err(CreateError::io(folder, "cannot create the folder"))?;
    let leftover = refuse_taken(path, plan, options.force)?;
    let file = open_new(&new)?;
    let begun = (|| {
        // What an earlier process left in it is no use of space.
        file.set_len(0).map_err(CreateError::io(&new, "cannot empty it"))?;
        let trailer = Trailer::new(layout);
        let needed = with_margin(trailer.end());
        let free = platform::free_space(folder).map_err(CreateError::io(folder, "cannot ask for free space"))?;
        let free = free.saturating_add(leftover.as_ref().map_or(0, platform::space_taken));
        let no_space = || CreateError::NoSpace { path: path.to_owned(), needed, free };
        if needed > free {
            return Err(no_space());
        }
        if let Some(leftover) = &leftover {
            remove_own(&tmp, leftover)?;
        }
        if options.preallocate {
            match platform::preallocate(&file, trailer.end()) {
                Ok(true) => {}
                Ok(false) => {
                    warn!(path = %path.display(), "this file system cannot reserve space: the disk may fill up on the way")
                }
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(no_space()),
                Err(error) => return Err(CreateError::io(&new, "cannot reserve space")(error)),
            }
        } else {
            file.set_len(trailer.end()).map_err(CreateError::io(&new, "cannot set its length"))?;
        }
        trailer.write_plan(&file, plan).map_err(CreateError::trailer(&new))?;
        trailer.write_holder(&file).map_err(CreateError::io(&new, "cannot write"))?;
        file.write_at(&plan.header.encode(), 0).map_err(CreateError::io(&new, "cannot write the header"))?;
        file.sync_all().map_err(CreateError::io(&new, "cannot sync"))?;
        platform::rename(&new, &tmp, false).map_err(CreateError::io(&tmp, "cannot rename to it"))?;
        platform::sync_folder(folder).map_err(CreateError::io(folder, "cannot sync"))
    })();
    match begun {
        Ok(()) => Ok(file),
        Err(error) => {
            // Nothing of worth is in it; the error at hand matters more than that it stays.
            let _ = remove_own(&new, &file);
            Err(error)
        }
    }
}

/// Removes the file at `path` if it is still the open and locked `file`.
pub(crate) fn remove_own(path: &Path, file: &File) -> Result<(), CreateError> {
    if !is_still(path, file) {
        return Err(CreateError::Replaced(path.to_owned()));
    }
    std::fs::remove_file(path).map_err(CreateError::io(path, "cannot remove it"))
}

/// Refuses a name that is taken. An unfinished file that may be removed is returned locked.
pub(crate) fn refuse_taken(path: &Path, plan: &Plan, force: bool) -> Result<Option<File>, CreateError> {
    let tmp = tmp_path(path);
    // Links are not followed: one that leads nowhere takes the name, too.
    match path.symlink_metadata() {
        Ok(_) if !force => return Err(CreateError::Exists(path.to_owned())),
        Ok(metadata) if !metadata.is_file() => return Err(PlotError::NotAFile(path.to_owned()).into()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(CreateError::io(path, "cannot look for it")(error)),
    }
    if tmp.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let unfinished = open_locked(&tmp)?;
    if !force && !is_leftover(&unfinished, plan) {
        return Err(CreateError::Unfinished(tmp));
    }
    Ok(Some(unfinished))
}

/// Whether an unfinished file is what an interrupted copy left: with a copy's
/// plan, or complete but for its name and the very plot that is to be copied now.
fn is_leftover(file: &File, plan: &Plan) -> bool {
    match Trailer::read_plan(file) {
        Ok((found, _)) => found.kind == PlanKind::Copied,
        Err(TrailerError::NoPlan) => plan.kind == PlanKind::Copied && header_for(file, plan).is_some(),
        Err(_) => false,
    }
}

/// Opens the file that is to become the new plot, locked; another process may do the same at this moment.
fn open_new(new: &Path) -> Result<File, CreateError> {
    open_locked_as(new, true, "cannot create")
}

/// Opens an unfinished plot for reading and writing and locks it.
pub(crate) fn open_locked(tmp: &Path) -> Result<File, CreateError> {
    open_locked_as(tmp, false, "cannot open")
}

fn open_locked_as(path: &Path, create: bool, doing: &'static str) -> Result<File, CreateError> {
    /// Others rename or replace a file once or twice in its life.
    const TRIES: usize = 8;
    for _ in 0..TRIES {
        let file = platform::open_own(path, create).map_err(CreateError::io(path, doing))?;
        lock(path, &file)?;
        // Another process may have renamed it between our opening and our locking.
        if is_still(path, &file) {
            return Ok(file);
        }
    }
    Err(CreateError::Replaced(path.to_owned()))
}

/// Whether `path` names the open `file`.
pub(crate) fn is_still(path: &Path, file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let place = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino());
        matches!((std::fs::metadata(path), file.metadata()), (Ok(at), Ok(held)) if place(&at) == place(&held))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

pub(crate) fn lock(path: &Path, file: &File) -> Result<(), CreateError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            // A finished plot has no page that names its process.
            let holder = Trailer::read_plan(file).ok().and_then(|_| Trailer::read_holder(file));
            let holder = holder.map_or("another process".to_owned(), platform::process_name);
            Err(CreateError::Locked { path: path.to_owned(), holder })
        }
        Err(TryLockError::Error(error)) => Err(CreateError::io(path, "cannot lock")(error)),
    }
}

/// Gives a finished plot, the open and locked `file`, its name.
pub(crate) fn publish(path: &Path, file: &File, replace: bool) -> Result<(), CreateError> {
    let tmp = tmp_path(path);
    if !is_still(&tmp, file) {
        return Err(CreateError::Replaced(tmp));
    }
    platform::rename(&tmp, path, replace).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CreateError::Exists(path.to_owned()),
        _ => CreateError::io(path, "cannot rename to it")(error),
    })?;
    let folder = folder_of(path);
    platform::sync_folder(folder).map_err(CreateError::io(folder, "cannot sync"))
}

/// The header in a file, if it is the one that the plan ends in.
pub(crate) fn header_for(storage: &dyn Storage, plan: &Plan) -> Option<PlotHeader> {
    let mut bytes = [0; HEADER_BYTES];
    storage.read_at(&mut bytes, 0).ok()?;
    let found = PlotHeader::decode(&bytes).ok()?;
    let &PlotHeader { root, plot_id, .. } = &found;
    let expected = PlotHeader { state: plan.state, root, plot_id, ..plan.header.clone() };
    (found == expected).then_some(found)
}

/// `NAME.plot` for either of a plot's names.
#[must_use]
pub fn finished_path(path: &Path) -> PathBuf {
    if path.extension().is_some_and(|extension| extension == "tmp") { path.with_extension("") } else { path.to_owned() }
}
