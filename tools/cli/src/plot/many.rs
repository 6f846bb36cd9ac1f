//! Several plots in several folders, side by side.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;

use serde::Serialize;
use spacetime_plotter::{CopyError, CreateError, Created, Staged};
use spacetime_prover::PlotState;
use tracing::warn;

use crate::{Code, Failure, Failures, out};

/// How many plots are to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// So many in all.
    Plots(u64),
    /// As many as every folder holds.
    Fill,
}

/// What `create` and `resume` print of a finished plot.
#[derive(Serialize)]
struct Done<'a> {
    event: &'static str,
    #[serde(serialize_with = "out::path")]
    path: &'a Path,
    state: &'static str,
    root: String,
    plot_id: String,
    seed: String,
    rows: u64,
    first_row: u64,
    bytes: u64,
    rows_grown: u64,
    seconds: f64,
    /// Of the whole program so far.
    peak_memory_bytes: Option<u64>,
}

/// Prints a finished plot, whose cells may have been copied as a whole.
pub(crate) fn report(created: &Created, json: bool, copied: bool) -> Result<(), Failure> {
    let header = &created.header;
    let part = header.state == PlotState::Part;
    if json {
        return out::json(&Done {
            event: "done",
            path: &created.path,
            state: if part { "part" } else { "complete" },
            root: const_hex::encode(header.root),
            plot_id: const_hex::encode(header.plot_id),
            seed: const_hex::encode(header.seed),
            rows: header.rows,
            first_row: header.first_row,
            bytes: created.bytes,
            rows_grown: created.rows_grown,
            seconds: created.time.as_secs_f64(),
            peak_memory_bytes: spacetime_plotter::peak_memory(),
        });
    }
    let seconds = created.time.as_secs_f64();
    // Rows that were copied count as well as rows that were grown. A plot that only got its name has no rate.
    let rows = if copied && created.rows_grown == 0 { header.rows } else { created.rows_grown };
    let bytes_per_second = (rows * header.shape.row_bytes() as u64) as f64 / seconds.max(0.001);
    let rate = match rows {
        0 => String::new(),
        _ => format!(" ({}/s)", indicatif::BinaryBytes(bytes_per_second as u64)),
    };
    let what =
        if part { "a part, to be merged".to_owned() } else { format!("plot id {}", const_hex::encode(header.plot_id)) };
    out::line(format_args!(
        "{}  {} rows, {}, in {seconds:.1} s{rate}  {what}",
        created.path.display(),
        header.rows,
        indicatif::BinaryBytes(created.bytes),
    ))
}

/// What came of one plot.
pub(crate) enum Made {
    /// It is finished.
    Done(Created),
    /// It is grown and waits to be moved to its folder.
    Staged(Staged),
}

/// How plots are made: by `grow(folder, number of the plot)`, and where that
/// stages them, by `finish`.
pub(crate) struct Makers<'a> {
    pub(crate) grow: &'a (dyn Fn(&Path, u64) -> Result<Made, CreateError> + Sync),
    /// Takes the space where a staged plot goes.
    pub(crate) reserve: &'a (dyn Fn(&mut Staged) -> Result<(), CopyError> + Sync),
    pub(crate) finish: &'a (dyn Fn(Staged) -> Result<Created, CopyError> + Sync),
}

/// Makes plots in every folder at once, one after another, until `count` is
/// reached. A folder that fails is left; the others go on. With
/// [`Count::Fill`] a folder ends when it is full.
///
/// # Errors
/// The first folder's failure, after all have ended.
pub(crate) fn run(folders: &[PathBuf], count: Count, json: bool, makers: &Makers<'_>) -> Result<(), Failure> {
    let taken = AtomicU64::new(0);
    let failures: Mutex<Vec<Failure>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for folder in folders {
            let (taken, failures) = (&taken, &failures);
            scope.spawn(move || {
                if let Err(failure) = fill_folder(folder, count, json, taken, makers) {
                    failures.lock().expect("pushing does not panic").push(failure);
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("pushing does not panic");
    // Interrupted says it all: the other folders were, too.
    if let Some(at) = failures.iter().position(|failure| failure.code() == Code::Interrupted) {
        return Err(failures.swap_remove(at));
    }
    let mut all = Failures::default();
    failures.into_iter().for_each(|failure| all.push(failure));
    all.end()
}

fn fill_folder(folder: &Path, count: Count, json: bool, taken: &AtomicU64, makers: &Makers<'_>) -> Result<(), Failure> {
    let mut made_here = 0;
    // A staged plot is moved while the next one grows; one at a time, for they share a disk.
    std::thread::scope(|scope| {
        let mut moving = None;
        loop {
            let number = taken.fetch_add(1, Ordering::Relaxed);
            if matches!(count, Count::Plots(plots) if number >= plots) {
                return moved(&mut moving);
            }
            let mut made = (makers.grow)(folder, number);
            if moving.is_some() && matches!(made, Err(CreateError::NoSpace { .. })) {
                // The one before may yet make room where it is staged.
                moved(&mut moving)?;
                made = (makers.grow)(folder, number);
            }
            // Where the one before was not moved, this one waits in its staging folder.
            moved(&mut moving)?;
            match made {
                Ok(Made::Done(created)) => report(&created, json, false)?,
                Ok(Made::Staged(mut staged)) => {
                    (makers.reserve)(&mut staged).map_err(|error| super::copy::copy_failure(&error))?;
                    moving = Some(scope.spawn(move || {
                        let created = (makers.finish)(staged).map_err(|error| super::copy::copy_failure(&error))?;
                        report(&created, json, true)
                    }));
                }
                Err(CreateError::NoSpace { path, needed, free })
                    if count == Count::Fill && made_here > 0 && lies_in(&path, folder) =>
                {
                    warn!(folder = %folder.display(), plots = made_here, needed, free, "full");
                    return Ok(());
                }
                Err(error) => return Err(super::create_failure(&error)),
            }
            made_here += 1;
        }
    })
}

/// Whether it is this folder that is full, and not the one for staging.
fn lies_in(path: &Path, folder: &Path) -> bool {
    let parent = |path: &Path| path.parent().map(std::path::absolute);
    matches!((parent(path), std::path::absolute(folder)), (Some(Ok(parent)), Ok(folder)) if parent == folder)
}

/// Waits for the plot that is being moved, if one is.
fn moved(moving: &mut Option<ScopedJoinHandle<'_, Result<(), Failure>>>) -> Result<(), Failure> {
    let Some(moving) = moving.take() else { return Ok(()) };
    moving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
