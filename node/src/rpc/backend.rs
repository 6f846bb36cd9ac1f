//! What the server asks of a node: the participant behind its handle, or a test's own.

use tokio::sync::broadcast;

use crate::chain::{BlockId, Hash, Transaction, TransactionId};
use crate::chain_pool::{ChainPool, PoolError};
use crate::manager::ChainManager;
use crate::miner::work::{MinerProof, MinerSigned, PlotState, Work};
use crate::network::address::PeerAddress;
use crate::network::peers::Peers;
use crate::network::record::Banned;
use crate::participant::Counters;
use crate::service::Stopped;
use crate::store::{Database, StoreError};
use crate::sync::Progress;

/// By which the server asks a node.
pub trait Backend: Clone + Send + Sync + 'static {
    /// The node itself.
    type Node: Node;

    /// Runs `call` where the node is, with the clock in Unix milliseconds.
    ///
    /// # Errors
    /// If the node has stopped.
    fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Self::Node, u64) -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Stopped>> + Send;

    /// What miners are told from now on.
    fn subscribe_work(&self) -> broadcast::Receiver<Work>;
}

/// Why something of a miner is not taken.
#[derive(Debug)]
pub enum Denied {
    /// It is the miner's fault, or too late: the reason.
    Refused(String),
    /// The same may be taken later: the reason.
    NotNow(String),
    /// The chain's store failed.
    Store(StoreError),
}

/// What the server asks for. Everything waits for it: only short things.
pub trait Node: 'static {
    /// Where the chain is kept.
    type Database: Database + 'static;

    /// The chain.
    fn chain(&self) -> &ChainManager<Self::Database>;
    /// What waits for a block.
    fn pool(&self) -> &ChainPool;
    /// Who is there.
    fn peers(&self) -> &Peers;
    /// Whether the network is known to be further.
    fn is_behind(&self) -> bool;
    /// Whether blocks can be won: the chain is caught up with, and somebody is there to be told.
    fn may_mine(&self) -> bool;
    /// How far catching up has come.
    fn progress(&self) -> Progress;
    /// What has happened.
    fn counters(&self) -> Counters;

    /// Takes a transaction, and tells the network.
    ///
    /// # Errors
    /// If the pool does not take it.
    fn offer(&mut self, transaction: Transaction) -> Result<TransactionId, PoolError>;

    /// What a miner that has just come is told.
    fn work(&self, now_ms: u64) -> Vec<Work>;

    /// What the chain knows of a plot.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn plot_state(&self, plot_key: Hash) -> Result<PlotState, StoreError>;

    /// Takes a winning leaf.
    ///
    /// # Errors
    /// If it cannot win.
    fn submit_proof(&mut self, proof: MinerProof, now_ms: u64) -> Result<(), Denied>;

    /// Takes a signature, and makes the block.
    ///
    /// # Errors
    /// If it was not asked for, or does not hold.
    fn submit_signature(&mut self, signed: MinerSigned, now_ms: u64) -> Result<BlockId, Denied>;

    /// Keeps somebody out until a time, Unix milliseconds.
    fn ban(&mut self, who: Banned, until_ms: u64, now_ms: u64);

    /// Lets somebody in again; false if nobody kept it out.
    fn pardon(&mut self, who: &Banned) -> bool;

    /// Connects with whoever is at an address.
    fn dial(&mut self, address: &PeerAddress, now_ms: u64);
}
