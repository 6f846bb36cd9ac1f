//! Any order of delivery of the same blocks ends at the same chain.

use std::collections::HashSet;

use proptest::prelude::*;
use spacetime_node::chain::BlockId;
use spacetime_node::consensus::{Engine, Lineage};
use spacetime_node::manager::{Verdict, verify};
use spacetime_node::testing::{Fabric, Random, Setup};

use crate::common::{LATER_MS, blocks, clock_at, decided, fresh, open, state_root, submit};

/// A tree of random blocks whose forks stay within the reorg limit, whatever is the best chain.
fn tree(seed: u64, trunk: u64, branches: u64) -> (Fabric, Vec<BlockId>) {
    let mut fabric = Fabric::new(&Setup { seed, ..Setup::default() });
    let mut random = Random::new(seed ^ 0x5eed);
    let mut ids = Vec::new();
    let mut tip = fabric.genesis_id();
    for _ in 0..trunk {
        tip = fabric.random_block(&tip, &mut random);
        ids.push(tip);
    }
    for _ in 0..branches {
        // All forks lie within the last six blocks of the trunk, and no branch is longer than those.
        let depth = 1 + random.below(6.min(trunk));
        let mut branch = match trunk - depth {
            0 => fabric.genesis_id(),
            height => ids[height as usize - 1],
        };
        for _ in 0..1 + random.below(6) {
            branch = fabric.random_block(&branch, &mut random);
            ids.push(branch);
        }
    }
    (fabric, ids)
}

fn shuffled(ids: &[BlockId], random: &mut Random) -> Vec<BlockId> {
    let mut ids = ids.to_vec();
    for index in (1..ids.len()).rev() {
        ids.swap(index, random.below(index as u64 + 1) as usize);
    }
    ids
}

/// The tips that the rules allow: of the greatest weight, and of those that no sibling of the same epoch beats.
fn right_tips(fabric: &Fabric, ids: &[BlockId]) -> Vec<Lineage> {
    let all: Vec<_> = ids.iter().map(|id| fabric.made(id).lineage.clone()).collect();
    let heaviest = all.iter().map(|lineage| lineage.weight).max().expect("there are blocks");
    let tips: Vec<_> = all.into_iter().filter(|lineage| lineage.weight == heaviest).collect();
    let beaten = |tip: &Lineage| tips.iter().any(|other| fabric.engine.prefer(tip, other));
    tips.iter().filter(|tip| !beaten(tip)).cloned().collect()
}

#[test]
fn trees_are_trees() {
    let (fabric, ids) = tree(1, 20, 6);
    let parents: Vec<_> = ids.iter().map(|id| fabric.made(id).lineage.parent).collect();
    let distinct: HashSet<_> = parents.iter().collect();
    assert!(distinct.len() < parents.len(), "some block has two children");
    assert!(ids.iter().any(|id| fabric.block(id).transactions.len() > 1), "some block has transactions");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_order_ends_at_the_same_chain(seed in 0..1_000_000u64, trunk in 1..26u64, branches in 0..6u64, pieces in 1..12usize) {
        let (fabric, ids) = tree(seed, trunk, branches);
        let right = right_tips(&fabric, &ids);
        let mut random = Random::new(seed ^ 0x0dde);
        let mut ends = Vec::new();
        for _ in 0..3 {
            let order = shuffled(&ids, &mut random);
            let (mut manager, mut database) = fresh(&fabric);
            for (number, piece) in order.chunks(order.len().div_ceil(pieces)).enumerate() {
                submit(&mut manager, blocks(&fabric, piece), LATER_MS);
                // Now and then everything starts anew: what waited is lost, and comes again.
                if number % 4 == 3 {
                    database = std::sync::Arc::new(database.reopened());
                    manager = open(&fabric, &database);
                    let seen = order.iter().take((number + 1) * piece.len());
                    submit(&mut manager, blocks(&fabric, seen), LATER_MS);
                }
            }
            submit(&mut manager, blocks(&fabric, &order), LATER_MS);
            let tip = manager.tip().clone();
            prop_assert!(right.iter().any(|lineage| lineage.id == tip.id), "tip {tip:?} is none of {right:?}");
            prop_assert_eq!(state_root(&manager), fabric.block(&tip.id).header.state_root);
            ends.push((tip, decided(&database)));
        }
        for end in &ends {
            prop_assert_eq!(end.0.weight, ends[0].0.weight);
            if end.0.id == ends[0].0.id {
                prop_assert!(end.1 == ends[0].1, "the same chain leaves the same state, whatever came before");
            }
        }
    }

    #[test]
    fn no_challenge_comes_twice_along_a_chain(seed in 0..1_000_000u64) {
        let (fabric, ids) = tree(seed, 40, 0);
        let challenges: Vec<_> = ids.iter().map(|id| fabric.block(id).proof.challenge).collect();
        let distinct: HashSet<_> = challenges.iter().collect();
        prop_assert_eq!(distinct.len(), challenges.len());
    }
}

