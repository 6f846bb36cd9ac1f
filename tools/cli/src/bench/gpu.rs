//! `spacetime bench gpu`.

use std::ops::ControlFlow;

use clap::Args;
use spacetime_benches::chart::{Bar, Chart, Group};
use spacetime_benches::gpu::{self as bench, Job, Measurement, Options, Report};
use spacetime_kernels::Shape;
use spacetime_kernels::gpu::{OpenOptions, adapters};

use super::chart::ChartFlag;
use super::limits::{plot_bytes, plot_rate, size, time};
use crate::args::{self, Engines, GpuEngines, Size, engines};
use crate::network::MAIN;
use crate::{Failure, gpu, out};

/// Measures what GPUs do, beside the limits that bind them.
///
/// Bare compressions in registers are the limit of a card's integer
/// arithmetic, copying its memory that of its memory; growing has a share of
/// each. Takes about half a minute a card, two minutes for software.
#[derive(Debug, Args)]
pub struct Gpu {
    /// Adapters to measure: gpu, or gpu:0,2. Gpu takes software only if there is nothing else.
    #[arg(long, default_value = "gpu", value_parser = engines, value_name = "BACKEND")]
    backend: Engines,
    /// Memory of each GPU that may be used, such as 16GiB. Default: most of it.
    #[arg(long, env = "SPACETIME_GPU_MEMORY", value_parser = args::size, value_name = "SIZE", allow_negative_numbers = true)]
    gpu_memory: Option<Size>,
    /// Prints a flat JSON object for each adapter and job, and nothing else.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    chart: ChartFlag,
}

/// Bytes of a cell.
const CELL_BYTES: f64 = 32.0;

/// A disk that a card is held against.
const DISK_BYTES: f64 = 20e12;

/// The share of a limit from which on it is said to bind.
const NEAR: f64 = 0.5;

