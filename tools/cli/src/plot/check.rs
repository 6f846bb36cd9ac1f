//! `spacetime plot check` and `spacetime plot scrub`.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::BinaryBytes;
use serde::Serialize;
use spacetime_plotter::{
    CheckOptions, CheckReport, Control, Cpu, Outcome, ScrubError, ScrubOptions, ScrubReport, check, scrub,
};
use tracing::warn;

use super::inspect::plots_at;
use super::progress::{Screen, StepProgress};
use super::work::Work;
use crate::{Code, Failure, Failures, out};

/// Looks at header, sizes and roots, and grows a sample of rows again. Exits with 3 if anything is wrong.
#[derive(Debug, Args)]
pub struct Check {
    /// Plots, or folders that hold some.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Rows of each plot that are grown again.
    #[arg(long, default_value_t = 8, value_name = "N", allow_negative_numbers = true)]
    rows: u64,
    /// Prints a JSON object for each plot.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    work: Work,
}

/// Reads every strip of a plot against the roots. Exits with 3 on damage, with 0 once it is healed.
#[derive(Debug, Args)]
pub struct Scrub {
    /// Plots, or folders that hold some.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Grows again what is damaged, and puts it back byte for byte.
    #[arg(long)]
    repair: bool,
    /// Prints a JSON object for each plot.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    work: Work,
}

/// What is printed of a plot that was checked or scrubbed.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "out::path")]
    path: &'a Path,
    outcome: &'static str,
    /// Pieces of damage in all; `damage` lists the first of them.
    damaged: u64,
    damage: Vec<String>,
    rows_grown: u64,
    unreadable_bytes: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct Refused<'a> {
    #[serde(serialize_with = "out::path")]
    path: &'a Path,
    outcome: &'static str,
    error: String,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.work.note_cpu_alone();
        let all = All::new(self.json, &self.work)?;
        all.each(&self.paths, |path, progress| {
            let steps = |step| progress.see(step);
            let options = CheckOptions {
                engine: &all.engine,
                threads: self.work.threads(),
                rows: self.rows,
                control: &all.control,
                steps: &steps,
            };
            check(path, &options).map(|report| all.checked(&report))
        })
    }
}

impl Scrub {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.work.note_cpu_alone();
        let all = All::new(self.json, &self.work)?;
        all.each(&self.paths, |path, progress| {
            let steps = |step| progress.see(step);
            let options = ScrubOptions {
                engine: &all.engine,
                threads: self.work.threads(),
                memory: self.work.memory_bytes(),
                repair: self.repair,
                control: &all.control,
                steps: &steps,
            };
            scrub(path, &options).map(|report| all.scrubbed(&report))
        })
    }
}

/// What both verbs do with every plot that they are given.
struct All {
    json: bool,
    screen: Screen,
    engine: Cpu,
    control: std::sync::Arc<Control>,
}

impl All {
    fn new(json: bool, work: &Work) -> Result<Self, Failure> {
        Ok(Self { json, screen: Screen::new(json), engine: work.engine(), control: work.control()? })
    }

    /// Goes through all plots; one that is bad is not the others' fault.
    fn each(
        &self,
        paths: &[PathBuf],
        look: impl Fn(&Path, &StepProgress) -> Result<Result<(), Failure>, ScrubError>,
    ) -> Result<(), Failure> {
        let mut failures = Failures::default();
        // What is being made in a folder is not to be judged yet.
        for path in plots_at(paths, &[".plot"], &mut failures) {
            let progress = self.screen.start_steps(&path);
            let looked = look(&path, &progress);
            drop(progress);
            let looked = looked.unwrap_or_else(|error| Err(self.refused(&path, &error)));
            match looked {
                Ok(()) => {}
                Err(stopped) if stopped.code() == Code::Interrupted => return failures.end_with(stopped),
                Err(bad) => failures.push(bad),
            }
        }
        failures.end()
    }

