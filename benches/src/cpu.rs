//! The hash jobs on one core and on all, beside the crate `hashtree-rs`.
//!
//! What is compared runs in turn, a slice of a few milliseconds each, and of
//! every contender's slices the best counts: whatever disturbs a slice only
//! slows it. One thread is timed by the processor time it was given, several by
//! the clock, so ratios hold on a machine that does other things as well.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use spacetime_kernels::{Backend, MAX_CHALLENGES, Shape};

use crate::workload::{Contender, Job, Workload};

/// A slice lasts at least this long, and at least one pass.
const SLICE: Duration = Duration::from_millis(12);

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The backends, in this order.
    pub backends: Vec<Backend>,
    /// Shape of the rows grown.
    pub shape: Shape,
    /// Threads of the second half of the run; with 1 there is none.
    pub threads: usize,
    /// Slices of each job on one thread, of which the best counts.
    pub turns: usize,
    /// How long it may take by the clock, roughly: on a machine busy with
    /// other things there are fewer turns instead, but at least one.
    pub budget: Duration,
}

impl Default for Options {
    /// Every backend, the main network's rows, every core.
    fn default() -> Self {
        Self {
            backends: Backend::available().to_vec(),
            shape: Shape::new(13, 31).expect("the main network's shape"),
            threads: thread::available_parallelism().map_or(1, usize::from),
            turns: 7,
            budget: Duration::from_secs(15),
        }
    }
}

/// One job's rate on one backend: a flat object when serialised.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// `portable`, `shani`, `avx2`, `avx512`, or `hashtree`: the crate measured beside ours.
    pub backend: &'static str,
    /// Threads that did it side by side.
    pub threads: usize,
    /// What was done.
    pub job: Job,
    /// A second (of processor time with one thread, of the clock with several),
    /// all threads together: compressions, pairs, compressions (growing),
    /// leaves (scoring), proofs (checking). With several challenges it counts
    /// scores: leaves times challenges.
    pub rate: f64,
    /// log2 of the columns of the rows grown.
    pub p: u8,
    /// Mixing rounds of the rows grown.
    pub rounds: u8,
    /// Challenges scored in one pass; for [`Job::Score`] alone. No field of the object.
    #[serde(skip)]
    pub challenges: Option<usize>,
}

/// Measures everything that `options` ask for and hands each result to
/// `on_result` as soon as it stands: for each backend its jobs on one thread,
/// in turn with `hashtree` (which is reported once, after the first backend),
/// then for each backend its jobs on all threads.
pub fn measure(options: &Options, mut on_result: impl FnMut(&Measurement)) {
    let mut report_hashtree = true;
    for &backend in &options.backends {
        for measurement in on_one_thread(options, backend) {
            if measurement.backend != Contender::Hashtree.name() || std::mem::take(&mut report_hashtree) {
                on_result(&measurement);
            }
        }
    }
    if options.threads > 1 {
        for &backend in &options.backends {
            for (job, challenges) in JOBS {
                on_result(&on_threads(options, backend, job, challenges));
            }
        }
    }
}

/// The jobs and the challenges in one pass.
const JOBS: [(Job, usize); 6] = [
    (Job::Compress, 1),
    (Job::Pairs, 1),
    (Job::Grow, 1),
    (Job::Check, 1),
    (Job::Score, MAX_CHALLENGES),
    (Job::Score, 1),
];

/// `hashtree` and the jobs of `backend` in turn on this thread.
pub fn on_one_thread(options: &Options, backend: Backend) -> Vec<Measurement> {
    let mut contenders = vec![(Contender::Hashtree, Job::Pairs, 1)];
    contenders.extend(JOBS.map(|(job, challenges)| (Contender::Ours(backend), job, challenges)));
    let mut contenders: Vec<_> = contenders
        .into_iter()
        .map(|(contender, job, challenges)| {
            let workload = Workload::new(contender, job, options.shape, challenges);
            (workload, options.result(contender, 1, job, challenges))
        })
        .collect();
    // Half the budget is for one thread, half for several.
    let (start, share) = (Instant::now(), options.budget / 2 / options.backends.len().max(1) as u32);
    for turn in 0..options.turns {
        if turn > 0 && start.elapsed() > share {
            break;
        }
        for (workload, measurement) in &mut contenders {
            measurement.rate = measurement.rate.max(rate_of_slice(workload, processor_time));
        }
    }
    contenders.into_iter().map(|(_, measurement)| measurement).collect()
}

