//! The program with GPUs: what `--backend` names, and what it says where there are none.
#![cfg(feature = "gpu")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{MINER_KEY, Ran, Running, command, names_in, run};

/// Longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether there is an adapter; says SKIPPED if not, and fails where one is required.
fn is_there() -> bool {
    let found = !spacetime_kernels::gpu::adapters().is_empty();
    if !found {
        let is_required = std::env::var_os("SPACETIME_REQUIRE_GPU").is_some_and(|value| value == "1");
        assert!(!is_required, "SPACETIME_REQUIRE_GPU=1, and there is no adapter");
        eprintln!("SKIPPED: no GPU adapter, nor Mesa's software Vulkan");
    }
    found
}

fn arguments<'a>(rows: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["plot", "create", "--network", "test", "--miner-key", MINER_KEY, "--rows", rows];
    arguments.extend(["--seed", "5555555555555555555555555555555555555555555555555555555555555555"]);
    arguments.extend(["--segment-rows", "256", "--name", "x", "--out", out]);
    arguments.extend(more);
    arguments
}

fn create(folder: &Path, rows: &str, out: &str, backend: &str) -> Ran {
    run(folder, &arguments(rows, out, &["--backend", backend]))
}

/// The program on a machine without any Vulkan driver.
fn without_driver(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = command(folder, arguments);
    hide_drivers(&mut command);
    let output = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn hide_drivers(command: &mut Command) {
    for name in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        command.env(name, "/nonexistent/driver.json");
    }
}

#[test]
fn plots_and_proofs_are_the_cpu_s() {
    if !is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    create(folder, "700", "cpu", "cpu").expect(0, &[]);
    let whole = std::fs::read(folder.join("cpu/x.plot")).expect("a plot");
    for backend in ["gpu:0", "gpu:0+cpu", "gpu"] {
        create(folder, "700", backend, backend).expect(0, &[]);
        assert!(std::fs::read(folder.join(backend).join("x.plot")).expect("a plot") == whole, "{backend}");
    }
    let challenge = "77".repeat(32);
    let prove = |backend| {
        let ran =
            run(folder, &["prove", "--json", "--backend", backend, "--column", "3", "--challenge", &challenge, "cpu"]);
        ran.expect(0, &[]).stdout
    };
    assert_eq!(prove("gpu:0+cpu"), prove("cpu"));
}

#[test]
fn a_dry_run_says_who_would_grow() {
    if !is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ran = run(folder.path(), &arguments("700", "out", &["--backend", "gpu:0+cpu", "--dry-run"])).expect(0, &[]);
    assert!(ran.stdout.contains("cpu:") && ran.stdout.contains("gpu:0 ("), "{ran:#?}");
    let twice = ["--backend", "gpu:0+cpu", "--gpu-queues", "2", "--dry-run"];
    let ran = run(folder.path(), &arguments("700", "out", &twice)).expect(0, &[]);
    assert!(ran.stdout.contains("on 2 queues") && ran.stdout.matches("gpu:0 (").count() == 1, "{ran:#?}");
    assert!(names_in(folder.path()).is_empty(), "nothing is made");
}

#[test]
fn adapters_that_are_not_there_are_wrong_usage() {
    if !is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    create(folder.path(), "300", "out", "gpu:99").expect(2, &["gpu:99", "gpu:0 ("]);
    run(folder.path(), &["bench", "gpu", "--backend", "gpu:99"]).expect(2, &["gpu:99"]);
    run(folder.path(), &["bench", "gpu", "--backend", "cpu"]).expect(2, &["--backend"]);
    let tiny = arguments("300", "out", &["--backend", "gpu:0", "--gpu-memory", "1KiB"]);
    run(folder.path(), &tiny).expect(2, &["--gpu-memory", "gpu:0 ("]);
    let negative = arguments("300", "out", &["--backend", "gpu:0", "--gpu-memory", "-5"]);
    run(folder.path(), &negative).expect(2, &["--gpu-memory", "-5"]);
    let fifth = arguments("300", "out", &["--backend", "gpu:0", "--gpu-queues", "5"]);
    run(folder.path(), &fifth).expect(2, &["--gpu-queues"]);
    assert!(names_in(folder.path()).is_empty(), "nothing is made");
}

#[test]
fn without_a_driver_the_cpu_works_and_the_program_says_so_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let ran = without_driver(folder, &arguments("50", "both", &["--backend", "gpu+cpu"])).expect(0, &[]);
    assert_eq!(ran.stderr.matches("no GPU adapter").count(), 1, "{ran:#?}");
    // As much work as GPUs are of use for.
    let large = arguments("100000000", "auto", &["--dry-run"]);
    let ran = without_driver(folder, &large).expect(0, &[]);
    assert_eq!(ran.stderr.matches("no GPU adapter").count(), 1, "{ran:#?}");
    // As little as they are not.
    let ran = without_driver(folder, &arguments("50", "small", &[])).expect(0, &[]);
    assert_eq!(ran.stderr.matches("GPU").count(), 0, "{ran:#?}");
    without_driver(folder, &arguments("300", "gpu", &["--backend", "gpu"])).expect(1, &["no GPU adapter", "gpu+cpu"]);
    without_driver(folder, &arguments("300", "gpu", &["--backend", "gpu:0"])).expect(2, &["gpu:0", "there are none"]);
    let nothing = without_driver(folder, &["bench", "gpu"]).expect(1, &["no GPU adapter"]);
    assert!(!nothing.stderr.contains("gpu+cpu"), "which is refused there: {nothing:#?}");
}

