//! What it all came to: the last line of standard output.

use serde::Serialize;
use spacetime_node::chain::{Amount, BlockId};

use super::fleet::{Memory, miner_name};
use super::table::short;
use super::transfers::Settled;
use crate::args::show_coins;
use crate::{Failure, out};

/// The network from its beginning to its end.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) event: &'static str,
    pub(super) outcome: Outcome,
    pub(super) nodes: usize,
    pub(super) miners: usize,
    /// Of the first node.
    pub(super) height: u64,
    pub(super) head: BlockId,
    pub(super) epoch: u64,
    /// Whether all nodes have the same head.
    pub(super) heads_agree: bool,
    /// In the order of the miners.
    pub(super) blocks_per_miner: Vec<u64>,
    /// Windows that miners did not answer.
    pub(super) missed_windows: u64,
    pub(super) empty_epochs: u64,
    pub(super) transfers: u64,
    /// The first of them.
    pub(super) transfer: Option<Transfer>,
    /// As all stores have it, which were read from end to end; none where they were not.
    pub(super) supply: Option<Supply>,
    pub(super) memory: Vec<Memory>,
    pub(super) seconds: f64,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// As it should.
    Done,
    /// The nodes did not come to one chain.
    Disagreed,
    /// What it left on disk is not what it should be, or something did not stop.
    Failed,
    /// By the user.
    Interrupted,
}

/// A transfer that all nodes have.
#[derive(Debug, Serialize)]
pub(super) struct Transfer {
    id: String,
    height: u64,
    amount: Amount,
}

/// Money, in base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Supply {
    /// All that was ever issued.
    pub(super) issued: Amount,
    /// What of it was burnt.
    pub(super) burnt: Amount,
    /// What accounts and rewards come to.
    pub(super) held: Amount,
}

impl From<Settled> for Transfer {
    fn from(settled: Settled) -> Self {
        Self { id: settled.id.to_string(), height: settled.height.0, amount: settled.amount }
    }
}

impl Summary {
    /// Prints it; the last line says the most.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            return out::json(self);
        }
        self.facts().into_iter().try_for_each(|(name, fact)| out::line(format_args!("{name:<10} {fact}")))?;
        out::line(self.line())
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let won = self.blocks_per_miner.iter().zip(1..).map(|(won, number)| format!("{} {won}", miner_name(number)));
        let mut facts = vec![
            ("epochs", format!("{}, {} of them without a block", self.epoch, self.empty_epochs)),
            ("blocks won", won.collect::<Vec<_>>().join(", ")),
            (
                "transfers",
                match &self.transfer {
                    Some(transfer) => format!("{}, the first in block {}", self.transfers, transfer.height),
                    None => "none".to_owned(),
                },
            ),
        ];
        if let Some(Supply { issued, burnt, held }) = self.supply {
            let [issued, burnt, held] = [issued, burnt, held].map(show_coins);
            facts.push((
                "coins",
                format!("{issued} issued, {burnt} burnt, {held} held, in {}", count(self.nodes, "sound store")),
            ));
        }
        if let Some(most) = self.memory.iter().max_by_key(|memory| memory.peak_bytes)
            && let Some(bytes) = most.peak_bytes
        {
            facts.push(("memory", format!("{} at most, by {}", indicatif::BinaryBytes(bytes), most.name)));
        }
        facts
    }

    fn line(&self) -> String {
        let Self { height, seconds, .. } = self;
        let agree = match (self.outcome, self.heads_agree) {
            (Outcome::Interrupted, _) => "stopped",
            (Outcome::Failed, _) => "FAILED",
            (_, true) => "in agreement",
            (_, false) => "NOT in agreement",
        };
        let (nodes, miners) = (count(self.nodes, "node"), count(self.miners, "miner"));
        let head = short(&self.head.0);
        format!("{nodes} {agree} at height {height} on {head}, won by {miners} in {seconds:.1} s")
    }
}

/// So many of them.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
