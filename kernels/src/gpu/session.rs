//! One call of growing: what waits on the card's queue, and in which order.

use std::collections::VecDeque;
use std::time::Instant;

use crate::bulk::{BulkError, BulkWork, Lot, Proceed, Run};
use crate::gpu::device::Device;
use crate::gpu::flight::Flight;
use crate::gpu::handover::{Handover, Pending};
use crate::gpu::pace::Pace;
use crate::gpu::pipeline::Pipeline;
use crate::plot::{PlotKey, RowIndex};

/// A lot that is being handed over: where in it the next part begins.
#[derive(Debug)]
struct Handing {
    flight: usize,
    runs: Vec<Run>,
    run: usize,
    first_row: usize,
    column: usize,
}

/// What lies on the card's queue, which is worked off in order.
#[derive(Debug)]
enum Queued {
    Dispatch {
        submission: wgpu::SubmissionIndex,
        steps: u32,
        began: Instant,
    },
    /// The last part of a lot says which flight it frees.
    Part {
        pending: Pending,
        freed: Option<usize>,
    },
}

impl Queued {
    fn submission(&self) -> &wgpu::SubmissionIndex {
        match self {
            Self::Dispatch { submission, .. } => submission,
            Self::Part { pending, .. } => &pending.submission,
        }
    }
}

