//! What libp2p tells, as inputs.

use std::sync::atomic::Ordering;

use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::MessageAcceptance;
use libp2p::request_response::{self, InboundFailure, InboundRequestId, OutboundFailure, ResponseChannel};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, autonat, gossipsub, identify, kad, mdns, ping};
use tokio::time::Instant;

use super::behaviour::{BehaviourEvent, protocol};
use super::codec::Frame;
use super::inputs::Class;
use super::metrics::add;
use super::place::{ip_of, text_of};
use super::run::{Connected, GOSSIP, Introduction, Runner};
use super::topics::gossip_id;
use super::ways::Ways;
use crate::chain::{decode, encode};
use crate::network::PeerId;
use crate::network::address::{PeerAddress, Scope};
use crate::network::bucket::TokenBucket;
use crate::network::identity::{from_libp2p, to_libp2p};
use crate::network::message::{Gossip, MAX_GOSSIP_BYTES, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Request, Response};
use crate::network::offence::Offence;
use crate::participant::{Input, RequestFailure};

/// Most addresses that are taken of one peer at a time.
const MAX_ADDRESSES: usize = 8;
/// Malformed messages of one connection that are told of: one is enough for a ban, and what is on its way until then adds
/// nothing to it.
const MAX_ACCUSATIONS: u32 = 8;
/// How often in one connection: addresses do change, but not for ever.
const MAX_INTRODUCTIONS: u32 = 16;

/// Whether an address, as text, can be reached from `scope`.
fn is_within(address: &str, scope: Scope) -> bool {
    PeerAddress::parse(address).is_ok_and(|address| address.scope() >= scope)
}

