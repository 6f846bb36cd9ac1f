//! A whole node: data directory, chain, peers, network and HTTP, started in this order and stopped in the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::wire::NetworkWire;
use super::{EndError, Handle, Running, Stopped, last_tip, now_ms};
use crate::chain::Height;
use crate::chain_pool::PoolError;
use crate::config::{self, Config, DataDir, SecretFileError, read_or_make_secret};
use crate::consensus::{Fees, Specification};
use crate::manager::{self, ChainManager, ManagerError};
use crate::mempool::Limits;
use crate::mempool::save::SaveError;
use crate::network::address::{AddressError, PeerAddress};
use crate::network::book::{Book, BookError};
use crate::network::identity::Identity;
use crate::network::message::{CAPABLE_ARCHIVE, CAPABLE_POOL, Tip};
use crate::network::peers::{PeerOptions, Peers};
use crate::network::swarm::{Network, NetworkError, NetworkOptions};
use crate::participant::{Options, Participant};
use crate::rpc::{Hooks, Patience, RpcOptions, RpcServer, StartError as RpcError};
use crate::store::Database;
use crate::sync::{Progress, Sync, SyncOptions};

/// How often the peer book and the pool are written: what a crash may take of them.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// How often it is looked whether a user of this node has sent something, which is written then.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The part of the time, one in so many, that may be spent with that.
const SAVING_SHARE: u32 = 10;
/// How often a node that catches up says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// How long sockets have to close when a node stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a node is made of beside its settings.
pub struct NodeOptions<D> {
    /// The settings.
    pub config: Config,
    /// The chain's specification.
    pub specification: Arc<Specification>,
    /// The folder, held.
    pub data: DataDir,
    /// The chain's database in it.
    pub database: Arc<D>,
    /// Name and version of the software, at most 64 bytes.
    pub software: String,
    /// Mines without peers.
    pub mine_alone: bool,
    /// What the miner in this process says of itself, for `/rpc/farm`.
    pub farm: Arc<dyn Fn() -> Option<serde_json::Value> + Send + std::marker::Sync>,
}

impl<D> std::fmt::Debug for NodeOptions<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeOptions").field("config", &self.config).field("data", &self.data).finish_non_exhaustive()
    }
}

