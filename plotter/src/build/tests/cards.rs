//! Plots that cards grow, alone, together and beside the CPU.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use super::fake::{Gate, Knobs, Lie, Misfit, knobs};
use super::*;
use crate::SharedGrower;
use crate::create::estimate;
use crate::memory::sizes;

/// The finished file, made by the CPU alone.
fn expected(plan: &Plan) -> Vec<u8> {
    let storage = Recorded::new(begun(plan));
    run(&storage, plan, &cpu(), 64).expect("a plot");
    storage.image()
}

fn rows_noted(storage: &Recorded) -> u64 {
    let trailer = Trailer::read_plan(storage).expect("a plan").1;
    trailer.read_progress(storage).expect("memory reads").first().map_or(0, |(_, progress)| progress.rows_done)
}

#[test]
fn whoever_grows_it_the_file_is_the_same() {
    let shapes = [(1, 1, 1), (5, 2, 8), (16, 16, 16), (77, 128, 32), (100, 32, 16), (333, 4, 64), (400, 128, 16)];
    for (rows, rows_per_segment, batch_rows) in shapes {
        let plan = plan(rows, rows_per_segment);
        let (begun, expected) = (begun(&plan), expected(&plan));
        for rows_in_flight in [1, 5, 16, 40, 1000] {
            for (cards, cpu_grows) in [(1, false), (1, true), (2, false), (3, true)] {
                for (columns_per_part, lots_at_once) in [(16, 1), (5, 3)] {
                    let knobs = Knobs { rows_in_flight, columns_per_part, lots_at_once, ..knobs() };
                    let growers: Vec<_> = (0..cards).map(|_| knobs.clone().card()).collect();
                    let (storage, control) = (Recorded::new(begun.clone()), Control::default());
                    let grown = AtomicU64::new(0);
                    let count = |event| {
                        if let Event::Grown(rows) = event {
                            grown.fetch_add(rows, Ordering::Relaxed);
                        }
                    };
                    let options = CreateOptions { growers: &growers, cpu_grows, events: &count, ..options(&control) };
                    build(&storage, &plan, batch_rows, &options).run().expect("a plot");
                    let what = format!(
                        "{rows} rows in segments of {rows_per_segment} and batches of {batch_rows}, \
                         {cards} cards with {rows_in_flight} in flight, CPU: {cpu_grows}"
                    );
                    assert!(storage.image() == expected, "{what}");
                    assert_eq!(grown.into_inner(), rows, "{what}");
                }
            }
        }
    }
}

/// Opens for rows other than the first at once, and for those when so many rows were grown.
struct HeldBack {
    grown: Arc<AtomicU64>,
    gate: Gate,
}

fn held_back(until_grown: u64) -> HeldBack {
    let grown = Arc::new(AtomicU64::new(0));
    let seen = grown.clone();
    HeldBack { grown, gate: Arc::new(move |row| row.0 > 0 || seen.load(Ordering::Relaxed) >= until_grown) }
}

impl HeldBack {
    fn see(&self, event: &Event) {
        if let Event::Grown(rows) = event {
            self.grown.fetch_add(*rows, Ordering::Relaxed);
        }
    }

    fn pair(&self, rows_in_flight: usize) -> [SharedGrower; 2] {
        ["gpu:0 (fake)", "gpu:1 (fake)"]
            .map(|name| Knobs { name, rows_in_flight, gate: Some(self.gate.clone()), ..knobs() }.card())
    }
}

#[test]
fn every_prefix_of_work_out_of_order_resumes_to_the_same_bytes() {
    // Whoever gets the first rows hands them over when all others are grown.
    for (rows, rows_per_segment) in [(150, 32), (100, 4)] {
        let plan = plan(rows, rows_per_segment);
        let (begun, expected) = (begun(&plan), expected(&plan));
        let held = held_back(rows - 16);
        let (storage, control) = (Recorded::new(begun.clone()), Control::default());
        let (growers, see) = (held.pair(16), |event| held.see(&event));
        let options = CreateOptions { growers: &growers, cpu_grows: false, events: &see, ..options(&control) };
        build(&storage, &plan, 8, &options).run().expect("a plot");
        assert!(storage.image() == expected);
        let ops = storage.ops.into_inner().expect("no panic");
        for cut in 0..=ops.len() {
            for all in [false, true] {
                let image = after_power_loss(&begun, &ops[..cut], || all);
                assert!(resumed(image).expect("a plot") == expected, "{rows} rows, cut after {cut} of {}", ops.len());
            }
        }
    }
}

