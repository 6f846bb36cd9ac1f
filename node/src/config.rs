//! What an operator chooses: file, environment and flags as one [`Config`], and the folder that a node keeps things in.
//!
//! * [`Layers`] joins the sources. Flags win over the environment (`SPACETIME_…`), which wins over the file, which wins
//!   over what is usual on the chosen chain.
//! * [`SETTINGS`] lists every setting with its meaning; [`Config::to_toml`] writes them with it, so that what it wrote can be
//!   read back.
//! * [`DataDir`] is the folder, held by one process.
//!
//! A file looks like this; every key may be left out, and an unknown one is refused:
//!
//! ```toml
//! network = "test"
//!
//! [peers]
//! seeds = ["/dns/seed.example.org/tcp/21220"]
//!
//! [rpc]
//! listen = "127.0.0.1:21221"
//! ```

mod check;
mod data_dir;
mod error;
mod holder;
mod layers;
mod print;
mod secret;
mod settings;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use data_dir::{DataDir, DataDirError};
pub use error::ConfigError;
pub use holder::Holder;
pub use layers::{Layers, MAX_FILE_BYTES, read_file};
pub use secret::{SecretFileError, read_or_make_secret};
pub use settings::{Kind, SETTINGS, Setting};

use crate::consensus::Fees;
use crate::mempool::Limits;
use crate::store::space::KEEP_FREE_BYTES;

/// All that an operator chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder that all is kept in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// The chain, where it is one that the program knows.
    pub network: Network,
    /// The chain's specification, where it is another one; then `network` says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<PathBuf>,
    /// Other nodes.
    pub peers: Peers,
    /// HTTP.
    pub rpc: Rpc,
    /// Mining in the node's own process.
    pub mine: Mine,
    /// Transactions that wait.
    pub pool: Pool,
    /// The database.
    pub store: Store,
}

/// Chains that the program knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// The main chain.
    #[default]
    Main,
    /// The test chain.
    Test,
    /// A chain of one's own.
    Local,
}

/// Other nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Peers {
    /// Addresses that are listened on, as multiaddrs.
    pub listen: Vec<String>,
    /// Addresses that others reach this node at, where it cannot see them itself, as multiaddrs.
    pub external: Vec<String>,
    /// Addresses that are dialled where the peer book holds too few, as multiaddrs.
    pub seeds: Vec<String>,
    /// Peers that are dialled: with fewer, others are looked for.
    pub outbound: u32,
    /// Most peers that dialled this node.
    pub inbound: u32,
    /// Most peers of both kinds.
    pub most: u32,
    /// Most peers at one IP address.
    pub per_address: u32,
    /// Most peers in one /24 of IPv4 or /64 of IPv6.
    pub per_group: u32,
    /// Whether the limits of addresses hold for this machine and private networks too, where many nodes may have one.
    pub strict_local: bool,
    /// How long a peer is kept out that broke the rules, in seconds.
    pub ban_seconds: u64,
    /// Bytes a second that all peers together are answered with; 0 for as many as are asked for.
    pub upload_bytes_per_second: u64,
    /// Takes no further connection while the process has more memory than these bytes; 0 for any.
    pub memory_bytes: u64,
    /// Looks for peers by Kademlia where too few are known.
    pub kademlia: bool,
    /// Looks for nodes in the local network, and lets itself be found there.
    pub mdns: bool,
    /// Finds out with others whether this node can be reached, and helps others to find it out.
    pub nat: bool,
    /// Asks the router to let others in.
    pub upnp: bool,
    /// Relays to be reached through, as multiaddrs with their ids.
    pub relays: Vec<String>,
    /// Is a relay for others.
    pub relay: bool,
}

/// HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rpc {
    /// Whether there is any.
    pub enabled: bool,
    /// Where it is listened.
    pub listen: SocketAddr,
    /// Allows an address that other machines reach.
    pub public: bool,
    /// Names in `Host` that are answered, beside the addresses themselves and `localhost`.
    pub hosts: Vec<String>,
    /// The file of the token that admin calls need; without it, `rpc.token` in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Longest body of a request.
    pub body_bytes: u64,
    /// Requests a second and address, on average.
    pub requests_per_second: u32,
    /// Requests of one address at once.
    pub burst: u32,
    /// Most connections.
    pub connections: u32,
    /// Most miners that follow `/rpc/work`.
    pub streams: u32,
}

