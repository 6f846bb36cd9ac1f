//! The parts of libp2p that a node is made of, and how each is bounded.

use std::num::NonZeroUsize;
use std::time::Duration;

use libp2p::connection_limits::ConnectionLimits;
use libp2p::core::transport::dummy::DummyTransport;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{NetworkBehaviour, StreamProtocol, Swarm};
use libp2p::{
    SwarmBuilder, autonat, connection_limits, dcutr, dns, identify, kad, mdns, noise, ping, relay, request_response,
    tcp, upnp, yamux,
};

use super::codec::FrameCodec;
use super::ending::Ending;
use super::gate::{Gate, GateOptions};
use super::{NetworkError, NetworkOptions, topics};
use crate::chain::BlockId;
use crate::network::identity::Identity;

/// A connection takes no longer. AutoNAT gives a whole probe ten seconds: one that nobody answers is to fail within, and
/// be told, or it is asked for again for ever.
const HANDSHAKE: Duration = Duration::from_secs(8);
/// A question is asked, answered and read within this, or given up; so a reader that is too slow for the longest answer
/// at 2 Mbit/s has none.
pub(super) const EXCHANGE: Duration = Duration::from_secs(20);
/// Streams of a connection: questions of both sides, gossip, and what libp2p needs.
const MAX_STREAMS: usize = 128;
/// Questions of both sides that a connection has open at a time.
const MAX_EXCHANGES: usize = 2 * super::requests::MAX_PER_PEER;
/// Connections with one peer: two that dial each other at once end up with two, and a way through a relay is
/// followed by a straight one.
const MAX_PER_PEER: u32 = 3;
/// Connections beyond those that are kept: newcomers that wait for a decision.
const SLACK: u32 = 8;
/// Records that others may put down here: none is needed.
const MAX_RECORDS: usize = 16;
/// What goes through this node's relay for two others: enough to keep up with a chain's tip, while they look for a
/// straight way.
const CIRCUIT_BYTES: u64 = 256 << 20;
/// And for how long.
const CIRCUIT: Duration = Duration::from_secs(3600);
/// Connections stay until somebody ends them.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// All parts. The gate comes first, so that nothing else sees whom it refuses.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) gate: Gate,
    limits: connection_limits::Behaviour,
    pub(super) exchange: request_response::Behaviour<FrameCodec>,
    pub(super) gossip: topics::Gossipsub,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(super) kademlia: Toggle<kad::Behaviour<MemoryStore>>,
    mdns: Toggle<mdns::tokio::Behaviour>,
    reach: Toggle<autonat::v2::client::Behaviour>,
    reach_of_others: Toggle<autonat::v2::server::Behaviour>,
    upnp: Toggle<upnp::tokio::Behaviour>,
    relayed: relay::client::Behaviour,
    relay: Toggle<relay::Behaviour>,
    punch: dcutr::Behaviour,
}

/// The name of a protocol on a chain.
pub(super) fn protocol(genesis: &BlockId, name: &str) -> StreamProtocol {
    let name = format!("/spacetime/{}/{name}/1", const_hex::encode(genesis.0));
    StreamProtocol::try_from_owned(name).expect("it begins with a slash")
}

/// What is the same whichever way names are looked up.
macro_rules! finish {
    ($builder:expr, $options:expr) => {
        $builder
            .with_relay_client(noise::Config::new, multiplexer)
            .map_err(|error| NetworkError::Transport(error.to_string()))?
            .with_behaviour(|key, relayed| parts(key, relayed, $options))
            .map_err(|error| NetworkError::Transport(error.to_string()))?
            .with_swarm_config(|config| {
                config.with_idle_connection_timeout(FOREVER).with_max_negotiating_inbound_streams(MAX_STREAMS)
            })
            .with_connection_timeout(HANDSHAKE)
            .build()
    };
}

