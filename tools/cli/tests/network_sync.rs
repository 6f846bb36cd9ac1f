//! A node that has nothing catches up with others that have a chain, beside an import of the same blocks from a file.
//! `tools/netsim/run.sh sync` does so with more blocks, and holds the rates that are wanted.

#![cfg(all(feature = "node", unix))]

#[path = "support/chain.rs"]
mod chain;
#[path = "support/network/mod.rs"]
mod network;
mod support;

use std::time::{Duration, Instant};

use network::fleet::Fleet;
use network::ground::Ground;
use network::{chosen, wait_for};
use serde_json::Value;
use spacetime_node::consensus::Parameters;
use spacetime_node::testing::{Fabric, Setup};
use support::run;

/// Longest that catching up takes.
const PATIENCE: Duration = Duration::from_secs(300);
/// Nodes that have the chain.
const SERVERS: usize = 3;
/// How often a rate that is too low is measured anew: a machine may be busy with something else.
const TRIES: usize = 3;

/// Imports the chain's file into a folder: blocks a second, by the program's own time.
fn import(fleet: &Fleet, name: &str) -> f64 {
    let arguments = ["-q", "node", "db", "import", "--chain", "chain.toml", "--data", name, "--json", "chain.blocks"];
    let said = run(fleet.folder(), &arguments).expect(0, &[]).stdout;
    let done: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
    done["connected"].as_f64().expect("a number") / done["seconds"].as_f64().expect("a number")
}

/// Catches up with the nodes `seeds`, which have a chain of so many blocks that ends with `tip`: blocks a second, from the
/// start of the process on.
fn catch_up(fleet: &mut Fleet, seeds: &[usize], blocks: u64, tip: &str) -> f64 {
    let began = Instant::now();
    fleet.add(seeds);
    let node = fleet.nodes().last().expect("it was added");
    let listens = began.elapsed();
    let head = wait_for("it has all blocks", PATIENCE, || node.rpc.head().filter(|head| head.height == blocks));
    let took = began.elapsed();
    assert_eq!(head.id, tip);
    // The next one is to have it of nobody else.
    fleet.stop(fleet.nodes().len());
    let rate = blocks as f64 / took.as_secs_f64();
    let [took, listens] = [took, listens].map(|time| time.as_secs_f64());
    println!("from {} peers: {rate:.0} blocks/s; {took:.2} s, of which {listens:.2} s until it listened", seeds.len());
    rate
}

#[test]
fn a_fresh_node_catches_up_with_one_peer_and_with_three() {
    let (blocks, least, ratio) = (chosen("BLOCKS", 600_u64), chosen("LEAST", 0.0_f64), chosen("RATIO", 0.4_f64));
    let transfers: usize = chosen("TRANSFERS", 1);
    let mut fabric = Fabric::new(&Setup { parameters: Parameters::local(), keep: Some(8), ..Setup::default() });
    let ids = fabric.chain(&fabric.genesis_id(), blocks, transfers);
    let made: Vec<_> = ids.iter().map(|id| fabric.made(id)).collect();
    let mut fleet = Fleet::empty(Ground::Loopback, 0);
    chain::write(fleet.folder(), &fabric, &made);
    let tip = ids.last().expect("some blocks").to_string();

    let rates: Vec<_> = (1..=SERVERS).map(|server| import(&fleet, &format!("node-{server}"))).collect();
    let imported = rates.iter().copied().fold(0.0, f64::max);
    (0..SERVERS).for_each(|_| fleet.add(&[]));
    println!("{blocks} blocks with {transfers} transfers each; from a file: {imported:.0} blocks/s (of {rates:.0?})");
    let wanted = least.max(ratio * imported);
    for seeds in [&[1][..], &[1, 2, 3]] {
        let mut best = 0.0;
        for _ in 0..TRIES {
            best = catch_up(&mut fleet, seeds, blocks, &tip).max(best);
            if best >= wanted {
                break;
            }
        }
        let share = 100.0 * best / imported;
        println!("from {} peers: {share:.0}% of what an import reaches", seeds.len());
        assert!(best >= wanted, "{best:.0} blocks/s, and {wanted:.0} are wanted: {least}, and {ratio} of an import");
    }
    (1..=SERVERS).for_each(|number| fleet.stop(number));
}
