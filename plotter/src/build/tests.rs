//! Disks that fill up, lie and lose power, and engines that grow wrong rows.

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use spacetime_kernels::{Backend, Cell, PlotKey, RowIndex, Shape, network_tag};

use super::*;
use crate::control::Control;
use crate::engine::{Cpu, Engine, Worker};
use crate::error::CreateError;
use crate::params::PlotParams;
use crate::resume::grow_on;
use crate::trailer::PlanKind;

mod cards;
mod fake;

/// Pieces that may be grown or wait, where a test does not say.
const WINDOW: usize = 64;

/// Smallest piece of a write that survives or is lost as a whole.
const SECTOR: usize = 512;

#[derive(Clone, Debug)]
enum Op {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

fn apply(image: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(at, bytes) => {
            let end = *at as usize + bytes.len();
            image.resize(image.len().max(end), 0);
            image[*at as usize..end].copy_from_slice(bytes);
        }
        Op::SetLen(bytes) => image.resize(*bytes as usize, 0),
        Op::Sync => {}
    }
}

/// A file in memory that keeps a record of what was asked of it.
struct Recorded {
    image: Mutex<Vec<u8>>,
    ops: Mutex<Vec<Op>>,
    /// Operations after which everything fails as on a full disk.
    room: AtomicUsize,
    /// Writes to offsets from here on are acknowledged and forgotten.
    swallow_from: Option<std::ops::Range<u64>>,
}

impl Recorded {
    fn new(image: Vec<u8>) -> Self {
        Self {
            image: Mutex::new(image),
            ops: Mutex::new(Vec::new()),
            room: AtomicUsize::new(usize::MAX),
            swallow_from: None,
        }
    }

    fn done(&self, op: Op) -> io::Result<()> {
        let room = self.room.load(Ordering::Relaxed);
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room.store(room - 1, Ordering::Relaxed);
        apply(&mut self.image.lock().expect("no panic"), &op);
        self.ops.lock().expect("no panic").push(op);
        Ok(())
    }

    fn image(&self) -> Vec<u8> {
        self.image.lock().expect("no panic").clone()
    }
}

impl Storage for Recorded {
    fn write_at(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        if self.swallow_from.as_ref().is_some_and(|range| range.contains(&offset_bytes)) {
            return Ok(());
        }
        self.done(Op::Write(offset_bytes, bytes.to_vec()))
    }

    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        let image = self.image.lock().expect("no panic");
        let bytes = image.get(offset_bytes as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.done(Op::Sync)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.image.lock().expect("no panic").len() as u64)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.done(Op::SetLen(bytes))
    }
}

/// Grows every row of the plot one number too high.
struct Liar;

impl Engine for Liar {
    fn name(&self) -> String {
        "liar".into()
    }
    fn worker(&self, shape: Shape) -> Box<dyn Worker> {
        Box::new(LyingWorker(Cpu(Backend::PORTABLE).worker(shape)))
    }
    fn worker_bytes(&self, shape: Shape) -> u64 {
        Cpu(Backend::PORTABLE).worker_bytes(shape)
    }
    fn checked_by(&self) -> Backend {
        Backend::fastest()
    }
    fn hasher(&self) -> Backend {
        Backend::fastest()
    }
}

struct LyingWorker(Box<dyn Worker>);

impl Worker for LyingWorker {
    fn grow(&mut self, key: &PlotKey, rows: &[RowIndex], block: &mut [Cell]) {
        let rows: Vec<_> = rows.iter().map(|row| RowIndex(row.0 + 1)).collect();
        self.0.grow(key, &rows, block);
    }
}

fn plan(rows: u64, rows_per_segment: u64) -> Plan {
    let params = PlotParams {
        miner_key: [7; 48],
        seed: [1; 32],
        network: network_tag("local"),
        shape: Shape::new(4, 1).expect("a shape"),
        rows,
        rows_per_segment: Some(rows_per_segment),
        first_row: None,
    };
    let (header, state) = params.header().expect("good parameters");
    Plan { header, state, kind: PlanKind::Grown, replace: false, destination: None }
}

/// The file as it stands when growing begins.
fn begun(plan: &Plan) -> Vec<u8> {
    let trailer = Trailer::new(&plan.layout().expect("a layout"));
    let storage = Recorded::new(vec![0; trailer.end() as usize]);
    trailer.write_plan(&storage, plan).expect("memory takes it");
    storage.write_at(&plan.header.encode(), 0).expect("memory takes it");
    storage.image()
}

