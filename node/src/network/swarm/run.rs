//! The network's task.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::gossipsub::{MessageAcceptance, PublishError};
use libp2p::identify;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, Swarm};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::behaviour::Behaviour;
use super::codec::Frame;
use super::inputs::Outlet;
use super::metrics::{NetworkCounters, add};
use super::relays::Relays;
use super::requests::{Asked, Tickets};
use super::topics::{Topics, message_id};
use super::ways::Ways;
use super::{Command, NetworkOptions, place};
use crate::chain::{BlockId, encode};
use crate::network::PeerId;
use crate::network::address::Scope;
use crate::network::bucket::TokenBucket;
use crate::network::identity::to_libp2p;
use crate::network::message::{Gossip, MAX_GOSSIP_BYTES, MAX_RESPONSE_BYTES, Request, Response};
use crate::participant::{Input, RequestFailure, RequestId, Ticket, Verdict};

/// Events that must not be lost and wait for room: with as many the swarm rests.
const MAX_PENDING: usize = 4096;
/// Between two searches for peers, while there are too few.
const SEARCH: Duration = Duration::from_secs(60);
/// A search comes so soon after somebody was met who can be asked, and no sooner after the one before.
const SEARCH_SOON: Duration = Duration::from_secs(1);
/// Gossip that one peer may send at once, and a minute: twice of what the busiest chain has. What is beyond is not
/// even read, and its sender pays.
pub(super) const GOSSIP: (u64, u64) = (16_384, 600_000);

/// A peer that is connected.
#[derive(Debug)]
pub(super) struct Connected {
    /// Where it dialled from, if it did.
    pub(super) inbound: Option<IpAddr>,
    pub(super) outbound: bool,
    /// From how far it is connected: what it says of nearer places is of others.
    pub(super) scope: Scope,
    pub(super) ways: Ways,
    pub(super) gossip: TokenBucket,
    pub(super) introduction: Introduction,
    /// How often it was told of as one that sends what is no message.
    pub(super) accusations: u32,
}

/// What a peer says of itself by identify.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    /// Its HELLO was answered.
    pub(super) greeted: bool,
    /// It answered ours.
    pub(super) greets: bool,
    /// What it said before that, the last of it.
    pub(super) early: Option<Box<identify::Info>>,
    /// How often it was listened to.
    pub(super) heard: u32,
}

/// All that the task holds.
pub(super) struct Runner {
    pub(super) swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    pub(super) outlet: Outlet,
    pub(super) told: watch::Sender<Vec<String>>,
    pub(super) counters: Arc<NetworkCounters>,
    pub(super) topics: Topics,
    /// Events that must not be lost, on their way to the participant.
    pub(super) pending: VecDeque<Input>,
    pub(super) asked: Asked,
    pub(super) tickets: Tickets,
    /// What was dialled, in the words of who asked for it.
    pub(super) dials: HashMap<ConnectionId, String>,
    pub(super) connected: HashMap<PeerId, Connected>,
    pub(super) genesis: BlockId,
    outbound: usize,
    next_search: Instant,
    pub(super) relays: Relays,
    /// What time is counted from for buckets.
    pub(super) started: Instant,
}

