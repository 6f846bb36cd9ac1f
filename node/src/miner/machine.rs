//! The miner as a machine: what happens goes in, what is to be done comes out. Time is handed in.

mod epochs;
mod lines;
mod sign;
mod sweeps;

use std::collections::{BTreeMap, BTreeSet};

use spacetime_kernels::{Challenge, Score, Target, network_tag};
use spacetime_prover::Proof;

use self::epochs::{EpochState, Epochs, MAX_TRIES, Step, Submission};
use self::sign::SignRefusal;
use self::sweeps::{Sweeps, Want};
use super::farm::{FarmView, PlotInfo, Trouble};
use super::io::{LinkError, MinerEffect, MinerInput, ProofOrder};
use super::record::{self, SigningRecord};
use super::window::Missed;
use super::work::{ChainWork, EpochWork, MinerProof, MinerSigned, ResultWork, SignWork, Work};
use crate::builder::Payout;
use crate::chain::bls::SecretKey;
use crate::chain::{Epoch, Hash, MinerKey, PlotId, proof_id};
use crate::consensus::reveal_message;

/// Epochs of which a header may still be asked for after their lines were given.
const KEPT_EPOCHS: u64 = 16;
/// Most epochs that are gone through one by one after the clock has leapt: each leaves a line.
const MAX_LEAP: u64 = 64;
/// From which difference to the node's clock on there is a warning: half of what blocks may lie ahead (PROTOCOL §7).
const CLOCK_WARNING_MS: u64 = 250;
/// How long after a node did not answer a proof is handed to it again, as a part of the window.
const RETRIES_A_WINDOW: u64 = 16;

/// Who mines, and for whom.
#[derive(Debug)]
pub struct MinerOptions {
    /// Keys of the plots' miners.
    pub keys: Vec<SecretKey>,
    /// Who is paid.
    pub payout: Payout,
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
    /// How often the node has said something.
    turn: u64,
    /// The first epoch that has not begun yet.
    next_epoch: u64,
    plotting_paused: bool,
    told_of_farm: Told,
    told_of_sweeps: Told,
    wake_ms: Option<u64>,
    effects: Vec<MinerEffect>,
}

/// What was said of plots, so that it is said once.
#[derive(Debug, Default)]
struct Told(BTreeMap<String, String>);

