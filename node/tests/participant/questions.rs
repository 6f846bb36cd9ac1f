use spacetime_node::chain::{BlockId, Capped, Height};
use spacetime_node::consensus::Weight;
use spacetime_node::network::message::{Request, Response, Tip};
use spacetime_node::participant::{Input, RequestFailure};
use spacetime_node::testing::Fabric;

use super::hand::{Node, peer, place};

/// A claim of a chain that nobody has.
fn heavy(node: &Node) -> Tip {
    let tip = Tip::from(node.participant.chain().tip());
    Tip { id: BlockId([8; 32]), height: Height(1_000_000), weight: Weight::MAX, ..tip }
}

fn is_headers(request: &Request) -> bool {
    matches!(request, Request::Headers(_))
}

#[test]
fn answers_to_questions_that_were_given_up_cost_nothing() {
    let mut node = Node::new(&Fabric::default());
    node.befriend_with(1, heavy(&node));
    let question = node.question(1, is_headers).expect("it claims more than is here");
    // The node was busy for long; the edge had the answer in time.
    node.wait(60_000);
    assert_eq!(node.score(1), 0, "the edge says who was late");
    node.answer(1, question, Ok(Response::Headers(Capped::default())));
    assert_eq!(node.score(1), 0);
    // What the edge says counts.
    node.wait(60_000);
    let question = node.question(1, is_headers).expect("it is asked again");
    node.answer(1, question, Err(RequestFailure::Timeout));
    assert_eq!(node.score(1), -10);
}

#[test]
fn claims_that_cost_nothing_keep_no_node_from_mining() {
    let mut node = Node::new(&Fabric::default());
    for n in 1..=4 {
        let claim = heavy(&node);
        node.befriend_with(n, claim);
    }
    assert!(node.participant.is_behind());
    let mut asked = 0;
    for turn in 0..6000 {
        node.wait(100);
        let questions: Vec<_> = node.asked.extract_if(.., |(_, _, request)| is_headers(request)).collect();
        // They take their time about it.
        assert!(turn < 3100 || !node.participant.is_behind(), "{turn}");
        for (peer, id, _) in questions {
            asked += 1;
            node.answer(peer.0[0], id, Ok(Response::Refused));
        }
    }
    assert!(asked > 20, "{asked}");
}

#[test]
fn a_dialled_peer_that_refuses_whatever_it_is_asked_gives_way_to_another() {
    let mut node = Node::with(&Fabric::default(), |options| options.outbound = 1);
    let claim = heavy(&node);
    node.greet(1, claim, true);
    for _ in 0..6000 {
        node.wait(100);
        for (_, id, _) in node.asked.extract_if(.., |(_, _, request)| is_headers(request)).collect::<Vec<_>>() {
            node.answer(1, id, Ok(Response::Refused));
        }
    }
    node.handle(Input::Discovered { peer: peer(2), address: place(2) });
    // Every two minutes somebody is tried.
    for _ in 0..300 {
        if node.dialled.is_empty() {
            node.wait(500);
        }
    }
    assert_eq!(node.dialled, [place(2)]);
    let tip = Tip::from(node.participant.chain().tip());
    node.greet(2, tip, true);
    assert_eq!(node.participant.peers().counters().replaced, 1);
    assert!(!node.participant.peers().is_ready(&peer(1)));
}

#[test]
fn answers_of_a_peer_that_was_let_go_cost_nothing() {
    let mut node = Node::new(&Fabric::default());
    node.befriend_with(1, heavy(&node));
    let headers = node.question(1, is_headers).expect("it claims more than is here");
    let pool = node.question(1, |request| matches!(request, Request::Pool)).expect("it is asked for");
    node.leave(1);
    for _ in 0..5 {
        node.answer(1, headers, Ok(Response::Headers(Capped::default())));
    }
    node.befriend(1);
    assert_eq!(node.score(1), 0);
    // The control: an answer of another kind to what is still open.
    node.answer(1, pool, Ok(Response::Headers(Capped::default())));
    assert_eq!(node.score(1), -50);
}