/// Software plays a GPU on the CPU's own cores: it is taken when asked for, and never by itself.
#[test]
fn software_is_not_taken_unasked() {
    if !is_there() || !spacetime_kernels::gpu::adapters().iter().all(|adapter| adapter.is_software()) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let large = |backend| run(folder.path(), &arguments("1000000", "out", &["--dry-run", "--backend", backend]));
    let auto = large("auto").expect(0, &["no GPU adapter but software", "CPU works alone"]);
    assert!(!auto.stdout.contains("gpu:"), "{auto:#?}");
    assert_eq!(auto.stderr.lines().count(), 1, "said once: {auto:#?}");
    let gpu = large("gpu").expect(0, &["is software", "no other adapter"]);
    assert!(gpu.stdout.contains("gpu:0 ("), "{gpu:#?}");
}

#[test]
fn work_for_the_cpu_alone_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    create(folder.path(), "50", "out", "cpu").expect(0, &[]);
    let ran = run(folder.path(), &["plot", "check", "--backend", "gpu", "out"]).expect(0, &[]);
    assert_eq!(ran.stderr.matches("CPU alone").count(), 1, "{ran:#?}");
}

/// Ctrl-C while a GPU grows: what was done stays, and the CPU ends it.
#[test]
fn an_interrupted_plot_is_resumed() {
    if !is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut running =
        Running::start(folder, &arguments("20000", "out", &["--backend", "gpu:0", "--gpu-memory", "64MiB", "--json"]));
    // Something is done and noted.
    let began = Instant::now();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(running.0.stdout.take().expect("a pipe")));
    let is_done = |line: String| {
        let object: Value = serde_json::from_str(&line).expect("JSON");
        object["rows_done"].as_u64().is_some_and(|rows| rows > 0)
    };
    assert!(lines.by_ref().map(|line| line.expect("UTF-8")).any(is_done), "it ended before anything was done");
    running.signal("-INT");
    lines.for_each(drop);
    let status = running.0.wait().expect("it ends");
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(status.code(), Some(130));
    assert_eq!(names_in(&folder.join("out")), ["x.plot.tmp"]);
    run(folder, &["plot", "resume", "--backend", "cpu", "out"]).expect(0, &[]);
    create(folder, "20000", "cpu", "cpu").expect(0, &[]);
    let whole = std::fs::read(folder.join("cpu/x.plot")).expect("a plot");
    assert!(std::fs::read(folder.join("out/x.plot")).expect("a plot") == whole);
}

/// By either of its names an unfinished plot is given the GPUs that were asked for.
#[test]
fn resuming_by_the_finished_name_asks_for_gpus_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut running = Running::start(folder, &arguments("20000", "out", &["--backend", "cpu", "--json"]));
    let lines = std::io::BufReader::new(running.0.stdout.take().expect("a pipe"));
    let mut lines = std::io::BufRead::lines(lines).map(|line| line.expect("UTF-8"));
    lines.next().expect("it has begun");
    running.signal("-INT");
    lines.for_each(drop);
    assert_eq!(running.0.wait().expect("it ends").code(), Some(130));
    for name in ["out/x.plot", "out/x.plot.tmp"] {
        run(folder, &["plot", "resume", "--backend", "gpu:77", name]).expect(2, &["gpu:77", "no such adapter"]);
    }
}

/// Every job has its line, and the shares are those of the rates.
#[test]
fn bench_gpu_measures_every_job() {
    if !is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["bench", "gpu", "--json", "--backend", "gpu:0", "--gpu-memory", "16MiB", "--chart", "gpu.svg"];
    let ran = run(folder.path(), &arguments).expect(0, &[]);
    let objects: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let jobs: Vec<_> = objects.iter().map(|object| object["job"].as_str().expect("a job")).collect();
    let expected = [
        "compress",
        "copy",
        "read_back",
        "pairs",
        "grow",
        "grow_unchecked",
        "check",
        "score",
        "score",
        "strips",
        "strips_two_queues",
    ];
    assert_eq!(jobs, expected);
    let rate = |job: &str| {
        let object = objects.iter().find(|object| object["job"] == job).expect("every job is there");
        object["rate"].as_f64().expect("a number")
    };
    assert!(objects.iter().all(|object| object["rate"].as_f64().expect("a number") > 0.0), "{ran:#?}");
    let grow = &objects[4];
    let of_bare = grow["of_bare"].as_f64().expect("a number");
    assert!((of_bare - rate("grow") / rate("compress")).abs() < 1e-9, "{grow}");
    let of_memory = grow["of_memory"].as_f64().expect("a number");
    assert!((of_memory - 96.0 * rate("grow") / rate("copy")).abs() < 1e-9, "{grow}");
    assert_eq!(grow["rows_in_flight"], 32);
    let chart = std::fs::read_to_string(folder.path().join("gpu.svg")).expect("a chart");
    assert!(chart.contains("<svg") && chart.contains("bare compressions"));
}
