//! One peer of libp2p with one connection, which says whatever it is told to.

use std::collections::HashMap;
use std::error::Error;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use borsh::BorshSerialize;
use futures::StreamExt;
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, PublishError, ValidationMode};
use libp2p::identity::Keypair;
use libp2p::request_response::{self, OutboundRequestId, ProtocolSupport, ResponseChannel};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{NetworkBehaviour, StreamProtocol, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, SwarmBuilder, noise, tcp, yamux};
use spacetime_node::chain::{BlockId, Capped, decode};
use spacetime_node::network::message::{
    Gossip, GossipId, Hello, MAX_GOSSIP_BYTES, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, PROTOCOL_VERSION, Request,
    Response, Tip,
};
use tokio::time::Instant;

use crate::passage;
use crate::wire::{RawCodec, framed};

/// A question or a handshake takes no longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

#[derive(NetworkBehaviour)]
struct Behaviour {
    exchange: request_response::Behaviour<RawCodec>,
    gossip: gossipsub::Behaviour,
}

/// How a question is answered.
pub(crate) enum Reply {
    /// As a peer without a chain would.
    Usual,
    /// By this.
    Answer(Response),
    /// By these bytes, length and all.
    Raw(Vec<u8>),
    /// Not at all.
    Silence,
}

/// Decides how questions are answered.
type Manners = Box<dyn FnMut(&Request) -> Reply>;

/// The topics of gossip.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Topic {
    Proposal,
    Submission,
    Transaction,
}

/// A peer.
pub(crate) struct Peer {
    swarm: Swarm<Behaviour>,
    codec: RawCodec,
    /// Where it comes from, if that is chosen.
    from: Option<IpAddr>,
    genesis: BlockId,
    /// What it says that its chain is.
    pub(crate) tip: Tip,
    manners: Manners,
    /// Whom it is connected with.
    node: Option<PeerId>,
    /// Answers, or that there is none.
    answers: HashMap<OutboundRequestId, Option<Vec<u8>>>,
    /// Questions that are left open.
    unanswered: Vec<ResponseChannel<Vec<u8>>>,
    /// Where the node says its chain ends.
    pub(crate) told: Option<Tip>,
    /// HELLOs that the node asked.
    greetings: u32,
    /// Why there is no connection any more.
    ended: Option<String>,
    /// Topics that the node listens to.
    topics: u32,
    /// Messages that the node forwarded.
    pub(crate) gossip_heard: u64,
}

/// Now, Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set").as_millis() as u64
}

/// What a message is in borsh.
pub(crate) fn encoded(message: &impl BorshSerialize) -> Vec<u8> {
    borsh::to_vec(message).expect("memory has room")
}

fn topic(genesis: &BlockId, topic: Topic) -> IdentTopic {
    let name = match topic {
        Topic::Proposal => "proposal",
        Topic::Submission => "submission",
        Topic::Transaction => "transaction",
    };
    IdentTopic::new(format!("spacetime/{}/{name}/1", const_hex::encode(genesis.0)))
}

fn gossip(genesis: &BlockId) -> Result<gossipsub::Behaviour, Box<dyn Error + Send + Sync>> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(format!("/spacetime/{}/gossip", const_hex::encode(genesis.0)))
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(|message| gossipsub::MessageId::from(GossipId::of(&message.data).0.to_vec()))
        .max_transmit_size(2 * MAX_GOSSIP_BYTES)
        .connection_handler_queue_len(100_000)
        .build()?;
    let mut gossip = gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config)?;
    for one in [Topic::Proposal, Topic::Submission, Topic::Transaction] {
        gossip.subscribe(&topic(genesis, one))?;
    }
    Ok(gossip)
}

