//! `spacetime node checkpoint export`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use spacetime_node::chain::Height;
use spacetime_node::store::Store;
use spacetime_node::store::snapshot::export;

use super::super::db::fail::open_failure;
use super::super::db::open::Place;
use super::super::out_file::OutFile;
use super::{Steps, snapshot_failure};
use crate::interrupt::Interrupt;
use crate::{Failure, out};

/// Writes the state after a block of the best chain, and the headers that lead to it, to a file, which `import` reads.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    out: OutFile,
    /// Height of the block; by default as far below the tip as the chain may still be changed.
    #[arg(long, value_name = "HEIGHT")]
    height: Option<u64>,
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
        let path = self.out.checked()?;
        let (specification, genesis) = self.place.chain()?;
        let folder = self.place.folder();
        let database = Arc::new(self.place.database()?);
        let (store, tip) = Store::open(database, &genesis).map_err(|error| open_failure(&folder, &error))?;
        let settled = tip.height.0.saturating_sub(specification.parameters.reorg_limit);
        let height = self.height.unwrap_or(settled);
        let interrupt = Interrupt::install()?;
        let mut steps = Steps::begin(self.json, height, None);
        let head = export(&store, &genesis.lineage.id, Height(height), &path, |step| steps.see(step, &interrupt))
            .map_err(|error| snapshot_failure(&folder, &error))?;
        drop(steps);
        let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
        let (id, values) = (head.block.id, head.values);
        let checkpoint = format!("{height}:{id}");
        if self.json {
            let (seconds, id) = (began.elapsed().as_secs_f64(), id.to_string());
            return out::json(&Line { event: "done", path, checkpoint, height, id, values, bytes, seconds });
        }
        out::line(format_args!("{}: checkpoint {checkpoint}, {values} values, {bytes} bytes", path.display()))
    }
}
