//! The miner as a machine: what happens goes in, what is to be done comes out. Time is handed in.

mod epochs;
mod lines;
mod plots;
mod sign;
mod sweeps;
mod win;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use spacetime_kernels::network_tag;

use self::epochs::{EpochState, Epochs, Step};
pub use self::plots::Registration;
use self::plots::{Plots, Surroundings};
use self::sweeps::{Sweeps, Want};
use super::farm::{FarmView, PlotInfo, Trouble};
use super::io::{MinerEffect, MinerInput};
use super::record::SigningRecord;
use super::window::Missed;
use super::work::{ChainWork, EpochWork, Pause, PlotState, ResultWork, Work};
use crate::builder::Payout;
use crate::chain::bls::SecretKey;
use crate::chain::{Epoch, Hash, Height, MinerKey, PlotId};

/// Epochs of which a header may still be asked for after their lines were given.
const KEPT_EPOCHS: u64 = 16;
/// Most epochs that are gone through one by one after the clock has leapt: each leaves a line.
const MAX_LEAP: u64 = 64;
/// From which difference to the node's clock on there is a warning: half of what blocks may lie ahead (PROTOCOL §7).
const CLOCK_WARNING_MS: u64 = 250;
/// So many words of the node tell how far its clock is from this one.
const CLOCK_OFFSETS: usize = 3;

/// Who mines, and for whom.
#[derive(Debug)]
pub struct MinerOptions {
    /// Keys of the plots' miners.
    pub keys: Vec<SecretKey>,
    /// Who is paid.
    pub payout: Payout,
    /// Whether and how plots are brought to life.
    pub registration: Registration,
}

/// A plot, and how it stands on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotView {
    /// The plot.
    pub info: PlotInfo,
    /// What the chain said last of it.
    pub state: Option<PlotState>,
    /// What went wrong last as it was to be brought to life.
    pub error: Option<String>,
}

/// A miner: it knows what the node said, what sweeps found, and what it has submitted and signed.
#[derive(Debug)]
pub struct Miner<R> {
    keys: BTreeMap<MinerKey, SecretKey>,
    payout: Payout,
    record: R,
    chain: Option<ChainWork>,
    /// Why nothing can be won, if that is so.
    hindrance: Option<Missed>,
    view: FarmView,
    /// Plots that can be used on this chain.
    farm: BTreeMap<PlotId, PlotInfo>,
    sweeps: Sweeps,
    epochs: Epochs,
    plots: Plots,
    /// The height of the next block, as the node said last.
    height: Option<Height>,
    /// How often the node has said something.
    turn: u64,
    /// The first epoch that has not begun yet.
    next_epoch: u64,
    /// The latest epoch that was forgotten: where the clock is set back, it leaves no second line.
    forgotten: Option<Epoch>,
    plotting_paused: bool,
    clocks_differ: bool,
    /// How far this clock was ahead of the node's, by what it said last, milliseconds.
    clock_offsets: VecDeque<i128>,
    told_of_farm: Told,
    told_of_sweeps: Told,
    wake_ms: Option<u64>,
    effects: Vec<MinerEffect>,
}

/// What was said of plots, so that it is said once.
#[derive(Debug, Default)]
struct Told(BTreeMap<String, String>);

impl Told {
    /// What is said of each that is new, beside its error.
    fn update(&mut self, troubles: &[Trouble], what: &'static str) {
        let now: BTreeMap<String, String> =
            troubles.iter().map(|trouble| (trouble.name.clone(), trouble.error.clone())).collect();
        for (plot, error) in &now {
            if self.0.get(plot) != Some(error) {
                tracing::warn!(%plot, %error, "{what}");
            }
        }
        for plot in self.0.keys().filter(|plot| !now.contains_key(*plot)) {
            tracing::info!(%plot, "a plot is no trouble any more");
        }
        self.0 = now;
    }
}

