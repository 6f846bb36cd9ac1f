//! `spacetime bench cpu`.

use clap::Args;
use spacetime_benches::chart::{Bar, Chart, Group};
use spacetime_benches::cpu::{self, Measurement, Options};
use spacetime_benches::workload::Job;
use spacetime_kernels::{Backend, Shape};

use super::chart::ChartFlag;
use super::limits::{plot_rate, time};
use crate::args::{Engines, engines};
use crate::{Failure, out};

/// Measures every hash job on every backend of this CPU, beside the crate hashtree-rs.
///
/// First on one core, by the processor time that it was given, then on all, by
/// the clock. A pair, or a score, is two compressions of those it is held
/// against. Takes about ten seconds.
#[derive(Debug, Args)]
pub struct Cpu {
    /// Measures one backend alone: cpu:portable, cpu:shani, cpu:avx2 or cpu:avx512. Default: all of them.
    #[arg(long, env = "SPACETIME_BACKEND", default_value = "auto", value_parser = engines, value_name = "BACKEND")]
    backend: Engines,
    /// Prints a flat JSON object for each backend, number of threads and job, and nothing else.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    chart: ChartFlag,
}

impl Cpu {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.chart.check()?;
        super::end_at_interrupt()?;
        self.backend.note_cpu_alone();
        let defaults = Options::default();
        let backends = self.backend.forced().map_or_else(|| defaults.backends.clone(), |backend| vec![backend]);
        let options = Options { backends, ..defaults };
        let mut measurements = Vec::new();
        let mut printed = if self.json {
            Ok(())
        } else {
            out::line(format_args!("{:<9} {:>7}  {:<34} {:>12}  of bare", "backend", "threads", "job", "a second"))
        };
        cpu::measure(&options, |measurement| {
            if printed.is_ok() {
                printed = if self.json { json(measurement) } else { print(measurement, &measurements) };
            }
            measurements.push(measurement.clone());
        });
        printed?;
        if !self.json {
            summary(&measurements, options.backends[0])?;
        }
        self.chart.write(|| chart(&measurements))
    }
}

/// One object a job: of the scores, those of one challenge.
fn json(measurement: &Measurement) -> Result<(), Failure> {
    if measurement.challenges.unwrap_or(1) == 1 { out::json(measurement) } else { Ok(()) }
}

/// What was done, in words.
fn job(measurement: &Measurement) -> String {
    let &Measurement { job, p, rounds, challenges, .. } = measurement;
    match (job, challenges.unwrap_or(1)) {
        (Job::Compress, _) => "bare compressions".to_owned(),
        (Job::Pairs, _) => "Merkle pairs".to_owned(),
        (Job::Grow, _) => format!("compressions growing, p={p} R={rounds}"),
        (Job::Score, 1) => "leaves scored".to_owned(),
        (Job::Score, challenges) => format!("scores, {challenges} challenges a pass"),
        (Job::Check, _) => format!("proofs checked, p={p} R={rounds}"),
    }
}

/// The share of the bare rate of the same backend and threads, which was measured `before`.
fn share(measurement: &Measurement, before: &[Measurement]) -> Option<f64> {
    let &Measurement { backend, threads, .. } = measurement;
    if measurement.job == Job::Compress {
        return Some(1.0);
    }
    let bare = before.iter().find(|m| (m.backend, m.threads, m.job) == (backend, threads, Job::Compress))?;
    Some(measurement.rate_beside_bare() / bare.rate)
}

/// One line of the table.
fn print(measurement: &Measurement, before: &[Measurement]) -> Result<(), Failure> {
    let &Measurement { backend, threads, rate, .. } = measurement;
    let share = share(measurement, before).map_or(String::new(), |share| format!("{share:>6.2}"));
    let what = job(measurement);
    // Millions of anything but proofs, of which each takes a row.
    let rate = if measurement.job == Job::Check { format!("{rate:.1}  ") } else { format!("{:.2} M", rate / 1e6) };
    out::line(format_args!("{backend:<9} {threads:>7}  {what:<34} {rate:>12}  {share}"))
}

/// What the numbers mean, in plain words.
fn summary(measurements: &[Measurement], fastest: Backend) -> Result<(), Failure> {
    out::line("")?;
    for held in cpu::held(measurements, fastest).unwrap_or_default() {
        out::line(format_args!("{:<36} {:>6.3}  (goal {:.2})", held.name, held.ratio, held.goal))?;
    }
    let best = |job| {
        let ours = measurements.iter().filter(|m| m.job == job && m.backend == fastest.name());
        ours.max_by_key(|m| m.threads)
    };
    let (Some(growing), Some(pairs), Some(checking)) = (best(Job::Grow), best(Job::Pairs), best(Job::Check)) else {
        return Ok(());
    };
    let shape = Shape::new(growing.p, growing.rounds).expect("it was measured");
    let bytes_per_second = plot_rate(growing.rate, pairs.rate, shape);
    out::line("")?;
    out::line(format_args!(
        "{} on {} threads grows {:.0} MB/s of plot at p={} R={}, its tree included: a plot of 1 TiB takes {} ({:.1} h), if the disk keeps up.",
        growing.backend,
        growing.threads,
        bytes_per_second / 1e6,
        growing.p,
        growing.rounds,
        time((1u64 << 40) as f64 / bytes_per_second),
        (1u64 << 40) as f64 / bytes_per_second / 3600.0,
    ))?;
    out::line(format_args!(
        "It checks {:.0} proofs a second, judged together: {} in flight at once take {:.0} ms.",
        checking.rate,
        fastest.lanes() * checking.threads,
        (fastest.lanes() * checking.threads) as f64 / checking.rate * 1e3,
    ))
}

fn chart(measurements: &[Measurement]) -> Chart {
    let mut groups: Vec<Group> = Vec::new();
    for measurement in measurements {
        let &Measurement { backend, threads, rate, .. } = measurement;
        let (noun, checks) = (if threads == 1 { "thread" } else { "threads" }, measurement.job == Job::Check);
        let title = format!("{} on {threads} {noun}", if checks { "Proofs checked" } else { backend });
        let unit = if checks { "proofs a second" } else { "million a second" };
        let bar = if checks { Bar::new(backend, rate) } else { Bar::new(job(measurement), rate / 1e6) };
        match groups.iter_mut().find(|group| group.title == title) {
            Some(group) => group.bars.push(bar),
            None => groups.push(Group { title, unit: unit.to_owned(), bars: vec![bar] }),
        }
    }
    Chart { title: "spacetime bench cpu".to_owned(), groups }
}
