//! The one queue from which all who grow rows take them, in file order.

use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::shares::{Kind, Shares};

/// Somebody who was left without rows for the better of others thinks again after
/// so long: they may be slower than was thought.
const RETHINK: Duration = Duration::from_secs(1);
/// A card's lots are multiples of a grain, for each of their pieces costs two syncs and some
/// rows grown again: this part of what it may take, or of a batch …
const GRAINS: u64 = 16;
/// … but no less than so many rows, where it may take as many.
const MIN_GRAIN: u64 = 16;

/// Rows that are written in one go: a power of two of them that start at a
/// multiple of it, or the plot's last ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// First row, counted from the file's first.
    pub(crate) start: u64,
    pub(crate) rows: u64,
}

/// Cuts up to `wanted` rows, and `most` pieces of up to `batch_rows`, off the
/// front of `free`, which lies in a plot of `plot_rows`.
fn cut(free: &Range<u64>, wanted: u64, most: usize, batch_rows: u64, plot_rows: u64) -> Vec<Piece> {
    let stop = free.end.min(free.start.saturating_add(wanted));
    let mut pieces = Vec::new();
    let mut start = free.start;
    while start < stop && pieces.len() < most {
        let aligned = if start == 0 { batch_rows } else { batch_rows.min(1 << start.trailing_zeros()) };
        let left = stop - start;
        let rows = match left {
            _ if left >= aligned => aligned,
            _ if stop == plot_rows => left,
            _ => 1 << left.ilog2(),
        };
        pieces.push(Piece { start, rows });
        start += rows;
    }
    pieces
}

/// What the lots of a card that may take `most` rows are multiples of: a power of two.
fn grain(most: u64, batch_rows: u64) -> u64 {
    let least = MIN_GRAIN.min(most).min(batch_rows).max(1);
    1 << (most.min(batch_rows) / GRAINS).max(least).ilog2()
}

/// So many of `most` rows from `start` on, more than `rows` or a little less, that they end with a
/// grain: then the next lot begins with one, however oddly this one does.
fn up_to_a_grain(start: u64, rows: u64, most: u64, grain: u64) -> u64 {
    if rows == 0 {
        return 0;
    }
    let wanted = (start + rows).next_multiple_of(grain) - start;
    if wanted > most { wanted - grain } else { wanted }
}

/// What the queue is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Rows that are written already.
    pub(crate) rows_done: u64,
    /// Rows of the plot.
    pub(crate) plot_rows: u64,
    /// Most rows of a piece.
    pub(crate) batch_rows: u64,
    /// Most pieces that are grown, or wait for rows before them, at a time.
    pub(crate) window: usize,
}

/// Shared by all who grow rows and the one who writes them.
#[derive(Debug)]
pub(crate) struct Queue {
    bounds: Bounds,
    began: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Rows that nobody has taken, in file order: those never given out, and before
    /// them at most as many ranges as lots were given back.
    free: Vec<Range<u64>>,
    /// Rows written without a gap.
    rows_done: u64,
    /// Pieces given out and not written.
    out: usize,
    /// Subtrees that wait for rows before them.
    waiting: usize,
    /// Whose speed is being measured; nobody takes a lot before.
    measuring: usize,
    closed: bool,
    shares: Shares,
}

impl Queue {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let state = State {
            free: std::iter::once(bounds.rows_done..bounds.plot_rows).collect(),
            rows_done: bounds.rows_done,
            out: 0,
            waiting: 0,
            measuring: 0,
            closed: false,
            shares: Shares::default(),
        };
        Self { bounds, began: Instant::now(), state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("what is done with the queue does not panic")
    }

