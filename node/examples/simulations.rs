//! Runs the simulations of docs/CHAIN_SIMULATIONS.md in full and prints their numbers.

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use simulation::forks::{Attack, limit, tally, threshold};
use simulation::liar::{Lie, blocks_won};
use simulation::quantile;
use simulation::settling::{Change, constant, settling};

fn main() {
    let shares: Vec<_> = (0..500).map(|seed| constant(seed, 500.0)).collect();
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    println!("constant space: {mean:.4}, {:.4} to {:.4}", quantile(&shares, 0.0), quantile(&shares, 1.0));

    println!("\nsettling, hours: median, p90, p95, worst");
    for change in Change::ALL {
        let hours = settling(change, 0..10_000);
        let at = |share| quantile(&hours, share);
        println!("{:30} {:.2} {:.2} {:.2} {:.2}", change.name(), at(0.5), at(0.9), at(0.95), at(1.0));
    }

    println!("\nshares of blocks by share of space and lie");
    for lie in [Lie::None, Lie::Early, Lie::Late, Lie::Stretch, Lie::Secret] {
        let won = [0.2, 0.25, 0.3, 0.33].map(|share| {
            let shares: Vec<_> = (0..60).map(|seed| blocks_won(lie, share, 100_000, seed)).collect();
            shares.iter().sum::<f64>() / shares.len() as f64
        });
        println!("{lie:?} {won:.4?}");
    }

    println!("\nprivate forks: interval, share: overtakes from 6, from 60, at 360 blocks, ratio at 360");
    let attack = Attack { share: 0.0, beacon_interval: 8, branches: 1000, blocks: 360, seed: 0 };
    for beacon_interval in [8, 1] {
        for share in [0.20, 0.30, 0.35, 0.40] {
            let tally = tally(Attack { share, beacon_interval, ..attack }, 0..50);
            println!("{beacon_interval} {share:.2} {tally:.2?}");
        }
    }
    println!("\nshare at which the ratio is 1: interval, branches");
    for beacon_interval in [8, 1] {
        for branches in [100, 1000] {
            let attack = Attack { beacon_interval, branches, ..attack };
            println!("{beacon_interval} {branches} {:.3}", threshold(attack, 0..10));
        }
        println!("{beacon_interval} without number {:.3}", limit(beacon_interval as u32));
    }
}
