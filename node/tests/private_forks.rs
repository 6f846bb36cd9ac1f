//! Private forks against the beacon's groups. docs/CHAIN_SIMULATIONS.md has the numbers of longer runs.

mod simulation;

use simulation::forks::{Attack, limit, tally};

const ATTACK: Attack = Attack { share: 0.2, beacon_interval: 8, branches: 100, blocks: 360, seed: 0 };

#[test]
fn a_fifth_and_three_tenths_fall_behind() {
    for (share, most) in [(0.20, 0.7), (0.30, 0.9), (0.35, 1.05)] {
        let tally = tally(Attack { share, ..ATTACK }, 0..10);
        println!("{share}: {tally:?}");
        assert!(tally.ratio < most, "{share}: {tally:?}");
        assert!(share > 0.3 || tally.at_end == 0.0, "{share}: {tally:?}");
    }
}

#[test]
fn half_of_the_space_overtakes() {
    let tally = tally(Attack { share: 0.5, blocks: 120, ..ATTACK }, 0..5);
    assert_eq!(tally.at_end, 1.0, "{tally:?}");
}

#[test]
fn groups_are_what_holds_forks_back() {
    let at = |beacon_interval| tally(Attack { share: 0.3, beacon_interval, ..ATTACK }, 0..5).ratio;
    let (groups, blocks) = (at(8), at(1));
    println!("groups {groups}, a draw per block {blocks}");
    assert!(groups < 0.9 && blocks > 1.0, "groups {groups}, a draw per block {blocks}");
}

#[test]
fn the_limits_are_those_of_the_protocol() {
    // PROTOCOL §7: about 26% with a draw per block, about 35% with groups of eight.
    assert!((limit(1) - 0.26).abs() < 0.005, "{}", limit(1));
    assert!((limit(8) - 0.35).abs() < 0.005, "{}", limit(8));
}
