//! Who may connect at all: nobody who is banned or on the way out, nobody without an Ed25519 key, and not too many of
//! one address.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, DialFailure, FromSwarm, ListenFailure, NetworkBehaviour,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId as Libp2pId, memory_connection_limits};
use lru::LruCache;
use thiserror::Error;

use super::place::ip_of;
use crate::network::PeerId;
use crate::network::address::{Group, Scope};
use crate::network::bucket::TokenBucket;
use crate::network::identity::from_libp2p;
use crate::network::record::{Banned, Record};

/// Handshakes of one address at a time: of a home behind one router, and few enough that somebody who opens thousands
/// keeps nobody else out.
const MAX_PENDING_PER_IP: usize = 8;

/// Connections that one address may open at once, and a minute: whoever comes and goes faster only wears out others.
const ATTEMPTS: (u64, u64) = (32, 60);
/// A peer that was let go is looked for again after this, milliseconds.
const REST_MS: u64 = 10 * 60_000;
/// Addresses whose attempts are remembered, and peers that were let go. Of more, those that came least lately are
/// forgotten.
const MAX_COUNTED: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Denied {
    /// Banned until a time, Unix milliseconds.
    #[error("banned until {0}")]
    Banned(u64),
    /// libp2p knows other keys too.
    #[error("no Ed25519 key")]
    Key,
    /// It was let go: it may come again when it is gone.
    #[error("let go, and not gone yet")]
    Leaving,
    /// As many as may be.
    #[error("{0} peers at one address, and that is the limit")]
    Address(usize),
    /// As many as may be.
    #[error("{0} peers in one network, and that is the limit")]
    Network(usize),
    /// As many as may be.
    #[error("{0} handshakes with one address, and that is the limit")]
    Pending(usize),
    /// Kademlia looks for it again.
    #[error("let go a short time ago")]
    LetGo,
    /// It comes again and again.
    #[error("too many connections from one address in a short time")]
    Hasty,
}

/// Limits by address.
#[derive(Clone, Copy, Debug)]
pub(super) struct GateOptions {
    pub(super) per_ip: usize,
    pub(super) per_group: usize,
    pub(super) strict_local: bool,
    /// Lets nobody in while the process has more memory, bytes.
    pub(super) max_memory_bytes: Option<usize>,
}

/// The gate.
pub(super) struct Gate {
    options: GateOptions,
    record: Record,
    /// Inbound handshakes.
    pending: HashMap<ConnectionId, IpAddr>,
    /// Connections, and where each comes from.
    established: BTreeMap<Libp2pId, HashMap<ConnectionId, IpAddr>>,
    /// Who was let go, and has connections that have not ended yet.
    leaving: HashSet<Libp2pId>,
    attempts: LruCache<Banned, TokenBucket>,
    /// Peers that were let go, and when.
    let_go: LruCache<Libp2pId, u64>,
    memory: Option<memory_connection_limits::Behaviour>,
    refused: u64,
}

