//! Trees of valid blocks.

use std::collections::HashMap;

use spacetime_kernels::{Best, Target};

use super::parameters;
use super::people::{Miner, Wallet, at_least_fee};
use super::plot::MemoryPlot;
use super::random::Random;
use super::versions::{Index, StateAt, Versions};
use crate::builder::{Ground, Payout, Win, build};
use crate::chain::verify::Verifier;
use crate::chain::{Address, Amount, Block, BlockId, Epoch, Hash, Transaction};
use crate::chain::{proof_id, transaction_root};
use crate::consensus::reveal_message;
use crate::consensus::{Claim, Engine, Genesis, GenesisAccount, Lineage, Parameters, SpaceTime, Specification};
use crate::state::{Account, GenesisBlock, Ledger, PlotRecord, PlotStatus, genesis};

/// Epochs within which some plot wins, as long as one may: long gaps ease the target.
const MAX_EPOCHS_SEARCHED: u64 = 10_000;

/// What a chain is made with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The chain's parameters.
    pub parameters: Parameters,
    /// The target that it begins with.
    pub base: Target,
    /// Miners with genesis plots.
    pub miners: usize,
    /// Genesis plots of each.
    pub plots: usize,
    /// Rows of each plot.
    pub rows: u64,
    /// Wallets with money at genesis.
    pub wallets: usize,
    /// What each has.
    pub balance: Amount,
    /// What all keys, plots and timestamps come from.
    pub seed: u64,
    /// For how many blocks below the highest one states are kept; for ever without it. Blocks always are.
    pub keep: Option<u64>,
}

impl Default for Setup {
    /// Three miners with two plots each under [`parameters`], a block in nearly each epoch at first.
    fn default() -> Self {
        Self {
            parameters: parameters(),
            base: Target([0x3f; 32]),
            miners: 3,
            plots: 2,
            rows: 16,
            wallets: 8,
            balance: Amount(1_000_000_000_000),
            seed: 0,
            keep: None,
        }
    }
}

/// A block that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The block.
    pub block: Block,
    /// What it leaves to its children.
    pub lineage: Lineage,
}

/// What is wanted of a block; by default an empty one in the next epoch that anybody wins.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Its transactions, without the coinbase.
    pub transactions: Vec<Transaction>,
    /// Who wins it, by place among the fabric's miners.
    pub miner: Option<usize>,
    /// Epochs after the parent's that stay empty in any case.
    pub skip_epochs: u64,
    /// Who is paid; by default the miner's wallet gets all.
    pub payout: Option<Payout>,
}

/// Makes blocks, and keeps them with their states.
#[derive(Debug)]
pub struct Fabric {
    /// The chain's specification.
    pub specification: Specification,
    /// Its engine.
    pub engine: SpaceTime,
    /// What it begins with.
    pub genesis: GenesisBlock,
    /// Who may win; plots added to them may once they are active and mature.
    pub miners: Vec<Miner>,
    /// Who can pay.
    pub wallets: Vec<Wallet>,
    verifier: Verifier,
    random: Random,
    made: Vec<Made>,
    by_id: HashMap<BlockId, Index>,
    versions: Versions,
    keep: Option<u64>,
}

impl Default for Fabric {
    fn default() -> Self {
        Self::new(&Setup::default())
    }
}

impl Fabric {
    /// A chain of genesis alone.
    ///
    /// # Panics
    /// If no chain can begin with the setup.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let mut random = Random::new(setup.seed);
        let mut miners: Vec<_> = (0..setup.miners).map(|_| Miner::new(random.bytes())).collect();
        for miner in &mut miners {
            let plot = |_| MemoryPlot::grow(&setup.parameters, miner.key, random.bytes(), setup.rows);
            miner.plots = (0..setup.plots).map(plot).collect();
        }
        let wallets: Vec<_> = (0..setup.wallets).map(|_| Wallet::new(random.bytes())).collect();
        let accounts =
            wallets.iter().map(|wallet| GenesisAccount { address: wallet.address, balance: setup.balance }).collect();
        let plots = miners.iter().flat_map(|miner| miner.plots.iter().map(MemoryPlot::description)).collect();
        let genesis_part = Genesis { time_ms: 1_767_225_600_000, base: setup.base, accounts, plots };
        let specification =
            Specification { genesis: genesis_part, parameters: setup.parameters.clone(), checkpoints: Vec::new() };
        specification.check().expect("the setup makes a chain");
        let engine = SpaceTime::new(&specification);
        let genesis = genesis(&specification).expect("miners' keys are keys");

