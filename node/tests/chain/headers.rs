//! Headers without bodies: judged as their blocks would be.

use spacetime_node::chain::rules::{BlockError, HeaderError};
use spacetime_node::chain::verify::HeaderCheck;
use spacetime_node::chain::{BlockId, Hash, Header, Height};
use spacetime_node::consensus::Checkpoint;
use spacetime_node::manager::{HeaderChecks, HeaderStop, Refusal, Verdict, verify};
use spacetime_node::testing::{Fabric, MemoryPlot, Order};
use spacetime_prover::Proof;

use crate::common::{LATER_MS, Manager, blocks, clock_at, fresh, submit, verdict};

/// Checks headers of the fabric, of which the first's parent is known.
fn check(manager: &mut Manager, headers: &[(Header, Proof)], now_ms: u64) -> HeaderChecks {
    let (parent, fork) = manager.place_of(&headers[0].0.parent).unwrap().expect("the parent is known");
    let headers = headers.iter().map(|(header, proof)| (header, proof));
    manager.check_headers(&parent, fork, headers, now_ms).expect("memory can be read")
}

fn headers(fabric: &Fabric, ids: &[BlockId]) -> Vec<(Header, Proof)> {
    blocks(fabric, ids).into_iter().map(|block| (block.header, block.proof)).collect()
}

fn rule(checks: HeaderChecks) -> BlockError {
    match checks.stop {
        Some(HeaderStop::Refused(Refusal::Rule(error))) => error,
        other => panic!("no rule: {other:?}"),
    }
}

#[test]
fn good_headers_are_taken_as_far_as_maturity_lets_judge() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 20, 0);
    let (mut manager, _) = fresh(&fabric);
    let all = headers(&fabric, &ids);
    let checks = check(&mut manager, &all, LATER_MS);
    assert_eq!(checks.checked.len(), 16);
    let lineages: Vec<_> = checks.checked.iter().map(|checked| checked.lineage.clone()).collect();
    assert!(lineages.iter().zip(&ids).all(|(lineage, id)| *lineage == fabric.made(id).lineage));
    let (height, fork, limit) = (Height(17), Height(0), 16);
    assert_eq!(checks.stop, Some(HeaderStop::Ahead { height, fork, limit }));

    // Those above are judged by what they stand on, and as soon as the state has come along.
    let above = |manager: &mut Manager, fork| {
        let headers = all[16..].iter().map(|(header, proof)| (header, proof));
        manager.check_headers(&lineages[15], fork, headers, LATER_MS).unwrap()
    };
    assert_eq!(above(&mut manager, Height(0)).checked.len(), 0);
    submit(&mut manager, blocks(&fabric, &ids[..2]), LATER_MS);
    assert_eq!(above(&mut manager, Height(2)).checked.len(), 2);
    submit(&mut manager, blocks(&fabric, &ids[2..4]), LATER_MS);
    let checks = above(&mut manager, Height(4));
    assert_eq!((checks.checked.len(), checks.stop), (4, None));
}

#[test]
fn each_rule_of_a_header_is_looked_at_and_condemns_what_stands_on_it() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 5, 0);
    let good = headers(&fabric, &ids);
    type Change = fn(&mut Header, &mut Proof);
    let changes: [(&str, Change); 8] = [
        ("version", |header, _| header.version = 2),
        ("height", |header, _| header.height.0 += 1),
        ("epoch", |header, _| header.epoch.0 = 0),
        ("time", |header, _| header.timestamp_ms += 5000),
        ("extension", |header, _| header.extension = Hash([1; 32])),
        ("target", |header, _| header.target.0[0] ^= 1),
        ("score", |header, _| header.score.0[31] ^= 1),
        ("proof", |_, proof| proof.siblings[0][0] ^= 1),
    ];
    for (name, change) in changes {
        let (mut manager, _) = fresh(&fabric);
        let mut bad = good.clone();
        let (header, proof) = &mut bad[2];
        change(header, proof);
        let id = header.id();
        let checks = check(&mut manager, &bad, LATER_MS);
        assert_eq!(checks.checked.len(), 2, "{name}");
        let error = rule(checks);
        assert_eq!(manager.is_condemned(&id), name != "proof", "{name}: {error}");
        // It costs the header nothing that a wrong proof came with it.
        let again = check(&mut manager, &good, LATER_MS);
        assert_eq!((again.checked.len(), again.stop), (5, None), "{name}");
    }
}

#[test]
fn what_is_condemned_stays_so_with_or_without_its_body() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 3, 0);
    let (mut manager, _) = fresh(&fabric);
    let mut bad = fabric.block(&ids[0]).clone();
    bad.header.state_root = Hash([9; 32]);
    let bad = fabric.reseal(bad);
    assert!(matches!(verdict(&mut manager, &bad, LATER_MS), Verdict::Refused(_)));
    let id = bad.id();
    let checks = check(&mut manager, &[(bad.header, bad.proof)], LATER_MS);
    assert_eq!(checks.stop, Some(HeaderStop::Refused(Refusal::Condemned { ancestor: id })));

    manager.condemn_header(ids[0]);
    let refused = verdict(&mut manager, fabric.block(&ids[0]), LATER_MS);
    assert_eq!(refused, Verdict::Refused(Refusal::Condemned { ancestor: ids[0] }));
}

