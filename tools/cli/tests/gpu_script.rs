//! `benches/gpu.sh` hides nothing: with programs that lie, fail or measure nothing it says FAILED and ends with 1.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A program that takes the script's arguments, makes "plots" that hold `PLOT`, and prints an object.
const PROGRAM: &str = r#"#!/bin/sh
all=$* out= name= backend=
while [ $# -gt 0 ]; do
    case $1 in --out) out=$2 ;; --name) name=$2 ;; --backend) backend=$2 ;; esac
    shift
done
case $all in REFUSED) exit 1 ;; esac
[ -z "$name" ] || { mkdir -p "$out" && echo "PLOT" >"$out/$name.plot"; }
case $all in SILENT) ;; *) echo '{"rate":1}' ;; esac
"#;

fn script(folder: &Path, program: &str) -> Command {
    let path = folder.join("program");
    std::fs::write(&path, program).expect("a small file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut command = Command::new("bash");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/gpu.sh")).args(["--program", "./program"]);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Exit code, standard output, and whether nothing but results is left.
fn run(program: &str) -> (Option<i32>, String, bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let Output { status, stdout, .. } = script(folder.path(), program).output().expect("bash is there");
    (status.code(), String::from_utf8(stdout).expect("UTF-8"), is_tidy(folder.path()))
}

fn is_tidy(folder: &Path) -> bool {
    let results = std::fs::read_dir(folder.join("spacetime-gpu-results")).expect("results");
    results.map(|entry| entry.expect("an entry").path()).all(|path| path.is_file())
}

#[test]
fn what_is_well_is_said_to_be() {
    let (code, said, tidy) = run(PROGRAM);
    assert_eq!((code, said.contains("FAILED"), tidy), (Some(0), false, true), "{said}");
    assert_eq!(said.matches("byte for byte").count(), 7, "{said}");
}

#[test]
fn what_is_not_is_not_hidden() {
    let lies = PROGRAM.replace("PLOT", "$backend");
    let silent = |verb: &str| PROGRAM.replace("SILENT", verb);
    let refusing = |verb: &str| PROGRAM.replace("REFUSED", verb);
    let cases = [
        (lies, "small: the plots of gpu and the CPU differ"),
        (silent("*'bench disk'*"), "bench-disk: measured nothing"),
        (refusing("*'--backend gpu+cpu'*'--name odd'*"), "odd: gpu+cpu makes no plot"),
        (refusing("*verify*"), "prove or verify"),
        (refusing("*'bench gpu'*"), "bench-gpu"),
        (refusing("*'plot check'*"), "plot-main: the plot is not as the CPU would make it"),
        (refusing("*'--network main'*"), "plot-main"),
    ];
    for (program, failure) in cases {
        let (code, said, tidy) = run(&program);
        assert_eq!((code, tidy), (Some(1), true), "{said}");
        assert!(said.contains(&format!("FAILED   {failure}")), "{failure}: {said}");
        let has_rate = said.contains("start and disk included");
        assert_eq!(has_rate, !program.contains("--network main"), "a plot that was not made has no rate: {said}");
    }
}

/// What runs is ended with the script, and its folder goes.
#[test]
fn it_stops_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = PROGRAM.replace("case $all in REFUSED", "echo began >&2; exec sleep 60; case $all in REFUSED");
    let mut child = script(folder.path(), &slow).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("bash");
    let began = Instant::now();
    let log = folder.path().join("spacetime-gpu-results/small-cpu.log");
    while std::fs::read(&log).map_or(0, |log| log.len()) == 0 && began.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(50) && is_tidy(folder.path()));
}
