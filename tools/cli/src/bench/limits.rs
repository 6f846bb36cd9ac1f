//! What the CPU does for plots, in the units that disks are measured in.

use indicatif::{BinaryBytes, HumanDuration};
use spacetime_benches::cpu::{self, Options};
use spacetime_benches::workload::Job;
use spacetime_kernels::{Backend, Shape};
use std::time::Duration;

use crate::network::{MAIN, Rules};

/// What all cores together do, with the fastest backend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuLimits {
    /// Bytes of a main plot grown, and hashed into its tree, in a second.
    pub(crate) grow_bytes_per_second: f64,
    /// Bytes of strips scored in a second, for each of the challenges.
    pub(crate) score_bytes_per_second: f64,
}

impl CpuLimits {
    /// Measures them, in less than a second.
    pub(crate) fn measure(backend: Backend, challenges: usize) -> Self {
        let options = Options { backends: vec![backend], budget: Duration::from_secs(2), ..Options::default() };
        let scores = cpu::on_threads(&options, backend, Job::Score, challenges).rate;
        let [grown, pairs] = [Job::Grow, Job::Pairs].map(|job| cpu::on_threads(&options, backend, job, 1).rate);
        Self {
            grow_bytes_per_second: plot_rate(grown, pairs, options.shape),
            score_bytes_per_second: scores / challenges as f64 * 32.0,
        }
    }
}

/// Bytes of plot that so many compressions grow.
pub(crate) fn plot_bytes(compressions: f64, shape: Shape) -> f64 {
    compressions / shape.compressions_per_row() as f64 * shape.row_bytes() as f64
}

/// Bytes of plot a second where so many compressions grow cells and so many pairs hash them into the tree:
/// whoever grows does both, one after the other, and a cell is in one pair (PROTOCOL §5).
pub(crate) fn plot_rate(grown_per_second: f64, pairs_per_second: f64, shape: Shape) -> f64 {
    let seconds_per_byte = 1.0 / plot_bytes(grown_per_second, shape) + 1.0 / (32.0 * pairs_per_second);
    1.0 / seconds_per_byte
}

/// What is the slower of the two, and so binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Binds {
    /// The disk, or all disks together.
    Disk,
    /// The CPU.
    Cpu,
}

impl Binds {
    /// By what each could do alone.
    pub(crate) fn of(disk: f64, cpu: f64) -> Self {
        if disk < cpu { Self::Disk } else { Self::Cpu }
    }

    /// For a sentence.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Disk => "the disk binds",
            Self::Cpu => "the CPU binds",
        }
    }
}

/// Bytes of main plots whose columns are read in `time` at so many bytes of strips a second.
pub(crate) fn served_bytes(strip_bytes_per_second: f64, time: Duration) -> f64 {
    strip_bytes_per_second * time.as_secs_f64() * (1u64 << MAIN.log2_columns) as f64
}

/// `1.50 TiB`.
pub(crate) fn size(bytes: f64) -> BinaryBytes {
    BinaryBytes(bytes as u64)
}

/// `3 hours`.
pub(crate) fn time(seconds: f64) -> HumanDuration {
    // More than ten thousand years is forever.
    HumanDuration(Duration::from_secs_f64(seconds.clamp(0.0, 3e11)))
}

/// `80 s at main`.
pub(crate) fn at(time: Duration, rules: Option<&Rules>) -> String {
    let name = rules.map_or(String::new(), |rules| format!(" at {}", rules.name));
    format!("{} s{name}", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_takes_its_time_too() {
        // Sixteen columns and one round: 31 compressions and 512 bytes a row. A row a second, and
        // sixteen pairs in another.
        let shape = Shape::new(4, 1).expect("within bounds");
        assert_eq!(plot_bytes(31.0, shape), 512.0);
        assert_eq!(plot_rate(31.0, 16.0, shape), 256.0);
    }
}