#[test]
fn headers_must_stand_one_on_another() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 4, 0);
    let (mut manager, _) = fresh(&fabric);
    let mut gap = headers(&fabric, &ids);
    gap.remove(1);
    let checks = check(&mut manager, &gap, LATER_MS);
    assert_eq!(checks.checked.len(), 1);
    assert_eq!(checks.stop, Some(HeaderStop::Unlinked { found: ids[1], expected: ids[0] }));
    assert!(!manager.is_condemned(&ids[2]));
}

#[test]
fn an_early_header_may_come_again() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 3, 0);
    let all = headers(&fabric, &ids);
    let (mut manager, _) = fresh(&fabric);
    let epoch = fabric.block(&ids[2]).header.epoch;
    let now = fabric.specification.genesis.time_ms + epoch.0 * fabric.parameters().epoch_ms - 501;
    let early = check(&mut manager, &all, now);
    assert_eq!(early.checked.len(), 2);
    assert!(matches!(rule(early), BlockError::Header(HeaderError::Early { .. })));
    assert_eq!(check(&mut manager, &all, now + 1).checked.len(), 3);
}

#[test]
fn another_block_than_the_checkpoint_is_refused() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 3, 0);
    let rival = fabric.chain(&trunk[0], 3, 1);
    fabric.specification.checkpoints = vec![Checkpoint { height: Height(3), id: trunk[2] }];
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &trunk[..1]), LATER_MS);
    let checks = check(&mut manager, &headers(&fabric, &rival), LATER_MS);
    assert_eq!(checks.checked.len(), 1);
    let expected = Refusal::Checkpoint { height: Height(3), expected: trunk[2] };
    assert_eq!(checks.stop, Some(HeaderStop::Refused(expected)));
    assert_eq!(check(&mut manager, &headers(&fabric, &trunk[1..]), LATER_MS).checked.len(), 2, "the control");
}

#[test]
fn a_plot_that_is_not_in_the_state_at_the_fork_wins_nothing() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 2, 0);
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &ids), LATER_MS);
    // A plot that nobody registered: everything about it is good but that.
    let parameters = fabric.parameters().clone();
    let plot = MemoryPlot::grow(&parameters, fabric.miners[0].key, [9; 32], 16);
    let (header, proof) = won_by(&fabric, &ids[1], &plot);
    let checks = check(&mut manager, &[(header, proof)], LATER_MS);
    assert!(matches!(rule(checks), BlockError::UnknownPlot { .. }));
}

/// A header upon `parent` that an unregistered plot of the first miner wins.
fn won_by(fabric: &Fabric, parent: &BlockId, plot: &MemoryPlot) -> (Header, Proof) {
    use spacetime_node::chain::{Epoch, proof_id};
    use spacetime_node::consensus::{Claim, Engine, reveal_message};
    let lineage = &fabric.made(parent).lineage;
    for epoch in (lineage.epoch.0 + 1..).map(Epoch) {
        let Claim { target, challenge, column } = fabric.engine.claim(lineage, epoch);
        let best = plot.best(&challenge, column);
        if !target.is_met_by(&best.score) {
            continue;
        }
        let proof = plot.prove(&challenge, column, best.row);
        let description = plot.description();
        let miner = &fabric.miners[0];
        let mut header = fabric.block(parent).header.clone();
        header.height = header.height.next();
        header.epoch = epoch;
        header.timestamp_ms = fabric.specification.genesis.time_ms + epoch.0 * fabric.parameters().epoch_ms;
        header.parent = *parent;
        header.target = target;
        header.miner_key = miner.key;
        header.plot_id = plot.id();
        header.plot_root = description.root;
        header.score = best.score;
        header.proof_id = proof_id(&proof);
        header.reveal = miner.secret.sign(&reveal_message(&fabric.genesis_id(), &challenge));
        miner.seal(&fabric.genesis_id(), &mut header);
        return (header, proof);
    }
    unreachable!("some epoch is won")
}

#[test]
fn deep_forks_of_headers_raise_one_alarm_and_are_not_followed() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 12, 0);
    let rival = fabric.chain(&trunk[1], 12, 1);
    let (mut manager, _) = fresh(&fabric);
    let now = clock_at(&fabric, rival.last().unwrap()).max(clock_at(&fabric, &trunk[11]));
    submit(&mut manager, blocks(&fabric, &trunk), now);
    assert!(!manager.is_syncing());
    let all = headers(&fabric, &rival);
    let checks = check(&mut manager, &all, now);
    assert_eq!((checks.checked.len(), checks.events.len()), (0, 1));
    assert!(matches!(rule(checks), BlockError::Header(HeaderError::TooDeep { depth: 10, limit: 8, .. })));
    assert_eq!(manager.alarms().len(), 1);
    assert!(check(&mut manager, &all, now).events.is_empty(), "one alarm a fork");
    // A fork of one block less than the limit is followed.
    let near = fabric.chain(&trunk[4], 3, 1);
    assert_eq!(check(&mut manager, &headers(&fabric, &near), now).checked.len(), 3);
}

