//! The processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use spacetime_node::chain::Address;
use spacetime_node::consensus::Parameters;
use spacetime_node::consensus::specification::GenesisPlot;
use tempfile::TempDir;

use super::chain::{self, Miner};
use super::ground::Ground;
use super::lines::{Line, Lines};
use super::relay::Relay;
use super::rpc::{Head, Rpc};
use super::wait_for;
use crate::support::command;

/// Longest that a node takes until it listens, and an orderly stop.
const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(5);
/// Ports in namespaces, where nobody else is.
const PORT: u16 = 21_230;
const RPC_PORT: u16 = 21_231;

/// What a network is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Nodes, numbered from 1.
    pub(crate) nodes: usize,
    /// Namespaces beside those of the nodes, numbered on.
    pub(crate) strangers: usize,
    /// Nodes with a miner.
    pub(crate) mining: Vec<usize>,
    /// Plots of others in genesis.
    pub(crate) others: Vec<GenesisPlot>,
    /// Accounts with money.
    pub(crate) accounts: Vec<Address>,
    /// Settings of all nodes, as `--set` takes them.
    pub(crate) settings: Vec<String>,
}

/// A node, whether it runs or not.
#[derive(Debug)]
pub(crate) struct Node {
    number: usize,
    data: PathBuf,
    process: Option<Child>,
    /// What it says on standard error.
    pub(crate) lines: Lines,
    /// Its HTTP, as of its latest start.
    pub(crate) rpc: Rpc,
    /// Where it is to be dialled, its id included.
    pub(crate) address: String,
    /// Its peer id.
    pub(crate) id: String,
}

/// A network.
#[derive(Debug)]
pub(crate) struct Fleet {
    folder: Option<TempDir>,
    ground: Ground,
    /// What is between the nodes, where that is namespaces.
    pub(crate) relay: Option<Relay>,
    nodes: Vec<Node>,
    miners: Vec<(Child, Lines)>,
    settings: Vec<String>,
}

impl Fleet {
    /// Nothing yet: a folder with room for the chain's files, and namespaces for so many nodes.
    pub(crate) fn empty(ground: Ground, places: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("spacetime-netsim-").tempdir().expect("a folder");
        let relay = (ground == Ground::Namespaces).then(|| Relay::start(places));
        Self { folder: Some(folder), ground, relay, nodes: Vec::new(), miners: Vec::new(), settings: Vec::new() }
    }

    /// Makes and starts a network.
    pub(crate) fn start(ground: Ground, plan: &Plan) -> Self {
        let mut fleet = Self::empty(ground, plan.nodes + plan.strangers);
        fleet.settings.clone_from(&plan.settings);
        let parameters = Parameters::local();
        let make = |number| Miner::make(fleet.folder(), number, &parameters);
        let miners: Vec<_> = (1..=plan.mining.len()).map(make).collect();
        let in_ms = 500 * (plan.nodes + plan.mining.len()) as u64;
        chain::write(fleet.folder(), &miners, &plan.others, &plan.accounts, in_ms);
        // All but the first are told of the first, and come up side by side.
        fleet.spawn_node(1, &[]);
        fleet.await_node(1);
        (2..=plan.nodes).for_each(|number| fleet.spawn_node(number, &[1]));
        (2..=plan.nodes).for_each(|number| fleet.await_node(number));
        for (miner, node) in miners.iter().zip(&plan.mining) {
            fleet.start_miner(miner, *node);
        }
        fleet
    }

    /// Starts the next node, which is told of others by their numbers.
    pub(crate) fn add(&mut self, seeds: &[usize]) {
        let number = self.nodes.len() + 1;
        self.spawn_node(number, seeds);
        self.await_node(number);
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().expect("it is there to the end").path()
    }

    /// A node, by its number from 1.
    pub(crate) fn node(&self, number: usize) -> &Node {
        &self.nodes[number - 1]
    }

    /// All nodes.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What the miners say of their windows, a JSON object a line.
    pub(crate) fn windows(&self, miner: usize) -> &Lines {
        &self.miners[miner].1
    }

