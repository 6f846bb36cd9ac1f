//! The sockets: libp2p, driven by [`Command`]s, and heard of by [`Inputs`].
//!
//! One task runs the swarm and never waits for the participant: what must not be lost (connections, answers) waits in a
//! queue of its own while the participant is busy, and the swarm rests when that is full; what peers may send at any
//! time goes into bounded classes, and what finds no room there is dropped in a way that is safe (a gossip ignored, a
//! question refused) and counted.
//!
//! A peer's gossip is let in when its HELLO has been answered. Before, it is dropped unseen: were it looked at and
//! ignored, the same message from others would be dropped as known.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::address::{AddressError, Scope};
use super::identity::Identity;
use super::record::Banned;
use crate::chain::BlockId;

mod behaviour;
mod codec;
mod command;
mod ending;
mod events;
mod gate;
mod inputs;
mod metrics;
mod place;
mod relays;
mod requests;
mod run;
mod topics;
mod ways;

use behaviour::Behaviour;
pub use command::Command;
pub use gate::Denied;
pub use inputs::{Class, Inputs};
pub use metrics::{NetworkCounters, Traffic};

/// Commands that wait for the network's task, which never waits for anything: more is a burst of answers.
const MAX_COMMANDS: usize = 4096;
/// Every address that is listened on is there after this, or never.
const LISTEN: Duration = Duration::from_secs(10);

/// What a network is made of.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// The chain: names of protocols and topics hold it, so that chains do not meet.
    pub genesis: BlockId,
    /// Name and version of the software.
    pub software: String,
    /// Addresses to listen on, in text; port 0 for any.
    pub listen: Vec<String>,
    /// Addresses that others reach this node at, in text, where it cannot see them itself.
    pub external: Vec<String>,
    /// Relays to be reached through, in text with their ids.
    pub relays: Vec<String>,
    /// Peers to dial.
    pub outbound: usize,
    /// Most peers that dialled us.
    pub inbound: usize,
    /// Most peers at one IP address.
    pub per_ip: usize,
    /// Most peers in one /24 or /64.
    pub per_group: usize,
    /// Whether limits and bans by address hold for this machine and private networks too.
    pub strict_local: bool,
    /// Who is kept out, and until when, Unix milliseconds.
    pub bans: Vec<(Banned, u64)>,
    /// Looks for peers by Kademlia when there are too few.
    pub kademlia: bool,
    /// Looks for peers on the local network.
    pub mdns: bool,
    /// Finds out with others whether this node can be reached, and helps others to find it out.
    pub nat: bool,
    /// Asks the router for a way in.
    pub upnp: bool,
    /// Is a relay for others, at its external addresses and the public ones it listens on; without [`NetworkOptions::nat`]
    /// at all it listens on.
    pub relay: bool,
    /// Lets nobody in while the process has more memory, bytes.
    pub max_memory_bytes: Option<usize>,
}

impl NetworkOptions {
    /// A node that listens nowhere and looks for nobody, with the limits of [`super::peers::PeerOptions::new`].
    #[must_use]
    pub fn new(genesis: BlockId) -> Self {
        Self {
            genesis,
            software: concat!("spacetime/", env!("CARGO_PKG_VERSION")).to_owned(),
            listen: Vec::new(),
            external: Vec::new(),
            relays: Vec::new(),
            outbound: 8,
            inbound: 24,
            per_ip: 2,
            per_group: 4,
            strict_local: false,
            bans: Vec::new(),
            kademlia: false,
            mdns: false,
            nat: false,
            upnp: false,
            relay: false,
            max_memory_bytes: None,
        }
    }
}

/// Why there is no network.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// An address that was given is none.
    #[error("{text}: {source}")]
    Address {
        /// The text.
        text: String,
        /// What is wrong.
        source: AddressError,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {text}: {reason}")]
    Listen {
        /// The address.
        text: String,
        /// The system's answer.
        reason: String,
    },
    /// libp2p could not be set up.
    #[error("cannot set up the network: {0}")]
    Transport(String),
}

