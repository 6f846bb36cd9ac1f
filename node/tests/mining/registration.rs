//! Plots come to life by themselves.

use spacetime_node::chain::bls::{self, PublicKey};
use spacetime_node::chain::rules::{check_form, least_fee};
use spacetime_node::chain::{Amount, BlockId, Hash, Height, Payload, PlotId, Transaction, ed25519};
use spacetime_node::consensus::{Fees, Parameters};
use spacetime_node::miner::io::LinkError;
use spacetime_node::miner::work::{PlotState, Work};
use spacetime_node::miner::{MinerInput, Registration};
use spacetime_node::state::PlotRecord;
use spacetime_node::state::openings::check_paths;

use crate::world::{EASY, World, chain, epoch, group, parameters, plot, start};

const GENESIS: BlockId = BlockId([9; 32]);

fn world(plots: u8, registration: Registration) -> World {
    let mut world = World::registering((1..=plots).map(|seed| plot(1, seed)).collect(), registration);
    world.say(group(0, 1));
    world.run_to(start(4));
    world.say(epoch(0, 4, EASY));
    world
}

/// Lets epochs pass, in each of which there is a block.
fn pass(world: &mut World, epochs: std::ops::Range<u64>) {
    for number in epochs {
        world.run_to(start(number));
        world.say(epoch(0, number, EASY));
    }
}

/// Whether the miner signed a transaction as its chain has it.
fn check_signed(transaction: &Transaction, parameters: &Parameters) {
    check_form(transaction, parameters).expect("the form");
    let miner = PublicKey::parse(transaction.payload.signing_miner().expect("a miner signs")).expect("a key");
    let message = transaction.signed_bytes(&GENESIS);
    bls::verify(&miner, &message, &transaction.signatures.miner.expect("it signed")).expect("the miner's signature");
    if let Some(sender) = &transaction.sender {
        ed25519::verify(sender, &message, &transaction.signatures.account.expect("it signed")).expect("the account's");
    }
    if let Payload::RegisterPlot(register) = &transaction.payload {
        bls::verify_possession(&GENESIS, &miner, &register.possession).expect("possession");
    }
}

#[test]
fn a_plot_is_registered_and_activated_and_then_left_alone() {
    let mut world = world(1, Registration::Unpaid);
    pass(&mut world, 5..8);
    assert_eq!(world.sent.len(), 1);
    let info = world.miner.plots().next().unwrap().info;
    let (_, key, registration) = world.sent[0].clone();
    assert_eq!(key, info.key);
    check_signed(&registration, &parameters());
    let Payload::RegisterPlot(register) = &registration.payload else { panic!("{registration:?}") };
    assert_eq!((register.seed, register.rows, register.root), (info.seed, info.rows, info.root));
    // A block has it; what openings are drawn from is known later.
    world.states.insert(key, PlotState::Pending { registered: Height(6), mix: None, until: Height(60) });
    pass(&mut world, 8..12);
    assert_eq!(world.sent.len(), 1);
    let mix = Hash([5; 32]);
    world.states.insert(key, PlotState::Pending { registered: Height(6), mix: Some(mix), until: Height(60) });
    pass(&mut world, 12..16);
    assert_eq!(world.sent.len(), 2, "once");
    let (_, _, activation) = world.sent[1].clone();
    check_signed(&activation, &parameters());
    let Payload::ActivatePlot(activate) = &activation.payload else { panic!("{activation:?}") };
    let record = PlotRecord {
        miner_key: info.miner_key,
        plot_id: info.id,
        rows: info.rows,
        root: info.root,
        registered: Height(6),
        draw: 0,
        mature_from: None,
        last: Height(6),
        retired: false,
    };
    let claims = check_paths(&info.key, &record, &mix, &activate.openings, &parameters()).expect("the paths hold");
    assert_eq!(claims.len(), parameters().openings as usize);
    // The control: another mix draws other cells.
    assert!(check_paths(&info.key, &record, &Hash([6; 32]), &activate.openings, &parameters()).is_err());
    world.states.insert(key, PlotState::Active { mature_from: Height(30), until: None, mix: Some(Hash([7; 32])) });
    pass(&mut world, 16..300);
    assert_eq!(world.sent.len(), 2);
}

#[test]
fn a_plot_that_may_not_win_yet_is_not_proved_from() {
    let mut world = world(1, Registration::Unpaid);
    let key = world.miner.plots().next().unwrap().info.key;
    world.states.insert(key, PlotState::Active { mature_from: Height(12), until: Some(Height(14)), mix: None });
    world.miner_forgets();
    for number in 5..20 {
        if number % 4 == 0 {
            world.say(group(0, number / 4));
        }
        world.run_to(start(number));
        world.say(epoch(0, number, EASY));
        world.run_to(start(number) + 300);
    }
    world.run_to(start(22));
    // The block of epoch `n` has height `n + 1` here.
    let epochs: Vec<_> = world.submitted.iter().map(|(_, proof)| proof.epoch.0).filter(|epoch| *epoch > 4).collect();
    assert_eq!(epochs, [11, 12, 13]);
    assert_eq!(world.line(10).reason.map(|reason| reason.name()), Some("not_mature"));
}

#[test]
fn nothing_is_sent_where_nothing_is_asked_for() {
    let mut world = world(2, Registration::Off);
    world.others = PlotState::Absent;
    pass(&mut world, 5..80);
    assert!(world.sent.is_empty() && world.opened.is_empty());
    assert!(world.queried > 0);
}