/// Mining in the node's own process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mine {
    /// Plots, or folders of plots.
    pub plots: Vec<PathBuf>,
    /// Keystores of the plots' miner keys.
    pub keys: Vec<PathBuf>,
    /// The file of the keystores' passphrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<PathBuf>,
    /// The address that blocks pay to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payout: Option<String>,
    /// Whether plots that the chain does not know are registered and activated.
    pub register: bool,
    /// The keystore of an account that pays the least fee for that; without it, it is sent without a fee.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pay_fees: Option<PathBuf>,
    /// The folder where what was signed is remembered, instead of beside each keystore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<PathBuf>,
    /// The file that holds up plotting while there is work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_file: Option<PathBuf>,
    /// What scores, as `--backend` of `spacetime miner` names it.
    pub backend: String,
    /// Threads that score; without it, one for each CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u16>,
    /// Reads in flight on each disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_depth: Option<u32>,
    /// Bytes of a read, a multiple of 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_bytes: Option<u32>,
}

/// Transactions that wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pool {
    /// Most transactions that are paid for.
    pub transactions: u64,
    /// Most bytes of them.
    pub bytes: u64,
    /// The least fee of a transaction, in base units, where the chain's is lower.
    pub fee_base: u64,
    /// The least fee of each of its bytes, in base units, where the chain's is lower.
    pub fee_per_byte: u64,
}

/// The database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Keeps the bodies of this many of the latest blocks; without it, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_bodies: Option<u64>,
    /// Writes nothing more when less than this is free on the disk.
    pub free_bytes: u64,
    /// Waits for the disk after every block: a power cut then takes no block, where otherwise it may take the latest ones.
    pub sync: bool,
}

/// Ports of peers; HTTP has the next one. Below the ports that systems hand out by themselves.
const PORTS: [(Network, u16); 3] = [(Network::Main, 21_210), (Network::Test, 21_220), (Network::Local, 21_230)];

impl Default for Config {
    fn default() -> Self {
        Self::usual(Network::Main)
    }
}

impl Config {
    /// What is usual on a chain. On a local one nothing is listened on that other machines reach, and all nodes may be on
    /// one machine.
    #[must_use]
    pub fn usual(network: Network) -> Self {
        Self {
            data: None,
            network,
            chain: None,
            peers: Peers::usual(network),
            rpc: Rpc::usual(network),
            mine: Mine::default(),
            pool: Pool::default(),
            store: Store::default(),
        }
    }
}

impl Network {
    /// The port that its nodes listen on.
    fn port(self) -> u16 {
        PORTS.into_iter().find(|(network, _)| *network == self).map_or(0, |(_, port)| port)
    }
}

impl Peers {
    fn usual(network: Network) -> Self {
        let port = network.port();
        let local = network == Network::Local;
        let hosts: &[&str] = if local { &["/ip4/127.0.0.1"] } else { &["/ip4/0.0.0.0", "/ip6/::"] };
        let listen = hosts.iter().flat_map(|host| [format!("{host}/tcp/{port}"), format!("{host}/udp/{port}/quic-v1")]);
        Self {
            listen: listen.collect(),
            external: Vec::new(),
            seeds: Vec::new(),
            outbound: 8,
            inbound: 24,
            most: 32,
            per_address: 2,
            per_group: 4,
            strict_local: false,
            ban_seconds: 4 * 3600,
            upload_bytes_per_second: 32 << 20,
            memory_bytes: 512 << 20,
            kademlia: !local,
            mdns: local,
            nat: !local,
            // Whoever answers for a router is read without a bound.
            upnp: false,
            relays: Vec::new(),
            relay: false,
        }
    }
}

impl Default for Peers {
    fn default() -> Self {
        Self::usual(Network::Main)
    }
}

impl Rpc {
    fn usual(network: Network) -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, network.port() + 1)),
            public: false,
            hosts: Vec::new(),
            token_file: None,
            body_bytes: 1 << 20,
            requests_per_second: 100,
            burst: 400,
            connections: 64,
            streams: 16,
        }
    }
}

impl Default for Rpc {
    fn default() -> Self {
        Self::usual(Network::Main)
    }
}

impl Default for Mine {
    fn default() -> Self {
        Self {
            plots: Vec::new(),
            keys: Vec::new(),
            passphrase_file: None,
            payout: None,
            register: true,
            pay_fees: None,
            records: None,
            pause_file: None,
            backend: "auto".to_owned(),
            threads: None,
            queue_depth: None,
            block_bytes: None,
        }
    }
}

impl Default for Pool {
    fn default() -> Self {
        let limits = Limits::new(Fees::ZERO);
        Self { transactions: limits.transactions as u64, bytes: limits.bytes as u64, fee_base: 0, fee_per_byte: 0 }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self { keep_bodies: None, free_bytes: KEEP_FREE_BYTES, sync: false }
    }
}
