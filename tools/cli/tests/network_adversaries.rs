//! Peers that mean harm (`node/examples/adversary`) against one node of a real network, which goes on meanwhile.

#![cfg(all(feature = "node", target_os = "linux"))]

#[path = "support/network/mod.rs"]
mod network;
mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use network::chosen;
use network::fleet::{Fleet, Plan};
use network::ground::{Ground, in_namespaces_or_on_loopback};
use serde_json::Value;

/// Longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const NODES: usize = 3;
/// The node that is attacked, which one of the two miners asks.
const VICTIM: usize = 1;
/// Where attackers come from, and where many come from at once.
const LAIR: usize = NODES + 1;
const SWARM: usize = NODES + 2;
/// Addresses of each.
const ADDRESSES: usize = 30;
/// Most peers of one /24, as nodes have it where nothing else is said.
const PER_GROUP: u64 = 4;
/// Most memory of a node.
const MOST_BYTES: u64 = 512 << 20;

/// Addresses of attackers who know nothing of each other: each in a /24 of its own.
fn lair(number: usize) -> String {
    format!("10.{LAIR}.{number}.1")
}

/// Addresses of those who come together, all in one /24.
fn swarm(number: usize) -> String {
    format!("10.{SWARM}.1.{number}")
}

/// What becomes of an attacker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is banned.
    Banned,
    /// It is let go, and may come again.
    LetGo,
    /// It is kept, in the bounds of any other peer.
    Bounded,
}

/// A kind, the seconds that it has at most, and what becomes of it.
type Attack = (&'static str, u32, Fate);

const ATTACKS: [Attack; 13] = [
    // So that blocks and answers are large when the others come.
    ("load", 5, Fate::Bounded),
    ("oversized", 5, Fate::Banned),
    ("garbage", 5, Fate::Banned),
    ("garbage-gossip", 5, Fate::Banned),
    ("garbage-answer", 20, Fate::Banned),
    ("forged-transaction", 5, Fate::Banned),
    ("forged-headers", 20, Fate::Banned),
    ("bad-body", 20, Fate::Banned),
    // Refused; but whoever forwards a block beside its own chain cannot have seen it, so that one costs little.
    ("bad-state", 20, Fate::Bounded),
    ("unpaid-transactions", 10, Fate::Banned),
    ("same-block", 20, Fate::Banned),
    ("questions", 10, Fate::Banned),
    ("equivocation", 20, Fate::Banned),
];
/// Those that take their time, and go on beside the others. Nobody is banned for what may be bad luck, but for its
/// happening twice, and meanwhile it is not believed or asked.
const SLOW: [Attack; 4] = [
    ("silent", 20, Fate::LetGo),
    ("slow-reader", 45, Fate::Banned),
    ("overstated", 90, Fate::Banned),
    ("withheld", 90, Fate::Banned),
];

/// The adversary, which is built with the workspace's tests. None where they were built without it.
fn adversary() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_BIN_EXE_spacetime")).with_file_name("examples").join("adversary");
    if beside.is_file() {
        return Some(beside);
    }
    let is_required = std::env::var_os("SPACETIME_REQUIRE_NETNS").is_some_and(|value| value == "1");
    assert!(!is_required, "there is no {}: `cargo build --release --workspace --examples` makes it", beside.display());
    eprintln!("SKIPPED: there is no {}: `cargo build --release --workspace --examples` makes it", beside.display());
    None
}

/// An attack that goes on.
struct Running {
    kind: &'static str,
    fate: Fate,
    /// Lines of the victim before it.
    from: usize,
    process: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has mostly ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Scene {
    fleet: Fleet,
    ground: Ground,
    adversary: PathBuf,
    /// Attacks so far: each comes from an address of its own.
    count: usize,
}

impl Scene {
    fn begin(&mut self, (kind, seconds, fate): Attack) -> Running {
        let mut command = self.fleet.command_at(LAIR, &self.adversary);
        self.count += 1;
        command.args([kind, &self.fleet.node(VICTIM).address, "--chain", "chain.toml"]);
        command.args(["--seconds", &seconds.to_string()]);
        if self.ground == Ground::Namespaces {
            command.args(["--from", &lair(self.count)]);
        }
        self.launch(command, kind, fate)
    }