    /// Changes the state, and lets all who wait look at it.
    fn change<T>(&self, change: impl FnOnce(&mut State, f64) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state, self.began.elapsed().as_secs_f64());
        self.changed.notify_all();
        result
    }

    /// Adds somebody who takes rows, and returns their number. A card may have its
    /// speed `measured` before it begins.
    pub(crate) fn join(&self, kind: Kind, lot: u64, measured: bool) -> usize {
        self.change(|state, _| {
            state.measuring += usize::from(measured);
            state.shares.add(kind, lot)
        })
    }

    /// The speed of `who` was measured: so long for a whole lot, if it could be.
    pub(crate) fn measured(&self, who: usize, lot_time: Option<Duration>) {
        self.change(|state, _| {
            state.measuring -= 1;
            if let Some(time) = lot_time {
                state.shares.expect(who, time.as_secs_f64());
            }
        });
    }

    /// Waits until there are rows for `who`, and returns whether there will be:
    /// not when all are written, or the work ends.
    pub(crate) fn wait_for(&self, who: usize, most: u64) -> bool {
        self.wait(who, most, |_, _| ()).is_some()
    }

    /// Waits for rows, at most `most`; none when all are written, or the work ends.
    pub(crate) fn wait_and_take(&self, who: usize, most: u64) -> Option<Vec<Piece>> {
        self.wait(who, most, |state, pieces| self.give(state, who, pieces))
    }

    /// Rows, if there are any for `who` at this moment. Whoever holds rows must not
    /// wait for more: others may wait for those.
    pub(crate) fn take(&self, who: usize, most: u64) -> Option<Vec<Piece>> {
        let mut state = self.state();
        let pieces = self.next(&state, who, most)?;
        self.give(&mut state, who, &pieces);
        Some(pieces)
    }

    fn wait(&self, who: usize, most: u64, then: impl FnOnce(&mut State, &[Piece])) -> Option<Vec<Piece>> {
        let mut state = self.state();
        while !state.closed {
            if let Some(pieces) = self.next(&state, who, most) {
                then(&mut state, &pieces);
                return Some(pieces);
            }
            (state, _) = self.changed.wait_timeout(state, RETHINK).expect("what is done with the queue does not panic");
        }
        None
    }

    /// The pieces that `who` is to grow next.
    fn next(&self, state: &State, who: usize, most: u64) -> Option<Vec<Piece>> {
        if state.closed {
            return None;
        }
        let Bounds { batch_rows, plot_rows, window, .. } = self.bounds;
        let kind = state.shares.kind(who);
        let first = state.free.first()?.clone();
        // The rows that everything waits for are always given out.
        let room = window.saturating_sub(state.out + state.waiting).max(usize::from(first.start == state.rows_done));
        if room == 0 || (kind == Kind::Card && state.measuring > 0) {
            return None;
        }
        let now = self.began.elapsed().as_secs_f64();
        let left = state.free.iter().map(|range| range.end - range.start).sum();
        let pieces = match kind {
            Kind::Cpu => cut(&first, state.shares.rows_for(who, now, left, most), 1, batch_rows, plot_rows),
            Kind::Card => {
                let grain = grain(most, batch_rows);
                let rows = state.shares.rows_for(who, now, left, most - most % grain);
                cut(&first, up_to_a_grain(first.start, rows, most, grain), room, batch_rows, plot_rows)
            }
        };
        (!pieces.is_empty()).then_some(pieces)
    }

    /// Takes `pieces` off the front of what is free.
    fn give(&self, state: &mut State, who: usize, pieces: &[Piece]) {
        let rows = pieces.iter().map(|piece| piece.rows).sum();
        state.free[0].start += rows;
        if state.free[0].is_empty() {
            state.free.remove(0);
        }
        state.out += pieces.len();
        state.shares.give(who, rows, self.began.elapsed().as_secs_f64());
    }

    /// `who` handed over the last of what it took first, after `time` of work.
    pub(crate) fn ended(&self, who: usize, time: Duration) {
        self.change(|state, now| state.shares.end(who, time.as_secs_f64(), now));
    }

    /// `who` is lost, and gives back what it did not hand over.
    pub(crate) fn lost(&self, who: usize, pieces: impl IntoIterator<Item = Piece>) {
        self.change(|state, _| {
            for Piece { start, rows } in pieces {
                state.out -= 1;
                state.free.push(start..start + rows);
            }
            state.free.sort_by_key(|range| range.start);
            state.free.dedup_by(|later, earlier| {
                let follows = earlier.end == later.start;
                if follows {
                    earlier.end = later.end;
                }
                follows
            });
            state.shares.lose(who);
        });
    }

    /// A piece was written: now so many rows are there without a gap, and so many
    /// subtrees wait for rows before them.
    pub(crate) fn written(&self, rows_done: u64, waiting: usize) {
        self.change(|state, _| {
            state.out -= 1;
            (state.rows_done, state.waiting) = (rows_done, waiting);
            state.closed |= rows_done == self.bounds.plot_rows;
        });
    }

    /// Nobody is given anything any more.
    pub(crate) fn close(&self) {
        self.change(|state, _| state.closed = true);
    }

    /// Whether the work has ended, for good or not.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }
}

/// Closes the queue if its holder panics, so that nobody waits for its rows.
pub(crate) struct CloseOnPanic<'a>(pub(crate) &'a Queue);

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
        }
    }
}

#[cfg(test)]
mod tests;
