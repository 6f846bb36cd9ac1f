//! `spacetime node db stats` and `spacetime node db compact`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use indicatif::BinaryBytes;
use serde::Serialize;
use spacetime_node::store::rocks::RocksStats;
use spacetime_node::store::space::free_bytes;
use spacetime_node::store::{RocksDatabase, Store};

use super::fail::{database_failure, open_failure, store_failure};
use super::open::Place;
use crate::{Failure, out};

/// Prints how far the chain is and what the store takes up.
#[derive(Debug, Args)]
pub struct Stats {
    #[command(flatten)]
    place: Place,
    /// Prints a JSON object.
    #[arg(long)]
    json: bool,
}

/// Rewrites the tables, which gives the room of what was removed back.
#[derive(Debug, Args)]
pub struct Compact {
    #[command(flatten)]
    place: Place,
    /// Prints a JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Description {
    #[serde(serialize_with = "out::path")]
    path: PathBuf,
    genesis: String,
    tip: String,
    height: u64,
    epoch: u64,
    timestamp_ms: u64,
    weight: String,
    oldest_state: u64,
    oldest_body: u64,
    bytes: u64,
    disk_free_bytes: Option<u64>,
    columns: Vec<ColumnLine>,
}

#[derive(Serialize)]
struct ColumnLine {
    name: &'static str,
    /// As the database estimates them.
    keys: u64,
    bytes: u64,
    tables: u64,
    memory_bytes: u64,
}

#[derive(Serialize)]
struct Compacted {
    #[serde(serialize_with = "out::path")]
    path: PathBuf,
    bytes_before: u64,
    bytes: u64,
}

/// Bytes on disk.
fn table_bytes(stats: &RocksStats) -> u64 {
    stats.columns.iter().map(|column| column.table_bytes).sum()
}

fn stats_of(database: &RocksDatabase) -> Result<RocksStats, Failure> {
    database.stats().map_err(|error| database_failure(&error))
}

impl Stats {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (_, genesis) = self.place.chain()?;
        let folder = self.place.folder();
        let database = Arc::new(self.place.database()?);
        let opened = Store::open(Arc::clone(&database), &genesis);
        let (store, tip) = opened.map_err(|error| open_failure(&folder, &error))?;
        let damaged = |error| store_failure(&folder, &error);
        let (oldest_state, oldest_body) =
            (store.oldest_state().map_err(damaged)?, store.oldest_body().map_err(damaged)?);
        let stats = stats_of(&database)?;
        let columns = stats.columns.iter().map(|column| ColumnLine {
            name: column.column.name(),
            keys: column.keys,
            bytes: column.table_bytes,
            tables: column.tables,
            memory_bytes: column.memory_bytes,
        });
        let description = Description {
            genesis: genesis.lineage.id.to_string(),
            tip: tip.id.to_string(),
            height: tip.height.0,
            epoch: tip.epoch.0,
            timestamp_ms: tip.timestamp_ms,
            weight: tip.weight.to_string(),
            oldest_state: oldest_state.0,
            oldest_body: oldest_body.0,
            bytes: table_bytes(&stats),
            disk_free_bytes: free_bytes(&folder).ok(),
            columns: columns.collect(),
            path: folder,
        };
        if self.json { out::json(&description) } else { out::line(description.lines()) }
    }
}

impl Description {
    fn lines(&self) -> String {
        let facts = [
            ("store", self.path.display().to_string()),
            ("genesis", self.genesis.clone()),
            ("tip", self.tip.clone()),
            ("height", format!("{}, epoch {}", self.height, self.epoch)),
            ("weight", self.weight.clone()),
            ("states", format!("from height {}", self.oldest_state)),
            ("bodies", format!("from height {}", self.oldest_body)),
            ("size", BinaryBytes(self.bytes).to_string()),
            ("disk free", self.disk_free_bytes.map_or("unknown".to_owned(), |bytes| BinaryBytes(bytes).to_string())),
        ];
        let facts = facts.map(|(name, value)| format!("{name:<10} {value}\n")).concat();
        let head =
            format!("{:<13} {:>12} {:>12} {:>7} {:>12}\n", "column", "keys, about", "on disk", "tables", "in memory");
        let columns = self.columns.iter().map(|column| {
            format!(
                "{:<13} {:>12} {:>12} {:>7} {:>12}\n",
                column.name,
                column.keys,
                BinaryBytes(column.bytes).to_string(),
                column.tables,
                BinaryBytes(column.memory_bytes).to_string(),
            )
        });
        let columns: String = columns.collect();
        format!("{facts}{head}{}", columns.trim_end())
    }
}

impl Compact {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (_, genesis) = self.place.chain()?;
        let path = self.place.folder();
        let database = Arc::new(self.place.database()?);
        // Another chain's is left alone.
        Store::open(Arc::clone(&database), &genesis).map_err(|error| open_failure(&path, &error))?;
        database.flush().map_err(|error| database_failure(&error))?;
        let before = table_bytes(&stats_of(&database)?);
        database.compact().map_err(|error| database_failure(&error))?;
        let after = table_bytes(&stats_of(&database)?);
        if self.json {
            return out::json(&Compacted { path, bytes_before: before, bytes: after });
        }
        out::line(format_args!("{}: {}, before {}", path.display(), BinaryBytes(after), BinaryBytes(before)))
    }
}
