//! `spacetime bench disk`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::BinaryBytes;
use serde::Serialize;
use spacetime_benches::chart::{Bar, Chart, Group};
use spacetime_benches::disk::{self, DiskError, Ground, Job, Measurement, Options};
use spacetime_kernels::Backend;

use super::chart::ChartFlag;
use super::limits::{Binds, CpuLimits, at, served_bytes, size, time};
use crate::args::{Size, duration, size as size_value};
use crate::interrupt::Interrupt;
use crate::network::MAIN;
use crate::{Failure, out};

/// Most bytes that are written unasked.
const FREELY_BYTES: u64 = 1 << 30;
/// Time for writing a gibibyte, after which the rest is left out.
const WRITING_A_GIB: Duration = Duration::from_secs(30);
/// Times that each kind of reading is measured.
const TURNS: u32 = 3;

/// Measures the disk under a folder as plots use it.
///
/// Writes a file of random bytes, reads it on and on, reads strips of a column
/// as a challenge does, and small blocks anywhere: past the page cache where
/// the file system can do so. The file has no name (where the file system
/// needs one it is taken away at once), so nothing is left, whatever happens.
#[derive(Debug, Args)]
pub struct Disk {
    /// A folder on the disk.
    #[arg(value_name = "PATH")]
    folder: PathBuf,
    /// Bytes to write, at least 64MiB. More than 1GiB needs --yes.
    #[arg(long, default_value = "1GiB", value_parser = size_value, value_name = "SIZE", allow_negative_numbers = true)]
    size: Size,
    /// Does write more than 1GiB.
    #[arg(long)]
    yes: bool,
    /// Time for all reading together, 100ms to 1h.
    #[arg(long, default_value = "20s", value_parser = reading, value_name = "TIME")]
    reading: Duration,
    /// Prints flat JSON objects, a line each, and nothing else: one a job, then a summary.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    chart: ChartFlag,
}

/// Reads a duration that makes sense for measuring.
fn reading(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let allowed = Duration::from_millis(100)..=Duration::from_secs(3600);
    if allowed.contains(&time) { Ok(time) } else { Err("100ms to 1h are taken".to_owned()) }
}

/// What it comes down to.
#[derive(Serialize)]
struct Summary<'a> {
    job: &'static str,
    #[serde(serialize_with = "out::path")]
    path: &'a Path,
    #[serde(flatten)]
    ground: &'a Ground,
    /// The best of the queue depths.
    strip_bytes_per_second: f64,
    /// Bytes of strips that the CPU scores for a group's challenges.
    score_bytes_per_second: f64,
    group_ms: u64,
    window_ms: u64,
    /// Bytes of main plots that the disk answers for in the time of a group.
    group_served_bytes: f64,
    /// The same where the column is not known before the window.
    window_served_bytes: f64,
    answers_bound_by: Binds,
    write_bytes_per_second: f64,
    grow_bytes_per_second: f64,
    tebibyte_plot_seconds: f64,
    plots_bound_by: Binds,
}

impl Disk {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Size { bytes } = self.size;
        if bytes > FREELY_BYTES && !self.yes {
            let free = BinaryBytes(FREELY_BYTES);
            return Err(Failure::usage(format!(
                "--size: {bytes} bytes would be written; more than {free} needs --yes"
            )));
        }
        self.chart.check()?;
        let interrupt = Interrupt::install()?;
        let stop = interrupt.flag();
        let gibibytes = u32::try_from(bytes.div_ceil(1 << 30)).unwrap_or(u32::MAX);
        let writing = WRITING_A_GIB.saturating_mul(gibibytes);
        let options = Options { bytes, writing, reading: self.reading, turns: TURNS, stop: &stop };
        let mut measurements: Vec<Measurement> = Vec::new();
        let mut printed = Ok(());
        let waiting = super::waiting(self.json, "writing, then reading");
        let ground = disk::measure(&self.folder, &options, |measurement| {
            if printed.is_ok() {
                printed = waiting.suspend(|| self.print(measurement, measurements.is_empty()));
            }
            measurements.push(measurement.clone());
        });
        drop(waiting);
        let ground = ground.map_err(|error| failure(&error))?;
        printed?;
        let summary = self.summary(&ground, &measurements);
        if self.json {
            out::json(&summary)?
        } else {
            summary.print()?
        }
        self.chart.write(|| chart(&self.folder, &measurements))
    }

    fn print(&self, measurement: &Measurement, first: bool) -> Result<(), Failure> {
        if self.json {
            return out::json(measurement);
        }
        if first {
            let columns = format!("{:>9} {:>9} {:>9} {:>9}", "p50 ms", "p90 ms", "p99 ms", "worst ms");
            out::line(format_args!("{:<28} {:>9} {:>9} {columns}", "job", "in flight", "MB/s"))?;
        }
        let Measurement { job, queue_depth, bytes_per_second, latencies, .. } = measurement;
        let times = [latencies.p50_ms, latencies.p90_ms, latencies.p99_ms, latencies.max_ms];
        let times: String = times.iter().map(|time| format!(" {time:>9.2}")).collect();
        out::line(format_args!("{:<28} {queue_depth:>9} {:>9.1}{times}", name(*job), bytes_per_second / 1e6))
    }

    fn summary<'a>(&'a self, ground: &'a Ground, measurements: &[Measurement]) -> Summary<'a> {
        let rate = |job| {
            let rates = measurements.iter().filter(|m| m.job == job).map(|m| m.bytes_per_second);
            rates.fold(0.0, f64::max)
        };
        let cpu = CpuLimits::measure(Backend::fastest(), MAIN.beacon_interval);
        let (strips, write) = (rate(Job::StripRead), rate(Job::SequentialWrite));
        Summary {
            job: "summary",
            path: &self.folder,
            ground,
            strip_bytes_per_second: strips,
            score_bytes_per_second: cpu.score_bytes_per_second,
            group_ms: MAIN.group().as_millis() as u64,
            window_ms: MAIN.window.as_millis() as u64,
            group_served_bytes: served_bytes(strips, MAIN.group()),
            window_served_bytes: served_bytes(strips, MAIN.window),
            answers_bound_by: Binds::of(strips, cpu.score_bytes_per_second),
            write_bytes_per_second: write,
            grow_bytes_per_second: cpu.grow_bytes_per_second,
            tebibyte_plot_seconds: (1u64 << 40) as f64 / write.min(cpu.grow_bytes_per_second),
            plots_bound_by: Binds::of(write, cpu.grow_bytes_per_second),
        }
    }
}

