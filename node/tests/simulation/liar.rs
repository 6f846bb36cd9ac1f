//! A miner who says something else about the time than its clock does.
//!
//! A block's epoch fixes its challenge, so a timestamp can only be moved to epochs in which the
//! miner has a winning leaf, after the parent's and not past `epoch(now + 500 ms)`. What is left to
//! try is to be early, to be late, and to leave epochs out.

use spacetime_kernels::Challenge;
use spacetime_node::chain::{BlockId, Epoch};
use spacetime_node::consensus::{Engine, Lineage, SpaceTime, Specification, beacon};

use super::random::Random;
use super::{header, score_at, wanted, winning};

/// What nodes allow a clock to be wrong by, in milliseconds (PROTOCOL §7).
const SLACK_MS: u64 = 500;

/// What the miner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing: it is as honest as the others.
    None,
    /// Its clock runs ahead: it proposes for an epoch half a second before that begins, and waits for nobody.
    Early,
    /// Its clock is an epoch behind: its blocks come after the others' blocks of the next epoch.
    Late,
    /// It keeps quiet where it would end a retarget interval, so that the interval seems slow.
    Stretch,
    /// No lie about time, and here for comparison: it builds on its own blocks in secret and shows them when the
    /// others catch up and it can still win by that.
    Secret,
}

/// The miner's share of the blocks of `epochs` epochs, `share` of the space being its own.
pub fn blocks_won(lie: Lie, share: f64, epochs: u64, seed: u64) -> f64 {
    let specification = Specification::main();
    let network = Network {
        leaves: wanted(specification.parameters.goal) / winning(&specification.genesis.base),
        engine: SpaceTime::new(&specification),
        genesis_time_ms: specification.genesis.time_ms,
        share,
        seed,
    };
    let genesis = Lineage::genesis(BlockId([7; 32]), &specification);
    if lie == Lie::Secret { network.withhold(epochs, genesis) } else { network.race(lie, epochs, genesis) }
}

struct Network {
    engine: SpaceTime,
    genesis_time_ms: u64,
    leaves: f64,
    share: f64,
    seed: u64,
}

/// Leaves the block with the lower score.
fn lowest(one: &mut Option<Lineage>, other: &mut Option<Lineage>) {
    if let (Some(first), Some(second)) = (&*one, &*other) {
        *(if first.score < second.score { other } else { one }) = None;
    }
}

impl Network {
    /// The race of one that shows its blocks at once, or one epoch late.
    fn race(&self, lie: Lie, epochs: u64, genesis: Lineage) -> f64 {
        let (mut tip, mut liars_tip, mut late) = (genesis, false, None);
        let (mut blocks, mut won) = (0_u64, 0_u64);
        for epoch in (1..=epochs).map(Epoch) {
            let start_ms =
                beacon::start_of(epoch, self.genesis_time_ms, self.engine.parameters()).expect("far below the end");
            let mut honest = self.block(&tip, epoch, start_ms, false);
            let mut liars = self.block(&tip, epoch, start_ms, true);
            match lie {
                // Everybody gathers proofs, and the lowest score alone is proposed.
                Lie::None | Lie::Secret => lowest(&mut honest, &mut liars),
                Lie::Early => {
                    let allows = |now_ms: u64| self.engine.epoch_of(now_ms + SLACK_MS) >= Some(epoch);
                    assert!(allows(start_ms - SLACK_MS) && !allows(start_ms - SLACK_MS - 1), "as early as can be");
                }
                Lie::Late => liars = std::mem::replace(&mut late, liars),
                Lie::Stretch => {
                    let last = tip.difficulty.blocks + 1 == self.engine.parameters().retarget_interval;
                    liars = liars.filter(|_| !last);
                    lowest(&mut honest, &mut liars);
                }
            }
            let mut shown = [(liars, true), (honest, false)];
            if lie == Lie::Late {
                shown.swap(0, 1);
            }
            let (height, liars_parent) = (tip.height, liars_tip);
            for (block, liars) in shown {
                if let Some(block) = block.filter(|block| self.engine.prefer(&tip, block)) {
                    (tip, liars_tip) = (block, liars);
                }
            }
            // Under a child a block is safe: siblings of its own weigh less than both.
            if tip.height > height && height.0 > 0 {
                blocks += 1;
                won += u64::from(liars_parent);
            }
        }
        won as f64 / blocks as f64
    }

    /// The race of one that keeps its blocks back.
    fn withhold(&self, epochs: u64, genesis: Lineage) -> f64 {
        let (mut base, mut public, mut secret) = (genesis, Vec::new(), Vec::new());
        let (mut blocks, mut won) = (0, 0);
        for epoch in (1..=epochs).map(Epoch) {
            let tip = public.last().unwrap_or(&base);
            let honest = self.block(tip, epoch, 0, false);
            let liars = self.block(secret.last().unwrap_or(tip), epoch, 0, true);
            secret.extend(liars);
            let Some(honest) = honest else { continue };
            public.push(honest.clone());
            let wins = secret.last().filter(|hidden| self.engine.prefer(&honest, hidden));
            match wins {
                // Far enough ahead to wait for more.
                Some(_) if secret.len() > public.len() + 1 => continue,
                Some(hidden) => {
                    base = hidden.clone();
                    blocks += secret.len();
                    won += secret.len();
                }
                None => {
                    base = honest;
                    blocks += public.len();
                }
            }
            public.clear();
            secret.clear();
        }
        won as f64 / blocks as f64
    }

    /// The best block that one side finds in `epoch` on `parent`, if it finds one. Its leaves' scores are
    /// drawn from the challenge: the lowest of `n` of them is exponential.
    fn block(&self, parent: &Lineage, epoch: Epoch, timestamp_ms: u64, liars: bool) -> Option<Lineage> {
        let claim = self.engine.claim(parent, epoch);
        let leaves = self.leaves * if liars { self.share } else { 1.0 - self.share };
        let mut random = self.draws(&claim.challenge, liars);
        let score = score_at((random.waiting() / leaves).min(1.0));
        let (header, id) = header(parent, epoch, timestamp_ms, score, random.number());
        claim.target.is_met_by(&score).then(|| self.engine.extend(parent, &header, id))
    }

    fn draws(&self, challenge: &Challenge, liars: bool) -> Random {
        let number = u64::from_le_bytes(*challenge.0.first_chunk().expect("32 bytes are more than 8"));
        Random::new(number ^ self.seed << 1 ^ u64::from(liars))
    }
}
