//! Private forks: an attacker extends as many branches at once as it likes, which costs it nothing, and
//! shows the heaviest.
//!
//! All branches that share a beacon draw the same challenges for a group, and only the first block of a
//! group changes the beacon. So a branch has as many ways through a group as the attacker has winning
//! leaves in it: each may be the first block (the worst case: each leaf of another key, so with a reveal
//! of its own), every later epoch with a leaf adds a block, or the group is passed over. The heaviest
//! [`Attack::branches`] are kept after each group.

use std::cmp::Reverse;

use spacetime_kernels::Challenge;
use spacetime_node::chain::{BlockId, Epoch};
use spacetime_node::consensus::{Engine, Lineage, SpaceTime, Specification, Weight, beacon};

use super::random::Random;
use super::{header, score_at, wanted, winning};

/// One attack.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// The attacker's part of the space.
    pub share: f64,
    /// Epochs in a group; 1 is a draw for each block.
    pub beacon_interval: u64,
    /// Branches that the attacker keeps in view.
    pub branches: usize,
    /// Blocks of the public chain after the fork.
    pub blocks: u64,
    /// Of everything drawn.
    pub seed: u64,
}

/// How an attack went, seen whenever a group ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The public chain's blocks since the fork, and the weight of the best private branch since then as a
    /// multiple of the public chain's.
    pub ratios: Vec<(u64, f64)>,
}

impl Outcome {
    /// Whether the attacker could take over at `depth` blocks or later: its branch is the heavier one.
    pub fn overtakes_from(&self, depth: u64) -> bool {
        self.ratios.iter().any(|&(blocks, ratio)| blocks >= depth && ratio > 1.0)
    }

    /// The last ratio.
    pub fn last(&self) -> f64 {
        self.ratios.last().expect("a race has a group").1
    }
}

impl Attack {
    /// Goes through it: before the fork all space works on one chain; after it, the attacker's is gone from it.
    pub fn run(&self) -> Outcome {
        let mut specification = Specification::main();
        specification.parameters.beacon_interval = self.beacon_interval;
        let engine = SpaceTime::new(&specification);
        let leaves = wanted(specification.parameters.goal) / winning(&specification.genesis.base);
        let miner = |share: f64, tag: u64| Miner {
            engine: &engine,
            leaves: leaves * share,
            seed: Random::new(self.seed ^ tag << 32).number(),
        };
        let everybody = miner(1.0, 1);
        let mut fork = Lineage::genesis(BlockId([7; 32]), &specification);
        // Some part of an interval more than one, to the end of a group.
        let before = 120 + Random::new(self.seed).below(120);
        let mut epoch = 1;
        while fork.height.0 < before || epoch % self.beacon_interval != 0 {
            fork = everybody.follow(fork, Epoch(epoch));
            epoch += 1;
        }
        self.race(&fork, epoch, &miner(1.0 - self.share, 2), &miner(self.share, 3))
    }

    fn race(&self, fork: &Lineage, mut epoch: u64, others: &Miner<'_>, attacker: &Miner<'_>) -> Outcome {
        let (mut public, mut private) = (fork.clone(), vec![fork.clone()]);
        let mut outcome = Outcome::default();
        while public.height.0 - fork.height.0 < self.blocks {
            let group = epoch..epoch + self.beacon_interval;
            epoch = group.end;
            public = group.clone().fold(public, |tip, epoch| others.follow(tip, Epoch(epoch)));
            private = private.iter().flat_map(|branch| attacker.ways(branch, group.clone())).collect();
            private.sort_by_key(|branch| Reverse((branch.weight, branch.beacon.mix)));
            private.truncate(self.branches);
            let gained = |tip: &Lineage| as_float(tip.weight) - as_float(fork.weight);
            let ratio = gained(&private[0]) / gained(&public);
            outcome.ratios.push((public.height.0 - fork.height.0, ratio));
        }
        outcome
    }
}

struct Miner<'a> {
    engine: &'a SpaceTime,
    leaves: f64,
    seed: u64,
}

