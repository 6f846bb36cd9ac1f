//! Questions, answers and gossip.

use std::time::Duration;

use spacetime_node::network::message::{Request, Response};
use spacetime_node::network::swarm::Command;
use spacetime_node::participant::{Input, RequestFailure, RequestId, Verdict};

use crate::common::{Node, QUIC, TCP, befriend, greet, id_of, publish_until_heard, submission};

#[tokio::test]
async fn questions_are_answered_over_tcp_and_quic() {
    for listen in [TCP, QUIC] {
        let mut a = Node::new(1, &[], |_| {}).await;
        let mut b = Node::new(2, &[listen], |_| {}).await;
        assert!(!b.address().contains("/0"), "{}", b.address());
        befriend(&mut a, &mut b).await;
        // Two at once, answered in the other order.
        let (first, second) = (a.ask(b.id, Request::Ping(1)).await, a.ask(b.id, Request::Ping(2)).await);
        let mut tickets = [None, None];
        for _ in 0..2 {
            let (_, ticket, request) = b.asked().await;
            let Request::Ping(number) = request else { panic!("{request:?}") };
            tickets[number as usize - 1] = Some(ticket);
        }
        for (number, ticket) in [(2, tickets[1]), (1, tickets[0])] {
            let response = Response::Pong { number, time_ms: 5 };
            b.tell(Command::Respond { ticket: ticket.expect("both were asked"), response }).await;
        }
        assert_eq!(a.answered(second).await, Ok(Response::Pong { number: 2, time_ms: 5 }));
        // The first came in between, or comes now; ask for the order's sake again.
        let _ = first;
        let third = b.ask(a.id, Request::Peers).await;
        let (_, ticket, _) = a.asked().await;
        a.tell(Command::Respond { ticket, response: Response::Refused }).await;
        assert_eq!(b.answered(third).await, Ok(Response::Refused));
        // The end is told.
        a.tell(Command::Disconnect { peer: b.id, banned_until_ms: None }).await;
        b.wait("the end", |input| matches!(input, Input::Disconnected { peer } if *peer == a.id).then_some(())).await;
        a.wait("the end", |input| matches!(input, Input::Disconnected { peer } if *peer == b.id).then_some(())).await;
        let fourth = a.ask(b.id, Request::Pool).await;
        assert_eq!(a.answered(fourth).await, Err(RequestFailure::Disconnected));
    }
}

#[tokio::test]
async fn a_question_that_nobody_answers_has_an_end() {
    let mut a = Node::new(1, &[], |_| {}).await;
    let mut b = Node::new(2, &[TCP], |_| {}).await;
    befriend(&mut a, &mut b).await;
    let id = RequestId(77);
    let timeout = Duration::from_millis(300);
    a.tell(Command::Request { peer: b.id, id, request: Request::Pool, timeout }).await;
    let (_, ticket, _) = b.asked().await;
    assert_eq!(a.answered(id).await, Err(RequestFailure::Timeout));
    // An answer that comes too late is nobody's.
    b.tell(Command::Respond { ticket, response: Response::Done }).await;
    let next = a.ask(b.id, Request::Ping(1)).await;
    let (_, ticket, _) = b.asked().await;
    b.tell(Command::Respond { ticket, response: Response::Done }).await;
    assert_eq!(a.answered(next).await, Ok(Response::Done));
    // What goes down with the connection has an end too.
    let open = a.ask(b.id, Request::Pool).await;
    b.asked().await;
    b.tell(Command::Disconnect { peer: a.id, banned_until_ms: None }).await;
    assert_eq!(a.answered(open).await, Err(RequestFailure::Disconnected));
}

#[tokio::test]
async fn gossip_goes_on_where_it_was_accepted_and_nowhere_else() {
    // A line: what C hears, B let through.
    let mut a = Node::new(1, &[TCP], |_| {}).await;
    let mut b = Node::new(2, &[QUIC], |_| {}).await;
    let mut c = Node::new(3, &[], |_| {}).await;
    befriend(&mut b, &mut a).await;
    befriend(&mut c, &mut b).await;
    let (from, id, message) = publish_until_heard(&mut a, &mut b, 0).await;
    assert_eq!((from, id), (a.id, id_of(&message)));
    b.tell(Command::Judge { peer: a.id, id, verdict: Verdict::Ignore }).await;
    // Once more with those that come: all but two kinds are kept here.
    let (first, second, third) = (submission(1000), submission(1001), submission(1002));
    for (gossip, verdict) in [(&first, Verdict::Ignore), (&second, Verdict::Reject), (&third, Verdict::Accept)] {
        a.tell(Command::Publish(gossip.clone())).await;
        let (from, id) = loop {
            let (from, id, message) = b.said().await;
            if message == *gossip {
                break (from, id);
            }
            b.tell(Command::Judge { peer: from, id, verdict: Verdict::Ignore }).await;
        };
        b.tell(Command::Judge { peer: from, id, verdict }).await;
    }
    let (from, id, message) = c.said().await;
    assert_eq!((from, id, message), (b.id, id_of(&third), third));
}

#[tokio::test]
async fn gossip_before_hello_is_not_heard_and_not_known_afterwards() {
    let mut a = Node::new(1, &[TCP], |_| {}).await;
    let mut b = Node::new(2, &[TCP], |_| {}).await;
    let mut silent = Node::new(3, &[], |_| {}).await;
    befriend(&mut b, &mut a).await;
    publish_until_heard(&mut a, &mut b, 0).await;
    silent.dial(&b).await;
    silent.connected().await;
    assert_eq!(b.connected().await.0, silent.id);
    // It takes B's gossip, so that there is a mesh, but B has not answered its HELLO.
    greet(&mut b, &mut silent).await;
    for number in 5000..5010 {
        silent.tell(Command::Publish(submission(number))).await;
    }
    // A question after it on the same connection: what was said before has arrived.
    let id = silent.ask(b.id, Request::Ping(1)).await;
    let ticket = b
        .wait("a question", |input| match input {
            Input::Gossip { peer, .. } if *peer == silent.id => panic!("it was heard"),
            Input::Request { ticket, .. } => Some(*ticket),
            _ => None,
        })
        .await;
    b.tell(Command::Respond { ticket, response: Response::Refused }).await;
    assert_eq!(silent.answered(id).await, Ok(Response::Refused));
    // The same from somebody who said HELLO is news.
    a.tell(Command::Publish(submission(5005))).await;
    let (from, _, message) = b.said().await;
    assert_eq!((from, message), (a.id, submission(5005)));
}

#[tokio::test]
async fn a_second_way_to_the_same_peer_is_no_second_peer() {
    let mut a = Node::new(1, &[], |_| {}).await;
    let mut b = Node::new(2, &[TCP, QUIC], |_| {}).await;
    befriend(&mut a, &mut b).await;
    let second = b.network.addresses.borrow()[1].clone();
    // It is not known who is there.
    a.tell(Command::Dial { peer: None, address: second.clone() }).await;
    a.wait("the answer", |input| match input {
        Input::DialFailed { address } if *address == second => Some(()),
        Input::Connected { .. } => panic!("it was connected already"),
        _ => None,
    })
    .await;
    // All goes on over either way.
    for number in 0..4 {
        let id = a.ask(b.id, Request::Ping(number)).await;
        let (_, ticket, _) = b.asked().await;
        b.tell(Command::Respond { ticket, response: Response::Done }).await;
        assert_eq!(a.answered(id).await, Ok(Response::Done));
    }
}