impl Runner {
    pub(super) fn event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        if matches!(event, SwarmEvent::IncomingConnectionError { .. } | SwarmEvent::OutgoingConnectionError { .. }) {
            let refused = self.swarm.behaviour().gate.refused();
            self.counters.refused.store(refused, Ordering::Relaxed);
        }
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, num_established, .. } => {
                if let Some(peer) = from_libp2p(&peer_id) {
                    add(&self.counters.connections, 1);
                    self.established(peer, peer_id, connection_id, &endpoint, num_established.get() == 1);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                if let Some(peer) = from_libp2p(&peer_id) {
                    self.counters.connections.fetch_sub(1, Ordering::Relaxed);
                    if num_established == 0 {
                        self.connected.remove(&peer);
                        self.swarm.behaviour_mut().gossip.remove_blacklisted_peer(&peer_id);
                        self.pending.push_back(Input::Disconnected { peer });
                    } else if let Some(connected) = self.connected.get_mut(&peer) {
                        connected.ways.closed(connection_id);
                    }
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(address) = self.dials.remove(&connection_id) {
                    tracing::debug!(address, %error, "dialled in vain");
                    self.pending.push_back(Input::DialFailed { address });
                }
            }
            SwarmEvent::NewListenAddr { listener_id, .. } => {
                self.relays.held(listener_id);
                self.tell_addresses();
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                self.relays.lost(listener_id, &reason, Instant::now());
                self.tell_addresses();
            }
            SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ExternalAddrConfirmed { .. }
            | SwarmEvent::ExternalAddrExpired { .. } => self.tell_addresses(),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener's error"),
            SwarmEvent::Behaviour(event) => self.behaviour(event),
            _ => {}
        }
    }

    fn established(
        &mut self,
        peer: PeerId,
        id: libp2p::PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
        first: bool,
    ) {
        let dialled = self.dials.remove(&connection);
        if !first {
            // It was here already: whoever asked for another way to it waits for an answer.
            self.pending.extend(dialled.map(|address| Input::DialFailed { address }));
            if let Some(connected) = self.connected.get_mut(&peer) {
                connected.ways.opened(connection, endpoint);
            }
            return;
        }
        let (outbound, remote) = (endpoint.is_dialer(), endpoint.get_remote_address());
        let scope = ip_of(remote).map_or(Scope::Public, Scope::of);
        let mut ways = Ways::default();
        ways.opened(connection, endpoint);
        let address = dialled.unwrap_or_else(|| text_of(remote));
        let inbound = if outbound { None } else { ip_of(remote) };
        let gossip = TokenBucket::new(GOSSIP.0, GOSSIP.1, self.now_ms());
        let introduction = Introduction::default();
        let connected = Connected { inbound, outbound, scope, ways, gossip, introduction, accusations: 0 };
        self.connected.insert(peer, connected);
        self.swarm.behaviour_mut().gossip.blacklist_peer(&id);
        self.pending.push_back(Input::Connected { peer, address, outbound });
    }

    fn tell_addresses(&mut self) {
        let all = self.swarm.listeners().chain(self.swarm.external_addresses());
        let mut all: Vec<_> = all.map(text_of).collect();
        all.sort();
        all.dedup();
        self.told.send_if_modified(|told| {
            let changed = *told != all;
            *told = all;
            changed
        });
    }

    fn behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Exchange(event) => self.exchange(event),
            BehaviourEvent::Gossip(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                let acceptance = self.gossip(propagation_source, &message_id, &message);
                if let Some(acceptance) = acceptance {
                    let gossip = &mut self.swarm.behaviour_mut().gossip;
                    gossip.report_message_validation_result(&message_id, &propagation_source, acceptance);
                }
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.identified(&peer_id, info)
            }
            // The first failure is not told, so this is the second in a row.
            BehaviourEvent::Ping(ping::Event { connection, result: Err(error), .. })
                if !matches!(error, ping::Failure::Unsupported) =>
            {
                tracing::debug!(%connection, %error, "a connection is dead");
                self.swarm.close_connection(connection);
            }
            BehaviourEvent::Ping(ping::Event { peer, connection, result: Ok(_) }) => {
                if let Some(peer) = from_libp2p(&peer) {
                    self.ponged(peer, connection);
                }
            }
            BehaviourEvent::ReachOfOthers(autonat::v2::server::Event { client, .. }) => {
                if let Some(peer) = from_libp2p(&client) {
                    self.probed(peer);
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found.iter().take(MAX_ADDRESSES * MAX_ADDRESSES) {
                    self.discovered(peer, address, Scope::Loopback);
                }
            }
            BehaviourEvent::Kademlia(kad::Event::OutboundQueryProgressed {
                result: kad::QueryResult::GetClosestPeers(Ok(found)),
                ..
            }) => {
                for info in &found.peers {
                    for address in info.addrs.iter().take(MAX_ADDRESSES) {
                        // Strangers say nothing of this machine and its site.
                        self.discovered(&info.peer_id, address, Scope::Public);
                    }
                }
            }
            _ => {}
        }
    }

    /// An address of a peer that can be reached from `scope`. Where there is no room, it is forgotten: it comes again.
    fn discovered(&mut self, peer: &libp2p::PeerId, address: &Multiaddr, scope: Scope) {
        let text = text_of(address);
        if let Some(peer) = from_libp2p(peer).filter(|_| is_within(&text, scope)) {
            let bytes = text.len();
            self.outlet.offer(Class::Transaction, Input::Discovered { peer, address: text }, bytes);
        }
    }

    /// A peer says where it listens, and what it speaks. Nobody is listened to before HELLO, nor again and again.
    fn identified(&mut self, peer: &libp2p::PeerId, info: identify::Info) {
        let Some(connected) = from_libp2p(peer).and_then(|peer| self.connected.get_mut(&peer)) else { return };
        let introduction = &mut connected.introduction;
        if !introduction.greeted {
            introduction.early = Some(Box::new(info));
            return;
        }
        if introduction.heard >= MAX_INTRODUCTIONS {
            return;
        }
        introduction.heard += 1;
        let speaks_kademlia = info.protocols.contains(&protocol(&self.genesis, "kademlia"));
        let addresses = info.listen_addrs.iter().take(MAX_ADDRESSES);
        if let Some(kademlia) = self.swarm.behaviour_mut().kademlia.as_mut().filter(|_| speaks_kademlia) {
            // What it has said before is over: the list of one peer has no bound there.
            kademlia.remove_peer(peer);
            // Others are told of it, and dial all at once: in the midst of that, whoever dials itself has dialled in vain.
            let scope = connected.scope;
            addresses.clone().filter(|address| is_within(&text_of(address), scope)).for_each(|address| {
                kademlia.add_address(peer, address.clone());
            });
            self.search_soon();
        }
        addresses.for_each(|address| self.discovered(peer, address, Scope::Loopback));
    }

    /// HELLO was answered: what a peer said of itself before is heard now.
    pub(super) fn greeted(&mut self, peer: PeerId) {
        let id = to_libp2p(peer);
        self.swarm.behaviour_mut().gossip.remove_blacklisted_peer(&id);
        let Some(connected) = self.connected.get_mut(&peer) else { return };
        connected.introduction.greeted = true;
        if let Some(info) = connected.introduction.early.take() {
            self.identified(&id, *info);
        }
        self.straighten(peer);
    }

    /// A gossip: what becomes of it, if that is known at once.
    fn gossip(
        &mut self,
        from: libp2p::PeerId,
        id: &gossipsub::MessageId,
        message: &gossipsub::Message,
    ) -> Option<MessageAcceptance> {
        add(&self.counters.gossip_received, 1);
        add(&self.counters.received_bytes, message.data.len());
        let Some((peer, id)) = from_libp2p(&from).zip(gossip_id(id)) else { return Some(MessageAcceptance::Ignore) };
        let now_ms = self.now_ms();
        let connected = self.connected.get_mut(&peer);
        if !connected.is_some_and(|connected| connected.gossip.take(1, now_ms)) {
            self.flooded(peer, now_ms);
            return Some(MessageAcceptance::Ignore);
        }
        let decoded = decode::<Gossip>("gossip", &message.data, MAX_GOSSIP_BYTES).ok();
        // What stands in the wrong topic is not what it says.
        let Some(decoded) = decoded.filter(|decoded| *self.topics.of(decoded) == message.topic) else {
            self.malformed(peer);
            return Some(MessageAcceptance::Reject);
        };
        let class = Class::of_gossip(&decoded);
        if self.outlet.offer(class, Input::Gossip { peer, id, message: decoded }, message.data.len()) {
            return None;
        }
        add(&self.counters.dropped[class.index()], 1);
        Some(MessageAcceptance::Ignore)
    }

    /// More gossip than any chain has: the sender pays, for each burst once.
    fn flooded(&mut self, peer: PeerId, now_ms: u64) {
        if let Some(connected) = self.connected.get_mut(&peer) {
            // The next burst is a quarter of the first.
            connected.gossip = TokenBucket::new(GOSSIP.0 / 4, GOSSIP.1, now_ms);
            self.pending.push_back(Input::Offence { peer, offence: Offence::Flood });
        }
    }

    fn malformed(&mut self, peer: PeerId) {
        add(&self.counters.malformed, 1);
        let Some(connected) = self.connected.get_mut(&peer) else { return };
        if connected.accusations < MAX_ACCUSATIONS {
            connected.accusations += 1;
            tracing::debug!(%peer, "bytes that are no message");
            self.pending.push_back(Input::Offence { peer, offence: Offence::Malformed });
        }
    }

    fn exchange(&mut self, event: request_response::Event<Frame, Frame>) {
        match event {
            request_response::Event::Message { peer, message, .. } => {
                let Some(peer) = from_libp2p(&peer) else { return };
                match message {
                    request_response::Message::Request { request_id, request, channel } => {
                        self.asked_by(peer, request_id, &request, channel);
                    }
                    request_response::Message::Response { request_id, response } => {
                        let result = self.read_response(peer, response);
                        if let (Ok(Response::Hello(_)), Some(connected)) = (&result, self.connected.get_mut(&peer)) {
                            connected.introduction.greets = true;
                            self.straighten(peer);
                        }
                        if let Some(ours) = self.asked.remove(&request_id) {
                            self.pending.push_back(Input::Response { peer, id: ours.id, result });
                        }
                    }
                }
            }
            request_response::Event::OutboundFailure { request_id, error, .. } => {
                let Some(ours) = self.asked.remove(&request_id) else { return };
                let result = match error {
                    OutboundFailure::Timeout => Err(RequestFailure::Timeout),
                    OutboundFailure::UnsupportedProtocols => Err(RequestFailure::Unsupported),
                    OutboundFailure::DialFailure | OutboundFailure::ConnectionClosed => {
                        Err(RequestFailure::Disconnected)
                    }
                    // The stream ended without an answer, which is one too.
                    OutboundFailure::Io(_) => Ok(Response::Refused),
                };
                self.pending.push_back(Input::Response { peer: ours.peer, id: ours.id, result });
            }
            request_response::Event::InboundFailure { peer, request_id, error, .. } => {
                let unread = self.tickets.end(&request_id);
                // An answer that is not read holds memory.
                if let (true, InboundFailure::Timeout, Some(peer)) = (unread, error, from_libp2p(&peer)) {
                    self.pending.push_back(Input::Offence { peer, offence: Offence::Slow });
                }
            }
            request_response::Event::ResponseSent { request_id, .. } => {
                self.tickets.end(&request_id);
            }
        }
    }

    fn asked_by(&mut self, peer: PeerId, received: InboundRequestId, frame: &Frame, channel: ResponseChannel<Frame>) {
        let decoded = match frame {
            Frame::Bytes(bytes) => {
                add(&self.counters.received_bytes, bytes.len());
                decode::<Request>("request", bytes, MAX_REQUEST_BYTES).ok().map(|request| (request, bytes.len()))
            }
            Frame::Question(..) | Frame::Malformed => None,
        };
        let Some((request, bytes)) = decoded else {
            // The channel is dropped, and with it the stream ends.
            self.malformed(peer);
            return;
        };
        let class = Class::of_request(&request);
        let refused = match self.tickets.open(peer, received, channel) {
            Ok(ticket) if self.outlet.offer(class, Input::Request { peer, ticket, request }, bytes) => return,
            Ok(ticket) => self.tickets.close(ticket).map(|theirs| theirs.channel),
            Err(channel) => Some(channel),
        };
        add(&self.counters.dropped[class.index()], 1);
        if let Some(channel) = refused {
            let frame = Frame::Bytes(encode(&Response::Refused));
            // An error says that the question is over.
            let _ = self.swarm.behaviour_mut().exchange.send_response(channel, frame);
        }
    }

    fn read_response(&mut self, peer: PeerId, frame: Frame) -> Result<Response, RequestFailure> {
        let decoded = match frame {
            Frame::Bytes(bytes) => {
                add(&self.counters.received_bytes, bytes.len());
                decode("response", &bytes, MAX_RESPONSE_BYTES).ok()
            }
            Frame::Question(..) | Frame::Malformed => None,
        };
        decoded.ok_or_else(|| {
            self.malformed(peer);
            RequestFailure::Malformed
        })
    }
}
