//! The CPU that grows rows. Cards stand behind [`spacetime_kernels::BulkGrower`].

use spacetime_kernels::{Backend, Cell, Grower, PlotKey, RowIndex, Shape};

/// Grows rows of one shape, on as many threads as have a [`Worker`].
pub trait Engine: Send + Sync {
    /// What it is, for people: `cpu:avx512`.
    fn name(&self) -> String;

    /// A worker for one thread.
    fn worker(&self, shape: Shape) -> Box<dyn Worker>;

    /// Bytes of memory that one worker holds.
    fn worker_bytes(&self, shape: Shape) -> u64;

    /// The CPU backend whose rows are compared with this engine's: never its own if there is another.
    fn checked_by(&self) -> Backend;

    /// The CPU backend that hashes Merkle nodes beside it.
    fn hasher(&self) -> Backend;
}

/// One thread's share of an [`Engine`].
pub trait Worker: Send {
    /// Grows `rows` of the plot `key` into `block`, as [`Grower::grow`] does.
    fn grow(&mut self, key: &PlotKey, rows: &[RowIndex], block: &mut [Cell]);
}

/// The CPU with one of its backends.
#[derive(Clone, Copy, Debug)]
pub struct Cpu(pub Backend);

impl Engine for Cpu {
    fn name(&self) -> String {
        format!("cpu:{}", self.0.name())
    }

    fn worker(&self, shape: Shape) -> Box<dyn Worker> {
        Box::new(Grower::new(self.0, shape))
    }

    fn worker_bytes(&self, shape: Shape) -> u64 {
        Grower::memory_bytes(self.0, shape)
    }

    fn checked_by(&self) -> Backend {
        // Fastest first, so this is the fastest of the others.
        Backend::available().iter().copied().find(|other| *other != self.0).unwrap_or(self.0)
    }

    fn hasher(&self) -> Backend {
        self.0
    }
}

impl Worker for Grower {
    fn grow(&mut self, key: &PlotKey, rows: &[RowIndex], block: &mut [Cell]) {
        Grower::grow(self, key, rows, block);
    }
}
