//! What is printed, warned about and answered with which code.

mod support;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde_json::Value;
use support::{MINER_KEY, Ran, run};

fn create(folder: &Path, more: &[&str]) -> Ran {
    run(folder, &[&["plot", "create", "--network", "local", "--miner-key", MINER_KEY], more].concat())
}

fn lines(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

#[test]
fn bench_prints_one_object_a_job() {
    let ran = run(Path::new("."), &["bench", "cpu", "--backend", "cpu:portable", "--json"]).expect(0, &[]);
    let mut jobs = HashSet::new();
    for object in lines(&ran) {
        let mut fields: Vec<_> = object.as_object().expect("an object").keys().cloned().collect();
        fields.sort();
        assert_eq!(fields, ["backend", "job", "p", "rate", "rounds", "threads"]);
        let job = ["backend", "threads", "job"].map(|field| object[field].to_string());
        assert!(jobs.insert(job), "twice: {object}");
    }
    assert!(jobs.len() >= 5, "{jobs:?}");
}

#[test]
fn plots_no_chain_would_take_are_warned_about() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    create(folder, &["--rows", "16", "--out", ".", "--name", "usual"]).expect(0, &[]);
    create(folder, &["--rows", "5", "--rounds", "1", "--out", ".", "--name", "few"]).expect(0, &[]);
    let other = ["-q", "plot", "create", "--network", "other", "--miner-key", MINER_KEY, "--log2-columns", "6"];
    run(folder, &[&other[..], &["--rows", "5", "--out", ".", "--name", "other"]].concat()).expect(0, &[]);
    let challenge = "ab".repeat(32);
    for (plot, words) in [
        ("usual.plot", &[][..]),
        ("few.plot", &["rows are 5", "rounds are 1"]),
        ("other.plot", &["none of main, test and local"]),
    ] {
        let proved = run(folder, &["prove", "--column", "5", "--challenge", &challenge, plot, "--json"]);
        let proved = proved.expect(0, words);
        assert_eq!(proved.stderr.contains("network"), !words.is_empty(), "{proved:#?}");
        std::fs::write(folder.join("proof.json"), &proved.stdout).expect("a small file");
        let verified = run(folder, &["verify", "proof.json", "--plot", plot]).expect(0, words);
        assert_eq!(verified.stderr.contains("network"), !words.is_empty(), "{verified:#?}");
        let id = lines(&proved)[0]["plot_id"].as_str().expect("hex").to_owned();
        if plot == "few.plot" {
            let alone = ["verify", "proof.json", "--network", "local", "--miner-key", MINER_KEY, "--plot-id", &id];
            run(folder, &[&alone[..], &["--rounds", "1"]].concat()).expect(0, words);
        }
    }
    // Out of range is said before any warning: one line.
    create(folder, &["--rows", "0", "--rounds", "1", "--out", "."]).expect(2, &["rows are 0"]);
    create(folder, &["--size", "100", "--out", "."]).expect(2, &["--size", "100 bytes"]);
}

#[test]
fn a_folder_without_plots_is_no_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::create_dir(folder.join("empty")).expect("a folder");
    for verb in ["check", "scrub", "info"] {
        run(folder, &["plot", verb, "empty"]).expect(1, &["empty", "no plot in it"]);
    }
    run(folder, &["plot", "compact", "--out", "new", "empty"]).expect(1, &["empty", "no plot in it"]);
    assert!(run(folder, &["plot", "list", "empty"]).expect(0, &[]).stdout.contains("0 plots"));
    run(folder, &["plot", "resume", "empty"]).expect(0, &[]);
    // Of several paths every failure is told, in one form, and the others are looked at.
    create(folder, &["-q", "--rows", "16", "--out", ".", "--name", "x"]).expect(0, &[]);
    let ran = run(folder, &["plot", "check", "absent", "x.plot", "empty", "missing"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 3, "{ran:#?}");
    assert!(ran.stdout.contains("x.plot: good"), "{ran:#?}");
}

#[test]
fn a_name_that_is_not_utf_8_is_written_lossily() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let strange = folder.join("d").join(OsStr::from_bytes(b"x\xff.plot"));
    create(folder, &["-q", "--rows", "16", "--out", "d", "--name", "x"]).expect(0, &[]);
    if std::fs::rename(folder.join("d/x.plot"), &strange).is_err() {
        eprintln!("SKIPPED: such names are not allowed on this disk");
        return;
    }
    for verb in ["info", "list", "check", "scrub"] {
        let ran = run(folder, &["plot", verb, "--json", "d"]).expect(0, &[]);
        assert_eq!(lines(&ran)[0]["path"], "d/x\u{fffd}.plot", "{verb}");
    }
}

#[test]
fn an_unfinished_plot_is_1_everywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    create(folder, &["-q", "--rows", "16", "--first-row", "0", "--out", ".", "--name", "x"]).expect(0, &[]);
    let challenge = "ab".repeat(32);
    run(folder, &["prove", "--column", "5", "--challenge", &challenge, "x.plot"]).expect(1, &["a part of a plot"]);
    create(folder, &["-q", "--rows", "16", "--out", ".", "--name", "y"]).expect(0, &[]);
    let proved = run(folder, &["prove", "--column", "5", "--challenge", &challenge, "y.plot", "--json"]).expect(0, &[]);
    std::fs::write(folder.join("proof.json"), &proved.stdout).expect("a small file");
    run(folder, &["verify", "proof.json", "--plot", "x.plot"]).expect(1, &["a part of a plot"]);
}

#[test]
fn paths_in_one_stream_are_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let staged = create(folder, &["-q", "--rows", "40", "--out", "d", "--staging", "fast", "--name", "x", "--json"]);
    let paths: HashSet<_> = lines(&staged.expect(0, &[])).iter().map(|line| line["path"].to_string()).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
}

#[test]
fn a_dry_run_says_whether_it_fits() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let dry =
        |more: &[&str]| create(folder, &[&["-q", "--dry-run", "--out", "new/folder"], more].concat()).expect(0, &[]);
    let ran = dry(&["--rows", "16", "--count", "3"]);
    assert!(ran.stdout.contains("3 plots in all") && ran.stdout.contains(": fits"), "{ran:#?}");
    assert!(!ran.stdout.contains("unknown free"), "{ran:#?}");
    let ran = dry(&["--rows", "1000000000000"]);
    assert!(ran.stdout.contains("does NOT fit"), "{ran:#?}");
    let ran = dry(&["--rows", "1048576", "--fill", "--json"]);
    assert!(lines(&ran)[0]["disk_free_bytes"].is_u64(), "{ran:#?}");
    let all = u64::MAX.to_string();
    create(folder, &["--rows", "16", "--out", "new", "--count", &all]).expect(2, &["no file system", &all]);
    assert!(!folder.join("new").exists(), "nothing is made");
    create(folder, &["-q", "--rows", "16", "--out", "new/folder", "--name", "x"]).expect(0, &[]);
    let ran = dry(&["--rows", "16", "--name", "x"]);
    assert!(ran.stdout.contains("x.plot: exists"), "{ran:#?}");
}
