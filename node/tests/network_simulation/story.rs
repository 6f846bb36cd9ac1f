//! What happens to a world, and what has to be true at the end.

use std::collections::{BTreeMap, BTreeSet};

use spacetime_kernels::Target;
use spacetime_node::chain::{BlockId, Height};
use spacetime_node::consensus::Parameters;
use spacetime_node::network::message::Tip;
use spacetime_node::participant::Refused;
use spacetime_node::testing::{Random, Setup, parameters};

use super::member::Setting;
use super::world::{Place, Weather, World};

/// A world and its dice, which are not the world's own.
pub(crate) struct Story {
    pub(crate) world: World,
    dice: Random,
    epoch_ms: u64,
}

/// How a story ended.
#[derive(Debug)]
#[allow(dead_code, reason = "read by people where an assertion fails")]
pub(crate) struct Report {
    pub(crate) height: u64,
    /// Blocks that stand beside the best chain somewhere.
    pub(crate) stale: u64,
    pub(crate) banned: usize,
    pub(crate) windows: BTreeMap<&'static str, usize>,
}

/// Rewards and plots mature soon, so that all of the chain's life fits into a story, and forks may be as deep as a partition lasts.
fn short_spans() -> Parameters {
    Parameters { reorg_limit: 50, plot_maturity: 100, ..parameters() }
}

impl Story {
    fn new(seed: u64, members: usize, miners: usize, weather: Weather, skew_ms: u64) -> Self {
        let rows = 32;
        let leaves = (miners as u64) * 2 * rows;
        let chain = Setup {
            parameters: short_spans(),
            base: winning(leaves),
            miners,
            plots: 2,
            rows,
            wallets: 2,
            seed,
            ..Setup::default()
        };
        let setting = Setting { chain, members, seeds: 3, skew_ms };
        let epoch_ms = setting.chain.parameters.epoch_ms;
        Self { world: World::new(seed, &setting, weather), dice: Random::new(seed ^ 0xd1ce), epoch_ms }
    }

    /// Six members, three of them miners, on a good network.
    pub(crate) fn quiet(seed: u64) -> Self {
        Self::new(seed, 6, 3, Weather { delay_ms: 20, jitter_ms: 60, loss_one_in: 0 }, 50)
    }

    /// Anything up to seven members on anything from a good network to a bad one, with clocks that differ.
    pub(crate) fn wild(seed: u64) -> Self {
        let mut dice = Random::new(seed.wrapping_mul(31).wrapping_add(5));
        let members = 3 + dice.below(5) as usize;
        let miners = 1 + dice.below(members as u64 - 1) as usize;
        let weather = Weather {
            delay_ms: dice.below(150),
            jitter_ms: 1 + dice.below(200),
            loss_one_in: [0, 100, 20, 10][dice.below(4) as usize],
        };
        Self::new(seed, members, miners, weather, 240)
    }

    /// Lets epochs pass.
    pub(crate) fn epochs(&mut self, count: u64) {
        let until = self.world.now_ms + count * self.epoch_ms;
        self.world.run_until(until);
    }

    /// Cuts the network into so many parts.
    pub(crate) fn part(&mut self, parts: u8) {
        for place in 0..self.world.sides.len() {
            self.world.sides[place] = place as u8 % parts;
        }
    }

    /// All hear each other again.
    pub(crate) fn heal(&mut self) {
        self.world.sides.fill(0);
    }

    /// Epochs in which anybody may be killed, started or cut off.
    pub(crate) fn through_storm(&mut self, count: u64) {
        for _ in 0..count {
            let places = self.world.members.len() as u64;
            let place = self.dice.below(places) as Place;
            match self.dice.below(12) {
                0 | 1 if self.world.members[place].is_up() => self.world.kill(place),
                0..=3 if !self.world.members[place].is_up() => self.world.start(place),
                4 => self.world.sides[place] = self.dice.below(2) as u8,
                5 => self.heal(),
                6 => {
                    let other = self.dice.below(places) as Place;
                    self.world.disconnect(place, other);
                }
                _ => {}
            }
            self.epochs(1);
        }
    }

