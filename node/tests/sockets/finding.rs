//! How nodes hear of each other, and reach each other through a third.

use std::collections::BTreeSet;

use spacetime_node::network::PeerId;
use spacetime_node::network::message::{Request, Response};
use spacetime_node::network::swarm::{Command, Network, NetworkOptions};
use spacetime_node::participant::Input;

use crate::common::{Node, QUIC, TCP, befriend, greet, soon, until};

/// Waits until an address of `wanted` is heard of.
async fn heard_of(node: &mut Node, wanted: PeerId) -> String {
    node.wait("an address", |input| match input {
        Input::Discovered { peer, address } if *peer == wanted => Some(address.clone()),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_peer_says_where_it_listens() {
    let mut a = Node::new(1, &[TCP, QUIC], |_| {}).await;
    let mut b = Node::new(2, &[TCP], |_| {}).await;
    befriend(&mut a, &mut b).await;
    // Its own words, not where its connection comes from.
    let own: BTreeSet<_> = a.network.addresses.borrow().iter().cloned().collect();
    let said = BTreeSet::from([heard_of(&mut b, a.id).await, heard_of(&mut b, a.id).await]);
    assert_eq!(said, own);
}

#[tokio::test]
async fn who_knows_the_same_third_finds_each_other() {
    // Names that lead anywhere from anywhere: strangers' words of one machine are not taken.
    let search = |options: &mut NetworkOptions| options.kademlia = true;
    let mut hub = Node::new(1, &[TCP], search).await;
    let mut a = Node::new(2, &[TCP], |options| {
        search(options);
        options.external = vec!["/ip4/93.184.216.34/tcp/21220".into()];
    })
    .await;
    let mut b = Node::new(3, &[TCP], search).await;
    befriend(&mut a, &mut hub).await;
    // The hub knows where A is before it is asked.
    while !heard_of(&mut hub, a.id).await.contains("93.184") {}
    befriend(&mut b, &mut hub).await;
    assert_eq!(heard_of(&mut b, a.id).await, "/ip4/93.184.216.34/tcp/21220");
}

#[tokio::test]
async fn who_cannot_be_reached_is_reached_through_a_relay() {
    let relay = Node::new(1, &[TCP], |options| options.relay = true).await;
    let at_relay = format!("{}/p2p/{}", relay.address(), relay.id);
    let mut hidden = Node::new(2, &[], |options| options.relays = vec![at_relay.clone()]).await;
    let through = format!("{at_relay}/p2p-circuit");
    let waits = hidden.network.addresses.wait_for(|all| all.contains(&through));
    soon("a place at the relay", waits).await.expect("it runs");
    let mut caller = Node::new(3, &[], |_| {}).await;
    caller.tell(Command::Dial { peer: Some(hidden.id), address: through.clone() }).await;
    // The relay is a peer too.
    assert_eq!(caller.connected().await, (relay.id, relay.address(), true));
    assert_eq!(caller.connected().await, (hidden.id, through, true));
    assert_eq!(hidden.connected().await.0, relay.id);
    assert_eq!(hidden.connected().await.0, caller.id);
    greet(&mut caller, &mut hidden).await;
    greet(&mut hidden, &mut caller).await;
    let id = caller.ask(hidden.id, Request::Peers).await;
    let (_, ticket, _) = hidden.asked().await;
    hidden.tell(Command::Respond { ticket, response: Response::Done }).await;
    assert_eq!(caller.answered(id).await, Ok(Response::Done));
}

/// Two that know each other through a relay, and can reach each other without it.
#[tokio::test]
async fn a_straight_way_takes_the_place_of_the_one_through_a_relay() {
    let relay = Node::new(1, &[TCP], |options| options.relay = true).await;
    let at_relay = format!("{}/p2p/{}", relay.address(), relay.id);
    let through = format!("{at_relay}/p2p-circuit");
    let mut hidden = Node::new(2, &[TCP], |options| options.relays = vec![at_relay.clone()]).await;
    let waits = hidden.network.addresses.wait_for(|all| all.contains(&through));
    soon("a place at the relay", waits).await.expect("it runs");
    let mut caller = Node::new(3, &[TCP], |_| {}).await;
    // Where they are seen is what they try: both learn it from the relay first.
    caller.dial(&relay).await;
    caller.connected().await;
    caller.tell(Command::Dial { peer: Some(hidden.id), address: through }).await;
    caller.connected().await;
    let connections = |node: &Node| node.network.counters.read().connections;
    until("a second way", || connections(&caller) == 3 && connections(&hidden) == 3).await;
    // It is not ended before HELLO, which nobody asks twice.
    greet(&mut caller, &mut hidden).await;
    assert_eq!((connections(&caller), connections(&hidden)), (3, 3));
    greet(&mut hidden, &mut caller).await;
    until("one way", || connections(&caller) == 2 && connections(&hidden) == 2).await;
    let id = caller.ask(hidden.id, Request::Peers).await;
    let (_, ticket, _) = hidden.asked().await;
    hidden.tell(Command::Respond { ticket, response: Response::Done }).await;
    assert_eq!(caller.answered(id).await, Ok(Response::Done));
}

#[tokio::test]
async fn a_place_at_a_relay_is_asked_for_again() {
    let relay = Node::new(1, &[TCP], |options| options.relay = true).await;
    let (id, address) = (relay.id, relay.address());
    let at_relay = format!("{address}/p2p/{id}");
    let through = format!("{at_relay}/p2p-circuit");
    let mut hidden = Node::new(2, &[], |options| options.relays = vec![at_relay]).await;
    let addresses = &mut hidden.network.addresses;
    soon("a place", addresses.wait_for(|all| all.contains(&through))).await.expect("it runs");
    let Network { commands, task, .. } = relay.network;
    drop(commands);
    soon("the end", task).await.expect("it ends by itself");
    soon("its end", addresses.wait_for(|all| !all.contains(&through))).await.expect("it runs");
    let _relay = Node::new(1, &[&address], |options| options.relay = true).await;
    soon("a place again", addresses.wait_for(|all| all.contains(&through))).await.expect("it runs");
}

#[tokio::test]
async fn who_helped_to_find_out_keeps_no_connection_for_that() {
    let nat = |options: &mut NetworkOptions| options.nat = true;
    let mut a = Node::new(1, &[TCP], nat).await;
    let mut b = Node::new(2, &[TCP], nat).await;
    befriend(&mut a, &mut b).await;
    // B dials A back where it was seen, and finds it.
    let seen = a.address();
    let connections = |node: &Node| node.network.counters.read().connections;
    until("the probe", || connections(&b) == 2).await;
    until("its end", || (connections(&a), connections(&b)) == (1, 1)).await;
    assert!(a.network.addresses.borrow().contains(&seen));
}
