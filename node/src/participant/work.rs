//! What miners are told: each group's column as soon as it is known, each epoch's target, and how epochs end.

use super::Participant;
use crate::chain::{BlockId, Epoch, Hash, Height};
use crate::consensus::beacon::group;
use crate::consensus::{Engine, Lineage};
use crate::miner::work::{ChainWork, EpochChallenge, EpochWork, GroupWork, Pause, PlotState, ResultWork, Work};
use crate::state::{Ledger, PlotStatus};
use crate::store::{Database, StoreError};

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Told {
    paused: Option<Pause>,
    /// Group and what it draws from: of the current group and the one after it.
    groups: [Option<(u64, Hash)>; 2],
    epoch: Option<(Epoch, BlockId)>,
    result: Option<Epoch>,
}

impl<D: Database> Participant<D> {
    /// Whether blocks of this node's miners would stand on the chain that the network follows.
    #[must_use]
    pub fn may_mine(&self) -> bool {
        self.pause().is_none()
    }

    /// Why they would not.
    pub(super) fn pause(&self) -> Option<Pause> {
        if self.is_behind() {
            return Some(Pause::Behind);
        }
        (!self.options.mine_alone && self.peers.ready().next().is_none()).then_some(Pause::NoPeers)
    }

    /// What a miner that has just come is told.
    #[must_use]
    pub fn work(&self, now_ms: u64) -> Vec<Work> {
        let mut work = vec![Work::Chain(self.chain_work(now_ms))];
        if let Some(reason) = self.pause() {
            work.push(Work::Pause(reason));
            return work;
        }
        let now = self.epoch_at(now_ms);
        work.extend(self.known_groups(now).map(|(number, _)| self.group_work(number)));
        work.extend(self.epoch_work(now, now_ms));
        work.extend(self.unsigned(now));
        work
    }

    /// Tells what is new since the last time.
    pub(super) fn tell_miners(&mut self, now_ms: u64) -> Result<(), StoreError> {
        if let Some(reason) = self.pause() {
            if self.told.paused != Some(reason) {
                self.told = Told { paused: Some(reason), result: self.told.result, ..Told::default() };
                self.say(Work::Pause(reason));
            }
            return Ok(());
        }
        self.told.paused = None;
        let Some(now) = self.chain.engine().epoch_of(now_ms) else { return Ok(()) };
        let groups: Vec<_> = self.known_groups(now).collect();
        for known in groups {
            if !self.told.groups.contains(&Some(known)) {
                let current = group(now, self.chain.parameters()).0;
                self.told.groups[usize::from(known.0 > current)] = Some(known);
                self.say(self.group_work(known.0));
            }
        }
        self.tell_result(now)?;
        let here = (now, self.chain.tip().id);
        if self.told.epoch != Some(here) {
            self.told.epoch = Some(here);
            self.epoch_work(now, now_ms).into_iter().for_each(|work| self.say(work));
        }
        Ok(())
    }

    /// The epoch before is over: says once how it ended.
    fn tell_result(&mut self, now: Epoch) -> Result<(), StoreError> {
        let Some(over) = now.0.checked_sub(1).map(Epoch) else { return Ok(()) };
        let last = self.told.result.replace(over);
        // Of epochs in which nobody listened, or there was no chain, nothing is told.
        if last.is_some_and(|last| last < over) {
            let block = self.block_of(over)?;
            let best = self.rounds.best(over).map(|score| Hash(score.0));
            self.say(Work::Result(ResultWork { epoch: over, best, block }));
        }
        self.rounds.forget_before(over);
        Ok(())
    }

    /// The block of an epoch on the best chain: near its tip.
    fn block_of(&self, epoch: Epoch) -> Result<Option<(BlockId, crate::chain::MinerKey)>, StoreError> {
        let mut id = self.chain.tip().id;
        loop {
            let Some(stored) = self.chain.store().header(&id)? else { return Ok(None) };
            let header = &stored.header;
            if header.epoch <= epoch {
                return Ok((header.epoch == epoch && header.height > Height(0)).then_some((id, header.miner_key)));
            }
            id = header.parent;
        }
    }

    fn say(&mut self, work: Work) {
        self.effects.push(super::Effect::Work(work));
    }

    fn epoch_at(&self, now_ms: u64) -> Epoch {
        self.chain.engine().epoch_of(now_ms).unwrap_or(Epoch(0))
    }

