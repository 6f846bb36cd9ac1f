//! Asking a farm: the options, and what goes before and after the sweep.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use spacetime_kernels::{Backend, Cell, Challenge, ColumnIndex, MAX_CHALLENGES, Target};
use thiserror::Error;

use crate::farm::Farm;
use crate::farm::blocks::Blocks;
use crate::farm::cancel::Cancel;
use crate::farm::disks::Disk;
use crate::farm::lane::{Lane, Pace};
use crate::farm::lock;
use crate::farm::plot::FarmPlot;
use crate::farm::report::{Ended, Missed, PlotReport, ScorerReport, SearchReport};
use crate::farm::sample::{Random, windows};
use crate::farm::sweep::{Idle, Job, Share, ShareTally, Sweep, Tally, run};

/// Most threads that score: more than that wait for memory, not for the CPU.
pub const MAX_THREADS: usize = 256;

/// Most disks swept side by side, so that buffers and threads have a bound;
/// beyond it some are swept one after another.
const MAX_LANES: usize = 64;

/// How much of a column is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Every row.
    #[default]
    Full,
    /// So many rows of each plot, in windows drawn at random; all if it has fewer.
    Sample(NonZeroU64),
    /// Every row where the disk's rate fits the deadline, else a sample as
    /// large as fits. The rate is that of the last search for as many
    /// challenges, or is measured as the search begins.
    Adaptive,
}

/// How a search goes about it.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// How much of the column is searched.
    pub strategy: Strategy,
    /// Ends the search as soon as any challenge has a leaf below the target.
    pub stop_at_first_winner: bool,
    /// Calls the search off from another thread.
    pub cancel: Cancel,
    /// What scores.
    pub backend: Backend,
    /// Threads that score, 1 to [`MAX_THREADS`].
    pub threads: usize,
    /// Draws the same samples again; random without.
    pub seed: Option<u64>,
}

impl Default for SearchOptions {
    /// Every row, on all cores, with the fastest backend.
    fn default() -> Self {
        Self {
            strategy: Strategy::Full,
            stop_at_first_winner: false,
            cancel: Cancel::new(),
            backend: Backend::fastest(),
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS),
            seed: None,
        }
    }
}

/// When a search tells what it has found so far, and to whom.
pub struct Looks<'a> {
    /// The moments, ascending. Those after the end of the search do not come.
    pub at: &'a [Instant],
    /// Hears at each of them its place, and what the report were if the deadline came now. Disks are read and cells
    /// scored meanwhile, but the search does not end.
    pub tell: &'a mut dyn FnMut(usize, SearchReport),
}

/// Why a search did not take place.
#[derive(Debug, Error)]
pub enum SearchError {
    /// No challenges, or too many.
    #[error("{0} challenges, a search takes 1 to {MAX_CHALLENGES}")]
    Challenges(usize),
    /// No threads, or too many.
    #[error("{0} threads, a search takes 1 to {MAX_THREADS}")]
    Threads(usize),
    /// The first winner was asked for, but not what wins.
    #[error("stopping at the first winner needs a target")]
    NoTarget,
    /// The system starts no more threads.
    #[error("cannot start a thread: {0}")]
    Spawn(#[source] std::io::Error),
}

impl Farm {
    /// Looks in `column` of every plot for the best leaf for each of one to
    /// eight challenges, in one sweep. Each disk is read in ascending order of
    /// plot and offset with a bounded number of reads in flight. A plot that
    /// failed to read before is opened anew; one that fails now costs itself only.
    ///
    /// A search that is not cut short finds the same whatever the number of
    /// threads, of reads in flight, and their size, and whatever bulk scorers
    /// take part. At the deadline it returns even if a disk or a bulk scorer hangs.
    /// A disk that finishes no read for as long as [`FarmOptions::stall_limit`]
    /// costs its own plots, and is left alone until one of its reads comes back.
    ///
    /// # Errors
    /// If an argument is out of range, or the system starts no more threads.
    /// That plots failed is no error: the report says so.
    ///
    /// [`FarmOptions::stall_limit`]: crate::FarmOptions::stall_limit
    pub fn search(
        &self,
        column: ColumnIndex,
        challenges: &[Challenge],
        target: Option<Target>,
        deadline: Option<Instant>,
        options: &SearchOptions,
    ) -> Result<SearchReport, SearchError> {
        let looks = Looks { at: &[], tell: &mut |_, _| {} };
        self.search_and_tell(column, challenges, target, deadline, options, looks)
    }