impl Miner<'_> {
    /// The chain after `epoch`: with a block where there is a winning leaf.
    fn follow(&self, tip: Lineage, epoch: Epoch) -> Lineage {
        let claim = self.engine.claim(&tip, epoch);
        self.leaves_below(&claim.challenge, winning(&claim.target)).next().map_or(tip.clone(), |leaf| {
            let (header, id) = header(&tip, epoch, 0, score_at(leaf.0), leaf.1);
            self.engine.extend(&tip, &header, id)
        })
    }

    /// All ways of `branch` through the epochs of a group that lies after it.
    fn ways(&self, branch: &Lineage, group: std::ops::Range<u64>) -> Vec<Lineage> {
        let parameters = self.engine.parameters();
        let active = branch.beacon.active_at(branch.epoch, Epoch(group.start), parameters);
        let challenges: Vec<_> = group.clone().map(|epoch| beacon::challenge(&active, Epoch(epoch))).collect();
        let mut ways = vec![branch.clone()];
        for (epoch, challenge) in group.map(Epoch).zip(&challenges) {
            // Those that have their first block go on with any leaf; those that have none begin with any.
            for way in &mut ways[1..] {
                self.extend(way, epoch, challenge, 1).into_iter().for_each(|next| *way = next);
            }
            let begun = self.extend(branch, epoch, challenge, usize::MAX);
            ways.extend(begun);
        }
        ways
    }

    /// `tip` with each of at most `most` blocks of `epoch`, each from another leaf.
    fn extend(&self, tip: &Lineage, epoch: Epoch, challenge: &Challenge, most: usize) -> Vec<Lineage> {
        let (target, _) = tip.difficulty.target(tip.epoch, epoch, self.engine.parameters());
        let leaves = self.leaves_below(challenge, winning(&target)).take(most);
        let extended = leaves.map(|(share, tag)| {
            let (header, id) = header(tip, epoch, 0, score_at(share), tag);
            self.engine.extend(tip, &header, id)
        });
        extended.collect()
    }

    /// Scores below `end`, as shares of all scores, ascending, with a number for the leaf of each.
    fn leaves_below(&self, challenge: &Challenge, end: f64) -> impl Iterator<Item = (f64, u64)> + use<> {
        let number = u64::from_le_bytes(*challenge.0.first_chunk().expect("32 bytes are more than 8"));
        let (mut random, leaves) = (Random::new(number ^ self.seed), self.leaves);
        let mut at = 0.0;
        std::iter::from_fn(move || {
            at += random.waiting() / leaves;
            Some((at, random.number())).filter(|_| at < end)
        })
    }
}

fn as_float(weight: Weight) -> f64 {
    weight.to_bytes().iter().fold(0.0, |sum, &byte| sum * 256.0 + f64::from(byte))
}

/// What attacks of one kind came to.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// Part of them that take over six blocks deep or deeper.
    pub from_6: f64,
    /// The same from 60 blocks.
    pub from_60: f64,
    /// The same at the end: 360 blocks are the deepest that is followed on main.
    pub at_end: f64,
    /// Mean of the weights' ratio at the end.
    pub ratio: f64,
}

/// Runs `attack` with each of `seeds`.
pub fn tally(attack: Attack, seeds: std::ops::Range<u64>) -> Tally {
    let outcomes: Vec<_> = seeds.map(|seed| Attack { seed, ..attack }.run()).collect();
    let part = |which: &dyn Fn(&Outcome) -> bool| {
        outcomes.iter().filter(|outcome| which(outcome)).count() as f64 / outcomes.len() as f64
    };
    Tally {
        from_6: part(&|outcome| outcome.overtakes_from(6)),
        from_60: part(&|outcome| outcome.overtakes_from(60)),
        at_end: part(&|outcome| outcome.last() > 1.0),
        ratio: outcomes.iter().map(Outcome::last).sum::<f64>() / outcomes.len() as f64,
    }
}

/// The share of space at which the mean ratio at the end is 1, to a thousandth.
pub fn threshold(attack: Attack, seeds: std::ops::Range<u64>) -> f64 {
    let (mut low, mut high) = (0.1, 0.5);
    while high - low > 0.001 {
        let share = (low + high) / 2.0;
        if tally(Attack { share, ..attack }, seeds.clone()).ratio > 1.0 { high = share } else { low = share }
    }
    (low + high) / 2.0
}

/// The share of space with which a private fork keeps up in the long run, with branches without number and the
/// target held constant: what an attacker can come near to and no more.
///
/// The heaviest of all branches is the front of a branching random walk. With `m(θ)` the mean, over the ways
/// through a group, of `exp(θ · blocks gained)`, it moves `inf ln m(θ) / θ` blocks a group (Biggins 1976).
pub fn limit(beacon_interval: u32) -> f64 {
    let all = wanted(Specification::main().parameters.goal);
    let public = |share: f64| -(-(1.0 - share) * all).exp_m1();
    let private = |share: f64| {
        let leaves = share * all;
        let found = -(-leaves).exp_m1();
        let speed = |theta: f64| {
            let later = |epochs: u32| (1.0 + found * theta.exp_m1()).powi(epochs as i32);
            let begun: f64 = (0..beacon_interval).map(|epochs| leaves * theta.exp() * later(epochs)).sum();
            (1.0 + begun).ln() / theta
        };
        (1..2000).map(|step| speed(f64::from(step) / 200.0)).fold(f64::INFINITY, f64::min) / f64::from(beacon_interval)
    };
    let (mut low, mut high) = (0.0, 0.5);
    while high - low > 1e-6 {
        let share = (low + high) / 2.0;
        if private(share) > public(share) { high = share } else { low = share }
    }
    low
}
