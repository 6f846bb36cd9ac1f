//! Changing branches, and going back.

use std::sync::Arc;

use spacetime_node::chain::rules::{BlockError, HeaderError};
use spacetime_node::chain::{Height, Payload};
use spacetime_node::consensus::Engine;
use spacetime_node::manager::{ChainManager, Event, ManagerError, Options, Refusal, RewindError, Verdict};
use spacetime_node::store::MemoryDatabase;
use spacetime_node::testing::{Fabric, Order, Random};

use crate::common::{LATER_MS, blocks, clock_at, decided, dump, fresh, open, state_root, submit, verdict};

#[test]
fn rollback_then_replay_is_the_identity() {
    let mut fabric = Fabric::default();
    let mut random = Random::new(5);
    let mut tip = fabric.genesis_id();
    let mut ids = Vec::new();
    for _ in 0..60 {
        tip = fabric.random_block(&tip, &mut random);
        ids.push(tip);
    }
    let (mut manager, database) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &ids), LATER_MS);
    let before = dump(&database);
    for back in [1, 2, 7, 15] {
        manager.rewind(Height(60 - back)).expect("the state is kept");
        assert_eq!(manager.tip().id, ids[59 - back as usize]);
        assert_eq!(state_root(&manager), fabric.block(&ids[59 - back as usize]).header.state_root);
        let reopened = Arc::new(database.reopened());
        assert_eq!(open(&fabric, &reopened).tip(), manager.tip());
        assert_ne!(dump(&database), before);
        submit(&mut manager, blocks(&fabric, &ids), LATER_MS);
        // Pruning does not come back, and had nothing left to do.
        assert_eq!(dump(&database), before, "{back} blocks back and again");
    }
    let oldest = manager.store().oldest_state().expect("memory can be read");
    assert_eq!(oldest, Height(60 - 16));
    assert!(matches!(manager.rewind(Height(43)), Err(RewindError::Pruned { .. })));
    assert!(matches!(manager.rewind(Height(61)), Err(RewindError::Above { .. })));
    assert_eq!(dump(&database), before, "refusals change nothing");
}

#[test]
fn a_heavier_branch_takes_over_and_gives_transactions_back() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 10, 1);
    let one = fabric.chain(&trunk[9], 3, 2);
    let two = fabric.chain(&trunk[9], 4, 0);
    let (mut manager, database) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, trunk.iter().chain(&one)), LATER_MS);
    assert_eq!(manager.tip().id, one[2]);

    let outcome = submit(&mut manager, blocks(&fabric, &two), LATER_MS);
    let reorganised = outcome.events.iter().find_map(|event| match event {
        Event::Reorganised { fork, abandoned, adopted, returned } => Some((fork, abandoned, adopted, returned)),
        _ => None,
    });
    let (fork, abandoned, adopted, returned) = reorganised.expect("the longer branch weighs more");
    assert_eq!((*fork, abandoned), (Height(10), &one));
    assert_eq!(adopted, &two[..adopted.len()]);
    assert_eq!(returned.len(), 6, "all transfers of the abandoned blocks");
    assert!(returned.iter().all(|transaction| matches!(transaction.payload, Payload::Transfer(_))));
    assert_eq!(manager.tip().id, two[3]);
    assert_eq!(manager.branch_tips().len(), 1);

    let (mut straight, other) = fresh(&fabric);
    submit(&mut straight, blocks(&fabric, trunk.iter().chain(&two)), LATER_MS);
    assert_eq!(decided(&database), decided(&other), "nothing of the abandoned branch is left");
    let place = manager.store().transaction_place(&returned[0].id()).expect("memory can be read");
    assert_eq!(place, None);

    // And back again, after a restart.
    let back = fabric.chain(&one[2], 3, 1);
    let reopened = Arc::new(database.reopened());
    let mut manager = open(&fabric, &reopened);
    submit(&mut manager, blocks(&fabric, &back), LATER_MS);
    assert_eq!(manager.tip().id, back[2]);
    let all = || trunk.iter().chain(&one).chain(&back);
    let (mut straight, other) = fresh(&fabric);
    submit(&mut straight, blocks(&fabric, all()), LATER_MS);
    assert_eq!(decided(&reopened), decided(&other));
    for (height, id) in (1..).zip(all()) {
        assert_eq!(manager.store().id_at(Height(height)).expect("memory can be read"), Some(*id));
        let time = fabric.block(id).header.timestamp_ms;
        assert_eq!(manager.store().height_at_time(time).expect("memory can be read"), Some(Height(height)));
    }
}

