//! `spacetime plot info` and `spacetime plot list`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use indicatif::BinaryBytes;
use serde::Serialize;
use spacetime_prover::{Plot, PlotError, PlotHeader, PlotState};

use crate::network::Network;
use crate::{Code, Failure, Failures, out};

/// Prints all that a plot's header says.
#[derive(Debug, Args)]
pub struct Info {
    /// Plots, or folders that hold some.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Prints a JSON object for each.
    #[arg(long)]
    json: bool,
}

/// Lists plots, a line each.
#[derive(Debug, Args)]
pub struct List {
    /// Plots, or folders that hold some.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Prints a JSON object for each.
    #[arg(long)]
    json: bool,
}

/// Everything in a header, for people and programs.
#[derive(Serialize)]
struct Description {
    #[serde(serialize_with = "out::path")]
    path: PathBuf,
    state: &'static str,
    /// The network's name, if it is a known one.
    network: Option<&'static str>,
    network_tag: String,
    miner_key: String,
    seed: String,
    plot_key: String,
    log2_columns: u8,
    rounds: u8,
    rows: u64,
    first_row: u64,
    rows_per_segment: u64,
    segments: u64,
    data_offset: u64,
    roots_offset: u64,
    bytes: u64,
    root: String,
    plot_id: String,
}

#[derive(Serialize)]
struct Refused {
    #[serde(serialize_with = "out::path")]
    path: PathBuf,
    error: String,
}

impl Description {
    fn of(plot: &Plot) -> Self {
        let PlotHeader { miner_key, seed, network, shape, state, rows, rows_per_segment, first_row, .. } =
            plot.header();
        let PlotHeader { data_offset, roots_offset, root, plot_id, .. } = plot.header();
        Self {
            path: plot.path().to_owned(),
            state: state_name(*state),
            network: Network::name_of(network),
            network_tag: const_hex::encode(network),
            miner_key: const_hex::encode(miner_key),
            seed: const_hex::encode(seed),
            plot_key: const_hex::encode(plot.key().0),
            log2_columns: shape.log2_columns(),
            rounds: shape.rounds(),
            rows: *rows,
            first_row: *first_row,
            rows_per_segment: *rows_per_segment,
            segments: plot.layout().segments(),
            data_offset: *data_offset,
            roots_offset: *roots_offset,
            bytes: plot.layout().file_bytes(),
            root: const_hex::encode(root),
            plot_id: const_hex::encode(plot_id),
        }
    }

    fn lines(&self) -> String {
        let network = self.network.map_or(self.network_tag.clone(), |name| format!("{name} ({})", self.network_tag));
        let columns = 1u64 << self.log2_columns;
        [
            ("plot", self.path.display().to_string()),
            ("state", self.state.to_owned()),
            ("network", network),
            ("miner key", self.miner_key.clone()),
            ("seed", self.seed.clone()),
            ("plot key", self.plot_key.clone()),
            ("columns", format!("{columns} (p = {})", self.log2_columns)),
            ("rounds", self.rounds.to_string()),
            ("rows", format!("{}, from row {}", self.rows, self.first_row)),
            ("segments", format!("{} of {} rows", self.segments, self.rows_per_segment)),
            ("data at", self.data_offset.to_string()),
            ("roots at", self.roots_offset.to_string()),
            ("size", format!("{} bytes ({})", self.bytes, BinaryBytes(self.bytes))),
            ("root", self.root.clone()),
            ("plot id", self.plot_id.clone()),
        ]
        .map(|(name, value)| format!("{name:<10} {value}\n"))
        .concat()
    }
}

fn state_name(state: PlotState) -> &'static str {
    match state {
        PlotState::Building => "building",
        PlotState::Complete => "complete",
        PlotState::Part => "part",
    }
}

impl Info {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut failures = Failures::default();
        let files = plots_at(&self.paths, &ANY, &mut failures);
        for_each(files, failures, |path, plot| match plot {
            Ok(plot) if self.json => out::json(&Description::of(&plot)),
            Ok(plot) => out::line(Description::of(&plot).lines()),
            Err(error) if self.json => out::json(&Refused { path: path.to_owned(), error: error.to_string() }),
            Err(_) => Ok(()),
        })
    }
}

