//! Calling a search off from another thread.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

/// Calls off every search it was given to. Clones are one and the same.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// Nothing is ever sent: that it is gone is the message.
    open: Arc<Mutex<Option<Sender<Infallible>>>>,
    closed: Receiver<Infallible>,
}

impl Default for Cancel {
    fn default() -> Self {
        let (open, closed) = bounded(0);
        Self { open: Arc::new(Mutex::new(Some(open))), closed }
    }
}

impl Cancel {
    /// A token that nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls off the searches that run with it, and those still to come.
    pub fn cancel(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether it was used.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.closed.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Closed once the token is used.
    pub(crate) fn closed(&self) -> &Receiver<Infallible> {
        &self.closed
    }
}
