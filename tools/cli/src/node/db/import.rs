//! `spacetime node db import`.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use spacetime_node::chain::rules::{BlockError, HeaderError};
use spacetime_node::manager::{ChainManager, ImportReport, Options, Refusal};
use spacetime_node::store::Database;
use spacetime_node::store::archive::ArchiveReader;
use tracing::warn;

use super::fail::{archive_failure, database_failure, store_failure};
use super::open::{Place, Room};
use super::progress::Progress;
use crate::interrupt::Interrupt;
use crate::{Failure, out};

/// Bytes that are read from the file at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Takes in the blocks of a file, each judged as if it came from a peer; makes the store if there is none. Blocks that
/// are there already are passed over, so that the same command goes on after it was stopped.
#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    room: Room,
    /// The file that `export` has written.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Keeps the bodies of so many of the latest blocks; by default of all.
    #[arg(long, value_name = "N")]
    keep_bodies: Option<u64>,
    /// Prints a JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line {
    event: &'static str,
    /// Blocks of the file.
    blocks: u64,
    connected: u64,
    known: u64,
    refused: u64,
    /// Blocks that wait for a parent, or for more weight, that the file does not have.
    waiting: u64,
    reorganisations: u64,
    height: u64,
    tip: String,
    state_root: String,
    seconds: f64,
}

impl Import {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let began = Instant::now();
        let (name, folder) = (self.file.display().to_string(), self.place.folder());
        let file = File::open(&self.file).with_context(|| format!("cannot open {name}"))?;
        let (specification, genesis) = self.place.chain()?;
        let reader = BufReader::with_capacity(BUFFER_BYTES, file);
        let archive = ArchiveReader::open(reader, name.as_str(), &genesis.lineage.id, &specification.parameters);
        let mut archive = archive.map_err(|error| archive_failure(&folder, &error))?;
        let head = *archive.head();
        let options = Options { keep_bodies: self.keep_bodies };
        let (mut manager, database) = self.place.manager_for_import(&self.room, options)?;
        let interrupt = Interrupt::install()?;
        let mut progress = Progress::new(self.json);
        progress.begin("blocks", Some((head.last.0 - head.first.0).saturating_add(1)));
        let blocks = std::iter::from_fn(|| {
            if interrupt.requested() {
                return None;
            }
            let block = archive.next();
            progress.advance(u64::from(matches!(block, Some(Ok(_)))));
            block
        });
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64);
        let imported = manager.import(blocks, now_ms, |_| true);
        drop(progress);
        // What was taken in is kept, whatever happened then.
        let kept = database.inner().set_sync(true);
        let report = imported.map_err(|error| archive_failure(&folder, &error))?;
        kept.map_err(|error| database_failure(&error))?;
        interrupt.check(&format!("stopped at height {}; the same command goes on from there", manager.tip().height))?;
        self.print(&report, archive.blocks(), &manager, began.elapsed().as_secs_f64())?;
        judge(&name, &report, manager.waiting())
    }

    fn print<D: Database>(
        &self,
        report: &ImportReport,
        blocks: u64,
        manager: &ChainManager<D>,
        seconds: f64,
    ) -> Result<(), Failure> {
        let (tip, folder) = (manager.tip(), self.place.folder());
        let reorganisations = report.reorganisations;
        let ImportReport { connected, known, refused, .. } = *report;
        if self.json {
            return out::json(&Line {
                event: "done",
                blocks,
                connected,
                known,
                refused,
                waiting: manager.waiting() as u64,
                reorganisations,
                height: tip.height.0,
                tip: tip.id.to_string(),
                state_root: state_root(manager, &folder)?,
                seconds,
            });
        }
        out::line(format_args!(
            "{}: height {}, tip {}; {blocks} blocks read, {connected} connected, {known} known ({seconds:.1} s)",
            folder.display(),
            tip.height,
            tip.id
        ))
    }
}

/// Whether all blocks of a file were good.
fn judge(name: &str, report: &ImportReport, waiting: usize) -> Result<(), Failure> {
    if let Some((id, refusal)) = report.first_refused() {
        let message = format!("{name}: {} blocks refused, the first is {id}: {refusal}", report.refused);
        let later =
            matches!(refusal, Refusal::Branches { .. } | Refusal::Rule(BlockError::Header(HeaderError::Early { .. })));
        return Err(if later { Failure::failed(message) } else { Failure::damaged(message) });
    }
    if waiting == 0 {
        return Ok(());
    }
    let message = format!("{name}: {waiting} blocks wait for a parent or more weight, which the file does not have");
    if report.connected == 0 && report.known == 0 {
        return Err(Failure::failed(message));
    }
    warn!("{message}");
    Ok(())
}

/// Root of the state at the tip.
pub(super) fn state_root<D: Database>(manager: &ChainManager<D>, folder: &Path) -> Result<String, Failure> {
    let stored = manager.store().known_header(&manager.tip().id).map_err(|error| store_failure(folder, &error))?;
    Ok(stored.header.state_root.to_string())
}