#[test]
fn rows_that_wait_for_others_have_a_bound() {
    // The first lot is held back until the other card has filled the window. One that
    // ran on would also end, so this is that nobody waits for ever; the bound is the queue's test.
    let (plan, batch_rows) = (plan(400, 64), 8);
    let held = held_back(4 * batch_rows);
    let (storage, control) = (Recorded::new(begun(&plan)), Control::default());
    let (growers, see) = (held.pair(16), |event| held.see(&event));
    let options = CreateOptions { growers: &growers, cpu_grows: false, events: &see, ..options(&control) };
    let sizes = Sizes { batch_rows, window: 6, bytes: 0 };
    Build { sizes, ..build(&storage, &plan, batch_rows, &options) }.run().expect("a plot");
    assert!(storage.image() == expected(&plan));
}

#[test]
fn others_go_on_when_a_card_is_lost() {
    let plan = plan(333, 64);
    let (begun, expected) = (begun(&plan), expected(&plan));
    for cpu_grows in [false, true] {
        for parts in [0, 1, 4, 7, 20] {
            let lost = Arc::new(AtomicBool::new(false));
            let seen = lost.clone();
            // The other card hands nothing over before.
            let gate: Gate = Arc::new(move |_| seen.load(Ordering::Relaxed));
            let failing = Knobs { lost_after: Some(parts), lots_at_once: 2, ..knobs() };
            let growers = [failing.card(), Knobs { name: "gpu:1 (fake)", gate: Some(gate), ..knobs() }.card()];
            let see = |event| {
                if let Event::Lost(BulkError::Lost { name, .. }) = event {
                    assert_eq!(name, "gpu:0 (fake)");
                    lost.store(true, Ordering::Relaxed);
                }
            };
            let (storage, control) = (Recorded::new(begun.clone()), Control::default());
            let options = CreateOptions { growers: &growers, cpu_grows, events: &see, ..options(&control) };
            // The CPU may do all the rest before the failing card gets so far: then the gate must open, too.
            let options = if cpu_grows { CreateOptions { growers: &growers[..1], ..options } } else { options };
            build(&storage, &plan, 16, &options).run().expect("a plot");
            assert!(storage.image() == expected, "lost after {parts} parts, CPU: {cpu_grows}");
            assert!(cpu_grows || lost.load(Ordering::Relaxed));
        }
    }
}

#[test]
fn with_nobody_left_the_plot_can_be_resumed() {
    let plan = plan(200, 32);
    let expected = expected(&plan);
    for parts in [0, 3, 9, 30] {
        let (storage, control) = (Recorded::new(begun(&plan)), Control::default());
        let growers = [Knobs { lost_after: Some(parts), ..knobs() }.card()];
        let cards = CreateOptions { growers: &growers, cpu_grows: false, ..options(&control) };
        let error = build(&storage, &plan, 16, &cards).run().expect_err("nobody grows");
        assert!(matches!(&error, BuildError::NoneLeft(BulkError::Lost { .. })), "{error}");
        // Four parts are a run of 16 rows here: what was handed over whole was kept.
        assert_eq!(rows_noted(&storage), (parts as u64 / 4) * 16);
        // A lost card stays lost, another goes on.
        assert!(resumed_with(storage.image(), &cards).is_err());
        let growers = [knobs().card()];
        let cards = CreateOptions { growers: &growers, ..cards };
        assert!(resumed_with(storage.image(), &cards).expect("a plot") == expected);
        assert!(resumed(storage.image()).expect("a plot") == expected);
    }
}

#[test]
fn a_card_that_lies_is_named_and_nothing_of_it_is_kept() {
    // In pieces of four rows all rows are grown again. What an honest card does is shown above.
    let plan = plan(200, 32);
    for lie in [Lie::Cell, Lie::Roots] {
        let (storage, control) = (Recorded::new(begun(&plan)), Control::default());
        let growers = [Knobs { lie: Some((2, lie)), ..knobs() }.card()];
        let options = CreateOptions { growers: &growers, cpu_grows: false, ..options(&control) };
        let error = build(&storage, &plan, 4, &options).run().expect_err("a lie");
        match &error {
            BuildError::WrongCell { row: 80, column: 3, grower, .. } if lie == Lie::Cell => {
                assert_eq!(grower, "gpu:0 (fake)");
            }
            BuildError::WrongRoot { row: 80, grower, .. } if lie == Lie::Roots => assert_eq!(grower, "gpu:0 (fake)"),
            other => panic!("{other}"),
        }
        assert_eq!(rows_noted(&storage), 80, "all before the lie counts, nothing after it");
        assert!(resumed(storage.image()).expect("a plot") == expected(&plan));
    }
}