#[test]
fn light_branches_are_not_worth_rows() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 6, 0);
    let rival = fabric.chain(&trunk[1], 5, 1);
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &trunk), LATER_MS);
    let weight = |id: &BlockId| fabric.made(id).lineage.weight;
    assert!(!manager.is_worth_rows(Height(2), weight(&rival[2])), "as heavy as the tip's parent");
    assert!(manager.is_worth_rows(Height(2), weight(&rival[3])));
    assert!(manager.is_worth_rows(Height(6), weight(&trunk[5])), "what stands on the tip");
}

#[test]
fn blocks_of_a_branch_that_headers_showed_to_be_heavy_do_not_wait() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 6, 0);
    let rival = fabric.chain(&trunk[1], 6, 1);
    let lineages: Vec<_> = rival.iter().map(|id| fabric.made(id).lineage.clone()).collect();
    for expected in [false, true] {
        let (mut manager, _) = fresh(&fabric);
        submit(&mut manager, blocks(&fabric, &trunk), LATER_MS);
        if expected {
            manager.expect_blocks(&lineages).unwrap();
        }
        let first = manager.admit(blocks(&fabric, &rival[..2]), LATER_MS).unwrap();
        assert_eq!(first.candidates.len(), if expected { 2 } else { 0 });
        assert_eq!(manager.waiting(), if expected { 0 } else { 2 });
        let results = verify(manager.verifier(), &first.candidates);
        manager.apply(first.candidates.into_iter().zip(results)).unwrap();
        submit(&mut manager, blocks(&fabric, &rival[2..]), LATER_MS);
        assert_eq!(manager.tip().id, rival[5]);
    }
}

#[test]
fn a_missing_block_of_an_expected_branch_is_named() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 6, 0);
    let rival = fabric.chain(&trunk[1], 6, 1);
    let lineages: Vec<_> = rival.iter().map(|id| fabric.made(id).lineage.clone()).collect();
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &trunk), LATER_MS);
    manager.expect_blocks(&lineages).unwrap();
    submit(&mut manager, blocks(&fabric, &rival[..1]), LATER_MS);
    let orphan = verdict(&mut manager, fabric.block(&rival[2]), LATER_MS);
    assert_eq!(orphan, Verdict::Orphan { parent: rival[1] });
    submit(&mut manager, blocks(&fabric, &rival[1..2]), LATER_MS);
    submit(&mut manager, blocks(&fabric, &rival[3..]), LATER_MS);
    assert_eq!(manager.tip().id, rival[5]);
}

#[test]
fn an_expected_block_that_came_by_another_way_keeps_nothing_waiting() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 6, 0);
    let lineages: Vec<_> = trunk.iter().map(|id| fabric.made(id).lineage.clone()).collect();
    let (mut manager, _) = fresh(&fabric);
    // One is taken, one is being verified, and one has not come yet.
    submit(&mut manager, blocks(&fabric, &trunk[..3]), LATER_MS);
    let fourth = manager.admit(blocks(&fabric, &trunk[3..4]), LATER_MS).unwrap();
    manager.expect_blocks(&lineages).unwrap();
    let results = verify(manager.verifier(), &fourth.candidates);
    manager.apply(fourth.candidates.into_iter().zip(results)).unwrap();
    let orphan = verdict(&mut manager, fabric.block(&trunk[5]), LATER_MS);
    assert_eq!(orphan, Verdict::Orphan { parent: trunk[4] }, "what has not come is waited for");
    submit(&mut manager, blocks(&fabric, &trunk[4..5]), LATER_MS);
    assert_eq!(manager.tip().id, trunk[5]);
}

#[test]
fn a_header_that_was_verified_is_not_verified_again() {
    let mut fabric = Fabric::default();
    let id = fabric.make(&fabric.genesis_id(), Order::default());
    let (mut manager, _) = fresh(&fabric);
    let all = headers(&fabric, &[id]);
    let checked = check(&mut manager, &all, LATER_MS).checked.remove(0);
    let (header, proof) = &all[0];
    let good = HeaderCheck { header, leaf: proof.leaf, checked: &checked };
    // No header looks like this; it shows who looks.
    let wrong = HeaderCheck { leaf: [1; 32], ..good };
    let verifier = manager.verifier();
    assert!(verifier.headers(&[wrong])[0].is_err());
    assert_eq!(verifier.headers(&[good]), [Ok(())]);
    assert_eq!(verifier.headers(&[wrong]), [Ok(())], "it is remembered");
    let mut forged = header.clone();
    forged.signature.0[5] ^= 1;
    let mut other = checked.clone();
    other.lineage.id = forged.id();
    let forged = HeaderCheck { header: &forged, leaf: proof.leaf, checked: &other };
    assert_eq!(verifier.headers(&[good, forged, good]).iter().filter(|result| result.is_err()).count(), 1);
    assert!(verifier.headers(&[forged])[0].is_err(), "what does not hold is not remembered");
}
