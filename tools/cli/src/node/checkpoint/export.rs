//! `spacetime node checkpoint export`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use spacetime_node::chain::Height;
use spacetime_node::store::Store;
use spacetime_node::store::snapshot::{Step, export};

use super::super::db::fail::open_failure;
use super::super::db::open::Place;
use super::super::db::progress::Progress;
use super::snapshot_failure;
use crate::interrupt::Interrupt;
use crate::{Failure, out};

/// Writes the state after a block of the best chain, and the headers that lead to it, to a file, which `import` reads.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    place: Place,
    /// The file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Height of the block; by default as far below the tip as the chain may still be changed.
    #[arg(long, value_name = "HEIGHT")]
    height: Option<u64>,
    /// Replaces a file that is there.
    #[arg(long)]
    force: bool,
    /// Prints a JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line {
    event: &'static str,
    #[serde(serialize_with = "out::path")]
    path: PathBuf,
    /// What `import` has to be told to trust.
    checkpoint: String,
    height: u64,
    id: String,
    values: u64,
    bytes: u64,
    seconds: f64,
}

impl Export {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let began = Instant::now();
        let name = self.out.display();
        if self.out.exists() && !self.force {
            return Err(Failure::failed(format!("{name}: exists; --force replaces it")));
        }
        if self.out.file_name().is_none() {
            return Err(Failure::usage(format!("--out {name}: names no file")));
        }
        let (specification, genesis) = self.place.chain()?;
        let folder = self.place.folder();
        let database = Arc::new(self.place.database()?);
        let (store, tip) = Store::open(database, &genesis).map_err(|error| open_failure(&folder, &error))?;
        let settled = tip.height.0.saturating_sub(specification.parameters.reorg_limit);
        let height = self.height.unwrap_or(settled);
        let interrupt = Interrupt::install()?;
        let mut progress = Progress::new(self.json);
        progress.begin("headers", Some(height));
        let (mut done, mut values) = (0, false);
        let see = |step| {
            let now = match step {
                Step::Headers(now) => now,
                Step::Values(now) => {
                    if !std::mem::replace(&mut values, true) {
                        progress.begin("values", None);
                        done = 0;
                    }
                    now
                }
            };
            progress.advance(now - done);
            done = now;
            !interrupt.requested()
        };
        let head = export(&store, &genesis.lineage.id, Height(height), &self.out, see)
            .map_err(|error| snapshot_failure(&folder, &error))?;
        drop(progress);
        let bytes = std::fs::metadata(&self.out).map_or(0, |file| file.len());
        let (id, values) = (head.block.id, head.values);
        let checkpoint = format!("{height}:{id}");
        if self.json {
            let (seconds, id) = (began.elapsed().as_secs_f64(), id.to_string());
            let (event, path) = ("done", self.out);
            return out::json(&Line { event, path, checkpoint, height, id, values, bytes, seconds });
        }
        out::line(format_args!("{name}: checkpoint {checkpoint}, {values} values, {bytes} bytes"))
    }
}