    fn launch(&self, mut command: Command, kind: &'static str, fate: Fate) -> Running {
        let from = self.fleet.node(VICTIM).lines.len();
        command.current_dir(self.fleet.folder()).stdin(Stdio::null()).stdout(Stdio::piped());
        Running { kind, fate, from, process: command.spawn().expect("it was built") }
    }

    /// Waits for an attack's end, and holds what became of the attacker.
    fn end(&self, mut running: Running) {
        let mut said = String::new();
        let output = running.process.stdout.as_mut().expect("a pipe");
        std::io::Read::read_to_string(output, &mut said).expect("UTF-8");
        let Running { kind, fate, from, .. } = running;
        let report = said.lines().last().unwrap_or_else(|| panic!("{kind} says nothing"));
        println!("{report}");
        let report: Value = serde_json::from_str(report).expect("JSON");
        let attacker = report["peer"].as_str().expect("a text");
        let is_banned = || self.fleet.node(VICTIM).banned(from).iter().any(|banned| banned == attacker);
        match fate {
            Fate::Banned => {
                assert!(is_banned(), "{kind} is banned: {report}");
                assert!(report["ended_ms"].is_u64() && report["welcome_again"] == false, "{kind}: {report}");
            }
            Fate::LetGo => assert!(report["ended_ms"].is_u64() && !is_banned(), "{kind}: {report}"),
            Fate::Bounded => assert!(!is_banned(), "{kind}: {report}"),
        }
        self.honest_go_on(kind);
    }

    /// The nodes know each other, nobody honest is banned, blocks come, and all have the same.
    fn honest_go_on(&self, kind: &str) {
        let ids: Vec<&str> = self.fleet.nodes().iter().map(|node| node.id.as_str()).collect();
        for node in self.fleet.nodes() {
            let banned = node.banned(0);
            assert!(
                banned.iter().all(|banned| !ids.contains(&banned.as_str())),
                "{kind}: {} banned {banned:?}",
                node.id
            );
            let peers = node.rpc.peers();
            let others = ids.iter().filter(|id| **id != node.id);
            others.for_each(|id| assert!(peers.iter().any(|peer| peer == id), "{kind}: {} lost {id}", node.id));
            assert!(node.peak_bytes() < MOST_BYTES, "{kind}: {} has had {} bytes", node.name(), node.peak_bytes());
        }
        let height = self.fleet.node(NODES).rpc.head().expect("it runs").height;
        self.fleet.agree_above(height + 1, PATIENCE);
    }

    /// Windows so far of each miner: of the victim's, and of the one that nobody attacks.
    fn now(&self) -> [usize; 2] {
        [0, 1].map(|miner| self.fleet.windows(miner).len())
    }

