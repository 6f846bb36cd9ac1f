//! Growing on a card: one lot grows while the one before is handed over.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::bulk::{BulkError, BulkGrower, BulkWork, Run};
use crate::gpu::adapter::GpuError;
use crate::gpu::device::{Device, Plug};
use crate::gpu::flight::{Flight, Tables, grow_pipeline};
use crate::gpu::gather::Gather;
use crate::gpu::handover::Handover;
use crate::gpu::pace::Pace;
use crate::gpu::pipeline::Pipeline;
use crate::gpu::session::Session;
use crate::grower::CellRequest;
use crate::merkle::Cell;
use crate::plot::{PlotKey, RowIndex, Shape};

/// One grows, one is handed over.
const FLIGHTS: usize = 2;

/// Dispatches on the card at a time while it is measured: one runs, one waits.
const DISPATCHES: usize = 2;

/// For how long [`GpuGrower::growing_rate`] grows, …
const MEASURED: Duration = Duration::from_millis(1500);
/// … and [`BulkGrower::lot_time`], which nobody can stop: its user learns more from whole lots.
const GLIMPSED: Duration = Duration::from_millis(750);

/// Grows rows on one adapter.
#[derive(Debug)]
pub struct GpuGrower {
    pub(crate) device: Device,
    shape: Shape,
    grow: Pipeline,
    handover: Handover,
    /// With what lets the handover read its tables.
    flights: Vec<(Flight, wgpu::BindGroup)>,
    /// Made when it is first needed.
    gather: Option<Gather>,
    pace: Pace,
    /// What [`BulkGrower::lot_time`] found: it is asked before each of many plots.
    lot_time: Option<Duration>,
}