impl List {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if !self.json {
            out::line(format_args!(
                "{:<9} {:>3} {:>3} {:>13} {:>11}  {:<16} plot",
                "state", "p", "R", "rows", "size", "plot id"
            ))?;
        }
        let mut plots = 0u64;
        let mut bytes = 0u64;
        let mut failures = Failures::default();
        let files = files_at(&self.paths, &ANY, &mut failures, |_, _| ());
        let listed = for_each(files, failures, |path, plot| match plot {
            Ok(plot) => {
                let description = Description::of(&plot);
                plots += 1;
                bytes += description.bytes;
                if self.json {
                    return out::json(&description);
                }
                out::line(format_args!(
                    "{:<9} {:>3} {:>3} {:>13} {:>11}  {:<16} {}",
                    description.state,
                    description.log2_columns,
                    description.rounds,
                    description.rows,
                    BinaryBytes(description.bytes).to_string(),
                    &description.plot_id[..16],
                    description.path.display(),
                ))
            }
            Err(error) if self.json => out::json(&Refused { path: path.to_owned(), error: error.to_string() }),
            Err(_) => out::line(format_args!(
                "{:<9} {:>3} {:>3} {:>13} {:>11}  {:<16} {}",
                "refused",
                "",
                "",
                "",
                "",
                "",
                path.display()
            )),
        });
        if !self.json {
            let noun = if plots == 1 { "plot" } else { "plots" };
            out::line(format_args!("{plots} {noun}, {}", BinaryBytes(bytes)))?;
        }
        listed
    }
}

/// Shows every plot of `files` to `see`, good or not.
///
/// # Errors
/// What `see` fails with, or, after all were seen, the last bad file's failure.
fn for_each(
    files: Vec<PathBuf>,
    mut failures: Failures,
    mut see: impl FnMut(&Path, Result<Plot, &PlotError>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for path in files {
        match Plot::open_any(&path) {
            Ok(plot) => see(&path, Ok(plot))?,
            Err(error) => {
                see(&path, Err(&error))?;
                failures.push(super::plot_failure(&error));
            }
        }
    }
    failures.end()
}

/// The files at `paths`: files as they are, and of folders whatever is called
/// like one of `suffixes`, in the order of their names. A folder that cannot be
/// read is a failure.
fn files_at(
    paths: &[PathBuf],
    suffixes: &[&str],
    failures: &mut Failures,
    empty: fn(&Path, &mut Failures),
) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
        } else if let Some(found) = failures.take(files_in(path, suffixes)) {
            if found.is_empty() {
                empty(path, failures);
            }
            files.extend(found);
        }
    }
    files
}

/// The plots of some kinds at `paths`; a folder with none is a failure.
pub(crate) fn plots_at(paths: &[PathBuf], suffixes: &[&str], failures: &mut Failures) -> Vec<PathBuf> {
    files_at(paths, suffixes, failures, |folder, failures| {
        failures.push(Failure::failed(format!("{}: no plot in it", folder.display())));
    })
}

/// What plots are called, finished or not.
const ANY: [&str; 2] = [".plot", ".plot.tmp"];

/// The unfinished plots of a folder. What an interrupted `create` left before
/// there was anything in it is removed on the way.
pub(crate) fn unfinished_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    for file in files_in(folder, &[".plot.tmp.new"])? {
        spacetime_plotter::remove_stillborn(&file).map_err(|error| Failure::new(Code::Failed, error))?;
    }
    files_in(folder, &[".plot.tmp"])
}

/// What in `folder` is called like one of `suffixes`, in the order of names.
pub(crate) fn files_in(folder: &Path, suffixes: &[&str]) -> Result<Vec<PathBuf>, Failure> {
    let cannot_read = || format!("cannot read {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(cannot_read)? {
        let entry = entry.with_context(cannot_read)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if suffixes.iter().any(|suffix| name.ends_with(suffix)) && !entry.path().is_dir() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
