//! The time, handed in so that tests turn it by hand.

use std::fmt::Debug;
use std::time::Instant;

use crossbeam_channel::Receiver;

/// What a search asks for the time.
pub trait Clock: Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> Instant;

    /// A channel that gets a message, or is closed, once `at` has come.
    fn alarm(&self, at: Instant) -> Receiver<Instant>;
}

/// The system's monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn alarm(&self, at: Instant) -> Receiver<Instant> {
        crossbeam_channel::at(at)
    }
}