#[test]
fn a_card_for_another_shape_is_refused() {
    let plan = plan(20, 32);
    let growers = [Knobs { shape: Shape::new(5, 1).expect("a shape"), ..knobs() }.card()];
    let (storage, control) = (Recorded::new(begun(&plan)), Control::default());
    let options = CreateOptions { growers: &growers, ..options(&control) };
    let error = build(&storage, &plan, 16, &options).run().expect_err("another shape");
    assert!(matches!(&error, BuildError::OtherShape(name) if name == "gpu:0 (fake)"), "{error}");
}

#[test]
fn stopping_while_cards_hold_rows_keeps_what_was_done() {
    let plan = plan(400, 64);
    for cpu_grows in [false, true] {
        let (storage, control) = (Recorded::new(begun(&plan)), Control::default());
        // One card never hands over what lies behind its first rows.
        let gate: Gate = Arc::new(|row| row.0 < 48);
        let growers = [0, 1].map(|_| Knobs { rows_in_flight: 24, gate: Some(gate.clone()), ..knobs() }.card());
        let stop = |event| {
            if matches!(event, Event::Done { rows_done } if rows_done >= 32) {
                control.stop();
            }
        };
        let options = CreateOptions { growers: &growers, cpu_grows, events: &stop, ..options(&control) };
        let error = build(&storage, &plan, 16, &options).run().expect_err("stopped");
        assert!(matches!(error, BuildError::Stopped(_)), "{error}");
        assert!(rows_noted(&storage) >= 32);
        let options = CreateOptions { cpu_grows, events: &|_| (), control: &Control::default(), ..options };
        let growers = [knobs().card()];
        let options = CreateOptions { growers: &growers, ..options };
        assert!(resumed_with(storage.image(), &options).expect("a plot") == expected(&plan));
    }
}

#[test]
fn a_card_that_is_out_of_step_is_lost_and_named() {
    use Misfit::{Empty, FewCells, NoRoots, OtherRun, Skips, Twice};
    let plan = plan(200, 32);
    let expected = expected(&plan);
    for misfit in [FewCells, NoRoots, Skips, Empty, OtherRun, Twice].map(Some).into_iter().chain([None]) {
        let (storage, control) = (Recorded::new(begun(&plan)), Control::default());
        let growers = [Knobs { misfit, idles: misfit.is_none(), ..knobs() }.card()];
        let cards = CreateOptions { growers: &growers, cpu_grows: false, ..options(&control) };
        let error = build(&storage, &plan, 16, &cards).run().expect_err("nobody grows");
        let name = "gpu:0 (fake)";
        assert!(matches!(&error, BuildError::NoneLeft(BulkError::Lost { name: lost, .. }) if lost == name), "{error}");
        // Others do the rest.
        let beside = CreateOptions { cpu_grows: true, ..cards };
        assert!(resumed_with(storage.image(), &beside).expect("a plot") == expected, "{misfit:?}");
    }
}

/// A file whose every sync panics, once all who grow have handed over what they had.
struct Bursting(Recorded);

impl Storage for Bursting {
    fn write_at(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset_bytes)
    }
    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset_bytes)
    }
    fn sync(&self) -> io::Result<()> {
        std::thread::sleep(Duration::from_millis(200));
        panic!("a test's")
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
}

#[test]
fn a_panic_of_the_writer_ends_those_who_wait_for_rows() {
    let (say, hear) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let plan = plan(16, 16);
        let (storage, control) = (Bursting(Recorded::new(begun(&plan))), Control::default());
        let growers = [knobs().card(), knobs().card()];
        let options = CreateOptions { growers: &growers, ..options(&control) };
        let build = Build { storage: &storage, ..build(&storage.0, &plan, 16, &options) };
        say.send(catch_unwind(AssertUnwindSafe(|| build.run())).is_err())
    });
    assert_eq!(hear.recv_timeout(Duration::from_secs(60)), Ok(true));
}