    /// Prints that a plot could not be looked at, and why.
    fn refused(&self, path: &Path, error: &ScrubError) -> Failure {
        let failure = scrub_failure(error);
        if self.json {
            // If standard output is closed the exit code still says it.
            let _ = out::json(&Refused { path, outcome: "refused", error: error.to_string() });
        }
        failure
    }

    fn checked(&self, report: &CheckReport) -> Result<(), Failure> {
        let good = report.is_good();
        self.print(
            &Line {
                path: &report.path,
                outcome: if good { "good" } else { "damaged" },
                damaged: report.found,
                damage: report.findings.iter().map(ToString::to_string).collect(),
                rows_grown: report.rows_checked.len() as u64,
                unreadable_bytes: 0,
                seconds: report.time.as_secs_f64(),
            },
            format_args!("good: header, roots, and {} of {} rows", report.rows_checked.len(), report.header.rows),
        )?;
        if good { Ok(()) } else { Err(damaged(&report.path, report.found, "`spacetime plot scrub` finds all of it")) }
    }

    fn scrubbed(&self, report: &ScrubReport) -> Result<(), Failure> {
        let bytes = report.header.rows * report.header.shape.row_bytes() as u64;
        let outcome = match report.outcome {
            Outcome::Whole => "whole",
            Outcome::Damaged => "damaged",
            Outcome::Healed => "healed",
            Outcome::NeverRight => "never right",
        };
        let seconds = report.time.as_secs_f64();
        self.print(
            &Line {
                path: &report.path,
                outcome,
                damaged: report.damaged,
                damage: report.damage.iter().map(ToString::to_string).collect(),
                rows_grown: report.rows_grown,
                unreadable_bytes: report.unreadable_bytes,
                seconds,
            },
            format_args!(
                "{outcome}: {} in {seconds:.1} s ({}/s)",
                BinaryBytes(bytes),
                BinaryBytes((bytes as f64 / seconds.max(0.001)) as u64)
            ),
        )?;
        match report.outcome {
            Outcome::Whole | Outcome::Healed => Ok(()),
            Outcome::Damaged => Err(damaged(&report.path, report.damaged, "`spacetime plot scrub --repair` heals it")),
            Outcome::NeverRight => Err(damaged(
                &report.path,
                report.damaged,
                "growing again does not lead to its root: it was never right, make it anew",
            )),
        }
    }

    fn print(&self, line: &Line<'_>, summary: std::fmt::Arguments<'_>) -> Result<(), Failure> {
        if self.json {
            return out::json(line);
        }
        for damage in &line.damage {
            out::line(format_args!("{}: {damage}", line.path.display()))?;
        }
        let listed = line.damage.len() as u64;
        if line.damaged > listed {
            out::line(format_args!("{}: and {} more", line.path.display(), line.damaged - listed))?;
        }
        if line.unreadable_bytes > 0 {
            warn!(path = %line.path.display(), bytes = line.unreadable_bytes, "the disk could not read some bytes");
        }
        if line.outcome == "damaged" { Ok(()) } else { out::line(format_args!("{}: {summary}", line.path.display())) }
    }
}

fn damaged(path: &Path, pieces: u64, what_now: &str) -> Failure {
    Failure::damaged(format!("{}: damaged in {pieces} places; {what_now}", path.display()))
}

/// A plot that could not be looked at to the end, with its exit code.
fn scrub_failure(error: &ScrubError) -> Failure {
    let code = match error {
        ScrubError::Plot(error) => super::plot_code(error),
        ScrubError::Refused(error) => return super::create_failure(error),
        ScrubError::DamagedHeader(_) | ScrubError::NotHealed { .. } => Code::Damaged,
        ScrubError::Unfinished(_) | ScrubError::Io { .. } => Code::Failed,
        ScrubError::Stopped(_) => Code::Interrupted,
    };
    Failure::new(code, error)
}
