//! Chains in files: a specification and an archive, made by the node's test kit.

#![allow(dead_code)] // every test file is a program of its own, and none uses all of this

use std::fs;
use std::path::Path;

use spacetime_node::chain::{BlockId, Height};
use spacetime_node::consensus::Parameters;
use spacetime_node::store::archive::{ArchiveHead, ArchiveWriter};
use spacetime_node::testing::{Fabric, Made, Random, Setup};

/// For how many blocks states are kept while a chain is made: forks here are not deeper.
const KEPT_STATES: u64 = 64;

/// A chain of the local parameters, with a bit of everything in it and with forks all along, as `chain.toml` and
/// `chain.blocks` in `folder`. Blocks stand in an order in which some come before their parents.
pub(crate) fn make(folder: &Path, blocks: usize, seed: u64) -> Fabric {
    let parameters = Parameters::local();
    let mut fabric = Fabric::new(&Setup { parameters, seed, keep: Some(KEPT_STATES), ..Setup::default() });
    let mut random = Random::new(seed);
    let mut tip = fabric.genesis_id();
    let mut recent: Vec<BlockId> = vec![tip];
    while fabric.all().len() < blocks {
        tip = fabric.random_block(&tip, &mut random);
        recent.push(tip);
        if recent.len() > 12 && random.one_in(15) {
            // A branch from a few blocks below, which may or may not win.
            let depth = 1 + random.below(6) as usize;
            let mut side = recent[recent.len() - 1 - depth];
            recent.truncate(recent.len() - depth);
            for _ in 0..random.below(2 * depth as u64) + 1 {
                side = fabric.random_block(&side, &mut random);
                recent.push(side);
            }
            if fabric.made(&side).lineage.weight > fabric.made(&tip).lineage.weight {
                tip = side;
            } else {
                recent = path_to(&fabric, &tip, 12);
            }
        }
    }
    let mut order: Vec<&Made> = fabric.all()[1..].iter().collect();
    for place in 1..order.len() {
        if random.one_in(20) {
            order.swap(place - 1, place);
        }
    }
    write(folder, &fabric, &order);
    fabric
}

/// The last blocks of the branch that ends with `tip`, lowest first.
fn path_to(fabric: &Fabric, tip: &BlockId, count: usize) -> Vec<BlockId> {
    let mut path = vec![*tip];
    while path.len() < count && path[path.len() - 1] != fabric.genesis_id() {
        path.push(fabric.block(&path[path.len() - 1]).header.parent);
    }
    path.reverse();
    path
}

/// Writes the specification and an archive of these blocks.
pub(crate) fn write(folder: &Path, fabric: &Fabric, order: &[&Made]) {
    fs::write(folder.join("chain.toml"), fabric.specification.to_toml()).expect("a small file");
    let last = order.iter().map(|made| made.lineage.height).max().unwrap_or(Height(1));
    let head = ArchiveHead { genesis: fabric.genesis_id(), first: Height(1), last };
    let mut archive = ArchiveWriter::begin(Vec::new(), &head).expect("memory");
    order.iter().for_each(|made| archive.add(&made.block).expect("memory"));
    fs::write(folder.join("chain.blocks"), archive.finish().expect("memory")).expect("there is room");
}
