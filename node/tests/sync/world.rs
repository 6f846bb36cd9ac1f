//! The chains that all runs share: a trunk, branches of it, and blocks that break a rule.

use std::collections::HashMap;
use std::sync::LazyLock;

use spacetime_node::chain::{Block, BlockId, Hash};
use spacetime_node::network::message::Tip;
use spacetime_node::testing::{Fabric, Setup};

/// Blocks of the trunk: several times what can be judged ahead.
pub(crate) const BLOCKS: u64 = 90;

/// A chain from above genesis, lowest first.
pub(crate) type Chain = Vec<BlockId>;

pub(crate) struct World {
    pub fabric: Fabric,
    /// The heaviest chain.
    pub trunk: Chain,
    /// Leaves the trunk within the reorg limit below its end, and is lighter by some blocks.
    pub near_fork: Chain,
    /// Leaves it far below, and is shorter.
    pub far_fork: Chain,
    /// Leaves it below that, and is longer than states are kept, but lighter.
    pub long_fork: Chain,
    /// The trunk and one block more, which breaks a rule that its state alone shows.
    pub broken: Chain,
    /// Blocks that no fabric makes, and what a peer would claim by them.
    extra: HashMap<BlockId, (Block, Tip)>,
}

pub(crate) static WORLD: LazyLock<World> = LazyLock::new(World::new);

impl World {
    fn new() -> Self {
        let mut fabric = Fabric::new(&Setup { seed: 5, wallets: 4, ..Setup::default() });
        let genesis = fabric.genesis_id();
        let mut trunk = fabric.chain(&genesis, BLOCKS - 10, 0);
        trunk.extend(fabric.chain(trunk.last().unwrap(), 10, 2));
        let branch = |fabric: &mut Fabric, at: usize, blocks| {
            let mut chain = trunk[..at].to_vec();
            chain.extend(fabric.chain(&trunk[at - 1], blocks, 1));
            chain
        };
        let near_fork = branch(&mut fabric, trunk.len() - 5, 2);
        let far_fork = branch(&mut fabric, 20, 30);
        let long_fork = branch(&mut fabric, 10, 50);
        let weight = |chain: &Chain| fabric.made(chain.last().unwrap()).lineage.weight;
        for fork in [&near_fork, &far_fork, &long_fork] {
            assert!(weight(fork) < weight(&trunk), "the trunk is the heaviest");
        }
        let next = fabric.extend(trunk.last().unwrap(), Vec::new());
        let mut bad = fabric.block(&next).clone();
        bad.header.state_root = Hash([9; 32]);
        let bad = fabric.reseal(bad);
        let broken = trunk.iter().copied().chain([bad.id()]).collect();
        let extra = HashMap::from([(bad.id(), (bad, Tip::from(&fabric.made(&next).lineage)))]);
        Self { fabric, trunk, near_fork, far_fork, long_fork, broken, extra }
    }

    pub(crate) fn block(&self, id: &BlockId) -> &Block {
        self.extra.get(id).map_or_else(|| self.fabric.block(id), |(block, _)| block)
    }

    /// Where a chain ends, as an honest peer says it.
    pub(crate) fn tip(&self, chain: &[BlockId]) -> Tip {
        match chain.last() {
            None => Tip::from(&self.fabric.genesis.lineage),
            Some(last) if let Some((_, tip)) = self.extra.get(last) => Tip { id: *last, ..*tip },
            Some(last) => Tip::from(&self.fabric.made(last).lineage),
        }
    }
}
