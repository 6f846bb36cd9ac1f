//! How the target follows the space: retargets and gaps under the product's [`Difficulty`].

use spacetime_kernels::Target;
use spacetime_node::chain::Epoch;
use spacetime_node::consensus::{Difficulty, Parameters, Specification};

use super::random::Random;
use super::{wanted, winning};

/// A chain of which only epochs and targets are seen.
pub struct Chain {
    parameters: Parameters,
    random: Random,
    difficulty: Difficulty,
    parent: Epoch,
    /// The epoch that comes next.
    pub epoch: Epoch,
    /// Leaves of the column that each challenge opens: the space of the network.
    pub leaves: f64,
    /// The target that the chance below belongs to.
    seen: Target,
    chance: f64,
}

impl Chain {
    /// The main chain at genesis, with just the space that its base is right for.
    pub fn new(seed: u64) -> Self {
        let Specification { genesis, parameters, .. } = Specification::main();
        let leaves = wanted(parameters.goal) / winning(&genesis.base);
        let difficulty = Difficulty::genesis(genesis.base);
        let (parent, epoch) = (Epoch(0), Epoch(1));
        Self {
            parameters,
            random: Random::new(seed),
            difficulty,
            parent,
            epoch,
            leaves,
            seen: Target([0; 32]),
            chance: 0.0,
        }
    }

    /// A chain that has run for twelve hours and some part of an interval.
    pub fn settled(seed: u64) -> Self {
        let mut chain = Self::new(seed);
        let epochs = chain.epochs(12.0) + chain.random.below(600);
        chain.run(epochs);
        chain
    }

    /// Epochs in `hours`.
    pub fn epochs(&self, hours: f64) -> u64 {
        (hours * 3_600_000.0) as u64 / self.parameters.epoch_ms
    }

    /// Hours in `epochs`.
    pub fn hours(&self, epochs: u64) -> f64 {
        (epochs * self.parameters.epoch_ms) as f64 / 3_600_000.0
    }

    /// Goes through one epoch: whether it has a block. The number of winning leaves is Poisson's, so it
    /// has none with chance `exp(-leaves · target)`.
    pub fn step(&mut self) -> bool {
        let (target, _) = self.difficulty.target(self.parent, self.epoch, &self.parameters);
        if target != self.seen {
            self.seen = target;
            self.chance = -(-self.leaves * winning(&target)).exp_m1();
        }
        let found = self.random.share() < self.chance;
        if found {
            self.difficulty = self.difficulty.extend(self.parent, self.epoch, &self.parameters);
            self.parent = self.epoch;
        }
        self.epoch.0 += 1;
        found
    }

    /// Goes through `epochs`: how many of them have a block.
    pub fn run(&mut self, epochs: u64) -> u64 {
        (0..epochs).filter(|_| self.step()).count() as u64
    }

    /// Changes the space.
    pub fn scale(&mut self, times: f64) {
        self.leaves *= times;
        self.seen = Target([0; 32]);
    }

    /// The rate: winning leaves an epoch that the base in force gives on average, as a multiple of those wanted.
    pub fn rate(&self) -> f64 {
        self.leaves * winning(&self.difficulty.base) / wanted(self.parameters.goal)
    }

    /// Runs until the rate lies within a quarter of what is wanted: the hours that takes.
    pub fn settle(&mut self) -> f64 {
        let start = self.epoch;
        while !(0.75..=1.25).contains(&self.rate()) {
            self.step();
        }
        self.hours(self.epoch.0 - start.0)
    }
}

/// What happens to the space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// It becomes this multiple and stays.
    Times(f64),
    /// It becomes this multiple, and after six hours what it was.
    Visit(f64),
}

impl Change {
    /// The changes that a chain must cope with.
    pub const ALL: [Self; 4] = [Self::Times(100.0), Self::Times(0.01), Self::Times(0.001), Self::Visit(30.0)];

    /// As people say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Times(times) if times > 1.0 => "space × 100",
            Self::Times(times) if times > 0.005 => "space ÷ 100",
            Self::Times(_) => "space ÷ 1000",
            Self::Visit(_) => "× 30 for six hours, then gone",
        }
    }

    /// A settled chain just before the change: for a visit, before its end.
    pub fn before(self, seed: u64) -> Chain {
        let mut chain = Chain::settled(seed);
        if let Self::Visit(times) = self {
            chain.scale(times);
            chain.run(chain.epochs(6.0));
        }
        chain
    }

    /// Makes the change.
    pub fn strike(self, chain: &mut Chain) {
        match self {
            Self::Times(times) => chain.scale(times),
            Self::Visit(times) => chain.scale(1.0 / times),
        }
    }
}

/// Hours that each of `seeds` chains takes to settle after a change.
pub fn settling(change: Change, seeds: std::ops::Range<u64>) -> Vec<f64> {
    let hours = seeds.map(|seed| {
        let mut chain = change.before(seed);
        change.strike(&mut chain);
        chain.settle()
    });
    hours.collect()
}

/// Share of epochs with a block in `hours` of constant space.
pub fn constant(seed: u64, hours: f64) -> f64 {
    let mut chain = Chain::settled(seed);
    let epochs = chain.epochs(hours);
    chain.run(epochs) as f64 / epochs as f64
}
