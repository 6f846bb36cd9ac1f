//! What a reader of a search does.

use std::convert::Infallible;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, select};

use crate::farm::disks::Disk;
use crate::farm::lane::Lane;
use crate::farm::lock;
use crate::farm::sweep::{Filled, Sweep, add};

/// The right to have one read in flight on a disk.
struct Permit<'a>(&'a Disk);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.give_back_permit();
    }
}

/// Reads blocks of a lane until its end, or the search's.
pub(super) fn read(sweep: &Sweep, lane: usize, to_score: &Sender<Filled>, stopping: &Receiver<Infallible>) {
    let Lane { disk, free, .. } = &sweep.lanes[lane];
    loop {
        let began = sweep.clock.now();
        let mut buffer = select! {
            recv(free.1) -> buffer => buffer.expect("the lane holds both ends"),
            recv(stopping) -> _ => return,
        };
        add(&sweep.idle.readers, sweep.since(began));
        // An earlier search may have left reads behind that hang.
        let permit = select! {
            recv(disk.permits()) -> permit => permit.map(|()| Permit(disk)).expect("the disk holds both ends"),
            recv(stopping) -> _ => return,
        };
        if sweep.is_over() {
            return;
        }
        let Some((job, block)) = sweep.next(lane) else { return };
        let began = sweep.clock.now();
        let plot = &sweep.jobs[job].plot;
        let result = sweep.disks.read(plot, &mut buffer.as_mut_slice()[..block.bytes], block.offset_bytes);
        let done = sweep.clock.now();
        let reading = done.saturating_duration_since(began);
        drop(permit);
        match result {
            Ok(()) => {
                sweep.lanes[lane].was_read(done);
                let mut tally = lock(&sweep.jobs[job].tally);
                tally.reading += reading;
                tally.bytes += block.bytes as u64;
                drop(tally);
                let buffer = Arc::new(buffer);
                if to_score.send(Filled { lane, job, block, buffer, trial: None }).is_err() {
                    return; // The search is over.
                }
            }
            Err(error) => {
                lock(&sweep.jobs[job].tally).reading += reading;
                sweep.jobs[job].fail(error);
                sweep.lanes[lane].give_back(buffer);
            }
        }
    }
}