#[test]
fn of_siblings_in_one_epoch_the_lower_score_wins_whenever_it_comes() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 5, 0);
    let mut rivals = Vec::new();
    for miner in 0..fabric.miners.len() {
        rivals.push(fabric.make(&trunk[4], Order { miner: Some(miner), ..Order::default() }));
    }
    let first = fabric.made(&rivals[0]).lineage.epoch;
    let mut rivals: Vec<_> = rivals.into_iter().filter(|id| fabric.made(id).lineage.epoch == first).collect();
    assert!(rivals.len() > 1, "two miners win one epoch at this target");
    rivals.sort_by_key(|id| fabric.made(id).lineage.score);
    for order in [rivals.clone(), rivals.iter().rev().copied().collect()] {
        let (mut manager, _) = fresh(&fabric);
        submit(&mut manager, blocks(&fabric, &trunk), LATER_MS);
        for id in &order {
            submit(&mut manager, blocks(&fabric, [id]), LATER_MS);
        }
        assert_eq!(manager.tip().id, rivals[0]);
    }
}

#[test]
fn other_ties_keep_the_chain_held() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 5, 0);
    let one = fabric.extend(&trunk[4], Vec::new());
    let two = fabric.make(&trunk[4], Order { skip_epochs: 4, ..Order::default() });
    let (a, b) = (fabric.made(&one).lineage.clone(), fabric.made(&two).lineage.clone());
    assert_eq!(a.weight, b.weight);
    assert_ne!(a.epoch, b.epoch);
    assert!(!fabric.engine.prefer(&a, &b) && !fabric.engine.prefer(&b, &a));
    for order in [[one, two], [two, one]] {
        let (mut manager, _) = fresh(&fabric);
        submit(&mut manager, blocks(&fabric, trunk.iter().chain(&order)), LATER_MS);
        assert_eq!(manager.tip().id, order[0]);
    }
}

#[test]
fn a_fork_below_the_limit_raises_an_alarm_and_is_not_followed() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 30, 0);
    let limit = fabric.parameters().reorg_limit as usize;
    // Forks from the block at height 30 - limit - 1, one deeper than the limit, and would be heavier.
    let deep = fabric.chain(&trunk[30 - limit - 2], limit as u64 + 3, 0);
    let within = fabric.chain(&trunk[30 - limit - 1], limit as u64 + 1, 0);
    let latest = [&deep, &within].iter().map(|ids| clock_at(&fabric, ids.last().unwrap())).max().unwrap();
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &trunk), clock_at(&fabric, &trunk[29]));
    let outcome = submit(&mut manager, blocks(&fabric, &deep), latest);
    assert!(!manager.is_syncing());
    assert_eq!(manager.tip().id, trunk[29]);
    assert_eq!(outcome.events.len(), 1);
    let fork = Height(30 - limit as u64 - 1);
    assert!(matches!(&outcome.events[0], Event::Alarm(alarm) if alarm.fork == fork));
    assert_eq!(manager.alarms().len(), 1);
    let refused = outcome.verdicts.iter().any(|(id, verdict)| {
        let too_deep = BlockError::Header(HeaderError::TooDeep { fork, depth: limit as u64 + 1, limit: limit as u64 });
        *id == deep[0] && *verdict == Verdict::Refused(Refusal::Rule(too_deep))
    });
    assert!(refused, "{:?}", outcome.verdicts);

    submit(&mut manager, blocks(&fabric, &within), latest);
    assert_eq!(manager.tip().id, *within.last().unwrap(), "a fork as deep as the limit is followed");
}

#[test]
fn headers_that_nobody_won_raise_no_alarm() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 30, 0);
    let deep = fabric.extend(&trunk[9], Vec::new());
    let now = clock_at(&fabric, &trunk[29]);
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &trunk), now);
    submit(&mut manager, Vec::new(), now);
    assert!(!manager.is_syncing());
    // Somebody else's win, with a field changed that nobody signed.
    let mut unsigned = fabric.block(&deep).clone();
    unsigned.header.state_root.0[0] ^= 1;
    let outcome = submit(&mut manager, vec![unsigned], now);
    assert!(
        matches!(
            outcome.verdicts[..],
            [(_, Verdict::Refused(Refusal::Rule(BlockError::Header(HeaderError::TooDeep { .. }))))]
        ),
        "{:?}",
        outcome.verdicts
    );
    assert!(outcome.events.is_empty() && manager.alarms().is_empty());
    submit(&mut manager, blocks(&fabric, [&deep]), now);
    assert_eq!(manager.alarms().len(), 1, "the control");
}

