//! What it takes to make blocks that are nearly right: keys, plots, and the chain as the attacked node has it.

use std::error::Error;
use std::sync::Arc;

use serde_json::{Value, json};
use spacetime_node::builder::{Payout, Template, Win};
use spacetime_node::chain::{
    Address, Amount, Block, BlockId, Capped, Epoch, HEADER_VERSION, Hash, Header, Height, proof_id,
};
use spacetime_node::chain_pool::ChainPool;
use spacetime_node::consensus::{Engine, Fees, Lineage, Parameters, Specification, reveal_message};
use spacetime_node::manager::{ChainManager, Options};
use spacetime_node::mempool::Limits;
use spacetime_node::network::message::{GetHeaders, MAX_BLOCKS, ProvedHeader, Request, Response, Tip};
use spacetime_node::store::MemoryDatabase;
use spacetime_node::testing::{MemoryPlot, Miner, Random, Wallet};

use crate::peer::{Peer, now_ms};

/// Rows of the plot that was grown: as many as one of the miners of a small network has, so that it wins soon.
const ROWS: u64 = 1024;
/// Rows of the plot that nobody grew: enough to win nearly each epoch.
const FORGED_ROWS: u64 = 8192;
/// Accounts with money.
const WALLETS: u64 = 64;

/// Who it is on the chain: all of it stands in genesis.
pub(crate) struct People {
    pub(crate) miner: Miner,
    pub(crate) grown: MemoryPlot,
    /// Its paths hold, and its rows do not.
    pub(crate) forged: MemoryPlot,
    pub(crate) wallets: Vec<Wallet>,
}

impl People {
    /// Those of a seed.
    pub(crate) fn new(parameters: &Parameters, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let miner = Miner::new(random.bytes());
        Self {
            grown: MemoryPlot::grow(parameters, miner.key, random.bytes(), ROWS),
            forged: MemoryPlot::forge(parameters, miner.key, random.bytes(), FORGED_ROWS),
            wallets: (0..WALLETS).map(|_| Wallet::new(random.bytes())).collect(),
            miner,
        }
    }

    /// The plots, as a specification has them.
    pub(crate) fn genesis_plots(&self) -> Value {
        json!([self.grown.description(), self.forged.description()])
    }

    /// The accounts.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.wallets.iter().map(|wallet| wallet.address).collect()
    }
}

/// A chain in memory that follows another's.
pub(crate) struct Chain {
    pub(crate) people: People,
    chain: ChainManager<MemoryDatabase>,
    pool: ChainPool,
}

impl Chain {
    /// Genesis alone.
    pub(crate) fn new(specification: &Arc<Specification>, seed: u64) -> Result<Self, Box<dyn Error>> {
        let database = Arc::new(MemoryDatabase::new());
        let chain = ChainManager::open(Arc::clone(specification), database, [7; 32], Options::default())?;
        let pool = ChainPool::new(&chain, Limits::new(Fees { base: Amount::ZERO, per_byte: Amount::ZERO }));
        Ok(Self { people: People::new(&specification.parameters, seed), chain, pool })
    }

    /// Where it ends.
    pub(crate) fn tip(&self) -> Tip {
        Tip::from(self.chain.tip())
    }

    /// The chain's genesis.
    pub(crate) fn genesis(&self) -> BlockId {
        self.chain.genesis().id
    }

    /// The latest blocks, no more than `most`.
    pub(crate) fn latest(&self, most: usize) -> Vec<BlockId> {
        let tip = self.tip().height.0;
        let heights = (1..=tip).rev().take(most).map(Height);
        heights.filter_map(|height| self.chain.store().id_at(height).ok().flatten()).collect()
    }

    /// A tip that nobody has, and that weighs more than any; another one for each number.
    pub(crate) fn heavy_tip(&self, number: u64) -> Tip {
        let Tip { height, .. } = self.tip();
        let mut weight = self.chain.tip().weight.to_bytes();
        weight[0] |= 0x7f;
        let epoch = self.chain.engine().epoch_of(now_ms()).unwrap_or(Epoch(0));
        let weight = spacetime_node::consensus::Weight::from_bytes(&weight);
        Tip { id: BlockId(Random::new(number).bytes()), height: Height(height.0 + 1000), epoch, weight }
    }