    /// As [`Self::search`], and tells what was found so far.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn search_and_tell(
        &self,
        column: ColumnIndex,
        challenges: &[Challenge],
        target: Option<Target>,
        deadline: Option<Instant>,
        options: &SearchOptions,
        looks: Looks<'_>,
    ) -> Result<SearchReport, SearchError> {
        if !(1..=MAX_CHALLENGES).contains(&challenges.len()) {
            return Err(SearchError::Challenges(challenges.len()));
        }
        self.sweep(column, challenges, target, deadline, options, looks)
    }

    /// Reads as [`Self::search`] does and scores nothing: what the disks alone take.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn read_only(
        &self,
        column: ColumnIndex,
        deadline: Option<Instant>,
        options: &SearchOptions,
    ) -> Result<SearchReport, SearchError> {
        let looks = Looks { at: &[], tell: &mut |_, _| {} };
        self.sweep(column, &[], None, deadline, options, looks)
    }

    fn sweep(
        &self,
        column: ColumnIndex,
        challenges: &[Challenge],
        target: Option<Target>,
        deadline: Option<Instant>,
        options: &SearchOptions,
        looks: Looks<'_>,
    ) -> Result<SearchReport, SearchError> {
        if !(1..=MAX_THREADS).contains(&options.threads) {
            return Err(SearchError::Threads(options.threads));
        }
        if options.stop_at_first_winner && target.is_none() {
            return Err(SearchError::NoTarget);
        }
        let began = self.clock().now();
        let plots = self.plots_to_search(deadline, &options.cancel);
        let mut planner = Planner { farm: self, column, deadline, options, lanes: BTreeMap::new() };
        let mut random = Random::new(options.seed);
        let mut jobs = Vec::with_capacity(plots.len());
        for (at, (plot, missed)) in plots.iter().enumerate() {
            jobs.push(Job::new(Arc::clone(plot), planner.plan(at, plot, missed.as_ref(), &mut random)));
        }
        let sweep = Arc::new(Sweep {
            challenges: challenges.into(),
            target,
            deadline,
            stop_at_first_winner: options.stop_at_first_winner,
            hangs: self.hangs(),
            backend: options.backend,
            clock: Arc::clone(self.clock()),
            disks: Arc::clone(self.disks()),
            jobs,
            lanes: planner.into_lanes(&mut random),
            shares: if challenges.is_empty() { Vec::new() } else { self.scorers().iter().map(Share::new).collect() },
            most_cells: self.block_bytes() / size_of::<Cell>(),
            idle: Idle::default(),
            stopped: false.into(),
        });
        let report = |ended| {
            let of_plots = sweep.jobs.iter().zip(&plots);
            SearchReport {
                column,
                challenges: challenges.to_vec(),
                target,
                ended,
                took: self.clock().now().saturating_duration_since(began),
                readers_waited: sweep.idle.readers(),
                scorers_waited: sweep.idle.scorers(),
                scorers: sweep.shares.iter().map(|share| scorer_report(share, challenges.len())).collect(),
                plots: of_plots
                    .map(|(job, (_, missed))| report(job, missed, column, challenges.len(), ended))
                    .collect(),
            }
        };
        let mut tell = |place| (looks.tell)(place, report(Ended::Deadline));
        let looks = (looks.at, &mut tell as &mut dyn FnMut(usize));
        let ended =
            run(&sweep, &options.cancel, self.queue_depth(), options.threads, looks).map_err(SearchError::Spawn)?;
        // Readers look at the clock themselves, and may have seen the deadline before the alarm went off.
        let ended = if ended == Ended::Swept && !sweep.is_complete() { Ended::Deadline } else { ended };
        for lane in &sweep.lanes {
            if let Some(rate) = lane.rate() {
                lane.disk.set_rate(challenges.len(), rate);
            }
        }
        Ok(report(ended))
    }
}

