//! Trees of valid blocks.

mod make;

use std::collections::HashMap;

use spacetime_kernels::Target;

pub use make::Order;

use super::parameters;
use super::people::{Miner, Wallet};
use super::plot::MemoryPlot;
use super::random::Random;
use super::versions::{Index, StateAt, Versions};
use crate::chain::verify::Verifier;
use crate::chain::{Address, Amount, Block, BlockId, Hash};
use crate::consensus::{Genesis, GenesisAccount, Lineage, Parameters, SpaceTime, Specification};
use crate::state::{Account, GenesisBlock, Ledger, PlotRecord, genesis};

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
}
