//! Networks of the program's own processes, with real plots, sockets and databases.

#![cfg(feature = "node")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::ChildStdout;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Running, names_in, run};

/// Longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the treasury begins with, and what a block pays, in base units.
const TREASURY: u64 = 1_000_000_000_000_000;
const REWARD: u64 = 5_000_000_000;

/// Processes whose command line names this folder or one in it, as `spacetime node run --data` does.
fn processes_of(folder: &Path) -> Vec<u32> {
    let wanted = folder.to_str().expect("UTF-8").to_owned();
    let entries = fs::read_dir("/proc").expect("these tests run on Linux");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&wanted)
    })
    .collect()
}

/// Waits until no process of this folder runs, or fails the test.
fn wait_for_end_of(folder: &Path) {
    let began = Instant::now();
    while !processes_of(folder).is_empty() {
        assert!(began.elapsed() < PATIENCE, "{:?} still run", processes_of(folder));
        std::thread::yield_now();
    }
}

/// A network in the folder `dir` of `folder`, and what it prints.
struct Network {
    running: Running,
    lines: BufReader<ChildStdout>,
}

impl Network {
    fn start(folder: &Path, more: &[&str]) -> Self {
        let mut arguments = vec!["devnet", "--nodes", "2", "--miners", "1", "--dir", "net", "--json"];
        arguments.extend(more);
        let mut running = Running::start(folder, &arguments);
        let lines = BufReader::new(running.0.stdout.take().expect("a pipe"));
        Self { running, lines }
    }

    /// The next event of this kind; its summary ends the test.
    fn wait_for(&mut self, event: &str) -> Value {
        loop {
            let mut line = String::new();
            let bytes = self.lines.read_line(&mut line).expect("a pipe");
            assert!(bytes > 0, "no {event} in what it printed; it says: {}", self.errors());
            let value: Value = serde_json::from_str(&line).expect("a JSON object a line");
            if value["event"] == event {
                return value;
            }
        }
    }

    fn errors(&mut self) -> String {
        let mut errors = String::new();
        self.running.0.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("UTF-8");
        errors
    }

    /// Waits for its end: exit code and standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let errors = self.errors();
        (self.running.0.wait().expect("it ends").code(), errors)
    }
}

#[test]
fn a_network_wins_blocks_and_leaves_other_files_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let net = folder.join("net");
    fs::create_dir(&net).expect("a folder");
    fs::write(net.join("letters"), "mine").expect("a file");
    let arguments = ["devnet", "--nodes", "2", "--miners", "1", "--blocks", "3", "--dir", "net"];
    let ran = run(folder, &[&arguments[..], &["--json"]].concat()).expect(0, &[]);
    assert_eq!(processes_of(&net), [] as [u32; 0]);
    let summary: Value = serde_json::from_str(ran.stdout.lines().last().expect("a line")).expect("JSON");
    let number = |name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("{name} is a number: {summary}"));
    assert_eq!((&summary["event"], &summary["outcome"]), (&"done".into(), &"done".into()), "{summary}");
    assert_eq!((number("nodes"), number("miners"), &summary["heads_agree"]), (2, 1, &true.into()), "{summary}");
    let height = number("height");
    assert!(height >= 3 && number("transfers") >= 1, "{summary}");
    assert_eq!(summary["blocks_per_miner"], serde_json::json!([height]), "{summary}");
    assert_eq!(number("empty_epochs"), number("epoch") - height);
    // Fees are paid to the winner and so neither issued nor burnt.
    let issued = TREASURY + height * REWARD;
    assert_eq!(summary["supply"], serde_json::json!({ "issued": issued, "burnt": 0, "held": issued }), "{summary}");
    let memory = summary["memory"].as_array().expect("a list");
    let names: Vec<_> = memory.iter().map(|memory| memory["name"].as_str().expect("a text")).collect();
    assert_eq!(names, ["node-1", "node-2", "miner-1"]);
    assert!(memory.iter().all(|memory| memory["peak_bytes"].as_u64().is_some_and(|bytes| bytes < 512 << 20)));
    let blocks = ran.stdout.lines().filter(|line| line.contains("\"event\":\"block\"")).count() as u64;
    assert!(blocks >= height, "every block was told: {}", ran.stdout);

    assert_eq!(fs::read(net.join("letters")).expect("still there"), b"mine");
    assert_eq!(
        names_in(&net),
        ["chain.toml", "letters", "logs", "miner-1", "node-1", "node-2", "receiver.json", "treasury.json"]
    );
    for node in ["net/node-1", "net/node-2"] {
        let checked = run(folder, &["node", "db", "check", "--chain", "net/chain.toml", "--data", node, "--json"]);
        let checked: Value = serde_json::from_str(checked.expect(0, &[]).stdout.trim()).expect("JSON");
        assert_eq!((&checked["outcome"], &checked["tip"]), (&"sound".into(), &summary["head"]), "{checked}");
    }

    // It does not begin anew where one has been.
    let refused = run(folder, &arguments).expect(1, &["exists already", "earlier devnet"]);
    assert_eq!(refused.stdout, "");
    assert_eq!(fs::read(net.join("letters")).expect("still there"), b"mine");
}

