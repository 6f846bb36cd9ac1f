//! All processes of the network.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use spacetime_node::consensus::Parameters;

use super::people::Miner;
use super::place::Place;
use super::process::Process;
use super::rpc::Client;
use super::{TICK, interrupted};
use crate::Failure;
use crate::interrupt::Interrupt;

/// Longest that a node takes until it listens: it makes a database, on a disk that others use too.
const START: Duration = Duration::from_secs(30);
/// Longest that an orderly stop takes.
const STOP: Duration = Duration::from_secs(5);
/// What a node writes when it listens, in its folder.
const RUN: &str = "run.json";
/// Longest such file.
const MAX_RUN_BYTES: usize = 64 << 10;

/// The processes. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Fleet<'a> {
    place: &'a Place,
    hrp: String,
    nodes: Vec<Process>,
    /// Of the nodes that listen.
    clients: Vec<Client>,
    miners: Vec<Process>,
}

/// The most memory that a process has had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Memory {
    /// The process.
    pub(super) name: String,
    /// Bytes; none where the system does not tell.
    pub(super) peak_bytes: Option<u64>,
}

/// Where a node listens, as it says itself.
#[derive(Debug, Deserialize)]
struct Run {
    pid: u32,
    rpc: SocketAddr,
    listen: Vec<String>,
}

/// The name of a node's process and folder, counted from 1.
pub(super) fn node_name(number: usize) -> String {
    format!("node-{number}")
}

/// The name of a miner's process and folder, counted from 1.
pub(super) fn miner_name(number: usize) -> String {
    format!("miner-{number}")
}

impl<'a> Fleet<'a> {
    /// No process yet.
    pub(super) fn new(place: &'a Place, parameters: &Parameters) -> Self {
        Self { place, hrp: parameters.hrp.clone(), nodes: Vec::new(), clients: Vec::new(), miners: Vec::new() }
    }

    /// Starts so many nodes. All but the first are told of the first alone: the others they find by themselves.
    ///
    /// # Errors
    /// If one of them does not come to listen; with code 130 if the user asked to stop.
    pub(super) fn start_nodes(&mut self, count: usize, interrupt: &Interrupt) -> Result<(), Failure> {
        self.start_node(count, None)?;
        let mut seed = None;
        while self.clients.len() < count {
            // All the others at once.
            while seed.is_some() && self.nodes.len() < count {
                self.start_node(count, seed.as_deref())?;
            }
            let Run { rpc, listen, .. } = self.wait_for_node(self.clients.len(), interrupt)?;
            self.clients.push(Client::new(rpc, &self.hrp));
            if seed.is_none() {
                let address = listen.into_iter().next();
                seed = Some(address.ok_or_else(|| Failure::failed("node-1 listens on no address"))?);
            }
        }
        Ok(())
    }

    fn start_node(&mut self, count: usize, seed: Option<&str>) -> Result<(), Failure> {
        let name = node_name(self.nodes.len() + 1);
        let (data, chain) = (self.data_of(&name), self.place.chain());
        let mut arguments = vec!["node".into(), "run".into(), "--data".into(), data.into_os_string()];
        arguments.extend(["--chain".into(), chain.into_os_string()]);
        arguments.extend(["--listen", "/ip4/127.0.0.1/tcp/0", "--rpc", "127.0.0.1:0"].map(Into::into));
        // Others than these are of no use to it.
        arguments.extend(["--set", "peers.mdns=false"].map(Into::into));
        if count == 1 {
            // It will never have a peer to wait for.
            arguments.push("--mine-alone".into());
        }
        if let Some(seed) = seed {
            arguments.extend(["--seed".into(), seed.into()]);
        }
        self.nodes.push(Process::start(&name, &arguments, &self.place.log(&name), None)?);
        Ok(())
    }

