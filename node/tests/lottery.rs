//! Fairness: who has a share of the space wins that share of the blocks, with real challenges, real
//! scores of cells by chance, and the difficulty following.

mod simulation;

use simulation::random::Random;
use simulation::{header, wanted};
use spacetime_kernels::{Backend, Cell, Target};
use spacetime_node::chain::{BlockId, Epoch};
use spacetime_node::consensus::{Engine, Lineage, SpaceTime, Specification};

/// Leaves of each miner in a column: 1%, 10%, 50% and the rest.
const LEAVES: [usize; 4] = [5, 50, 250, 195];
const EPOCHS: u64 = 10_000;

/// Blocks that each miner wins.
fn blocks_won(leaves: [usize; 4], seed: u64) -> [u64; 4] {
    let all: usize = leaves.iter().sum();
    let mut specification = Specification::main();
    let wins = wanted(specification.parameters.goal) / all as f64;
    specification.genesis.base = Target(simulation::score_at(wins).0);
    let engine = SpaceTime::new(&specification);
    let mut random = Random::new(seed);
    let mut id = BlockId::ZERO;
    id.0[..8].copy_from_slice(&seed.to_le_bytes());
    let mut tip = Lineage::genesis(id, &specification);
    let (mut strip, mut column): (Vec<Cell>, _) = (vec![[0; 32]; all], None);
    let mut won = [0; 4];
    for epoch in (1..=EPOCHS).map(Epoch) {
        let claim = engine.claim(&tip, epoch);
        if column.replace(claim.column) != Some(claim.column) {
            strip
                .iter_mut()
                .flat_map(|cell| cell.as_chunks_mut().0)
                .for_each(|part| *part = random.number().to_le_bytes());
        }
        let mut best = [None];
        Backend::fastest().score_best(&[claim.challenge], &strip, 0, &mut best);
        let best = best[0].expect("a strip has a best leaf");
        if claim.target.is_met_by(&best.score) {
            let mut before = 0;
            let miner = leaves.iter().position(|&own| {
                before += own;
                (best.row as usize) < before
            });
            won[miner.expect("each leaf is somebody's")] += 1;
            let (header, id) = header(&tip, epoch, 0, best.score, random.number());
            tip = engine.extend(&tip, &header, id);
        }
    }
    won
}

/// Whether `won` is what chance gives miners with `leaves`: each share within four standard deviations, and
/// Pearson's χ² with three degrees of freedom below what one in ten thousand exceeds.
fn is_fair(leaves: [usize; 4], won: [u64; 4]) -> bool {
    let (all, blocks) = (leaves.iter().sum::<usize>() as f64, won.iter().sum::<u64>() as f64);
    let mut squares = 0.0;
    let each = leaves.iter().zip(&won).all(|(&own, &won)| {
        let share = own as f64 / all;
        let off = won as f64 - blocks * share;
        squares += off * off / (blocks * share);
        off.abs() < 4.0 * (blocks * share * (1.0 - share)).sqrt()
    });
    each && squares < 21.11
}

#[test]
fn shares_of_space_are_shares_of_blocks() {
    for seed in 0..3 {
        let won = blocks_won(LEAVES, seed);
        let blocks = won.iter().sum::<u64>() as f64;
        println!("seed {seed}: {:.4?} of {blocks}", won.map(|won| won as f64 / blocks));
        assert!((0.76..0.84).contains(&(blocks / EPOCHS as f64)), "{blocks} blocks");
        assert!(is_fair(LEAVES, won), "{won:?}");
    }
}

#[test]
fn unfairness_is_seen() {
    // Three leaves more than it says, of 500.
    let won = blocks_won([8, 50, 250, 192], 0);
    assert!(!is_fair(LEAVES, won), "{won:?}");
    let won = blocks_won([5, 50, 270, 175], 0);
    assert!(!is_fair(LEAVES, won), "{won:?}");
}
