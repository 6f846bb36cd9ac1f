//! Disks that remember when they were read last.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use spacetime_prover::farm::{Clock, Disks, FarmPlot, SystemClock, SystemDisks};

/// Reads as other disks do, and notes when the last read of each was done. A
/// search says how long it took; with several disks that is the slowest alone.
#[derive(Debug)]
pub struct TimedDisks {
    disks: Arc<dyn Disks>,
    clock: Arc<dyn Clock>,
    last_reads: Mutex<BTreeMap<u64, Instant>>,
}

impl TimedDisks {
    /// Those of the system, by its clock.
    #[must_use]
    pub fn system() -> Arc<Self> {
        Self::new(Arc::new(SystemDisks), Arc::new(SystemClock))
    }

    /// Around `disks`, by `clock`, which is to be the farm's too.
    #[must_use]
    pub fn new(disks: Arc<dyn Disks>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { disks, clock, last_reads: Mutex::default() })
    }

    /// The number of the disk that holds `plot`.
    pub(crate) fn number_of(&self, plot: &FarmPlot) -> u64 {
        self.disks.disk_of(plot)
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Forgets the reads so far, and tells the time.
    pub(crate) fn begin(&self) -> Instant {
        self.last_reads.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.now()
    }

    /// When the last read of each disk was done.
    pub(crate) fn last_reads(&self) -> BTreeMap<u64, Instant> {
        self.last_reads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Disks for TimedDisks {
    fn disk_of(&self, plot: &FarmPlot) -> u64 {
        self.number_of(plot)
    }

    fn read(&self, plot: &FarmPlot, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        self.disks.read(plot, buffer, offset_bytes)?;
        let (disk, now) = (self.number_of(plot), self.now());
        let mut last_reads = self.last_reads.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last_reads.entry(disk).or_insert(now);
        *last = now.max(*last);
        Ok(())
    }
}