#[test]
fn a_reversed_chain_is_followed_however_far_ahead_it_runs() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 100, 2);
    let (mut manager, database) = fresh(&fabric);
    let reversed: Vec<_> = ids.iter().rev().copied().collect();
    for id in &reversed {
        submit(&mut manager, blocks(&fabric, [id]), LATER_MS);
    }
    assert_eq!(manager.tip().id, ids[99]);
    assert_eq!(manager.waiting(), 0);
    let (mut straight, other) = fresh(&fabric);
    submit(&mut straight, blocks(&fabric, &ids), LATER_MS);
    assert_eq!(decided(&database), decided(&other));
}

#[test]
fn a_branch_with_more_bytes_than_may_wait_is_followed_when_it_comes_again() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 10, 0);
    let one = fabric.chain(&trunk[9], 7, 2);
    let two = fabric.chain(&trunk[9], 9, 2);
    let few = 3 * fabric.block(&two[0]).encoded_len();
    for pieces in [1, 2, 9] {
        let (mut manager, database) = fresh(&fabric);
        manager.limit_waiting(few);
        let now = clock_at(&fabric, &trunk[9]);
        submit(&mut manager, blocks(&fabric, trunk.iter().chain(&one)), LATER_MS);
        submit(&mut manager, Vec::new(), now);
        assert!(!manager.is_syncing());
        let now = clock_at(&fabric, two.last().expect("it has blocks"));
        let mut missing = Vec::new();
        for round in 0..2 {
            for piece in two.chunks(pieces) {
                let outcome = submit(&mut manager, blocks(&fabric, piece), now);
                missing.extend(outcome.verdicts.into_iter().filter_map(|(_, verdict)| match verdict {
                    Verdict::Orphan { parent } => Some(parent),
                    _ => None,
                }));
                assert!(manager.waiting() <= 3);
            }
            assert_eq!(manager.tip().id, if round == 0 { one[6] } else { two[8] });
        }
        assert!(missing.iter().all(|id| *id == two[0]) && !missing.is_empty(), "the lowest is asked for: {missing:?}");
        let (mut straight, other) = fresh(&fabric);
        submit(&mut straight, blocks(&fabric, trunk.iter().chain(&two)), LATER_MS);
        assert_eq!(decided(&database), decided(&other));
    }
}

#[test]
fn the_three_hands_alone_follow_a_chain_however_far_ahead_it_runs() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 100, 0);
    let (mut manager, _) = fresh(&fabric);
    let mut offered = blocks(&fabric, &ids);
    for _ in 0..ids.len() {
        let admission = manager.admit(offered, LATER_MS).expect("memory can be read");
        offered = Vec::new();
        if admission.candidates.is_empty() {
            break;
        }
        let results = verify(manager.verifier(), &admission.candidates);
        manager.apply(admission.candidates.into_iter().zip(results)).expect("memory can be written");
    }
    assert_eq!(manager.tip().id, ids[99]);
    assert_eq!(manager.waiting(), 0);
}

#[test]
fn importing_is_submitting() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 120, 3);
    let (mut submitted, one) = fresh(&fabric);
    submit(&mut submitted, blocks(&fabric, &ids), LATER_MS);
    let (mut imported, two) = fresh(&fabric);
    let items = blocks(&fabric, &ids).into_iter().map(Ok::<_, spacetime_node::store::StoreError>);
    let report = imported.import(items, LATER_MS, |_| true).expect("memory can be read");
    assert_eq!((report.connected, report.known, report.others.len()), (120, 0, 0));
    assert_eq!(imported.tip(), submitted.tip());
    assert_eq!(decided(&one), decided(&two));

    let again = blocks(&fabric, &ids).into_iter().map(Ok::<_, spacetime_node::store::StoreError>);
    let report = imported.import(again, LATER_MS, |_| true).expect("memory can be read");
    assert_eq!((report.connected, report.known), (0, 120));
}
