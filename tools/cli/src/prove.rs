//! `spacetime prove`.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::BinaryBytes;
use spacetime_kernels::{Backend, ColumnIndex, Target};
use spacetime_prover::farm::{Cancel, Ended, Missed, PlotReport, ProveError, Refusal, ScorerReport};
use spacetime_prover::{Farm, FarmOptions, SearchOptions, SearchReport, farm};
use tracing::{info, warn};

use crate::args::{Challenges, FarmFlags, Strategy, bytes_32, challenges, duration, strategy};
use crate::interrupt::Interrupt;
use crate::network::warnings_of;
use crate::plot::plot_code;
use crate::{Code, Failure, Failures, out};

/// Looks for the best leaf of a column for each challenge, and proves it.
///
/// Every proof is verified before it is printed. Exits with 1 or 3 if no plot
/// could be used.
#[derive(Debug, Args)]
pub struct Prove {
    /// The column that is asked for.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    column: u32,
    /// One to eight challenges, separated by commas: 64 hex digits each.
    #[arg(long, value_parser = challenges, value_name = "HEX64[,HEX64…]")]
    challenge: Challenges,
    /// Scores below this win: 64 hex digits. A best leaf that does not is proved all the same, with a warning.
    #[arg(long, value_parser = bytes_32, value_name = "HEX64")]
    target: Option<[u8; 32]>,
    /// Ends the search, not the proving, after this time, such as 60s. Default: when all is searched.
    #[arg(long, value_parser = duration, value_name = "TIME")]
    deadline: Option<Duration>,
    /// How much is searched: full, sample:N (rows of each plot) or adaptive (as much as fits the deadline).
    #[arg(long, default_value = "full", value_parser = strategy, value_name = "STRATEGY")]
    strategy: Strategy,
    /// Ends the search at the first leaf below the target.
    #[arg(long, requires = "target")]
    first_winner: bool,
    #[command(flatten)]
    engine: FarmFlags,
    /// Prints a JSON object for each challenge, the proof.
    #[arg(long)]
    json: bool,
    /// Plots, or folders that hold some.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Opens plots, of which there may be none yet.
///
/// # Errors
/// If there are some, and none can be used.
pub(crate) fn open_plots(paths: &[PathBuf], options: FarmOptions) -> Result<Farm, Failure> {
    allow_open_files();
    let farm = Farm::open(paths, options).map_err(Failure::usage)?;
    if farm.plots().is_empty() {
        let mut failures = Failures::default();
        farm.refused().iter().for_each(|refused| failures.push(refusal(&refused.why)));
        failures.end()?;
    }
    Ok(farm)
}

/// Each plot is kept open, twice: the usual limit of 1024 files would be reached with 500 plots.
fn allow_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        // Where even that is refused, the plots beyond the limit are, by name.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

/// Opens the plots in `paths`, and warns of those that are unusual.
///
/// # Errors
/// If none can be used.
pub(crate) fn open_farm(paths: &[PathBuf], options: FarmOptions) -> Result<Farm, Failure> {
    let farm = open_plots(paths, options)?;
    if farm.plots().is_empty() {
        return Err(Failure::failed(format!("{}: no plot in it", paths[0].display())));
    }
    for plot in farm.plots() {
        let header = plot.plot().header();
        for warning in warnings_of(&header.network, header.shape, header.rows) {
            warn!("{}: {warning}", plot.path().display());
        }
    }
    Ok(farm)
}

/// A path that a farm does not use, with its exit code.
pub(crate) fn refusal(why: &Refusal) -> Failure {
    let code = match why {
        Refusal::Plot(error) => plot_code(error),
        _ => Code::Failed,
    };
    Failure::new(code, why)
}

impl Prove {
    pub(crate) fn run(self) -> Result<(), Failure> {
        // The clock runs from here: opening plots takes time, too.
        let deadline = self.deadline.map(|time| Instant::now() + time);
        let farm = self.open()?;
        let report = self.search(&farm, deadline)?;
        let mut failures = Failures::default();
        for number in 0..report.challenges.len() {
            failures.take(self.answer(&farm, &report, number));
        }
        if !self.json {
            plots(&report)?;
        }
        failures.end()
    }

    fn open(&self) -> Result<Farm, Failure> {
        let farm = open_farm(&self.paths, self.engine.options()?)?;
        farm.refused().iter().for_each(|refused| warn!("not used: {}", refused.why));
        Ok(farm)
    }

