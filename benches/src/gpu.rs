//! What a GPU does, beside the two limits that bind it: the rate of bare
//! compressions in registers, and the bytes that its memory moves.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::Serialize;
use spacetime_kernels::gpu::{Adapter, AdapterKind, GpuError, GpuGrower, OpenOptions};
use spacetime_kernels::{
    Best, BulkError, BulkGrower, BulkScorer, BulkWork, Cell, Challenge, Lot, MAX_CHALLENGES, Part, PlotKey, Proceed,
    RowIndex, Run, Shape, tagged_hash,
};
use spacetime_prover::check;

use crate::workload::{proof_requests, proofs_of};

/// Bytes of memory that a compression of a growing row reads and writes: two cells and one.
pub const BYTES_PER_COMPRESSION: f64 = 96.0;

/// Cells of the strips scored: 8 MiB.
const SCORED_CELLS: usize = 1 << 18;

/// Most proofs checked together: more rows than any card has lanes.
const MOST_PROOFS: usize = 1 << 16;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Bare compressions, in registers alone.
    Compress,
    /// Bytes read and written while memory of the card is copied.
    Copy,
    /// Bytes copied into memory of the host, and read there.
    ReadBack,
    /// Merkle pairs.
    Pairs,
    /// Growing as many rows as fit, in compressions; nothing is read back.
    Grow,
    /// The same with shaders that lack wgpu's checks.
    GrowUnchecked,
    /// Proofs checked together: rows of many plots grown again, one cell of each read back and folded to its root.
    Check,
    /// Scores of leaves that come from the host.
    Score,
    /// Bytes of finished strips that reach the host, of rows so cheap that handing over binds.
    Strips,
    /// The same with two devices, each with a queue and half of the memory.
    StripsTwoQueues,
}

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Shape of the rows grown.
    pub shape: Shape,
    /// How the adapters are opened.
    pub open: OpenOptions,
    /// About how long each job is measured.
    pub time: Duration,
}

impl Default for Options {
    /// The main network's rows.
    fn default() -> Self {
        let shape = Shape::new(13, 31).expect("the main network's shape");
        Self { shape, open: OpenOptions::default(), time: Duration::from_secs(2) }
    }
}

/// One result; serializes as one flat object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// Number of the adapter.
    pub adapter: usize,
    /// What it is.
    pub name: String,
    /// What was done.
    pub job: Job,
    /// How often a second: compressions, pairs, proofs, scores or bytes.
    pub rate: f64,
    /// Challenges scored in one pass; 0 for other jobs.
    pub challenges: usize,
    /// Share of the rate of bare compressions, for jobs that compress.
    pub of_bare: Option<f64>,
    /// Share of the rate at which memory is copied, for growing.
    pub of_memory: Option<f64>,
    /// log2 of the columns of the rows grown.
    pub p: u8,
    /// Mixing rounds of the rows grown.
    pub rounds: u8,
    /// Rows that grow side by side.
    pub rows_in_flight: usize,
    /// Bytes of memory that they take.
    pub table_bytes: u64,
}

/// Everything about one adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its number.
    pub adapter: usize,
    /// What it is, with its driver.
    pub name: String,
    /// What kind it is.
    pub kind: AdapterKind,
    /// What was measured, in this order.
    pub measurements: Vec<Measurement>,
}

impl Report {
    /// The rate of a job, with one challenge where they matter.
    #[must_use]
    pub fn rate(&self, job: Job) -> Option<f64> {
        let found = self.measurements.iter().find(|seen| seen.job == job && seen.challenges <= 1);
        found.map(|measurement| measurement.rate)
    }
}

/// Measures one adapter, and hands each result to `on_result` as soon as it stands;
/// ends early if that breaks off.
///
/// # Errors
/// If the adapter does not start, computes wrong results, or fails.
pub fn measure(
    adapter: &Adapter,
    options: &Options,
    mut on_result: impl FnMut(&Measurement) -> ControlFlow<()>,
) -> Result<Report, GpuError> {
    let name = format!("{}, {}", adapter.name(), adapter.driver());
    let mut report = Report { adapter: adapter.index(), name, kind: adapter.kind(), measurements: Vec::new() };
    let mut bench = Bench { adapter, options, report: &mut report, on_result: &mut on_result, rows: 0 };
    match bench.all() {
        Ok(()) | Err(Ended::Enough) => Ok(report),
        Err(Ended::Failed(error)) => Err(error),
    }
}

