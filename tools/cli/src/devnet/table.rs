//! How nodes, miners and blocks are written down for people.

use std::fmt::Write;
use std::time::Duration;

use indicatif::BinaryBytes;
use spacetime_node::chain::{Amount, Hash};
use spacetime_node::miner::window::WindowLine;
use spacetime_node::rpc::answers::{BlockAnswer, HeadAnswer};

use crate::args::show_coins;

/// The table's template: what it is all about, then the rest.
pub(super) const TEMPLATE: &str = "\n{prefix:.bold}\n\n{msg}";

/// Nodes and miners that have a line; of more it says how many there are. A terminal of 24 lines holds as many, and some
/// blocks above them.
const MOST_LINES: usize = 6;

/// A table that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    /// Its first line.
    pub(super) head: String,
    /// The rest.
    pub(super) body: String,
}

/// How far the network is.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) nodes: usize,
    pub(super) miners: usize,
    pub(super) height: u64,
    pub(super) wanted: Option<u64>,
    pub(super) epoch: u64,
    pub(super) transfers: u64,
    pub(super) time: Duration,
}

/// A node's line.
#[derive(Clone, Debug)]
pub(super) struct NodeLine<'a> {
    pub(super) name: &'a str,
    /// Where its chain ends and how many peers it has; none if it did not answer.
    pub(super) found: Option<(&'a HeadAnswer, usize)>,
    pub(super) memory: Option<u64>,
}

/// A miner's line.
#[derive(Clone, Debug)]
pub(super) struct MinerLine<'a> {
    pub(super) name: &'a str,
    pub(super) node: String,
    pub(super) won: u64,
    pub(super) answered: u64,
    pub(super) missed: u64,
    pub(super) last: Option<&'a WindowLine>,
    pub(super) mature: Amount,
    pub(super) immature: Amount,
    pub(super) memory: Option<u64>,
}

/// Writes the table.
pub(super) fn rows(state: &State, nodes: &[NodeLine<'_>], miners: &[MinerLine<'_>]) -> Rows {
    let State { nodes: all_nodes, miners: all_miners, height, wanted, epoch, transfers, time } = *state;
    let blocks = wanted.map_or(format!("block {height}"), |wanted| format!("block {height} of {wanted}"));
    let (minutes, seconds) = (time.as_secs() / 60, time.as_secs() % 60);
    let head = format!(
        "{all_nodes} nodes, {all_miners} miners   {blocks}   epoch {epoch}   transfers {transfers}   {minutes:02}:{seconds:02}"
    );
    let mut body = String::new();
    line(
        &mut body,
        &format!("{:<10}{:>8}{:>8}  {:<14}{:>6}{:>10}", "node", "height", "epoch", "head", "peers", "memory"),
    );
    for node in nodes.iter().take(MOST_LINES) {
        let memory = memory(node.memory);
        line(
            &mut body,
            &match node.found {
                Some((head, peers)) => {
                    let HeadAnswer { height, epoch, id, .. } = head;
                    format!("{:<10}{height:>8}{epoch:>8}  {:<14}{peers:>6}{memory:>10}", node.name, short(&id.0))
                }
                None => format!("{:<10}{:>8}{:>8}  {:<14}{:>6}{memory:>10}", node.name, "-", "-", "no answer", "-"),
            },
        );
    }
    more(&mut body, nodes.len());
    body.push('\n');
    line(
        &mut body,
        &format!(
            "{:<10}{:<9}{:>5}{:>9}{:>8}  {:<19}{:>12}{:>12}{:>10}",
            "miner", "asks", "won", "windows", "missed", "last best / target", "coins", "maturing", "memory"
        ),
    );
    for miner in miners.iter().take(MOST_LINES) {
        let MinerLine { name, node, won, answered, missed, mature, immature, .. } = miner;
        let (mature, immature, memory) = (show_coins(*mature), show_coins(*immature), memory(miner.memory));
        let last = miner.last.map_or("-".to_owned(), last_window);
        line(
            &mut body,
            &format!(
                "{name:<10}{node:<9}{won:>5}{answered:>9}{missed:>8}  {last:<19}{mature:>12}{immature:>12}{memory:>10}"
            ),
        );
    }
    more(&mut body, miners.len());
    Rows { head, body }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

fn more(text: &mut String, all: usize) {
    if all > MOST_LINES {
        writeln!(text, "and {} more", all - MOST_LINES).expect("a text has room");
    }
}

fn memory(bytes: Option<u64>) -> String {
    bytes.map_or("-".to_owned(), |bytes| BinaryBytes(bytes).to_string())
}

fn last_window(window: &WindowLine) -> String {
    let score = |score: Option<Hash>| score.map_or("-".to_owned(), |score| lead(&score));
    format!("{} / {}", score(window.best), score(window.target))
}

/// A block that was won.
pub(super) fn block_line(block: &BlockAnswer, miner: &str, transactions: usize) -> String {
    let BlockAnswer { height, epoch, score, target, id, .. } = block;
    let (score, target) = (lead(score), lead(target));
    // The coinbase is no news.
    let carried = match transactions.saturating_sub(1) {
        0 => String::new(),
        1 => "  1 transaction".to_owned(),
        more => format!("  {more} transactions"),
    };
    format!(
        "block {height:>4}  epoch {epoch:>5}  {miner:<9} won with {score} below {target}  {}{carried}",
        short(&id.0)
    )
}

/// The beginning of an id.
pub(super) fn short(id: &[u8; 32]) -> String {
    format!("{}…", const_hex::encode(&id[..6]))
}

/// The beginning of a score or target, by which two are told apart.
fn lead(number: &Hash) -> String {
    const_hex::encode(&number.0[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stays_small() {
        let state = State {
            nodes: 32,
            miners: 32,
            height: 12,
            wanted: Some(20),
            epoch: 15,
            transfers: 1,
            time: Duration::from_secs(61),
        };
        let node = NodeLine { name: "node-1", found: None, memory: Some(40 << 20) };
        let miner = MinerLine {
            name: "miner-1",
            node: "node-1".to_owned(),
            won: 7,
            answered: 15,
            missed: 0,
            last: None,
            mature: Amount(5_000_000_000),
            immature: Amount(0),
            memory: None,
        };
        let written = rows(&state, &vec![node; 32], &vec![miner; 32]);
        assert_eq!(written.head, "32 nodes, 32 miners   block 12 of 20   epoch 15   transfers 1   01:01");
        assert!(written.body.lines().count() <= 18, "{}", written.body);
        assert!(written.body.lines().all(|line| line.chars().count() < 100), "{}", written.body);
        assert_eq!(written.body.matches("and 26 more").count(), 2);
    }
}