#[test]
fn ctrl_c_stops_all_of_it() {
    for signal in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().expect("a folder");
        let net = folder.path().join("net");
        let mut network = Network::start(folder.path(), &[]);
        network.wait_for("block");
        // Two nodes and a miner.
        assert_eq!(processes_of(&net).len(), 3);
        network.running.signal(signal);
        let summary = network.wait_for("done");
        assert_eq!((&summary["outcome"], &summary["supply"]), (&"interrupted".into(), &Value::Null), "{summary}");
        let (code, errors) = network.end();
        assert_eq!(processes_of(&net), [] as [u32; 0]);
        assert_eq!(code, Some(130), "{errors}");
    }
}

#[test]
fn ctrl_c_before_it_has_begun_leaves_nothing_running() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut network = Network::start(folder.path(), &[]);
    network.wait_for("progress");
    network.running.signal("-INT");
    let (code, errors) = network.end();
    assert_eq!(processes_of(&folder.path().join("net")), [] as [u32; 0]);
    assert_eq!(code, Some(130), "{errors}");
}

#[test]
fn a_lost_node_is_noticed_and_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let net = folder.path().join("net");
    let mut network = Network::start(folder.path(), &["--blocks", "1000"]);
    network.wait_for("block");
    let [node] = processes_of(&net.join("node-2"))[..] else { panic!("one process has this folder") };
    let killed = std::process::Command::new("kill").args(["-KILL", &node.to_string()]).status();
    assert!(killed.expect("kill runs").success());
    let (code, errors) = network.end();
    assert_eq!(code, Some(1), "{errors}");
    let last = errors.lines().last().expect("a line");
    assert!(last.starts_with("error: node-2 ended by itself") && last.contains("node-2.log"), "{errors}");
    assert!(errors.lines().count() > 1 && errors.contains("node-2: "), "the log's end is told: {errors}");
    assert_eq!(processes_of(&net), [] as [u32; 0]);
}

#[test]
fn nothing_outlives_a_devnet_that_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let net = folder.path().join("net");
    let mut network = Network::start(folder.path(), &[]);
    network.wait_for("block");
    assert_eq!(processes_of(&net).len(), 3);
    network.running.0.kill().expect("a process of ours");
    network.running.0.wait().expect("it ends");
    wait_for_end_of(&net);
}

#[test]
fn numbers_out_of_range_are_wrong_usage() {
    let folder = tempfile::tempdir().expect("a folder");
    for (flag, value) in [
        ("--nodes", "0"),
        ("--nodes", "33"),
        ("--miners", "0"),
        ("--miners", "33"),
        ("--blocks", "0"),
        ("--nodes", "-1"),
    ] {
        run(folder.path(), &["devnet", "--dir", "net", flag, value]).expect(2, &[flag]);
    }
    run(folder.path(), &["devnet", "--dir", "net", "more"]).expect(2, &["more"]);
    assert_eq!(names_in(folder.path()), [] as [&str; 0], "nothing was begun");
    fs::write(folder.path().join("file"), "").expect("a file");
    run(folder.path(), &["devnet", "--dir", "file"]).expect(1, &["file"]);
}
