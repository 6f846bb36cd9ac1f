//! `spacetime bench farm`.

mod lines;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use spacetime_benches::farm::{Options, TimedDisks, rehearse};
use spacetime_kernels::MAX_CHALLENGES;
use spacetime_prover::farm::{Cancel, MAX_THREADS, PlotFault, Refusal};
use spacetime_prover::{Farm as Plots, FarmOptions, SearchOptions};
use tracing::{info, warn};

use super::chart::ChartFlag;
use super::limits::CpuLimits;
use crate::args::{Engines, duration, engines};
use crate::interrupt::Interrupt;
use crate::network::{MAIN, Network, Rules};
use crate::plot::plot_failure;
use crate::prove::{open_farm, refusal};
use crate::{Failure, Failures, out};

/// Time for all windows, so that a run ends within two minutes.
const BUDGET: Duration = Duration::from_secs(100);

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
    #[arg(long, env = "SPACETIME_THREADS", value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS as i64), value_name = "N", allow_negative_numbers = true)]
    threads: Option<u16>,
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

impl Farm {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.chart.check()?;
        self.backend.note_cpu_alone();
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
            backend: self.backend.cpu(),
            threads: self.threads.map_or(SearchOptions::default().threads, usize::from),
            cancel,
        };
        info!(windows = options.windows, window_ms = window.as_millis() as u64, "rehearsing");
        let waiting = super::waiting(self.json, "rehearsing windows");
        let rehearsal = rehearse(&plots, &disks, &options).map_err(Failure::usage)?;
        drop(waiting);
        let cpu = CpuLimits::measure(options.backend, options.challenges);
        let line = lines::line(&rehearsal, &options, rules, &cpu);
        if self.json {
            rehearsal.disks.iter().try_for_each(|disk| out::json(&lines::disk_line(disk, window)))?;
            out::json(&line)?;
        } else {
            rehearsal.disks.iter().try_for_each(|disk| lines::print_disk(&lines::disk_line(disk, window)))?;
            lines::print(&line, &rehearsal, rules)?;
        }
        self.chart.write(|| lines::chart(&rehearsal, &line))?;
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