impl GpuGrower {
    /// With as many rows in flight as `memory_bytes` hold, or as many of
    /// those as the driver has room for.
    pub(crate) fn new(device: Device, shape: Shape, memory_bytes: u64) -> Result<Self, GpuError> {
        let mut memory_bytes = memory_bytes;
        loop {
            let tables = Tables::fitting(&device, shape, memory_bytes, FLIGHTS as u64)?;
            match Self::with_tables(&device, shape, tables) {
                Ok((grow, handover, flights)) => {
                    let pace = Pace::new(tables.rows());
                    let gather = None;
                    return Ok(Self { device, shape, grow, handover, flights, gather, pace, lot_time: None });
                }
                // What the driver calls its memory is not all free.
                Err(BulkError::Memory { .. }) if tables.rows() > 1 => {
                    memory_bytes = memory_bytes / 4 * 3;
                    // The driver gets back what was taken.
                    device.poll()?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    #[expect(clippy::type_complexity, reason = "taken apart at once")]
    fn with_tables(
        device: &Device,
        shape: Shape,
        tables: Tables,
    ) -> Result<(Pipeline, Handover, Vec<(Flight, wgpu::BindGroup)>), BulkError> {
        let grow = grow_pipeline(device, tables.count)?;
        let handover = Handover::new(device, shape, tables.rows(), tables.count)?;
        let flights = new_flights(device, &grow, &handover, shape, tables)?;
        Ok((grow, handover, flights))
    }

    /// The same device and shaders with tables of so many rows each, for rows of another shape.
    pub(crate) fn grown_by(&self, shape: Shape, rows_each: u32, work: &mut dyn BulkWork) -> Result<(), BulkError> {
        let tables = Tables { count: self.flights[0].0.layout.count, rows_each };
        let mut handover = Handover::new(&self.device, shape, tables.rows(), tables.count)?;
        let mut flights = new_flights(&self.device, &self.grow, &handover, shape, tables)?;
        let mut pace = Pace::new(tables.rows());
        Session::new(&self.device, &self.grow, &mut handover, &mut flights, &mut pace).run(work)
    }

    /// Buffers that rows in flight are spread over.
    pub(crate) fn tables(&self) -> u32 {
        self.flights[0].0.layout.count
    }

    /// Takes the device away while it works: for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn plug(&self) -> Plug {
        self.device.plug()
    }

    /// Does what [`crate::Grower::grow_cells`] does: grows the rows that
    /// `requests` name, of one plot or of many, and keeps one cell of each.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If `cells` and `requests` differ in length, or a column is not below `2^p`.
    pub fn grow_cells(&mut self, requests: &[CellRequest], cells: &mut [Cell]) -> Result<(), BulkError> {
        assert_eq!(requests.len(), cells.len(), "one cell for each request");
        let columns = self.shape.columns();
        for CellRequest { column, .. } in requests {
            assert!((column.0 as usize) < columns, "column {} is out of range", column.0);
        }
        let rows_in_flight = self.rows_in_flight();
        let Self { device, grow, flights, gather, pace, .. } = self;
        let (flight, _) = &mut flights[0];
        let gather = match gather {
            Some(gather) => gather,
            None => gather.insert(Gather::new(device, flight)?),
        };
        for (requests, cells) in requests.chunks(rows_in_flight).zip(cells.chunks_mut(rows_in_flight)) {
            flight.begin(device, requests.iter().map(|request| (request.key, request.row)));
            let mut submitted = VecDeque::new();
            let mut last = None;
            while !flight.is_grown() {
                submitted.push_back(flight.advance(device, grow, pace.steps())?);
                if submitted.len() > DISPATCHES {
                    let (submission, steps) = submitted.pop_front().expect("there are more than enough");
                    device.wait(&submission)?;
                    let now = Instant::now();
                    if let Some(last) = last.replace(now) {
                        pace.took(steps, now - last);
                    }
                }
            }
            gather.cells(device, requests.iter().map(|request| request.column), cells)?;
        }
        Ok(())
    }

    /// Plays a card that hangs, and has `patience` with it: for tests.
    #[doc(hidden)]
    pub fn hang(&mut self, patience: Duration) {
        self.device.hang(patience);
    }

    /// Compressions a second while a full lot grows, nothing read back.
    ///
    /// # Errors
    /// If the device fails.
    pub fn growing_rate(&mut self) -> Result<f64, BulkError> {
        let (seconds, steps) = self.measure_steps(MEASURED)?;
        Ok(f64::from(steps) * self.rows_in_flight() as f64 / seconds)
    }

    /// Seconds that so many steps of a full lot took, once their number is settled, within about the time `measured`.
    fn measure_steps(&mut self, measured: Duration) -> Result<(f64, u32), BulkError> {
        let rows = self.rows_in_flight() as u64;
        let any_rows = || (0..rows).map(|row| (PlotKey([0; 32]), RowIndex(row)));
        let (flight, _) = &mut self.flights[0];
        flight.begin(&self.device, any_rows());
        let (mut seconds, mut steps) = (0.0, 0);
        let began = Instant::now();
        let mut submitted = VecDeque::new();
        let mut last = None;
        while began.elapsed() < measured || steps == 0 {
            if flight.is_grown() {
                flight.begin(&self.device, any_rows());
            }
            submitted.push_back(flight.advance(&self.device, &self.grow, self.pace.steps())?);
            if submitted.len() <= DISPATCHES {
                continue;
            }
            let (submission, took_steps) = submitted.pop_front().expect("there are more than enough");
            self.device.wait(&submission)?;
            let now = Instant::now();
            if let Some(last) = last {
                let time: Duration = now - last;
                // The first dispatches, which find their size, do not count.
                if began.elapsed() > measured / 3 {
                    (seconds, steps) = (seconds + time.as_secs_f64(), steps + took_steps);
                }
                self.pace.took(took_steps, time);
            }
            last = Some(now);
        }
        submitted.into_iter().try_for_each(|(submission, _)| self.device.wait(&submission))?;
        Ok((seconds, steps))
    }

    /// Seconds that handing over a full lot takes when nothing else runs.
    fn measure_handover(&mut self) -> Result<f64, BulkError> {
        let run = Run { rows: 1 << self.rows_in_flight().ilog2(), level: self.rows_in_flight().ilog2() };
        let (flight, bindings) = &self.flights[0];
        let began = Instant::now();
        let columns = self.handover.columns_from(0, run);
        let part = (0, run, 0);
        let share = columns.len() as f64 / self.shape.columns() as f64;
        let pending = self.handover.begin(&self.device, bindings, flight.layout.rows_each, part, columns)?;
        while !self.handover.has_arrived(&self.device, &pending)? {
            self.device.wait_a_moment(&pending.submission)?;
        }
        self.handover.finish(&self.device, pending, |_| ())?;
        Ok(began.elapsed().as_secs_f64() / share)
    }
}

/// Flights, each with what lets the handover read its tables.
fn new_flights(
    device: &Device,
    grow: &Pipeline,
    handover: &Handover,
    shape: Shape,
    tables: Tables,
) -> Result<Vec<(Flight, wgpu::BindGroup)>, BulkError> {
    let flight = |_| {
        let flight = Flight::new(device, grow, shape, tables)?;
        let bindings = handover.bind(device, &flight);
        Ok((flight, bindings))
    };
    (0..FLIGHTS).map(flight).collect()
}

impl BulkGrower for GpuGrower {
    fn name(&self) -> String {
        self.device.name().to_owned()
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn rows_in_flight(&self) -> usize {
        self.flights[0].0.layout.rows()
    }

    fn lot_time(&mut self) -> Result<Duration, BulkError> {
        // One that is lost does not answer from memory.
        self.device.poll()?;
        if let Some(known) = self.lot_time {
            return Ok(known);
        }
        let (seconds, steps) = self.measure_steps(GLIMPSED)?;
        let growing = seconds * f64::from(self.flights[0].0.steps()) / f64::from(steps);
        let lot_time = Duration::from_secs_f64(growing + self.measure_handover()?);
        self.lot_time = Some(lot_time);
        Ok(lot_time)
    }

    fn grow(&mut self, work: &mut dyn BulkWork) -> Result<(), BulkError> {
        let Self { device, grow, handover, flights, pace, .. } = self;
        Session::new(device, grow, handover, flights, pace).run(work)
    }
}
