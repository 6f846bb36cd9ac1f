//! `spacetime bench`: what this machine does.

use clap::{Args, Subcommand};
use spacetime_benches::cpu::{self, Measurement, Options};
use spacetime_benches::workload::Job;
use spacetime_kernels::Backend;

use crate::args::{Engines, engines};
use crate::{Failure, out};

/// The verbs of `spacetime bench`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Measures every hash job on every backend of this CPU, beside the crate hashtree-rs.
    Cpu(Cpu),
}

/// `spacetime bench cpu`.
#[derive(Debug, Args)]
pub struct Cpu {
    /// Measures one backend alone: cpu:portable, cpu:shani, cpu:avx2 or cpu:avx512. Default: all of them.
    #[arg(long, env = "SPACETIME_BACKEND", default_value = "auto", value_parser = engines, value_name = "BACKEND")]
    backend: Engines,
    /// Prints a flat JSON object for each backend, number of threads and job, and nothing else.
    #[arg(long)]
    json: bool,
}

/// Does what a verb says.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Cpu(cpu) => cpu.run(),
    }
}

impl Cpu {
    fn run(self) -> Result<(), Failure> {
        let defaults = Options::default();
        let backends = self.backend.forced().map_or_else(|| defaults.backends.clone(), |backend| vec![backend]);
        let options = Options { backends, ..defaults };
        if self.json {
            let mut printed = Ok(());
            cpu::measure(&options, |measurement| {
                // One object a job: of the scores, those of one challenge.
                if printed.is_ok() && measurement.challenges.unwrap_or(1) == 1 {
                    printed = out::json(measurement);
                }
            });
            return printed;
        }
        let mut measurements = Vec::new();
        let mut printed =
            out::line(format_args!("{:<9} {:>7}  {:<34} {:>12}  of bare", "backend", "threads", "job", "a second"));
        cpu::measure(&options, |measurement| {
            if printed.is_ok() {
                printed = print(measurement, &measurements);
            }
            measurements.push(measurement.clone());
        });
        printed?;
        summary(&measurements, options.backends[0])
    }
}

/// One line of the table. The bare rate of the same backend and threads was measured before.
fn print(measurement: &Measurement, before: &[Measurement]) -> Result<(), Failure> {
    let &Measurement { backend, threads, job, rate, p, rounds, challenges } = measurement;
    let what = match (job, challenges.unwrap_or(1)) {
        (Job::Compress, _) => "bare compressions".to_owned(),
        (Job::Pairs, _) => "Merkle pairs".to_owned(),
        (Job::Grow, _) => format!("compressions growing, p={p} R={rounds}"),
        (Job::Score, 1) => "leaves scored".to_owned(),
        (Job::Score, challenges) => format!("scores, {challenges} challenges a pass"),
    };
    let bare = before.iter().find(|m| (m.backend, m.threads, m.job) == (backend, threads, Job::Compress));
    let share = bare.map_or(String::new(), |bare| format!("{:>6.2}", rate / bare.rate));
    out::line(format_args!("{backend:<9} {threads:>7}  {what:<34} {:>10.2} M  {share}", rate / 1e6))
}

/// What the numbers mean, in plain words.
fn summary(measurements: &[Measurement], fastest: Backend) -> Result<(), Failure> {
    let growing =
        measurements.iter().filter(|m| m.job == Job::Grow && m.backend == fastest.name()).max_by_key(|m| m.threads);
    out::line("")?;
    for held in cpu::held(measurements, fastest).unwrap_or_default() {
        out::line(format_args!("{:<36} {:>6.3}  (goal {:.2})", held.name, held.ratio, held.goal))?;
    }
    let Some(growing) = growing else { return Ok(()) };
    // A byte of plot takes (R + 1) / 32 compressions.
    let bytes_per_second = growing.rate * 32.0 / (f64::from(growing.rounds) + 1.0);
    let hours = (1u64 << 40) as f64 / bytes_per_second / 3600.0;
    out::line("")?;
    out::line(format_args!(
        "{} on {} threads grows {:.0} MB/s of plot at p={} R={}: 1 TiB takes {hours:.1} hours, if the disk keeps up.",
        growing.backend,
        growing.threads,
        bytes_per_second / 1e6,
        growing.p,
        growing.rounds,
    ))
}
