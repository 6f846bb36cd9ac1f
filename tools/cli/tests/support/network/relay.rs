//! The network between the nodes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::ground;

/// `tools/netsim/relay.py`, told what to do line by line. What it has made goes with it.
#[derive(Debug)]
pub(crate) struct Relay {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Relay {
    /// Namespaces for so many nodes, numbered from 1, all reachable at once and without loss.
    pub(crate) fn start(nodes: usize) -> Self {
        let mut command = Command::new(ground::relay());
        command.args(["--nodes", &nodes.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("it was tried before");
        let orders = process.stdin.take().expect("a pipe");
        let answers = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut relay = Self { process, orders, answers };
        assert_eq!(relay.answer(), "ready");
        relay
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the relay runs");
        line.trim_end().to_owned()
    }

    /// Says something to it, and what it answers.
    pub(crate) fn ask(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").expect("the relay runs");
        self.answer()
    }

    #[track_caller]
    fn order(&mut self, order: &str) {
        assert_eq!(self.ask(order), "ok", "{order}");
    }

    /// How packets between nodes travel from now on: one way, and so many of a hundred are lost.
    pub(crate) fn shape(&mut self, latency_ms: u64, loss_percent: f64) {
        self.order(&format!("shape {latency_ms} {loss_percent}"));
    }

    /// Keeps these groups of nodes apart.
    pub(crate) fn cut(&mut self, groups: &[&[usize]]) {
        let group = |nodes: &&[usize]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let groups: Vec<_> = groups.iter().map(group).collect();
        self.order(&format!("cut {}", groups.join(" ")));
    }

    /// All reach all again.
    pub(crate) fn heal(&mut self) {
        self.order("heal");
    }

    /// Gives a node addresses beside 10.NODE.0.1, of 10.NODE.0.0/16.
    pub(crate) fn addresses(&mut self, node: usize, addresses: impl IntoIterator<Item = String>) {
        let addresses: Vec<_> = addresses.into_iter().collect();
        self.order(&format!("addresses {node} {}", addresses.join(" ")));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It ends by itself when its input does, but not while it is waited for here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
