//! Which column is swept when, and what is submitted.

use spacetime_kernels::Challenge;
use spacetime_node::chain::bls::{self, PublicKey};
use spacetime_node::chain::{BlockId, Epoch, Hash};
use spacetime_node::consensus::reveal_message;
use spacetime_node::miner::MinerInput;
use spacetime_node::miner::farm::Field;
use spacetime_node::miner::io::{LinkError, SweepId};
use spacetime_node::miner::window::{Missed, Outcome};
use spacetime_node::miner::work::{GroupWork, Work};

use spacetime_prover::farm::Cancel;

use crate::world::{
    EASY, EPOCH_MS, HOPELESS, WINDOW_MS, World, chain, challenge, column, epoch, group, key, plot, start,
};

fn farm() -> Vec<spacetime_node::testing::MemoryPlot> {
    vec![plot(1, 1), plot(1, 2), plot(2, 3)]
}

#[test]
fn one_sweep_answers_a_whole_group() {
    let mut world = World::new(farm());
    world.say(group(0, 1));
    assert_eq!(world.sweeps.len(), 1, "as soon as the column is known");
    let order = &world.sweeps[0].1;
    assert_eq!(order.column, column(0, 1));
    assert_eq!(order.challenges, [4, 5, 6, 7].map(|number| challenge(0, number)));
    for number in 4..8 {
        world.run_to(start(number));
        world.say(epoch(0, number, EASY));
        world.run_to(start(number) + 100);
    }
    assert_eq!(world.sweeps.len(), 1);
    let epochs: Vec<_> = world.submitted.iter().map(|(_, proof)| proof.epoch.0).collect();
    assert_eq!(epochs, [4, 5, 6, 7]);
    for (now, proof) in &world.submitted {
        assert_eq!(*now, start(proof.epoch.0) + 5, "nothing but the proof is left to do");
        assert_eq!(proof.proof.challenge, challenge(0, proof.epoch.0).0);
        let plot = world.field.look_for(proof.proof.root);
        assert_eq!((plot.id, plot.miner_key), (world.best_plot(0, proof.epoch.0), proof.miner_key));
        let message = reveal_message(&BlockId([9; 32]), &Challenge(proof.proof.challenge));
        bls::verify(&PublicKey::parse(&proof.miner_key).unwrap(), &message, &proof.reveal).expect("it reveals");
    }
}

#[test]
fn the_next_group_is_swept_after_the_current_one() {
    let mut world = World::new(farm());
    world.sweep_ms = 300;
    world.say(group(0, 2));
    world.run_to(world.now + 10);
    // What is due first goes first, though another sweep has begun.
    world.say(group(0, 1));
    assert_eq!(world.cancelled.len(), 1);
    world.run_to(start(4));
    let columns: Vec<_> = world.sweeps.iter().map(|(_, order)| order.column).collect();
    assert_eq!(columns, [column(0, 2), column(0, 1), column(0, 2)]);
    world.say(epoch(0, 4, EASY));
    world.run_to(start(4) + 500);
    assert_eq!(world.submitted.len(), 1);
    assert_eq!(world.sweeps.len(), 3);
}

#[test]
fn a_current_sweep_is_not_called_off_for_a_later_one() {
    let mut world = World::new(farm());
    world.sweep_ms = 300;
    world.say(group(0, 1));
    world.say(group(0, 2));
    world.run_to(start(4));
    assert!(world.cancelled.is_empty());
    assert_eq!(world.sweeps.len(), 2);
}

#[test]
fn a_slow_disk_holds_back_no_answer_of_the_others() {
    let mut world = World::new(farm());
    let slow = world.best_plot(0, 4);
    world.slow.push(slow);
    // It ends in the second window.
    world.sweep_ms = EPOCH_MS + 100;
    world.run_to(start(4));
    world.say(group(0, 1));
    for number in 4..8 {
        world.run_to(start(number));
        world.say(epoch(0, number, EASY));
    }
    world.run_to(start(9));
    assert_eq!(world.sweeps.len(), 1);
    let submitted: Vec<_> = world.submitted.iter().map(|(now, proof)| (*now, proof.epoch.0)).collect();
    let due_ms = start(4) + WINDOW_MS - WINDOW_MS / 8;
    assert_eq!(submitted, [(due_ms + 5, 4), (start(5) + 105, 5), (start(6) + 5, 6), (start(7) + 5, 7)]);
    // At the first end of a window the best of the others counts, later the best of all.
    let plots: Vec<_> = world.submitted.iter().map(|(_, of)| world.field.look_for(of.proof.root).id).collect();
    assert_ne!(plots[0], slow);
    assert_eq!(plots[1..], [5, 6, 7].map(|number| world.best_plot(0, number)));
    assert_eq!(world.line(4).result, Outcome::Submitted);
}