/// A disk and its plots, by their place among all, each with the reads that are planned.
type Queue = (Arc<Disk>, VecDeque<(usize, Blocks)>);

/// Sorts plots into lanes.
struct Planner<'a> {
    farm: &'a Farm,
    column: ColumnIndex,
    deadline: Option<Instant>,
    options: &'a SearchOptions,
    /// By the number of the disk.
    lanes: BTreeMap<u64, Queue>,
}

impl Planner<'_> {
    /// Plans the plot that comes `at` that place, and returns how many rows of it.
    fn plan(&mut self, at: usize, plot: &Arc<FarmPlot>, missed: Option<&Missed>, random: &mut Random) -> u64 {
        let layout = plot.plot().layout();
        let rows = plot.plot().header().rows;
        if missed.is_some() || u64::from(self.column.0) >= layout.columns() {
            return 0;
        }
        let ranges = match self.options.strategy {
            Strategy::Full | Strategy::Adaptive => vec![Range { start: 0, end: rows }],
            Strategy::Sample(want) => windows(&(0..rows), want.get(), random),
        };
        let blocks = Blocks::new(*layout, self.column, ranges, self.farm.block_bytes());
        let planned = blocks.rows_left();
        let (_, queue) = self
            .lanes
            .entry(self.farm.disks().disk_of(plot))
            .or_insert_with(|| (Arc::clone(plot.disk()), VecDeque::new()));
        queue.push_back((at, blocks));
        planned
    }

    fn into_lanes(self, random: &mut Random) -> Vec<Lane> {
        let mut joined: Vec<Queue> = Vec::new();
        for (at, (disk, queue)) in self.lanes.into_values().enumerate() {
            match joined.get_mut(at % MAX_LANES).filter(|_| at >= MAX_LANES) {
                Some((_, joined)) => joined.extend(queue),
                None => joined.push((disk, queue)),
            }
        }
        let lane = |(disk, queue): Queue| {
            let pace = match (self.options.strategy, self.deadline) {
                (Strategy::Adaptive, Some(deadline)) => Pace::Until(deadline),
                _ => Pace::Planned,
            };
            let (queue_depth, block_bytes) = (self.farm.queue_depth(), self.farm.block_bytes());
            Lane::new(disk, queue, pace, random.split(), queue_depth, block_bytes, self.farm.scorers().len())
        };
        joined.into_iter().map(lane).collect()
    }
}

fn report(job: &Job, missed: &Option<Missed>, column: ColumnIndex, challenges: usize, ended: Ended) -> PlotReport {
    let plot = Arc::clone(&job.plot);
    let Tally { planned, leaves, bytes, reading, scoring, best, error } = lock(&job.tally).clone();
    let columns = plot.plot().layout().columns();
    let missed = missed.clone().or_else(|| {
        if u64::from(column.0) >= columns {
            return Some(Missed::Column { column: column.0, columns });
        }
        if let Some(error) = error {
            return Some(Missed::Read(error));
        }
        match ended {
            Ended::Deadline => Some(Missed::Deadline),
            Ended::Cancelled => Some(Missed::Cancelled),
            Ended::FirstWinner => Some(Missed::FirstWinner),
            Ended::Swept => None,
        }
        .filter(|_| leaves < planned)
    });
    PlotReport { plot, planned, leaves, bytes, reading, scoring, best: best[..challenges].to_vec(), missed }
}

fn scorer_report(share: &Share, challenges: usize) -> ScorerReport {
    let ShareTally { leaves, scoring, aside } = lock(&share.tally).clone();
    // What ends it for good or until it is compared anew says more than what kept it from a block.
    let aside = share.scorer.out().cloned().or(aside).or_else(|| share.scorer.aside(challenges));
    ScorerReport { name: share.scorer.name().to_owned(), leaves, scoring, aside }
}
