//! SIGKILL of nodes of a real network, at any moment.

#![cfg(all(feature = "node", target_os = "linux"))]

#[path = "support/network/mod.rs"]
mod network;
mod support;

use std::time::Duration;

use network::chosen;
use network::fleet::{Fleet, Plan};
use network::ground::in_namespaces_or_on_loopback;
use serde_json::Value;
use spacetime_node::testing::Random;
use support::run;

/// Longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const NODES: usize = 4;

/// The height up to which the chain of a node that does not run is all there, and nothing is wrong with.
fn sound_height(fleet: &Fleet, number: usize) -> u64 {
    let name = fleet.node(number).name();
    let arguments = ["-q", "node", "db", "check", "--chain", "chain.toml", "--data", &name, "--json"];
    let checked = run(fleet.folder(), &arguments).expect(0, &[]).stdout;
    let found: Value = serde_json::from_str(checked.trim()).expect("JSON");
    assert_eq!(found["outcome"], "sound", "node {number}: {found}");
    found["height"].as_u64().expect("a number")
}

#[test]
fn a_node_that_is_killed_comes_back_without_repair() {
    in_namespaces_or_on_loopback("a_node_that_is_killed_comes_back_without_repair", |ground| {
        let (kills, seed) = (chosen("KILLS", 10_u32), chosen("SEED", 2026_u64));
        let plan = Plan { nodes: NODES, mining: vec![1, 2], ..Plan::default() };
        let mut fleet = Fleet::start(ground, &plan);
        fleet.agree_above(2, PATIENCE);
        let mut random = Random::new(seed);
        for kill in 1..=kills {
            let victim = 1 + random.below(NODES as u64) as usize;
            std::thread::sleep(Duration::from_millis(random.below(1500))); // the moment is what is random here
            let before = fleet.node(victim).rpc.head().expect("it runs").height;
            fleet.kill(victim);
            // What it had told is there.
            assert!(sound_height(&fleet, victim) >= before, "kill {kill} of node {victim} at height {before}");
            let again = random.below(2) == 0;
            if again {
                // While it starts, or catches up.
                fleet.launch(victim);
                std::thread::sleep(Duration::from_millis(random.below(500)));
                fleet.kill(victim);
                assert!(sound_height(&fleet, victim) >= before, "kill {kill} of node {victim}, for the second time");
            }
            fleet.restart(victim);
            // A block that nobody had when it came back.
            let next = 1 + fleet.node(1 + victim % NODES).rpc.head().expect("it runs").height;
            fleet.agree_above(next, PATIENCE);
            let times = if again { " twice" } else { "" };
            println!("kill {kill}: node {victim}{times} at height {before}; all have block {next}");
        }
        fleet.stop_miners();
        let agreed = fleet.agree_above(1, PATIENCE);
        for number in 1..=NODES {
            fleet.stop(number);
            sound_height(&fleet, number);
        }
        println!("{kills} kills; all ended with {agreed}");
    });
}
