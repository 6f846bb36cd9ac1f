//! `spacetime bench`: sane numbers, nothing left behind, clear refusals.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;
use support::{MINER_KEY, Ran, Running, Tmpfs, names_in, run};

fn lines(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

fn number(object: &Value, field: &str) -> f64 {
    object[field].as_f64().unwrap_or_else(|| panic!("no number {field} in {object}"))
}

/// `bench disk` on `path`, small and quick.
fn disk(folder: &Path, path: &str, more: &[&str]) -> Ran {
    run(folder, &[&["-q", "bench", "disk", path, "--size", "64MiB", "--reading", "300ms"], more].concat())
}

/// A small plot called `NAME.plot`, in a folder of that name.
fn make_plot(folder: &Path, name: &str) {
    let arguments = ["-q", "plot", "create", "--network", "local", "--miner-key", MINER_KEY];
    let more = ["--rows", "4096", "--segment-rows", "512", "--out", name, "--name", name];
    run(folder, &[&arguments[..], &more].concat()).expect(0, &[]);
}

/// Flat objects whose numbers are finite and not negative.
fn check_flat(objects: &[Value]) -> Result<(), String> {
    for object in objects {
        for (name, value) in object.as_object().ok_or("no object")? {
            if value.is_object() || value.is_array() || value.as_f64().is_some_and(|number| number < 0.0) {
                return Err(format!("{name} is {value}"));
            }
        }
    }
    Ok(())
}

#[test]
fn a_disk_is_measured_and_nothing_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("d")).expect("a folder");
    std::fs::write(folder.path().join("d/precious"), "as it was").expect("a small file");
    let objects = lines(&disk(folder.path(), "d", &["--json", "--chart", "chart.svg"]).expect(0, &[]));
    check_flat(&objects).expect("flat");
    check_flat(&[serde_json::json!({"rate": -1.0})]).expect_err("the negative control");
    let (summary, jobs) = objects.split_last().expect("objects");
    assert_eq!(jobs.len(), 8);
    for job in jobs {
        let times = ["p50_ms", "p90_ms", "p99_ms", "max_ms"].map(|field| number(job, field));
        assert!(times.is_sorted() && times[0] > 0.0 && number(job, "bytes_per_second") > 0.0, "{job}");
    }
    assert_eq!(summary["job"], "summary");
    assert_eq!(number(summary, "file_bytes"), 67_108_864.0);
    let served = number(summary, "strip_bytes_per_second") * 80.0 * 8192.0;
    assert!((number(summary, "group_served_bytes") / served - 1.0).abs() < 1e-9, "{summary}");
    assert_eq!(names_in(&folder.path().join("d")), ["precious"]);
    assert_eq!(std::fs::read_to_string(folder.path().join("d/precious")).expect("it is there"), "as it was");
    let chart = std::fs::read_to_string(folder.path().join("chart.svg")).expect("a chart");
    assert!(chart.contains("strips of a column, 2 MiB, 16 in flight") && chart.contains("MB/s"), "{chart}");

    // In plain words, and the chart drawn anew.
    let ran = disk(folder.path(), "d", &["--chart", "chart.svg"]).expect(0, &[]);
    for words in ["a group (80 s at main)", "A plot of 1 TiB takes", "binds", "ached"] {
        assert!(ran.stdout.contains(words), "no {words:?} in {ran:#?}");
    }
    assert_eq!(names_in(folder.path()), ["chart.svg", "d"]);
}

#[test]
fn what_cannot_be_measured_is_one_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::write(folder.join("file"), "as it was").expect("a small file");
    std::fs::write(folder.join("other.svg"), "<svg/>").expect("a small file");
    let refused = |arguments: &[&str], code, words: &[&str]| {
        let ran = run(folder, &[&["-q", "bench"], arguments].concat()).expect(code, words);
        assert_eq!(ran.stdout, "", "nothing was measured");
    };
    refused(&["disk", "missing"], 1, &["missing"]);
    refused(&["disk", "file"], 1, &["file", "no folder"]);
    refused(&["disk", ".", "--size", "0"], 2, &["--size", "above zero"]);
    refused(&["disk", ".", "--size", "1MiB"], 2, &["--size", "1048576", "67108864"]);
    refused(&["disk", ".", "--size", "1025MiB"], 2, &["--size", "1074790400", "--yes"]);
    refused(&["disk", ".", "--size", "900PB", "--yes"], 1, &["899999999998", "free"]);
    refused(&["disk", ".", "--reading", "1ms"], 2, &["--reading", "100ms"]);
    for verb in [&["disk", "."][..], &["farm", "."], &["cpu"]] {
        refused(&[verb, &["--chart", "chart.png"]].concat(), 2, &["--chart", "chart.png", ".svg"]);
        refused(&[verb, &["--chart", "other.svg"]].concat(), 1, &["other.svg", "left alone"]);
        refused(&[verb, &["--chart", "missing/x.svg"]].concat(), 1, &["missing/x.svg"]);
    }
    refused(&["farm", "missing"], 1, &["missing"]);
    refused(&["farm", "."], 1, &[".", "no plot in it"]);
    refused(&["farm", ".", "--window", "0s"], 2, &["--window", "above zero"]);
    refused(&["farm", ".", "--windows", "0"], 2, &["--windows", "0"]);
    refused(&["farm", ".", "--challenges", "9"], 2, &["--challenges", "9"]);
    for threads in ["0", "257", "-1"] {
        refused(&["farm", ".", "--threads", threads], 2, &["--threads", threads]);
    }
    refused(&["disk", ".", "--size", "-5"], 2, &["--size", "-5"]);
    refused(&["farm", "file"], 3, &["file", "not a plot"]);
    assert_eq!(names_in(folder), ["file", "other.svg"]);
}