    fn wait_for_node(&mut self, index: usize, interrupt: &Interrupt) -> Result<Run, Failure> {
        let deadline = Instant::now() + START;
        let path = self.data_of(self.nodes[index].name()).join(RUN);
        loop {
            if interrupt.requested() {
                return Err(interrupted());
            }
            self.check()?;
            if let Some(run) = read_run(&path, self.nodes[index].id()) {
                return Ok(run);
            }
            if Instant::now() >= deadline {
                let name = self.nodes[index].name();
                let seconds = START.as_secs();
                return Err(Failure::failed(format!(
                    "{name} does not listen after {seconds} s; its log is {}",
                    self.place.log(name).display()
                )));
            }
            std::thread::sleep(TICK);
        }
    }

    /// Starts a miner, which asks one of the nodes.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn start_miner(&mut self, miner: &Miner) -> Result<(), Failure> {
        let node = &self.clients[self.miners.len() % self.clients.len()];
        let mut arguments: Vec<std::ffi::OsString> = vec!["miner".into(), "--node".into(), node.url("").into()];
        arguments.extend(["--keys".into(), miner.keystore.clone().into_os_string()]);
        arguments.extend(["--payout".into(), miner.payout.encode(&self.hrp).into()]);
        arguments.extend(["--data".into(), miner.data.clone().into_os_string(), "--json".into()]);
        arguments.push(miner.plots.clone().into_os_string());
        let (log, windows) = (self.place.log(&miner.name), self.place.windows(&miner.name));
        self.miners.push(Process::start(&miner.name, &arguments, &log, Some(&windows))?);
        Ok(())
    }

    /// The node that a miner asks, both counted from 0.
    pub(super) fn node_of(&self, miner: usize) -> usize {
        miner % self.clients.len()
    }

    /// A node's folder.
    pub(super) fn data_of(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The nodes' HTTP.
    pub(super) fn clients(&self) -> &[Client] {
        &self.clients
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Process> {
        self.nodes.iter_mut().chain(&mut self.miners)
    }

    /// Goes on while all run that were not asked to stop.
    ///
    /// # Errors
    /// If one ended by itself.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        self.all().try_for_each(Process::check)
    }

    /// The last lines of the logs of those that ended by themselves, with their names.
    pub(super) fn last_words(&mut self) -> Vec<String> {
        let lost = self.all().filter_map(|process| process.is_lost().then_some(&*process));
        lost.flat_map(|process| process.tail().into_iter().map(|line| format!("{}: {line}", process.name()))).collect()
    }

    /// The most memory that each has had so far.
    pub(super) fn memory(&mut self) -> Vec<Memory> {
        let measured = |process: &mut Process| {
            process.measure();
            Memory { name: process.name().to_owned(), peak_bytes: process.peak_bytes() }
        };
        self.all().map(measured).collect()
    }

    /// Stops the miners.
    ///
    /// # Errors
    /// If one does not stop in time; it is ended all the same.
    pub(super) fn stop_miners(&mut self) -> Result<(), Failure> {
        stop(&mut self.miners)
    }

    /// Stops all, the miners first: they have nobody to ask without nodes.
    ///
    /// # Errors
    /// If one does not stop in time; it is ended all the same.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        let miners = stop(&mut self.miners);
        stop(&mut self.nodes).and(miners)
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        // Whoever drops it early has said why already.
        let _ = self.stop();
    }
}

fn stop(processes: &mut [Process]) -> Result<(), Failure> {
    let deadline = Instant::now() + STOP;
    processes.iter_mut().for_each(Process::ask_to_stop);
    let mut late = Vec::new();
    for process in processes {
        if !process.wait(deadline) {
            process.kill();
            late.push(process.name().to_owned());
        }
    }
    if late.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("{} did not stop within {} s and was killed", late.join(", "), STOP.as_secs())))
}

/// Where the process `pid` listens, if it has said so.
fn read_run(path: &Path, pid: u32) -> Option<Run> {
    let bytes = std::fs::read(path).ok().filter(|bytes| bytes.len() <= MAX_RUN_BYTES)?;
    serde_json::from_slice::<Run>(&bytes).ok().filter(|run| run.pid == pid)
}
