//! What a disk does for plots: writes and reads of a file that lies as a plot
//! does, and is gone afterwards.
//!
//! * `file` makes the file: without a name, of bytes that cannot be compressed.
//! * `pass` has some reads or writes in flight for a while.
//!
//! Every kind of reading comes several times, in turn with the others, so that
//! whatever disturbs the disk for a moment disturbs all of them: the median
//! counts, and latencies are percentiles over all turns.

mod file;
mod pass;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Serialize;
use spacetime_kernels::{ColumnIndex, Shape};
use spacetime_prover::{Layout, PlotHeader, PlotState};
use thiserror::Error;

use crate::stats::{Latencies, median};
use file::{TestFile, random};
use pass::{Limits, Pass, run};

/// Bytes of a strip, and of a sequential read or write: a strip of a main plot in its usual segments.
pub const STRIP_BYTES: u64 = 2 << 20;
/// Bytes of a small read.
pub const SMALL_BYTES: u64 = 4096;
/// Least file that is measured: fewer strips are no challenge.
pub const LEAST_BYTES: u64 = 64 << 20;
/// Reads in flight.
pub const QUEUE_DEPTHS: [usize; 3] = [1, 4, 16];
/// Writes and sequential reads in flight, as the farm has by default.
const SEQUENTIAL_DEPTH: usize = 4;
/// Strips that a column should have at least, while there are columns enough to draw from.
const STRIPS_A_COLUMN: u64 = 16;
/// Parts of a turn's time: sequential reading, strips at each depth, small reads at each depth.
const PARTS: [u32; 3] = [4, 2, 1];

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Length of the file, at least [`LEAST_BYTES`].
    pub bytes: u64,
    /// Time after which writing ends, with a shorter file; it goes on to [`LEAST_BYTES`].
    pub writing: Duration,
    /// Time for all reading together, shared out by fixed parts.
    pub reading: Duration,
    /// Times that each kind of reading is measured, of which the median counts.
    pub turns: u32,
    /// Ends it all when set.
    pub stop: &'a AtomicBool,
}

/// Why a disk was not measured.
#[derive(Debug, Error)]
pub enum DiskError {
    /// There is no folder to write to.
    #[error("{}: is no folder", .0.display())]
    NotAFolder(PathBuf),
    /// Too little to measure.
    #[error("{bytes} bytes are too few to measure, {LEAST_BYTES} are the least")]
    TooSmall {
        /// Bytes asked for.
        bytes: u64,
    },
    /// It does not fit.
    #[error("{}: {bytes} bytes would be written, {free_bytes} are free", path.display())]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// Bytes asked for.
        bytes: u64,
        /// Bytes that this user may still write.
        free_bytes: u64,
    },
    /// The system refused.
    #[error("{}: {doing}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What could not be done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It was asked to stop.
    #[error("{}: stopped; nothing is left there", .0.display())]
    Stopped(PathBuf),
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Writing the file from its begin to its end, the sync included.
    SequentialWrite,
    /// Reading on and on.
    SequentialRead,
    /// A strip of each segment in turn, its column drawn at random.
    StripRead,
    /// 4096 bytes anywhere.
    SmallRead,
}

/// How one job went: a flat object when serialised.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// What was done.
    pub job: Job,
    /// How many were in flight.
    pub queue_depth: usize,
    /// Bytes of each.
    pub block_bytes: u64,
    /// How many there were in all turns.
    pub blocks: u64,
    /// Bytes a second: the median of the turns.
    pub bytes_per_second: f64,
    /// How long each took, over all turns.
    #[serde(flatten)]
    pub latencies: Latencies,
    /// Whether the page cache or a file system in memory stood between.
    pub cached: bool,
}

/// What the measurements were made on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ground {
    /// Length of the file: less than asked for if writing took too long.
    pub file_bytes: u64,
    /// Whether reads and writes passed the page cache by.
    pub direct: bool,
    /// Whether the folder lies in memory.
    pub in_memory: bool,
    /// From a strip to the one of the same column in the next segment.
    pub strip_spacing_bytes: u64,
}