    fn chain_work(&self, now_ms: u64) -> ChainWork {
        let (parameters, genesis) = (self.chain.parameters(), self.chain.genesis());
        ChainWork {
            network: parameters.network.clone(),
            hrp: parameters.hrp.clone(),
            genesis: genesis.id,
            genesis_time_ms: genesis.timestamp_ms,
            epoch_ms: parameters.epoch_ms,
            window_ms: parameters.window_ms,
            beacon_interval: parameters.beacon_interval,
            log2_columns: parameters.shape().log2_columns(),
            rounds: parameters.shape().rounds(),
            min_rows: parameters.min_rows,
            openings: parameters.openings,
            plot_maturity: parameters.plot_maturity,
            plot_lifetime: parameters.plot_lifetime,
            fees: parameters.fees,
            time_ms: now_ms,
        }
    }

    /// Numbers of the groups whose column is known, the current one first, with what they draw from.
    ///
    /// The next group draws from the mix that the first block of the current one left, so that it is known as soon as
    /// there is one. The current one always is: should a block of the group before still come, it is told again.
    fn known_groups(&self, now: Epoch) -> impl Iterator<Item = (u64, Hash)> + use<D> {
        let (parameters, tip) = (self.chain.parameters(), self.chain.tip());
        let current = group(now, parameters).0;
        let of_tip = group(tip.epoch, parameters).0;
        let next = (of_tip >= current).then_some(of_tip.max(current) + 1);
        let first_epoch = |number: u64| Epoch(number.saturating_mul(parameters.beacon_interval));
        let active = |number: u64| tip.beacon.active_at(tip.epoch, first_epoch(number), parameters);
        let known: Vec<_> = [Some(current.max(of_tip)), next]
            .into_iter()
            .flatten()
            .map(|number| (number, if number == of_tip { tip.beacon.active } else { active(number) }))
            .collect();
        known.into_iter()
    }

    fn group_work(&self, number: u64) -> Work {
        let (engine, parameters, tip) = (self.chain.engine(), self.chain.parameters(), self.chain.tip());
        let first = number.saturating_mul(parameters.beacon_interval);
        let epochs = first..first.saturating_add(parameters.beacon_interval);
        let challenges = epochs.map(Epoch).filter_map(|epoch| {
            let challenge = Hash(engine.claim(tip, epoch).challenge.0);
            Some(EpochChallenge { epoch, challenge, start_ms: self.rounds.start_ms(epoch)? })
        });
        let column = engine.claim(tip, Epoch(first)).column.0;
        Work::Group(GroupWork {
            group: number,
            column,
            challenges: challenges.collect(),
            target: Hash(tip.difficulty.base.0),
        })
    }

    /// What wins an epoch, unless it has a block.
    fn epoch_work(&self, epoch: Epoch, now_ms: u64) -> Option<Work> {
        let tip: &Lineage = self.chain.tip();
        if epoch <= tip.epoch {
            return None;
        }
        let claim = self.chain.engine().claim(tip, epoch);
        Some(Work::Epoch(EpochWork {
            epoch,
            challenge: Hash(claim.challenge.0),
            column: claim.column.0,
            target: Hash(claim.target.0),
            parent: tip.id,
            height: tip.height.next(),
            closes_ms: self.rounds.closes_ms(epoch)?,
            time_ms: now_ms,
        }))
    }

    /// What the chain knows of a plot.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn plot_state(&self, plot_key: Hash) -> Result<PlotState, StoreError> {
        let (parameters, height) = (self.chain.parameters(), self.chain.tip().height);
        let mut ledger = Ledger::new(self.chain.store().state(height));
        let Some(plot) = ledger.plot(plot_key)? else { return Ok(PlotState::Absent) };
        if ledger.barred(plot.miner_key)?.is_some() {
            return Ok(PlotState::Ended);
        }
        let mix = ledger.beacon(plot.draw)?.map(|entry| entry.mix);
        // What the next block may do is judged by the state here (PROTOCOL §9).
        Ok(match plot.status(height.next(), parameters) {
            PlotStatus::Pending => {
                let until = Height(plot.registered.0.saturating_add(parameters.activation_window));
                PlotState::Pending { registered: plot.registered, mix, until }
            }
            PlotStatus::Lapsed | PlotStatus::Ended => PlotState::Absent,
            PlotStatus::Retired => PlotState::Ended,
            PlotStatus::Immature | PlotStatus::Mature => PlotState::Active {
                mature_from: plot.mature_from.unwrap_or(height),
                until: parameters.plot_lifetime.map(|lifetime| Height(plot.last.0.saturating_add(lifetime))),
                mix,
            },
        })
    }
}
