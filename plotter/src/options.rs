//! With what, and how gently, a plot is made.

use std::sync::{Mutex, MutexGuard};

use spacetime_kernels::{BulkGrower, Shape};

use crate::build::Events;
use crate::control::Control;
use crate::engine::Engine;
use crate::error::BuildError;

/// A card, or other hardware beside the CPU. It belongs to one plot at a time.
pub type SharedGrower = Mutex<Box<dyn BulkGrower>>;

/// With what, and how gently, a plot is made.
#[derive(Clone, Copy)]
pub struct CreateOptions<'a> {
    /// The CPU, which grows rows, or only hashes and checks.
    pub engine: &'a dyn Engine,
    /// Threads of the CPU that grow and hash; one more writes.
    pub threads: usize,
    /// Cards that grow rows of the plot's shape, each by a thread of its own.
    /// One that was lost says so at once when the next plot is begun.
    pub growers: &'a [SharedGrower],
    /// Whether the CPU grows rows beside the cards; without any it does in any case.
    pub cpu_grows: bool,
    /// Bytes of memory allowed; none for half of what is free.
    pub memory: Option<u64>,
    /// Overwrite a plot of the same name.
    pub force: bool,
    /// Reserve the whole file before anything is grown.
    pub preallocate: bool,
    /// Stops and holds back.
    pub control: &'a Control,
    /// Hears how far it is.
    pub events: Events<'a>,
}

impl CreateOptions<'_> {
    /// Whether the CPU grows rows.
    pub(crate) fn cpu_takes_part(&self) -> bool {
        self.cpu_grows || self.growers.is_empty()
    }

    /// How many grow rows beside each other; all threads of the CPU are one.
    pub(crate) fn producers(&self) -> usize {
        self.growers.len() + usize::from(self.cpu_takes_part())
    }

    /// Batches in memory: each producer fills one while another is written.
    pub(crate) fn batches(&self) -> usize {
        self.producers() + 1
    }

    /// The cards, for this plot alone: always all and in their order, so that
    /// plots made side by side do not each hold what the other waits for.
    ///
    /// # Errors
    /// If one of them grows rows of another shape.
    pub(crate) fn cards_for(&self, shape: Shape) -> Result<Vec<MutexGuard<'_, Box<dyn BulkGrower>>>, BuildError> {
        let cards: Vec<_> = self.growers.iter().map(locked).collect();
        match cards.iter().find(|card| card.shape() != shape) {
            Some(other) => Err(BuildError::OtherShape(other.name())),
            None => Ok(cards),
        }
    }
}

/// A card, once no other plot is grown by it.
pub(crate) fn locked(grower: &SharedGrower) -> MutexGuard<'_, Box<dyn BulkGrower>> {
    grower.lock().expect("no plot is begun after a panic")
}
