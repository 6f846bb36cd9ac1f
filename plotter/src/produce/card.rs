//! A card, which grows lots of many rows and hands them over strip by strip.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use spacetime_kernels::{BulkError, BulkGrower, BulkWork, Lot, Part, PlotKey, Proceed, RowIndex, Run};
use tracing::warn;

use super::{By, Grown, Halt, Shared};
use crate::batch::Batch;
use crate::build::Event;
use crate::queue::{CloseOnPanic, Piece};

/// Lets the card at `place` grow what the queue gives out to `who` until there is
/// no more. Its speed is measured before, if others share the rows with it.
pub(crate) fn card(
    shared: &Shared<'_>,
    who: usize,
    place: usize,
    grower: &mut dyn BulkGrower,
    measure: bool,
    to_write: &SyncSender<Grown>,
) -> Result<(), Halt> {
    let _guard = CloseOnPanic(shared.queue);
    if measure {
        let lot_time = grower.lot_time();
        shared.queue.measured(who, lot_time.as_ref().ok().copied());
        lot_time.map_err(|error| lost(shared, who, error, Vec::new()))?;
    }
    let rows_in_flight = grower.rows_in_flight() as u64;
    let mut feed = Feed {
        shared,
        who,
        place,
        to_write,
        key: shared.plan.header.key(),
        lots: VecDeque::new(),
        batch: None,
        last_end: Instant::now(),
        rows_in_flight,
        stopped: false,
    };
    while shared.queue.wait_for(who, rows_in_flight) {
        let result = grower.grow(&mut feed);
        if feed.stopped {
            // Others may be waiting for what will not come any more.
            shared.queue.close();
            return Err(Halt::Stopped);
        }
        if shared.queue.is_closed() {
            return Ok(());
        }
        let early = || BulkError::Lost { name: grower.name(), reason: "it ended with rows in flight".into() };
        let result = if feed.lots.is_empty() { result } else { result.and_then(|()| Err(early())) };
        result.map_err(|error| lost(shared, who, error, feed.unfinished()))?;
    }
    Ok(())
}

/// Says that a card is lost, and lets others grow what it did not hand over.
fn lost(shared: &Shared<'_>, who: usize, error: BulkError, pieces: Vec<Piece>) -> Halt {
    let rows: u64 = pieces.iter().map(|piece| piece.rows).sum();
    warn!(%error, rows_given_back = rows, "goes on without this device");
    (shared.events)(Event::Lost(error.clone()));
    shared.queue.lost(who, pieces);
    Halt::Lost(error)
}

/// A lot that was given out.
struct OpenLot {
    pieces: Vec<Piece>,
    given: Instant,
    /// Which of the pieces is being handed over, …
    piece: usize,
    /// … its first run in the lot, and its run and column that come next.
    first_run: usize,
    run: usize,
    column: usize,
}

/// What a card sees of the queue and of the batches.
struct Feed<'a> {
    shared: &'a Shared<'a>,
    who: usize,
    place: usize,
    to_write: &'a SyncSender<Grown>,
    key: PlotKey,
    /// Given out and not handed over whole.
    lots: VecDeque<OpenLot>,
    /// Is being filled with the piece that is handed over.
    batch: Option<Batch>,
    /// When the last lot ended.
    last_end: Instant,
    rows_in_flight: u64,
    stopped: bool,
}

impl Feed<'_> {
    /// Rows of a full run of `piece`: all of it, or what lies in one segment.
    fn run_rows(&self, piece: Piece) -> usize {
        piece.rows.next_power_of_two().min(self.shared.plan.header.rows_per_segment) as usize
    }

    fn runs(&self, piece: Piece) -> impl Iterator<Item = Run> + use<> {
        let run_rows = self.run_rows(piece);
        let rows = piece.rows as usize;
        (0..rows).step_by(run_rows).map(move |at| Run { rows: run_rows.min(rows - at), level: run_rows.ilog2() })
    }

    /// What was given out and not handed over.
    fn unfinished(&mut self) -> Vec<Piece> {
        self.lots.drain(..).flat_map(|lot| lot.pieces.into_iter().skip(lot.piece)).collect()
    }

    /// The piece that is handed over is whole: to the writer with it.
    fn piece_done(&mut self, piece: Piece) -> Proceed {
        let lot = self.lots.front_mut().expect("its piece is done");
        let batch = self.batch.take().expect("it is full");
        let lot_rows: u64 = lot.pieces.iter().map(|piece| piece.rows).sum();
        // A lot that was given out early began when the one before it ended.
        let worked = lot.given.max(self.last_end).elapsed();
        lot.piece += 1;
        lot.first_run += lot.run;
        lot.run = 0;
        if lot.piece == lot.pieces.len() {
            self.lots.pop_front();
            self.last_end = Instant::now();
            self.shared.queue.ended(self.who, worked);
        }
        (self.shared.events)(Event::Grown(piece.rows));
        let time = worked.mul_f64(piece.rows as f64 / lot_rows as f64);
        let taken = self.shared.hand_over(batch, By::Card(self.place), time, self.to_write);
        if taken { Proceed::GoOn } else { Proceed::Stop }
    }
}

impl BulkWork for Feed<'_> {
    fn next(&mut self, most: usize) -> Option<(PlotKey, Lot)> {
        let pieces = self.shared.queue.take(self.who, self.rows_in_flight.min(most as u64))?;
        let first_row = RowIndex(self.shared.plan.header.first_row + pieces[0].start);
        let runs = pieces.iter().flat_map(|piece| self.runs(*piece)).collect();
        let given = Instant::now();
        self.lots.push_back(OpenLot { pieces, given, piece: 0, first_run: 0, run: 0, column: 0 });
        Some((self.key, Lot { first_row, runs }))
    }

    fn take(&mut self, part: Part<'_>) -> Proceed {
        let lot = self.lots.front().expect("a part is of a lot that was given out");
        let piece = lot.pieces[lot.piece];
        assert_eq!((part.run, part.columns.start), (lot.first_run + lot.run, lot.column), "parts come in order");
        let run_rows = self.run_rows(piece);
        if self.batch.is_none() {
            let Some(mut batch) = self.shared.batch() else { return Proceed::Stop };
            batch.begin(piece.start, piece.rows as usize, run_rows);
            self.batch = Some(batch);
        }
        let batch = self.batch.as_mut().expect("there is one now");
        let lot = self.lots.front_mut().expect("it was looked at");
        batch.put(lot.run, part.columns.clone(), part.strips, part.roots);
        lot.column = part.columns.end;
        if lot.column < self.shared.plan.header.shape.columns() {
            return Proceed::GoOn;
        }
        (lot.run, lot.column) = (lot.run + 1, 0);
        if lot.run < batch.runs() { Proceed::GoOn } else { self.piece_done(piece) }
    }

    fn proceed(&mut self) -> Proceed {
        self.stopped |= self.shared.control.step().is_err();
        if self.stopped || self.shared.queue.is_closed() { Proceed::Stop } else { Proceed::GoOn }
    }
}
