//! SIGKILL at random moments of an import.

#![cfg(feature = "node")]

#[path = "support/chain.rs"]
mod chain;
mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use spacetime_node::testing::Random;
use support::{Ran, Running, run};

/// What the moments are drawn from.
const SEED: u64 = 2026;
/// Kills in all, and how many of them at least must have come after blocks were taken in since the one before.
const KILLS: u32 = 60;
const WITHIN: u32 = 30;
/// Where a machine on which kills come at no good moments gives up.
const MOST_KILLS: u32 = 300;

fn arguments<'a>(verb: &'a str, data: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["node", "db", verb, "--chain", "chain.toml", "--data", data];
    if verb == "import" {
        arguments.extend(["--free-space", "1MiB", "--keep-bodies", "60", "chain.blocks"]);
    }
    arguments.extend(more);
    arguments
}

fn ran(folder: &Path, verb: &str, data: &str) -> Value {
    let ran: Ran = run(folder, &arguments(verb, data, &["--json"])).expect(0, &[]);
    serde_json::from_str(ran.stdout.lines().last().expect("a line")).expect("JSON")
}

#[test]
fn killed_at_random_moments_it_ends_where_an_undisturbed_import_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    chain::make(folder, 2000, 1);
    let began = Instant::now();
    let whole = ran(folder, "import", "whole");
    let time = began.elapsed();
    assert!(whole["reorganisations"].as_u64() > Some(10), "{whole}");
    assert_eq!(ran(folder, "check", "whole")["tip"], whole["tip"]);

    let mut random = Random::new(SEED);
    let (mut kills, mut within, mut runs) = (0, 0, 0);
    while kills < KILLS || within < WITHIN {
        runs += 1;
        let (mut height, mut ended) = (0, false);
        while !ended {
            let mut running = Running::start(folder, &arguments("import", "killed", &[]));
            // Twenty or more to an import.
            let moment = time.mul_f64(random.below(1000) as f64 / 1000.0 / 8.0);
            std::thread::sleep(moment + Duration::from_millis(5)); // the moment is what is random here
            ended = running.0.try_wait().expect("a process of ours").is_some();
            running.0.kill().expect("a process of ours, or none");
            running.0.wait().expect("it ends");
            if ended {
                break;
            }
            kills += 1;
            assert!(kills <= MOST_KILLS, "only {within} of {kills} kills came after new blocks");
            if !folder.join("killed/chain/CURRENT").exists() {
                continue;
            }
            // It opens at a tip that is consistent, and does not fall back.
            let stats = run(folder, &arguments("stats", "killed", &["--json"]));
            assert_eq!(stats.code, Some(0), "kill {kills}: {stats:#?}");
            let stats: Value = serde_json::from_str(stats.stdout.trim()).expect("JSON");
            let reached = stats["height"].as_u64().expect("a number");
            // Another branch may weigh more and yet be shorter.
            assert!(reached + 12 >= height, "kill {kills}: height {reached} after {height}");
            within += u32::from(reached > height);
            height = reached;
            if kills % 6 == 0 {
                assert_eq!(ran(folder, "check", "killed")["height"], height, "kill {kills}");
            }
            if kills >= KILLS && within >= WITHIN {
                break;
            }
        }
        let rest = ran(folder, "import", "killed");
        assert_eq!((&rest["tip"], &rest["state_root"]), (&whole["tip"], &whole["state_root"]), "run {runs}");
        let checked = ran(folder, "check", "killed");
        assert_eq!((&checked["tip"], &checked["outcome"]), (&whole["tip"], &"sound".into()));
        fs::remove_dir_all(folder.join("killed")).expect("ours");
    }
    println!("{kills} kills in {runs} imports, {within} after blocks had been taken in since the one before");
}