#[test]
fn what_was_found_so_far_may_not_be_enough() {
    let mut world = World::new(farm());
    world.slow = world.field.look().plots.iter().map(|plot| plot.id).collect();
    world.sweep_ms = EPOCH_MS + 100;
    world.run_to(start(4));
    world.say(group(0, 1));
    world.say(epoch(0, 4, EASY));
    world.run_to(start(5));
    world.say(epoch(0, 5, EASY));
    world.run_to(start(6));
    assert_eq!(world.submitted.iter().map(|(_, proof)| proof.epoch.0).collect::<Vec<_>>(), [5]);
    assert_eq!((world.line(4).result, world.line(4).reason), (Outcome::Missed, Some(Missed::LateSweep)));
}

#[test]
fn what_is_due_of_another_sweep_answers_nothing() {
    let report = |world: &World, rankings: usize| {
        let mut report = world.field.sweep(&world.sweeps[0].1, &Cancel::new(), &mut |_, _| {}).expect("memory");
        report.rankings.truncate(rankings);
        report
    };
    for (rankings, other, submitted) in [(4, 0, 1), (3, 0, 0), (4, 1, 0)] {
        let mut world = World::new(farm());
        world.sweep_ms = 4 * EPOCH_MS;
        world.run_to(start(4));
        world.say(group(0, 1));
        world.say(epoch(0, 4, EASY));
        let (id, report) = (SweepId(world.sweeps[0].1.id.0 + other), report(&world, rankings));
        world.put(MinerInput::SweepDue { id, due_ms: world.sweeps[0].1.due_ms[0], report });
        world.run_to(start(4) + WINDOW_MS);
        assert_eq!(world.submitted.len(), submitted, "{rankings} rankings, sweep {id:?}");
    }
}

#[test]
fn a_reorganisation_in_the_middle_of_an_epoch_is_followed() {
    let mut world = World::new(farm());
    world.say(group(0, 1));
    world.run_to(start(4));
    world.say(epoch(0, 4, EASY));
    world.run_to(start(4) + 100);
    assert_eq!(world.submitted.len(), 1);
    // Another branch: column and challenges are others.
    world.say(group(1, 1));
    world.say(epoch(1, 4, EASY));
    world.run_to(start(4) + 200);
    assert_eq!(world.sweeps.len(), 2, "what was found is of no use");
    let challenges: Vec<_> = world.submitted.iter().map(|(_, proof)| Hash(proof.proof.challenge)).collect();
    assert_eq!(challenges, [challenge(0, 4), challenge(1, 4)]);
    // And back: nothing is swept, proved or submitted again.
    world.say(group(0, 1));
    world.say(epoch(0, 4, EASY));
    world.run_to(start(4) + 300);
    assert_eq!((world.submitted.len(), world.proofs), (2, 2));
    world.run_to(start(5));
    world.say(epoch(0, 5, EASY));
    world.run_to(start(5) + 100);
    assert_eq!(world.submitted.len(), 3);
    assert!(world.sweeps.len() <= 3);
}

#[test]
fn a_sweep_of_what_is_not_asked_any_more_is_called_off() {
    let mut world = World::new(farm());
    world.sweep_ms = 300;
    world.say(group(0, 1));
    world.say(group(1, 1));
    assert_eq!(world.cancelled.len(), 1);
    world.run_to(start(4));
    world.say(epoch(1, 4, EASY));
    world.run_to(start(4) + 100);
    assert_eq!(world.submitted.len(), 1);
    assert_eq!(world.sweeps.len(), 2);
}

#[test]
fn a_proof_of_a_challenge_that_has_changed_is_not_submitted() {
    let mut world = World::new(farm());
    world.prove_ms = 50;
    world.say(group(0, 1));
    world.run_to(start(4));
    world.say(epoch(0, 4, EASY));
    world.run_to(start(4) + 10);
    world.say(group(1, 1));
    world.say(epoch(1, 4, HOPELESS));
    world.run_to(start(4) + 500);
    assert_eq!(world.proofs, 1);
    // The target in force would not be met, and nothing says that it is for another challenge.
    assert!(world.submitted.is_empty());
}

#[test]
fn the_target_decides() {
    let mut world = World::new(farm());
    world.say(group(0, 1));
    world.run_to(start(4));
    world.say(epoch(0, 4, HOPELESS));
    world.run_to(start(4) + 100);
    assert_eq!(world.proofs, 0);
    // A tip with a higher target.
    world.say(epoch(0, 4, EASY));
    world.run_to(start(4) + 200);
    assert_eq!((world.proofs, world.submitted.len()), (1, 1));
}

