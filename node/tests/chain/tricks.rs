//! What has fooled other nodes, by name.

use spacetime_node::chain::rules::{BlockError, HeaderError};
use spacetime_node::chain::{Amount, Output, Payload};
use spacetime_node::consensus::Checkpoint;
use spacetime_node::manager::{Refusal, Verdict};
use spacetime_node::testing::{Fabric, at_least_fee};

use crate::common::{LATER_MS, blocks, clock_at, fresh, submit, verdict};

#[test]
fn a_bad_body_under_a_good_header_says_nothing_about_the_header() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 4, 2);
    let good = fabric.block(&ids[3]);
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &ids[..3]), LATER_MS);

    let mut shorter = good.clone();
    shorter.transactions.pop();
    let mut reordered = good.clone();
    reordered.transactions.swap(1, 2);
    let mut other_proof = good.clone();
    other_proof.proof.siblings.pop();
    // The last transaction twice hashes to the same root in trees that duplicate odd leaves (CVE-2012-2459).
    let mut doubled = good.clone();
    doubled.transactions.push(doubled.transactions[2].clone());
    for bad in [shorter, reordered, doubled] {
        assert_eq!(bad.id(), good.id());
        let verdict = verdict(&mut manager, &bad, LATER_MS);
        assert!(matches!(verdict, Verdict::Refused(Refusal::Rule(BlockError::TransactionRoot { .. }))), "{verdict:?}");
    }
    let verdict_of_proof = verdict(&mut manager, &other_proof, LATER_MS);
    let expected =
        matches!(verdict_of_proof, Verdict::Refused(Refusal::Rule(BlockError::Header(HeaderError::ProofId { .. }))));
    assert!(expected, "{verdict_of_proof:?}");
    assert_eq!(verdict(&mut manager, good, LATER_MS), Verdict::Connected);
    assert_eq!(verdict(&mut manager, good, LATER_MS), Verdict::Known);
}

#[test]
fn a_block_refused_for_coming_early_is_taken_when_its_time_has_come() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 2, 0);
    let block = fabric.block(&ids[0]);
    let begins_ms = fabric.specification.genesis.time_ms + block.header.epoch.0 * fabric.parameters().epoch_ms;
    let (mut manager, _) = fresh(&fabric);
    let early = verdict(&mut manager, block, begins_ms - 501);
    assert!(
        matches!(early, Verdict::Refused(Refusal::Rule(BlockError::Header(HeaderError::Early { .. })))),
        "{early:?}"
    );
    assert_eq!(verdict(&mut manager, block, begins_ms - 500), Verdict::Connected);
}

#[test]
fn a_transfer_to_oneself_makes_no_money() {
    let mut fabric = Fabric::default();
    let (genesis, wallet) = (fabric.genesis_id(), &fabric.wallets[0]);
    let address = wallet.address;
    let before = fabric.account(&genesis, address);
    let parameters = fabric.parameters().clone();
    let all = at_least_fee(&parameters, |fee| {
        let amount = before.balance.checked_sub(fee).expect("it can pay");
        wallet.transfer(&genesis, 0, fee, address, amount)
    });
    let id = fabric.extend(&genesis, vec![all.clone()]);
    let after = fabric.account(&id, address);
    assert_eq!(after.balance, before.balance.checked_sub(all.fee).unwrap());
    assert_eq!(after.nonce, 1);
    let (mut manager, _) = fresh(&fabric);
    assert_eq!(verdict(&mut manager, fabric.block(&id), LATER_MS), Verdict::Connected);
}

