//! What is asked of disks beside the reads of searches: threads of their own ask, and one that hangs is left behind.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, select};
use thiserror::Error;

use crate::farm::cancel::Cancel;
use crate::farm::disks::Disk;
use crate::farm::plot::FarmPlot;
use crate::farm::report::Missed;
use crate::farm::{Farm, lock};
use crate::plot::PlotError;

/// A disk does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the disk hangs: no read finished within {} s", .limit.as_secs_f64())]
pub struct Hangs {
    /// How long nothing came back from it.
    pub limit: Duration,
}

impl From<Hangs> for io::Error {
    fn from(hangs: Hangs) -> Self {
        Self::new(io::ErrorKind::TimedOut, hangs)
    }
}

/// A plot with what opening it anew gave.
type Opened = (Arc<FarmPlot>, Result<FarmPlot, PlotError>);

/// Plots of one disk that are being opened anew.
struct Opening {
    plots: Vec<Arc<FarmPlot>>,
    opened: Option<Receiver<Opened>>,
}

impl Farm {
    /// Has a thread of its own do what reads of `plot`, and waits for it no longer than [`FarmOptions::stall_limit`]:
    /// what hangs is left behind.
    ///
    /// # Errors
    /// If the disk hangs, or the system starts no more threads.
    ///
    /// [`FarmOptions::stall_limit`]: crate::FarmOptions::stall_limit
    pub fn call<T: Send + 'static>(
        &self,
        plot: &Arc<FarmPlot>,
        work: impl FnOnce(&FarmPlot) -> T + Send + 'static,
    ) -> io::Result<T> {
        let call = plot.disk().call().ok_or_else(|| self.hangs())?;
        let (to, answer) = bounded(1);
        let plot = Arc::clone(plot);
        Builder::new().name("farm-call".to_owned()).spawn(move || {
            let done = work(&plot);
            drop(call);
            // Nobody may listen any more.
            let _ = to.send(done);
        })?;
        let alarm = self.clock().alarm(self.clock().now() + self.stall_limit());
        select! {
            recv(answer) -> done => done.map_err(|_| io::Error::other("the thread has panicked")),
            recv(alarm) -> _ => Err(self.hangs().into()),
        }
    }

    /// Every plot, those that failed to read opened anew; with it why it cannot be searched. A search that is over
    /// waits for none.
    pub(crate) fn plots_to_search(
        &self,
        deadline: Option<Instant>,
        cancel: &Cancel,
    ) -> Vec<(Arc<FarmPlot>, Option<Missed>)> {
        let mut failed: BTreeMap<*const Disk, Vec<Arc<FarmPlot>>> = BTreeMap::new();
        for plot in self.plots().into_iter().filter(|plot| plot.read_error().is_some() && !plot.disk().hangs()) {
            failed.entry(Arc::as_ptr(plot.disk())).or_default().push(plot);
        }
        // Disks side by side.
        let openings: Vec<_> = failed.into_values().map(|plots| self.begin_opening(plots)).collect();
        let mut missed: BTreeMap<PathBuf, Missed> = BTreeMap::new();
        for opening in openings {
            self.end_opening(opening, deadline, cancel, &mut missed);
        }
        let searchable = |plot: Arc<FarmPlot>| {
            let hangs = || plot.disk().hangs().then(|| Missed::Read(Arc::new(plot.error_reading(self.hangs().into()))));
            let missed = missed.remove(plot.path()).or_else(hangs);
            (plot, missed)
        };
        self.plots().into_iter().map(searchable).collect()
    }

    fn begin_opening(&self, plots: Vec<Arc<FarmPlot>>) -> Opening {
        let (disks, (to, opened)) = (Arc::clone(self.disks()), bounded(plots.len()));
        let begin = |call| {
            let plots = plots.clone();
            let open = move || {
                let _call = call;
                for plot in plots {
                    let opened = disks.open(plot.path()).and_then(FarmPlot::new);
                    if to.send((plot, opened)).is_err() {
                        return;
                    }
                }
            };
            Builder::new().name("farm-open".to_owned()).spawn(open).ok()
        };
        let begun = plots.first().and_then(|plot| plot.disk().call()).and_then(begin);
        Opening { plots, opened: begun.map(|_| opened) }
    }

    fn end_opening(
        &self,
        opening: Opening,
        deadline: Option<Instant>,
        cancel: &Cancel,
        missed: &mut BTreeMap<PathBuf, Missed>,
    ) {
        let mut left = opening.plots;
        while let Some(opened) = opening.opened.as_ref().filter(|_| !left.is_empty()) {
            let limit = self.clock().now() + self.stall_limit();
            let alarm = self.clock().alarm(deadline.map_or(limit, |deadline| deadline.min(limit)));
            let next = select! {
                recv(opened) -> next => next.ok(),
                recv(alarm) -> _ => None,
                recv(cancel.closed()) -> _ => None,
            };
            let Some((old, opened)) = next else { break };
            left.retain(|plot| !Arc::ptr_eq(plot, &old));
            if let Some(why) = self.replace(&old, opened) {
                missed.insert(old.path().to_owned(), why);
            }
        }
        for plot in left {
            let error = Arc::new(plot.error_reading(self.hangs().into()));
            plot.keep_read_error(Arc::clone(&error));
            missed.insert(plot.path().to_owned(), Missed::Read(error));
        }
    }

    /// Puts a plot that was opened anew in the old one's place, or says why it cannot be searched.
    fn replace(&self, old: &Arc<FarmPlot>, opened: Result<FarmPlot, PlotError>) -> Option<Missed> {
        let new = match opened {
            Ok(new) if new.plot_id() == old.plot_id() => Arc::new(new),
            Ok(_) => return Some(Missed::Replaced),
            Err(error) => {
                let error = Arc::new(error);
                old.keep_read_error(Arc::clone(&error));
                return Some(Missed::Read(error));
            }
        };
        let mut held = lock(&self.held);
        self.place(&mut held.known_disks, &new);
        if let Some(plot) = held.plots.iter_mut().find(|plot| Arc::ptr_eq(plot, old)) {
            *plot = new;
        }
        None
    }

    pub(crate) fn hangs(&self) -> Hangs {
        Hangs { limit: self.stall_limit() }
    }
}
