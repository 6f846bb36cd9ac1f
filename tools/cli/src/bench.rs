//! `spacetime bench`: what this machine does.
//!
//! * [`chart`] is the flag `--chart`, which every verb has.
//! * [`limits`] is what the CPU does for plots, beside which a disk is judged.

mod chart;
mod cpu;
mod disk;
mod farm;
mod limits;

use clap::Subcommand;

use crate::Failure;

/// The verbs of `spacetime bench`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Measures every hash job on every backend of this CPU, beside the crate hashtree-rs.
    Cpu(cpu::Cpu),
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
        Verb::Disk(disk) => disk.run(),
        Verb::Farm(farm) => farm.run(),
    }
}