/// Now, Unix milliseconds.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Gate {
    pub(super) fn new(options: GateOptions, bans: Vec<(Banned, u64)>) -> Self {
        let mut record = Record::default();
        let now_ms = unix_ms();
        for (who, until_ms) in bans {
            record.ban(who, until_ms, now_ms);
        }
        Self {
            options,
            record,
            pending: HashMap::new(),
            established: BTreeMap::new(),
            leaving: HashSet::new(),
            attempts: LruCache::new(MAX_COUNTED),
            let_go: LruCache::new(MAX_COUNTED),
            memory: options.max_memory_bytes.map(memory_connection_limits::Behaviour::with_max_bytes),
            refused: 0,
        }
    }

    /// Keeps somebody out.
    pub(super) fn ban(&mut self, who: Banned, until_ms: u64) {
        self.record.ban(who, until_ms, unix_ms());
    }

    /// Keeps a peer out, and whoever dials from where it dialled from, unless that is this machine.
    pub(super) fn ban_peer(&mut self, peer: PeerId, inbound: Option<IpAddr>, until_ms: u64) {
        self.ban(Banned::Peer(peer), until_ms);
        let strict = self.options.strict_local;
        if let Some(ip) = inbound.filter(|ip| strict || Scope::of(*ip) != Scope::Loopback) {
            self.ban(Banned::ip(ip), until_ms);
        }
    }

    /// A peer is let go. Kademlia, which knows nothing of that, dials whomever it is told of, time and again in one search.
    pub(super) fn let_go(&mut self, peer: Libp2pId) {
        self.let_go.put(peer, unix_ms());
    }

    /// Whether a peer may be dialled, at these addresses. None are named by Kademlia only.
    fn check_rest(&mut self, peer: Option<&Libp2pId>, addresses: &[Multiaddr]) -> Result<(), Denied> {
        let since = peer.filter(|_| addresses.is_empty()).and_then(|peer| self.let_go.get(peer));
        match since {
            Some(since) if unix_ms().saturating_sub(*since) < REST_MS => Err(Denied::LetGo),
            _ => Ok(()),
        }
    }

    /// Takes no further connection of a peer until those that it has are ended: nobody would hear of it.
    pub(super) fn await_end(&mut self, peer: Libp2pId) {
        self.leaving.insert(peer);
    }

    /// Lets somebody back in.
    pub(super) fn pardon(&mut self, who: &Banned) {
        self.record.pardon(who);
    }

    /// Connections that were refused so far.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    fn check(&self, peer: Option<&Libp2pId>, ip: Option<IpAddr>) -> Result<(), Denied> {
        let id = peer.map(|peer| from_libp2p(peer).ok_or(Denied::Key)).transpose()?;
        match self.record.banned(id.as_ref(), ip, unix_ms()) {
            Some(until_ms) => Err(Denied::Banned(until_ms)),
            None if peer.is_some_and(|peer| self.leaving.contains(peer)) => Err(Denied::Leaving),
            None => Ok(()),
        }
    }

    /// An address that limits go by.
    fn limited(&self, ip: Option<IpAddr>) -> Option<IpAddr> {
        ip.filter(|ip| self.options.strict_local || Scope::of(*ip) == Scope::Public)
    }

    /// Whether one more peer fits at an address. A further connection of one that is there does.
    fn check_room(&self, peer: &Libp2pId, ip: Option<IpAddr>) -> Result<(), Denied> {
        let Some(ip) = self.limited(ip) else { return Ok(()) };
        let there = |fits: &dyn Fn(&IpAddr) -> bool| {
            let others = self.established.iter().filter(|(other, _)| *other != peer);
            others.filter(|(_, connections)| connections.values().any(fits)).count()
        };
        let at_ip = there(&|other| *other == ip);
        if at_ip >= self.options.per_ip {
            return Err(Denied::Address(at_ip));
        }
        let in_group = there(&|other| Group::of(*other) == Group::of(ip));
        if in_group >= self.options.per_group {
            return Err(Denied::Network(in_group));
        }
        Ok(())
    }

    fn check_pending(&self, ip: Option<IpAddr>) -> Result<(), Denied> {
        let Some(ip) = self.limited(ip) else { return Ok(()) };
        let pending = self.pending.values().filter(|other| **other == ip).count();
        if pending >= MAX_PENDING_PER_IP { Err(Denied::Pending(pending)) } else { Ok(()) }
    }

    fn check_haste(&mut self, ip: Option<IpAddr>) -> Result<(), Denied> {
        let Some(ip) = self.limited(ip) else { return Ok(()) };
        let now_ms = unix_ms();
        let fresh = || TokenBucket::new(ATTEMPTS.0, ATTEMPTS.1, now_ms);
        let attempts = self.attempts.get_or_insert_mut(Banned::ip(ip), fresh);
        if attempts.take(1, now_ms) { Ok(()) } else { Err(Denied::Hasty) }
    }

    fn counted<T>(&mut self, result: Result<T, Denied>) -> Result<T, ConnectionDenied> {
        result.map_err(|denied| {
            self.refused += 1;
            ConnectionDenied::new(denied)
        })
    }

    /// Peers that are connected.
    #[cfg(test)]
    fn peers(&self) -> std::collections::BTreeSet<Libp2pId> {
        self.established.keys().copied().collect()
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let ip = ip_of(remote);
        let checked = self.check(None, ip).and_then(|()| self.check_pending(ip)).and_then(|()| self.check_haste(ip));
        self.counted(checked)?;
        // Those that we dial are for us to choose, however little memory is left: a node that dials nobody is alone.
        if let Some(memory) = &mut self.memory {
            let taken = memory.handle_pending_inbound_connection(connection, local, remote);
            taken.inspect_err(|_| self.refused += 1)?;
        }
        if let Some(ip) = ip {
            self.pending.insert(connection, ip);
        }
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Libp2pId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&connection);
        let ip = ip_of(remote);
        let checked = self.check(Some(&peer), ip).and_then(|()| self.check_room(&peer, ip));
        self.counted(checked)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<Libp2pId>,
        addresses: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.check_rest(peer.as_ref(), addresses).map_err(ConnectionDenied::new)?;
        let checked = self.check(peer.as_ref(), None);
        self.counted(checked)?;
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Libp2pId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        // An address ban is for who dials from there: whom we dial, we chose.
        let checked = self.check(Some(&peer), None).and_then(|()| self.check_room(&peer, ip_of(address)));
        self.counted(checked)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                if let Some(ip) = ip_of(established.endpoint.get_remote_address()) {
                    let connections = self.established.entry(established.peer_id).or_default();
                    connections.insert(established.connection_id, ip);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, remaining_established, .. }) => {
                if remaining_established == 0 {
                    self.leaving.remove(&peer_id);
                }
                if let Some(connections) = self.established.get_mut(&peer_id) {
                    connections.remove(&connection_id);
                    if connections.is_empty() {
                        self.established.remove(&peer_id);
                    }
                }
            }
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. })
            | FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.pending.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: Libp2pId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
