use spacetime_node::chain::{Amount, BlockId, Transaction};
use spacetime_node::network::message::{GOSSIP_SEEN_MS, Gossip};
use spacetime_node::participant::Verdict;
use spacetime_node::testing::{Fabric, at_least_fee};

use super::hand::Node;

/// Transfers of one wallet, one after the other.
fn transfers(fabric: &Fabric, count: u64) -> Vec<Transaction> {
    let (genesis, [from, to]) = (fabric.genesis_id(), [&fabric.wallets[0], &fabric.wallets[1]]);
    let make = |nonce| move |fee| from.transfer(&genesis, nonce, fee, to.address, Amount(1));
    (0..count).map(|nonce| at_least_fee(fabric.parameters(), make(nonce))).collect()
}

#[test]
fn a_block_of_a_peer_that_left_at_once_is_looked_at_and_a_transaction_is_not() {
    let mut fabric = Fabric::default();
    let genesis: BlockId = fabric.genesis_id();
    let id = fabric.extend(&genesis, Vec::new());
    let mut node = Node::new(&fabric);
    node.befriend(1);
    node.leave(1);
    node.propose(1, fabric.block(&id));
    node.verify();
    assert_eq!(node.count(Verdict::Accept), 1, "{:?}", node.judged);
    assert_eq!(node.participant.chain().tip().id, id);
    for transaction in transfers(&fabric, 10) {
        node.gossip(1, Gossip::Transaction(Box::new(transaction)));
    }
    assert_eq!(node.count(Verdict::Ignore), 10);
    node.befriend(1);
    assert_eq!(node.score(1), 0, "nobody pays for what came when it was gone");
}

#[test]
fn transactions_beyond_what_is_forwarded_stay_in_the_pool() {
    let fabric = Fabric::default();
    let mut node = Node::new(&fabric);
    node.befriend(1);
    while node.participant.peers_mut().may_forward(node.now_ms) {}
    for transaction in transfers(&fabric, 2) {
        node.gossip(1, Gossip::Transaction(Box::new(transaction)));
        // One comes in every millisecond.
        node.wait(1);
    }
    assert_eq!(node.judged.iter().map(|(_, verdict)| *verdict).collect::<Vec<_>>(), [Verdict::Ignore, Verdict::Accept]);
    assert_eq!(node.participant.pool().pool().len(), 2);
    assert_eq!(node.score(1), 0);
}

#[test]
fn transactions_that_were_not_forwarded_are_told_later() {
    let fabric = Fabric::default();
    let mut node = Node::new(&fabric);
    node.befriend(1);
    while node.participant.peers_mut().may_forward(node.now_ms) {}
    let [first, second] = transfers(&fabric, 2).try_into().expect("two");
    node.gossip(1, Gossip::Transaction(Box::new(first.clone())));
    node.wait(1);
    node.gossip(1, Gossip::Transaction(Box::new(second)));
    assert_eq!(node.judged.iter().map(|(_, verdict)| *verdict).collect::<Vec<_>>(), [Verdict::Ignore, Verdict::Accept]);
    // As long as gossip knows it, it would not be told.
    node.wait(GOSSIP_SEEN_MS - 2);
    assert!(node.published.is_empty());
    while node.participant.peers_mut().may_forward(node.now_ms + 1) {}
    node.wait(1);
    assert!(node.published.is_empty(), "there is no room yet");
    node.wait(1);
    // Once, and the one alone that was not forwarded.
    node.wait(GOSSIP_SEEN_MS);
    assert_eq!(node.published, [Gossip::Transaction(Box::new(first))]);
}