/// Why a measurement ended before its end.
enum Ended {
    /// Nobody wants to know more.
    Enough,
    Failed(GpuError),
}

impl From<GpuError> for Ended {
    fn from(error: GpuError) -> Self {
        Self::Failed(error)
    }
}

impl From<BulkError> for Ended {
    fn from(error: BulkError) -> Self {
        Self::Failed(error.into())
    }
}

struct Bench<'a> {
    adapter: &'a Adapter,
    options: &'a Options,
    report: &'a mut Report,
    on_result: &'a mut dyn FnMut(&Measurement) -> ControlFlow<()>,
    /// Rows in flight.
    rows: usize,
}

impl Bench<'_> {
    fn all(&mut self) -> Result<(), Ended> {
        self.limits()?;
        self.growing()?;
        self.checking()?;
        self.scoring()?;
        self.strips()
    }

    fn note(&mut self, job: Job, challenges: usize, rate: f64, compressions: f64) -> Result<(), Ended> {
        let bare = if job == Job::Compress { Some(rate) } else { self.report.rate(Job::Compress) };
        let copied = self.report.rate(Job::Copy);
        let grows = matches!(job, Job::Grow | Job::GrowUnchecked);
        let shape = self.options.shape;
        let measurement = Measurement {
            adapter: self.report.adapter,
            name: self.report.name.clone(),
            job,
            rate,
            challenges,
            of_bare: bare.filter(|_| compressions > 0.0).map(|bare| rate * compressions / bare),
            of_memory: copied.filter(|_| grows).map(|copied| rate * BYTES_PER_COMPRESSION / copied),
            p: shape.log2_columns(),
            rounds: shape.rounds(),
            rows_in_flight: self.rows,
            table_bytes: (self.rows * shape.row_bytes()) as u64,
        };
        let flow = (self.on_result)(&measurement);
        self.report.measurements.push(measurement);
        if flow.is_continue() { Ok(()) } else { Err(Ended::Enough) }
    }

    fn limits(&mut self) -> Result<(), Ended> {
        let &Options { time, open, shape } = self.options;
        // Rows in flight are told with every result; nothing is grown for that.
        self.rows = self.adapter.open(shape, &open)?.rows_in_flight();
        let meter = self.adapter.open_meter(&open)?;
        let compress = meter.bare(self.rows.max(1 << 14), time)?;
        self.note(Job::Compress, 0, compress.per_second(), 1.0)?;
        self.note(Job::Copy, 0, meter.copy(time)?.per_second(), 0.0)?;
        self.note(Job::ReadBack, 0, meter.read_back(time)?.per_second(), 0.0)?;
        // A pair is two compressions.
        self.note(Job::Pairs, 0, meter.pairs(time)?.per_second(), 2.0)?;
        Ok(())
    }

    fn growing(&mut self) -> Result<(), Ended> {
        let &Options { open, shape, .. } = self.options;
        for (job, unchecked) in [(Job::Grow, false), (Job::GrowUnchecked, true)] {
            let mut grower = self.adapter.open(shape, &OpenOptions { unchecked, ..open })?;
            // The first settles the size of a dispatch.
            grower.growing_rate()?;
            self.note(job, 0, grower.growing_rate()?, 1.0)?;
        }
        Ok(())
    }

    fn checking(&mut self) -> Result<(), Ended> {
        let &Options { open, shape, .. } = self.options;
        let mut grower = self.adapter.open(shape, &open)?;
        let requests = proof_requests(shape, grower.rows_in_flight().min(MOST_PROOFS));
        let mut leaves = vec![[0; 32]; requests.len()];
        grower.grow_cells(&requests, &mut leaves)?;
        let proofs = proofs_of(shape, requests, leaves);
        let began = Instant::now();
        // The cheap rules, then the row, as a verifier does.
        let requests: Vec<_> = proofs
            .iter()
            .map(|(proof, expected)| check(proof, expected).expect("true proofs pass the cheap rules"))
            .collect();
        let mut grown = vec![[0; 32]; requests.len()];
        grower.grow_cells(&requests, &mut grown)?;
        assert!(proofs.iter().zip(&grown).all(|((proof, _), grown)| proof.leaf == *grown), "rows grow alike");
        let rate = proofs.len() as f64 / began.elapsed().as_secs_f64();
        self.note(Job::Check, 0, rate, shape.compressions_per_row() as f64)?;
        Ok(())
    }

    fn scoring(&mut self) -> Result<(), Ended> {
        let mut scorer = self.adapter.open_scorer(&self.options.open)?;
        let strip: Vec<Cell> = (0..SCORED_CELLS).map(|place| tagged_hash("strip", &[&place.to_le_bytes()])).collect();
        for challenges in [1, MAX_CHALLENGES] {
            let asked: Vec<_> = (0..challenges).map(|number| Challenge([number as u8; 32])).collect();
            let mut best: Vec<Option<Best>> = vec![None; challenges];
            scorer.score_best(&asked, &strip, 0, &mut best)?;
            let (began, mut scored) = (Instant::now(), 0);
            while scored == 0 || began.elapsed() < self.options.time / 2 {
                scorer.score_best(&asked, &strip, 0, &mut best)?;
                scored += SCORED_CELLS * challenges;
            }
            // A score is two compressions.
            self.note(Job::Score, challenges, scored as f64 / began.elapsed().as_secs_f64(), 2.0)?;
        }
        Ok(())
    }

    fn strips(&mut self) -> Result<(), Ended> {
        let shape = Shape::new(self.options.shape.log2_columns(), 1).expect("one round is the least");
        for (job, queues) in [(Job::Strips, 1), (Job::StripsTwoQueues, 2)] {
            let memory = self.options.open.memory_bytes.unwrap_or_else(|| self.adapter.default_memory_bytes());
            let open = OpenOptions { memory_bytes: Some(memory / queues), ..self.options.open };
            let growers = (0..queues).map(|_| self.adapter.open(shape, &open)).collect::<Result<Vec<_>, _>>()?;
            self.note(job, 0, strips_rate(growers, self.options.time)?, 0.0)?;
        }
        Ok(())
    }
}

