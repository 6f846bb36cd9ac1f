//! A node without a network: a real chain, pool and peers, and whatever else a test wants it to be.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use spacetime_node::builder::Payout;
use spacetime_node::chain::{BlockId, Hash, Height, Transaction, TransactionId};
use spacetime_node::chain_pool::{ChainPool, PoolError};
use spacetime_node::manager::{ChainManager, Options, Verdict};
use spacetime_node::mempool::Limits;
use spacetime_node::miner::work::{MinerProof, MinerSigned, PlotState, Work};
use spacetime_node::network::PeerId;
use spacetime_node::network::address::PeerAddress;
use spacetime_node::network::book::Book;
use spacetime_node::network::message::Tip;
use spacetime_node::network::peers::{PeerOptions, Peers};
use spacetime_node::network::record::Banned;
use spacetime_node::participant::Counters;
use spacetime_node::rpc::{Backend, Denied, Node};
use spacetime_node::service::Stopped;
use spacetime_node::store::{MemoryDatabase, StoreError};
use spacetime_node::sync::Progress;
use spacetime_node::testing::Fabric;
use tokio::sync::broadcast;

/// A node that a test holds.
pub(crate) struct Fake {
    pub(crate) chain: ChainManager<MemoryDatabase>,
    pub(crate) pool: ChainPool,
    pub(crate) peers: Peers,
    pub(crate) behind: bool,
    pub(crate) alone: bool,
    pub(crate) dialled: Vec<String>,
    pub(crate) proofs: Vec<MinerProof>,
    pub(crate) work: Vec<Work>,
}

/// By which it is asked.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) node: Arc<Mutex<Fake>>,
    pub(crate) now_ms: Arc<AtomicU64>,
    pub(crate) told: broadcast::Sender<Work>,
    /// Calls are not answered any more.
    pub(crate) hangs: Arc<AtomicBool>,
    /// The node has stopped.
    pub(crate) stopped: Arc<AtomicBool>,
}

/// Long after all blocks that tests make.
pub(crate) const LATER_MS: u64 = 4_000_000_000_000;

impl Handle {
    /// A node on the fabric's chain, with nothing but genesis.
    pub(crate) fn new(fabric: &Fabric) -> Self {
        let specification = Arc::new(fabric.specification.clone());
        let database = Arc::new(MemoryDatabase::new());
        let chain = ChainManager::open(specification, database, [3; 32], Options::default()).expect("a new store");
        let pool = ChainPool::new(&chain, Limits::new(fabric.parameters().fees));
        let options = PeerOptions::new(PeerId([1; 32]), fabric.genesis_id());
        let peers = Peers::new(options, Book::new([2; 32], false), Tip::from(chain.tip()), [3; 32], LATER_MS);
        let node = Fake {
            chain,
            pool,
            peers,
            behind: false,
            alone: false,
            dialled: Vec::new(),
            proofs: Vec::new(),
            work: Vec::new(),
        };
        Self {
            node: Arc::new(Mutex::new(node)),
            now_ms: Arc::new(AtomicU64::new(LATER_MS)),
            told: broadcast::channel(4).0,
            hangs: Arc::default(),
            stopped: Arc::default(),
        }
    }

    pub(crate) fn node(&self) -> std::sync::MutexGuard<'_, Fake> {
        self.node.lock().expect("no test panics with it")
    }

    /// Takes a block of the fabric, which becomes the tip.
    pub(crate) fn take(&self, fabric: &Fabric, id: &BlockId) {
        let mut node = self.node();
        let outcome = node.chain.submit([fabric.block(id).clone()], LATER_MS).expect("memory");
        assert!(
            outcome.verdicts.iter().any(|(of, verdict)| of == id && *verdict == Verdict::Connected),
            "{:?}",
            outcome.verdicts
        );
        let Fake { chain, pool, .. } = &mut *node;
        pool.follow(chain, outcome.events).expect("memory");
    }

    /// A block of what waits upon the tip.
    pub(crate) fn mine(&self, fabric: &mut Fabric) -> BlockId {
        let mut node = self.node();
        let Fake { chain, pool, .. } = &mut *node;
        let (miner, win) = fabric.win(&chain.tip().id, 0, None);
        let payout = Payout::all_to(fabric.miners[miner].wallet.address);
        let template = pool.template(chain, &win, &payout).expect("the winner may win");
        let id = fabric.finish(miner, template);
        drop(node);
        self.take(fabric, &id);
        id
    }
}

impl Backend for Handle {
    type Node = Fake;

    async fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Fake, u64) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Stopped);
        }
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        Ok(call(&mut self.node(), self.now_ms.load(Ordering::Relaxed)))
    }

    fn subscribe_work(&self) -> broadcast::Receiver<Work> {
        self.told.subscribe()
    }
}

impl Node for Fake {
    type Database = MemoryDatabase;

    fn chain(&self) -> &ChainManager<MemoryDatabase> {
        &self.chain
    }

    fn pool(&self) -> &ChainPool {
        &self.pool
    }

    fn peers(&self) -> &Peers {
        &self.peers
    }

    fn is_behind(&self) -> bool {
        self.behind
    }

    fn may_mine(&self) -> bool {
        !self.behind && !self.alone
    }

    fn progress(&self) -> Progress {
        Progress { headers: Height(8), target: Height(9), ..Progress::default() }
    }

    fn counters(&self) -> Counters {
        Counters { connected: 7, ..Counters::default() }
    }

    fn offer(&mut self, transaction: Transaction) -> Result<TransactionId, PoolError> {
        let id = transaction.id();
        self.pool.offer(&self.chain, vec![transaction])?.remove(0)?;
        Ok(id)
    }

    fn work(&self, _: u64) -> Vec<Work> {
        self.work.clone()
    }

    fn plot_state(&self, plot_key: Hash) -> Result<PlotState, StoreError> {
        Ok(if plot_key == Hash([1; 32]) {
            PlotState::Pending { registered: Height(3), mix: None, until: Height(9) }
        } else {
            PlotState::Absent
        })
    }

    fn submit_proof(&mut self, proof: MinerProof, _: u64) -> Result<(), Denied> {
        if self.behind {
            return Err(Denied::NotNow("the node is catching up".to_owned()));
        }
        if proof.epoch.0 == 99 {
            return Err(Denied::Refused("epoch 99 has not begun".to_owned()));
        }
        self.proofs.push(proof);
        Ok(())
    }

    fn submit_signature(&mut self, signed: MinerSigned, _: u64) -> Result<BlockId, Denied> {
        if signed.epoch.0 == 5 { Ok(BlockId([5; 32])) } else { Err(Denied::Refused("was not asked for".to_owned())) }
    }

    fn ban(&mut self, who: Banned, until_ms: u64, now_ms: u64) {
        self.peers.ban(who, until_ms, now_ms);
    }

    fn pardon(&mut self, who: &Banned) -> bool {
        self.peers.pardon(who)
    }

    fn dial(&mut self, address: &PeerAddress, _: u64) {
        self.dialled.push(address.to_string());
    }
}

impl Fake {
    /// Who won the tip.
    pub(crate) fn chain_miner(&self) -> spacetime_node::chain::MinerKey {
        self.chain.store().known_header(&self.chain.tip().id).expect("memory").header.miner_key
    }
}