impl<R: SigningRecord> Miner<R> {
    /// A miner that has heard nothing yet.
    #[must_use]
    pub fn new(options: MinerOptions, record: R) -> Self {
        let keys = options.keys.into_iter().map(|key| (key.public_key().to_bytes(), key)).collect();
        Self {
            keys,
            payout: options.payout,
            record,
            chain: None,
            hindrance: Some(Missed::NoLink),
            view: FarmView::default(),
            farm: BTreeMap::new(),
            sweeps: Sweeps::default(),
            epochs: Epochs::new(),
            plots: Plots::new(options.registration),
            height: None,
            turn: 0,
            next_epoch: 0,
            forgotten: None,
            plotting_paused: false,
            clocks_differ: false,
            clock_offsets: VecDeque::new(),
            told_of_farm: Told::default(),
            told_of_sweeps: Told::default(),
            wake_ms: None,
            effects: Vec::new(),
        }
    }

    /// Takes in what happens at a time, Unix milliseconds, and says what is to be done.
    #[must_use]
    pub fn handle(&mut self, input: MinerInput, now_ms: u64) -> Vec<MinerEffect> {
        // Lines first: what comes after the end of a window is not part of it.
        match input {
            MinerInput::Work(work) => self.hear(work, now_ms),
            MinerInput::Disconnected => self.disconnected(),
            MinerInput::Farm(view) => {
                self.view = view;
                self.look_at_farm();
            }
            MinerInput::SweepDone { id, result } => {
                if let Ok(report) = &result
                    && report.end != super::farm::SweepEnd::Cancelled
                {
                    self.told_of_sweeps.update(&report.troubles, "a plot was not wholly searched");
                }
                self.sweeps.done(id, result, now_ms);
            }
            MinerInput::SweepDue { id, due_ms, report } => self.sweeps.due(id, due_ms, report, now_ms),
            MinerInput::ProofMade { order, result } => self.proved(&order, result, now_ms),
            MinerInput::SubmitResult { epoch, challenge, result } => self.answered(epoch, &challenge, result, now_ms),
            MinerInput::SignResult { epoch, miner_key, result } => {
                self.signature_answered(epoch, &miner_key, result, now_ms);
            }
            MinerInput::PlotState { plot_key, result } => {
                if let Some(chain) = &self.chain {
                    self.plots.told(&plot_key, result, chain, now_ms);
                }
            }
            MinerInput::Nonce { address: _, result } => {
                self.with_plots(now_ms, |plots, around| plots.nonce(result, around).into_iter().collect());
            }
            MinerInput::OpeningsMade { order, result } => {
                self.with_plots(now_ms, |plots, around| plots.opened(&order, result, around).into_iter().collect());
            }
            MinerInput::SendResult { plot_key, result } => {
                if let Some(chain) = &self.chain {
                    self.plots.sent(&plot_key, result, chain, now_ms);
                }
            }
            MinerInput::Tick => {}
        }
        self.advance(now_ms);
        std::mem::take(&mut self.effects)
    }

    /// When [`MinerInput::Tick`] is due, Unix milliseconds; none as long as something else has to happen first.
    #[must_use]
    pub fn wake_ms(&self) -> Option<u64> {
        self.wake_ms
    }

    /// Whether this clock and the node's differ by more than is good, as far as is known.
    #[must_use]
    pub fn clocks_differ(&self) -> bool {
        self.clocks_differ
    }

    /// Plots that can be used on the node's chain.
    pub fn plots(&self) -> impl Iterator<Item = PlotView> {
        self.farm.values().map(|info| PlotView {
            info: info.clone(),
            state: self.plots.state(&info.key),
            error: self.plots.error(&info.key).map(str::to_owned),
        })
    }