/// Bytes of strips a second that reach the host, from all growers together.
fn strips_rate(growers: Vec<GpuGrower>, time: Duration) -> Result<f64, GpuError> {
    let rates = std::thread::scope(|scope| {
        let threads: Vec<_> = growers
            .into_iter()
            .map(|mut grower| {
                scope.spawn(move || {
                    let mut sink = Sink::new(grower.shape(), time);
                    grower.grow(&mut sink).map(|()| sink.rate())
                })
            })
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect::<Result<Vec<f64>, _>>()
    })?;
    Ok(rates.into_iter().sum())
}

/// Takes strips into memory that it uses again and again.
struct Sink {
    host: Vec<Cell>,
    columns: usize,
    time: Duration,
    next_row: u64,
    /// Since the first lot was handed over whole; what came before found everything cold.
    began: Option<Instant>,
    last: Instant,
    bytes: u64,
    cells_left_of_first: Option<usize>,
}

/// Fewest lots of which all but the first count.
const LEAST_LOTS: u64 = 3;

impl Sink {
    fn new(shape: Shape, time: Duration) -> Self {
        Self {
            host: Vec::new(),
            columns: shape.columns(),
            time,
            next_row: 0,
            began: None,
            last: Instant::now(),
            bytes: 0,
            cells_left_of_first: None,
        }
    }

    fn rate(&self) -> f64 {
        let seconds = self.began.map_or(0.0, |began| (self.last - began).as_secs_f64());
        if seconds > 0.0 { self.bytes as f64 / seconds } else { 0.0 }
    }
}

impl BulkWork for Sink {
    fn next(&mut self, most: usize) -> Option<(PlotKey, Lot)> {
        // The largest whole subtree: strips of a power of two of rows.
        let level = most.ilog2();
        let lots = self.next_row >> level;
        if lots >= LEAST_LOTS && self.began.is_some_and(|began| began.elapsed() > self.time) {
            return None;
        }
        let lot = Lot { first_row: RowIndex(self.next_row), runs: vec![Run { rows: 1 << level, level }] };
        self.next_row += 1 << level;
        self.cells_left_of_first.get_or_insert(self.columns << level);
        Some((PlotKey([1; 32]), lot))
    }

    fn take(&mut self, part: Part<'_>) -> Proceed {
        self.host.resize(self.host.len().max(part.strips.len()), [0; 32]);
        self.host[..part.strips.len()].copy_from_slice(part.strips);
        self.last = Instant::now();
        if self.began.is_some() {
            self.bytes += size_of_val(part.strips) as u64;
        } else if let Some(left) = &mut self.cells_left_of_first {
            *left -= part.strips.len();
            if *left == 0 {
                self.began = Some(self.last);
            }
        }
        Proceed::GoOn
    }

    fn proceed(&mut self) -> Proceed {
        Proceed::GoOn
    }
}