#[test]
fn sums_that_overflow_are_refused_and_not_wrapped() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 2, 0);
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &ids[..1]), LATER_MS);
    let mut greedy = fabric.block(&ids[1]).clone();
    let Payload::Coinbase(coinbase) = &mut greedy.transactions[0].payload else { panic!("a coinbase comes first") };
    let address = fabric.wallets[0].address;
    let outputs = vec![Output { address, amount: Amount(u64::MAX) }, Output { address, amount: Amount(2) }];
    coinbase.outputs = spacetime_node::chain::Capped::new(outputs).unwrap();
    let greedy = fabric.reseal(greedy);
    let refused = verdict(&mut manager, &greedy, LATER_MS);
    assert!(
        matches!(refused, Verdict::Refused(Refusal::Rule(BlockError::Transaction { index: 0, .. }))),
        "{refused:?}"
    );
    assert_eq!(manager.tip().id, ids[0]);
    assert_eq!(verdict(&mut manager, fabric.block(&ids[1]), LATER_MS), Verdict::Connected);
}

#[test]
fn a_checkpoint_refuses_every_other_block_of_its_height() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 3, 0);
    let rival = fabric.chain(&trunk[1], 4, 1);
    let checkpoint = Checkpoint { height: fabric.made(&trunk[2]).lineage.height, id: trunk[2] };
    fabric.specification.checkpoints = vec![checkpoint];
    let (mut manager, _) = fresh(&fabric);
    let outcome = submit(&mut manager, blocks(&fabric, trunk[..2].iter().chain(&rival)), LATER_MS);
    assert_eq!(manager.tip().id, trunk[1], "{:?}", outcome.verdicts);
    submit(&mut manager, blocks(&fabric, &trunk), LATER_MS);
    assert_eq!(manager.tip().id, trunk[2]);
}

#[test]
fn orphans_are_bounded_and_the_oldest_make_room() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 2, 0);
    let (mut manager, _) = fresh(&fabric);
    let mut orphan = fabric.block(&ids[1]).clone();
    let mut first = None;
    for number in 0..5000u64 {
        orphan.header.parent.0[..8].copy_from_slice(&number.to_le_bytes());
        first.get_or_insert_with(|| orphan.clone());
        let verdict = verdict(&mut manager, &orphan, LATER_MS);
        assert!(matches!(verdict, Verdict::Orphan { .. }), "{verdict:?}");
    }
    assert_eq!(manager.waiting(), 4096);
    assert_eq!(verdict(&mut manager, &orphan, LATER_MS), Verdict::Known);
    let again = verdict(&mut manager, &first.unwrap(), LATER_MS);
    assert!(matches!(again, Verdict::Orphan { .. }), "the oldest left first: {again:?}");
}

#[test]
fn a_miner_who_signs_thousands_of_blocks_for_one_epoch_keeps_no_branch_out() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 3, 0);
    let held = fabric.extend(&trunk[2], Vec::new());
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, trunk.iter().chain([&held])), LATER_MS);
    // Blocks of one win: they differ in what their coinbases say beside.
    let twin = |number: u32| {
        let mut twin = fabric.block(&held).clone();
        let Payload::Coinbase(coinbase) = &mut twin.transactions[0].payload else { panic!("a coinbase comes first") };
        coinbase.extra = spacetime_node::chain::Capped::new(number.to_le_bytes().to_vec()).unwrap();
        fabric.reseal(twin)
    };
    let twins: Vec<_> = (0..4200).map(twin).collect();
    for piece in twins.chunks(500) {
        submit(&mut manager, piece.to_vec(), LATER_MS);
    }
    assert!(manager.branch_tips().len() <= 4096);
    let right = fabric.chain(&trunk[2], 3, 1);
    for _ in 0..2 {
        submit(&mut manager, blocks(&fabric, &right), LATER_MS);
    }
    assert_eq!(manager.tip().id, right[2]);
}

#[test]
fn the_initial_sync_ends_when_the_tip_is_recent_and_begins_anew_a_day_later() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 3, 0);
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &ids), LATER_MS);
    assert!(manager.is_syncing());
    let now = clock_at(&fabric, &ids[2]);
    submit(&mut manager, Vec::new(), now);
    assert!(!manager.is_syncing());
    let day = 24 * 60 * 60 * 1000;
    submit(&mut manager, Vec::new(), now + day / 2);
    assert!(!manager.is_syncing());
    submit(&mut manager, Vec::new(), now + day + fabric.parameters().epoch_ms);
    assert!(manager.is_syncing());
}