    fn with_plots(&mut self, now_ms: u64, act: impl FnOnce(&mut Plots, &Surroundings<'_>) -> Vec<MinerEffect>) {
        let Some((chain, height)) = self.chain.as_ref().zip(self.height) else { return };
        let around = Surroundings { chain, keys: &self.keys, height, now_ms };
        self.effects.extend(act(&mut self.plots, &around));
    }

    fn hear(&mut self, work: Work, now_ms: u64) {
        self.turn += 1;
        match work {
            Work::Chain(chain) => self.begin(chain, now_ms),
            Work::Group(group) => {
                self.go_on();
                self.sweeps.learn(group, self.turn);
            }
            Work::Epoch(work) => {
                self.go_on();
                self.learn(work, now_ms);
            }
            Work::Sign(asked) => self.sign(&asked, now_ms),
            Work::Result(result) => self.learn_result(result),
            Work::Pause(reason) => {
                let missed = match reason {
                    Pause::Behind => Missed::NotSynced,
                    Pause::NoPeers => Missed::NoPeers,
                };
                if self.hindrance.replace(missed) != Some(missed) {
                    tracing::info!(%reason, "mining pauses");
                }
                self.sweeps.forget_groups();
            }
        }
    }

    fn begin(&mut self, chain: ChainWork, now_ms: u64) {
        if let Some(before) = &self.chain
            && before.genesis != chain.genesis
        {
            self.effects.push(MinerEffect::OtherChain { expected: before.genesis, found: chain.genesis });
            return;
        }
        self.compare_clocks(chain.time_ms, now_ms);
        if self.chain.is_none() {
            self.next_epoch = epoch_at(&chain, now_ms).map_or(0, |epoch| epoch.0);
        }
        self.chain = Some(chain);
        // Whatever the node knew may be lost: it says all it has to say again.
        self.hindrance = None;
        self.sweeps.forget_groups();
        self.look_at_farm();
        for state in self.epochs.values_mut().filter(|state| now_ms < state.closes_ms) {
            for attempt in &mut state.attempts {
                match std::mem::replace(&mut attempt.step, Step::Waiting) {
                    Step::Submitting { plot, proof } | Step::Retrying { plot, proof, .. } => {
                        attempt.step = Step::Retrying { plot, proof, at_ms: now_ms };
                    }
                    Step::Submitted { proof } => {
                        self.effects.push(MinerEffect::Submit(proof.clone()));
                        attempt.step = Step::Submitted { proof };
                    }
                    step => attempt.step = step,
                }
            }
        }
    }

    /// Says once that the clocks differ, and once that they do no longer.
    fn compare_clocks(&mut self, node_ms: u64, now_ms: u64) {
        if self.clock_offsets.len() == CLOCK_OFFSETS {
            self.clock_offsets.pop_front();
        }
        self.clock_offsets.push_back(i128::from(now_ms) - i128::from(node_ms));
        // What was on its way for long looks like a clock that is ahead: the least says most.
        let least = self.clock_offsets.iter().min().copied().unwrap_or_default();
        let (offset_ms, ahead) = (least.unsigned_abs() as u64, least > 0);
        let differ = offset_ms >= CLOCK_WARNING_MS && (!ahead || self.clock_offsets.len() == CLOCK_OFFSETS);
        if std::mem::replace(&mut self.clocks_differ, differ) != differ {
            match differ {
                true => tracing::warn!(offset_ms, ahead, "this clock and the node's differ"),
                false => tracing::warn!(offset_ms, ahead, "this clock and the node's agree again"),
            }
        }
    }

    fn disconnected(&mut self) {
        if self.hindrance.is_none() {
            tracing::warn!("the node is out of reach: mining pauses");
        }
        self.hindrance = Some(Missed::NoLink);
        self.plots.disconnected();
    }

    /// The node tells of something that can be won.
    fn go_on(&mut self) {
        if self.hindrance.take_if(|missed| matches!(missed, Missed::NotSynced | Missed::NoPeers)).is_some() {
            tracing::info!("there is something to win again: mining goes on");
        }
    }

    /// Sorts the plots into those that can be used and those that cannot.
    fn look_at_farm(&mut self) {
        let Some(chain) = &self.chain else { return };
        let network = Hash(network_tag(&chain.network));
        let mut troubles = self.view.refused.clone();
        let before = std::mem::take(&mut self.farm);
        for plot in &self.view.plots {
            let error = if plot.network != network {
                Some(format!("it is a plot of another network than {}", chain.network))
            } else if (plot.log2_columns, plot.rounds) != (chain.log2_columns, chain.rounds) {
                Some(format!(
                    "p = {} and R = {}, the chain has {} and {}",
                    plot.log2_columns, plot.rounds, chain.log2_columns, chain.rounds
                ))
            } else if plot.rows < chain.min_rows {
                Some(format!("it has {} rows, the chain asks for {}", plot.rows, chain.min_rows))
            } else if !self.keys.contains_key(&plot.miner_key) {
                Some(format!("it is a plot of miner key {}, which this miner does not hold", plot.miner_key))
            } else {
                None
            };
            match error {
                Some(error) => troubles.push(Trouble { name: plot.name.clone(), error }),
                None => {
                    self.farm.insert(plot.id, plot.clone());
                }
            }
        }
        // Those that are there and cannot be used any more are told of by why.
        let is_there = |plot: &PlotInfo| troubles.iter().any(|trouble| trouble.name == plot.name);
        for plot in before.values().filter(|plot| !self.farm.contains_key(&plot.id) && !is_there(plot)) {
            tracing::warn!(plot = plot.name, "a plot is gone");
        }
        self.plots.look_at(&self.farm);
        self.told_of_farm.update(&troubles, "a plot is not used");
    }

    fn learn(&mut self, work: EpochWork, now_ms: u64) {
        self.compare_clocks(work.time_ms, now_ms);
        let Some(chain) = &self.chain else { return };
        let current = epoch_at(chain, now_ms).map_or(0, |epoch| epoch.0);
        // Of epochs gone by nothing can be won; the next ones may be told of by a clock that is ahead.
        if work.epoch.0 < current || work.epoch.0 > current.saturating_add(2) {
            return;
        }
        let line_given = self.forgotten >= Some(work.epoch);
        let new = || EpochState { line_given, ..new_epoch(chain, work.epoch) };
        let state = self.epochs.entry(work.epoch).or_insert_with(new);
        self.height = Some(work.height);
        state.closes_ms = work.closes_ms.min(state.ends_ms);
        (state.work, state.turn) = (Some(work), self.turn);
    }

    fn learn_result(&mut self, result: ResultWork) {
        let Some(state) = self.epochs.get_mut(&result.epoch) else { return };
        let known = state.result.get_or_insert(result);
        known.best = result.best.or(known.best);
        known.block = result.block.or(known.block);
    }

    /// Does everything that is due.
    fn advance(&mut self, now_ms: u64) {
        self.begin_epochs(now_ms);
        self.hand_over_again(now_ms);
        if self.hindrance.is_none() {
            let open: Vec<Epoch> =
                self.epochs.iter().filter(|(_, state)| now_ms < state.closes_ms).map(|(epoch, _)| *epoch).collect();
            open.into_iter().for_each(|epoch| self.try_to_win(epoch, now_ms));
            self.plan_sweeps(now_ms);
            self.with_plots(now_ms, Plots::advance);
        }
        self.give_lines(now_ms);
        self.forget(now_ms);
        let proving =
            |state: &EpochState| state.attempts.iter().any(|attempt| matches!(attempt.step, Step::Proving { .. }));
        let busy = self.sweeps.is_running() || self.epochs.values().any(proving);
        if std::mem::replace(&mut self.plotting_paused, busy) != busy {
            self.effects.push(MinerEffect::PausePlotting(busy));
        }
        self.wake_ms = self.next_wake(now_ms);
    }

    fn begin_epochs(&mut self, now_ms: u64) {
        let Some(chain) = &self.chain else { return };
        let Some(Epoch(current)) = epoch_at(chain, now_ms) else { return };
        if current.saturating_sub(self.next_epoch) > MAX_LEAP {
            tracing::warn!(from = self.next_epoch, to = current, "the clock has leapt: these epochs leave no lines");
            self.next_epoch = current;
        }
        while self.next_epoch <= current {
            let epoch = Epoch(self.next_epoch);
            self.epochs.entry(epoch).or_insert_with(|| new_epoch(chain, epoch));
            let Some(next) = self.next_epoch.checked_add(1) else { break };
            self.next_epoch = next;
        }
        if self.hindrance.is_some() {
            let open = self.epochs.values_mut().filter(|state| now_ms < state.closes_ms);
            open.for_each(|state| state.hindrance = self.hindrance);
        }
    }

    fn plan_sweeps(&mut self, now_ms: u64) {
        let Some(chain) = &self.chain else { return };
        if self.farm.is_empty() {
            return;
        }
        let window_ms = chain.window_ms;
        // Of what was said of an epoch itself and of its group the newer counts.
        let mut wants: BTreeMap<Epoch, (u64, Want)> = BTreeMap::new();
        for (turn, group) in self.sweeps.groups.values() {
            for known in &group.challenges {
                let closes_ms = known.start_ms.saturating_add(window_ms);
                let want = Want { column: group.column, challenge: known.challenge, closes_ms };
                wants.insert(known.epoch, (*turn, want));
            }
        }
        for (epoch, state) in &self.epochs {
            if let Some(work) = state.work
                && wants.get(epoch).is_none_or(|(turn, _)| *turn < state.turn)
            {
                let want = Want { column: work.column, challenge: work.challenge, closes_ms: state.closes_ms };
                wants.insert(*epoch, (state.turn, want));
            }
        }
        let wants: Vec<Want> = wants.into_values().map(|(_, want)| want).collect();
        let effect = self.sweeps.plan(&wants, window_ms / 8, now_ms);
        self.effects.extend(effect);
    }

    /// Forgets what nothing can come of any more.
    fn forget(&mut self, now_ms: u64) {
        let Some(chain) = &self.chain else { return };
        let Some(Epoch(current)) = epoch_at(chain, now_ms) else { return };
        let over = |epoch: Epoch, state: &EpochState| state.line_given && epoch.0.saturating_add(KEPT_EPOCHS) < current;
        let gone = self.epochs.iter().filter(|(epoch, state)| over(**epoch, state)).map(|(epoch, _)| *epoch).max();
        self.forgotten = self.forgotten.max(gone);
        self.epochs.retain(|epoch, state| !over(*epoch, state));
        self.sweeps.groups.retain(|_, (_, group)| group.challenges.iter().any(|known| known.epoch.0 >= current));
        let of_groups = self.sweeps.groups.values();
        let mut needed: BTreeSet<(u32, Hash)> = of_groups
            .flat_map(|(_, group)| group.challenges.iter().map(|known| (group.column, known.challenge)))
            .collect();
        for state in self.epochs.values().filter(|state| !state.line_given) {
            needed.extend(state.work.map(|work| (work.column, work.challenge)));
            needed.extend(state.attempts.iter().map(|attempt| (attempt.column, attempt.challenge)));
        }
        self.sweeps.retain(&needed, now_ms);
    }

    fn next_wake(&self, now_ms: u64) -> Option<u64> {
        let chain = self.chain.as_ref()?;
        let next_epoch = start_of(chain, Epoch(self.next_epoch));
        let mut wakes = vec![next_epoch];
        for state in self.epochs.values().filter(|state| !state.line_given) {
            wakes.extend([state.closes_ms, lines::latest_ms(chain, state)]);
            wakes.extend(state.attempts.iter().filter_map(|attempt| match attempt.step {
                Step::Retrying { at_ms, .. } => Some(at_ms),
                _ => None,
            }));
        }
        let handed = self.epochs.values().flat_map(|state| state.signatures.values());
        wakes.extend(handed.filter_map(|handed| handed.again_ms));
        wakes.extend(self.sweeps.wake_ms(now_ms));
        wakes.extend(self.plots.wake_ms(now_ms));
        wakes.into_iter().filter(|wake_ms| *wake_ms > now_ms).min()
    }
}

fn epoch_at(chain: &ChainWork, now_ms: u64) -> Option<Epoch> {
    Some(Epoch(now_ms.checked_sub(chain.genesis_time_ms)? / chain.epoch_ms.max(1)))
}

fn start_of(chain: &ChainWork, epoch: Epoch) -> u64 {
    epoch.0.saturating_mul(chain.epoch_ms).saturating_add(chain.genesis_time_ms)
}

fn new_epoch(chain: &ChainWork, epoch: Epoch) -> EpochState {
    let start_ms = start_of(chain, epoch);
    EpochState::new(start_ms.saturating_add(chain.window_ms), start_ms.saturating_add(chain.epoch_ms))
}
