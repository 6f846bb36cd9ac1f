//! `spacetime bench farm`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use spacetime_benches::chart::{Bar, Chart, Group};
use spacetime_benches::farm::{DiskReport, Options, Rehearsal, TimedDisks, rehearse};
use spacetime_benches::stats::median;
use spacetime_kernels::MAX_CHALLENGES;
use spacetime_prover::farm::{Cancel, PlotFault, Refusal};
use spacetime_prover::{Farm as Plots, FarmOptions, SearchOptions};
use tracing::{info, warn};

use super::chart::ChartFlag;
use super::limits::{Binds, CpuLimits, at, size};
use crate::args::{Engines, duration, engines};
use crate::interrupt::Interrupt;
use crate::network::{MAIN, Network, Rules};
use crate::plot::plot_failure;
use crate::prove::{open_farm, refusal};
use crate::{Failure, Failures, out};

/// Time for all windows, so that a run ends within two minutes.
const BUDGET: Duration = Duration::from_secs(100);

/// Least that a window should read for its rate to say anything.
const ENOUGH_BYTES: u64 = 64 << 20;

/// Rehearses challenge windows on plots.
///
/// Each window searches a random column for random challenges, as a miner
/// does, proves the best leaf and verifies the proof. Plots are only read.
/// Ends within two minutes, with fewer windows if the disks are slow; Ctrl-C
/// prints what was measured so far.
#[derive(Debug, Args)]
pub struct Farm {
    /// Time from a challenge to the last moment that counts, up to 1h. Default: that of the plots' network, 8s at main.
    #[arg(long, value_parser = window, value_name = "TIME")]
    window: Option<Duration>,
    /// Windows to rehearse.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N", allow_negative_numbers = true)]
    windows: u32,
    /// Challenges searched for at once, 1 to 8. Default: those of a group in the plots' network, 8 at main.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=MAX_CHALLENGES as i64), value_name = "N", allow_negative_numbers = true)]
    challenges: Option<u8>,
    /// What scores: auto, cpu, cpu:portable, cpu:shani, cpu:avx2 or cpu:avx512.
    #[arg(long, env = "SPACETIME_BACKEND", default_value = "auto", value_parser = engines, value_name = "BACKEND")]
    backend: Engines,
    /// Threads that score. Default: one for each CPU.
    #[arg(long, env = "SPACETIME_THREADS", value_name = "N")]
    threads: Option<usize>,
    /// Prints flat JSON objects, a line each, and nothing else: one a disk, then one for all.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    chart: ChartFlag,
    /// Plots, or folders that hold some.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Reads a window, which is not zero.
fn window(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let allowed = Duration::from_nanos(1)..=Duration::from_secs(3600);
    if allowed.contains(&time) { Ok(time) } else { Err("a window is above zero and up to 1h".to_owned()) }
}

/// What one disk did.
#[derive(Serialize)]
struct DiskLine {
    event: &'static str,
    device: u64,
    path: String,
    plots: usize,
    plots_bytes: u64,
    windows: usize,
    windows_missed: usize,
    missed_share: f64,
    answer_median_ms: Option<f64>,
    answer_worst_ms: Option<f64>,
    /// Bytes of plots like these that it could answer for within a window.
    window_served_bytes: Option<f64>,
    cached: bool,
}

/// What all did together.
#[derive(Serialize)]
struct Line {
    event: &'static str,
    disks: usize,
    plots: usize,
    plots_bytes: u64,
    challenges: usize,
    window_ms: f64,
    windows: usize,
    windows_missed: usize,
    missed_share: f64,
    /// Until the proof was verified.
    answer_median_ms: Option<f64>,
    answer_worst_ms: Option<f64>,
    proof_median_ms: Option<f64>,
    /// What all disks could answer for within a window.
    disks_served_bytes: f64,
    /// What the CPU could score within a window.
    cpu_served_bytes: f64,
    /// The lesser of the two.
    window_served_bytes: f64,
    group_ms: u64,
    /// The same in the time of a group, which is there where the column is known before.
    group_served_bytes: f64,
    bound_by: Binds,
    /// Whether Ctrl-C ended it.
    interrupted: bool,
}

impl Farm {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.chart.check()?;
        let disks = TimedDisks::system();
        let plots = open_farm(&self.paths, FarmOptions { disks: Arc::clone(&disks) as _, ..FarmOptions::default() })?;
        let rules = rules_of(&plots);
        let cancel = Cancel::new();
        let at_interrupt = cancel.clone();
        let interrupt = Interrupt::install()?;
        interrupt.then(move || at_interrupt.cancel())?;
        let window = self.window.unwrap_or(rules.window);
        let options = Options {
            window,
            windows: self.windows,
            challenges: self.challenges.map_or(rules.beacon_interval, usize::from),
            budget: BUDGET.max(window),
            backend: self.backend.cpu.backend(),
            threads: self.threads.unwrap_or(SearchOptions::default().threads),
            cancel,
        };
        info!(windows = options.windows, window_ms = window.as_millis() as u64, "rehearsing");
        let waiting = super::waiting(self.json, "rehearsing windows");
        let rehearsal = rehearse(&plots, &disks, &options).map_err(Failure::usage)?;
        drop(waiting);
        let cpu = CpuLimits::measure(options.backend, options.challenges);
        let line = line(&rehearsal, &options, rules, &cpu);
        if self.json {
            rehearsal.disks.iter().try_for_each(|disk| out::json(&disk_line(disk, window)))?;
            out::json(&line)?;
        } else {
            rehearsal.disks.iter().try_for_each(|disk| print_disk(&disk_line(disk, window)))?;
            print(&line, &rehearsal, rules)?;
        }
        self.chart.write(|| chart(&rehearsal, &line))?;
        let failures = failed(&plots);
        if rehearsal.cancelled {
            let done = rehearsal.windows();
            return failures.end_with(Failure::interrupted(format!("stopped after {done} windows")));
        }
        failures.end()
    }
}