/// What was done, in words.
fn name(job: Job) -> &'static str {
    match job {
        Job::SequentialWrite => "sequential write, 2 MiB",
        Job::SequentialRead => "sequential read, 2 MiB",
        Job::StripRead => "strips of a column, 2 MiB",
        Job::SmallRead => "reads anywhere, 4 KiB",
    }
}

impl Summary<'_> {
    /// In plain words.
    fn print(&self) -> Result<(), Failure> {
        let scored = served_bytes(self.score_bytes_per_second, MAIN.group());
        out::line("")?;
        out::line(format_args!(
            "This disk answers for {} of plots a group ({}): {:.0} MB/s of strips.",
            size(self.group_served_bytes),
            at(MAIN.group(), Some(&MAIN)),
            self.strip_bytes_per_second / 1e6,
        ))?;
        out::line(format_args!(
            "Of a column not known before its window ({}): for {}.",
            at(MAIN.window, Some(&MAIN)),
            size(self.window_served_bytes),
        ))?;
        out::line(format_args!(
            "The CPU scores {} of plots a group, for {} challenges: {}.",
            size(scored),
            MAIN.beacon_interval,
            self.answers_bound_by.words(),
        ))?;
        out::line(format_args!(
            "A plot of 1 TiB takes {} here, grown by the CPU alone: the disk writes {:.0} MB/s, the CPU grows {:.0} MB/s: {}.",
            time(self.tebibyte_plot_seconds),
            self.write_bytes_per_second / 1e6,
            self.grow_bytes_per_second / 1e6,
            self.plots_bound_by.words(),
        ))?;
        self.print_ground()
    }

    /// What the numbers were measured on, and so what they do not say.
    fn print_ground(&self) -> Result<(), Failure> {
        let Ground { file_bytes, direct, in_memory, strip_spacing_bytes } = *self.ground;
        out::line(match (in_memory, direct) {
            (true, _) => "Cached: this folder lies in memory. The numbers say nothing about a disk.",
            (false, false) => {
                "Cached: this file system takes no direct reads. Pages were dropped before, as far as the system does so."
            }
            (false, true) => {
                "Not cached by this machine: every read was direct. What the disk or a host holds is not known."
            }
        })?;
        let spacing = BinaryBytes(strip_spacing_bytes);
        out::line(format_args!(
            "The file had {}: a column's strips were {spacing} apart, in a main plot they are {}; a disk that turns is slower there.",
            BinaryBytes(file_bytes),
            BinaryBytes(disk::STRIP_BYTES << MAIN.log2_columns),
        ))
    }
}

fn failure(error: &DiskError) -> Failure {
    match error {
        DiskError::TooSmall { .. } => Failure::usage(format_args!("--size: {error}")),
        DiskError::Stopped(_) => Failure::interrupted(error),
        DiskError::NotAFolder(_) | DiskError::NoSpace { .. } | DiskError::Io { .. } => Failure::failed(error),
    }
}

fn chart(folder: &Path, measurements: &[Measurement]) -> Chart {
    let label = |m: &Measurement| format!("{}, {} in flight", name(m.job), m.queue_depth);
    let bars =
        |value: &dyn Fn(&Measurement) -> f64| measurements.iter().map(|m| Bar::new(label(m), value(m))).collect();
    let group = |title: &str, unit: &str, bars| Group { title: title.to_owned(), unit: unit.to_owned(), bars };
    Chart {
        title: format!("spacetime bench disk {}", std::path::absolute(folder).unwrap_or(folder.into()).display()),
        groups: vec![
            group("Rates", "MB/s", bars(&|m| m.bytes_per_second / 1e6)),
            group("Times: half took no longer", "ms", bars(&|m| m.latencies.p50_ms)),
            group("Times: 99 of 100 took no longer", "ms", bars(&|m| m.latencies.p99_ms)),
        ],
    }
}