#[test]
fn small_and_read_only_disks() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(small) = Tmpfs::mount(&folder.path().join("small"), "size=100m") else {
        eprintln!("SKIPPED: small_and_read_only_disks: mounting a tmpfs is not allowed here");
        return;
    };
    let read_only = Tmpfs::mount(&folder.path().join("read-only"), "size=100m,ro").expect("the first was allowed");
    disk(folder.path(), "read-only", &[]).expect(1, &["read-only", "Read-only"]);
    run(folder.path(), &["bench", "disk", "small"]).expect(1, &["small", "1073741824", "free"]);
    let objects = lines(&disk(folder.path(), "small", &["--json"]).expect(0, &[]));
    assert!(objects[..8].iter().all(|job| job["cached"] == true), "memory is no disk: {objects:?}");
    assert_eq!(objects[8]["in_memory"], true);
    assert!(disk(folder.path(), "small", &[]).expect(0, &[]).stdout.contains("Cached: this folder lies in memory"));
    std::fs::write(small.0.join("other"), vec![1; 60 << 20]).expect("there is room");
    disk(folder.path(), "small", &[]).expect(1, &["small", "67108864", "free"]);
    assert_eq!((names_in(&small.0), names_in(&read_only.0)), (vec!["other".to_owned()], vec![]));
}

/// Starts a long measurement of the disk under `folder` and waits until it reads.
fn start_reading(folder: &Path) -> Running {
    let mut running =
        Running::start(folder, &["-q", "bench", "disk", ".", "--size", "64MiB", "--reading", "10m", "--json"]);
    let mut first = String::new();
    BufReader::new(running.0.stdout.as_mut().expect("a pipe")).read_line(&mut first).expect("UTF-8");
    assert!(first.contains("sequential_write"), "{first}");
    running
}

#[test]
fn nothing_is_left_however_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("precious"), "as it was").expect("a small file");
    for (signal, code) in [("-INT", Some(130)), ("-TERM", Some(130)), ("-KILL", None)] {
        let mut running = start_reading(folder.path());
        assert_eq!(names_in(folder.path()), ["precious"], "the file has no name");
        running.signal(signal);
        assert_eq!(running.0.wait().expect("it ends").code(), code, "{signal}");
        let mut stderr = String::new();
        running.0.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("UTF-8");
        assert_eq!(stderr.contains("stopped; nothing is left"), code.is_some(), "{stderr}");
        assert_eq!(names_in(folder.path()), ["precious"]);
    }
}

#[test]
fn windows_are_answered_or_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    make_plot(folder, "x");
    let farm = |more: &[&str]| {
        let arguments = ["-q", "bench", "farm", "x", "--windows", "3"];
        run(folder, &[&arguments[..], more].concat())
    };
    let objects = lines(&farm(&["--window", "1m", "--json", "--chart", "chart.svg"]).expect(0, &[]));
    check_flat(&objects).expect("flat");
    let [disk, all] = &objects[..] else { panic!("{objects:?}") };
    for object in [disk, all] {
        assert_eq!((number(object, "windows"), number(object, "windows_missed")), (3.0, 0.0), "{object}");
        assert!(number(object, "answer_median_ms") <= number(object, "answer_worst_ms"), "{object}");
        assert!(number(object, "window_served_bytes") > 4096.0 * 64.0 * 32.0, "a minute is plenty: {object}");
    }
    assert_eq!((&disk["path"], number(disk, "plots_bytes")), (&Value::from("x"), 4096.0 * 64.0 * 32.0));
    assert_eq!(number(all, "challenges"), 4.0, "the group of the network local");
    let least = number(all, "disks_served_bytes").min(number(all, "cpu_served_bytes"));
    assert!((number(all, "window_served_bytes") / least - 1.0).abs() < 1e-9, "{all}");
    let chart = std::fs::read_to_string(folder.join("chart.svg")).expect("a chart");
    assert!(chart.contains("x, median") && chart.contains("60000"), "{chart}");

    let objects = lines(&farm(&["--window", "1us", "--json"]).expect(0, &[]));
    assert!(objects.iter().all(|object| number(object, "missed_share") == 1.0), "{objects:?}");
    let ran = farm(&["--window", "1us"]).expect(0, &[]);
    assert!(ran.stdout.contains("3 missed (100%)") && ran.stdout.contains("binds"), "{ran:#?}");
}