    /// Takes all blocks that the node has and this has not. False if the node does not give them.
    pub(crate) async fn follow(&mut self, node: &mut Peer) -> bool {
        loop {
            let locator = Capped::new(vec![self.tip().id, self.genesis()]).expect("two are few");
            let asked = Request::Headers(GetHeaders { locator, limit: 2000 });
            let Some(Response::Headers(headers)) = node.ask(&asked).await else { return false };
            let ids: Vec<_> = headers.iter().map(|proved: &ProvedHeader| proved.header.id()).collect();
            if ids.is_empty() || ids.contains(&self.tip().id) {
                return true;
            }
            for some in ids.chunks(MAX_BLOCKS) {
                let asked = Request::Blocks(Capped::new(some.to_vec()).expect("no more than fit"));
                let Some(Response::Blocks(blocks)) = node.ask(&asked).await else { return false };
                let before = self.tip();
                if self.chain.submit(blocks.into_inner(), now_ms()).is_err() || self.tip() == before {
                    return false;
                }
            }
        }
    }

    /// The epoch that the clock is in, and when it began, Unix milliseconds.
    pub(crate) fn epoch(&self) -> (Epoch, u64) {
        let epoch = self.chain.engine().epoch_of(now_ms()).unwrap_or(Epoch(0));
        (epoch, self.chain.genesis().timestamp_ms + epoch.0 * self.chain.parameters().epoch_ms)
    }

    /// The win of an epoch upon the tip, if the plot that was grown has one.
    pub(crate) fn win(&self, epoch: Epoch, timestamp_ms: u64) -> Option<Win> {
        let People { miner, grown, .. } = &self.people;
        let tip = self.chain.tip();
        let claim = self.chain.engine().claim(tip, epoch);
        let best = grown.best(&claim.challenge, claim.column);
        (epoch > tip.epoch && claim.target.is_met_by(&best.score)).then(|| Win {
            epoch,
            timestamp_ms,
            miner_key: miner.key,
            proof: grown.prove(&claim.challenge, claim.column, best.row),
            reveal: miner.secret.sign(&reveal_message(&self.genesis(), &claim.challenge)),
        })
    }

    /// The block of a win, unsigned.
    pub(crate) fn template(&mut self, win: &Win) -> Result<Template, Box<dyn Error>> {
        let payout = Payout::all_to(self.people.miner.wallet.address);
        Ok(self.pool.template(&self.chain, win, &payout)?)
    }

    /// A block whose header was changed, signed again.
    pub(crate) fn resigned(&self, block: &Block, change: impl FnOnce(&mut Header)) -> Block {
        let mut block = block.clone();
        change(&mut block.header);
        self.people.miner.seal(&self.genesis(), &mut block.header);
        block
    }

    /// The next block's tip, as a peer would claim it.
    pub(crate) fn tip_with(&self, block: &Block) -> Tip {
        Tip::from(&self.chain.engine().extend(self.chain.tip(), &block.header, block.id()))
    }

    /// Headers upon the block `depth` below the tip, one for each epoch since that the forged plot wins. All cheap rules
    /// hold of them, and their signatures; no row does.
    pub(crate) fn forged_headers(&self, depth: u64) -> Vec<ProvedHeader> {
        let from = Height(self.tip().height.0.saturating_sub(depth));
        let store = self.chain.store();
        let id = store.id_at(from).ok().flatten().unwrap_or(self.genesis());
        let Ok(stored) = store.known_header(&id) else { return Vec::new() };
        let (mut parent, mut headers) = (stored.lineage, Vec::new());
        let (now, _) = self.epoch();
        while let Some(proved) =
            (parent.epoch.0 + 1..=now.0).find_map(|epoch| self.forged_header(&parent, Epoch(epoch)))
        {
            parent = self.chain.engine().extend(&parent, &proved.header, proved.header.id());
            headers.push(proved);
        }
        headers
    }

    fn forged_header(&self, parent: &Lineage, epoch: Epoch) -> Option<ProvedHeader> {
        let People { miner, forged, .. } = &self.people;
        let claim = self.chain.engine().claim(parent, epoch);
        let best = forged.best(&claim.challenge, claim.column);
        if !claim.target.is_met_by(&best.score) {
            return None;
        }
        let proof = forged.prove(&claim.challenge, claim.column, best.row);
        let mut header = Header {
            version: HEADER_VERSION,
            height: parent.height.next(),
            epoch,
            timestamp_ms: self.chain.genesis().timestamp_ms + epoch.0 * self.chain.parameters().epoch_ms,
            parent: parent.id,
            target: claim.target,
            miner_key: miner.key,
            plot_id: forged.id(),
            plot_root: Hash(proof.root),
            score: best.score,
            proof_id: proof_id(&proof),
            transaction_root: Hash([1; 32]),
            state_root: Hash([2; 32]),
            extension: Hash::ZERO,
            reveal: miner.secret.sign(&reveal_message(&self.genesis(), &claim.challenge)),
            signature: spacetime_node::chain::MinerSignature::ZERO,
        };
        miner.seal(&self.genesis(), &mut header);
        Some(ProvedHeader { header, proof })
    }
}
