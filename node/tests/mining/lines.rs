//! Every epoch leaves one line, and it says what happened.

use spacetime_node::chain::Hash;
use spacetime_node::miner::MinerInput;
use spacetime_node::miner::io::LinkError;
use spacetime_node::miner::window::{Missed, Outcome};
use spacetime_node::miner::work::{Pause, ResultWork, Work};

use crate::world::{EASY, HOPELESS, World, chain, epoch, group, key, plot, result, start};

/// What a line says at the end of epoch 4, of which everything is known by `prepare`.
fn check(prepare: impl FnOnce(&mut World), expected: (Outcome, Option<Missed>)) {
    let mut world = World::new(vec![plot(1, 1), plot(2, 2)]);
    prepare(&mut world);
    world.run_to(start(6));
    let line = world.line(4);
    assert_eq!((line.result, line.reason), expected, "{line}");
}

fn told(world: &mut World, target: Hash) {
    world.say(group(0, 1));
    world.run_to(start(4));
    world.say(epoch(0, 4, target));
}

#[test]
fn won() {
    check(
        |world| {
            told(world, EASY);
            world.run_to(start(4) + 600);
            world.say(Work::Sign(Box::new(world.template())));
            assert_eq!(world.signed.len(), 1);
            let winner = world.submitted[0].1.miner_key;
            world.run_to(start(5));
            world.say(result(4, Some(winner)));
            let line = world.line(4);
            assert!(line.signed && line.block.is_some() && line.best.is_some() && line.target == Some(EASY));
            assert_eq!((line.plots, line.leaves, line.bytes), (2, 32, 1024));
            assert_eq!((line.sweep_ms, line.prove_ms), (Some(10), Some(5)));
        },
        (Outcome::Won, None),
    );
}

#[test]
fn lost() {
    check(
        |world| {
            told(world, EASY);
            world.run_to(start(5));
            world.say(result(4, Some(key(3))));
        },
        (Outcome::Lost, None),
    );
}

#[test]
fn outdone() {
    check(
        |world| {
            world.answers = vec![Err(LinkError::Refused("three proofs are better".into())); 2];
            told(world, EASY);
            world.run_to(start(5));
            let Work::Result(told) = result(4, Some(key(3))) else { unreachable!() };
            world.say(Work::Result(ResultWork { best: Some(Hash([0; 32])), ..told }));
        },
        (Outcome::Lost, None),
    );
}

#[test]
fn submitted() {
    check(
        |world| {
            told(world, EASY);
            world.run_to(start(5));
            world.say(result(4, None));
            assert!(world.lines.iter().all(|(_, line)| line.epoch.0 != 4), "a block may still come");
        },
        (Outcome::Submitted, None),
    );
}

#[test]
fn no_winner() {
    check(
        |world| {
            told(world, HOPELESS);
            world.run_to(start(5));
            world.say(result(4, None));
            assert!(world.lines.iter().any(|(now, line)| line.epoch.0 == 4 && *now == start(5)));
        },
        (Outcome::NoWinner, None),
    );
}

#[test]
fn late_sweep() {
    check(
        |world| {
            world.sweep_ms = 1500;
            told(world, EASY);
        },
        (Outcome::Missed, Some(Missed::LateSweep)),
    );
}

#[test]
fn a_sweep_that_is_late_for_one_epoch_answers_the_next() {
    let mut world = World::new(vec![plot(1, 1)]);
    world.run_to(start(4));
    world.sweep_ms = 700;
    world.say(group(0, 1));
    for number in 4..6 {
        world.run_to(start(number));
        world.say(epoch(0, number, EASY));
    }
    world.run_to(start(8));
    assert_eq!(world.line(4).reason, Some(Missed::LateSweep));
    assert_eq!(world.line(5).result, Outcome::Submitted);
    assert_eq!(world.sweeps.len(), 1);
}

#[test]
fn part_of_a_sweep() {
    check(
        |world| {
            // It does not fit before the last deadline.
            world.sweep_ms = 100_000;
            told(world, EASY);
            world.run_to(start(9));
            assert_eq!(world.line(7).reason, Some(Missed::NotTold));
        },
        (Outcome::Missed, Some(Missed::LateSweep)),
    );
}

#[test]
fn late_proof() {
    check(
        |world| {
            world.prove_ms = 650;
            told(world, EASY);
        },
        (Outcome::Missed, Some(Missed::LateProof)),
    );
}

#[test]
fn proof_failed() {
    check(
        |world| {
            world.say(group(0, 1));
            world.run_to(start(4));
            for info in world.miner.plots().map(|plot| plot.info.id).collect::<Vec<_>>() {
                world.field.break_plot(info, "disk on fire");
            }
            world.say(epoch(0, 4, EASY));
            world.run_to(start(6));
            assert_eq!(world.line(4).detail.as_deref(), Some("disk on fire"));
        },
        (Outcome::Missed, Some(Missed::ProofFailed)),
    );
}

#[test]
fn refused() {
    check(
        |world| {
            world.answers = vec![Err(LinkError::Refused("no".into())); 2];
            told(world, EASY);
        },
        (Outcome::Missed, Some(Missed::Refused)),
    );
}