#[test]
fn bad_plots_are_named_and_the_others_rehearsed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    make_plot(folder, "good");
    make_plot(folder, "bad");
    // Every cell of it: header and roots are as they were.
    let mut bytes = std::fs::read(folder.join("bad/bad.plot")).expect("a plot");
    bytes[4096..4096 + 4096 * 64 * 32].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(folder.join("bad/bad.plot"), &bytes).expect("room");
    let farm = |paths: &[&str]| run(folder, &[&["-q", "bench", "farm", "--json"], paths].concat());
    let alone = farm(&["bad"]);
    assert_eq!((alone.code, number(&lines(&alone)[1], "missed_share")), (Some(3), 1.0), "{alone:#?}");
    let error = alone.stderr.lines().last().expect("a line");
    assert!(error.starts_with("error: bad/bad.plot: ") && error.contains("damaged"), "{alone:#?}");
    // A truncated one is not used, a missing one not found; the good one is rehearsed.
    std::fs::write(folder.join("bad/bad.plot"), &bytes[..bytes.len() / 2]).expect("room");
    let beside = farm(&["good", "bad"]).expect(3, &["bad.plot", "truncated"]);
    assert_eq!(number(&lines(&beside)[1], "plots"), 1.0);
    let beside = farm(&["good", "missing.plot"]).expect(1, &["missing.plot"]);
    assert_eq!(number(&lines(&beside)[1], "windows_missed"), 0.0);
    assert!(std::fs::read(folder.join("bad/bad.plot")).expect("a file") == bytes[..bytes.len() / 2], "only read");
}

#[test]
fn ctrl_c_prints_what_was_rehearsed() {
    let folder = tempfile::tempdir().expect("a folder");
    make_plot(folder.path(), "x");
    let arguments = ["-v", "bench", "farm", "x", "--windows", "10000", "--json"];
    let mut running = Running::start(folder.path(), &arguments);
    let mut stderr = BufReader::new(running.0.stderr.take().expect("a pipe"));
    let mut said = String::new();
    while !said.contains("rehearsing") {
        assert!(stderr.read_line(&mut said).expect("UTF-8") > 0, "{said}");
    }
    running.signal("-INT");
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).expect("UTF-8");
    let mut stdout = String::new();
    running.0.stdout.take().expect("a pipe").read_to_string(&mut stdout).expect("UTF-8");
    assert_eq!(running.0.wait().expect("it ends").code(), Some(130), "{rest}");
    assert!(rest.contains("error: stopped after"), "{rest}");
    let all: Value = serde_json::from_str(stdout.lines().last().expect("a line")).expect("an object");
    assert_eq!(all["interrupted"], true);
}

/// A bench that writes nothing is ended at once, with the code of what is interrupted.
#[test]
fn ctrl_c_ends_what_only_computes() {
    let folder = tempfile::tempdir().expect("a folder");
    for signal in ["-INT", "-TERM"] {
        let mut running = Running::start(folder.path(), &["bench", "cpu", "--chart", "cpu.svg"]);
        let mut stdout = BufReader::new(running.0.stdout.take().expect("a pipe"));
        assert!(stdout.read_line(&mut String::new()).expect("UTF-8") > 0, "the head of the table");
        running.signal(signal);
        let mut stderr = String::new();
        running.0.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("UTF-8");
        assert_eq!(running.0.wait().expect("it ends").code(), Some(130), "{stderr}");
        assert!(stderr.starts_with("error: stopped"), "{stderr}");
        assert!(names_in(folder.path()).is_empty(), "no half of a chart");
    }
}

#[test]
fn checking_proofs_is_measured_beside_bare_compressions() {
    let here = tempfile::tempdir().expect("a folder");
    let arguments = ["-q", "bench", "cpu", "--backend", "cpu:portable", "--chart", "cpu.svg"];
    let ran = run(here.path(), &arguments).expect(0, &[]);
    let shares = ran.stdout.lines().filter(|line| line.contains("proofs checked"));
    let shares: Vec<f64> =
        shares.map(|line| line.split_whitespace().last().expect("a share").parse().expect("a number")).collect();
    assert!(!shares.is_empty() && shares.iter().all(|share| (0.05..3.0).contains(share)), "{ran:#?}");
    assert!(ran.stdout.contains("proofs a second") && ran.stdout.contains("1 TiB"), "{ran:#?}");
    let chart = std::fs::read_to_string(here.path().join("cpu.svg")).expect("a chart");
    assert!(chart.contains("Proofs checked on 1 thread"), "{chart}");
}
