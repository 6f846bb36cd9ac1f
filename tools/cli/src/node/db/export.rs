//! `spacetime node db export`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use spacetime_node::chain::Height;
use spacetime_node::store::Store;
use spacetime_node::store::archive::export;

use super::super::out_file::OutFile;
use super::fail::{export_failure, open_failure};
use super::open::Place;
use super::progress::Progress;
use crate::interrupt::Interrupt;
use crate::{Failure, out};

/// Writes blocks of the best chain to a file, which `import` reads.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    out: OutFile,
    /// Height of the first block.
    #[arg(long, value_name = "HEIGHT", default_value_t = 1)]
    from: u64,
    /// Height of the last block; by default the tip's.
    #[arg(long, value_name = "HEIGHT")]
    to: Option<u64>,
    /// Prints a JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line {
    event: &'static str,
    #[serde(serialize_with = "out::path")]
    path: PathBuf,
    first: u64,
    last: u64,
    blocks: u64,
    bytes: u64,
    seconds: f64,
}

impl Export {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let began = Instant::now();
        let path = self.out.checked()?;
        let (_, genesis) = self.place.chain()?;
        let folder = self.place.folder();
        let database = Arc::new(self.place.database()?);
        let (store, tip) = Store::open(database, &genesis).map_err(|error| open_failure(&folder, &error))?;
        let (first, last) = (self.from, self.to.unwrap_or(tip.height.0));
        let blocks = last.saturating_sub(first).saturating_add(1);
        let interrupt = Interrupt::install()?;
        let mut progress = Progress::new(self.json);
        progress.begin("blocks", Some(blocks));
        let see = |_| {
            progress.advance(1);
            !interrupt.requested()
        };
        export(&store, &genesis.lineage.id, Height(first)..=Height(last), &path, see)
            .map_err(|error| export_failure(&folder, &error))?;
        drop(progress);
        let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
        if self.json {
            let seconds = began.elapsed().as_secs_f64();
            return out::json(&Line { event: "done", path, first, last, blocks, bytes, seconds });
        }
        out::line(format_args!("{}: {blocks} blocks, heights {first} to {last}, {bytes} bytes", path.display()))
    }
}
