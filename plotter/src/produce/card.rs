//! A card, which grows lots of many rows and hands them over strip by strip.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

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
        rested: Duration::ZERO,
        last_end: (Instant::now(), Duration::ZERO),
        rows_in_flight,
        stopped: false,
        has_asked: false,
        misfit: None,
    };
    while shared.queue.wait_for(who, rows_in_flight) {
        feed.has_asked = false;
        let result = grower.grow(&mut feed);
        if feed.stopped {
            // Others may be waiting for what will not come any more.
            shared.queue.close();
            return Err(Halt::Stopped);
        }
        if shared.queue.is_closed() {
            return Ok(());
        }
        let result = match feed.fault() {
            Some(reason) => result.and(Err(BulkError::Lost { name: grower.name(), reason })),
            None => result,
        };
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
    given: Moment,
    /// Which of the pieces is being handed over, …
    piece: usize,
    /// … its first run in the lot, and its run and column that come next.
    first_run: usize,
    run: usize,
    column: usize,
}

/// A time, and how long the card had rested until then.
type Moment = (Instant, Duration);

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
    /// How long it waited for the disk, or because all work is held back: that says nothing of its speed.
    rested: Duration,
    /// When the last lot ended.
    last_end: Moment,
    rows_in_flight: u64,
    stopped: bool,
    /// Whether it asked for rows since it was last set to work.
    has_asked: bool,
    /// What was wrong with a part that it handed over.
    misfit: Option<String>,
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

    fn now(&self) -> Moment {
        (Instant::now(), self.rested)
    }

    /// What is wrong with a card that ended its work, be it for good or not.
    fn fault(&mut self) -> Option<String> {
        match self.misfit.take() {
            None if !self.lots.is_empty() => Some("it ended with rows in flight".into()),
            None if !self.has_asked => Some("it ended without having asked for rows".into()),
            misfit => misfit,
        }
    }

    /// What is wrong with `part`, if it is not the one that comes next.
    fn misfit(&self, part: &Part<'_>) -> Option<String> {
        let Some(lot) = self.lots.front() else { return Some("it handed over rows that it was not given".into()) };
        let columns = &part.columns;
        let is_next = (part.run, columns.start) == (lot.first_run + lot.run, lot.column)
            && !columns.is_empty()
            && columns.end <= self.shared.plan.header.shape.columns();
        let cells = columns.len() * self.run_rows(lot.pieces[lot.piece]);
        let is_whole = is_next && (part.strips.len(), part.roots.len()) == (cells, columns.len());
        (!is_whole).then(|| {
            format!(
                "it handed over {} cells and {} roots for columns {columns:?} of run {}, where column {} of run {} came next",
                part.strips.len(),
                part.roots.len(),
                part.run,
                lot.column,
                lot.first_run + lot.run,
            )
        })
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
        let (began, rested) = lot.given.max(self.last_end);
        let worked = began.elapsed().saturating_sub(self.rested - rested);
        lot.piece += 1;
        lot.first_run += lot.run;
        lot.run = 0;
        if lot.piece == lot.pieces.len() {
            self.lots.pop_front();
            self.last_end = self.now();
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
        self.has_asked = true;
        let pieces = self.shared.queue.take(self.who, self.rows_in_flight.min(most as u64))?;
        let first_row = RowIndex(self.shared.plan.header.first_row + pieces[0].start);
        let runs = pieces.iter().flat_map(|piece| self.runs(*piece)).collect();
        let given = self.now();
        self.lots.push_back(OpenLot { pieces, given, piece: 0, first_run: 0, run: 0, column: 0 });
        Some((self.key, Lot { first_row, runs }))
    }

    fn take(&mut self, part: Part<'_>) -> Proceed {
        self.misfit = self.misfit.take().or_else(|| self.misfit(&part));
        if self.misfit.is_some() {
            return Proceed::Stop;
        }
        let lot = self.lots.front().expect("the part is the next of it");
        let piece = lot.pieces[lot.piece];
        let run_rows = self.run_rows(piece);
        if self.batch.is_none() {
            let began = Instant::now();
            let Some(mut batch) = self.shared.batch() else { return Proceed::Stop };
            self.rested += began.elapsed();
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
        let began = Instant::now();
        self.stopped |= self.shared.control.step().is_err();
        self.rested += began.elapsed();
        if self.stopped || self.shared.queue.is_closed() { Proceed::Stop } else { Proceed::GoOn }
    }
}
