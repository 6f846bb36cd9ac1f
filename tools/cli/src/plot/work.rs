//! What all long work on plots has in common: engine, threads, memory, and how
//! gently it goes.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use spacetime_kernels::{Backend, Shape};
use spacetime_plotter::{Control, Cpu, Engine, SharedGrower};

use crate::Failure;
use crate::args::{Engines, Rate, Size, engines, rate, size};
use crate::gpu::{self, Growers};
use crate::interrupt::Interrupt;

/// Flags of every verb that grows or moves cells.
#[derive(Clone, Debug, Args)]
pub(crate) struct Work {
    /// What grows and hashes: auto, cpu, cpu:portable, cpu:shani, cpu:avx2 or cpu:avx512; gpu or gpu:0,2;
    /// several joined by +, as gpu:0,2+cpu. Auto takes the CPU, and every GPU that is no software.
    #[arg(long, env = "SPACETIME_BACKEND", default_value = "auto", value_parser = engines, value_name = "BACKEND")]
    backend: Engines,
    /// Threads that grow. Default: one for each CPU.
    #[arg(long, env = "SPACETIME_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024), value_name = "N", allow_negative_numbers = true)]
    threads: Option<u16>,
    /// Memory that may be used, such as 8GiB. Default: half of what is free.
    #[arg(long, env = "SPACETIME_MEMORY", value_parser = size, value_name = "SIZE", allow_negative_numbers = true)]
    memory: Option<Size>,
    /// Pauses while this file exists.
    #[arg(long, value_name = "FILE")]
    pause_file: Option<PathBuf>,
    /// Writes no faster than this, such as 200MB/s.
    #[arg(long, value_parser = rate, value_name = "RATE", allow_negative_numbers = true)]
    max_rate: Option<Rate>,
}

/// Flags of the verbs that GPUs grow rows for.
#[derive(Clone, Debug, Args)]
pub(crate) struct Gpus {
    /// Memory of each GPU that rows in flight may fill, such as 16GiB; buffers beside them take some 200 MiB.
    /// Default: most of it.
    #[arg(long, env = "SPACETIME_GPU_MEMORY", value_parser = size, value_name = "SIZE", allow_negative_numbers = true)]
    gpu_memory: Option<Size>,
    /// Queues opened on each GPU: a second one may hide what the first waits for. `bench gpu` measures both.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4), default_value = "1", value_name = "N", allow_negative_numbers = true)]
    gpu_queues: u8,
}

impl Gpus {
    /// The GPUs that `work` names, to grow `rows` rows of `shape`, for each of `sets` plots side by side.
    pub(crate) fn growers(&self, work: &Work, shape: Shape, rows: u64, sets: u64) -> Result<Vec<Growers>, Failure> {
        let memory_bytes = self.gpu_memory.map(|size| size.bytes);
        gpu::growers(&work.backend, shape, rows, gpu::Use { memory_bytes, queues: u64::from(self.gpu_queues), sets })
    }
}

impl Work {
    /// Whether the CPU grows rows, too.
    pub(crate) fn cpu_grows(&self) -> bool {
        self.backend.cpu_grows()
    }

    /// Who grows rows, for people: `cpu:avx512 on 16 threads and gpu:0 (NVIDIA H200)`.
    pub(crate) fn who_grows(&self, growers: &[SharedGrower]) -> String {
        let cpu = format!("{} on {} threads", self.engine().name(), self.threads());
        // A card has a grower for each of its queues.
        let mut cards: Vec<(String, usize)> = Vec::new();
        for grower in growers {
            let name = grower.lock().expect("nothing grows yet").name();
            match cards.iter_mut().find(|(known, _)| *known == name) {
                Some((_, queues)) => *queues += 1,
                None => cards.push((name, 1)),
            }
        }
        let named = |(name, queues)| if queues == 1 { name } else { format!("{name} on {queues} queues") };
        let mut names: Vec<String> = cards.into_iter().map(named).collect();
        if self.cpu_grows() || names.is_empty() {
            names.insert(0, cpu);
        }
        names.join(" and ")
    }

    /// Says so if GPUs are named for work that the CPU does alone.
    pub(crate) fn note_cpu_alone(&self) {
        self.backend.note_cpu_alone();
    }

    /// The engine of the CPU.
    pub(crate) fn engine(&self) -> Cpu {
        Cpu(self.backend())
    }

    /// The backend that hashes.
    pub(crate) fn backend(&self) -> Backend {
        self.backend.cpu()
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
