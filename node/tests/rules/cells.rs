//! Cells that were never grown: what costs a row to find out (PROTOCOL §4, §9).

use spacetime_node::chain::rules::{HeaderError, TransactionError};
use spacetime_node::chain::{BlockId, Payload, Transaction};
use spacetime_node::state::openings::draw;
use spacetime_node::testing::{Fabric, MemoryPlot, Setup};
use spacetime_prover::VerifyError;

use crate::common::{Case, Trial, forge, search};

const ROWS: u64 = 16;
/// The row that was never grown.
const FORGED: u64 = 5;

pub(crate) fn trials() -> Vec<Trial> {
    vec![openings(), leaf()]
}

#[test]
fn are_grown_again() {
    trials().iter().for_each(Trial::run);
}

/// A chain whose last block lets a plot with a forged row be activated, and the first opening that shows a forged
/// cell, if one does.
pub(crate) struct Registered {
    pub(crate) fabric: Fabric,
    pub(crate) chain: Vec<BlockId>,
    pub(crate) shown: Option<usize>,
}

impl Registered {
    /// By chance, which `seed` is, openings show the forged row or not.
    fn new(seed: u8) -> Self {
        let mut fabric = Fabric::new(&Setup { rows: ROWS, ..Setup::default() });
        let key = fabric.miners[0].key;
        let plot = MemoryPlot::grow(fabric.parameters(), key, [seed; 32], ROWS).with_forged_row(FORGED);
        let register = fabric.miners[0].register(&fabric.genesis_id(), &plot, None);
        let mut chain = vec![fabric.extend(&fabric.genesis_id(), vec![register])];
        let mix = loop {
            let tip = *chain.last().expect("it has a block");
            if let Some(mix) = fabric.drawn_mix(&tip, plot.key()) {
                break mix;
            }
            chain.extend(fabric.chain(&tip, 1, 0));
        };
        let rows = (0..fabric.parameters().openings).map(|index| draw(&plot.id(), &mix, index, ROWS, 64).0.0);
        let shown = rows.into_iter().position(|row| row == FORGED);
        fabric.miners[0].plots.push(plot);
        Self { fabric, chain, shown }
    }

    /// The first of many whose openings show the forged row, or do not.
    pub(crate) fn find(shown: bool) -> Self {
        (0..=255).map(Self::new).find(|found| found.shown.is_some() == shown).expect("chance has it both ways")
    }

    pub(crate) fn plot(&self) -> &MemoryPlot {
        self.fabric.miners[0].plots.last().expect("it was added")
    }

    pub(crate) fn tip(&self) -> BlockId {
        *self.chain.last().expect("it has a block")
    }

    pub(crate) fn activation(&self) -> Transaction {
        let mix = self.fabric.drawn_mix(&self.tip(), self.plot().key()).expect("it is drawn");
        let openings = self.fabric.parameters().openings;
        self.fabric.miners[0].activate(&self.fabric.genesis_id(), self.plot(), &mix, openings, None)
    }

    /// The rule that the activation breaks.
    pub(crate) fn error(&self) -> TransactionError {
        let index = self.shown.expect("an opening shows the forged row");
        let Payload::ActivatePlot(activate) = self.activation().payload else { panic!("an activation") };
        let found = activate.openings[index].cell;
        TransactionError::OpeningCell { index, found, grown: unforged(found) }
    }
}

fn unforged(mut cell: [u8; 32]) -> [u8; 32] {
    cell[0] ^= 1;
    cell
}

fn openings() -> Trial {
    let mut registered = Registered::find(true);
    let tip = registered.tip();
    let (winner, win) = registered.fabric.win(&tip, 0, None);
    let transactions = vec![registered.activation()];
    let fabric = &registered.fabric;
    let block = forge(fabric, &tip, &fabric.miners[winner], (win.epoch, win.proof), transactions);
    let case = Case::transaction("an opening of a forged row", block, 1, registered.error());
    let good = registered.fabric.chain(&tip, 1, 1)[0];
    let good = registered.fabric.block(&good).clone();
    Trial { held: registered.chain, good, cases: vec![case], fabric: registered.fabric }
}

/// A plot may be forged in rows that its openings do not show; then a win with one of them does.
fn leaf() -> Trial {
    let mut registered = Registered::find(false);
    let activation = registered.activation();
    // The fabric must not win with it by itself.
    let plot = registered.fabric.miners[0].plots.pop().expect("it was added");
    let Registered { fabric, chain: held, .. } = &mut registered;
    held.push(fabric.extend(held.last().expect("it has a block"), vec![activation]));
    held.extend(fabric.chain(held.last().expect("it has a block"), fabric.parameters().plot_maturity, 0));
    let tip = *held.last().expect("it has a block");
    let forged = search(fabric, &tip, |claim| Some(plot.prove(&claim.challenge, claim.column, FORGED)));
    let found = forged.1.leaf;
    let error = HeaderError::Proof(VerifyError::Leaf { found, grown: unforged(found) });
    let bad = Case::new("a forged leaf", forge(fabric, &tip, &fabric.miners[0], forged, Vec::new()), error);
    // Any other row of the same plot may win.
    let grown = search(fabric, &tip, |claim| Some(plot.prove(&claim.challenge, claim.column, FORGED + 1)));
    let good = forge(fabric, &tip, &fabric.miners[0], grown, Vec::new());
    Trial { held: registered.chain, good, cases: vec![bad], fabric: registered.fabric }
}