    /// Windows of a miner since line `from`: how many, and how many of them were missed.
    fn windows(&self, miner: usize, from: usize) -> (usize, usize) {
        let results = self.fleet.windows(miner).find(from, |line| {
            let line: Value = serde_json::from_str(&line.text).ok()?;
            Some((line["result"].as_str()?.to_owned(), line["reason"].clone()))
        });
        let missed: Vec<_> = results.iter().filter(|(result, _)| result == "missed").collect();
        if !missed.is_empty() {
            println!("miner {} missed: {missed:?}", miner + 1);
        }
        (results.len(), missed.len())
    }
}

#[test]
fn whoever_means_harm_is_kept_out_and_the_network_goes_on() {
    let Some(adversary) = adversary() else { return };
    in_namespaces_or_on_loopback("whoever_means_harm_is_kept_out_and_the_network_goes_on", |ground| {
        let people = Command::new(&adversary).arg("genesis").output().expect("it was built").stdout;
        let people: Value = serde_json::from_slice(&people).expect("JSON");
        let plan = Plan {
            nodes: NODES,
            strangers: 2,
            mining: vec![VICTIM, NODES],
            others: serde_json::from_value(people["plots"].clone()).expect("plots"),
            accounts: serde_json::from_value(people["accounts"].clone()).expect("addresses"),
            ..Plan::default()
        };
        let mut fleet = Fleet::start(ground, &plan);
        fleet.agree_above(3, PATIENCE);
        if let Some(relay) = fleet.relay.as_mut() {
            relay.shape(5, 0.0);
            relay.addresses(LAIR, (1..=ADDRESSES).map(lair));
            relay.addresses(SWARM, (1..=ADDRESSES).map(swarm));
        }
        let mut scene = Scene { fleet, ground, adversary, count: 0 };

        let control: u64 = chosen("CONTROL_SECONDS", 10);
        let from = scene.now();
        std::thread::sleep(Duration::from_secs(control)); // what is counted is what happens meanwhile
        let (windows, missed) = scene.windows(0, from[0]);
        println!("control: {missed} of {windows} windows missed");
        assert!(windows as u64 + 3 >= control, "{windows} windows in {control} s");

        let kinds: String = chosen("KINDS", String::new());
        let wanted = |(kind, ..): &Attack| kinds.is_empty() || kinds.split(',').any(|wanted| wanted == *kind);
        let (from, began) = (scene.now(), Instant::now());
        let mut slow = Vec::new();
        for (number, attack) in ATTACKS.into_iter().filter(wanted).enumerate() {
            let running = scene.begin(attack);
            scene.end(running);
            // When there are large blocks.
            if number == 0 {
                slow = SLOW.into_iter().filter(wanted).map(|attack| scene.begin(attack)).collect();
            }
        }
        if ground == Ground::Namespaces {
            eclipse(&mut scene);
        }
        slow.into_iter().for_each(|running| scene.end(running));
        let [(attacked, missed_then), (_, missed_elsewhere)] = [0, 1].map(|miner| scene.windows(miner, from[miner]));
        println!(
            "attacked for {:.0} s: {missed_then} of {attacked} windows missed, {missed_elsewhere} where nobody attacks",
            began.elapsed().as_secs_f64()
        );
        let most = scene.fleet.nodes().iter().map(|node| node.peak_bytes() >> 20).max();
        println!("most memory of a node: {} MiB", most.expect("there are some"));
        // As often as undisturbed, rounded up; what another miner misses meanwhile, the machine was too busy for.
        let allowed = (missed * attacked).div_ceil(windows).max(missed_elsewhere);
        assert!(missed_then <= allowed, "no more than {allowed} windows are missed");
    });
}

/// Many peers of one network: as many are let in as of any network, and the others stay.
fn eclipse(scene: &mut Scene) {
    let mut command = scene.fleet.command_at(SWARM, &scene.adversary);
    command.args(["eclipse", &scene.fleet.node(VICTIM).address, "--chain", "chain.toml", "--seconds", "10"]);
    for number in 1..=ADDRESSES {
        command.args(["--from", &swarm(number)]);
    }
    let mut running = scene.launch(command, "eclipse", Fate::Bounded);
    let mut said = String::new();
    std::io::Read::read_to_string(running.process.stdout.as_mut().expect("a pipe"), &mut said).expect("UTF-8");
    println!("{}", said.trim());
    let report: Value = serde_json::from_str(said.trim()).expect("JSON");
    assert!(report["sent"].as_u64() > Some(PER_GROUP) && report["welcome"] == true, "{report}");
    assert!(report["let_in"].as_u64() <= Some(PER_GROUP), "no more than {PER_GROUP} of a network: {report}");
    scene.honest_go_on("eclipse");
}
