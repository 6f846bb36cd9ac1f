//! What a reader of a search does.

use std::convert::Infallible;
use std::sync::Arc;

use crossbeam_channel::{Receiver, select};

use crate::farm::disks::Disk;
use crate::farm::lane::Lane;
use crate::farm::lock;
use crate::farm::sweep::crew::Outlet;
use crate::farm::sweep::{Filled, Sweep, add};

/// The right to have one read in flight on a disk.
struct Permit<'a>(&'a Disk);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.give_back_permit();
    }
}

/// A reader that waits for its disk.
struct Waits<'a> {
    sweep: &'a Sweep,
    lane: &'a Lane,
    /// What it reads, once it does.
    job: Option<usize>,
}

impl<'a> Waits<'a> {
    fn begin(sweep: &'a Sweep, lane: &'a Lane) -> Self {
        lane.begin_waiting(sweep.clock.now());
        Self { sweep, lane, job: None }
    }

    fn read(&mut self, job: usize) {
        self.lane.begin_read(job);
        self.job = Some(job);
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.lane.end_waiting(self.job, self.sweep.clock.now());
    }
}

/// Reads blocks of a lane until its end, or the search's.
pub(super) fn read(sweep: &Sweep, lane: usize, outlet: &Outlet, stopping: &Receiver<Infallible>) {
    let Lane { disk, free, .. } = &sweep.lanes[lane];
    loop {
        let began = sweep.clock.now();
        let mut buffer = select! {
            recv(free.1) -> buffer => buffer.expect("the lane holds both ends"),
            recv(stopping) -> _ => return,
        };
        add(&sweep.idle.readers, sweep.since(began));
        // An earlier search may have left reads behind that hang.
        let mut waits = Waits::begin(sweep, &sweep.lanes[lane]);
        let permit = select! {
            recv(disk.permits()) -> permit => permit.map(|()| Permit(disk)).expect("the disk holds both ends"),
            recv(stopping) -> _ => return,
        };
        if sweep.is_over() {
            return;
        }
        let Some((job, block)) = sweep.next(lane) else { return };
        waits.read(job);
        let began = sweep.clock.now();
        let plot = &sweep.jobs[job].plot;
        let result = sweep.disks.read(plot, &mut buffer.as_mut_slice()[..block.bytes], block.offset_bytes);
        let done = sweep.clock.now();
        let reading = done.saturating_duration_since(began);
        drop(permit);
        if sweep.lanes[lane].is_given_up() {
            return; // Its plots have failed already.
        }
        match result {
            Ok(()) => {
                sweep.lanes[lane].was_read(done);
                let mut tally = lock(&sweep.jobs[job].tally);
                tally.reading += reading;
                tally.bytes += block.bytes as u64;
                drop(tally);
                let filled = Filled { lane, job, block, buffer: Arc::new(buffer), trial: None };
                // There is room for every buffer there is.
                let sent = lock(outlet).as_ref().is_some_and(|(to_score, _)| to_score.send(filled).is_ok());
                if !sent {
                    return; // The search is over, or the disk was given up.
                }
                drop(waits);
            }
            Err(error) => {
                lock(&sweep.jobs[job].tally).reading += reading;
                sweep.jobs[job].fail(error);
                sweep.lanes[lane].give_back(buffer);
            }
        }
    }
}