#[test]
fn few_are_on_their_way_at_once_and_all_get_their_turn() {
    let mut world = world(9, Registration::Unpaid);
    pass(&mut world, 5..12);
    assert_eq!(world.sent.len(), 4);
    // They never get into a block: others are tried, too, and the first again, more and more rarely.
    pass(&mut world, 12..400);
    let of = |key: &Hash| world.sent.iter().filter(|(_, of, _)| of == key).count();
    for plot in world.miner.plots() {
        assert!((1..10).contains(&of(&plot.info.key)), "{} times", of(&plot.info.key));
    }
}

#[test]
fn a_refusal_is_followed_by_patience() {
    let mut world = world(1, Registration::Unpaid);
    world.refuse_sends = Some(LinkError::Refused("there are 64 registrations already".into()));
    pass(&mut world, 5..200);
    let times: Vec<_> = world.sent.iter().map(|(now, _, _)| *now).collect();
    assert!((4..9).contains(&times.len()), "{times:?}");
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[1..].windows(2).all(|pair| pair[1] > pair[0]), "{gaps:?}");
    let error = world.miner.plots().next().unwrap().error;
    assert!(error.as_ref().is_some_and(|error| error.contains("64 registrations")), "{error:?}");
}

#[test]
fn a_damaged_plot_is_not_activated_and_costs_nobody_else() {
    let mut world = world(2, Registration::Unpaid);
    let infos: Vec<_> = world.miner.plots().map(|plot| plot.info).collect();
    for info in &infos {
        let state = PlotState::Pending { registered: Height(6), mix: Some(Hash([5; 32])), until: Height(600) };
        world.states.insert(info.key, state);
    }
    world.field.break_plot(infos[0].id, "disk on fire");
    pass(&mut world, 5..100);
    assert!(
        world.sent.iter().all(|(_, key, tx)| *key == infos[1].key || matches!(tx.payload, Payload::RegisterPlot(_)))
    );
    assert!(world.sent.iter().any(|(_, _, tx)| matches!(tx.payload, Payload::ActivatePlot(_))));
    let reads = world.opened.iter().filter(|order| order.plot == infos[0].id).count();
    assert_eq!(reads, 1, "it is not read again and again");
}

#[test]
fn a_plot_is_activated_anew_before_its_lifetime_ends() {
    let mut world = World::registering(vec![plot(1, 1)], Registration::Unpaid);
    world.lifetime = Some(160);
    world.reconnect();
    let key = world.miner.plots().next().unwrap().info.key;
    let until = |until, mix| PlotState::Active {
        mature_from: Height(1),
        until: Some(Height(until)),
        mix: Some(Hash([mix; 32])),
    };
    world.states.insert(key, until(160, 3));
    pass(&mut world, 4..138);
    assert!(world.sent.is_empty());
    pass(&mut world, 138..146);
    assert_eq!(world.sent.len(), 1, "an eighth of the lifetime is left");
    assert!(matches!(world.sent[0].2.payload, Payload::ActivatePlot(_)));
    world.states.insert(key, until(305, 4));
    pass(&mut world, 146..280);
    assert_eq!(world.sent.len(), 1);
    pass(&mut world, 280..292);
    assert_eq!(world.sent.len(), 2);
}

#[test]
fn an_account_pays_the_least_fee_one_after_the_other() {
    let payer = ed25519::SecretKey::from_bytes(&[3; 32]);
    let (address, key) = (payer.account_key().address(), payer.account_key());
    let mut world =
        World::registering((1..=3).map(|seed| plot(1, seed)).collect(), Registration::Paid(Box::new(payer)));
    world.fees = Fees { base: Amount(1000), per_byte: Amount(10) };
    world.reconnect();
    world.nonce = 7;
    pass(&mut world, 4..10);
    assert_eq!(world.sent.len(), 3);
    let parameters = Parameters { fees: world.fees, ..parameters() };
    for ((_, _, transaction), nonce) in world.sent.iter().zip(7..) {
        check_signed(transaction, &parameters);
        assert_eq!((transaction.sender, transaction.nonce), (Some(key), nonce));
        assert_eq!(transaction.fee, least_fee(transaction.encoded_len(), &parameters));
    }
    assert!(world.nonces_asked.iter().all(|asked| *asked == address));
}

#[test]
fn what_was_on_its_way_when_the_node_went_is_tried_again() {
    let mut world = world(1, Registration::Unpaid);
    world.mute_sends = true;
    pass(&mut world, 5..8);
    assert_eq!(world.sent.len(), 1);
    world.mute_sends = false;
    world.put(MinerInput::Disconnected);
    pass(&mut world, 8..10);
    world.say(Work::Chain(chain(world.now)));
    pass(&mut world, 10..14);
    assert_eq!(world.sent.len(), 2);
}

#[test]
fn a_plot_that_is_gone_is_forgotten() {
    let mut world = world(2, Registration::Unpaid);
    world.put(MinerInput::Farm(spacetime_node::miner::farm::FarmView::default()));
    let before = world.sent.len();
    pass(&mut world, 5..60);
    assert_eq!(world.sent.len(), before);
    assert_eq!(world.miner.plots().count(), 0);
    // Answers about it come to nothing.
    let order = spacetime_node::miner::io::OpeningsOrder { plot: PlotId([1; 32]), mix: Hash::ZERO, count: 4 };
    world.put(MinerInput::OpeningsMade { order, result: Ok(Vec::new()) });
    world.put(MinerInput::PlotState { plot_key: Hash::ZERO, result: Ok(PlotState::Absent) });
    world.put(MinerInput::SendResult { plot_key: Hash::ZERO, result: Ok(()) });
}
