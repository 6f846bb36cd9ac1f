//! `spacetime plot create`.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use indicatif::{BinaryBytes, HumanDuration};
use serde::Serialize;
use spacetime_kernels::Shape;
use spacetime_plotter::{
    Control, CopyOptions, CreateError, CreateOptions, Estimate, PlotParams, SharedGrower, Staged, check_room, create,
    create_staged, estimate,
};
use tracing::{info, warn};

use super::many::{self, Count, Made, Makers};
use super::progress::Screen;
use super::work::{Gpus, Work};
use crate::args::{MinerKey, Size, bytes_32, miner_key, size};
use crate::gpu::Growers;
use crate::network::{Network, network};
use crate::{Failure, FailureExt, keys, out};

/// Grows plots.
///
/// A plot is called NAME.plot.tmp while it grows. Ctrl-C, or a loss of power,
/// leaves what was done: `spacetime plot resume` goes on from there.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("miner").required(true), group = ArgGroup::new("extent").required(true))]
pub struct Create {
    /// Network the plot is for. Others than main, test and local are taken, with a warning.
    #[arg(long, default_value = "main", value_parser = network)]
    network: Network,
    /// Public key of the miner: 96 hex digits.
    #[arg(long, value_parser = miner_key, group = "miner", value_name = "HEX96")]
    miner_key: Option<MinerKey>,
    /// Keystore with the miner's key; its passphrase is not needed.
    #[arg(long, group = "miner", value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Seed of the plot: 64 hex digits. Default: random.
    #[arg(long, value_parser = bytes_32, value_name = "HEX64")]
    seed: Option<[u8; 32]>,
    /// Rows of each plot.
    #[arg(long, group = "extent", value_name = "N", allow_negative_numbers = true)]
    rows: Option<u64>,
    /// Bytes of each plot's cells, such as 100GiB, rounded down to whole rows.
    #[arg(long, group = "extent", value_parser = size, value_name = "SIZE", allow_negative_numbers = true)]
    size: Option<Size>,
    /// Log2 of the columns. Default: the network's.
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    log2_columns: Option<u8>,
    /// Mixing rounds. Default: the network's.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=255), value_name = "R", allow_negative_numbers = true)]
    rounds: Option<u8>,
    /// Rows a segment, a power of two. Default: 16 GiB of them.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    segment_rows: Option<u64>,
    /// Grows a part for `plot merge`, beginning with this row of the whole plot.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    first_row: Option<u64>,
    /// Folders to fill side by side; they are created if missing.
    #[arg(long, required = true, num_args = 1.., value_name = "DIR")]
    out: Vec<PathBuf>,
    /// Grows in this folder, on a fast disk, and moves each plot to its own while the next one grows.
    #[arg(long, value_name = "DIR")]
    staging: Option<PathBuf>,
    /// Name of the plot without `.plot`; several plots get a number behind it.
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// Plots to make in all, each with a seed of its own. Default: one in each folder.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["fill", "seed"], value_name = "N", allow_negative_numbers = true)]
    count: Option<u64>,
    /// Makes plots until every folder is full.
    #[arg(long, conflicts_with_all = ["seed", "first_row"])]
    fill: bool,
    /// Overwrites a plot, finished or not, of the same name.
    #[arg(long)]
    force: bool,
    /// Does not reserve the space before growing.
    #[arg(long)]
    no_preallocate: bool,
    /// Says what it would take in time, space and memory, and makes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Prints JSON objects, a line each: progress, then the finished plot.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    work: Work,
    #[command(flatten)]
    gpus: Gpus,
}

/// A plot's name becomes a file's name.
fn name(text: &str) -> Result<String, String> {
    let bad = |character: char| character == '/' || character == '\\' || character.is_control();
    if text.is_empty() || text.starts_with('.') || text.len() > 200 || text.contains(bad) {
        return Err("a name has 1 to 200 bytes, no slash and no control character, and begins with no dot".to_owned());
    }
    Ok(text.strip_suffix(".plot").unwrap_or(text).to_owned())
}

