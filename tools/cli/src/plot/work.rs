//! What all long work on plots has in common: engine, threads, memory, and how
//! gently it goes.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use spacetime_kernels::Backend;
use spacetime_plotter::{Control, Cpu};

use crate::Failure;
use crate::args::{Engines, Rate, Size, engines, rate, size};
use crate::interrupt::Interrupt;

/// Flags of every verb that grows or moves cells.
#[derive(Clone, Debug, Args)]
pub(crate) struct Work {
    /// What grows and hashes: auto, cpu, cpu:portable, cpu:shani, cpu:avx2 or cpu:avx512.
    #[arg(long, env = "SPACETIME_BACKEND", default_value = "auto", value_parser = engines, value_name = "BACKEND")]
    backend: Engines,
    /// Threads that grow. Default: one for each CPU.
    #[arg(long, env = "SPACETIME_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024), value_name = "N")]
    threads: Option<u16>,
    /// Memory that may be used, such as 8GiB. Default: half of what is free.
    #[arg(long, env = "SPACETIME_MEMORY", value_parser = size, value_name = "SIZE")]
    memory: Option<Size>,
    /// Pauses while this file exists.
    #[arg(long, value_name = "FILE")]
    pause_file: Option<PathBuf>,
    /// Writes no faster than this, such as 200MB/s.
    #[arg(long, value_parser = rate, value_name = "RATE")]
    max_rate: Option<Rate>,
}

impl Work {
    /// The engine that grows.
    pub(crate) fn engine(&self) -> Cpu {
        Cpu(self.backend())
    }

    /// The backend that hashes.
    pub(crate) fn backend(&self) -> Backend {
        self.backend.cpu.backend()
    }

    /// Threads that grow.
    pub(crate) fn threads(&self) -> usize {
        self.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
    }

    /// Bytes of memory allowed, if the user said.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        self.memory.map(|size| size.bytes)
    }

    /// Holds the work back as the flags say, and stops it at Ctrl-C.
    pub(crate) fn control(&self) -> Result<Arc<Control>, Failure> {
        let rate = self.max_rate.map(|rate| rate.bytes_per_second);
        let control = Arc::new(Control::new(self.pause_file.clone(), rate));
        let at_interrupt = Arc::clone(&control);
        Interrupt::install()?.then(move || at_interrupt.stop())?;
        Ok(control)
    }
}