impl Told {
    fn update(&mut self, troubles: &[Trouble]) {
        let now: BTreeMap<String, String> =
            troubles.iter().map(|trouble| (trouble.name.clone(), trouble.error.clone())).collect();
        for (plot, error) in &now {
            if self.0.get(plot) != Some(error) {
                tracing::warn!(%plot, %error, "a plot is not used");
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
            turn: 0,
            next_epoch: 0,
            plotting_paused: false,
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
                    self.told_of_sweeps.update(&report.troubles);
                }
                self.sweeps.done(id, result, now_ms);
            }
            MinerInput::ProofMade { order, result } => self.proved(&order, result, now_ms),
            MinerInput::SubmitResult { epoch, challenge, result } => self.answered(epoch, &challenge, result, now_ms),
            MinerInput::SignResult { epoch, result } => {
                if let Err(error) = result {
                    tracing::warn!(epoch = epoch.0, %error, "the node has not taken a signature");
                }
            }
            MinerInput::PlotState { .. }
            | MinerInput::Nonce { .. }
            | MinerInput::OpeningsMade { .. }
            | MinerInput::SendResult { .. }
            | MinerInput::Tick => {}
        }
        self.advance(now_ms);
        std::mem::take(&mut self.effects)
    }

    /// When [`MinerInput::Tick`] is due, Unix milliseconds; none as long as something else has to happen first.
    #[must_use]
    pub fn wake_ms(&self) -> Option<u64> {
        self.wake_ms
    }

    /// Plots that can be used on the node's chain.
    pub fn plots(&self) -> impl Iterator<Item = &PlotInfo> {
        self.farm.values()
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
            Work::Pause => {
                if self.hindrance.is_none() {
                    tracing::info!("the node is catching up: mining pauses");
                }
                self.hindrance = Some(Missed::NotSynced);
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
        let offset_ms = now_ms.abs_diff(chain.time_ms);
        if offset_ms >= CLOCK_WARNING_MS {
            tracing::warn!(offset_ms, ahead = now_ms > chain.time_ms, "this clock and the node's differ");
        }
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

    fn disconnected(&mut self) {
        if self.hindrance.is_none() {
            tracing::warn!("the node is out of reach: mining pauses");
        }
        self.hindrance = Some(Missed::NoLink);
    }

    /// The node tells of something that can be won.
    fn go_on(&mut self) {
        if self.hindrance == Some(Missed::NotSynced) {
            tracing::info!("the node has caught up: mining goes on");
            self.hindrance = None;
        }
    }

    /// Sorts the plots into those that can be used and those that cannot.
    fn look_at_farm(&mut self) {
        let Some(chain) = &self.chain else { return };
        let network = Hash(network_tag(&chain.network));
        let mut troubles = self.view.refused.clone();
        self.farm.clear();
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
        self.told_of_farm.update(&troubles);
    }

    fn learn(&mut self, work: EpochWork, now_ms: u64) {
        let Some(chain) = &self.chain else { return };
        let current = epoch_at(chain, now_ms).map_or(0, |epoch| epoch.0);
        // Of epochs gone by nothing can be won; the next ones may be told of by a clock that is ahead.
        if work.epoch.0 < current || work.epoch.0 > current.saturating_add(2) {
            return;
        }
        let state = self.epochs.entry(work.epoch).or_insert_with(|| new_epoch(chain, work.epoch));
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
        if self.hindrance.is_none() {
            let open: Vec<Epoch> =
                self.epochs.iter().filter(|(_, state)| now_ms < state.closes_ms).map(|(epoch, _)| *epoch).collect();
            open.into_iter().for_each(|epoch| self.try_to_win(epoch, now_ms));
            self.plan_sweeps(now_ms);
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
            self.next_epoch += 1;
        }
        if self.hindrance.is_some() {
            let open = self.epochs.values_mut().filter(|state| now_ms < state.closes_ms);
            open.for_each(|state| state.hindrance = self.hindrance);
        }
    }

    /// Proves the best leaf that may win, if there is one and none was submitted yet.
    fn try_to_win(&mut self, epoch: Epoch, now_ms: u64) {
        let Some(state) = self.epochs.get_mut(&epoch) else { return };
        let closes_ms = state.closes_ms;
        let Some(work) = state.work else { return };
        let Some(attempt) = state.attempt(&work) else { return };
        if let Step::Retrying { at_ms, plot, proof } = &attempt.step {
            if *at_ms <= now_ms {
                let (plot, proof) = (*plot, proof.clone());
                self.effects.push(MinerEffect::Submit(proof.clone()));
                attempt.step = Step::Submitting { plot, proof };
            }
            return;
        }
        if !matches!(attempt.step, Step::Waiting) || attempt.failed.len() >= MAX_TRIES || now_ms >= closes_ms {
            return;
        }
        let Some(found) = self.sweeps.found(work.column, &work.challenge) else { return };
        let target = Target(work.target.0);
        let wins = |score: &Score| target.is_met_by(score);
        let usable = |plot: &PlotId| self.farm.contains_key(plot) && !attempt.failed.contains_key(plot);
        let Some(leaf) = found.ranking.iter().take_while(|leaf| wins(&leaf.score)).find(|leaf| usable(&leaf.plot))
        else {
            return;
        };
        let order = ProofOrder {
            epoch,
            challenge: work.challenge,
            column: work.column,
            plot: leaf.plot,
            row: leaf.row,
            score: leaf.score,
            target: work.target,
        };
        self.effects.push(MinerEffect::Prove(Box::new(order.clone())));
        attempt.step = Step::Proving { order, since_ms: now_ms };
    }

    fn proved(&mut self, order: &ProofOrder, result: Result<Box<Proof>, String>, now_ms: u64) {
        let Some(chain) = &self.chain else { return };
        let Some(state) = self.epochs.get_mut(&order.epoch) else { return };
        let (open, target) = (now_ms < state.closes_ms, state.work.map(|work| Target(work.target.0)));
        let Some(attempt) = state.attempt_at(&order.challenge) else { return };
        let Step::Proving { order: wanted, since_ms } = &attempt.step else { return };
        if wanted != order {
            return;
        }
        attempt.prove_ms = Some(now_ms.saturating_sub(*since_ms));
        let info = self.farm.get(&order.plot);
        let (proof, info) = match (result, info) {
            (Ok(proof), Some(info)) => (proof, info),
            (Err(error), _) => {
                tracing::warn!(epoch = order.epoch.0, plot = %order.plot, %error, "a leaf cannot be proved");
                attempt.fail(order.plot, Missed::ProofFailed, error);
                return;
            }
            (Ok(_), None) => {
                attempt.fail(order.plot, Missed::ProofFailed, "the plot is gone".into());
                return;
            }
        };
        if !open {
            attempt.fail(order.plot, Missed::LateProof, "the window closed first".into());
            return;
        }
        if target.is_some_and(|target| !target.is_met_by(&order.score)) {
            // Another branch took over meanwhile, whose target is lower.
            attempt.step = Step::Waiting;
            return;
        }
        let Some(secret) = self.keys.get(&info.miner_key) else { return };
        let reveal = secret.sign(&reveal_message(&chain.genesis, &Challenge(order.challenge.0)));
        let submission = Submission {
            miner_key: info.miner_key,
            plot_id: order.plot,
            plot_root: info.root,
            score: order.score,
            proof_id: proof_id(&proof),
            reveal,
        };
        let proof = Box::new(MinerProof {
            epoch: order.epoch,
            miner_key: info.miner_key,
            proof: *proof,
            reveal,
            payout: self.payout.clone(),
        });
        attempt.step = Step::Submitting { plot: order.plot, proof: proof.clone() };
        if !state.submissions.contains(&submission) {
            state.submissions.push(submission);
        }
        self.effects.push(MinerEffect::Submit(proof));
    }

    fn answered(&mut self, epoch: Epoch, challenge: &Hash, result: Result<(), LinkError>, now_ms: u64) {
        let Some(chain) = &self.chain else { return };
        let Some(state) = self.epochs.get_mut(&epoch) else { return };
        let Some(attempt) = state.attempt_at(challenge) else { return };
        let Step::Submitting { plot, proof } = &attempt.step else { return };
        let (plot, proof) = (*plot, proof.clone());
        match result {
            Ok(()) => attempt.step = Step::Submitted { proof },
            Err(LinkError::Refused(error)) => {
                tracing::warn!(epoch = epoch.0, %plot, %error, "the node refused a proof");
                attempt.fail(plot, Missed::Refused, error);
            }
            Err(LinkError::Unreachable(error)) => {
                let at_ms = now_ms.saturating_add(chain.window_ms / RETRIES_A_WINDOW + 1);
                tracing::warn!(epoch = epoch.0, %plot, %error, "the node did not answer a proof");
                attempt.last_failure = Some((Missed::LateAnswer, error));
                attempt.step = Step::Retrying { plot, proof, at_ms };
            }
        }
    }

    fn sign(&mut self, asked: &SignWork, now_ms: u64) {
        let epoch = asked.header.epoch;
        match self.signed(asked, now_ms) {
            Ok(signed) => {
                if let Some(state) = self.epochs.get_mut(&epoch) {
                    state.signed = true;
                }
                self.effects.push(MinerEffect::Signed(signed));
            }
            Err(error) => {
                tracing::error!(epoch = epoch.0, height = asked.header.height.0, %error, "a header is not signed");
                if let Some(state) = self.epochs.get_mut(&epoch) {
                    state.signing_refused = Some(error.to_string());
                }
            }
        }
    }

    fn signed(&mut self, asked: &SignWork, now_ms: u64) -> Result<MinerSigned, SignRefusal> {
        let chain = self.chain.as_ref().ok_or(SignRefusal::NoChain)?;
        let header = &asked.header;
        let secret = self.keys.get(&header.miner_key).ok_or(SignRefusal::Key(header.miner_key))?;
        sign::check(chain, self.epochs.get(&header.epoch), asked, now_ms)?;
        let digest = record::digest(&chain.genesis, header);
        self.record.remember(&chain.genesis, &header.miner_key, header.epoch, &digest)?;
        let signature = secret.sign(&header.signed_bytes(&chain.genesis));
        Ok(MinerSigned { epoch: header.epoch, miner_key: header.miner_key, signature })
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
        self.epochs.retain(|epoch, state| !state.line_given || epoch.0.saturating_add(KEPT_EPOCHS) >= current);
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
        wakes.extend(self.sweeps.wake_ms(now_ms));
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