#[derive(Serialize)]
struct DryRun<'a> {
    event: &'static str,
    #[serde(serialize_with = "out::path")]
    out: &'a Path,
    rows: u64,
    disk_bytes: u64,
    disk_free_bytes: Option<u64>,
    memory_bytes: u64,
    rows_per_batch: u64,
    seconds: f64,
    /// Plots in all folders together.
    plots: u64,
    plots_disk_bytes: u64,
    /// Whether all of them have room.
    fits: bool,
    /// Whether a plot of such a name is in this folder.
    exists: bool,
}

/// Most bytes of all plots together: sums with them fit 64 bits.
const MOST_BYTES: u64 = 1 << 60;

/// Most names that a dry run looks for.
const MOST_NAMES: u64 = 1000;

/// The folder, or the nearest above it that there is.
fn existing_parent(folder: &Path) -> PathBuf {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(&folder).to_owned()
}

impl Create {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let miner_key = match (&self.keys, self.miner_key) {
            (Some(file), _) => keys::store::public_key(file)?,
            (None, Some(key)) => key.bytes(),
            (None, None) => unreachable!("clap asks for one of the two"),
        };
        let rules = self.network.rules();
        let log2_columns = self.log2_columns.or(rules.map(|rules| rules.log2_columns)).unwrap_or(13);
        let rounds = self.rounds.or(rules.map(|rules| rules.rounds)).unwrap_or(31);
        let shape = Shape::new(log2_columns, rounds).or_usage()?;
        let rows = match (self.rows, self.size) {
            (Some(rows), _) => rows,
            (None, Some(size)) => size.bytes / shape.row_bytes() as u64,
            (None, None) => unreachable!("clap asks for one of the two"),
        };
        if let (0, Some(Size { bytes })) = (rows, self.size) {
            let row_bytes = shape.row_bytes();
            return Err(Failure::usage(format!("--size: {bytes} bytes are less than one row of {row_bytes} bytes")));
        }
        if self.seed.is_some() && self.out.len() > 1 {
            return Err(Failure::usage("--seed: goes with one plot only, and each folder of --out gets one"));
        }
        if self.first_row.is_some() && (self.out.len() > 1 || self.count.is_some_and(|count| count > 1)) {
            return Err(Failure::usage("--first-row: goes with one plot only"));
        }
        let params = PlotParams {
            miner_key,
            seed: [0; 32],
            network: self.network.tag(),
            shape,
            rows,
            rows_per_segment: self.segment_rows,
            first_row: self.first_row,
        };
        // Out of range is said before any warning, and before folders and threads are made.
        params.header().or_usage()?;
        let plots = self.count.unwrap_or(self.out.len() as u64);
        if rows.saturating_mul(shape.row_bytes() as u64).saturating_mul(plots) > MOST_BYTES {
            return Err(Failure::usage(format!("{plots} of {rows} rows: no file system holds as much")));
        }
        // A part may be small, the plot that it is merged into may not.
        let warned_rows = if self.first_row.is_some() { u64::MAX } else { rows };
        for warning in self.network.warnings(shape, warned_rows) {
            warn!("{warning}");
        }
        let control = self.work.control()?;
        if self.dry_run { self.estimate(&params, &control) } else { self.create(&params, &control) }
    }

    /// The options of one plot of those that are made side by side.
    fn options<'a>(
        &self,
        engine: &'a spacetime_plotter::Cpu,
        growers: &'a [SharedGrower],
        control: &'a Control,
        events: spacetime_plotter::Events<'a>,
    ) -> CreateOptions<'a> {
        // A staged plot is moved while the next one grows.
        let side_by_side = self.out.len() as u64 * if self.staging.is_some() { 2 } else { 1 };
        // The default, half of what is free, is for all folders together too.
        let memory = self.work.memory_bytes().or_else(|| spacetime_plotter::available_memory().map(|free| free / 2));
        CreateOptions {
            engine,
            threads: self.work.threads(),
            growers,
            cpu_grows: self.work.cpu_grows(),
            memory: memory.map(|bytes| bytes / side_by_side),
            force: self.force,
            preallocate: !self.no_preallocate,
            control,
            events,
        }
    }

    /// The GPUs of each folder: plots that grow side by side do not wait for each other's disk.
    fn growers(&self, params: &PlotParams, plots: u64) -> Result<Vec<Growers>, Failure> {
        self.gpus.growers(&self.work, params.shape, params.rows.saturating_mul(plots), self.out.len() as u64)
    }

    fn estimate(&self, params: &PlotParams, control: &Control) -> Result<(), Failure> {
        let engine = self.work.engine();
        let count = self.plots();
        let plots = match count {
            Count::Plots(plots) => plots,
            Count::Fill => self.plots_that_fit(params).max(1),
        };
        let fits = self.fits(params, plots)?;
        let growers = self.growers(params, plots)?;
        let mut disk_bytes = 0;
        for (folder, growers) in self.out.iter().zip(&growers) {
            let options = self.options(&engine, growers, control, &|_| ());
            // A folder that is not there yet has the space of the one that it will be in.
            let Estimate { disk, disk_free, memory, batch_rows, time } =
                estimate(params, &existing_parent(folder), &options).map_err(|error| super::create_failure(&error))?;
            let time = time.mul_f64(self.out.len() as f64);
            disk_bytes = disk;
            let exists = self.taken(params, count, plots, folder);
            if self.json {
                out::json(&DryRun {
                    event: "dry_run",
                    out: folder,
                    rows: params.rows,
                    disk_bytes: disk,
                    disk_free_bytes: disk_free,
                    memory_bytes: memory,
                    rows_per_batch: batch_rows,
                    seconds: time.as_secs_f64(),
                    plots,
                    plots_disk_bytes: disk.saturating_mul(plots),
                    fits,
                    exists: exists.is_some(),
                })?;
                continue;
            }
            let free = disk_free.map_or("unknown".to_owned(), |free| BinaryBytes(free).to_string());
            out::line(format_args!(
                "{}: {} rows would take {} of disk ({free} free), {} of memory, and about {} with {}",
                folder.display(),
                params.rows,
                BinaryBytes(disk),
                BinaryBytes(memory),
                HumanDuration(time),
                self.work.who_grows(growers),
            ))?;
            if let Some(taken) = exists {
                out::line(format_args!("{}: exists, --force would overwrite it", taken.display()))?;
            }
        }
        if self.json {
            return Ok(());
        }
        let (noun, verdict) = (if plots == 1 { "plot" } else { "plots" }, if fits { "fits" } else { "does NOT fit" });
        out::line(format_args!("{plots} {noun} in all, {}: {verdict}", BinaryBytes(disk_bytes.saturating_mul(plots))))
    }

    /// How many plots were asked for.
    fn plots(&self) -> Count {
        match (self.fill, self.count) {
            (true, _) => Count::Fill,
            (false, Some(count)) => Count::Plots(count),
            (false, None) => Count::Plots(self.out.len() as u64),
        }
    }

    /// Whether the folders have room for so many plots.
    fn fits(&self, params: &PlotParams, plots: u64) -> Result<bool, Failure> {
        match check_room(params, &self.out, plots) {
            Ok(()) => Ok(true),
            Err(CreateError::NoSpace { .. }) => Ok(false),
            Err(error) => Err(super::create_failure(&error)),
        }
    }

    /// The most plots that the folders have room for.
    fn plots_that_fit(&self, params: &PlotParams) -> u64 {
        let fits = |plots| matches!(self.fits(params, plots), Ok(true));
        let (mut most, mut too_many) = (0, 1);
        while fits(too_many) {
            (most, too_many) = (too_many, too_many * 2);
        }
        while too_many - most > 1 {
            let plots = most + (too_many - most) / 2;
            if fits(plots) { most = plots } else { too_many = plots }
        }
        most
    }

    /// A file in `folder` that has the name of one of the plots, if the names are known.
    fn taken(&self, params: &PlotParams, count: Count, plots: u64, folder: &Path) -> Option<PathBuf> {
        if self.force || (self.name.is_none() && self.seed.is_none()) {
            return None;
        }
        let params = PlotParams { seed: self.seed.unwrap_or(params.seed), ..params.clone() };
        // Which folder gets which number is not known before.
        let paths = (0..plots.min(MOST_NAMES)).flat_map(|number| {
            let path = folder.join(format!("{}.plot", self.name_of(&params, count, number)));
            let growing = folder.join(format!("{}.plot.tmp", self.name_of(&params, count, number)));
            [path, growing]
        });
        paths.into_iter().find(|path| path.symlink_metadata().is_ok())
    }

    fn create(&self, params: &PlotParams, control: &Control) -> Result<(), Failure> {
        let count = self.plots();
        if let Count::Plots(plots @ 2..) = count {
            check_room(params, &self.out, plots).map_err(|error| super::create_failure(&error))?;
        }
        let engine = self.work.engine();
        let plots = if let Count::Plots(plots) = count { plots } else { u64::MAX };
        let growers = self.growers(params, plots)?;
        info!("growing with {}", self.work.who_grows(&growers[0]));
        let screen = Screen::new(self.json);
        let row_bytes = params.shape.row_bytes() as u64;
        let grow = |folder: &Path, number: u64| -> Result<Made, CreateError> {
            let mut params = params.clone();
            params.seed = match self.seed {
                Some(seed) => seed,
                None => random_seed().map_err(|source| CreateError::Io {
                    path: folder.to_owned(),
                    doing: "the system gives no random seed",
                    source,
                })?,
            };
            let name = format!("{}.plot", self.name_of(&params, count, number));
            let path = folder.join(&name);
            // A staged plot is told of by where it goes, as when it is there.
            let shown = if self.staging.is_some() { std::path::absolute(&path).ok() } else { None };
            let progress = screen.start(shown.as_ref().unwrap_or(&path), row_bytes);
            let events = |event| progress.see(event);
            let place = self.out.iter().position(|out| out == folder).expect("plots are made in these folders");
            let options = self.options(&engine, &growers[place], control, &events);
            match &self.staging {
                None => create(&params, &path, &options).map(Made::Done),
                Some(staging) => create_staged(&params, &staging.join(&name), &path, &options).map(Made::Staged),
            }
        };
        let copying = || {
            let CreateOptions { threads, memory, force, preallocate, .. } =
                self.options(&engine, &[], control, &|_| ());
            let hasher = self.work.backend();
            CopyOptions { hasher, threads, memory, force, preallocate, control, steps: &|_| () }
        };
        let reserve = |staged: &mut Staged| staged.reserve(&copying());
        let finish = |staged: Staged| {
            let progress = screen.start_steps(staged.destination());
            let steps = |step| progress.see(step);
            staged.finish(&CopyOptions { steps: &steps, ..copying() })
        };
        many::run(&self.out, count, self.json, &Makers { grow: &grow, reserve: &reserve, finish: &finish })
    }

    fn name_of(&self, params: &PlotParams, count: Count, number: u64) -> String {
        match &self.name {
            Some(name) if count == Count::Plots(1) => name.clone(),
            Some(name) => format!("{name}-{}", number + 1),
            None => {
                let PlotParams { network, miner_key, seed, shape, .. } = params;
                let key = spacetime_kernels::PlotKey::derive(network, miner_key, seed, *shape);
                let part = self.first_row.map_or(String::new(), |row| format!("-from-{row}"));
                format!("p{}-r{}-{}{part}", shape.log2_columns(), shape.rounds(), const_hex::encode(&key.0[..8]))
            }
        }
    }
}

fn random_seed() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
    Ok(seed)
}