#[test]
fn a_damaged_plot_costs_itself_alone() {
    let mut world = World::new(farm());
    world.say(group(0, 1));
    world.run_to(start(4));
    // It was swept, and then the disk died.
    let best = world.best_plot(0, 4);
    world.field.break_plot(best, "disk on fire");
    world.say(epoch(0, 4, EASY));
    world.run_to(start(4) + 100);
    assert_eq!((world.proofs, world.submitted.len()), (2, 1));
    assert_ne!(world.field.look_for(world.submitted[0].1.proof.root).id, best);
    world.run_to(start(6));
    assert!(world.line(4).troubles.iter().any(|trouble| trouble.contains("disk on fire")), "{:?}", world.line(4));
}

#[test]
fn a_refused_plot_is_followed_by_the_next() {
    let mut world = World::new(farm());
    world.say(group(0, 1));
    world.run_to(start(4));
    world.answers = vec![Err(LinkError::Refused("it is not mature yet".into()))];
    world.say(epoch(0, 4, EASY));
    world.run_to(start(4) + 100);
    let plots: Vec<_> = world.submitted.iter().map(|(_, proof)| proof.proof.root).collect();
    assert_eq!(plots.len(), 2);
    assert_ne!(plots[0], plots[1]);
}

#[test]
fn a_proof_without_an_answer_is_handed_over_again() {
    let mut world = World::new(farm());
    world.say(group(0, 1));
    world.run_to(start(4));
    world.answers = vec![Err(LinkError::Unreachable("timed out".into())); 2];
    world.say(epoch(0, 4, EASY));
    world.run_to(start(5));
    assert_eq!(world.submitted.len(), 3);
    assert!(world.submitted.iter().all(|(_, proof)| *proof == world.submitted[0].1));
    assert_eq!(world.proofs, 1);
}

#[test]
fn a_node_that_was_started_anew_is_told_again() {
    let mut world = World::new(farm());
    world.say(group(0, 1));
    world.run_to(start(4));
    world.say(epoch(0, 4, EASY));
    world.run_to(start(4) + 100);
    world.put(MinerInput::Disconnected);
    world.say(Work::Chain(chain(world.now)));
    world.say(group(0, 1));
    world.say(epoch(0, 4, EASY));
    world.run_to(start(4) + 200);
    assert_eq!(world.submitted.len(), 2);
    assert_eq!(world.submitted[0].1, world.submitted[1].1);
    assert_eq!((world.proofs, world.sweeps.len()), (1, 1), "what was found is still good");
}

#[test]
fn plots_of_others_are_not_used() {
    let strange = plot(3, 9);
    let id = strange.id();
    let mut world = World::new(vec![strange, plot(1, 1)]);
    assert_eq!(world.miner.plots().count(), 1);
    world.say(group(0, 1));
    for number in 4..8 {
        world.run_to(start(number));
        world.say(epoch(0, number, EASY));
    }
    world.run_to(start(8));
    assert_eq!(world.submitted.len(), 4);
    assert!(world.submitted.iter().all(|(_, proof)| world.field.look_for(proof.proof.root).id != id));
}

#[test]
fn another_chain_is_not_mined() {
    let mut world = World::new(farm());
    let mut other = chain(world.now);
    other.genesis = BlockId([8; 32]);
    world.say(Work::Chain(other));
    assert!(world.other_chain);
}

#[test]
fn two_keys_hand_in_one_proof() {
    let mut world = World::new(farm());
    for number in 4..40 {
        if number % 4 == 0 {
            world.say(group(0, number / 4));
        }
        world.run_to(start(number));
        world.say(epoch(0, number, EASY));
        world.run_to(start(number) + 100);
    }
    let of = |miner| world.submitted.iter().filter(|(_, proof)| proof.miner_key == key(miner)).count();
    assert_eq!(world.submitted.len(), 36);
    assert!(of(1) > 0 && of(2) > 0, "{} and {}", of(1), of(2));
}

#[test]
fn plotting_pauses_while_there_is_work() {
    let mut world = World::new(farm());
    let now = world.now;
    world.say(group(0, 1));
    world.run_to(start(4));
    assert_eq!(world.pauses, [(now, true), (now + 10, false)]);
    world.say(epoch(0, 4, EASY));
    world.run_to(start(4) + 100);
    assert_eq!(world.pauses[2..], [(start(4), true), (start(4) + 5, false)]);
}

#[test]
fn a_group_out_of_bounds_is_left_out() {
    let mut world = World::new(farm());
    let Work::Group(mut work) = group(0, 1) else { unreachable!() };
    let more = work.challenges[0];
    work.challenges.resize(9, more);
    world.say(Work::Group(work));
    assert!(world.sweeps.is_empty());
    world.say(Work::Group(GroupWork { group: u64::MAX, column: 0, challenges: Vec::new(), target: EASY }));
    world.run_to(start(6));
    assert_eq!(world.line(4).epoch, Epoch(4));
}
