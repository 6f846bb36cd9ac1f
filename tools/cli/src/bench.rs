//! `spacetime bench`: what this machine does.
//!
//! * `chart` is the flag `--chart`, which every verb has.
//! * `limits` is what the CPU does for plots, beside which a disk is judged.

mod chart;
mod cpu;
mod disk;
mod farm;
#[cfg(feature = "gpu")]
mod gpu;
mod limits;

use std::time::Duration;

use clap::Subcommand;
use indicatif::ProgressBar;

use crate::interrupt::Interrupt;
use crate::{Code, Failure};

/// The verbs of `spacetime bench`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Measures every hash job on every backend of this CPU, beside the crate hashtree-rs.
    Cpu(cpu::Cpu),
    /// Measures what GPUs do, beside the limits that bind them.
    #[cfg(feature = "gpu")]
    Gpu(gpu::Gpu),
    /// Measures the disk under a folder as plots use it.
    Disk(disk::Disk),
    /// Rehearses challenge windows on plots.
    Farm(farm::Farm),
}

/// Does what a verb says.
///
/// # Errors
/// Whatever went wrong, with its exit code.
pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Cpu(cpu) => cpu.run(),
        #[cfg(feature = "gpu")]
        Verb::Gpu(gpu) => gpu.run(),
        Verb::Disk(disk) => disk.run(),
        Verb::Farm(farm) => farm.run(),
    }
}

/// From now on Ctrl-C or SIGTERM ends the program at once: for benches that write nothing until their end.
fn end_at_interrupt() -> Result<(), Failure> {
    Interrupt::install()?.then(|| {
        let _ = Failure::interrupted("stopped; what was printed so far stands").report();
        // Without destructors: what is measured goes on meanwhile on other threads.
        signal_hook::low_level::exit(Code::Interrupted as i32);
    })
}

/// Says on a terminal that work goes on; taken away when it is dropped.
fn waiting(json: bool, what: &'static str) -> ProgressBar {
    if json || !tracing::enabled!(tracing::Level::WARN) {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
