//! Rules of proofs (PROTOCOL §4) but the last, which `cells` has.

use spacetime_kernels::{ColumnIndex, MAX_ROWS, score};
use spacetime_node::chain::rules::HeaderError;
use spacetime_node::chain::{Block, Hash, PlotId};
use spacetime_node::consensus::Engine;
use spacetime_node::testing::{Fabric, MemoryPlot, Setup};
use spacetime_prover::tree::fold;
use spacetime_prover::{Proof, VerifyError};

use crate::common::{Case, Trial, forge, search, whole, winner};

pub(crate) fn trials() -> Vec<Trial> {
    vec![proofs()]
}

#[test]
fn are_judged() {
    trials().iter().for_each(Trial::run);
}

/// Plots have 17 rows, so that their columns end in padding.
const ROWS: u64 = 17;
const DEPTH: u32 = 5;

fn proofs() -> Trial {
    let mut fabric = Fabric::new(&Setup { rows: ROWS, ..Setup::default() });
    let held = fabric.chain(&fabric.genesis_id(), 5, 0);
    let id = fabric.chain(&held[4], 1, 1)[0];
    let good = fabric.block(&id).clone();
    let parent = held[4];
    let miner = winner(&fabric, &good);
    let plot = miner.plots.iter().find(|plot| plot.id() == good.header.plot_id).expect("the miner's plot won");
    let claim = fabric.engine.claim(&fabric.made(&parent).lineage, good.header.epoch);
    let column = claim.column.0;
    let mut cases = Vec::new();
    let mut add = |what: &str, block: Block, error| cases.push(Case::new(what, block, HeaderError::Proof(error)));
    let changed = |change: &dyn Fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        whole(&fabric, block)
    };
    // A header that says of the proof what there is to say.
    let told = |proof: Proof| {
        let transactions = good.transactions[1..].to_vec();
        forge(&fabric, &parent, miner, (good.header.epoch, proof), transactions)
    };

    let rows = MAX_ROWS + 1;
    let mut vast = Proof { rows, siblings: vec![[1; 32]; 47], ..good.proof.clone() };
    vast.leaf_index = u64::from(column) << 41 | (good.proof.leaf_index & 31);
    vast.root = fold(&vast.leaf, vast.leaf_index, &vast.siblings);
    add("too many rows", told(vast), VerifyError::Rows(rows));
    add("no rows", told(Proof { rows: 0, ..good.proof.clone() }), VerifyError::Rows(0));

    let block = changed(&|block| block.proof.challenge = [1; 32]);
    add("another challenge", block, VerifyError::Challenge { found: [1; 32], expected: claim.challenge.0 });
    let found = column ^ 1;
    let block = changed(&|block| block.proof.column = found);
    add("another column", block, VerifyError::Column { found, expected: column });

    let elsewhere = |other: &u32| {
        let best = plot.best(&claim.challenge, ColumnIndex(*other));
        *other != column && claim.target.is_met_by(&best.score)
    };
    let other = ColumnIndex((0..64).find(elsewhere).expect("some column wins"));
    let mut proof = plot.prove(&claim.challenge, other, plot.best(&claim.challenge, other).row);
    proof.column = column;
    let leaf_index = proof.leaf_index;
    add("another column's leaf", told(proof), VerifyError::IndexColumn { leaf_index, column });

    let padding =
        search(&fabric, &parent, |claim| Some(padding(plot, &plot.prove(&claim.challenge, claim.column, 16))));
    add(
        "a leaf of the padding",
        forge(&fabric, &parent, miner, padding, Vec::new()),
        VerifyError::Row { row: 17, rows: ROWS },
    );

    for found in [10, 12] {
        let mut proof = good.proof.clone();
        proof.siblings.resize(found, [7; 32]);
        proof.root = fold(&proof.leaf, proof.leaf_index, &proof.siblings);
        add("a path of another length", told(proof), VerifyError::Siblings { found, expected: 11 });
    }
    let block = changed(&|block| block.header.plot_id = PlotId([1; 32]));
    add("another plot id", block, VerifyError::PlotId { found: good.header.plot_id.0, expected: [1; 32] });
    let block = changed(&|block| block.header.plot_root = Hash([1; 32]));
    add("another plot root", block, VerifyError::Root { found: good.proof.root, expected: [1; 32] });
    let block = changed(&|block| block.header.score.0[31] ^= 1);
    let expected = block.header.score.0;
    add("another score", block, VerifyError::Score { found: good.header.score.0, expected });

    let all = (0..ROWS).map(|row| plot.prove(&claim.challenge, claim.column, row));
    let lost = all.max_by_key(|proof| score(&claim.challenge, &proof.leaf)).expect("17 rows");
    let missed = score(&claim.challenge, &lost.leaf).0;
    assert!(missed >= claim.target.0);
    add("a score that loses", told(lost), VerifyError::Target { score: missed, target: claim.target.0 });
    for sibling in [0, 4, 5, 10] {
        let block = changed(&|block| block.proof.siblings[sibling][0] ^= 1);
        let found = fold(&block.proof.leaf, block.proof.leaf_index, &block.proof.siblings);
        add("a path to elsewhere", block, VerifyError::Path { found, expected: good.proof.root });
    }
    Trial { held, good, cases, fabric }
}

/// The zero leaf behind the last row, with a path that leads to the plot's root.
fn padding(plot: &MemoryPlot, last: &Proof) -> Proof {
    let mut proof = Proof { leaf: [0; 32], leaf_index: last.leaf_index + 1, ..last.clone() };
    proof.siblings[0] = last.leaf;
    assert_eq!(last.leaf_index & ((1 << DEPTH) - 1), 16);
    assert_eq!(Hash(fold(&proof.leaf, proof.leaf_index, &proof.siblings)), plot.description().root);
    proof
}
