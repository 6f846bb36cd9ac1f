use libp2p::core::ConnectedPoint;
use libp2p::swarm::behaviour::ConnectionEstablished;

use super::*;
use crate::network::identity::Identity;

const STRICT: GateOptions = GateOptions { per_ip: 2, per_group: 3, strict_local: true, max_memory_bytes: None };

fn peer(n: u8) -> Libp2pId {
    crate::network::identity::to_libp2p(Identity::from_secret([n; 32]).peer_id())
}

fn at(text: &str) -> Multiaddr {
    text.parse().expect("an address")
}

struct Door {
    gate: Gate,
    next: usize,
    connections: HashMap<Libp2pId, (ConnectionId, ConnectedPoint)>,
}

impl Door {
    fn new(options: GateOptions, bans: Vec<(Banned, u64)>) -> Self {
        Self { gate: Gate::new(options, bans), next: 0, connections: HashMap::new() }
    }

    fn knock(&mut self, remote: &str) -> Result<ConnectionId, Denied> {
        self.next += 1;
        let connection = ConnectionId::new_unchecked(self.next);
        let local = at("/ip4/127.0.0.1/tcp/1");
        let result = self.gate.handle_pending_inbound_connection(connection, &local, &at(remote));
        result.map(|()| connection).map_err(|denied| *denied.downcast_ref::<Denied>().expect("ours"))
    }

    fn enter(&mut self, n: u8, remote: &str) -> Result<(), Denied> {
        let connection = self.knock(remote)?;
        let (local, remote) = (at("/ip4/127.0.0.1/tcp/1"), at(remote));
        let result = self.gate.handle_established_inbound_connection(connection, peer(n), &local, &remote);
        result.map_err(|denied| *denied.downcast_ref::<Denied>().expect("ours"))?;
        let endpoint = ConnectedPoint::Listener { local_addr: local, send_back_addr: remote };
        self.gate.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer(n),
            connection_id: connection,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 0,
        }));
        self.connections.insert(peer(n), (connection, endpoint));
        Ok(())
    }

    fn leave(&mut self, n: u8) {
        let (connection, endpoint) = self.connections.remove(&peer(n)).expect("it is there");
        self.gate.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: peer(n),
            connection_id: connection,
            endpoint: &endpoint,
            cause: None,
            remaining_established: 0,
        }));
    }
}

#[test]
fn addresses_and_networks_have_limits_and_ipv6_clothes_do_not_help() {
    let mut door = Door::new(GateOptions { strict_local: false, ..STRICT }, Vec::new());
    assert_eq!(door.enter(1, "/ip4/93.1.1.1/tcp/1"), Ok(()));
    assert_eq!(door.enter(2, "/ip6/::ffff:93.1.1.1/udp/2/quic-v1"), Ok(()));
    assert_eq!(door.enter(3, "/ip4/93.1.1.1/tcp/3"), Err(Denied::Address(2)));
    // One that is there may have another connection.
    assert_eq!(door.enter(1, "/ip4/93.1.1.1/tcp/9"), Ok(()));
    assert_eq!(door.enter(4, "/ip4/93.1.1.4/tcp/3"), Ok(()));
    assert_eq!(door.enter(5, "/ip4/93.1.1.5/tcp/3"), Err(Denied::Network(3)));
    assert_eq!(door.enter(6, "/ip4/93.1.2.5/tcp/3"), Ok(()));
    // This machine has none, unless it is to have.
    for n in 10..20 {
        assert_eq!(door.enter(n, "/ip4/127.0.0.1/tcp/3"), Ok(()));
    }
    door.leave(2);
    assert_eq!(door.enter(7, "/ip4/93.1.1.1/tcp/3"), Ok(()));
    assert_eq!(door.gate.refused(), 2);
    assert!(door.gate.peers().contains(&peer(7)));
    let mut strict = Door::new(STRICT, Vec::new());
    assert!((1..3).all(|n| strict.enter(n, "/ip4/127.0.0.1/tcp/3").is_ok()));
    assert_eq!(strict.enter(3, "/ip4/127.0.0.1/tcp/3"), Err(Denied::Address(2)));
}

#[test]
fn handshakes_of_one_address_have_a_limit() {
    let mut door = Door::new(STRICT, Vec::new());
    let pending: Vec<_> = (0..MAX_PENDING_PER_IP).map(|_| door.knock("/ip4/93.1.1.1/tcp/1").expect("room")).collect();
    assert_eq!(door.knock("/ip4/93.1.1.1/tcp/1"), Err(Denied::Pending(MAX_PENDING_PER_IP)));
    assert!(door.knock("/ip4/93.1.1.2/tcp/1").is_ok());
    // One of them comes to nothing.
    let (local, remote) = (at("/ip4/127.0.0.1/tcp/1"), at("/ip4/93.1.1.1/tcp/1"));
    door.gate.on_swarm_event(FromSwarm::ListenFailure(ListenFailure {
        local_addr: &local,
        send_back_addr: &remote,
        error: &libp2p::swarm::ListenError::Aborted,
        connection_id: pending[0],
        peer_id: None,
    }));
    assert!(door.knock("/ip4/93.1.1.1/tcp/1").is_ok());
}