/// Why a node does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The chain cannot be opened.
    #[error(transparent)]
    Chain(#[from] ManagerError),
    /// A secret of the node cannot be read or made.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// The peer book is damaged, or cannot be read.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The pool's file is damaged, or cannot be read.
    #[error("{0}")]
    Pool(Box<PoolError>),
    /// A seed is no address.
    #[error("seed {text}: {source}")]
    Seed {
        /// The text.
        text: String,
        /// What is wrong.
        source: AddressError,
    },
    /// There is no network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// There is no HTTP.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The system gives no threads, or no randomness.
    #[error("{what}: {source}")]
    System {
        /// What was to be done.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

/// Why a node did not stop as it should.
#[derive(Debug, Error)]
pub enum StopError {
    /// The participant had ended by itself.
    #[error(transparent)]
    Ended(#[from] EndError),
    /// The peer book cannot be written: the one before is still there.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The pool cannot be written: the one before is still there.
    #[error("{0}")]
    Pool(Box<PoolError>),
}

/// Where a running node is to be found: what it writes to `run.json` in its data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Whereabouts {
    /// The process.
    pub pid: u32,
    /// What peers know it by.
    pub peer_id: String,
    /// Where HTTP is listened, if it is.
    pub rpc: Option<String>,
    /// Where peers are listened for, as multiaddrs with its id.
    pub listen: Vec<String>,
}

/// A node that runs.
#[derive(Debug)]
pub struct RunningNode<D> {
    runtime: Runtime,
    running: Running<D>,
    rpc: Option<RpcServer>,
    network: JoinHandle<()>,
    keeper: JoinHandle<()>,
    data: DataDir,
    whereabouts: Whereabouts,
    asked: watch::Receiver<bool>,
    /// Held, so that a node without HTTP is not taken for one that was asked to end.
    _ask: Arc<watch::Sender<bool>>,
}

fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    let failed = |error: getrandom::Error| StartError::System {
        what: "the system gives no randomness",
        source: std::io::Error::other(error.to_string()),
    };
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn peer_options<D: Database>(
    config: &Config,
    identity: &Identity,
    chain: &ChainManager<D>,
) -> Result<PeerOptions, StartError> {
    let settings = &config.peers;
    let parse =
        |text: &String| PeerAddress::parse(text).map_err(|source| StartError::Seed { text: text.clone(), source });
    // A store that began with a snapshot, or once kept fewer bodies, has not all of them.
    let oldest_body = chain.store().oldest_body().map_err(ManagerError::Store)?;
    let has_all = config.store.keep_bodies.is_none() && oldest_body <= Height(1);
    let archive = if has_all { CAPABLE_ARCHIVE } else { 0 };
    Ok(PeerOptions {
        capabilities: archive | CAPABLE_POOL,
        seeds: settings.seeds.iter().map(parse).collect::<Result<_, _>>()?,
        outbound: settings.outbound as usize,
        inbound: settings.inbound as usize,
        peers: settings.most as usize,
        per_ip: settings.per_address as usize,
        per_group: settings.per_group as usize,
        strict_local: settings.strict_local,
        upload_per_second: settings.upload_bytes_per_second,
        ban_ms: settings.ban_seconds.saturating_mul(1000),
        ..PeerOptions::new(identity.peer_id(), chain.genesis().id)
    })
}

fn network_options(config: &Config, genesis: crate::chain::BlockId, peers: &Peers, software: &str) -> NetworkOptions {
    let settings = &config.peers;
    NetworkOptions {
        software: software.to_owned(),
        listen: settings.listen.clone(),
        external: settings.external.clone(),
        relays: settings.relays.clone(),
        outbound: settings.outbound as usize,
        inbound: settings.inbound as usize,
        per_ip: settings.per_address as usize,
        per_group: settings.per_group as usize,
        strict_local: settings.strict_local,
        bans: peers.bans(),
        kademlia: settings.kademlia,
        mdns: settings.mdns,
        nat: settings.nat,
        upnp: settings.upnp,
        relay: settings.relay,
        max_memory_bytes: usize::try_from(settings.memory_bytes).ok().filter(|bytes| *bytes > 0),
        ..NetworkOptions::new(genesis)
    }
}

fn limits(settings: &config::Pool) -> Limits {
    let floor =
        Fees { base: crate::chain::Amount(settings.fee_base), per_byte: crate::chain::Amount(settings.fee_per_byte) };
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Limits { transactions: count(settings.transactions), bytes: count(settings.bytes), floor }
}

impl<D: Database + 'static> RunningNode<D> {
    /// Starts a node, and returns once it listens.
    ///
    /// # Errors
    /// The first thing that is not as it should be.
    pub fn start(options: NodeOptions<D>) -> Result<Self, StartError> {
        let NodeOptions { config, specification, data, database, software, mine_alone, farm } = options;
        let keep = manager::Options { keep_bodies: config.store.keep_bodies };
        let chain = ChainManager::open(specification, database, random()?, keep)?;
        let genesis = chain.genesis().id;
        if let Some(before) = last_tip::lost(&data.last_tip(), &chain).map_err(ManagerError::Store)? {
            tracing::warn!(
                height = %chain.tip().height,
                %before,
                "{}: the store ends below where it ended before: it was rewound, or its log is damaged and the last blocks are lost; they are asked of peers again",
                data.chain().display()
            );
        }
        let identity = Identity::from_secret(*read_or_make_secret(&data.node_key())?);
        let book = match Book::load(&data.peers(), config.peers.strict_local) {
            Err(error) if !matches!(error, BookError::Io { .. }) => {
                set_aside(&data.peers(), &error, "begins with no peers and no bans")?;
                None
            }
            loaded => loaded?,
        };
        let book = book.unwrap_or(Book::new(random()?, config.peers.strict_local));
        let peer_options = PeerOptions { software: software.clone(), ..peer_options(&config, &identity, &chain)? };
        let peers = Peers::new(peer_options, book, Tip::from(chain.tip()), random()?, now_ms());
        let network_options = network_options(&config, genesis, &peers, &software);
        let participant_options = Options { software: software.clone(), mine_alone, pool: limits(&config.pool) };
        let mut participant = Participant::new(participant_options, chain, peers, Sync::new(SyncOptions::default()));
        let (pool, chain) = participant.pool_mut();
        let taken = match pool.load(chain, &data.pool()) {
            Err(PoolError::Save(error)) if !matches!(error, SaveError::Io { .. }) => {
                set_aside(&data.pool(), &error, "begins with an empty pool")?;
                0
            }
            taken => taken.map_err(|error| StartError::Pool(Box::new(error)))?,
        };
        if taken > 0 {
            tracing::info!(transactions = taken, "took back what waited for a block");
        }
        let system = |what| move |source| StartError::System { what, source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("network")
            .enable_all()
            .build()
            .map_err(system("cannot start threads"))?;
        let network = runtime.block_on(Network::start(&identity, &network_options))?;
        let peer_id = identity.peer_id();
        let (name, tip) = (participant.chain().parameters().network.clone(), participant.chain().tip().clone());
        let named = software.clone();
        let listen: Vec<_> =
            network.addresses.borrow().iter().map(|address| format!("{address}/p2p/{peer_id}")).collect();
        let (addresses, counters) = (network.addresses.clone(), Arc::clone(&network.counters));
        let wire = NetworkWire { commands: network.commands, inputs: network.inputs };
        let running = Running::start(participant, wire).map_err(system("cannot start a thread"))?;
        let (ask, asked) = watch::channel(false);
        let ask = Arc::new(ask);
        let asking = Arc::clone(&ask);
        let hooks = Hooks {
            stop: Arc::new(move || {
                let _ = asking.send(true);
            }),
            traffic: Arc::new(move || counters.read()),
            farm,
            network: Arc::new(
                move || serde_json::json!({ "peer_id": peer_id.to_string(), "addresses": *addresses.borrow() }),
            ),
        };
        let rpc = if config.rpc.enabled {
            let token_file = config.rpc.token_file.clone().unwrap_or_else(|| data.rpc_token());
            let token = read_or_make_secret(&token_file)?;
            let options =
                RpcOptions { config: config.rpc.clone(), token, software, hooks, patience: Patience::default() };
            Some(runtime.block_on(RpcServer::start(running.handle().clone(), options))?)
        } else {
            None
        };
        let keeper = runtime.spawn(keep_saved(running.handle().clone(), Files::of(&data)));
        // They end with the runtime.
        runtime.spawn(tell_progress(running.handle().clone()));
        if !mine_alone {
            runtime.spawn(tell_of_nobody(running.handle().clone(), config.peers.seeds.clone()));
        }
        let whereabouts = Whereabouts {
            pid: std::process::id(),
            peer_id: peer_id.to_string(),
            rpc: rpc.as_ref().map(|rpc| rpc.address().to_string()),
            listen,
        };
        tracing::info!(software = named, network = name, height = %tip.height, tip = %tip.id, %peer_id, "the node runs");
        Ok(Self { runtime, running, rpc, network: network.task, keeper, data, whereabouts, asked, _ask: ask })
    }

    /// By which to ask something of the participant.
    #[must_use]
    pub fn handle(&self) -> &Handle<D> {
        self.running.handle()
    }

    /// Where it is to be found.
    #[must_use]
    pub fn whereabouts(&self) -> &Whereabouts {
        &self.whereabouts
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &DataDir {
        &self.data
    }

    /// Waits until `stop` comes, somebody asks for the end by HTTP, or the participant has ended by an error, which
    /// [`RunningNode::stop`] then tells.
    pub fn wait(&mut self, stop: impl Future<Output = ()>) {
        let Self { runtime, running, asked, .. } = self;
        runtime.block_on(async {
            tokio::select! {
                () = stop => {}
                () = running.ended() => {}
                asked = asked.wait_for(|asked| *asked) => drop(asked),
            }
        });
    }

    /// Stops all of it, and writes what is to outlast it.
    ///
    /// # Errors
    /// What could not be written; all else is stopped all the same.
    pub fn stop(self) -> Result<(), StopError> {
        let Self { runtime, running, rpc, network, keeper, data, .. } = self;
        keeper.abort();
        if let Some(rpc) = rpc {
            runtime.block_on(rpc.stop());
        }
        let participant = running.stop();
        // A file that is being written is not to be written twice at once.
        let _ = runtime.block_on(keeper);
        // The network ends with its last sender, which the participant's thread had.
        runtime.block_on(async { drop(tokio::time::timeout(FAREWELL, network).await) });
        runtime.shutdown_timeout(FAREWELL);
        let participant = participant?;
        let book = participant.peers().book().save(&data.peers());
        participant.pool().save(&data.pool()).map_err(|error| StopError::Pool(Box::new(error)))?;
        last_tip::save(&data.last_tip(), participant.chain().tip());
        Ok(book?)
    }
}

/// Says now and then how far catching up is.
async fn tell_progress<D: Database + 'static>(handle: Handle<D>) {
    let mut ticks = tokio::time::interval(TELL_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let look = handle.with(|participant, _| participant.is_behind().then(|| participant.sync().progress()));
        let Progress { height, target, headers, peers, blocks_per_second, left_ms, .. } = match look.await {
            Err(Stopped) => return,
            Ok(None) => continue,
            Ok(Some(progress)) => progress,
        };
        let rate = format!("{blocks_per_second:.0} blocks/s");
        let left = left_ms.map(|ms| format!("{} s", ms.div_ceil(1000)));
        tracing::info!(%height, of = %target, %headers, peers, rate, left, "catching up");
    }
}

/// Says once that nobody is there, each time when it has been so for a while.
async fn tell_of_nobody<D: Database + 'static>(handle: Handle<D>, seeds: Vec<String>) {
    let mut ticks = tokio::time::interval(TELL_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first tick is at once.
    ticks.tick().await;
    let mut told = false;
    loop {
        ticks.tick().await;
        let Ok(peers) = handle.with(|participant, _| participant.peers().views(now_ms()).len()).await else { return };
        if peers > 0 {
            told = false;
        } else if !std::mem::replace(&mut told, true) {
            match seeds.is_empty() {
                true => tracing::warn!("no peer is connected, and no seed is set: --seed names one"),
                false => tracing::warn!(
                    seeds = seeds.join(", "),
                    "no peer is connected; -v shows what comes of each attempt"
                ),
            }
        }
    }
}

/// Puts a damaged file that a node can do without under another name, and says so.
fn set_aside(path: &Path, why: &dyn std::error::Error, then: &str) -> Result<(), StartError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".damaged");
    let aside = path.with_file_name(name);
    std::fs::rename(path, &aside)
        .map_err(|source| StartError::System { what: "cannot put a damaged file aside", source })?;
    tracing::error!(aside = %aside.display(), "{why}: it is put aside, and the node {then}");
    Ok(())
}

