//! Going on with an unfinished plot.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Instant;

use spacetime_kernels::{Backend, Cell, ColumnIndex};
use spacetime_prover::{Layout, Plot, PlotError, PlotHeader, PlotState, tree};
use tracing::{info, warn};

use crate::build::Build;
use crate::copy::CopyOptions;
use crate::create::{Created, finished_path, header_for, open_locked, publish};
use crate::engine::Engine;
use crate::error::CreateError;
use crate::memory::sizes;
use crate::options::CreateOptions;
use crate::platform::at_idle_priority;
use crate::roots::RootStack;
use crate::stage::Staged;
use crate::storage::Storage;
use crate::trailer::{Plan, PlanKind, Progress, Trailer, TrailerError, tmp_path};

/// An unfinished plot, opened and locked.
enum Unfinished {
    /// Rows or roots are missing.
    Growing(File, Plan, Trailer),
    /// Only the name is missing.
    Complete(File, PlotHeader, u64),
}

/// Opens and judges `NAME.plot.tmp`.
fn open_unfinished(tmp: &Path) -> Result<Unfinished, CreateError> {
    let file = open_locked(tmp)?;
    let trailer_error = CreateError::trailer(tmp);
    match Trailer::read_plan(&file) {
        Ok((plan, _)) if plan.kind == PlanKind::Copied => Err(CreateError::InterruptedCopy(tmp.to_owned())),
        Ok((plan, trailer)) => Ok(Unfinished::Growing(file, plan, trailer)),
        Err(TrailerError::NoPlan) => {
            // The trailer goes last, so header and roots are whole if this is ours.
            let plot = Plot::from_file(tmp, file.try_clone().map_err(CreateError::io(tmp, "cannot open twice"))?)?;
            let header = plot.header().clone();
            if header.state == PlotState::Building {
                return Err(trailer_error(TrailerError::NoPlan));
            }
            if header.state == PlotState::Complete {
                let roots = plot.read_column_roots()?;
                let backend = Backend::fastest();
                let root = tree::root(backend, &roots, plot.layout().depth(), u32::from(header.shape.log2_columns()));
                if root != header.root {
                    return Err(PlotError::DamagedRoots { path: tmp.to_owned(), which: "column roots" }.into());
                }
            }
            Ok(Unfinished::Complete(file, header, plot.layout().file_bytes()))
        }
        Err(error) => Err(trailer_error(error)),
    }
}

/// Goes on with the unfinished plot at `path`, which may be given as
/// `NAME.plot` or as `NAME.plot.tmp`. Nothing to do is a success without a result.
/// A staged plot is also moved to where it belongs; [`resume_staged`] leaves that to the caller.
///
/// The last batch is read back and compared with its roots; where it does not
/// hold, the batch before it is what the work goes on from.
///
/// # Errors
/// As [`crate::create`], and if the file is not one that [`crate::create`] began.
pub fn resume(path: &Path, options: &CreateOptions<'_>) -> Result<Option<Created>, CreateError> {
    match resume_staged(path, options)? {
        Resumed::Nothing => Ok(None),
        Resumed::Created(created) => Ok(Some(created)),
        Resumed::Staged(staged) => {
            let &CreateOptions { threads, memory, force, preallocate, control, .. } = options;
            let hasher = options.engine.hasher();
            let copying = CopyOptions { hasher, threads, memory, force, preallocate, control, steps: &|_| () };
            staged.finish(&copying).map(Some).map_err(|error| CreateError::Move(Box::new(error)))
        }
    }
}

/// What going on with a plot came to.
#[derive(Debug)]
pub enum Resumed {
    /// The plot was finished already.
    Nothing,
    /// It is finished now.
    Created(Created),
    /// It is complete in its staging folder; [`Staged::finish`] moves it.
    Staged(Staged),
}

/// As [`resume`], but leaves it to the caller to move a staged plot to where it belongs.
///
/// # Errors
/// As [`resume`].
pub fn resume_staged(path: &Path, options: &CreateOptions<'_>) -> Result<Resumed, CreateError> {
    let began = Instant::now();
    let path = finished_path(path);
    let tmp = tmp_path(&path);
    if !tmp.try_exists().map_err(CreateError::io(&tmp, "cannot look for it"))? {
        Plot::open_any(&path)?;
        return Ok(Resumed::Nothing);
    }
    let taken = || path.symlink_metadata().is_ok();
    let (file, header, bytes, rows_grown, replace) = match open_unfinished(&tmp)? {
        Unfinished::Complete(file, header, bytes) => (file, header, bytes, 0, options.force),
        Unfinished::Growing(file, plan, trailer) => {
            let replace = options.force || plan.replace;
            // Said before anything is grown.
            if plan.destination.is_none() && !replace && taken() {
                return Err(CreateError::Waiting { path, tmp });
            }
            let (header, bytes, rows_grown) = grow_on(&tmp, &file, &plan, trailer, options)?;
            if let Some(destination) = plan.destination {
                let time = began.elapsed();
                return Ok(Resumed::Staged(Staged {
                    tmp,
                    file,
                    destination,
                    replace,
                    reserved: None,
                    rows_grown,
                    time,
                }));
            }
            (file, header, bytes, rows_grown, replace)
        }
    };
    if !replace && taken() {
        return Err(CreateError::Waiting { path, tmp });
    }
    publish(&path, &file, replace)?;
    Ok(Resumed::Created(Created { path, header, bytes, rows_grown, time: began.elapsed() }))
}