#[test]
fn a_full_disk_ends_all_who_grow() {
    let plan = plan(400, 64);
    let growers = [knobs().card(), Knobs { rows_in_flight: 16, ..knobs() }.card()];
    for room in [0, 5, 30] {
        let (storage, control) = (Recorded::new(begun(&plan)), Control::default());
        storage.room.store(room, Ordering::Relaxed);
        let options = CreateOptions { growers: &growers, ..options(&control) };
        let error = build(&storage, &plan, 16, &options).run().expect_err("a full disk");
        assert!(matches!(&error, BuildError::Io(error) if error.kind() == io::ErrorKind::StorageFull), "{error}");
        assert!(resumed(storage.image()).expect("a plot") == expected(&plan));
    }
}

#[test]
fn plots_made_side_by_side_take_turns_with_the_cards() {
    let growers = [knobs().card(), knobs().card()];
    let plan = plan(200, 32);
    let expected = expected(&plan);
    std::thread::scope(|scope| {
        let make = || {
            let (storage, control) = (Recorded::new(begun(&plan)), Control::default());
            let options = CreateOptions { growers: &growers, ..options(&control) };
            build(&storage, &plan, 16, &options).run().expect("a plot");
            assert!(storage.image() == expected);
        };
        let threads = [(); 4].map(|()| scope.spawn(make));
        threads.into_iter().for_each(|thread| thread.join().expect("a plot"));
    });
}

#[test]
fn estimates_count_on_the_cards() {
    let params = PlotParams {
        miner_key: [7; 48],
        seed: [1; 32],
        network: network_tag("local"),
        shape: Shape::new(4, 1).expect("a shape"),
        rows: 4_000_000,
        rows_per_segment: None,
        first_row: None,
    };
    let (growers, control) = ([knobs().card(), knobs().card()], Control::default());
    let options = CreateOptions { growers: &growers, cpu_grows: false, ..options(&control) };
    let alone = estimate(&params, Path::new("."), &options).expect("an estimate").time;
    // Two times 40 rows in 100 µs each.
    assert!((alone.as_secs_f64() - 5.0).abs() < 0.01, "{alone:?}");
    let measures = Duration::from_millis(300);
    let together = knobs();
    let queues = [0, 1].map(|_| Knobs { measures, ..together.clone() }.card());
    estimate(&params, Path::new("."), &CreateOptions { growers: &queues, ..options }).expect("an estimate");
    assert_eq!(together.measuring[1].load(Ordering::Relaxed), 2, "two queues of one card share its speed");
    let beside = CreateOptions { cpu_grows: true, ..options };
    assert!(estimate(&params, Path::new("."), &beside).expect("an estimate").time < alone);
    let growers = [Knobs { lost_after: Some(0), ..knobs() }.card()];
    let lost = CreateOptions { growers: &growers, ..options };
    assert!(matches!(estimate(&params, Path::new("."), &lost), Err(CreateError::Grower(BulkError::Lost { .. }))));
}

#[test]
fn memory_bounds_batches_and_window() {
    let plan = plan(1 << 20, 1 << 16);
    let layout = plan.layout().expect("a layout");
    let growers = [0, 1].map(|_| Knobs { rows_in_flight: 50_000, ..knobs() }.card());
    let control = Control::default();
    let mut last = 0;
    for memory in [600 << 10, 1 << 20, 4 << 20, 256 << 20] {
        let memory = memory + crate::write::WRITE_BYTES as u64;
        let options = CreateOptions { growers: &growers, memory: Some(memory), ..options(&control) };
        let sizes = sizes(&plan.header, &layout, &options).expect("a batch fits");
        assert!(sizes.bytes <= memory && sizes.window >= 3 * 8, "{sizes:?} in {memory} bytes");
        assert!(sizes.batch_rows > last, "more memory, larger batches: {sizes:?}");
        last = sizes.batch_rows;
    }
    assert!(matches!(
        sizes(&plan.header, &layout, &CreateOptions { growers: &growers, memory: Some(1), ..options(&control) }),
        Err(CreateError::SmallBudget { .. })
    ));
    // Who grows alone hands over in order, so that nothing waits.
    let alone = sizes(&plan.header, &layout, &options(&control)).expect("a batch fits");
    assert_eq!(alone.window, usize::MAX);
}
