//! A card that is none: rows come from the CPU, and it fails as it is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spacetime_kernels::{
    Backend, BulkError, BulkGrower, BulkWork, Cell, Grower, Lot, Part, PlotKey, Proceed, RowIndex, Run, Shape,
};
use spacetime_prover::tree;

use crate::SharedGrower;

/// What is wrong in one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// One cell, hashed as it is.
    Cell,
    /// All subtree roots.
    Roots,
}

/// How one part is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// A cell is missing.
    FewCells,
    /// There are no roots.
    NoRoots,
    /// It is of the next columns.
    Skips,
    /// It has no columns.
    Empty,
    /// It is of a run that there is not.
    OtherRun,
    /// It comes once more when all is handed over.
    Twice,
}

/// What a card waits for before it hands over a lot.
pub(super) type Gate = Arc<dyn Fn(RowIndex) -> bool + Send + Sync>;

/// How a fake behaves.
#[derive(Clone)]
pub(super) struct Knobs {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) rows_in_flight: usize,
    pub(super) columns_per_part: usize,
    /// Lots that it asks for before it hands over the first of them.
    pub(super) lots_at_once: usize,
    /// It is lost when it would hand over the part after so many.
    pub(super) lost_after: Option<usize>,
    /// The number of a lot, and what is wrong in it.
    pub(super) lie: Option<(usize, Lie)>,
    /// What is wrong with the second part of a lot.
    pub(super) misfit: Option<Misfit>,
    /// Ends its work before it asked for any.
    pub(super) idles: bool,
    /// How many measure at this moment, and how many did at most.
    pub(super) measuring: Arc<[AtomicUsize; 2]>,
    /// For how long it measures.
    pub(super) measures: Duration,
    /// Says whether the lot that begins with that row may be handed over now.
    pub(super) gate: Option<Gate>,
}

pub(super) fn knobs() -> Knobs {
    Knobs {
        name: "gpu:0 (fake)",
        shape: Shape::new(4, 1).expect("a shape"),
        rows_in_flight: 40,
        columns_per_part: 5,
        lots_at_once: 1,
        lost_after: None,
        lie: None,
        misfit: None,
        idles: false,
        measuring: Arc::default(),
        measures: Duration::ZERO,
        gate: None,
    }
}

impl Knobs {
    pub(super) fn card(self) -> SharedGrower {
        let grower = Grower::new(Backend::fastest(), self.shape);
        Mutex::new(Box::new(Fake { grower, parts: 0, lots: 0, knobs: self }))
    }
}

struct Fake {
    knobs: Knobs,
    grower: Grower,
    parts: usize,
    lots: usize,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.knobs.name)
    }
}

impl Fake {
    fn alive(&self) -> Result<(), BulkError> {
        match self.knobs.lost_after {
            Some(parts) if self.parts >= parts => {
                Err(BulkError::Lost { name: self.name(), reason: "it was pulled out".into() })
            }
            _ => Ok(()),
        }
    }

    /// Strips and roots of one run, column by column.
    fn run(&mut self, key: &PlotKey, first: u64, run: Run, lie: Option<Lie>) -> (Vec<Cell>, Vec<Cell>) {
        let rows: Vec<_> = (first..first + run.rows as u64).map(RowIndex).collect();
        let mut cells = vec![[0; 32]; rows.len() * self.knobs.shape.columns()];
        self.grower.grow(key, &rows, &mut cells);
        if lie == Some(Lie::Cell) {
            cells[3 * rows.len()][0] ^= 1;
        }
        let mut strips = Vec::new();
        let mut roots = Vec::new();
        for column in cells.chunks(rows.len()) {
            strips.extend_from_slice(column);
            strips.resize(strips.len() + run.padded_rows() - rows.len(), [0; 32]);
            let mut root = tree::root(Backend::PORTABLE, column, 0, run.level);
            root[5] ^= u8::from(lie == Some(Lie::Roots));
            roots.push(root);
        }
        (strips, roots)
    }

    /// Whether it was not stopped.
    fn hand_over(&mut self, work: &mut dyn BulkWork, key: &PlotKey, lot: &Lot) -> Result<bool, BulkError> {
        while self.knobs.gate.as_ref().is_some_and(|gate| !gate(lot.first_row)) {
            if work.proceed() == Proceed::Stop {
                return Ok(false);
            }
            std::thread::yield_now();
        }
        let lie = self.knobs.lie.filter(|(number, _)| *number == self.lots).map(|(_, lie)| lie);
        self.lots += 1;
        let columns = self.knobs.shape.columns();
        let mut first = lot.first_row.0;
        for (index, run) in lot.runs.iter().enumerate() {
            let (strips, roots) = self.run(key, first, *run, lie.filter(|_| index == 0));
            first += run.rows as u64;
            for start in (0..columns).step_by(self.knobs.columns_per_part) {
                self.alive()?;
                let end = columns.min(start + self.knobs.columns_per_part);
                let strips = &strips[start * run.padded_rows()..end * run.padded_rows()];
                let mut part = Part { run: index, columns: start..end, strips, roots: &roots[start..end] };
                match self.knobs.misfit.filter(|_| start > 0) {
                    Some(Misfit::FewCells) => part.strips = &strips[1..],
                    Some(Misfit::NoRoots) => part.roots = &[],
                    Some(Misfit::Skips) => part.columns = start + 1..end + 1,
                    Some(Misfit::Empty) => part = Part { columns: start..start, strips: &[], roots: &[], ..part },
                    Some(Misfit::OtherRun) => part.run += 7,
                    Some(Misfit::Twice) | None => (),
                }
                self.parts += 1;
                if work.take(part) == Proceed::Stop || work.proceed() == Proceed::Stop {
                    return Ok(false);
                }
            }
        }
        if self.knobs.misfit == Some(Misfit::Twice) {
            let (run, (strips, roots)) = (lot.runs.len() - 1, self.run(key, 0, lot.runs[0], None));
            return Ok(work.take(Part { run, columns: 0..columns, strips: &strips, roots: &roots }) == Proceed::GoOn);
        }
        Ok(true)
    }
}

impl BulkGrower for Fake {
    fn name(&self) -> String {
        self.knobs.name.into()
    }

    fn shape(&self) -> Shape {
        self.knobs.shape
    }

    fn rows_in_flight(&self) -> usize {
        self.knobs.rows_in_flight
    }

    fn lot_time(&mut self) -> Result<Duration, BulkError> {
        self.alive()?;
        let [now, most] = &*self.knobs.measuring;
        most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        std::thread::sleep(self.knobs.measures);
        now.fetch_sub(1, Ordering::Relaxed);
        Ok(Duration::from_micros(100))
    }

    fn grow(&mut self, work: &mut dyn BulkWork) -> Result<(), BulkError> {
        let mut lots = std::collections::VecDeque::new();
        if self.knobs.idles {
            return Ok(());
        }
        loop {
            self.alive()?;
            while lots.len() < self.knobs.lots_at_once {
                let Some((key, lot)) = work.next(self.knobs.rows_in_flight) else { break };
                assert!((1..=self.knobs.rows_in_flight).contains(&lot.rows()), "a lot fits the card");
                lots.push_back((key, lot));
            }
            let Some((key, lot)) = lots.pop_front() else { return Ok(()) };
            if !self.hand_over(work, &key, &lot)? {
                return Ok(());
            }
        }
    }
}