#[test]
fn who_comes_again_and_again_has_to_wait() {
    let mut door = Door::new(STRICT, Vec::new());
    let mut taken = 0;
    for round in 0..200 {
        // Of IPv6 the /64 is one.
        let denied = door.enter(1, &format!("/ip6/2001:db8::{round:x}/tcp/1")).err();
        if denied.is_none() {
            door.leave(1);
            taken += 1;
        } else {
            assert_eq!(denied, Some(Denied::Hasty));
        }
    }
    assert!((32..40).contains(&taken), "{taken}");
    assert_eq!(door.enter(2, "/ip6/2001:db8:0:1::1/tcp/1"), Ok(()), "others are not concerned");
}

#[test]
fn who_is_banned_does_not_enter_by_key_or_by_address() {
    let later = unix_ms() + 60_000;
    let banned = Identity::from_secret([1; 32]).peer_id();
    let ip = |text: &str| Banned::ip(text.parse().expect("an address"));
    let bans = vec![(Banned::Peer(banned), later), (ip("2001:db8::7"), later), (ip("93.9.9.9"), 1)];
    let mut door = Door::new(STRICT, bans);
    assert_eq!(door.enter(1, "/ip4/93.1.1.1/tcp/1"), Err(Denied::Banned(later)));
    assert_eq!(door.enter(2, "/ip6/2001:db8::8/tcp/1"), Err(Denied::Banned(later)));
    assert_eq!(door.enter(2, "/ip4/93.9.9.9/tcp/1"), Ok(()), "that was long ago");
    let out = |gate: &mut Gate, n| {
        gate.handle_pending_outbound_connection(ConnectionId::new_unchecked(99), Some(peer(n)), &[], Endpoint::Dialer)
    };
    assert!(out(&mut door.gate, 1).is_err() && out(&mut door.gate, 3).is_ok());
    door.gate.pardon(&Banned::Peer(banned));
    assert_eq!(door.enter(1, "/ip4/93.1.1.1/tcp/1"), Ok(()));
    // With a peer goes its address, if it dialled us.
    let other = Identity::from_secret([5; 32]).peer_id();
    door.gate.ban_peer(other, Some([93, 2, 2, 2].into()), later);
    assert_eq!(door.enter(6, "/ip4/93.2.2.2/tcp/1"), Err(Denied::Banned(later)));
    let mut lenient = Door::new(GateOptions { strict_local: false, ..STRICT }, Vec::new());
    lenient.gate.ban_peer(other, Some([127, 0, 0, 1].into()), later);
    assert_eq!(lenient.enter(5, "/ip4/127.0.0.1/tcp/1"), Err(Denied::Banned(later)));
    assert_eq!(lenient.enter(6, "/ip4/127.0.0.1/tcp/1"), Ok(()), "others of this machine are not concerned");
}

#[test]
fn who_was_let_go_is_dialled_where_somebody_says_so_and_not_for_a_search() {
    let mut gate = Gate::new(STRICT, Vec::new());
    let dial = |gate: &mut Gate, n, addresses: &[Multiaddr]| {
        let id = ConnectionId::new_unchecked(99);
        let result = gate.handle_pending_outbound_connection(id, Some(peer(n)), addresses, Endpoint::Dialer);
        result.map(|_| ()).map_err(|denied| *denied.downcast_ref::<Denied>().expect("ours"))
    };
    assert_eq!(dial(&mut gate, 1, &[]), Ok(()));
    gate.let_go(peer(1));
    assert_eq!(dial(&mut gate, 1, &[]), Err(Denied::LetGo));
    assert_eq!(dial(&mut gate, 1, &[at("/ip4/93.1.1.1/tcp/1")]), Ok(()));
    assert_eq!(dial(&mut gate, 2, &[]), Ok(()), "others are not concerned");
    gate.let_go.put(peer(1), unix_ms() - REST_MS);
    assert_eq!(dial(&mut gate, 1, &[]), Ok(()));
}

#[test]
fn who_was_let_go_comes_again_when_it_is_gone() {
    let mut door = Door::new(STRICT, Vec::new());
    assert_eq!(door.enter(1, "/ip4/93.1.1.1/tcp/1"), Ok(()));
    assert_eq!(door.enter(2, "/ip4/93.1.2.1/tcp/1"), Ok(()));
    door.gate.await_end(peer(1));
    let out = |gate: &mut Gate, n| {
        gate.handle_pending_outbound_connection(ConnectionId::new_unchecked(99), Some(peer(n)), &[], Endpoint::Dialer)
    };
    assert_eq!(door.enter(1, "/ip4/93.1.1.1/tcp/2"), Err(Denied::Leaving));
    assert!(out(&mut door.gate, 1).is_err() && out(&mut door.gate, 2).is_ok());
    assert_eq!(door.enter(2, "/ip4/93.1.2.1/tcp/2"), Ok(()), "others are not concerned");
    door.leave(1);
    assert!(out(&mut door.gate, 1).is_ok());
    assert_eq!(door.enter(1, "/ip4/93.1.1.1/tcp/2"), Ok(()));
}

#[test]
fn only_ed25519_keys_enter() {
    // The hash of a longer key, as an RSA one has.
    let hashed = [&[0x12, 0x20][..], &[7; 32]].concat();
    let other = Libp2pId::from_bytes(&hashed).expect("a peer id");
    let mut gate = Gate::new(STRICT, Vec::new());
    let (local, remote) = (at("/ip4/127.0.0.1/tcp/1"), at("/ip4/93.1.1.1/tcp/1"));
    let denied = gate.handle_established_inbound_connection(ConnectionId::new_unchecked(1), other, &local, &remote);
    let denied = denied.err().expect("denied");
    assert_eq!(denied.downcast_ref::<Denied>(), Some(&Denied::Key));
}