    fn search(&self, farm: &Farm, deadline: Option<Instant>) -> Result<SearchReport, Failure> {
        let cancel = Cancel::new();
        let interrupt = Interrupt::install()?;
        let at_interrupt = cancel.clone();
        interrupt.then(move || at_interrupt.cancel())?;
        let defaults = SearchOptions::default();
        let options = SearchOptions {
            strategy: match self.strategy {
                Strategy::Full => farm::Strategy::Full,
                Strategy::Sample(rows) => farm::Strategy::Sample(NonZeroU64::new(rows).unwrap_or(NonZeroU64::MIN)),
                Strategy::Adaptive => farm::Strategy::Adaptive,
            },
            stop_at_first_winner: self.first_winner,
            cancel,
            backend: self.engine.backend.cpu(),
            threads: self.engine.threads.map_or(defaults.threads, usize::from),
            ..defaults
        };
        let (column, target) = (ColumnIndex(self.column), self.target.map(Target));
        let report = farm.search(column, &self.challenge.0, target, deadline, &options).map_err(Failure::usage)?;
        if report.ended == Ended::Cancelled {
            return Err(Failure::interrupted("the search was called off"));
        }
        info!(ended = ?report.ended, leaves = report.leaves(), bytes = report.bytes(), took_ms = report.took.as_millis() as u64, "searched");
        for plot in &report.plots {
            let path = plot.plot.path().display();
            info!(%path, leaves = plot.leaves, bytes = plot.bytes, reading_ms = plot.reading.as_millis() as u64, scoring_ms = plot.scoring.as_millis() as u64, "plot searched");
        }
        for ScorerReport { name, leaves, aside, .. } in &report.scorers {
            let aside = aside.as_ref().map_or(String::new(), |aside| format!("; it stands aside: {aside}"));
            info!("{name} scored {leaves} leaves{aside}");
        }
        if report.leaves() > 0 {
            for (plot, missed) in report.plots.iter().filter_map(|plot| Some((plot, plot.missed.as_ref()?))) {
                warn!("{}: searched {} of {} rows: {missed}", plot.plot.path().display(), plot.leaves, plot.planned);
            }
            return Ok(report);
        }
        // Nothing at all was searched: the first plot's reason stands for all.
        let reason = report.plots.iter().find_map(|plot| Some((plot, plot.missed.as_ref()?)));
        let Some((plot, missed)) = reason else { return Err(Failure::failed("no leaf was scored")) };
        let code = match missed {
            Missed::Column { .. } => Code::Usage,
            Missed::Read(error) => plot_code(error),
            _ => Code::Failed,
        };
        Err(Failure::new(code, format_args!("{}: no leaf was scored: {missed}", plot.plot.path().display())))
    }

    /// Proves the best leaf for one challenge and prints the proof.
    fn answer(&self, farm: &Farm, report: &SearchReport, number: usize) -> Result<(), Failure> {
        let challenge = const_hex::encode(report.challenges[number].0);
        let best = report.best(number);
        let wins = best.is_some_and(|best| report.wins(&best));
        // A leaf that does not win is proved as well: what it is worth is for the reader to say.
        let any = SearchReport { target: report.target.filter(|_| wins), ..report.clone() };
        let backend = self.engine.backend.forced().unwrap_or_else(|| Backend::for_rows(1));
        let answer = farm.prove(&any, number, backend).map_err(|error| prove_failure(&challenge, &error))?;
        let loses = report.target.is_some_and(|target| !target.is_met_by(&answer.score));
        if loses {
            warn!(
                "challenge {challenge}: the best score {} is not below the target",
                const_hex::encode(answer.score.0)
            );
        }
        if self.json {
            return out::json(&answer.record());
        }
        out::line(format_args!(
            "challenge {challenge}\n  score   {}{}\n  plot    {}\n  row     {}, column {}\n  proof   {} siblings, verified",
            const_hex::encode(answer.score.0),
            if loses { " (not below the target)" } else { "" },
            answer.plot.path().display(),
            answer.row,
            self.column,
            answer.proof.siblings.len(),
        ))
    }
}

/// No proof, with its exit code: damage if it was damage.
fn prove_failure(challenge: &str, error: &ProveError) -> Failure {
    let (ProveError::NoLeaf { passed_over } | ProveError::NoWinner { passed_over, .. }) = error;
    let why = passed_over.first().map_or(String::new(), |plot| format!(": {}", plot.fault));
    let code = if passed_over.is_empty() { Code::Failed } else { Code::Damaged };
    Failure::new(code, format_args!("challenge {challenge}: {error}{why}"))
}

/// What was read of each plot.
fn plots(report: &SearchReport) -> Result<(), Failure> {
    out::line(format_args!("\n{:>12} {:>11} {:>9} {:>9}  plot", "leaves", "read", "reading", "scoring"))?;
    for PlotReport { plot, leaves, bytes, reading, scoring, missed, .. } in &report.plots {
        let missed = missed.as_ref().map_or(String::new(), |missed| format!(" ({missed})"));
        out::line(format_args!(
            "{leaves:>12} {:>11} {:>7.3} s {:>7.3} s  {}{missed}",
            BinaryBytes(*bytes).to_string(),
            reading.as_secs_f64(),
            scoring.as_secs_f64(),
            plot.path().display(),
        ))?;
    }
    let took = report.took.as_secs_f64();
    let scores = report.leaves() as f64 * report.challenges.len() as f64;
    out::line(format_args!(
        "{:>12} {:>11} in {took:.3} s, {:.1} million scores a second",
        report.leaves(),
        BinaryBytes(report.bytes()).to_string(),
        scores / took.max(1e-9) / 1e6
    ))
}
