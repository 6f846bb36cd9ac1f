//! A reader in another language, written from the protocol's text alone
//! (tools/read_plot.py), judges plots that the program wrote.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::run;
use tempfile::TempDir;

/// The generator of G1: a valid miner key that nobody has to make first.
const MINER_KEY: &str = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58\
                         6c55e83ff97a1aeffb3af00adb22c6bb";

fn read(plot: &Path) -> Output {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("../read_plot.py");
    let python = Command::new("python3").arg("-B").arg(reader).arg(plot).args(["--rows", "5"]).output();
    python.expect("python3 is there: tools/setup.sh installs it")
}

#[track_caller]
fn assert_right(plot: &Path) {
    let output = read(plot);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Makes a plot with `options` more and returns its folder.
fn create(log2_columns: &str, rows: &str, options: &[&str]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let arguments = ["-q", "plot", "create", "--network", "local", "--miner-key", MINER_KEY, "--rounds", "1"];
    let shape = ["--log2-columns", log2_columns, "--rows", rows, "--out", ".", "--name", "x"];
    run(folder.path(), &[&arguments[..], &shape[..], options].concat()).expect(0, &[]);
    folder
}

#[test]
fn plots_of_the_program_are_right() {
    for (log2_columns, rows, segment_rows) in
        [("4", "5", "2"), ("4", "1", "1"), ("4", "8", "8"), ("5", "17", "4"), ("4", "5", "1024"), ("6", "33", "16")]
    {
        let folder = create(log2_columns, rows, &["--segment-rows", segment_rows]);
        assert_right(&folder.path().join("x.plot"));
    }
    assert_right(&create("7", "40", &[]).path().join("x.plot"));
}

#[test]
fn a_part_of_the_program_is_right() {
    let folder = create("4", "3", &["--segment-rows", "2", "--first-row", "4"]);
    assert_right(&folder.path().join("x.plot"));
}

#[test]
fn the_reader_finds_one_changed_byte() {
    let folder = create("4", "5", &["--segment-rows", "2"]);
    let plot = folder.path().join("x.plot");
    let good = fs::read(&plot).expect("readable");
    for at in [0, 100, 4096 + 77, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&plot, &bad).expect("written");
        let output = read(&plot);
        assert_eq!(output.status.code(), Some(1), "byte {at}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("WRONG"), "byte {at}");
    }
}
