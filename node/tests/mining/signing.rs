//! What is signed, and above all what is not.

use proptest::prelude::*;
use spacetime_kernels::{Score, Target};
use spacetime_node::chain::bls::{self, PublicKey};
use spacetime_node::chain::{Address, Amount, BlockId, Epoch, Hash, Header, Height, MinerSignature, PlotId};
use spacetime_node::miner::io::LinkError;
use spacetime_node::miner::work::{CoinbaseProof, SignWork, Work};

use crate::world::{EASY, EPOCH_MS, World, epoch, group, key, plot, start};

/// A miner that has submitted a proof for epoch 4, whose window has just closed.
fn submitted() -> World {
    let mut world = World::new(vec![plot(1, 1), plot(2, 2)]);
    world.say(group(0, 1));
    world.run_to(start(4));
    world.say(epoch(0, 4, EASY));
    world.run_to(start(4) + 600);
    assert_eq!(world.submitted.len(), 1);
    world
}

fn ask(world: &mut World, asked: SignWork) {
    world.say(Work::Sign(Box::new(asked)));
}

#[test]
fn what_was_submitted_is_signed() {
    let mut world = submitted();
    let asked = world.template();
    ask(&mut world, asked.clone());
    let signed = world.signed[0];
    assert_eq!((signed.epoch, signed.miner_key), (Epoch(4), asked.header.miner_key));
    let key = PublicKey::parse(&signed.miner_key).unwrap();
    bls::verify(&key, &asked.header.signed_bytes(&BlockId([9; 32])), &signed.signature).expect("it holds");
    // The same again gives the same.
    ask(&mut world, asked.clone());
    assert_eq!(world.signed, [signed, signed]);
}

#[test]
fn an_epoch_is_signed_once() {
    let mut world = submitted();
    let asked = world.template();
    ask(&mut world, asked.clone());
    let other = Header { state_root: Hash([7; 32]), ..asked.header.clone() };
    ask(&mut world, SignWork { header: other.clone(), ..asked.clone() });
    let parent = Header { parent: BlockId([7; 32]), ..asked.header.clone() };
    ask(&mut world, SignWork { header: parent, ..asked.clone() });
    assert_eq!(world.signed.len(), 1);
    // Nor after the program was killed: the proof is submitted again, the header is another.
    let now = world.now;
    world.now = start(4) + 10;
    world.restart();
    world.say(group(0, 1));
    world.say(epoch(0, 4, EASY));
    world.run_to(now);
    assert_eq!(world.submitted.len(), 2);
    ask(&mut world, SignWork { header: other, ..asked.clone() });
    assert_eq!(world.signed.len(), 1);
    ask(&mut world, asked);
    assert_eq!(world.signed.len(), 2);
    assert_eq!(world.signed[0], world.signed[1]);
}

#[test]
fn nothing_is_signed_that_was_not_submitted() {
    let mut world = World::new(vec![plot(1, 1), plot(2, 2)]);
    let mut other = submitted();
    let asked = other.template();
    world.run_to(start(4) + 600);
    ask(&mut world, asked.clone());
    assert!(world.signed.is_empty());
    ask(&mut other, asked);
    assert_eq!(other.signed.len(), 1, "the control");
}

/// Every field that the miner knows is compared; the control is that the header as it is would be signed.
#[test]
fn a_header_with_any_other_field_is_refused() {
    type Change = fn(&mut SignWork);
    let changes: [(&str, Change); 15] = [
        ("version", |asked| asked.header.version = 2),
        ("height of genesis", |asked| asked.header.height = Height(0)),
        ("later epoch", |asked| asked.header.epoch = Epoch(5)),
        ("earlier epoch", |asked| asked.header.epoch = Epoch(3)),
        ("timestamp before", |asked| asked.header.timestamp_ms = start(4) - 1),
        ("timestamp after", |asked| asked.header.timestamp_ms = start(5)),
        ("target", |asked| asked.header.target = Target(asked.header.score.0)),
        ("another key", |asked| asked.header.miner_key = key(3)),
        ("the other key", |asked| asked.header.miner_key = key(if asked.header.miner_key == key(1) { 2 } else { 1 })),
        ("plot", |asked| asked.header.plot_id = PlotId([1; 32])),
        ("root", |asked| asked.header.plot_root = Hash([1; 32])),
        ("score", |asked| asked.header.score = Score([0; 32])),
        ("proof", |asked| asked.header.proof_id = Hash([1; 32])),
        ("extension", |asked| asked.header.extension = Hash([1; 32])),
        ("signature", |asked| asked.header.signature = MinerSignature([1; 96])),
    ];
    let mut world = submitted();
    let honest = world.template();
    for (what, change) in changes {
        let mut asked = honest.clone();
        change(&mut asked);
        ask(&mut world, asked);
        assert!(world.signed.is_empty(), "another {what} was signed");
    }
    let mut reveal = honest.clone();
    reveal.header.reveal = MinerSignature([1; 96]);
    ask(&mut world, reveal);
    // The parent that the node named has another height.
    let mut height = honest.clone();
    (height.header.parent, height.header.height) = (BlockId([0; 32]), Height(77));
    ask(&mut world, height);
    assert!(world.signed.is_empty());
    ask(&mut world, honest);
    assert_eq!(world.signed.len(), 1);
}

