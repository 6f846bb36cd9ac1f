use spacetime_node::chain::{Block, Capped, Hash};
use spacetime_node::network::message::{Request, Response, Tip};
use spacetime_node::participant::Verdict;
use spacetime_node::testing::Fabric;

use super::hand::{Node, peer};

/// A block, and others of the same key and epoch that differ in their timestamps.
fn equivocations(fabric: &mut Fabric, count: u64) -> Vec<Block> {
    let genesis = fabric.genesis_id();
    let id = fabric.extend(&genesis, Vec::new());
    let block = fabric.block(&id).clone();
    let epoch_ms = fabric.parameters().epoch_ms;
    let begins_ms = fabric.specification.genesis.time_ms + block.header.epoch.0 * epoch_ms;
    let at = |n| {
        let mut other = block.clone();
        other.header.timestamp_ms = begins_ms + n;
        fabric.reseal(other)
    };
    (0..count).map(at).collect()
}

#[test]
fn three_headers_of_a_key_and_epoch_are_forwarded_whenever_they_come() {
    let mut fabric = Fabric::default();
    let blocks = equivocations(&mut fabric, 10);
    let mut node = Node::new(&fabric);
    node.befriend(1);
    // All at once: none is counted when the next one is looked at.
    blocks[..8].iter().for_each(|block| node.propose(1, block));
    node.verify();
    assert_eq!(node.count(Verdict::Accept), 3);
    assert_eq!(node.count(Verdict::Ignore), 5);
    // More are not even looked at.
    blocks[8..].iter().for_each(|block| node.propose(1, block));
    assert_eq!(node.count(Verdict::Ignore), 7);
    assert_eq!(node.count(Verdict::Reject), 0);
    assert!(node.score(1) >= 0, "{}", node.score(1));
}

#[test]
fn who_forwards_three_headers_of_a_key_pays_nothing_and_who_makes_many_does() {
    let mut fabric = Fabric::default();
    let blocks = equivocations(&mut fabric, 20);
    let mut node = Node::new(&fabric);
    node.befriend(1);
    node.befriend(2);
    node.befriend(3);
    for block in &blocks[..3] {
        node.propose(1, block);
        node.verify();
    }
    // Others saw others first, and one of them again after a restart.
    blocks[3..6].iter().for_each(|block| node.propose(2, block));
    blocks[6..9].iter().for_each(|block| node.propose(2, block));
    assert!(node.score(2) >= 0, "{}", node.score(2));
    blocks[9..].iter().for_each(|block| node.propose(3, block));
    assert_eq!(node.banned, [peer(3)]);
    assert_eq!(node.count(Verdict::Accept), 3);
}

#[test]
fn a_gossip_is_judged_though_another_copy_of_its_block_comes_meanwhile() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let id = fabric.extend(&genesis, Vec::new());
    let mut node = Node::new(&fabric);
    node.befriend(1);
    node.befriend_with(2, Tip::from(&fabric.made(&id).lineage));
    // It does not come by itself, and is asked for.
    node.wait(1000);
    let question = node.question(2, |request| matches!(request, Request::Blocks(_))).expect("it is asked for");
    node.propose(1, fabric.block(&id));
    let blocks = Capped::new(vec![fabric.block(&id).clone()]).expect("one is not too many");
    node.answer(2, question, Ok(Response::Blocks(blocks)));
    node.verify();
    assert_eq!(node.participant.chain().tip().id, id);
    assert_eq!(node.judged, [(peer(1), Verdict::Accept)]);
}

#[test]
fn a_block_that_only_its_state_shows_to_be_bad_costs_who_forwards_it_little() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let id = fabric.extend(&genesis, Vec::new());
    let mut bad = fabric.block(&id).clone();
    bad.header.state_root = Hash([9; 32]);
    let bad = fabric.reseal(bad);
    let mut node = Node::new(&fabric);
    node.befriend(1);
    node.propose(1, &bad);
    node.verify();
    assert_eq!(node.count(Verdict::Reject), 1);
    assert_eq!(node.score(1), -20);
    // It is condemned: neither it nor what stands on it is looked at again.
    assert!(node.participant.chain().is_condemned(&bad.id()));
    // What anybody can see without a state is what it was.
    let mut forged = fabric.block(&id).clone();
    forged.header.signature.0[7] ^= 1;
    node.befriend(2);
    node.propose(2, &forged);
    node.verify();
    assert_eq!(node.count(Verdict::Reject), 2);
    assert_eq!(node.banned, [peer(2)]);
}

#[test]
fn a_block_that_waited_is_not_forwarded_when_its_parent_comes() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let parent = fabric.extend(&genesis, Vec::new());
    let child = fabric.extend(&parent, Vec::new());
    let mut node = Node::new(&fabric);
    node.befriend(1);
    node.propose(1, fabric.block(&child));
    node.verify();
    assert_eq!(node.count(Verdict::Ignore), 1, "gossip does not wait as long");
    node.propose(1, fabric.block(&parent));
    node.verify();
    assert_eq!(node.participant.chain().tip().id, child);
    let verdicts: Vec<_> = node.judged.iter().map(|(_, verdict)| *verdict).collect();
    assert_eq!(verdicts, [Verdict::Ignore, Verdict::Accept]);
    assert!(node.score(1) >= 0, "{}", node.score(1));
}
