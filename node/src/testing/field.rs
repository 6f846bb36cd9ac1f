//! Plots in memory as a miner sees them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use spacetime_kernels::{Backend, Challenge, ColumnIndex, Target};
use spacetime_prover::farm::Cancel;
use spacetime_prover::{Expected, Proof, verify};

use super::MemoryPlot;
use crate::chain::{Hash, Opening, PlotId};
use crate::consensus::Parameters;
use crate::miner::farm::{FarmView, Field, Leaf, PlotInfo, SweepEnd, SweepReport, Trouble};
use crate::miner::io::{OpeningsOrder, ProofOrder, SweepOrder};

/// Plots in memory. Sweeping takes no time: whoever simulates a disk answers later.
#[derive(Debug)]
pub struct MemoryField {
    parameters: Parameters,
    plots: Vec<MemoryPlot>,
    /// Plots that fail, and what they say.
    broken: Mutex<BTreeMap<PlotId, String>>,
}

impl MemoryField {
    /// These plots, on the chain of `parameters`.
    #[must_use]
    pub fn new(parameters: &Parameters, plots: Vec<MemoryPlot>) -> Self {
        Self { parameters: parameters.clone(), plots, broken: Mutex::default() }
    }

    /// From now on a plot can be neither swept nor proved from.
    pub fn break_plot(&self, plot: PlotId, error: &str) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).insert(plot, error.to_owned());
    }

    fn plot(&self, id: &PlotId) -> Result<&MemoryPlot, String> {
        if let Some(error) = self.broken.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            return Err(error.clone());
        }
        self.plots.iter().find(|plot| plot.id() == *id).ok_or_else(|| format!("there is no plot {id}"))
    }
}

fn name(plot: &MemoryPlot) -> String {
    format!("memory:{}", const_hex::encode(&plot.id().0[..4]))
}

impl Field for MemoryField {
    fn look(&self) -> FarmView {
        let info = |plot: &MemoryPlot| {
            let (description, shape) = (plot.description(), self.parameters.shape());
            PlotInfo {
                name: name(plot),
                id: plot.id(),
                key: plot.key(),
                miner_key: description.miner_key,
                network: self.parameters.network_tag(),
                log2_columns: shape.log2_columns(),
                rounds: shape.rounds(),
                seed: description.seed,
                rows: description.rows,
                root: description.root,
            }
        };
        FarmView { plots: self.plots.iter().map(info).collect(), refused: Vec::new() }
    }

    fn sweep(
        &self,
        order: &SweepOrder,
        stop: &Cancel,
        _: &mut dyn FnMut(u64, SweepReport),
    ) -> Result<SweepReport, String> {
        let (mut swept, mut troubles) = (Vec::new(), Vec::new());
        for plot in &self.plots {
            match self.plot(&plot.id()) {
                Ok(plot) => swept.push(plot),
                Err(error) => troubles.push(Trouble { name: name(plot), error }),
            }
        }
        let ranking = |challenge: &Hash| {
            let leaf = |plot: &&MemoryPlot| {
                let best = plot.best(&Challenge(challenge.0), ColumnIndex(order.column));
                Leaf { score: best.score, plot: plot.id(), row: best.row }
            };
            let mut leaves: Vec<Leaf> = swept.iter().map(leaf).collect();
            leaves.sort_unstable();
            leaves
        };
        let rows = swept.iter().map(|plot| plot.description().rows).sum();
        Ok(SweepReport {
            end: if stop.is_cancelled() { SweepEnd::Cancelled } else { SweepEnd::Swept },
            rankings: order.challenges.iter().map(ranking).collect(),
            plots: swept.len() as u64,
            leaves: rows,
            bytes: rows * 32,
            took_ms: 0,
            troubles,
        })
    }

    fn prove(&self, order: &ProofOrder) -> Result<Proof, String> {
        let plot = self.plot(&order.plot)?;
        let (challenge, column) = (Challenge(order.challenge.0), ColumnIndex(order.column));
        let proof = plot.prove(&challenge, column, order.row);
        let expected = Expected {
            network: self.parameters.network_tag().0,
            miner_key: plot.description().miner_key.0,
            shape: self.parameters.shape(),
            challenge,
            column,
            plot_id: order.plot.0,
            root: None,
            score: Some(order.score),
            target: Some(Target(order.target.0)),
        };
        verify(&proof, &expected, Some(Backend::fastest())).map_err(|error| error.to_string())?;
        Ok(proof)
    }

    fn open(&self, order: &OpeningsOrder) -> Result<Vec<Opening>, String> {
        Ok(self.plot(&order.plot)?.openings(&order.mix, order.count))
    }
}