/// A running network. It ends, with all connections, when [`Network::commands`] and its clones are dropped.
#[derive(Debug)]
pub struct Network {
    /// What it is to do. The task behind always takes what is sent, so that sending waits for a moment at most.
    pub commands: mpsc::Sender<Command>,
    /// What happens.
    pub inputs: Inputs,
    /// Addresses that it listens on and is known to be reached at, in text without its id; they may change.
    pub addresses: watch::Receiver<Vec<String>>,
    /// What it has counted.
    pub counters: Arc<NetworkCounters>,
    /// The task: it ends by itself.
    pub task: JoinHandle<()>,
}

impl Network {
    /// Starts a network, and returns when it listens on all addresses.
    ///
    /// # Errors
    /// If an address is none, or cannot be listened on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(identity: &Identity, options: &NetworkOptions) -> Result<Self, NetworkError> {
        let mut swarm = behaviour::build(identity, options)?;
        let parse =
            |text: &String| place::parse(text).map_err(|source| NetworkError::Address { text: text.clone(), source });
        for text in &options.external {
            swarm.add_external_address(parse(text)?);
        }
        let mut waiting = Vec::new();
        for text in &options.listen {
            let address = parse(text)?;
            place::is_free(text).map_err(|error| listen_error(text, &error))?;
            let listener = swarm.listen_on(address).map_err(|error| listen_error(text, &error))?;
            waiting.push((listener, text.clone()));
        }
        let addresses = listening(&mut swarm, waiting).await?;
        if options.relay {
            // A relay says where it is to those that wait there. Without AutoNAT nobody else will find out, and AutoNAT asks
            // only those that were dialled, which are none where all others dial.
            let own: Vec<_> = swarm.listeners().cloned().collect();
            let known = |own: &Multiaddr| !options.nat || place::ip_of(own).map(Scope::of) == Some(Scope::Public);
            own.into_iter().filter(known).for_each(|own| swarm.add_external_address(own));
        }
        let mut places = Vec::new();
        for text in &options.relays {
            let circuit = parse(text)?.with(libp2p::multiaddr::Protocol::P2pCircuit);
            let listener = swarm.listen_on(circuit.clone()).map_err(|error| listen_error(text, &error))?;
            places.push((circuit, listener));
        }
        let (commands, taken) = mpsc::channel(MAX_COMMANDS);
        let (outlet, inputs) = inputs::channel();
        let (told, addresses) = watch::channel(addresses);
        let counters = Arc::new(NetworkCounters::default());
        let mut runner = run::Runner::new(swarm, taken, outlet, told, Arc::clone(&counters), options);
        runner.relays = relays::Relays::new(places);
        Ok(Self { commands, inputs, addresses, counters, task: tokio::spawn(runner.run()) })
    }
}

fn listen_error(text: &str, error: &dyn std::fmt::Display) -> NetworkError {
    NetworkError::Listen { text: text.to_owned(), reason: error.to_string() }
}

/// Waits until every listener has an address.
async fn listening(
    swarm: &mut Swarm<Behaviour>,
    mut waiting: Vec<(ListenerId, String)>,
) -> Result<Vec<String>, NetworkError> {
    let mut addresses = Vec::new();
    let until = tokio::time::Instant::now() + LISTEN;
    while let Some((_, first)) = waiting.first() {
        let Ok(event) = tokio::time::timeout_at(until, swarm.select_next_some()).await else {
            return Err(listen_error(first, &"the system did not answer"));
        };
        match event {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                waiting.retain(|(waiting, _)| *waiting != listener_id);
                addresses.push(place::text_of(&address));
            }
            SwarmEvent::ListenerError { listener_id, error } => failed(&waiting, listener_id, &error)?,
            SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. } => {
                failed(&waiting, listener_id, &error)?
            }
            // Whoever is so early is let go by the limits, or comes again.
            _ => {}
        }
    }
    Ok(addresses)
}

fn failed(waiting: &[(ListenerId, String)], listener: ListenerId, error: &std::io::Error) -> Result<(), NetworkError> {
    let text = waiting.iter().find(|(waiting, _)| *waiting == listener).map(|(_, text)| text);
    text.map_or(Ok(()), |text| Err(listen_error(text, error)))
}