/// A node of libp2p, which listens nowhere yet.
pub(super) fn build(identity: &Identity, options: &NetworkOptions) -> Result<Swarm<Behaviour>, NetworkError> {
    let transports = SwarmBuilder::with_existing_identity(identity.keypair())
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, multiplexer)
        .map_err(|error| NetworkError::Transport(error.to_string()))?
        .with_quic_config(|mut config| {
            config.max_concurrent_stream_limit = MAX_STREAMS as u32;
            config
        });
    // A machine without a name server may still have a network, if only its own.
    match dns::tokio::Transport::system(DummyTransport::<()>::new()) {
        Ok(_) => {
            let named = transports.with_dns().map_err(|error| NetworkError::Transport(error.to_string()))?;
            Ok(finish!(named, options))
        }
        Err(error) => {
            tracing::warn!(%error, "no name server: addresses with names cannot be dialled");
            let nameless = transports.with_dns_config(dns::ResolverConfig::default(), dns::ResolverOpts::default());
            Ok(finish!(nameless, options))
        }
    }
}

/// Streams in one TCP connection.
fn multiplexer() -> Ending<yamux::Config> {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(MAX_STREAMS);
    Ending(config)
}

fn parts(
    key: &libp2p::identity::Keypair,
    relayed: relay::client::Behaviour,
    options: &NetworkOptions,
) -> Result<Behaviour, Box<dyn std::error::Error + Send + Sync>> {
    let own = key.public().to_peer_id();
    let genesis = &options.genesis;
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let (inbound, outbound) =
        (count(options.inbound).saturating_add(SLACK), count(options.outbound).saturating_add(SLACK));
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(2 * inbound))
        .with_max_pending_outgoing(Some(2 * outbound))
        .with_max_established_incoming(Some(inbound.saturating_mul(2)))
        .with_max_established_outgoing(Some(outbound.saturating_mul(2)))
        .with_max_established_per_peer(Some(MAX_PER_PEER));
    let gate = GateOptions {
        per_ip: options.per_ip,
        per_group: options.per_group,
        strict_local: options.strict_local,
        max_memory_bytes: options.max_memory_bytes,
    };
    let exchange = request_response::Behaviour::new(
        [(protocol(genesis, "exchange"), request_response::ProtocolSupport::Full)],
        request_response::Config::default().with_request_timeout(EXCHANGE).with_max_concurrent_streams(MAX_EXCHANGES),
    );
    let identify = identify::Config::new(protocol(genesis, "identify").to_string(), key.public())
        .with_agent_version(options.software.clone())
        .with_push_listen_addr_updates(true)
        .with_cache_size(0);
    let mdns = options.mdns.then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), own)).transpose()?;
    Ok(Behaviour {
        gate: Gate::new(gate, options.bans.clone()),
        limits: connection_limits::Behaviour::new(limits),
        exchange,
        gossip: topics::gossipsub(genesis)?,
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_secs(30))),
        kademlia: options.kademlia.then(|| kademlia(own, options)).into(),
        mdns: mdns.into(),
        reach: options.nat.then(autonat::v2::client::Behaviour::default).into(),
        reach_of_others: options.nat.then(autonat::v2::server::Behaviour::default).into(),
        upnp: options.upnp.then(upnp::tokio::Behaviour::default).into(),
        relayed,
        relay: options.relay.then(|| relay::Behaviour::new(own, relay_config())).into(),
        punch: dcutr::Behaviour::new(own),
    })
}

fn relay_config() -> relay::Config {
    relay::Config { max_circuit_bytes: CIRCUIT_BYTES, max_circuit_duration: CIRCUIT, ..relay::Config::default() }
}

/// Kademlia, for finding peers: nobody may store anything, and a search is made when it is asked for.
fn kademlia(own: libp2p::PeerId, options: &NetworkOptions) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(protocol(&options.genesis, "kademlia"));
    config
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_periodic_bootstrap_interval(None)
        .set_query_timeout(EXCHANGE)
        .set_kbucket_size(NonZeroUsize::MIN.saturating_add(19));
    let store = MemoryStoreConfig {
        max_records: MAX_RECORDS,
        max_provided_keys: MAX_RECORDS,
        max_providers_per_key: MAX_RECORDS,
        ..MemoryStoreConfig::default()
    };
    let mut kademlia = kad::Behaviour::with_config(own, MemoryStore::with_config(own, store), config);
    // Whether others reach this node is found out with them; where nobody asks, it is taken to be so.
    kademlia.set_mode((!options.nat).then_some(kad::Mode::Server));
    kademlia
}