fn run(storage: &Recorded, plan: &Plan, engine: &dyn Engine, batch_rows: u64) -> Result<PlotHeader, BuildError> {
    let control = Control::default();
    build(storage, plan, batch_rows, &CreateOptions { engine, threads: 2, ..options(&control) }).run()
}

/// The CPU alone, on one thread, with whatever memory there is.
fn options(control: &Control) -> CreateOptions<'_> {
    CreateOptions {
        engine: &Cpu(Backend::PORTABLE),
        threads: 1,
        growers: &[],
        cpu_grows: true,
        memory: Some(64 << 20),
        force: false,
        preallocate: true,
        control,
        events: &|_| (),
    }
}

/// A plot of which nothing is there, in batches of `batch_rows`.
fn build<'a>(storage: &'a Recorded, plan: &'a Plan, batch_rows: u64, options: &'a CreateOptions<'a>) -> Build<'a> {
    let layout = plan.layout().expect("a layout");
    let (trailer, progress) = (Trailer::new(&layout), Progress::default());
    let sizes = Sizes { batch_rows, window: WINDOW, bytes: 0 };
    Build { storage, plan, layout, trailer, progress, sizes, options }
}

/// Finishes the plot in `image`, which may be in any state that a loss of power leaves.
fn resumed(image: Vec<u8>) -> Result<Vec<u8>, CreateError> {
    resumed_with(image, &options(&Control::default()))
}

fn resumed_with(image: Vec<u8>, options: &CreateOptions<'_>) -> Result<Vec<u8>, CreateError> {
    let storage = Recorded::new(image);
    // Without a plan it was complete and cut off.
    if let Ok((plan, trailer)) = Trailer::read_plan(&storage) {
        grow_on(Path::new("memory.plot.tmp"), &storage, &plan, trailer, options)?;
    }
    Ok(storage.image())
}

/// What may be on the disk after power was cut behind `ops`: all that was synced,
/// and of the rest such sectors as `keep` says.
fn after_power_loss(begun: &[u8], ops: &[Op], mut keep: impl FnMut() -> bool) -> Vec<u8> {
    let synced = ops.iter().rposition(|op| matches!(op, Op::Sync)).map_or(0, |at| at + 1);
    let mut image = begun.to_vec();
    ops[..synced].iter().for_each(|op| apply(&mut image, op));
    for op in &ops[synced..] {
        match op {
            Op::Write(at, bytes) => {
                for (sector, bytes) in bytes.chunks(SECTOR).enumerate() {
                    if keep() {
                        apply(&mut image, &Op::Write(at + (sector * SECTOR) as u64, bytes.to_vec()));
                    }
                }
            }
            other => {
                if keep() {
                    apply(&mut image, other);
                }
            }
        }
    }
    image
}

fn cpu() -> Cpu {
    Cpu(Backend::fastest())
}

