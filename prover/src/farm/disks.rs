//! The disks under a farm, and how they are read.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, bounded};
use spacetime_kernels::MAX_CHALLENGES;

use crate::farm::lock;
use crate::farm::plot::FarmPlot;
use crate::platform;
use crate::plot::{Plot, PlotError};

/// Most calls without an answer beside the reads of searches: each holds a thread.
const MAX_CALLS: usize = 4;

/// How plots are read. Handed in, so that tests have disks that are slow, stuck or broken.
pub trait Disks: Debug + Send + Sync {
    /// A number that plots on one disk share: they are read in turn, those of others at the same time.
    fn disk_of(&self, plot: &FarmPlot) -> u64 {
        plot.device()
    }

    /// Fills `buffer` from `offset_bytes` of the plot's file. Both and the
    /// buffer's place in memory are multiples of 4096.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::UnexpectedEof`] if the file ends before `buffer` is full.
    fn read(&self, plot: &FarmPlot, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()>;

    /// Opens the complete plot at `path`, before a search and after what failed.
    ///
    /// # Errors
    /// As [`Plot::open`].
    fn open(&self, path: &Path) -> Result<Plot, PlotError> {
        Plot::open(path)
    }
}

/// The system's files, read past the page cache where the file system can do
/// so: a column is read once, and keeping it would push out what other programs
/// read again. Elsewhere the pages that a read brought in are given back.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisks;

impl Disks for SystemDisks {
    fn read(&self, plot: &FarmPlot, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        if let Some(file) = plot.direct_file()
            && platform::read_direct(file, buffer, offset_bytes)?
        {
            return Ok(());
        }
        plot.no_direct_reads();
        platform::read_passing_by(plot.plot().file(), buffer, offset_bytes)
    }
}

/// What the farm remembers of one disk.
#[derive(Debug)]
pub(crate) struct Disk {
    /// A message for each read that may yet begin. The bound holds over all
    /// searches: a disk that hangs keeps its reads, and no more pile up on it.
    permits: (Sender<()>, Receiver<()>),
    /// Cells a second when last searched for 0, 1, 2, … challenges.
    rates: Mutex<[Option<f64>; MAX_CHALLENGES + 1]>,
    told_of_no_direct_reads: AtomicBool,
    health: Mutex<Health>,
}

/// Whether a disk answers.
#[derive(Debug, Default)]
struct Health {
    /// A search gave it up. It is left alone until anything comes back from it.
    hangs: bool,
    /// Calls that are out, beside the reads of searches.
    calls: usize,
}

/// A call that is out.
#[derive(Debug)]
pub(crate) struct Call(Arc<Disk>);

impl Drop for Call {
    fn drop(&mut self) {
        let mut health = lock(&self.0.health);
        *health = Health { hangs: false, calls: health.calls - 1 };
    }
}

impl Disk {
    pub(crate) fn new(queue_depth: usize) -> Self {
        let permits = bounded(queue_depth);
        for _ in 0..queue_depth {
            permits.0.try_send(()).expect("the channel holds one for each");
        }
        let told_of_no_direct_reads = AtomicBool::new(false);
        Self { permits, rates: Mutex::default(), told_of_no_direct_reads, health: Mutex::default() }
    }

    /// Gives a message to whoever may read.
    pub(crate) fn permits(&self) -> &Receiver<()> {
        &self.permits.1
    }

    /// The read that a permit was taken for is over.
    pub(crate) fn give_back_permit(&self) {
        let mut health = lock(&self.health);
        self.permits.0.try_send(()).expect("one was taken");
        health.hangs = false;
    }

    /// A search waits no longer. A disk that has permits left is a disk on which some reads hang.
    pub(crate) fn give_up(&self) {
        let mut health = lock(&self.health);
        health.hangs = self.permits.1.is_empty();
    }

    /// Whether it was given up, and nothing has come back since.
    pub(crate) fn hangs(&self) -> bool {
        lock(&self.health).hangs
    }

    /// Begins a call; `None` if the disk hangs, or too many calls are out.
    pub(crate) fn call(self: &Arc<Self>) -> Option<Call> {
        let mut health = lock(&self.health);
        if health.hangs || health.calls == MAX_CALLS {
            return None;
        }
        health.calls += 1;
        Some(Call(Arc::clone(self)))
    }

    pub(crate) fn rate(&self, challenges: usize) -> Option<f64> {
        lock(&self.rates)[challenges]
    }

    pub(crate) fn set_rate(&self, challenges: usize, cells_per_second: f64) {
        lock(&self.rates)[challenges] = Some(cells_per_second);
    }

    /// True once.
    pub(crate) fn tell_of_no_direct_reads(&self) -> bool {
        !self.told_of_no_direct_reads.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_hangs_that_has_kept_all_its_reads_until_one_comes_back() {
        let disk = Arc::new(Disk::new(2));
        disk.permits().try_recv().expect("two reads may begin");
        disk.give_up();
        assert!(!disk.hangs() && disk.call().is_some(), "one read hangs, the other may go on");
        disk.permits().try_recv().expect("two reads may begin");
        assert!(!disk.hangs(), "it is waited for");
        let call = disk.call().expect("it is waited for");
        disk.give_up();
        assert!(disk.hangs() && disk.call().is_none());
        disk.give_back_permit();
        assert!(!disk.hangs());
        disk.permits().try_recv().expect("one read may begin");
        disk.give_up();
        assert!(disk.hangs());
        drop(call);
        assert!(!disk.hangs(), "what comes back need not be a read");
    }

    #[test]
    fn calls_do_not_pile_up() {
        let disk = Arc::new(Disk::new(1));
        let calls: Vec<_> = (0..MAX_CALLS).map(|_| disk.call().expect("there is room")).collect();
        assert!(disk.call().is_none());
        drop(calls);
        assert!(disk.call().is_some());
    }
}