/// One call of [`BulkGrower::grow`].
pub(crate) struct Session<'a> {
    device: &'a Device,
    grow: &'a Pipeline,
    handover: &'a mut Handover,
    flights: &'a mut [(Flight, wgpu::BindGroup)],
    pace: &'a mut Pace,
    free: Vec<usize>,
    growing: Option<(usize, Vec<Run>)>,
    handing: VecDeque<Handing>,
    queue: VecDeque<Queued>,
    /// The front of the queue was seen to end, just now.
    is_watched: bool,
    /// When what lay before the front ended, if that was seen.
    last_done: Option<Instant>,
    /// Since when the front of the queue is waited for.
    waits_since: Option<Instant>,
    is_exhausted: bool,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        device: &'a Device,
        grow: &'a Pipeline,
        handover: &'a mut Handover,
        flights: &'a mut [(Flight, wgpu::BindGroup)],
        pace: &'a mut Pace,
    ) -> Self {
        let free = (0..flights.len()).rev().collect();
        Self {
            device,
            grow,
            handover,
            flights,
            pace,
            free,
            growing: None,
            handing: VecDeque::new(),
            queue: VecDeque::new(),
            is_watched: false,
            last_done: None,
            waits_since: None,
            is_exhausted: false,
        }
    }

    pub(crate) fn run(mut self, work: &mut dyn BulkWork) -> Result<(), BulkError> {
        let result = self.work(work);
        // What nobody wants any more is waited for, so that the next call finds a card at rest.
        let drained = self.drain();
        result.and(drained)
    }

    fn work(&mut self, work: &mut dyn BulkWork) -> Result<(), BulkError> {
        self.device.check()?;
        while work.proceed() == Proceed::GoOn {
            let waiting = self.queue.len();
            if self.deliver(work)? == Proceed::Stop {
                return Ok(());
            }
            let has_delivered = self.queue.len() < waiting;
            // Parts go first: the card has them to do while the next lot is prepared here.
            let has_begun = self.begin_parts()?;
            self.begin_lot(work);
            let has_advanced = self.advance()?;
            if !has_delivered && !has_begun && !has_advanced && !self.wait()? {
                // Rows may have come back to the queue meanwhile: that is the caller's to see.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes off the queue what is done, up to one part, which is handed over: the
    /// card's queue is seen to between two, so that it does not run dry meanwhile.
    fn deliver(&mut self, work: &mut dyn BulkWork) -> Result<Proceed, BulkError> {
        self.device.poll()?;
        while let Some(front) = self.queue.front() {
            let is_done = match front {
                Queued::Dispatch { submission, .. } => self.device.is_done(submission)?,
                Queued::Part { pending, .. } => self.handover.has_arrived(self.device, pending)?,
            };
            if !is_done {
                break;
            }
            self.waits_since = None;
            let now = Instant::now();
            let done = std::mem::take(&mut self.is_watched).then_some(now);
            let before = std::mem::replace(&mut self.last_done, done);
            match self.queue.pop_front().expect("it was there a moment ago") {
                Queued::Dispatch { steps, began, .. } => match (before, done) {
                    (Some(before), Some(done)) => self.pace.took(steps, done - before),
                    // It took no longer than that.
                    _ => self.pace.took_at_most(steps, now - began),
                },
                Queued::Part { pending, freed } => {
                    let proceed = self.handover.finish(self.device, pending, |part| work.take(part))?;
                    self.free.extend(freed);
                    return Ok(proceed);
                }
            }
        }
        Ok(Proceed::GoOn)
    }

    fn begin_lot(&mut self, work: &mut dyn BulkWork) {
        if self.growing.is_some() || self.is_exhausted {
            return;
        }
        let Some(flight) = self.free.pop() else { return };
        match work.next(self.flights[flight].0.layout.rows()) {
            Some((key, lot)) => {
                self.flights[flight].0.begin(self.device, rows_of(key, &lot));
                self.growing = Some((flight, lot.runs));
            }
            None => {
                self.free.push(flight);
                self.is_exhausted = true;
            }
        }
    }

    fn push(&mut self, queued: Queued) {
        if self.queue.is_empty() {
            self.last_done = None;
        }
        self.queue.push_back(queued);
    }

    /// Puts another dispatch on the card's queue unless one waits there. Parts that are behind the
    /// one that runs go between the two: handing over keeps up with growing.
    fn advance(&mut self) -> Result<bool, BulkError> {
        let Some((flight, _)) = &self.growing else { return Ok(false) };
        if let Some(last) = self.queue.iter().rposition(|queued| matches!(queued, Queued::Dispatch { .. }))
            && last > 0
            && !self.device.is_done(self.queue[last - 1].submission())?
        {
            return Ok(false);
        }
        let growing = &mut self.flights[*flight].0;
        let began = Instant::now();
        let (submission, steps) = growing.advance(self.device, self.grow, self.pace.steps())?;
        if growing.is_grown() {
            // Parts that are put on the queue behind it find it grown.
            let (flight, runs) = self.growing.take().expect("it grows");
            self.handing.push_back(Handing { flight, runs, run: 0, first_row: 0, column: 0 });
        }
        self.push(Queued::Dispatch { submission, steps, began });
        Ok(true)
    }

    /// Puts parts on the card's queue while there is room.
    fn begin_parts(&mut self) -> Result<bool, BulkError> {
        let mut has_begun = false;
        while let Some(handing) = self.handing.front_mut().filter(|_| self.handover.has_room()) {
            let run = handing.runs[handing.run];
            let columns = self.handover.columns_from(handing.column, run);
            let (flight, bindings) = &self.flights[handing.flight];
            let part = (handing.run, run, handing.first_row);
            let pending = self.handover.begin(self.device, bindings, flight.layout.rows_each, part, columns.clone())?;
            handing.column = columns.end;
            if handing.column == flight.columns() {
                (handing.run, handing.first_row, handing.column) = (handing.run + 1, handing.first_row + run.rows, 0);
            }
            let freed = (handing.run == handing.runs.len()).then_some(handing.flight);
            if freed.is_some() {
                self.handing.pop_front();
            }
            self.push(Queued::Part { pending, freed });
            has_begun = true;
        }
        Ok(has_begun)
    }

    /// Waits until the front of the queue is done, or a moment is over; `false` if there is none.
    ///
    /// # Errors
    /// If the device is lost, or hangs.
    fn wait(&mut self) -> Result<bool, BulkError> {
        let Some(front) = self.queue.front() else { return Ok(false) };
        self.is_watched = self.device.wait_a_moment(front.submission())?;
        if !self.is_watched {
            self.device.check_patience(*self.waits_since.get_or_insert_with(Instant::now))?;
        }
        Ok(true)
    }

    /// Ends all that is on its way.
    fn drain(&mut self) -> Result<(), BulkError> {
        let mut dispatches = Vec::new();
        for queued in self.queue.drain(..) {
            match queued {
                Queued::Dispatch { submission, .. } => dispatches.push(submission),
                Queued::Part { pending, .. } => self.handover.forget(pending),
            }
        }
        dispatches.iter().try_for_each(|submission| self.device.wait(submission))
    }
}

/// The rows of a lot, in their order.
fn rows_of(key: PlotKey, lot: &Lot) -> impl Iterator<Item = (PlotKey, RowIndex)> {
    (lot.first_row.0..).take(lot.rows()).map(move |row| (key, RowIndex(row)))
}