#[test]
fn every_prefix_of_the_record_resumes_to_the_same_bytes() {
    for (rows, rows_per_segment, batch_rows) in [(100, 32, 16), (77, 128, 32), (40, 2, 16), (5, 8, 8)] {
        let plan = plan(rows, rows_per_segment);
        let begun = begun(&plan);
        let storage = Recorded::new(begun.clone());
        run(&storage, &plan, &cpu(), batch_rows).expect("a plot");
        let whole = storage.image();
        let ops = storage.ops.into_inner().expect("no panic");
        assert!(ops.iter().filter(|op| matches!(op, Op::Sync)).count() >= 5, "the record has syncs to cut between");
        for cut in 0..=ops.len() {
            for all in [false, true] {
                let image = after_power_loss(&begun, &ops[..cut], || all);
                assert!(
                    resumed(image).expect("a plot") == whole,
                    "{rows} rows, cut after {cut} of {} steps",
                    ops.len()
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn torn_writes_resume_to_the_same_bytes(cut in 0.0f64..1.0, draws in proptest::collection::vec(any::<bool>(), 64)) {
        let plan = plan(90, 32);
        let begun = begun(&plan);
        let storage = Recorded::new(begun.clone());
        run(&storage, &plan, &cpu(), 16).expect("a plot");
        let whole = storage.image();
        let ops = storage.ops.into_inner().expect("no panic");
        let mut draws = draws.into_iter().cycle();
        let cut = (cut * (ops.len() + 1) as f64) as usize;
        let image = after_power_loss(&begun, &ops[..cut], || draws.next().expect("a cycle does not end"));
        prop_assert!(resumed(image).expect("a plot") == whole);
    }
}

#[test]
fn a_disk_that_forgets_what_it_synced_is_noticed() {
    // The control of the tests above: drop one synced data write of the last
    // batch, and resuming must go back; drop one of an older batch, and no
    // resuming can know, so the bytes differ.
    let plan = plan(64, 64);
    let begun = begun(&plan);
    let storage = Recorded::new(begun.clone());
    run(&storage, &plan, &cpu(), 16).expect("a plot");
    let whole = storage.image();
    let ops = storage.ops.into_inner().expect("no panic");
    // The steps up to where all four batches are noted down and nothing is completed.
    let syncs: Vec<_> = ops.iter().enumerate().filter(|(_, op)| matches!(op, Op::Sync)).map(|(at, _)| at).collect();
    let noted = &ops[..=syncs[7]];
    let without = |lost: usize| {
        let kept: Vec<_> = noted.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, op)| op.clone()).collect();
        resumed(after_power_loss(&begun, &kept, || true)).expect("a plot")
    };
    let last_batch = syncs[5] + 1;
    assert!(matches!(noted[last_batch], Op::Write(..)));
    assert!(without(last_batch) == whole, "the last batch was verified and grown again");
    assert!(without(0) != whole, "an older batch is not");
}

#[test]
fn a_full_disk_in_the_middle_loses_nothing() {
    let plan = plan(100, 32);
    let begun = begun(&plan);
    let storage = Recorded::new(begun.clone());
    run(&storage, &plan, &cpu(), 16).expect("a plot");
    let whole = storage.image();
    let steps = storage.ops.into_inner().expect("no panic").len();
    for room in 0..steps {
        let storage = Recorded::new(begun.clone());
        storage.room.store(room, Ordering::Relaxed);
        let error = run(&storage, &plan, &cpu(), 16).expect_err("a full disk");
        assert!(matches!(&error, BuildError::Io(error) if error.kind() == io::ErrorKind::StorageFull), "{error}");
        assert!(resumed(storage.image()).expect("a plot") == whole, "full after {room} of {steps} steps");
    }
}

#[test]
fn wrong_rows_never_become_a_plot() {
    let plan = plan(100, 32);
    let storage = Recorded::new(begun(&plan));
    let error = run(&storage, &plan, &Liar, 16).expect_err("wrong rows");
    assert!(matches!(error, BuildError::WrongCell { .. }), "{error}");
    // Nothing of them was noted down: an honest engine starts over and ends right.
    let honest = Recorded::new(begun(&plan));
    run(&honest, &plan, &cpu(), 16).expect("a plot");
    assert!(resumed(storage.image()).expect("a plot") == honest.image());
}

#[test]
fn a_disk_that_swallows_writes_is_noticed() {
    let plan = plan(100, 32);
    let layout = plan.layout().expect("a layout");
    let mut storage = Recorded::new(begun(&plan));
    storage.swallow_from = Some(layout.data_offset()..layout.data_end());
    let error = run(&storage, &plan, &cpu(), 16).expect_err("lost cells");
    assert!(matches!(error, BuildError::WrongCell { .. }), "{error}");
}

#[test]
fn stopping_keeps_what_was_done() {
    let plan = plan(200, 32);
    let storage = Recorded::new(begun(&plan));
    let control = Control::default();
    let stop_at_third = |event| {
        if matches!(event, Event::Done { rows_done } if rows_done >= 48) {
            control.stop();
        }
    };
    let options = CreateOptions { events: &stop_at_third, ..options(&control) };
    let error = build(&storage, &plan, 16, &options).run().expect_err("stopped");
    assert!(matches!(error, BuildError::Stopped(_)), "{error}");
    let slots = Trailer::read_plan(&storage).expect("a plan").1.read_progress(&storage).expect("memory reads");
    assert!(slots[0].1.rows_done >= 48);
    let whole = Recorded::new(begun(&plan));
    run(&whole, &plan, &cpu(), 64).expect("a plot");
    assert!(resumed(storage.image()).expect("a plot") == whole.image());
}
