//! Several connections with one peer. Those that have served are ended, since nothing here ends by being idle.

use libp2p::core::ConnectedPoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::ConnectionId;

use super::run::Runner;
use crate::network::PeerId;

/// Connections with a peer that are to end before it does.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Those through a relay.
    relayed: Vec<ConnectionId>,
    /// Those that were made to see whether it can be reached.
    probes: Vec<ConnectionId>,
    /// Whether an answer came on another one.
    straight: bool,
}

impl Ways {
    /// A connection is there.
    pub(super) fn opened(&mut self, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let relayed = endpoint.is_relayed();
        // Only AutoNAT's server asks for another port than is listened on.
        let probe = matches!(endpoint, ConnectedPoint::Dialer { port_use: PortUse::New, .. });
        if probe && (relayed || self.relayed.is_empty()) {
            self.probes.push(connection);
        } else if relayed && !self.straight {
            // Who comes through a relay as well probes us, and ends that itself.
            self.relayed.push(connection);
        }
    }

    /// A connection is gone.
    pub(super) fn closed(&mut self, connection: ConnectionId) {
        self.relayed.retain(|other| *other != connection);
        self.probes.retain(|other| *other != connection);
    }

    /// An answer came on a connection.
    fn answered(&mut self, connection: ConnectionId) {
        self.straight |= !self.relayed.contains(&connection) && !self.probes.contains(&connection);
    }

    /// It is known whether the peer can be reached: what was made for that is over.
    fn probed(&mut self) -> Vec<ConnectionId> {
        std::mem::take(&mut self.probes)
    }

    /// What a straight way has made needless.
    fn needless(&mut self) -> Vec<ConnectionId> {
        if self.straight { std::mem::take(&mut self.relayed) } else { Vec::new() }
    }
}

impl Runner {
    /// A ping came back from a peer.
    pub(super) fn ponged(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(connected) = self.connected.get_mut(&peer) {
            connected.ways.answered(connection);
        }
        self.straighten(peer);
    }

    /// Ends what goes through a relay where there is a straight way; not before HELLO both ways, which is not asked again.
    pub(super) fn straighten(&mut self, peer: PeerId) {
        let Some(connected) = self.connected.get_mut(&peer) else { return };
        if !connected.introduction.greeted || !connected.introduction.greets {
            return;
        }
        for connection in connected.ways.needless() {
            tracing::debug!(%peer, "reached straight, no longer through a relay");
            self.swarm.close_connection(connection);
        }
    }

    /// It is known whether a peer can be reached.
    pub(super) fn probed(&mut self, peer: PeerId) {
        let probes = self.connected.get_mut(&peer).map(|connected| connected.ways.probed());
        for connection in probes.into_iter().flatten() {
            self.swarm.close_connection(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use libp2p::core::Endpoint;

    use super::*;

    const RELAY: &str = "/ip4/93.1.1.1/tcp/1/p2p-circuit";
    const STRAIGHT: &str = "/ip4/93.1.1.1/tcp/1";

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn to(address: &str, port_use: PortUse) -> ConnectedPoint {
        let address = address.parse().expect("an address");
        ConnectedPoint::Dialer { address, role_override: Endpoint::Dialer, port_use }
    }

    #[test]
    fn a_way_through_a_relay_ends_when_a_straight_one_answers() {
        let mut ways = Ways::default();
        ways.opened(connection(1), &to(RELAY, PortUse::Reuse));
        ways.answered(connection(1));
        assert_eq!(ways.needless(), []);
        ways.opened(connection(2), &to(STRAIGHT, PortUse::Reuse));
        assert_eq!(ways.needless(), [], "it may come to nothing yet");
        ways.answered(connection(2));
        assert_eq!(ways.needless(), [connection(1)]);
        assert_eq!(ways.needless(), []);
    }

    #[test]
    fn a_probe_ends_when_it_is_over_unless_there_is_no_other_straight_way() {
        let mut ways = Ways::default();
        ways.opened(connection(1), &to(STRAIGHT, PortUse::Reuse));
        ways.opened(connection(2), &to(STRAIGHT, PortUse::New));
        ways.opened(connection(3), &to(RELAY, PortUse::New));
        ways.opened(connection(4), &to(STRAIGHT, PortUse::New));
        ways.closed(connection(4));
        assert_eq!(ways.probed(), [connection(2), connection(3)]);
        let mut ways = Ways::default();
        ways.opened(connection(1), &to(RELAY, PortUse::Reuse));
        ways.opened(connection(2), &to(STRAIGHT, PortUse::New));
        ways.answered(connection(2));
        assert_eq!((ways.probed(), ways.needless()), (vec![], vec![connection(1)]));
    }
}
