//! `spacetime node db check`.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use spacetime_node::store::DatabaseError;
use spacetime_node::store::check::{Phase, Report, Step, Watch, check};

use super::fail::{check_failure, database_failure};
use super::open::Place;
use super::progress::Progress;
use crate::interrupt::Interrupt;
use crate::{Failure, out};

/// Reads all of the store and compares everything with all that it must agree with. Exits with 3 on damage.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    place: Place,
    /// Prints a JSON object a line.
    #[arg(long)]
    json: bool,
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Line {
    event: &'static str,
    outcome: &'static str,
    height: u64,
    tip: Option<String>,
    blocks: u64,
    side_blocks: u64,
    bodies: u64,
    transactions: u64,
    values: u64,
    accounts: u64,
    plots: u64,
    nodes: u64,
    versions: u64,
    /// Things that are wrong in all; `damage` lists the first of them.
    found: u64,
    damage: Vec<String>,
    seconds: f64,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let began = Instant::now();
        let specification = self.place.specification()?;
        let database = Arc::new(self.place.database()?);
        let interrupt = Interrupt::install()?;
        let mut progress = Progress::new(self.json);
        progress.begin("checksums of tables", None);
        let mut damage = Vec::new();
        let mut found = 0;
        match database.verify() {
            Ok(()) => {}
            Err(error @ DatabaseError::Corrupt { .. }) => {
                found += 1;
                damage.push(error.to_string());
            }
            Err(error) => return Err(database_failure(&error)),
        }
        let mut steps = |step| match step {
            Step::Began { phase, total } => progress.begin(name(phase), total),
            Step::Advanced(by) => progress.advance(by),
        };
        let watch = Watch { steps: &mut steps, stop: &interrupt.flag() };
        let folder = self.place.folder();
        let report = match check(&database, &specification, watch) {
            Ok(report) => report,
            // The table that cannot be read is more than that something cannot be read.
            Err(_) if found > 0 && !interrupt.requested() => return Err(Failure::damaged(damage.remove(0))),
            Err(error) => return Err(check_failure(&folder, &error)),
        };
        drop(progress);
        found += report.found;
        damage.extend(report.findings.iter().map(ToString::to_string));
        self.print(&report, found, damage, began.elapsed().as_secs_f64())?;
        if found == 0 {
            return Ok(());
        }
        Err(Failure::damaged(format!(
            "{}: damaged in {found} places; `spacetime node db rewind` to before them, or import into a new folder",
            folder.display()
        )))
    }

    fn print(&self, report: &Report, found: u64, damage: Vec<String>, seconds: f64) -> Result<(), Failure> {
        let totals = report.totals;
        if self.json {
            return out::json(&Line {
                event: "done",
                outcome: if found == 0 { "sound" } else { "damaged" },
                height: totals.tip.0,
                tip: report.tip.map(|tip| tip.to_string()),
                blocks: totals.blocks,
                side_blocks: totals.side_blocks,
                bodies: totals.bodies,
                transactions: totals.transactions,
                values: totals.values,
                accounts: totals.accounts,
                plots: totals.plots,
                nodes: totals.nodes,
                versions: totals.versions,
                found,
                damage,
                seconds,
            });
        }
        for line in &damage {
            out::line(line)?;
        }
        if found > damage.len() as u64 {
            out::line(format_args!("and {} more", found - damage.len() as u64))?;
        }
        if found > 0 {
            return Ok(());
        }
        out::line(format_args!(
            "sound: height {}, {} blocks and {} beside them, {} transactions, {} accounts, {} plots, {} versions of the state \
             ({seconds:.1} s)",
            totals.tip,
            totals.blocks,
            totals.side_blocks,
            totals.transactions,
            totals.accounts,
            totals.plots,
            totals.versions
        ))
    }
}

const fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Headers => "headers",
        Phase::Bodies => "bodies",
        Phase::Values => "values of the state",
        Phase::Tree => "tree of the state",
        Phase::Versions => "earlier versions of the state",
        Phase::Strays => "entries that nothing points to",
    }
}