/// Measures the disk under `folder` and hands each result to `on_result` as
/// soon as it stands. Nothing but a file without a name is written there.
///
/// # Errors
/// If the folder cannot be written, has no room, reading fails, or it was asked to stop.
pub fn measure(
    folder: &Path,
    options: &Options<'_>,
    mut on_result: impl FnMut(&Measurement),
) -> Result<Ground, DiskError> {
    let io = |doing| move |source| DiskError::Io { path: folder.to_owned(), doing, source };
    let stopped = || DiskError::Stopped(folder.to_owned());
    let mut file = TestFile::create(folder, options.bytes)?;
    let limits = Limits { time: options.writing, least: LEAST_BYTES / STRIP_BYTES, stop: options.stop };
    let written = file.fill(SEQUENTIAL_DEPTH, &limits).map_err(io("cannot write"))?.ok_or_else(stopped)?;
    on_result(&file.measurement(Job::SequentialWrite, SEQUENTIAL_DEPTH, STRIP_BYTES, &[written]));
    let layout = layout_in(file.bytes());
    let ground = Ground {
        file_bytes: file.bytes(),
        direct: file.is_direct(),
        in_memory: file.is_in_memory(),
        strip_spacing_bytes: layout.columns() * STRIP_BYTES,
    };
    let mut kinds = vec![(Job::SequentialRead, SEQUENTIAL_DEPTH, STRIP_BYTES, PARTS[0])];
    kinds.extend(QUEUE_DEPTHS.map(|depth| (Job::StripRead, depth, STRIP_BYTES, PARTS[1])));
    kinds.extend(QUEUE_DEPTHS.map(|depth| (Job::SmallRead, depth, SMALL_BYTES, PARTS[2])));
    let part = options.reading / (kinds.iter().map(|kind| kind.3).sum::<u32>() * options.turns.max(1));
    let mut passes: Vec<Vec<Pass>> = vec![Vec::new(); kinds.len()];
    for turn in 0..options.turns.max(1) {
        for (&(job, depth, block_bytes, parts), passes) in kinds.iter().zip(&mut passes) {
            let limits = Limits { time: part * parts, least: depth as u64, stop: options.stop };
            let places = Places { job, file_bytes: file.bytes(), layout: &layout, seed: random(u64::from(turn), 1) };
            file.forget();
            let pass = run(depth, block_bytes, &limits, |at| places.offset(at), |buffer, at| file.read(buffer, at));
            passes.push(pass.map_err(io("cannot read"))?.ok_or_else(stopped)?);
        }
    }
    for ((job, depth, block_bytes, _), passes) in kinds.iter().zip(&passes) {
        on_result(&file.measurement(*job, *depth, *block_bytes, passes));
    }
    Ok(ground)
}

impl TestFile {
    fn measurement(&self, job: Job, queue_depth: usize, block_bytes: u64, passes: &[Pass]) -> Measurement {
        let rates: Vec<f64> = passes.iter().map(|pass| pass.bytes_per_second(block_bytes)).collect();
        let times: Vec<f64> = passes.iter().flat_map(|pass| &pass.times_ms).copied().collect();
        Measurement {
            job,
            queue_depth,
            block_bytes,
            blocks: times.len() as u64,
            bytes_per_second: median(&rates).expect("every job has a turn"),
            latencies: Latencies::of(&times).expect("every turn has a block"),
            cached: !self.is_direct() || self.is_in_memory(),
        }
    }
}

/// Where the reads of one turn are.
struct Places<'a> {
    job: Job,
    file_bytes: u64,
    layout: &'a Layout,
    seed: u64,
}

impl Places<'_> {
    /// Place of the read that comes `at` that place in the order.
    fn offset(&self, at: u64) -> Option<u64> {
        let drawn = random(self.seed, at);
        let blocks = self.file_bytes / STRIP_BYTES;
        Some(match self.job {
            // Each turn begins elsewhere, or a cache in the disk would hold what it reads.
            Job::SequentialRead => (self.seed % blocks + at) % blocks * STRIP_BYTES,
            Job::StripRead => {
                let column = ColumnIndex((drawn % self.layout.columns()) as u32);
                self.layout.strip(at % whole_segments(self.layout), column).offset_bytes
            }
            Job::SmallRead => drawn % (self.file_bytes / SMALL_BYTES) * SMALL_BYTES,
            Job::SequentialWrite => at * STRIP_BYTES,
        })
    }
}

/// Segments of which every strip has its full length.
fn whole_segments(layout: &Layout) -> u64 {
    let last = layout.segments() - 1;
    if layout.segment_rows(last) == layout.segment_rows(0) { last + 1 } else { last.max(1) }
}

/// A plot that fits into so many bytes (PROTOCOL §5): strips of [`STRIP_BYTES`], and as
/// many columns, up to those of the main network, as leave a column some strips.
fn layout_in(file_bytes: u64) -> Layout {
    let strips = file_bytes / STRIP_BYTES;
    let log2_columns = (strips / STRIPS_A_COLUMN).max(1).ilog2().clamp(4, 13) as u8;
    let shape = Shape::new(log2_columns, 1).expect("within bounds");
    let rows_per_segment = STRIP_BYTES / 32;
    let mut header = PlotHeader {
        miner_key: [0; 48],
        seed: [0; 32],
        network: [0; 32],
        shape,
        state: PlotState::Complete,
        rows: (file_bytes - 4096) / shape.row_bytes() as u64,
        rows_per_segment,
        first_row: 0,
        data_offset: 0,
        roots_offset: 0,
        root: [0; 32],
        plot_id: [0; 32],
    };
    (header.data_offset, header.roots_offset) = Layout::usual_offsets(&header).expect("a plot that fits a file");
    Layout::new(&header).expect("a plot that fits a file")
}

#[cfg(test)]
mod tests;
