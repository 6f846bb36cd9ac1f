//! Real nodes and miners whose packets take their time, get lost, and are kept apart. `tools/netsim/run.sh` runs these for
//! longer.

#![cfg(all(feature = "node", target_os = "linux"))]

#[path = "support/network/mod.rs"]
mod network;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use network::fleet::{Fleet, Node, Plan};
use network::ground::{Ground, in_namespaces};
use network::{chosen, wait_for};

/// Longest that a network takes to get going.
const PATIENCE: Duration = Duration::from_secs(60);
/// An epoch of the local chain.
const EPOCH: Duration = Duration::from_secs(1);

/// How long blocks took to whom.
struct Spread {
    /// Of each pair of a block and a node other than its own that has it, sorted.
    took: Vec<Duration>,
    /// Pairs that never came about.
    missing: usize,
    blocks: usize,
}

impl Spread {
    /// Of all blocks that were proposed after `began` and long enough before now.
    fn measure(nodes: &[Node], began: Instant) -> Self {
        let until = Instant::now() - 3 * EPOCH;
        let seen: Vec<BTreeMap<String, Instant>> = nodes.iter().map(first_seen).collect();
        let mut spread = Self { took: Vec::new(), missing: 0, blocks: 0 };
        for (own, node) in nodes.iter().enumerate() {
            for (id, at) in node.proposals(0).into_iter().filter(|(_, at)| *at >= began && *at < until) {
                spread.blocks += 1;
                for (other, seen) in seen.iter().enumerate().filter(|(other, _)| *other != own) {
                    match seen.get(&id) {
                        Some(then) => spread.took.push(then.saturating_duration_since(at)),
                        None => {
                            println!("node {} never had {id} of node {}", other + 1, own + 1);
                            spread.missing += 1;
                        }
                    }
                }
            }
        }
        spread.took.sort();
        spread
    }

    /// The share of pairs within `limit`.
    fn within(&self, limit: Duration) -> f64 {
        let quick = self.took.partition_point(|took| *took <= limit);
        quick as f64 / (self.took.len() + self.missing) as f64
    }

    fn print(&self) {
        let Self { took, missing, blocks } = self;
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_millis();
        let [p5, p50, p90, p95, p99, most] = [0.05, 0.5, 0.9, 0.95, 0.99, 1.0].map(at);
        println!("{blocks} blocks, {} pairs of a block and a node, {missing} missing", took.len() + missing);
        println!("ms: 5% {p5}, median {p50}, 90% {p90}, 95% {p95}, 99% {p99}, most {most}");
        for limit_ms in [150, 200, 300, 400, 500, 750, 1000, 1500, 2000, 3000] {
            println!("within {limit_ms:>4} ms: {:.1}%", 100.0 * self.within(Duration::from_millis(limit_ms)));
        }
    }
}

/// When a node first had each block.
fn first_seen(node: &Node) -> BTreeMap<String, Instant> {
    let mut seen = BTreeMap::new();
    for (id, at) in node.blocks(0) {
        seen.entry(id).or_insert(at);
    }
    seen
}

/// Waits until each node has `peers` peers at least.
fn await_peers(fleet: &Fleet, peers: usize) {
    wait_for(&format!("each has {peers} peers"), PATIENCE, || {
        fleet.nodes().iter().all(|node| node.rpc.peers().len() >= peers).then_some(())
    });
}

#[test]
fn blocks_are_everywhere_within_a_second() {
    in_namespaces("blocks_are_everywhere_within_a_second", || {
        let (nodes, seconds) = (chosen("NODES", 10_usize), chosen("SECONDS", 30_u64));
        let (latency_ms, loss) = (chosen("LATENCY_MS", 100_u64), chosen("LOSS", 1.0_f64));
        let mining = vec![1, 1 + nodes / 3, 1 + 2 * nodes / 3];
        let mut fleet = Fleet::start(Ground::Namespaces, &Plan { nodes, mining, ..Plan::default() });
        let relay = fleet.relay.as_mut().expect("namespaces have one");
        relay.shape(latency_ms, loss);
        await_peers(&fleet, nodes.min(5) - 1);
        fleet.agree_above(2, PATIENCE);
        let began = Instant::now();
        std::thread::sleep(Duration::from_secs(seconds)); // what is measured is what happens meanwhile
        let spread = Spread::measure(fleet.nodes(), began);
        println!("{nodes} nodes, {latency_ms} ms one way, {loss}% of packets lost, {seconds} s");
        spread.print();
        println!("relay: {}", fleet.relay.as_mut().expect("there").ask("stats"));
        // Four epochs of five have a block; with chance and losses at least every other one.
        assert!(spread.blocks as u64 >= seconds / 2, "{} blocks", spread.blocks);
        let earliest = Duration::from_millis(latency_ms);
        // The control. Times are those at which lines of logs are read, so that a single one may be short.
        let median = spread.took[spread.took.len() / 2];
        assert!(median >= earliest, "packets take {earliest:?}, blocks took {median:?}");
        assert!(spread.within(Duration::from_secs(1)) >= 0.95, "95% of nodes have a block within a second");
        fleet.agree_above(5, PATIENCE);
    });
}

#[test]
fn three_parts_become_one_chain() {
    in_namespaces("three_parts_become_one_chain", || {
        let seconds: u64 = chosen("SECONDS", 15);
        let parts: [&[usize]; 3] = [&[1, 2], &[3, 4], &[5, 6]];
        let mining = parts.map(|part| part[0]).to_vec();
        let mut fleet = Fleet::start(Ground::Namespaces, &Plan { nodes: 6, mining, ..Plan::default() });
        fleet.relay.as_mut().expect("there").shape(20, 0.0);
        await_peers(&fleet, 4);
        fleet.agree_above(3, PATIENCE);
        fleet.relay.as_mut().expect("there").cut(&parts);
        std::thread::sleep(Duration::from_secs(seconds)); // so long they are apart
        let heads: Vec<_> = fleet.heads().into_iter().map(|head| head.expect("all run")).collect();
        let longest = heads.iter().map(|head| head.height).max().expect("there are some");
        let differ: BTreeSet<_> = heads.iter().map(|head| &head.id).collect();
        println!("apart for {seconds} s: {:?}", heads.iter().map(|head| head.height).collect::<Vec<_>>());
        assert!(differ.len() >= 3, "parts that hear nothing of each other go on by themselves: {heads:?}");
        fleet.relay.as_mut().expect("there").heal();
        let healed = Instant::now();
        fleet.agree_above(longest, 60 * EPOCH);
        let took = healed.elapsed();
        println!("one chain {:.1} s after the parts could reach each other", took.as_secs_f64());
        assert!(took <= 10 * EPOCH, "one chain within ten epochs, not {took:?}");
        let alarms = |node: &Node| node.rpc.figure("spacetime_alarms_total");
        assert!(fleet.nodes().iter().all(|node| alarms(node) == Some(0.0)), "the fork was not too deep");
    });
}
