//! `spacetime node checkpoint import`.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use spacetime_node::chain::{BlockId, Height};
use spacetime_node::consensus::{Checkpoint, Specification};
use spacetime_node::store::snapshot::{SnapshotHead, SnapshotReader};

use super::super::db::fail::database_failure;
use super::super::db::open::{Place, Room};
use super::{Steps, snapshot_failure};
use crate::interrupt::Interrupt;
use crate::{Failure, out};

/// Bytes that are read from the file at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Begins a store with the state of a file, if that is the state of a block that is trusted: one that the chain's
/// specification names as a checkpoint, or one that `--trust` names. Everything is checked against that block's id. Blocks
/// from the next one on are then had from peers or a file; the chain never goes back below the block.
#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    room: Room,
    /// The file that `export` has written.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The block that the file has to be of, as somebody who is trusted says.
    #[arg(long, value_name = "HEIGHT:ID", value_parser = checkpoint)]
    trust: Option<Checkpoint>,
    /// Prints a JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line {
    event: &'static str,
    height: u64,
    tip: String,
    values: u64,
    seconds: f64,
}

/// `HEIGHT:ID`, the id in hex.
fn checkpoint(text: &str) -> Result<Checkpoint, String> {
    let wanted = || format!("expected HEIGHT:ID, the id as 64 hex digits, found {text:?}");
    let (height, id) = text.split_once(':').ok_or_else(wanted)?;
    let height: u64 = height.parse().map_err(|_| wanted())?;
    let mut bytes = [0; 32];
    if id.len() != 64 || const_hex::decode_to_slice(id, &mut bytes).is_err() {
        return Err(wanted());
    }
    Ok(Checkpoint { height: Height(height), id: BlockId(bytes) })
}

/// The block that a file has to be of.
fn trusted(
    trust: Option<Checkpoint>,
    specification: &Specification,
    name: &str,
    head: &SnapshotHead,
) -> Result<Checkpoint, Failure> {
    if let Some(trust) = trust {
        return Ok(trust);
    }
    let Checkpoint { height, id } = head.block;
    let known = specification.checkpoints.iter().find(|known| known.height == height);
    known.copied().ok_or_else(|| {
        Failure::usage(format!(
            "{name}: snapshot of block {height}:{id}, which is no checkpoint of the chain's specification; \
             if somebody whom you trust says that it is on the chain: --trust {height}:{id}"
        ))
    })
}

impl Import {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let began = Instant::now();
        let (name, folder) = (self.file.display().to_string(), self.place.folder());
        let file = File::open(&self.file).with_context(|| format!("cannot open {name}"))?;
        let (specification, _) = self.place.chain()?;
        let failed = |error| snapshot_failure(&folder, &error);
        let reader = BufReader::with_capacity(BUFFER_BYTES, file);
        let snapshot = SnapshotReader::open(reader, name.as_str()).map_err(failed)?;
        let head = *snapshot.head();
        let trusted = trusted(self.trust, &specification, &name, &head)?;
        let database = self.place.database_for_import(&self.room)?;
        let interrupt = Interrupt::install()?;
        let mut steps = Steps::begin(self.json, head.block.height.0, Some(head.values));
        let imported = snapshot.import(&specification, trusted, &database, |step| steps.see(step, &interrupt));
        drop(steps);
        let kept = database.inner().set_sync(true);
        let imported = imported.map_err(failed)?;
        kept.map_err(|error| database_failure(&error))?;
        let (height, id, values) = (imported.tip.height.0, imported.tip.id, imported.values);
        let seconds = began.elapsed().as_secs_f64();
        if self.json {
            return out::json(&Line { event: "done", height, tip: id.to_string(), values, seconds });
        }
        out::line(format_args!("{}: height {height}, tip {id}; {values} values ({seconds:.1} s)", folder.display()))
    }
}