impl Gpu {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.chart.check()?;
        super::end_at_interrupt()?;
        match &self.backend {
            Engines::Named { cpu: None, gpu: Some(GpuEngines::All | GpuEngines::Only(_)) } => (),
            _ => return Err(Failure::usage("--backend: GPUs alone are measured here, as gpu or gpu:0,2")),
        }
        if matches!(self.backend, Engines::Named { gpu: Some(GpuEngines::All), .. }) && adapters().is_empty() {
            return Err(Failure::failed("no GPU adapter found: nothing to measure (is a Vulkan driver installed?)"));
        }
        let adapters = gpu::chosen(&self.backend)?;
        let open = OpenOptions { memory_bytes: self.gpu_memory.map(|size| size.bytes), ..OpenOptions::default() };
        let options = Options { open, ..Options::default() };
        let (mut reports, mut last) = (Vec::new(), None);
        for adapter in &adapters {
            let mut printed = if self.json { Ok(()) } else { heading(adapter) };
            let measured = bench::measure(adapter, &options, |measurement| {
                if printed.is_ok() {
                    printed = if self.json { out::json(measurement) } else { print(measurement) };
                }
                // With nobody left to tell, there is nothing to measure for.
                if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            printed?;
            match measured {
                Ok(report) => reports.push(report),
                Err(error) => {
                    // One that fails is told of; the others are measured all the same.
                    if let Some(earlier) = last.replace(gpu::failure(&error)) {
                        let _ = earlier.report();
                    }
                }
            }
        }
        if !self.json {
            reports.iter().try_for_each(|report| summary(report, options.shape))?;
        }
        self.chart.write(|| chart(&reports))?;
        last.map_or(Ok(()), Err)
    }
}

fn heading(adapter: &spacetime_kernels::gpu::Adapter) -> Result<(), Failure> {
    out::line(format_args!("{}, {}", adapter.name(), adapter.driver()))?;
    out::line(format_args!("  {:<44} {:>14}  of bare  of memory", "job", "a second"))
}

/// What was done, in words.
fn job(measurement: &Measurement) -> String {
    let &Measurement { job, p, rounds, challenges, rows_in_flight, .. } = measurement;
    match job {
        Job::Compress => "bare compressions".to_owned(),
        Job::Copy => "memory copied, read and written".to_owned(),
        Job::ReadBack => "read back by the host".to_owned(),
        Job::Pairs => "Merkle pairs".to_owned(),
        Job::Grow => format!("growing, p={p} R={rounds}, {rows_in_flight} rows"),
        Job::GrowUnchecked => "growing without wgpu's checks".to_owned(),
        Job::Check => format!("proofs checked, p={p} R={rounds}"),
        Job::Score if challenges == 1 => "leaves scored".to_owned(),
        Job::Score => format!("scores, {challenges} challenges a pass"),
        Job::Strips => format!("finished strips read back, p={p} R=1"),
        Job::StripsTwoQueues => "the same with two queues".to_owned(),
    }
}

/// What the job is counted in, as often as that unit has it.
fn unit(job: Job) -> (&'static str, f64) {
    match job {
        Job::Copy | Job::ReadBack | Job::Strips | Job::StripsTwoQueues => ("MB/s", 1e6),
        Job::Check => ("proofs a second", 1.0),
        _ => ("million a second", 1e6),
    }
}

/// One line of the table.
fn print(measurement: &Measurement) -> Result<(), Failure> {
    let &Measurement { rate, of_bare, of_memory, .. } = measurement;
    let short = match unit(measurement.job) {
        ("MB/s", _) => "MB",
        (_, 1.0) => "",
        _ => "M",
    };
    let share = |share: Option<f64>| share.map_or(String::new(), |share| format!("{share:.2}"));
    let line = format!(
        "  {:<44} {:>11.2} {short:<2}  {:>7}  {:>9}",
        job(measurement),
        rate / unit(measurement.job).1,
        share(of_bare),
        share(of_memory)
    );
    out::line(line.trim_end())
}

/// What the numbers of one adapter mean, in plain words.
fn summary(report: &Report, shape: Shape) -> Result<(), Failure> {
    let rate = |job: Job| report.rate(job);
    let (Some(growing), Some(bare), Some(pairs), Some(read_back), Some(strips)) = (
        report.measurements.iter().find(|seen| seen.job == Job::Grow),
        rate(Job::Compress),
        rate(Job::Pairs),
        rate(Job::ReadBack),
        rate(Job::Strips),
    ) else {
        return Ok(());
    };
    let (p, rounds) = (growing.p, growing.rounds);
    let of_bare = growing.of_bare.unwrap_or_default();
    let of_memory = growing.of_memory.unwrap_or_default();
    // Every cell is grown and hashed into its tree, while those before it are read back.
    let grown = plot_rate(growing.rate, pairs, shape);
    let reached = grown.min(read_back);
    let binds = if read_back < grown {
        "reading back binds it".to_owned()
    } else if of_bare.max(of_memory) < NEAR {
        format!(
            "it is near neither limit, {:.0}% of the bare rate and {:.0}% of that of copying: its driver holds it back, \
             or too few rows",
            of_bare * 100.0,
            of_memory * 100.0
        )
    } else if of_bare >= of_memory {
        format!("integer operations bind it, growing has {:.0}% of the bare rate", of_bare * 100.0)
    } else {
        format!("memory binds it, growing has {:.0}% of the rate of copying", of_memory * 100.0)
    };
    out::line("")?;
    out::line(format_args!(
        "{} grows {:.0} MB/s of plot at p={p} R={rounds}, {} rows side by side in {}: a plot of 1 TiB takes {} \
         ({:.1} h), if the disk keeps up; {binds}.",
        report.name,
        reached / 1e6,
        growing.rows_in_flight,
        size(2.0 * growing.table_bytes as f64),
        time((1u64 << 40) as f64 / reached),
        (1u64 << 40) as f64 / reached / 3600.0,
    ))?;
    // Who stores nothing has to grow within a group of epochs of the main network.
    let group = MAIN.group();
    out::line(format_args!(
        "Growing instead of storing {:.0} TB, anew in every group of {} s, would need {:.0} of these cards.",
        DISK_BYTES / 1e12,
        group.as_secs(),
        (DISK_BYTES / (plot_bytes(growing.rate, shape) * group.as_secs_f64())).ceil(),
    ))?;
    let Some(two) = rate(Job::StripsTwoQueues) else { return Ok(()) };
    // With one round a cell takes two compressions to grow, and two to hash.
    let arithmetic = bare / 4.0 * CELL_BYTES;
    let limit = read_back.min(arithmetic);
    // What a second queue hides of a byte's time is hidden of a plot's bytes too, where it weighs less.
    let hidden = 1.0 / strips - 1.0 / two;
    let plots = 1.0 / (1.0 - reached * hidden).max(0.1);
    let verdict = if plots > 1.02 { "worth trying: --gpu-queues 2" } else { "not worth it" };
    out::line(format_args!(
        "Finished strips of one round reach the host at {:.0}% of what {} allows; with two queues {:.2} times as \
         fast, which would make a plot at R={rounds} {plots:.2} times as fast: {verdict}.",
        strips / limit * 100.0,
        if read_back <= arithmetic { "reading back" } else { "bare compression" },
        two / strips,
    ))
}

fn chart(reports: &[Report]) -> Chart {
    let mut groups = Vec::new();
    for report in reports {
        for name in ["million a second", "MB/s", "proofs a second"] {
            let of_unit = report.measurements.iter().filter(|measurement| unit(measurement.job).0 == name);
            let bar = |seen: &Measurement| Bar::new(job(seen), seen.rate / unit(seen.job).1);
            let bars = of_unit.map(bar).collect();
            groups.push(Group { title: report.name.clone(), unit: name.to_owned(), bars });
        }
    }
    Chart { title: "spacetime bench gpu".to_owned(), groups }
}