pub(crate) fn grow_on(
    tmp: &Path,
    file: &dyn Storage,
    plan: &Plan,
    mut trailer: Trailer,
    options: &CreateOptions<'_>,
) -> Result<(PlotHeader, u64, u64), CreateError> {
    let layout = plan.layout().map_err(CreateError::trailer(tmp))?;
    let io = |doing| CreateError::io(tmp, doing);
    if let Some(header) = complete_header(file, plan) {
        return Ok((header, layout.file_bytes(), 0));
    }
    trailer.write_holder(file).map_err(io("cannot write"))?;
    // Idle slots are written again, so the header is, too, in case power was cut while it was completed.
    file.write_at(&plan.header.encode(), 0).map_err(io("cannot write the header"))?;
    let slots = trailer.read_progress(file).map_err(io("cannot read how far it had come"))?;
    let mut progress = Progress::default();
    for (generation, slot) in slots {
        let whole = last_batch_is_whole(file, plan, &layout, &slot, options.engine)
            .map_err(io("cannot read the last batch"))?;
        if whole {
            progress = slot;
            trailer.go_on_from(generation);
            break;
        }
        warn!(path = %tmp.display(), rows_done = slot.rows_done, "the last batch is not what it was: going back");
    }
    info!(path = %tmp.display(), rows_done = progress.rows_done, rows = plan.header.rows, "resuming");
    let sizes = sizes(&plan.header, &layout, options)?;
    let rows_grown = plan.header.rows - progress.rows_done;
    let build = Build { storage: file, plan, layout, trailer, progress, sizes, options };
    let header =
        at_idle_priority(|| build.run()).map_err(|source| CreateError::Build { path: tmp.to_owned(), source })?;
    Ok((header, layout.file_bytes(), rows_grown))
}

/// The header of a staged plot, if that says complete: then it is.
fn complete_header(storage: &dyn Storage, plan: &Plan) -> Option<PlotHeader> {
    plan.destination.as_ref()?;
    header_for(storage, plan)
}

/// Level of the pieces in which a batch is read again: 1 MiB each, whatever the batch.
const CHECKED_LEVEL: u32 = 15;

/// Whether a slot makes sense and the cells of its last batch lead to its roots.
fn last_batch_is_whole(
    storage: &dyn Storage,
    plan: &Plan,
    layout: &Layout,
    slot: &Progress,
    engine: &dyn Engine,
) -> io::Result<bool> {
    let (rows, rows_per_segment) = (plan.header.rows, plan.header.rows_per_segment);
    // The entries must be the binary digits of the rows done, the last one padded perhaps at the end of the plot.
    let covered: u64 = slot.stack.entries.iter().map(|(level, _)| 1u64 << level).sum();
    let fits = if slot.rows_done == rows { covered >= rows } else { covered == slot.rows_done };
    if !fits || slot.rows_done > rows || slot.last_start >= slot.rows_done {
        return Ok(false);
    }
    if slot.last_level < tree::ceil_log2(slot.rows_done - slot.last_start) {
        return Ok(false);
    }
    let hasher = engine.hasher();
    let level = slot.last_level.min(CHECKED_LEVEL);
    let mut cells: Vec<Cell> = Vec::new();
    for (column, root) in (0..).zip(&slot.last_roots) {
        let mut stack = RootStack::default();
        let mut row = slot.last_start;
        while row < slot.rows_done {
            let stop = slot.rows_done.min(row + (1 << level));
            cells.clear();
            while row < stop {
                let segment = row / rows_per_segment;
                let strip = layout.strip(segment, ColumnIndex(column));
                let end = stop.min((segment + 1) * rows_per_segment);
                let held = cells.len();
                cells.resize(held + (end - row) as usize, [0; 32]);
                let offset_bytes = strip.offset_bytes + 32 * (row - segment * rows_per_segment);
                storage.read_at(bytemuck::cast_slice_mut(&mut cells[held..]), offset_bytes)?;
                row = end;
            }
            stack.push(hasher, level, vec![tree::root(hasher, &cells, 0, level)], u32::MAX, |_: &[Cell]| ());
        }
        if stack.finish(hasher, slot.last_level, u32::MAX, |_: &[Cell]| ()) != [*root] {
            return Ok(false);
        }
    }
    Ok(true)
}