impl Runner {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        commands: mpsc::Receiver<Command>,
        outlet: Outlet,
        told: watch::Sender<Vec<String>>,
        counters: Arc<NetworkCounters>,
        options: &NetworkOptions,
    ) -> Self {
        Self {
            swarm,
            commands,
            outlet,
            told,
            counters,
            topics: Topics::new(&options.genesis),
            pending: VecDeque::new(),
            asked: Asked::default(),
            tickets: Tickets::default(),
            dials: HashMap::new(),
            connected: HashMap::new(),
            genesis: options.genesis,
            outbound: options.outbound,
            next_search: Instant::now() + SEARCH,
            relays: Relays::default(),
            started: Instant::now(),
        }
    }

    /// Runs until nobody can send commands any more, or nobody listens.
    pub(super) async fn run(mut self) {
        let control = self.outlet.control.clone();
        loop {
            let deadline = self.asked.next_deadline();
            let next_relay = self.relays.next_try();
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                room = control.reserve(), if !self.pending.is_empty() => match room {
                    Ok(room) => if let Some(input) = self.pending.pop_front() {
                        room.send(input);
                    },
                    Err(_) => return,
                },
                () = tokio::time::sleep_until(deadline.unwrap_or(self.started)), if deadline.is_some() => self.overdue(),
                event = self.swarm.select_next_some(), if self.pending.len() < MAX_PENDING => self.event(event),
                () = tokio::time::sleep_until(next_relay.unwrap_or(self.started)), if next_relay.is_some() => self.ask_relays(),
                () = tokio::time::sleep_until(self.next_search) => self.search(),
            }
        }
    }

    /// Milliseconds since the start.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Request { peer, id, request, timeout } => self.ask(peer, id, &request, timeout),
            Command::Respond { ticket, response } => self.respond(ticket, &response),
            Command::Publish(gossip) => self.publish(&gossip),
            Command::Judge { peer, id, verdict } => {
                let acceptance = match verdict {
                    Verdict::Accept => MessageAcceptance::Accept,
                    Verdict::Ignore => MessageAcceptance::Ignore,
                    Verdict::Reject => MessageAcceptance::Reject,
                };
                let gossip = &mut self.swarm.behaviour_mut().gossip;
                gossip.report_message_validation_result(&message_id(id), &to_libp2p(peer), acceptance);
            }
            Command::Dial { peer, address } => self.dial(peer, address),
            Command::Disconnect { peer, banned_until_ms } => {
                if let Some(until_ms) = banned_until_ms {
                    let inbound = self.connected.get(&peer).and_then(|connected| connected.inbound);
                    self.swarm.behaviour_mut().gate.ban_peer(peer, inbound, until_ms);
                }
                let id = to_libp2p(peer);
                self.swarm.behaviour_mut().gate.let_go(id);
                // An error says that it is gone already.
                if self.swarm.disconnect_peer_id(id).is_ok() {
                    self.swarm.behaviour_mut().gate.await_end(id);
                }
            }
            Command::Ban { who, until_ms } => self.swarm.behaviour_mut().gate.ban(who, until_ms),
            Command::Pardon(who) => self.swarm.behaviour_mut().gate.pardon(&who),
        }
    }

    fn ask(&mut self, peer: PeerId, id: RequestId, request: &Request, timeout: Duration) {
        let to = to_libp2p(peer);
        let failure = match () {
            // Otherwise libp2p would look for a way to it.
            () if !self.swarm.is_connected(&to) => Some(RequestFailure::Disconnected),
            () if !self.asked.fits(peer) => Some(RequestFailure::Timeout),
            () => None,
        };
        if let Some(failure) = failure {
            self.pending.push_back(Input::Response { peer, id, result: Err(failure) });
            return;
        }
        let bytes = encode(request);
        add(&self.counters.sent_bytes, bytes.len());
        let question = Frame::Question(bytes, request.max_response_bytes());
        let sent = self.swarm.behaviour_mut().exchange.send_request(&to, question);
        self.asked.insert(sent, peer, id, timeout);
    }

    fn overdue(&mut self) {
        while let Some(ours) = self.asked.overdue() {
            let result = Err(RequestFailure::Timeout);
            self.pending.push_back(Input::Response { peer: ours.peer, id: ours.id, result });
        }
    }

    fn respond(&mut self, ticket: Ticket, response: &Response) {
        let Some(theirs) = self.tickets.close(ticket) else { return };
        let mut bytes = encode(response);
        if bytes.len() > MAX_RESPONSE_BYTES || !self.tickets.hold(&theirs, bytes.len()) {
            add(&self.counters.refused_answers, 1);
            bytes = encode(&Response::Refused);
        }
        add(&self.counters.sent_bytes, bytes.len());
        if matches!(response, Response::Hello(_)) {
            self.greeted(theirs.peer);
        }
        // An error says that the question is over; that is told as an event.
        let _ = self.swarm.behaviour_mut().exchange.send_response(theirs.channel, Frame::Bytes(bytes));
    }

    fn publish(&mut self, gossip: &Gossip) {
        let bytes = encode(gossip);
        if bytes.len() > MAX_GOSSIP_BYTES {
            tracing::error!(bytes = bytes.len(), limit = MAX_GOSSIP_BYTES, "a message too long to be published");
            return;
        }
        let (topic, length) = (self.topics.of(gossip).clone(), bytes.len());
        match self.swarm.behaviour_mut().gossip.publish(topic, bytes) {
            Ok(_) => {
                add(&self.counters.gossip_published, 1);
                add(&self.counters.sent_bytes, length);
            }
            // Nobody is there yet, or they had it before us.
            Err(PublishError::NoPeersSubscribedToTopic | PublishError::Duplicate) => {}
            Err(error) => tracing::warn!(%error, length, "a message was not published"),
        }
    }

    fn dial(&mut self, peer: Option<PeerId>, address: String) {
        let dialled = place::parse(&address).ok().and_then(|parsed| {
            let options: DialOpts = match peer {
                Some(peer) => DialOpts::peer_id(to_libp2p(peer))
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(vec![parsed])
                    .build(),
                None => DialOpts::unknown_peer_id().address(parsed).build(),
            };
            let connection = options.connection_id();
            let dialled = self.swarm.dial(options);
            dialled.inspect_err(|error| tracing::debug!(address, %error, "cannot be dialled")).ok().map(|()| connection)
        });
        match dialled {
            Some(connection) => {
                self.dials.insert(connection, address);
            }
            None => self.pending.push_back(Input::DialFailed { address }),
        }
    }

    /// Somebody was met who can be asked for others.
    pub(super) fn search_soon(&mut self) {
        self.next_search = self.next_search.min(Instant::now() + SEARCH_SOON);
    }

    /// Looks for peers, while there are fewer than are to be dialled.
    fn search(&mut self) {
        self.next_search = Instant::now() + SEARCH;
        let outbound = self.connected.values().filter(|connected| connected.outbound).count();
        if outbound >= self.outbound || self.connected.is_empty() {
            return;
        }
        if let Some(kademlia) = self.swarm.behaviour_mut().kademlia.as_mut() {
            kademlia.get_closest_peers(libp2p::PeerId::random());
        }
    }
}
