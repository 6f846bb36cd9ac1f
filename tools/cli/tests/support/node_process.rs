//! A node's process of a test's own, on a chain of the test's own.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use spacetime_kernels::Target;
use spacetime_node::chain::{Address, Amount};
use spacetime_node::consensus::{GenesisAccount, GenesisPlot, Specification};

use crate::support::{Running, run, run_with_input};

/// Longest that anything here is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A secret key of an account, and its address on a local chain.
pub(crate) const SECRET: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

/// Makes `account.json`, and returns its address.
pub(crate) fn account(folder: &Path) -> String {
    let arguments = ["-q", "keys", "import", "--kind", "account", "--insecure", "--out", "account.json"];
    run_with_input(folder, &arguments, SECRET).expect(0, &["WARNING"]);
    let shown = run(folder, &["wallet", "address", "account.json", "--network", "local"]).expect(0, &[]);
    shown.stdout.trim().to_owned()
}

/// Makes `chain.toml`: a local chain that began just now, on which `rich` has a thousand coins and each plot wins often.
pub(crate) fn chain(folder: &Path, rich: &str, plots: Vec<GenesisPlot>) {
    let mut specification = Specification::local();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    specification.genesis.time_ms = now.as_millis() as u64;
    specification.genesis.base = Target([0xff; 32]);
    let address = Address::parse(rich, "lst").expect("an address of a local chain");
    specification.genesis.accounts = vec![GenesisAccount { address, balance: Amount(1_000_000_000_000) }];
    specification.genesis.plots = plots;
    fs::write(folder.join("chain.toml"), specification.to_toml()).expect("a small file");
}

/// A node that runs in the folder `data`.
pub(crate) struct Node {
    pub(crate) running: Running,
    /// What it wrote to `run.json`.
    pub(crate) whereabouts: Value,
}

impl Node {
    /// Starts it, with flags beside those that keep it to this machine and free ports, and waits until it listens.
    pub(crate) fn start(folder: &Path, flags: &[&str]) -> Self {
        let mut arguments = arguments();
        arguments.extend(flags);
        let running = Running::start(folder, &arguments);
        let place = folder.join("data/run.json");
        let began = Instant::now();
        loop {
            let found = fs::read(&place).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
            if let Some(whereabouts) = found.filter(|found| found["pid"] == running.0.id()) {
                return Self { running, whereabouts };
            }
            assert!(began.elapsed() < PATIENCE, "the node does not come to listen");
            std::thread::sleep(Duration::from_millis(10)); // nothing tells of a file
        }
    }

    /// Where its HTTP is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.whereabouts["rpc"].as_str().expect("it has HTTP"))
    }

    /// Sends a signal and waits for the end: the exit code, and how long it took.
    pub(crate) fn end(mut self, signal: &str) -> (Option<i32>, Duration) {
        let began = Instant::now();
        self.running.signal(signal);
        let status = self.running.0.wait().expect("it ends");
        (status.code(), began.elapsed())
    }
}

/// `node run` in the folder `data`, on this machine and free ports alone.
pub(crate) fn arguments() -> Vec<&'static str> {
    let mut arguments = vec!["node", "run", "--chain", "chain.toml", "--data", "data", "--rpc", "127.0.0.1:0"];
    arguments.extend(["--listen", "/ip4/127.0.0.1/tcp/0", "--set", "peers.mdns=false"]);
    arguments.extend(["--set", "store.free_bytes=1048576"]);
    arguments
}
