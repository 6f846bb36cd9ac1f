use spacetime_node::network::address::PeerAddress;
use spacetime_node::network::message::Tip;
use spacetime_node::network::record::Banned;
use spacetime_node::participant::{Effect, Refused};
use spacetime_node::testing::Fabric;

use super::hand::{Node, peer, place};

#[test]
fn what_an_operator_decides_reaches_the_edge() {
    let mut node = Node::new(&Fabric::default());
    node.befriend(1);
    let until_ms = node.now_ms + 1000;
    // Somebody who is not there, and somebody who is.
    for n in [9, 1] {
        let who = Banned::Peer(peer(n));
        node.participant.ban(who, until_ms, node.now_ms);
        let effects = node.participant.take_effects();
        assert!(matches!(effects[0], Effect::Ban { who: of, until_ms: until } if of == who && until == until_ms));
        assert_eq!(effects.len(), if n == 1 { 2 } else { 1 }, "{effects:?}");
        // The edge bans by what it is told alone: what it banned of itself, no pardon would take back.
        let gone =
            effects.get(1).is_none_or(|effect| matches!(effect, Effect::Disconnect { why: Refused::Unwanted, .. }));
        assert!(gone, "{effects:?}");
        assert!(node.participant.pardon(&who));
        let effects = node.participant.take_effects();
        assert!(matches!(effects[..], [Effect::Pardon(of)] if of == who), "{effects:?}");
    }
}

#[test]
fn whom_an_operator_asks_for_is_kept_though_all_are_there_that_were_to_be() {
    let mut node = Node::with(&Fabric::default(), |options| options.outbound = 2);
    let tip = Tip::from(node.participant.chain().genesis());
    for n in [1, 2] {
        node.greet(n, tip, true);
    }
    let address = PeerAddress::parse(&place(3)).expect("an address");
    node.participant.dial(&address, node.now_ms);
    let effects = node.participant.take_effects();
    assert!(matches!(&effects[..], [Effect::Dial { peer: None, address }] if *address == place(3)), "{effects:?}");
    node.greet(3, tip, true);
    assert_eq!(node.participant.peers().ready().count(), 3);
}
