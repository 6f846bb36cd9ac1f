//! What a person or a program sees on the way.
//!
//! A person at a terminal sees blocks as they are won, and below them a table that is always up to date; without a
//! terminal the blocks alone. A program that said `--json` reads events from standard output, an object a line.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use spacetime_node::chain::{Amount, BlockId, Hash, Height};
use spacetime_node::rpc::answers::BlockAnswer;

use super::table::{self, Rows};
use super::transfers::Settled;
use crate::out;

/// Blocks of which each is told without a terminal; behind them one now and then is.
const ALL_TOLD: u64 = 64;
/// How often one is then.
const NOW_AND_THEN: Duration = Duration::from_secs(10);

/// Where it is shown.
#[derive(Debug)]
pub(super) struct Screen {
    kind: Kind,
    told: Instant,
}

#[derive(Debug)]
enum Kind {
    /// Nothing but errors, as `-q` asked.
    Silent,
    /// Events on standard output.
    Json,
    /// Lines on standard error.
    Lines,
    /// Lines above a table.
    Table(ProgressBar),
}

/// What happened, with `--json`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Progress { doing: &'a str },
    Block { height: Height, epoch: u64, id: BlockId, miner: &'a str, score: Hash, target: Hash, transactions: usize },
    Replaced { above: Height },
    Transfer { id: String, height: Height, amount: Amount },
}

impl Screen {
    pub(super) fn new(json: bool) -> Self {
        let kind = if json {
            Kind::Json
        } else if !tracing::enabled!(tracing::Level::WARN) {
            Kind::Silent
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(ProgressStyle::with_template(table::TEMPLATE).expect("the template is well-formed"));
            Kind::Table(bar)
        } else {
            Kind::Lines
        };
        Self { kind, told: Instant::now() }
    }

    /// Something begins.
    pub(super) fn doing(&self, doing: &str) {
        self.tell(|| doing.to_owned(), || Event::Progress { doing });
    }

    /// A line that matters to people alone.
    pub(super) fn note(&self, line: &str) {
        if !matches!(self.kind, Kind::Json) {
            self.tell(|| line.to_owned(), || Event::Progress { doing: line });
        } else {
            // Nobody reads it as a result.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// A block has joined the best chain.
    pub(super) fn block(&mut self, block: &BlockAnswer, miner: &str) {
        if matches!(self.kind, Kind::Lines) && block.height.0 > ALL_TOLD && self.told.elapsed() < NOW_AND_THEN {
            return;
        }
        self.told = Instant::now();
        let transactions = block.transactions.as_ref().map_or(0, Vec::len);
        self.tell(
            || table::block_line(block, miner, transactions),
            || Event::Block {
                height: block.height,
                epoch: block.epoch.0,
                id: block.id,
                miner,
                score: block.score,
                target: block.target,
                transactions,
            },
        );
    }

    /// Another branch has become the best.
    pub(super) fn replaced(&self, above: Height) {
        self.tell(
            || format!("another branch is best: blocks above {above} are replaced"),
            || Event::Replaced { above },
        );
    }

    /// All nodes have a transfer.
    pub(super) fn transfer(&self, transfer: &Settled, nodes: usize) {
        let Settled { id, height, amount } = *transfer;
        self.tell(
            || format!("transfer {} is in block {height}, and all nodes show it ({nodes})", table::short(&id.0)),
            || Event::Transfer { id: id.to_string(), height, amount },
        );
    }

    /// Whether there is a table to show things in.
    pub(super) fn has_table(&self) -> bool {
        matches!(self.kind, Kind::Table(_))
    }

    /// Shows how things stand.
    pub(super) fn show(&self, rows: &Rows) {
        if let Kind::Table(bar) = &self.kind {
            bar.set_prefix(rows.head.clone());
            bar.set_message(rows.body.clone());
        }
    }

    /// Takes the table away.
    pub(super) fn clear(&self) {
        if let Kind::Table(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }

    fn tell<'a>(&self, line: impl FnOnce() -> String, event: impl FnOnce() -> Event<'a>) {
        match &self.kind {
            Kind::Silent => {}
            // A reader that left is noticed when the summary is printed.
            Kind::Json => drop(out::json(&event())),
            // If standard error is closed there is nobody to tell.
            Kind::Lines => drop(writeln!(std::io::stderr(), "{}", line())),
            Kind::Table(bar) => bar.println(line()),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}
