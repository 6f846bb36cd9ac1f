use spacetime_node::network::record::Banned;
use spacetime_node::participant::{Effect, Refused};
use spacetime_node::testing::Fabric;

use super::hand::{Node, peer};

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