#[test]
fn a_block_that_pays_another_is_not_signed() {
    let mut world = submitted();
    let (honest, theirs) = (world.template(), world.template_paying(Address([9; 20])));
    ask(&mut world, theirs.clone());
    // Nor is it where the coinbase that is shown is not the block's.
    ask(&mut world, SignWork { coinbase: honest.coinbase.clone(), ..theirs });
    let change = |change: fn(&mut CoinbaseProof)| {
        let mut asked = honest.clone();
        change(&mut asked.coinbase);
        asked
    };
    ask(&mut world, change(|coinbase| coinbase.claimable = Amount(49)));
    ask(&mut world, change(|coinbase| coinbase.transactions = 3));
    ask(&mut world, change(|coinbase| coinbase.transactions = 0));
    ask(&mut world, change(|coinbase| coinbase.path.push(Hash::ZERO)));
    ask(&mut world, change(|coinbase| coinbase.path[0] = Hash::ZERO));
    assert!(world.signed.is_empty());
    let mut refused = submitted();
    let asked = refused.template_paying(Address([9; 20]));
    ask(&mut refused, asked);
    refused.run_to(start(6));
    let why = refused.line(4).detail.clone().expect("a reason");
    assert!(why.contains(&format!("pays 50 to {}, the payout", "09".repeat(20))), "{why}");
    ask(&mut world, honest);
    assert_eq!(world.signed.len(), 1, "the control");
}

#[test]
fn an_expired_request_is_refused() {
    let mut world = submitted();
    let asked = world.template();
    let now = world.now;
    ask(&mut world, SignWork { expires_ms: now, ..asked.clone() });
    assert!(world.signed.is_empty());
    ask(&mut world, SignWork { expires_ms: now + 1, ..asked });
    assert_eq!(world.signed.len(), 1);
}

#[test]
fn a_signature_without_an_answer_is_handed_over_again() {
    let mut world = submitted();
    let asked = world.template();
    let silence = || Err(LinkError::Unreachable("503".into()));
    world.sign_answers = vec![silence(), silence()];
    ask(&mut world, asked.clone());
    world.run_to(world.now + 399);
    assert_eq!(world.signed.len(), 3, "until it is taken");
    assert!(world.signed.iter().all(|signed| *signed == world.signed[0]));
    // Not where the node has said no, nor when it is too late.
    let mut refused = submitted();
    refused.sign_answers = vec![Err(LinkError::Refused("another".into()))];
    ask(&mut refused, asked.clone());
    refused.run_to(refused.now + 399);
    assert_eq!(refused.signed.len(), 1);
    let mut late = submitted();
    late.sign_answers = vec![silence(); 100];
    let expires_ms = late.now + 200;
    ask(&mut late, SignWork { expires_ms, ..asked });
    late.run_to(late.now + 399);
    assert_eq!(late.signed.len(), 2);
}

#[test]
fn a_header_is_signed_before_the_answer_to_its_proof_is_there() {
    let mut world = World::new(vec![plot(1, 1)]);
    world.answer_ms = 550;
    world.say(group(0, 1));
    world.run_to(start(4));
    world.say(epoch(0, 4, EASY));
    world.run_to(start(4) + 500);
    let asked = world.template();
    ask(&mut world, asked);
    assert_eq!(world.signed.len(), 1);
}

#[test]
fn a_long_gone_epoch_is_not_signed() {
    let mut world = submitted();
    let asked = world.template();
    world.run_to(start(60));
    ask(&mut world, SignWork { expires_ms: start(100), ..asked });
    assert!(world.signed.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is asked, in whatever order and across restarts: an epoch and key has one signature at most.
    #[test]
    fn never_two_signatures(steps in prop::collection::vec((0_u8..8, 0_u8..4), 1..60)) {
        let mut world = World::new(vec![plot(1, 1), plot(2, 2), plot(1, 3)]);
        let mut number = 4;
        for (step, choice) in steps {
            match step {
                0 => {
                    number += 1;
                    world.run_to(start(number));
                }
                1 => world.say(group(choice, number / 4)),
                2 => world.say(epoch(choice, number, EASY)),
                3 => world.restart(),
                4 => world.run_to((world.now + 100).min(start(number) + EPOCH_MS - 1)),
                _ if world.submitted.is_empty() => {}
                _ => {
                    let mut asked = world.template();
                    asked.header.parent = BlockId([choice; 32]);
                    asked.header.state_root = Hash([choice; 32]);
                    asked.expires_ms = u64::MAX;
                    world.say(Work::Sign(Box::new(asked)));
                }
            }
        }
        let mut signed: Vec<_> = world.signed.iter().map(|signed| (signed.epoch, signed.miner_key, signed.signature)).collect();
        signed.sort_unstable();
        signed.dedup();
        let before = signed.len();
        signed.dedup_by_key(|(epoch, key, _)| (*epoch, *key));
        prop_assert_eq!(before, signed.len());
    }
}
