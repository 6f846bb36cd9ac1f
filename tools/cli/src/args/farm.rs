//! What reads and scores a farm.

use clap::Args;
use spacetime_prover::FarmOptions;
use spacetime_prover::farm::MAX_THREADS;

use super::{Engines, Size, engines, size};
use crate::{Failure, gpu};

/// How plots are searched.
#[derive(Clone, Debug, Args)]
pub struct FarmFlags {
    /// Reads in flight on each disk.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) queue_depth: Option<usize>,
    /// Bytes of a read, a multiple of 4096.
    #[arg(long, value_parser = size, value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) block_size: Option<Size>,
    /// What scores: auto, cpu, cpu:portable, cpu:shani, cpu:avx2 or cpu:avx512. GPUs, as gpu or gpu:0,2,
    /// score beside the CPU where they are measured to be faster; auto leaves them alone.
    #[arg(long, env = "SPACETIME_BACKEND", default_value = "auto", value_parser = engines, value_name = "BACKEND")]
    pub(crate) backend: Engines,
    /// Threads that score. Default: one for each CPU.
    #[arg(long, env = "SPACETIME_THREADS", value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS as i64), value_name = "N", allow_negative_numbers = true)]
    pub(crate) threads: Option<u16>,
}

impl FarmFlags {
    /// What a farm is opened with.
    ///
    /// # Errors
    /// If there is no such GPU.
    pub(crate) fn options(&self) -> Result<FarmOptions, Failure> {
        let defaults = FarmOptions::default();
        Ok(FarmOptions {
            queue_depth: self.queue_depth.unwrap_or(defaults.queue_depth),
            block_bytes: self.block_size.map_or(defaults.block_bytes, |size| size.bytes as usize),
            scorers: gpu::scorers(&self.backend)?,
            ..defaults
        })
    }
}