    /// The program in a node's place, on the network as that sees it.
    pub(crate) fn command_at(&self, number: usize, program: &Path) -> Command {
        match self.ground {
            Ground::Loopback => Command::new(program),
            Ground::Namespaces => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &format!("n{number}")]).arg(program);
                command
            }
        }
    }

    fn spacetime_at(&self, number: usize, arguments: &[&str]) -> Command {
        // The program with what surrounds it in tests, behind whatever leads to its place.
        let plain = command(self.folder(), arguments);
        let mut placed = self.command_at(number, Path::new(plain.get_program()));
        placed.args(plain.get_args()).current_dir(self.folder()).stdin(Stdio::null());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => placed.env(name, value),
                None => placed.env_remove(name),
            };
        }
        placed
    }

    /// The address of a node's place.
    pub(crate) fn ip(&self, number: usize) -> String {
        match self.ground {
            Ground::Namespaces => format!("10.{number}.0.1"),
            Ground::Loopback => "127.0.0.1".to_owned(),
        }
    }

    /// Starts a node that has ended, and waits for nothing.
    pub(crate) fn launch(&mut self, number: usize) {
        let seeds: &[usize] = if number == 1 { &[] } else { &[1] };
        self.spawn_node(number, seeds);
    }

    /// Starts a node that has ended, and waits until it listens.
    pub(crate) fn restart(&mut self, number: usize) {
        self.launch(number);
        self.await_node(number);
    }

    fn spawn_node(&mut self, number: usize, seeds: &[usize]) {
        let name = format!("node-{number}");
        let known = self.nodes.get(number - 1);
        let ip = self.ip(number);
        // On loopback the system chooses ports once, and later starts take the same.
        let (listen, rpc) = match (known, self.ground) {
            (_, Ground::Namespaces) => (format!("/ip4/{ip}/tcp/{PORT}"), format!("{ip}:{RPC_PORT}")),
            (Some(node), _) => {
                (node.address.split("/p2p/").next().expect("a text").to_owned(), node.rpc.at.to_string())
            }
            (None, _) => (format!("/ip4/{ip}/tcp/0"), format!("{ip}:0")),
        };
        let seeds: Vec<_> = seeds.iter().map(|seed| self.node(*seed).address.clone()).collect();
        let strict = format!("peers.strict_local={}", self.ground == Ground::Namespaces);
        let mut arguments = vec!["-v", "node", "run", "--data", &name, "--chain", "chain.toml", "--listen", &listen];
        arguments.extend(["--rpc", &rpc, "--set", "peers.mdns=false", "--set", &strict]);
        arguments.extend((self.ground == Ground::Namespaces).then_some("--rpc-public"));
        arguments.extend(seeds.iter().flat_map(|seed| ["--seed", seed]));
        arguments.extend(self.settings.iter().flat_map(|setting| ["--set", setting.as_str()]));
        let mut started = self.spacetime_at(number, &arguments);
        let mut process = started.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let (errors, log) = (process.stderr.take().expect("a pipe"), self.folder().join(format!("{name}.log")));
        if number > self.nodes.len() {
            let (lines, rpc) = (Lines::default(), Rpc::new(([127, 0, 0, 1], 0).into()));
            let (data, address, id) = (self.folder().join(&name), String::new(), String::new());
            self.nodes.push(Node { number, data, process: None, lines, rpc, address, id });
        }
        let node = &mut self.nodes[number - 1];
        node.lines.follow(errors, &log);
        node.process = Some(process);
    }

    /// Waits until a node says where it listens.
    fn await_node(&mut self, number: usize) {
        let node = &mut self.nodes[number - 1];
        let process = node.process.as_mut().expect("it was started");
        let run = wait_for(&format!("node-{number} listens"), START, || {
            assert!(process.try_wait().expect("ours").is_none(), "node-{number} ended: {:?}", node.lines);
            let run: Value = serde_json::from_slice(&fs::read(node.data.join("run.json")).ok()?).ok()?;
            (run["pid"] == process.id()).then_some(run)
        });
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        node.rpc = Rpc::new(text(&run["rpc"]).parse().expect("an address"));
        node.address = text(&run["listen"][0]);
        node.id = node.address.rsplit("/p2p/").next().expect("a text").to_owned();
    }

    fn start_miner(&mut self, miner: &Miner, node: usize) {
        let url = format!("http://{}", self.node(node).rpc.at);
        let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let (keys, plots, data) = (path(&miner.keys), path(&miner.plots), path(&miner.data));
        let arguments = ["-v", "miner", "--node", &url, "--keys", &keys, "--payout", &miner.payout];
        let more = ["--data", &data, "--json", &plots];
        let mut started = self.spacetime_at(node, &[&arguments[..], &more].concat());
        let started = started.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut process = started.expect("the program starts");
        let (windows, said) = (Lines::default(), Lines::default());
        let number = self.miners.len() + 1;
        let file = |name: &str| self.folder().join(format!("miner-{number}.{name}"));
        windows.follow(process.stdout.take().expect("a pipe"), &file("windows"));
        said.follow(process.stderr.take().expect("a pipe"), &file("log"));
        self.miners.push((process, windows));
    }

    /// The heads of all nodes that answer.
    pub(crate) fn heads(&self) -> Vec<Option<Head>> {
        self.nodes.iter().map(|node| node.rpc.head()).collect()
    }

    /// Waits until all nodes have a block of one chain at `height` or above: its id.
    #[track_caller]
    pub(crate) fn agree_above(&self, height: u64, patience: Duration) -> String {
        wait_for(&format!("all have one chain of {height} blocks"), patience, || self.agreed_above(height))
    }

    /// The id of the block at the lowest head's height, if that is `height` at least and all nodes have it.
    pub(crate) fn agreed_above(&self, height: u64) -> Option<String> {
        let heads: Vec<Head> = self.heads().into_iter().collect::<Option<_>>()?;
        let lowest = heads.iter().map(|head| head.height).min()?;
        let ids: Vec<_> = self.nodes.iter().map(|node| node.rpc.id_at(lowest)).collect::<Option<_>>()?;
        (lowest >= height && ids.iter().all(|id| *id == ids[0])).then(|| ids[0].clone())
    }

    /// Ends a node at once, as a crash of the machine's would.
    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(mut process) = self.nodes[number - 1].process.take() {
            process.kill().expect("ours");
            process.wait().expect("it ends");
        }
    }

    /// Ends a node in good order; fails the test if that takes longer than it may.
    #[track_caller]
    pub(crate) fn stop(&mut self, number: usize) {
        let Some(mut process) = self.nodes[number - 1].process.take() else { return };
        let asked = Command::new("kill").args(["-TERM", &process.id().to_string()]).status();
        assert!(asked.expect("kill runs").success());
        let began = Instant::now();
        let status = wait_for(&format!("node-{number} stops"), 2 * STOP, || process.try_wait().expect("ours"));
        assert!(status.success() && began.elapsed() < STOP, "node-{number}: {status} after {:?}", began.elapsed());
    }

    /// Ends the miners.
    pub(crate) fn stop_miners(&mut self) {
        for (process, _) in &mut self.miners {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Node {
    /// Its folder's name.
    pub(crate) fn name(&self) -> String {
        format!("node-{}", self.number)
    }

    /// The most memory that it has had, in bytes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let id = self.process.as_ref().expect("it runs").id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes * 1024
    }

    /// Blocks that it has taken since line `from`, and when.
    pub(crate) fn blocks(&self, from: usize) -> Vec<(String, Instant)> {
        self.events(from, "took a block")
    }

    /// Blocks of its own miners that it has told the network, and when.
    pub(crate) fn proposals(&self, from: usize) -> Vec<(String, Instant)> {
        self.events(from, "proposed a block")
    }

    fn events(&self, from: usize, message: &str) -> Vec<(String, Instant)> {
        let level = format!("INFO {message} ");
        let event = |line: &Line| {
            line.text.contains(&level).then(|| line.field("id").map(|id| (id.to_owned(), line.at))).flatten()
        };
        self.lines.find(from, event)
    }

    /// Peers that it has banned since line `from`.
    pub(crate) fn banned(&self, from: usize) -> Vec<String> {
        let banned = |line: &Line| line.text.contains(" peer banned ").then(|| line.field("peer").map(str::to_owned));
        self.lines.find(from, |line| banned(line).flatten())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop_miners();
        for node in &mut self.nodes {
            if let Some(process) = &mut node.process {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
        if std::thread::panicking() {
            let kept = self.folder.take().expect("it is there to the end").keep();
            eprintln!("all of it is left in {}", kept.display());
        }
    }
}
