//! The disks under a farm, and how they are read.

use std::fmt::Debug;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use spacetime_kernels::MAX_CHALLENGES;

use crate::farm::lock;
use crate::farm::plot::FarmPlot;
use crate::platform;

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
}

impl Disk {
    pub(crate) fn new(queue_depth: usize) -> Self {
        let permits = bounded(queue_depth);
        for _ in 0..queue_depth {
            permits.0.try_send(()).expect("the channel holds one for each");
        }
        Self { permits, rates: Mutex::default(), told_of_no_direct_reads: AtomicBool::new(false) }
    }

    /// Gives a message to whoever may read.
    pub(crate) fn permits(&self) -> &Receiver<()> {
        &self.permits.1
    }

    /// The read that a permit was taken for is over.
    pub(crate) fn give_back_permit(&self) {
        self.permits.0.try_send(()).expect("one was taken");
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
