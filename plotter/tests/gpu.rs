//! Plots grown by the GPU engine itself: the same bytes as the CPU's, whatever goes wrong.
//!
//! Without an adapter these tests say SKIPPED and pass; with `SPACETIME_REQUIRE_GPU=1` they fail.
#![cfg(feature = "gpu")]

mod made;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use made::{Maker, params};
use spacetime_kernels::BulkGrower;
use spacetime_kernels::gpu::{Adapter, GpuGrower, OpenOptions, Rewrite, adapters};
use spacetime_plotter::{BuildError, CreateError, CreateOptions, Event, PlotParams, SharedGrower, create, resume};

/// The first adapter, if there is one.
fn adapter() -> Option<Adapter> {
    let first = adapters().into_iter().next();
    if first.is_none() {
        let is_required = std::env::var_os("SPACETIME_REQUIRE_GPU").is_some_and(|value| value == "1");
        assert!(!is_required, "SPACETIME_REQUIRE_GPU=1, and there is no adapter");
        eprintln!("SKIPPED: no GPU adapter, nor Mesa's software Vulkan");
    }
    first
}

/// A device with room for so many rows in each of its two halves.
fn open(adapter: &Adapter, params: &PlotParams, rows: usize, rewrite: Option<Rewrite>) -> GpuGrower {
    let memory_bytes = Some((2 * rows * params.shape.row_bytes()) as u64);
    let grower =
        adapter.open(params.shape, &OpenOptions { memory_bytes, rewrite, unchecked: false }).expect("it passes");
    assert_eq!(grower.rows_in_flight(), rows);
    grower
}

fn shared(grower: GpuGrower) -> SharedGrower {
    Mutex::new(Box::new(grower))
}

fn by_cpu(params: &PlotParams) -> Vec<u8> {
    let maker = Maker::new();
    std::fs::read(maker.create("cpu", params).expect("a plot").path).expect("the plot")
}

#[test]
fn files_are_the_cpu_s() {
    let Some(adapter) = adapter() else { return };
    for (p, rounds, rows, rows_per_segment) in [(4, 1, 1, 1), (5, 3, 999, 16), (6, 5, 3001, 1024), (8, 2, 300, 4)] {
        let params = params(p, rounds, rows, Some(rows_per_segment));
        let expected = by_cpu(&params);
        // One device; two with fewer rows in flight than a batch has; one beside the CPU.
        for (devices, rows_in_flight, cpu_grows) in [(1, 512, false), (2, 128, false), (1, 192, true)] {
            let growers: Vec<_> = (0..devices).map(|_| shared(open(&adapter, &params, rows_in_flight, None))).collect();
            let maker = Maker::new();
            let options = CreateOptions { growers: &growers, cpu_grows, ..maker.options() };
            let created = create(&params, &maker.path("gpu"), &options).expect("a plot");
            assert_eq!(created.rows_grown, rows);
            let file = std::fs::read(created.path).expect("the plot");
            assert!(file == expected, "{params:?}, {devices} devices, {rows_in_flight} in flight, CPU: {cpu_grows}");
        }
    }
}

/// Grows until some rows are there, then loses the first of `growers`.
fn create_and_lose(
    maker: &Maker,
    params: &PlotParams,
    growers: Vec<GpuGrower>,
    cpu_grows: bool,
) -> (Result<(), CreateError>, bool) {
    let plug = growers[0].plug();
    let lost = AtomicBool::new(false);
    let growers: Vec<_> = growers.into_iter().map(shared).collect();
    let pull = |event| match event {
        Event::Done { .. } => plug.pull(),
        Event::Lost(_) => lost.store(true, Ordering::Relaxed),
        _ => (),
    };
    let options = CreateOptions { growers: &growers, cpu_grows, events: &pull, ..maker.options() };
    let result = create(params, &maker.path("x"), &options).map(|_| ());
    (result, lost.into_inner())
}

#[test]
fn a_lost_device_costs_its_own_rows_alone() {
    let Some(adapter) = adapter() else { return };
    let params = params(7, 5, 6000, Some(1024));
    let expected = by_cpu(&params);
    for (devices, cpu_grows) in [(1, true), (2, false)] {
        let maker = Maker::new();
        let growers = (0..devices).map(|_| open(&adapter, &params, 256, None)).collect();
        let (result, _) = create_and_lose(&maker, &params, growers, cpu_grows);
        result.expect("the others go on");
        assert!(std::fs::read(maker.path("x")).expect("the plot") == expected);
    }
}

#[test]
fn without_any_device_left_the_plot_can_be_resumed() {
    let Some(adapter) = adapter() else { return };
    let params = params(7, 5, 6000, Some(1024));
    let maker = Maker::new();
    let (result, lost) = create_and_lose(&maker, &params, vec![open(&adapter, &params, 256, None)], false);
    let error = result.expect_err("nobody is left");
    assert!(lost && error.to_string().contains(&adapter.name()), "{error}");
    let resumed =
        resume(&maker.path("x"), &maker.options()).expect("the CPU goes on").expect("there is something to do");
    assert!(resumed.rows_grown < 6000, "what was finished is kept");
    assert!(std::fs::read(resumed.path).expect("the plot") == by_cpu(&params));
}

/// Right in the self-test, and wrong in rows that it does not have.
fn wrong_later(shader: spacetime_kernels::gpu::Shader, source: String) -> String {
    let right = "store(table, index * params.table_rows + place, cell);";
    let wrong = "if seed.number_high == 0u && seed.number_low >= 1024u { cell.a.x ^= 1u; }\n        ";
    let changed = source.replace(right, &format!("{wrong}{right}"));
    assert!(changed != source || shader.name() != "grow");
    changed
}

#[test]
fn an_adapter_that_begins_to_lie_is_caught_in_the_act() {
    let Some(adapter) = adapter() else { return };
    let params = params(6, 5, 4096, Some(1024));
    let maker = Maker::new();
    let growers = [shared(open(&adapter, &params, 512, Some(wrong_later)))];
    let done = std::sync::atomic::AtomicU64::new(0);
    let note = |event| {
        if let Event::Done { rows_done } = event {
            done.store(rows_done, Ordering::Relaxed);
        }
    };
    let options = CreateOptions { growers: &growers, cpu_grows: false, events: &note, ..maker.options() };
    let error = create(&params, &maker.path("x"), &options).map(|_| ()).expect_err("it lies");
    let CreateError::Build { source: BuildError::WrongCell { row, .. }, .. } = &error else { panic!("{error}") };
    assert!(*row >= 1024, "{error}");
    assert!(error.to_string().contains(&adapter.name()), "{error}");
    assert!(done.load(Ordering::Relaxed) <= 1024, "nothing that is wrong was noted as done");
    // What was noted is right: an honest engine ends it.
    let resumed = maker.resume("x").expect("a plot").expect("there is something to do");
    assert!(std::fs::read(resumed.path).expect("the plot") == by_cpu(&params));
}
