//! Those who take rows from the queue and fill batches with them: the CPU's
//! threads together, and each card.

mod card;
mod cpu;

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use rayon::ThreadPool;
use spacetime_kernels::{Backend, BulkError};

pub(crate) use self::card::card;
pub(crate) use self::cpu::{cpu, cpu_lot};
use crate::batch::Batch;
use crate::build::Events;
use crate::control::{Control, Stopped};
use crate::queue::Queue;
use crate::roots::ColumnNodes;
use crate::trailer::Plan;

/// Why a producer ended before the plot did.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It was asked to.
    Stopped,
    /// Its hardware failed.
    Lost(BulkError),
}

impl From<Stopped> for Halt {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}

/// A batch on its way to the disk.
pub(crate) struct Grown {
    pub(crate) batch: Batch,
    pub(crate) roots: ColumnNodes,
    /// Roots of the segments that lie in it whole.
    pub(crate) segment_roots: Vec<ColumnNodes>,
    /// How long growing it took.
    pub(crate) time: Duration,
    /// Who grew it.
    pub(crate) by: By,
}

/// Who grew a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The CPU.
    Cpu,
    /// The card of that place in [`crate::CreateOptions::growers`].
    Card(usize),
}

/// What all producers share.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) segment_level: u32,
    pub(crate) hasher: Backend,
    pub(crate) pool: &'a ThreadPool,
    pub(crate) control: &'a Control,
    pub(crate) events: Events<'a>,
    /// What is being grown is not wanted any more.
    pub(crate) abort: &'a AtomicBool,
    pub(crate) queue: &'a Queue,
    /// Batches to be filled: one for each producer and one more, so that one
    /// is written or ready while each fills its own.
    pub(crate) empty: &'a Mutex<Receiver<Batch>>,
}

impl Shared<'_> {
    /// A batch to be filled; none if the writer failed, which says why itself.
    fn batch(&self) -> Option<Batch> {
        let batch = self.empty.lock().expect("waiting for a batch does not panic").recv().ok();
        if batch.is_none() {
            self.queue.close();
        }
        batch
    }

    /// Hands a batch to the writer; false if that failed.
    #[must_use]
    fn hand_over(&self, batch: Batch, by: By, time: Duration, to_write: &SyncSender<Grown>) -> bool {
        let mut segment_roots = Vec::new();
        let roots = self
            .pool
            .install(|| batch.roots(self.hasher, self.segment_level, |roots| segment_roots.push(roots.to_vec())));
        let taken = to_write.send(Grown { batch, roots, segment_roots, time, by }).is_ok();
        if !taken {
            self.queue.close();
        }
        taken
    }
}