impl Peer {
    /// A peer on the chain of `genesis`, whose key is of `secret`. It comes from the address `from`, if one is named.
    pub(crate) fn new(
        mut secret: [u8; 32],
        genesis: BlockId,
        tip: Tip,
        from: Option<IpAddr>,
    ) -> Result<Self, Box<dyn Error>> {
        let codec = RawCodec::default();
        let protocol = format!("/spacetime/{}/exchange/1", const_hex::encode(genesis.0));
        let protocol = StreamProtocol::try_from_owned(protocol)?;
        let config = request_response::Config::default().with_request_timeout(Duration::from_secs(120));
        let config = config.with_max_concurrent_streams(4096);
        let exchange =
            request_response::Behaviour::with_codec(codec.clone(), [(protocol, ProtocolSupport::Full)], config);
        let multiplexer = || {
            let mut config = yamux::Config::default();
            config.set_max_num_streams(4096);
            config
        };
        let swarm = SwarmBuilder::with_existing_identity(Keypair::ed25519_from_bytes(&mut secret)?)
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, multiplexer)?
            .with_behaviour(|_| Ok(Behaviour { exchange, gossip: gossip(&genesis)? }))?
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3600)))
            .build();
        Ok(Self {
            swarm,
            codec,
            from,
            genesis,
            tip,
            manners: Box::new(|_| Reply::Usual),
            node: None,
            answers: HashMap::new(),
            unanswered: Vec::new(),
            told: None,
            greetings: 0,
            ended: None,
            topics: 0,
            gossip_heard: 0,
        })
    }

    /// Its id, as people see it.
    pub(crate) fn id(&self) -> String {
        self.swarm.local_peer_id().to_string()
    }

    /// From now on questions are answered like this.
    pub(crate) fn behave(&mut self, manners: impl FnMut(&Request) -> Reply + 'static) {
        self.manners = Box::new(manners);
    }

    /// Leaves answers unread from now on.
    pub(crate) fn read_nothing(&self) {
        self.codec.reads_nothing.store(true, Ordering::Relaxed);
    }

    /// Why the connection ended, if it did.
    pub(crate) fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// Connects. False if that is refused.
    pub(crate) async fn connect(&mut self, target: &Multiaddr) -> bool {
        (self.node, self.ended) = (None, None);
        let address = match self.from {
            Some(from) => passage::open(from, target).await.map_err(|error| error.to_string()),
            None => Ok(target.clone()),
        };
        let options = address.map(|address| DialOpts::unknown_peer_id().address(address).build());
        let dialled = options.and_then(|options| self.swarm.dial(options).map_err(|error| error.to_string()));
        if let Err(error) = dialled {
            self.ended = Some(error);
            return false;
        }
        let until = Instant::now() + PATIENCE;
        while self.node.is_none() && self.ended.is_none() && self.step(until).await {}
        self.node.is_some() && self.ended.is_none()
    }

    /// Says HELLO both ways. False if the node does not want it.
    pub(crate) async fn greet(&mut self) -> bool {
        let hello = Request::Hello(self.hello());
        let answer = self.ask(&hello).await;
        let Some(Response::Hello(hello)) = answer else { return false };
        self.told = Some(hello.tip);
        let until = Instant::now() + PATIENCE;
        while (self.greetings == 0 || self.topics < 3) && self.ended.is_none() && self.step(until).await {}
        self.greetings > 0 && self.ended.is_none()
    }

    fn hello(&self) -> Hello {
        Hello {
            version: PROTOCOL_VERSION,
            genesis: self.genesis,
            tip: self.tip,
            capabilities: 3,
            software: Capped::new(b"adversary".to_vec()).expect("it is short"),
            time_ms: now_ms(),
        }
    }

    /// Asks, and waits for the answer; none if there is none.
    pub(crate) async fn ask(&mut self, request: &Request) -> Option<Response> {
        let id = self.send(framed(&encoded(request)))?;
        let until = Instant::now() + PATIENCE;
        while !self.answers.contains_key(&id) && self.ended.is_none() && self.step(until).await {}
        let bytes = self.answers.remove(&id)??;
        decode("answer", &bytes, MAX_RESPONSE_BYTES).ok()
    }

    /// Writes these bytes on a stream for questions.
    pub(crate) fn send(&mut self, bytes: Vec<u8>) -> Option<OutboundRequestId> {
        let node = self.node.filter(|_| self.ended.is_none())?;
        Some(self.swarm.behaviour_mut().exchange.send_request(&node, bytes))
    }

    /// Says that its chain ends here.
    pub(crate) fn tell(&mut self, tip: Tip) {
        self.tip = tip;
        self.send(framed(&encoded(&Request::BlockAccepted(tip))));
    }

    /// Forwards a message. False if there is no room for it now.
    pub(crate) fn publish(&mut self, message: &Gossip) -> bool {
        let place = match message {
            Gossip::Proposal(_) => Topic::Proposal,
            Gossip::Submission(_) => Topic::Submission,
            Gossip::Transaction(_) => Topic::Transaction,
        };
        self.publish_raw(place, encoded(message))
    }

    /// Forwards these bytes.
    pub(crate) fn publish_raw(&mut self, place: Topic, bytes: Vec<u8>) -> bool {
        let place = topic(&self.genesis, place);
        match self.swarm.behaviour_mut().gossip.publish(place, bytes) {
            Ok(_) | Err(PublishError::Duplicate) => true,
            Err(_) => false,
        }
    }

    /// Goes on with whatever comes until a time, or until the connection ends.
    pub(crate) async fn linger(&mut self, until: Instant) {
        while self.ended.is_none() && self.step(until).await {}
    }

    /// One thing that happens, if one does before `until`.
    pub(crate) async fn step(&mut self, until: Instant) -> bool {
        let Ok(event) = tokio::time::timeout_at(until, self.swarm.select_next_some()).await else { return false };
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => self.node = Some(peer_id),
            SwarmEvent::ConnectionClosed { cause, .. } => {
                self.ended = Some(cause.map_or("it was closed".to_owned(), |cause| cause.to_string()));
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => self.ended = Some(error.to_string()),
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Subscribed { .. })) => self.topics += 1,
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message { .. })) => self.gossip_heard += 1,
            SwarmEvent::Behaviour(BehaviourEvent::Exchange(event)) => self.exchange(event),
            _ => {}
        }
        true
    }

    fn exchange(&mut self, event: request_response::Event<Vec<u8>, Vec<u8>>) {
        match event {
            request_response::Event::Message { message, .. } => match message {
                request_response::Message::Request { request, channel, .. } => self.asked(&request, channel),
                request_response::Message::Response { request_id, response } => {
                    self.answers.insert(request_id, Some(response));
                }
            },
            request_response::Event::OutboundFailure { request_id, .. } => {
                self.answers.insert(request_id, None);
            }
            _ => {}
        }
    }

    fn asked(&mut self, bytes: &[u8], channel: ResponseChannel<Vec<u8>>) {
        let Ok(request) = decode::<Request>("question", bytes, MAX_REQUEST_BYTES) else { return };
        match &request {
            Request::Hello(hello) => {
                self.told = Some(hello.tip);
                self.greetings += 1;
            }
            Request::BlockAccepted(tip) => self.told = Some(*tip),
            Request::NewChallenge(challenge) => self.told = Some(challenge.tip),
            _ => {}
        }
        let bytes = match (self.manners)(&request) {
            Reply::Usual => framed(&encoded(&self.usual(&request))),
            Reply::Answer(response) => framed(&encoded(&response)),
            Reply::Raw(bytes) => bytes,
            Reply::Silence => return self.unanswered.push(channel),
        };
        // An error says that the question is over.
        let _ = self.swarm.behaviour_mut().exchange.send_response(channel, bytes);
    }

    fn usual(&self, request: &Request) -> Response {
        match request {
            Request::Hello(_) => Response::Hello(self.hello()),
            Request::Ping(number) => Response::Pong { number: *number, time_ms: now_ms() },
            Request::Peers => Response::Peers(Capped::default()),
            Request::Headers(_) => Response::Headers(Capped::default()),
            Request::Blocks(_) => Response::Blocks(Capped::default()),
            Request::Pool => Response::Pool(Capped::default()),
            Request::NewChallenge(_) | Request::BlockAccepted(_) => Response::Done,
        }
    }
}