    /// The end of the storm: all are up, nothing is lost.
    pub(crate) fn clear(&mut self) {
        self.heal();
        self.world.weather.loss_one_in = 0;
        self.world.weather.jitter_ms = self.world.weather.jitter_ms.min(100);
        for place in 0..self.world.members.len() {
            if !self.world.members[place].is_up() {
                self.world.start(place);
            }
        }
    }

    /// Where all stand.
    pub(crate) fn tips(&self) -> Vec<Option<Tip>> {
        self.world.members.iter().map(|member| member.is_up().then(|| member.tip())).collect()
    }

    /// Whether all are on one chain, but for its last two blocks, which may be on their way.
    fn agree(&self) -> Result<BlockId, String> {
        let lowest = self.world.members.iter().map(|member| member.tip().height.0).min().unwrap_or(0);
        let highest = self.world.members.iter().map(|member| member.tip().height.0).max().unwrap_or(0);
        let at = Height(lowest.saturating_sub(2));
        let ids: Vec<_> = self.world.members.iter().map(|member| member.store().id_at(at).expect("memory")).collect();
        let different: BTreeSet<_> = ids.iter().collect();
        match ids[0] {
            Some(id) if different.len() == 1 && highest - lowest <= 2 => Ok(id),
            _ => Err(self.world.members.iter().map(|member| format!("{}\n", member.state())).collect()),
        }
    }

    /// How many epochs it takes until all are on one chain.
    pub(crate) fn epochs_until_agreement(&mut self, most: u64) -> Option<u64> {
        (0..most).find(|_| {
            let agree = self.agree().is_ok();
            if !agree {
                self.epochs(1);
            }
            agree
        })
    }

    /// All are on one chain, and what miners said of themselves is true.
    pub(crate) fn ends_in_agreement(&mut self) -> Report {
        let agreed = self.agree();
        assert!(agreed.is_ok(), "{}", agreed.unwrap_err());
        let mut windows = BTreeMap::new();
        for member in &self.world.members {
            let mut epochs = BTreeSet::new();
            for line in &member.lines {
                *windows.entry(line.result.name()).or_default() += 1;
                assert!(
                    epochs.insert((member.life, line.epoch)) || member.life > 1,
                    "two lines for an epoch: {line:?}"
                );
            }
        }
        self.nobody_signed_twice();
        let banned = self.world.offences.iter().filter(|(_, _, why)| matches!(why, Refused::Banned(_))).count();
        let first = &self.world.members[0];
        let tip = first.tip();
        let stale = first.store().side_blocks(Height(0), tip.height).expect("memory").len() as u64;
        Report { height: tip.height.0, stale, banned, windows }
    }

    /// Of all blocks that anybody keeps, no two are of one key and epoch.
    fn nobody_signed_twice(&self) {
        let mut signed = BTreeMap::new();
        for member in &self.world.members {
            let (store, top) = (member.store(), member.tip().height);
            let beside = store.side_blocks(Height(1), top).expect("memory").into_iter().map(|(_, id)| id);
            let on_chain =
                (1..=top.0).map(|height| store.id_at(Height(height)).expect("memory").expect("it is below the tip"));
            for id in on_chain.chain(beside) {
                let header = store.known_header(&id).expect("memory").header;
                let other = signed.insert((header.miner_key, header.epoch), id);
                assert!(
                    other.is_none_or(|other| other == id),
                    "{} signed twice in epoch {}",
                    header.miner_key,
                    header.epoch
                );
            }
        }
    }
}

/// The target below which 1.6 of so many scores lie, as one winner's share of epochs of 4/5 asks for.
fn winning(leaves: u64) -> Target {
    let share = (u128::MAX / u128::from(leaves) / 1000).saturating_mul(1609).to_be_bytes();
    let mut target = [0; 32];
    target[..16].copy_from_slice(&share);
    Target(target)
}
