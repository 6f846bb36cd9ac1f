//! Plots on disks, by the prover's farm.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use spacetime_kernels::{Backend, Challenge, ColumnIndex, Target};
use spacetime_prover::farm::{Cancel, Ended, FarmPlot, LeafClaim, Looks};
use spacetime_prover::{Farm, Proof, SearchOptions, SearchReport};

use super::farm::{FarmView, Field, Leaf, PlotInfo, SweepEnd, SweepReport, Trouble};
use super::io::{OpeningsOrder, ProofOrder, SweepOrder};
use crate::chain::{Capped, Hash, MinerKey, Opening, PlotId};
use crate::state::openings::draw;

/// Plots on disks.
#[derive(Debug)]
pub struct DiskField {
    farm: Farm,
    backend: Backend,
    threads: usize,
}

impl DiskField {
    /// The plots of `farm`, scored by `threads` threads of the CPU, 1 to [`spacetime_prover::farm::MAX_THREADS`].
    #[must_use]
    pub fn new(farm: Farm, backend: Backend, threads: usize) -> Self {
        Self { farm, backend, threads }
    }

    /// The farm.
    #[must_use]
    pub fn farm(&self) -> &Farm {
        &self.farm
    }

    fn plot(&self, id: &PlotId) -> Result<Arc<FarmPlot>, String> {
        let found = self.farm.plots().into_iter().find(|plot| plot.plot_id() == id.0);
        found.ok_or_else(|| format!("plot {id} is gone"))
    }

    /// Has a plot read, but does not wait for a disk that hangs.
    fn call<T: Send + 'static>(
        &self,
        plot: &Arc<FarmPlot>,
        work: impl FnOnce(&FarmPlot) -> T + Send + 'static,
    ) -> Result<T, String> {
        self.farm.call(plot, work).map_err(|error| format!("{}: {error}", name(plot)))
    }
}

fn name(plot: &FarmPlot) -> String {
    plot.path().display().to_string()
}

fn info(plot: &Arc<FarmPlot>) -> PlotInfo {
    let header = plot.plot().header();
    PlotInfo {
        name: name(plot),
        id: PlotId(header.plot_id),
        key: Hash(plot.plot().key().0),
        miner_key: MinerKey(header.miner_key),
        network: Hash(header.network),
        log2_columns: header.shape.log2_columns(),
        rounds: header.shape.rounds(),
        seed: Hash(header.seed),
        rows: header.rows,
        root: Hash(header.root),
    }
}

/// The moment of a time on the wall's clock, for a sweep that begins now.
fn moment(deadline_ms: u64) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::now() + Duration::from_millis(deadline_ms).saturating_sub(now)
}

fn report(found: &SearchReport) -> SweepReport {
    let id = |plot: usize| PlotId(found.plots[plot].plot.plot_id());
    let ranking = |challenge| {
        let leaves = found.ranking(challenge).into_iter();
        leaves.map(|leaf| Leaf { score: leaf.score, plot: id(leaf.plot), row: leaf.row }).collect()
    };
    let missed = found.plots.iter().filter_map(|plot| Some((plot, plot.missed.as_ref()?)));
    SweepReport {
        end: match found.ended {
            Ended::Swept | Ended::FirstWinner => SweepEnd::Swept,
            Ended::Deadline => SweepEnd::Deadline,
            Ended::Cancelled => SweepEnd::Cancelled,
        },
        rankings: (0..found.challenges.len()).map(ranking).collect(),
        plots: found.plots.iter().filter(|plot| plot.leaves > 0).count() as u64,
        leaves: found.leaves(),
        bytes: found.bytes(),
        took_ms: found.took.as_millis() as u64,
        troubles: missed.map(|(plot, why)| Trouble { name: name(&plot.plot), error: why.to_string() }).collect(),
    }
}

impl Field for DiskField {
    fn look(&self) -> FarmView {
        self.farm.refresh();
        let refused = self.farm.refused();
        let trouble = |refused: &spacetime_prover::farm::Refused| Trouble {
            name: refused.path.display().to_string(),
            error: refused.why.to_string(),
        };
        FarmView { plots: self.farm.plots().iter().map(info).collect(), refused: refused.iter().map(trouble).collect() }
    }

    fn sweep(
        &self,
        order: &SweepOrder,
        stop: &Cancel,
        tell: &mut dyn FnMut(u64, SweepReport),
    ) -> Result<SweepReport, String> {
        let challenges: Vec<_> = order.challenges.iter().map(|challenge| Challenge(challenge.0)).collect();
        let options = SearchOptions {
            cancel: stop.clone(),
            backend: self.backend,
            threads: self.threads,
            ..SearchOptions::default()
        };
        let deadline_ms = order.deadline_ms();
        let due: BTreeSet<u64> = order.due_ms.iter().copied().filter(|due_ms| *due_ms < deadline_ms).collect();
        let (due, at): (Vec<u64>, Vec<Instant>) = due.into_iter().map(|due_ms| (due_ms, moment(due_ms))).unzip();
        let looks = Looks { at: &at, tell: &mut |place, found| tell(due[place], report(&found)) };
        let (column, deadline) = (ColumnIndex(order.column), Some(moment(deadline_ms)));
        let found = self.farm.search_and_tell(column, &challenges, None, deadline, &options, looks);
        found.map(|found| report(&found)).map_err(|error| error.to_string())
    }

    fn prove(&self, order: &ProofOrder) -> Result<Proof, String> {
        let claim = LeafClaim {
            challenge: Challenge(order.challenge.0),
            column: ColumnIndex(order.column),
            row: order.row,
            score: order.score,
            target: Some(Target(order.target.0)),
        };
        let backend = self.backend;
        self.call(&self.plot(&order.plot)?, move |plot| plot.prove(&claim, backend))?.map_err(|fault| fault.to_string())
    }

    fn open(&self, order: &OpeningsOrder) -> Result<Vec<Opening>, String> {
        let plot = self.plot(&order.plot)?;
        let header = plot.plot().header();
        let opening = |index| {
            let (row, column) = draw(&order.plot, &order.mix, index, header.rows, header.shape.columns());
            let backend = self.backend;
            let proof = self.call(&plot, move |plot| plot.plot().prove(&Challenge([0; 32]), column, row, backend))?;
            let proof = proof.map_err(|error| error.to_string())?;
            let siblings = Capped::new(proof.siblings).ok_or("a path longer than any")?;
            Ok(Opening { cell: proof.leaf, siblings })
        };
        (0..order.count).map(opening).collect()
    }
}