#[test]
fn forks_below_what_is_kept_are_not_followed_and_nobody_is_condemned() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 30, 1);
    let fork = fabric.chain(&trunk[11], 9, 1);
    let (mut manager, database) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &trunk), LATER_MS);
    // States from 14 on are kept: after going back, forks within the limit reach below.
    manager.rewind(Height(16)).expect("the state is kept");
    let now = clock_at(&fabric, &trunk[15]);
    submit(&mut manager, Vec::new(), now);
    assert!(!manager.is_syncing());
    let outcome = submit(&mut manager, blocks(&fabric, &fork), now + 1_000_000);
    let too_deep = |verdict: &Verdict| {
        matches!(verdict, Verdict::Refused(Refusal::Rule(BlockError::Header(HeaderError::TooDeep { .. }))))
    };
    assert!(outcome.verdicts.iter().any(|(id, verdict)| *id == fork[0] && too_deep(verdict)), "{outcome:?}");
    assert_eq!(manager.tip().id, trunk[15]);
    // Elsewhere the same blocks are good, and here they are once the chain is taken anew.
    submit(&mut manager, blocks(&fabric, &trunk), LATER_MS);
    assert_eq!(manager.tip().id, trunk[29]);
    assert_eq!(open(&fabric, &Arc::new(database.reopened())).tip(), manager.tip());
    let verdict = verdict(&mut manager, fabric.block(&fork[0]), LATER_MS);
    assert!(!matches!(verdict, Verdict::Refused(Refusal::Condemned { .. })), "{verdict:?}");
}

#[test]
fn deep_forks_are_followed_while_syncing_as_far_as_states_are_kept() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 30, 0);
    let deep = fabric.chain(&trunk[16], 16, 0);
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, trunk.iter().chain(&deep)), LATER_MS);
    assert!(manager.is_syncing());
    assert_eq!(manager.tip().id, deep[15]);
}

#[test]
fn a_branch_with_a_broken_block_is_followed_up_to_it() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 6, 0);
    let one = fabric.chain(&trunk[5], 2, 0);
    let two = fabric.chain(&trunk[5], 5, 1);
    let (mut manager, database) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, trunk.iter().chain(&one)), LATER_MS);
    // The third block of the branch claims another state, and is signed all the same; the rest stands on it no more.
    let mut broken = fabric.block(&two[2]).clone();
    broken.header.state_root.0[0] ^= 1;
    let broken = fabric.reseal(broken);
    let mut offered = blocks(&fabric, &two[..2]);
    offered.push(broken.clone());
    // In reverse, so that the branch is judged as a whole.
    offered.reverse();
    let outcome = submit(&mut manager, offered, LATER_MS);
    let id = broken.id();
    assert!(
        outcome.verdicts.iter().any(|(of, verdict)| *of == id && matches!(verdict, Verdict::Refused(_))),
        "{:?}",
        outcome.verdicts
    );
    assert_eq!(manager.tip().weight.max(fabric.made(&one[1]).lineage.weight), manager.tip().weight);
    assert!([one[1], two[1]].contains(&manager.tip().id));
    assert_eq!(manager.store().header(&id).expect("memory can be read"), None, "it is forgotten");
    assert!(matches!(verdict(&mut manager, &broken, LATER_MS), Verdict::Refused(Refusal::Condemned { .. })));
    // The honest branch is followed as soon as it is whole.
    submit(&mut manager, blocks(&fabric, &two), LATER_MS);
    assert_eq!(manager.tip().id, two[4]);
    let (mut straight, other) = fresh(&fabric);
    submit(&mut straight, blocks(&fabric, trunk.iter().chain(&two)), LATER_MS);
    assert_eq!(decided(&database), decided(&other));
}

#[test]
fn old_bodies_go_and_the_chain_goes_on() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 40, 1);
    let database = Arc::new(MemoryDatabase::new());
    let specification = Arc::new(fabric.specification.clone());
    let options = Options { keep_bodies: Some(10) };
    let mut manager =
        ChainManager::open(specification.clone(), database.clone(), [0; 32], options).expect("a new store");
    submit(&mut manager, blocks(&fabric, &ids), LATER_MS);
    let store = manager.store();
    assert_eq!(store.oldest_body().expect("memory can be read"), Height(30));
    for (height, id) in (1..).zip(&ids) {
        assert_eq!(store.body(id).expect("memory can be read").is_some(), height >= 30, "height {height}");
        assert!(store.header(id).expect("memory can be read").is_some());
    }
    let old = fabric.block(&ids[3]).transactions[1].id();
    assert_eq!(store.transaction_place(&old).expect("memory can be read"), None);
    let fork = fabric.chain(&ids[32], 9, 0);
    submit(&mut manager, blocks(&fabric, &fork), LATER_MS);
    assert_eq!(manager.tip().id, fork[8]);

    let few = Options { keep_bodies: Some(7) };
    let error = ChainManager::open(specification, Arc::new(MemoryDatabase::new()), [0; 32], few).expect_err("too few");
    assert!(matches!(error, ManagerError::KeepBodies { found: 7, least: 8 }));
}