        let GenesisBlock { header, proof, lineage, changes, update } = genesis.clone();
        let id = lineage.id;
        let mut versions = Versions::default();
        versions.add(None, &changes, &update);
        let block = Block { header, proof, transactions: Vec::new(), metadata: None };
        Self {
            verifier: Verifier::new(id, setup.parameters.shape(), random.bytes()),
            specification,
            engine,
            genesis,
            miners,
            wallets,
            random,
            made: vec![Made { block, lineage }],
            by_id: HashMap::from([(id, 0)]),
            versions,
            keep: setup.keep,
        }
    }

    /// The genesis block's id.
    #[must_use]
    pub fn genesis_id(&self) -> BlockId {
        self.genesis.lineage.id
    }

    /// The chain's parameters.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.specification.parameters
    }

    /// A verifier of this chain that has seen nothing.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier::new(self.genesis_id(), self.parameters().shape(), [7; 32])
    }

    fn index(&self, id: &BlockId) -> Index {
        *self.by_id.get(id).expect("the block was made here")
    }

    /// A block that was made here.
    ///
    /// # Panics
    /// If it was not.
    #[must_use]
    pub fn made(&self, id: &BlockId) -> &Made {
        &self.made[self.index(id)]
    }

    /// A block that was made here, alone.
    ///
    /// # Panics
    /// If it was not.
    #[must_use]
    pub fn block(&self, id: &BlockId) -> &Block {
        &self.made(id).block
    }

    /// All blocks in the order in which they were made, genesis first.
    #[must_use]
    pub fn all(&self) -> &[Made] {
        &self.made
    }

    /// The state after a block, with its tree.
    ///
    /// # Panics
    /// If the block was not made here, or its state was pruned.
    #[must_use]
    pub fn state(&self, id: &BlockId) -> StateAt<'_> {
        self.versions.at(self.index(id))
    }

    /// That state, to be looked at value by value.
    ///
    /// # Panics
    /// As [`Fabric::state`].
    #[must_use]
    pub fn ledger(&self, id: &BlockId) -> Ledger<StateAt<'_>> {
        Ledger::new(self.state(id))
    }

    /// An account after a block.
    ///
    /// # Panics
    /// As [`Fabric::state`].
    #[must_use]
    pub fn account(&self, at: &BlockId, address: Address) -> Account {
        self.ledger(at).account(address).expect("memory can be read").unwrap_or_default()
    }

    /// A plot after a block, if it was ever registered.
    ///
    /// # Panics
    /// As [`Fabric::state`].
    #[must_use]
    pub fn plot(&self, at: &BlockId, plot_key: Hash) -> Option<PlotRecord> {
        self.ledger(at).plot(plot_key).expect("memory can be read")
    }

    /// What the plot's next openings are drawn from in a child of `at`, if that is known.
    ///
    /// # Panics
    /// As [`Fabric::state`].
    #[must_use]
    pub fn drawn_mix(&self, at: &BlockId, plot_key: Hash) -> Option<Hash> {
        let mut ledger = self.ledger(at);
        let plot = ledger.plot(plot_key).expect("memory can be read")?;
        Some(ledger.beacon(plot.draw).expect("memory can be read")?.mix)
    }

    /// Plots of `miner` (of all without one) that may win a child of `parent`.
    fn contenders(&self, parent: &BlockId, miner: Option<usize>) -> Vec<(usize, usize)> {
        let mut ledger = self.ledger(parent);
        let height = self.made(parent).lineage.height.next();
        let mut found = Vec::new();
        for (number, owner) in self.miners.iter().enumerate() {
            if miner.is_some_and(|miner| miner != number) || ledger.barred(owner.key).expect("memory").is_some() {
                continue;
            }
            for (place, plot) in owner.plots.iter().enumerate() {
                let record = ledger.plot(plot.key()).expect("memory can be read");
                if record.is_some_and(|plot| plot.status(height, self.parameters()) == PlotStatus::Mature) {
                    found.push((number, place));
                }
            }
        }
        found
    }

    /// The next win upon `parent`, `skip_epochs` epochs left empty in any case: who won, and what.
    ///
    /// # Panics
    /// If the block was not made here, or nobody may win.
    pub fn win(&mut self, parent: &BlockId, skip_epochs: u64, miner: Option<usize>) -> (usize, Win) {
        let contenders = self.contenders(parent, miner);
        let lineage = self.made(parent).lineage.clone();
        let first = lineage.epoch.0 + 1 + skip_epochs;
        for epoch in (first..first + MAX_EPOCHS_SEARCHED).map(Epoch) {
            let Claim { target, challenge, column } = self.engine.claim(&lineage, epoch);
            let scored = contenders.iter().map(|&(miner, plot)| {
                let Best { score, row } = self.miners[miner].plots[plot].best(&challenge, column);
                (score, row, miner, plot)
            });
            let Some((_, row, number, plot)) = scored.min().filter(|(score, ..)| target.is_met_by(score)) else {
                continue;
            };
            let miner = &self.miners[number];
            let epoch_ms = self.parameters().epoch_ms;
            let begins_ms = self.specification.genesis.time_ms + epoch.0 * epoch_ms;
            let win = Win {
                epoch,
                timestamp_ms: begins_ms + self.random.below(epoch_ms),
                miner_key: miner.key,
                proof: miner.plots[plot].prove(&challenge, column, row),
                reveal: miner.secret.sign(&reveal_message(&self.genesis.lineage.id, &challenge)),
            };
            return (number, win);
        }
        panic!("no plot won within {MAX_EPOCHS_SEARCHED} epochs");
    }

    /// Makes a block upon `parent`; what cannot be applied is left out of it.
    ///
    /// # Panics
    /// If the parent was not made here, its state was pruned, or nobody may win.
    pub fn make(&mut self, parent: &BlockId, order: Order) -> BlockId {
        let (miner, win) = self.win(parent, order.skip_epochs, order.miner);
        let payout = order.payout.unwrap_or_else(|| Payout::all_to(self.miners[miner].wallet.address));
        let (genesis, at) = (self.genesis_id(), self.index(parent));
        let state = self.versions.at(at);
        let ground = Ground {
            engine: &self.engine,
            parameters: &self.specification.parameters,
            genesis: &self.genesis.lineage,
            parent: &self.made[at].lineage,
            state,
            nodes: state,
            verifier: &self.verifier,
        };
        let template = build(&ground, &win, &payout, &order.transactions).expect("the winner may win");
        let index = self.versions.add(Some(at), &template.changes, &template.update);
        let block = template.sign(&self.miners[miner].secret, &genesis, None);
        let id = block.id();
        let lineage = self.engine.extend(&self.made[at].lineage, &block.header, id);
        self.made.push(Made { block, lineage });
        self.by_id.insert(id, index);
        if let Some(keep) = self.keep {
            self.versions.prune(index, keep);
        }
        id
    }

    /// Makes a block upon `parent` with all of `transactions`.
    ///
    /// # Panics
    /// As [`Fabric::make`], and if one of them cannot be applied.
    pub fn extend(&mut self, parent: &BlockId, transactions: Vec<Transaction>) -> BlockId {
        let count = transactions.len();
        let id = self.make(parent, Order { transactions, ..Order::default() });
        assert_eq!(self.block(&id).transactions.len(), 1 + count, "every transaction is in the block");
        id
    }

    /// Makes a chain of `blocks` blocks upon `parent`, each with `transfers` transfers, and returns their ids.
    ///
    /// # Panics
    /// As [`Fabric::make`], and if there are transfers to be made and no wallet has money.
    pub fn chain(&mut self, parent: &BlockId, blocks: u64, transfers: usize) -> Vec<BlockId> {
        let mut tip = *parent;
        let mut made = Vec::new();
        for _ in 0..blocks {
            let transactions = self.transfers(&tip, transfers);
            tip = self.extend(&tip, transactions);
            made.push(tip);
        }
        made
    }

    /// Transfers of one unit among wallets, by turns, for the least fee, which can be applied to a child of `at`.
    fn transfers(&mut self, at: &BlockId, count: usize) -> Vec<Transaction> {
        let (genesis, first) = (self.genesis_id(), self.random.number() as usize % self.wallets.len().max(1));
        let mut ledger = Ledger::new(self.versions.at(self.by_id[at]));
        let mut nonces: HashMap<Address, u64> = HashMap::new();
        let mut transactions = Vec::with_capacity(count);
        for turn in 0..count {
            let sender = &self.wallets[(first + turn) % self.wallets.len()];
            let to = self.random.pick(&self.wallets).address;
            let nonce = nonces.entry(sender.address).or_insert_with(|| {
                ledger.account(sender.address).expect("memory can be read").unwrap_or_default().nonce
            });
            let transfer = |fee| sender.transfer(&genesis, *nonce, fee, to, Amount(1));
            transactions.push(at_least_fee(&self.specification.parameters, transfer));
            *nonce += 1;
        }
        transactions
    }

    /// Makes a changed block whole again: proof id, transaction root and signature are those of what it has become.
    /// Its state root stays.
    ///
    /// # Panics
    /// If its miner is none of the fabric's.
    #[must_use]
    pub fn reseal(&self, mut block: Block) -> Block {
        let ids: Vec<_> = block.transactions.iter().map(Transaction::id).collect();
        block.header.transaction_root = transaction_root(&ids);
        block.header.proof_id = proof_id(&block.proof);
        let miner =
            self.miners.iter().find(|miner| miner.key == block.header.miner_key).expect("a miner of the fabric");
        miner.seal(&self.genesis_id(), &mut block.header);
        block
    }
}
