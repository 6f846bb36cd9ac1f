//! Which backend is fastest here: measured, since neither the width of its
//! vectors nor the name of the CPU tells.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::plot::{PlotKey, RowIndex, Shape};
use crate::table::CellTable;

/// Small enough that all backends together take a few milliseconds.
const LOG2_COLUMNS: u8 = 7;
const ROUNDS: u8 = 1;
/// The best of so many counts: what disturbs only ever slows.
const TRIES: usize = 4;

/// How long a backend takes to grow rows of the calibration's shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) backend: Backend,
    /// One row alone.
    single: Duration,
    /// As many rows as it has lanes.
    full: Duration,
}

impl Pace {
    /// How long it takes to grow `rows` rows.
    pub(crate) fn time_for(&self, rows: usize) -> Duration {
        let (full, left_over) = (rows / self.backend.lanes(), rows % self.backend.lanes());
        let tail = match left_over {
            0 => Duration::ZERO,
            1 => self.single,
            _ => self.full,
        };
        self.full * u32::try_from(full).unwrap_or(u32::MAX) + tail
    }

    fn rows_per_second(&self) -> f64 {
        self.backend.lanes() as f64 / self.full.as_secs_f64().max(1e-9)
    }
}

/// Measures each of `backends` and returns them fastest first.
pub(crate) fn measure(backends: Vec<Backend>) -> Vec<Pace> {
    let shape = Shape::new(LOG2_COLUMNS, ROUNDS).expect("the calibration keeps to the protocol's bounds");
    let pace = |backend: Backend| {
        let mut table = CellTable::new(shape.columns(), backend.lanes());
        let rows: Vec<_> = (0..backend.lanes() as u64).map(|row| (PlotKey([7; 32]), RowIndex(row))).collect();
        let mut best_of = |rows: &[(PlotKey, RowIndex)]| {
            let time = |_| {
                let start = Instant::now();
                backend.grow_lanes(shape, rows, &mut table);
                start.elapsed()
            };
            (0..TRIES).map(time).min().expect("there are tries")
        };
        let full = best_of(&rows);
        let single = if rows.len() == 1 { full } else { best_of(&rows[..1]) };
        Pace { backend, single, full }
    };
    let mut paces: Vec<_> = backends.into_iter().map(pace).collect();
    paces.sort_by_key(|pace| Reverse(pace.rows_per_second() as u64));
    paces
}