/// What the network of the first plot asks for; that of main where it is unknown.
fn rules_of(plots: &Plots) -> &'static Rules {
    let first = plots.plots().first().and_then(|plot| Network::rules_of(&plot.plot().header().network));
    first.unwrap_or(&MAIN)
}

/// Every plot that could not be used or failed, with its exit code.
fn failed(farm: &Plots) -> Failures {
    let mut failures = Failures::default();
    for refused in farm.refused() {
        match &*refused.why {
            // The plot is there, by another path.
            Refusal::SameFile { .. } | Refusal::SamePlot { .. } => warn!("not used: {}", refused.why),
            why => failures.push(refusal(why)),
        }
    }
    for plot in farm.plots() {
        if let Some(error) = plot.read_error() {
            failures.push(plot_failure(&error));
        }
        match plot.fault().as_deref() {
            Some(PlotFault::Plot(error)) => failures.push(plot_failure(error)),
            Some(fault @ PlotFault::Proof { .. }) => failures.push(Failure::damaged(fault)),
            None => {}
        }
    }
    failures
}

fn share(part: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

fn worst(times: &[f64]) -> Option<f64> {
    times.iter().copied().max_by(f64::total_cmp)
}

fn disk_line(disk: &DiskReport, window: Duration) -> DiskLine {
    let DiskReport { device, plots, plots_bytes, missed, cached, .. } = *disk;
    let windows = disk.answers_ms.len();
    let folder = disk.folders.first().map(|folder| folder.display().to_string()).unwrap_or_default();
    let folder = if folder.is_empty() { ".".to_owned() } else { folder };
    let more = disk.folders.len().saturating_sub(1);
    DiskLine {
        event: "disk",
        device,
        path: if more == 0 { folder } else { format!("{folder} and {more} more") },
        plots,
        plots_bytes,
        windows,
        windows_missed: missed,
        missed_share: share(missed, windows),
        answer_median_ms: median(&disk.answers_ms),
        answer_worst_ms: worst(&disk.answers_ms),
        window_served_bytes: disk.served().map(|served| served * window.as_secs_f64()),
        cached,
    }
}

fn line(rehearsal: &Rehearsal, options: &Options, rules: &Rules, cpu: &CpuLimits) -> Line {
    let disks = &rehearsal.disks;
    let rows: u64 = disks.iter().map(|disk| disk.rows).sum();
    let plots_bytes = disks.iter().map(|disk| disk.plots_bytes).sum();
    // A row has one cell in the column: 32 bytes scored stand for all of it.
    let a_scored_byte = plots_bytes as f64 / (rows * 32).max(1) as f64;
    let window = options.window.as_secs_f64();
    let disks_served = disks.iter().filter_map(DiskReport::served).sum::<f64>() * window;
    let cpu_served = cpu.score_bytes_per_second * a_scored_byte * window;
    let served = disks_served.min(cpu_served);
    Line {
        event: "farm",
        disks: disks.len(),
        plots: disks.iter().map(|disk| disk.plots).sum(),
        plots_bytes,
        challenges: options.challenges,
        window_ms: window * 1e3,
        windows: rehearsal.windows(),
        windows_missed: rehearsal.missed,
        missed_share: share(rehearsal.missed, rehearsal.windows()),
        answer_median_ms: median(&rehearsal.answers_ms),
        answer_worst_ms: worst(&rehearsal.answers_ms),
        proof_median_ms: median(&rehearsal.proofs_ms),
        disks_served_bytes: disks_served,
        cpu_served_bytes: cpu_served,
        window_served_bytes: served,
        group_ms: rules.group().as_millis() as u64,
        group_served_bytes: served / window * rules.group().as_secs_f64(),
        bound_by: Binds::of(disks_served, cpu_served),
        interrupted: rehearsal.cancelled,
    }
}

fn print_disk(disk: &DiskLine) -> Result<(), Failure> {
    let DiskLine { path, plots, windows, windows_missed, .. } = disk;
    let time = |time: Option<f64>| time.map_or("-".to_owned(), |time| format!("{time:.1} ms"));
    let noun = if *plots == 1 { "plot" } else { "plots" };
    out::line(format_args!(
        "{path}: {plots} {noun}, {}: reads its column in {} (worst {}), {windows_missed} of {windows} windows missed; could answer for {} a window",
        size(disk.plots_bytes as f64),
        time(disk.answer_median_ms),
        time(disk.answer_worst_ms),
        disk.window_served_bytes.map_or("-".to_owned(), |bytes| size(bytes).to_string()),
    ))
}

/// In plain words.
fn print(line: &Line, rehearsal: &Rehearsal, rules: &Rules) -> Result<(), Failure> {
    out::line("")?;
    let Line { windows, windows_missed, challenges, .. } = *line;
    let (Some(half), Some(worst), Some(proof)) = (line.answer_median_ms, line.answer_worst_ms, line.proof_median_ms)
    else {
        return out::line("No window came to its end: nothing can be said.");
    };
    out::line(format_args!(
        "{windows} windows of {} s, {challenges} challenges each: from challenge to verified proof {half:.1} ms (worst {worst:.1} ms; {proof:.1} ms of it the proof); {windows_missed} missed ({:.0}%).",
        line.window_ms / 1e3,
        line.missed_share * 100.0,
    ))?;
    out::line(format_args!(
        "Within a window this machine answers for {} of such plots: the disks read {}, the CPU scores {}: {}.",
        size(line.window_served_bytes),
        size(line.disks_served_bytes),
        size(line.cpu_served_bytes),
        line.bound_by.words(),
    ))?;
    out::line(format_args!(
        "With the column known before, for {} a group ({}).",
        size(line.group_served_bytes),
        at(rules.group(), Some(rules)),
    ))?;
    if line.plots_bytes < ENOUGH_BYTES << rules.log2_columns {
        let read = size(line.plots_bytes as f64 / f64::from(1u32 << rules.log2_columns));
        out::line(format_args!("A window reads about {read} here: too little to say much about larger farms."))?;
    }
    let cached: Vec<_> = rehearsal.disks.iter().filter(|disk| disk.cached).collect();
    out::line(match cached.len() {
        0 => "Not cached by this machine: every read was direct. What a disk or a host holds is not known.".to_owned(),
        some => format!("Cached: {some} of {} disks were read from this machine's memory.", line.disks),
    })
}

fn chart(rehearsal: &Rehearsal, line: &Line) -> Chart {
    let lines: Vec<_> =
        rehearsal.disks.iter().map(|disk| disk_line(disk, Duration::from_secs_f64(line.window_ms / 1e3))).collect();
    let group = |title: &str, unit: &str, bars| Group { title: title.to_owned(), unit: unit.to_owned(), bars };
    let mut times: Vec<_> = lines
        .iter()
        .flat_map(|disk| {
            let bar = |what: &str, time: Option<f64>| Bar::new(format!("{}, {what}", disk.path), time.unwrap_or(0.0));
            [bar("median", disk.answer_median_ms), bar("worst", disk.answer_worst_ms)]
        })
        .collect();
    times.push(Bar::new("all and the proof, median", line.answer_median_ms.unwrap_or(0.0)));
    times.push(Bar::new("the window", line.window_ms));
    let missed = lines.iter().map(|disk| Bar::new(&disk.path, disk.missed_share * 100.0)).collect();
    let tebibytes = |bytes: f64| bytes / (1u64 << 40) as f64;
    let mut served: Vec<_> =
        lines.iter().map(|disk| Bar::new(&disk.path, tebibytes(disk.window_served_bytes.unwrap_or(0.0)))).collect();
    served.push(Bar::new("all disks", tebibytes(line.disks_served_bytes)));
    served.push(Bar::new("the CPU", tebibytes(line.cpu_served_bytes)));
    Chart {
        title: format!("spacetime bench farm: {} windows, {} challenges each", line.windows, line.challenges),
        groups: vec![
            group("Time to answer", "ms", times),
            group("Windows missed", "% of windows", missed),
            group("Plots that could be answered for within a window", "TiB", served),
        ],
    }
}