#[test]
fn late_answer() {
    check(
        |world| {
            world.answer_ms = 10_000;
            told(world, EASY);
        },
        (Outcome::Missed, Some(Missed::LateAnswer)),
    );
    check(
        |world| {
            world.answers = vec![Err(LinkError::Unreachable("timed out".into())); 1000];
            told(world, EASY);
            world.run_to(start(6));
            assert!(world.submitted.len() < 20, "{} times", world.submitted.len());
        },
        (Outcome::Missed, Some(Missed::LateAnswer)),
    );
}

#[test]
fn signing_refused() {
    check(
        |world| {
            told(world, EASY);
            world.run_to(start(4) + 600);
            let mut asked = world.template();
            asked.header.version = 2;
            world.say(Work::Sign(Box::new(asked)));
        },
        (Outcome::Missed, Some(Missed::SigningRefused)),
    );
}

#[test]
fn not_told() {
    check(|world| world.say(group(0, 1)), (Outcome::Missed, Some(Missed::NotTold)));
}

#[test]
fn not_synced() {
    check(
        |world| {
            world.say(group(0, 1));
            world.say(Work::Pause(Pause::Behind));
        },
        (Outcome::Missed, Some(Missed::NotSynced)),
    );
}

#[test]
fn no_peers() {
    check(
        |world| {
            world.say(group(0, 1));
            world.say(Work::Pause(Pause::NoPeers));
        },
        (Outcome::Missed, Some(Missed::NoPeers)),
    );
}

#[test]
fn a_pause_ends_with_the_next_group() {
    check(
        |world| {
            world.say(Work::Pause(Pause::NoPeers));
            told(world, EASY);
        },
        (Outcome::Submitted, None),
    );
}

#[test]
fn no_link() {
    check(
        |world| {
            told(world, EASY);
            world.run_to(start(5) - 1);
            world.say(result(4, None));
            world.put(MinerInput::Disconnected);
            world.run_to(start(9));
            for number in 5..8 {
                assert_eq!(world.line(number).reason, Some(Missed::NoLink));
            }
            world.say(Work::Chain(chain(world.now)));
        },
        (Outcome::Submitted, None),
    );
}

#[test]
fn the_clocks_are_compared_each_epoch() {
    let mut world = World::new(vec![plot(1, 1)]);
    assert!(!world.miner.clocks_differ());
    let mut hear = |number: u64, late_ms: i64| {
        world.run_to(start(number).checked_add_signed(late_ms).expect("a time"));
        world.say(epoch(0, number, EASY));
        world.miner.clocks_differ()
    };
    // What is late once was on its way.
    assert_eq!([(4, 249), (5, 999), (6, 100), (7, 250), (8, 300)].map(|(at, late_ms)| hear(at, late_ms)), [false; 5]);
    assert!(hear(9, 250), "it has drifted since the miner connected");
    assert!(!hear(10, 0), "and was set");
    // Nothing comes before it was sent.
    assert!(hear(12, -250));
    assert_eq!([(13, 0), (14, 0), (15, 0)].map(|(at, late_ms)| hear(at, late_ms)), [true, true, false]);
}

#[test]
fn no_plots() {
    let mut world = World::new(Vec::new());
    told(&mut world, EASY);
    world.run_to(start(6));
    assert!(world.sweeps.is_empty());
    assert_eq!(world.line(4).reason, Some(Missed::NoPlots));
}

#[test]
fn sweep_failed() {
    let mut world = World::new(vec![plot(1, 1)]);
    world.run_to(start(4));
    world.say(group(0, 1));
    let id = world.sweeps[0].1.id;
    world.put(MinerInput::SweepDone { id, result: Err("no thread".into()) });
    world.sweep_ms = 100_000;
    world.say(epoch(0, 4, EASY));
    world.run_to(start(6));
    assert_eq!(world.line(4).reason, Some(Missed::SweepFailed));
}

#[test]
fn every_epoch_leaves_one_line() {
    let mut world = World::new(vec![plot(1, 1), plot(2, 2)]);
    for number in 4..64 {
        world.run_to(start(number));
        if number % 4 == 0 {
            world.say(group(0, number / 4));
        }
        if number % 3 != 0 {
            world.say(epoch(0, number, if number % 2 == 0 { EASY } else { HOPELESS }));
        }
        if number % 5 != 0 {
            world.run_to(start(number + 1) - 1);
            world.say(result(number, None));
            world.say(result(number, (number % 7 == 0).then(|| key(3))));
        }
    }
    world.run_to(start(66));
    for number in 3..64 {
        world.line(number);
    }
    assert!(world.lines.iter().all(|(now, line)| *now >= start(line.epoch.0) && *now <= start(line.epoch.0 + 2)));
}

#[test]
fn a_leap_of_the_clock_leaves_no_flood() {
    let mut world = World::new(vec![plot(1, 1)]);
    world.now = start(1_000_000);
    world.put(MinerInput::Tick);
    assert!(world.lines.len() < 70, "{}", world.lines.len());
    world.say(group(0, 250_000));
    world.say(epoch(0, 1_000_000, EASY));
    world.run_to(start(1_000_002));
    assert_eq!(world.line(1_000_000).result, Outcome::Submitted);
    // And back, as clocks that are set do.
    world.now = start(10);
    world.put(MinerInput::Tick);
    world.run_to(start(12));
}