/// What is written while a node runs.
#[derive(Clone, Debug)]
struct Files {
    peers: PathBuf,
    pool: PathBuf,
    last_tip: PathBuf,
}

impl Files {
    fn of(data: &DataDir) -> Self {
        Self { peers: data.peers(), pool: data.pool(), last_tip: data.last_tip() }
    }
}

/// Writes the peer book and the pool now and then, on a thread of its own: the participant must not wait for the disk.
/// What a user of this node has sent is written soon, since nobody else may have it yet.
async fn keep_saved<D: Database + 'static>(handle: Handle<D>, files: Files) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut saved, mut offered, mut took) = (Instant::now(), 0, Duration::ZERO);
    loop {
        ticks.tick().await;
        let Ok(now_offered) = handle.with(|participant, _| participant.counters().offered).await else { return };
        // A large pool is not written all the time.
        let soon = now_offered != offered && saved.elapsed() >= took * SAVING_SHARE;
        if !soon && saved.elapsed() < SAVE_EVERY {
            continue;
        }
        let seen = handle.with(|participant, _| {
            let (book, pool) = (participant.peers().book().snapshot(), participant.pool().snapshot());
            (book, pool, participant.chain().tip().clone(), participant.counters().offered)
        });
        let Ok((book, held, tip, now_offered)) = seen.await else { return };
        let files = files.clone();
        let write = move || {
            if let Err(error) = book.save(&files.peers) {
                tracing::error!(%error, "the peer book is not saved");
            }
            if let Err(error) = held.save(&files.pool) {
                tracing::error!(%error, "the pool is not saved");
            }
            last_tip::save(&files.last_tip, &tip);
        };
        let began = Instant::now();
        // What it has begun it ends, even where the node stops meanwhile.
        let _ = tokio::task::spawn_blocking(write).await;
        (saved, offered, took) = (Instant::now(), now_offered, began.elapsed());
    }
}
