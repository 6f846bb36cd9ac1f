//! Who is let in, and what is said of who is not.

use spacetime_node::chain::BlockId;
use spacetime_node::network::PeerId;
use spacetime_node::network::identity::Identity;
use spacetime_node::network::message::Request;
use spacetime_node::network::record::Banned;
use spacetime_node::network::swarm::{Command, Network, NetworkOptions};
use spacetime_node::participant::{Input, RequestFailure};

use crate::common::{GENESIS, Node, TCP, befriend, hello, soon};

#[tokio::test]
async fn who_is_banned_is_let_go_and_does_not_come_back() {
    let mut a = Node::new(1, &[], |options| options.strict_local = true).await;
    let mut b = Node::new(2, &[TCP], |options| options.strict_local = true).await;
    befriend(&mut a, &mut b).await;
    let until_ms = u64::MAX;
    b.tell(Command::Disconnect { peer: a.id, banned_until_ms: Some(until_ms) }).await;
    a.wait("the end", |input| matches!(input, Input::Disconnected { .. }).then_some(())).await;
    b.wait("the end", |input| matches!(input, Input::Disconnected { .. }).then_some(())).await;
    // The same again, and somebody else of the same address.
    let mut other = Node::new(3, &[], |_| {}).await;
    for node in [&mut a, &mut other] {
        node.dial(&b).await;
        let address = b.address();
        node.wait("the refusal", |input| match input {
            Input::DialFailed { address: failed } if *failed == address => Some(()),
            Input::Disconnected { .. } => Some(()),
            _ => None,
        })
        .await;
    }
    // B saw nobody: the next thing that happens to it is its own dialling.
    let c = Node::new(4, &[TCP], |_| {}).await;
    b.dial(&c).await;
    assert_eq!(b.connected().await.0, c.id);
}

#[tokio::test]
async fn bans_from_before_hold_from_the_start() {
    let banned = Identity::from_secret([1; 32]).peer_id();
    let b = Node::new(2, &[TCP], |options| options.bans = vec![(Banned::Peer(banned), u64::MAX)]).await;
    let mut a = Node::new(1, &[], |_| {}).await;
    a.dial(&b).await;
    a.wait("the refusal", |input| matches!(input, Input::DialFailed { .. } | Input::Disconnected { .. }).then_some(()))
        .await;
    // After a pardon it is let in.
    b.tell(Command::Pardon(Banned::Peer(banned))).await;
    let mut b = b;
    a.dial(&b).await;
    let (peer, ..) = b.connected().await;
    assert_eq!(peer, a.id);
}

#[tokio::test]
async fn limits_of_one_address_hold_on_sockets() {
    let mut b = Node::new(2, &[TCP], |options| (options.strict_local, options.per_ip) = (true, 2)).await;
    let mut others = Vec::new();
    for secret in 3..6 {
        let mut node = Node::new(secret, &[], |_| {}).await;
        node.dial(&b).await;
        if secret < 5 {
            assert_eq!(b.connected().await.0, node.id);
        } else {
            node.wait("the refusal", |input| {
                matches!(input, Input::DialFailed { .. } | Input::Disconnected { .. }).then_some(())
            })
            .await;
        }
        others.push(node);
    }
}

#[tokio::test]
async fn what_cannot_be_dialled_or_listened_on_is_said() {
    let mut a = Node::new(1, &[TCP], |_| {}).await;
    // Nobody is there, it is no address, somebody else is there, and oneself.
    let b = Node::new(2, &[TCP], |_| {}).await;
    let dials = [
        (None, "/ip4/127.0.0.1/tcp/1".to_owned()),
        (None, "nonsense".to_owned()),
        (Some(PeerId([9; 32])), b.address()),
        (Some(a.id), a.address()),
        (None, a.address()),
    ];
    for (peer, address) in dials {
        a.tell(Command::Dial { peer, address: address.clone() }).await;
        a.wait("the failure", |input| {
            matches!(input, Input::DialFailed { address: failed } if *failed == address).then_some(())
        })
        .await;
    }
    let identity = Identity::from_secret([5; 32]);
    for (listen, reason) in [(a.address(), "cannot listen on"), ("/ip4/1.2.3.4".to_owned(), "neither /tcp/PORT")] {
        let mut options = NetworkOptions::new(GENESIS);
        options.listen = vec![listen];
        let error = Network::start(&identity, &options).await.expect_err("taken").to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn chains_do_not_meet() {
    let mut a = Node::new(1, &[], |options| options.genesis = BlockId([8; 32])).await;
    let mut b = Node::new(2, &[TCP], |_| {}).await;
    a.dial(&b).await;
    a.connected().await;
    b.connected().await;
    let id = a.ask(b.id, Request::Hello(hello())).await;
    assert_eq!(a.answered(id).await, Err(RequestFailure::Unsupported));
}

#[tokio::test]
async fn the_network_ends_with_its_commands() {
    let mut a = Node::new(1, &[], |_| {}).await;
    let mut b = Node::new(2, &[TCP], |_| {}).await;
    befriend(&mut a, &mut b).await;
    let Network { commands, task, .. } = a.network;
    drop(commands);
    soon("the end", task).await.expect("it ends by itself");
    b.wait("the end", |input| matches!(input, Input::Disconnected { peer } if *peer == a.id).then_some(())).await;
}