/// One job on all threads, each with input and tables of its own.
///
/// # Panics
/// As [`Workload::new`].
#[must_use]
pub fn on_threads(options: &Options, backend: Backend, job: Job, challenges: usize) -> Measurement {
    let mut measurement = options.result(Contender::Ours(backend), options.threads, job, challenges);
    let share = options.budget / 2 / (options.backends.len() * JOBS.len()).max(1) as u32;
    let (together, enough, start) = (Barrier::new(options.threads), AtomicBool::new(false), Instant::now());
    let one = || {
        let mut workload = Workload::new(Contender::Ours(backend), job, options.shape, challenges);
        let mut rates = Vec::new();
        while rates.len() < options.turns.min(3) {
            // One decides for all, or some would wait for others forever.
            if together.wait().is_leader() {
                enough.store(!rates.is_empty() && start.elapsed() > share, Ordering::Relaxed);
            }
            together.wait();
            if enough.load(Ordering::Relaxed) {
                break;
            }
            rates.push(rate_of_slice(&mut workload, || start.elapsed()));
        }
        rates
    };
    let rates: Vec<Vec<f64>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a measuring thread does not panic")).collect()
    });
    // Rates of one turn were reached side by side and add up.
    let turns = (0..rates[0].len()).map(|turn| rates.iter().map(|rates| rates[turn]).sum());
    measurement.rate = turns.fold(0.0, f64::max);
    measurement
}

/// Units a second over one slice, by `clock`.
fn rate_of_slice(workload: &mut Workload, clock: impl Fn() -> Duration) -> f64 {
    let (start, mut units) = (clock(), 0);
    loop {
        workload.run();
        units += workload.units;
        let elapsed = clock() - start;
        if elapsed >= SLICE {
            return units as f64 / elapsed.as_secs_f64();
        }
    }
}

/// Time that this thread has run for.
#[cfg(unix)]
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("no thread has run for less than nothing")
}

/// The clock, where threads have none of their own.
#[cfg(not(unix))]
fn processor_time() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
}

impl Options {
    fn result(&self, contender: Contender, threads: usize, job: Job, challenges: usize) -> Measurement {
        Measurement {
            backend: contender.name(),
            threads,
            job,
            rate: 0.0,
            p: self.shape.log2_columns(),
            rounds: self.shape.rounds(),
            challenges: (job == Job::Score).then_some(challenges),
        }
    }
}

impl Measurement {
    /// Compressions a second, which are set against the bare ones: a pair or a
    /// score is two, a proof counts as those that grow its row.
    #[must_use]
    pub fn rate_beside_bare(&self) -> f64 {
        let shape = Shape::new(self.p, self.rounds).expect("it was measured");
        self.rate
            * match self.job {
                Job::Compress | Job::Grow => 1.0,
                Job::Pairs | Job::Score => 2.0,
                Job::Check => shape.compressions_per_row() as f64,
            }
    }
}

/// A ratio of two rates of one run, and what it is held to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Held {
    /// What is divided by what.
    pub name: &'static str,
    /// What was measured.
    pub ratio: f64,
    /// What is aimed at.
    pub goal: f64,
    /// What passes: below the goal only where noise is allowed for.
    pub least: f64,
}

impl Held {
    /// Whether the ratio passes.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.ratio >= self.least
    }
}

