//! `spacetime wallet history`.

use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use spacetime_node::chain::Height;
use spacetime_node::rpc::answers::{Happening, HappeningKind, HistoryAnswer};

use super::client::NodeUrl;
use super::owner::Whom;
use crate::args::show_coins;
use crate::{Failure, out};

/// `spacetime wallet history`.
#[derive(Debug, Args)]
pub struct History {
    #[command(flatten)]
    whom: Whom,
    /// Prints so many things at most, the latest.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Looks at so many blocks at most.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    blocks: u64,
    /// Prints a JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeUrl,
}

impl History {
    pub(super) fn run(self) -> Result<(), Failure> {
        let node = self.node.connect();
        let (_, address) = self.whom.address(&node)?;
        let (mut left, mut before, mut top) = (self.limit as usize, None, None);
        loop {
            let query = before.map_or(String::new(), |before| format!("?before={before}"));
            let page: HistoryAnswer = node.get(&format!("/rpc/history/{address}{query}"))?;
            let top = *top.get_or_insert(page.from.0);
            let lowest = Height(top.saturating_sub(self.blocks - 1));
            let near = |happening: &&Happening| happening.height.is_none_or(|height| height >= lowest);
            let found: Vec<_> = page.waiting.iter().chain(&page.happened).filter(near).take(left).collect();
            left -= found.len();
            for happening in found {
                self.print(happening)?;
            }
            match page.before {
                _ if left == 0 => return Ok(()),
                None if page.pruned => {
                    tracing::warn!("the node keeps no transactions of blocks below height {}", page.to);
                    return Ok(());
                }
                None => return Ok(()),
                Some(before) if before <= lowest => {
                    tracing::warn!("looked down to height {lowest}; --blocks looks further");
                    return Ok(());
                }
                Some(height) => before = Some(height),
            }
        }
    }

    fn print(&self, happening: &Happening) -> Result<(), Failure> {
        if self.json { out::json(happening) } else { out::line(line(happening)) }
    }
}

/// Milliseconds since 1970 as people write a time, as far as they do: whatever the node says has a form.
fn time(ms: u64) -> String {
    const YEAR_10000: u64 = 253_402_300_800_000;
    match ms {
        ..YEAR_10000 => humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms)).to_string(),
        _ => format!("{ms} ms"),
    }
}

/// What happened, on a line.
fn line(happening: &Happening) -> String {
    let when = happening.timestamp_ms.map_or_else(|| "waiting             ".to_owned(), time);
    let height = happening.height.map_or_else(|| "-".to_owned(), |height| height.to_string());
    let (word, sign) = match happening.kind {
        HappeningKind::Genesis => ("genesis", "+"),
        HappeningKind::Reward => ("reward", "+"),
        HappeningKind::Received => ("received", "+"),
        HappeningKind::Sent => ("sent", "-"),
        HappeningKind::ToItself => ("to itself", ""),
        HappeningKind::RegisterPlot => ("register plot", ""),
        HappeningKind::ActivatePlot => ("activate plot", ""),
        HappeningKind::RetirePlot => ("retire plot", ""),
        HappeningKind::Evidence => ("evidence", ""),
    };
    let mut line = format!("{when}  {height:>9}  {word:<13}  {sign}{}", show_coins(happening.amount.0));
    if happening.fee.0.0 > 0 {
        line += &format!("  fee {}", show_coins(happening.fee.0));
    }
    for text in [&happening.other, &happening.memo].into_iter().flatten() {
        line += "  ";
        // The node's words reach a terminal.
        line += &crate::exit::one_line(text);
    }
    if let Some(plot_key) = happening.plot_key {
        line += &format!("  plot {plot_key}");
    }
    line
}