/// The ratios that releases are held to, out of the measurements of `backend`
/// on one thread; `None` if one of the rates is missing.
#[must_use]
pub fn held(measurements: &[Measurement], backend: Backend) -> Option<Vec<Held>> {
    let rate = |contender: Contender, job, challenges: Option<usize>| {
        let wanted = |m: &&Measurement| {
            (m.backend, m.threads, m.job) == (contender.name(), 1, job)
                && (challenges.is_none() || m.challenges == challenges)
        };
        measurements.iter().find(wanted).map(|measurement| measurement.rate)
    };
    let ours = Contender::Ours(backend);
    let yardstick = rate(Contender::Hashtree, Job::Pairs, None)?;
    let (compress, grow) = (rate(ours, Job::Compress, None)?, rate(ours, Job::Grow, None)?);
    let (one, eight) = (rate(ours, Job::Score, Some(1))?, rate(ours, Job::Score, Some(MAX_CHALLENGES))?);
    let held = |name, ratio, goal, least| Held { name, ratio, goal, least };
    Some(vec![
        held("bare compressions / hashtree pairs", compress / yardstick, 1.6, 1.6),
        held("Merkle pairs / hashtree pairs", rate(ours, Job::Pairs, None)? / yardstick, 1.0, 0.97),
        held("growing / bare compressions", grow / compress, 0.85, 0.85),
        held("growing / hashtree pairs", grow / yardstick, 1.3, 1.3),
        held("leaves scored / hashtree pairs", one / yardstick, 1.0, 1.0),
        held("scores, eight challenges / one", eight / one, 1.0, 1.0),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick() -> Options {
        Options { shape: Shape::new(4, 1).expect("within bounds"), threads: 2, turns: 1, ..Options::default() }
    }

    #[test]
    fn every_job_of_every_backend_is_reported_once() {
        let mut reported = Vec::new();
        measure(&quick(), |measurement| {
            assert!(measurement.rate > 0.0, "{measurement:?}");
            reported.push((measurement.backend, measurement.threads, measurement.job, measurement.challenges));
        });
        assert_eq!(reported.len(), 1 + Backend::available().len() * JOBS.len() * 2);
        assert!(reported.contains(&("hashtree", 1, Job::Pairs, None)));
        let mut distinct = std::collections::HashSet::new();
        assert!(reported.into_iter().all(|result| distinct.insert(result)));
    }

    #[test]
    fn a_measurement_is_a_flat_object() {
        let measurement = quick().result(Contender::Hashtree, 1, Job::Pairs, 1);
        let object = serde_json::to_value(measurement).expect("it serialises");
        let expected = serde_json::json!({
            "backend": "hashtree", "threads": 1, "job": "pairs", "rate": 0.0, "p": 4, "rounds": 1,
        });
        assert_eq!(object, expected);
        let scored = quick().result(Contender::Ours(Backend::PORTABLE), 1, Job::Score, 1);
        let object = serde_json::to_value(scored).expect("it serialises");
        assert_eq!(object.as_object().map(serde_json::Map::len), Some(6), "{object}");
    }

    #[test]
    fn every_job_is_set_against_bare_compressions_by_its_own() {
        let beside = |job| Measurement { rate: 10.0, ..quick().result(Contender::Ours(Backend::PORTABLE), 1, job, 1) };
        let jobs = [Job::Compress, Job::Grow, Job::Pairs, Job::Score, Job::Check];
        // Sixteen columns and one round: 31 compressions a row.
        assert_eq!(jobs.map(|job| beside(job).rate_beside_bare()), [10.0, 10.0, 20.0, 20.0, 310.0]);
    }

    #[test]
    fn ratios_are_held_to_their_least() {
        let backend = Backend::PORTABLE;
        let measurement =
            |contender, job, challenges, rate| Measurement { rate, ..quick().result(contender, 1, job, challenges) };
        let measured = |pairs| {
            vec![
                measurement(Contender::Hashtree, Job::Pairs, 1, 100.0),
                measurement(Contender::Ours(backend), Job::Compress, 1, 170.0),
                measurement(Contender::Ours(backend), Job::Pairs, 1, pairs),
                measurement(Contender::Ours(backend), Job::Grow, 1, 150.0),
                measurement(Contender::Ours(backend), Job::Score, MAX_CHALLENGES, 120.0),
                measurement(Contender::Ours(backend), Job::Score, 1, 110.0),
            ]
        };
        let passing = held(&measured(98.0), backend).expect("every rate is there");
        assert!(passing.iter().all(Held::passes), "{passing:?}");
        let failing = held(&measured(96.0), backend).expect("every rate is there");
        assert_eq!(failing.iter().filter(|held| !held.passes()).count(), 1);
        assert_eq!(held(&measured(98.0)[1..], backend), None);
    }
}
