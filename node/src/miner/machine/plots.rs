//! Bringing plots to life: registration, activation, and activation anew before the lifetime ends (PROTOCOL §9).

mod transactions;

use std::collections::BTreeMap;

use self::transactions::{activate, register};
use crate::chain::bls::SecretKey;
use crate::chain::{Hash, Height, MinerKey, Opening, PlotId, Transaction, ed25519};
use crate::miner::farm::PlotInfo;
use crate::miner::io::{LinkError, MinerEffect, OpeningsOrder};
use crate::miner::work::{ChainWork, PlotState};

/// Questions about plots that wait for an answer: enough to ask for a thousand plots within a minute.
const MAX_ASKED: usize = 4;
/// Most plots that are on their way into a block: blocks take few registrations, and pools hold few that nobody pays.
const MAX_ON_THE_WAY: usize = 4;
/// Epochs after which a transaction that was taken and is in no block yet is sent again; twice as many each time.
const RESEND_EPOCHS: u64 = 16;
/// Epochs after which one that was refused is sent again; twice as many each time.
const REFUSED_EPOCHS: u64 = 4;
/// Most doublings of these.
const MAX_DOUBLINGS: u32 = 6;
/// Epochs after which a damaged plot is read again.
const DAMAGED_EPOCHS: u64 = 256;
/// Epochs after which the chain is asked again for a plot that nothing is to be done about.
const SETTLED_EPOCHS: u64 = 32;
/// A plot is activated anew when less than this part of its lifetime is left.
const RENEWAL_PART: u64 = 8;

/// Whether and how plots that the chain does not know are brought to life.
#[derive(Debug, Default)]
pub enum Registration {
    /// They are left alone.
    #[default]
    Off,
    /// Nobody pays: a block takes one such registration.
    Unpaid,
    /// This account pays the least fee.
    Paid(Box<ed25519::SecretKey>),
}

/// What is done about one plot.
#[derive(Debug)]
struct Entry {
    info: PlotInfo,
    state: Option<PlotState>,
    /// Whether the node was asked and has not answered.
    asked: bool,
    ask_at_ms: u64,
    step: Step,
    /// When something may be done again.
    retry_at_ms: u64,
    tries: u32,
    /// What was wrong the last time, so that it is said once.
    error: Option<String>,
}

#[derive(Debug)]
enum Step {
    /// Nothing is on its way.
    Idle,
    /// Cells are being read.
    Opening { mix: Hash },
    /// The paying account's nonce was asked for.
    Nonce { draft: Draft },
    /// A transaction is on its way to the node.
    Sending,
    /// The node has taken a transaction.
    Sent,
}

/// A transaction that lacks its payer.
#[derive(Debug)]
enum Draft {
    Register,
    Activate(Vec<Opening>),
}

/// What the chain, and nobody else, says.
pub(super) struct Surroundings<'a> {
    pub(super) chain: &'a ChainWork,
    pub(super) keys: &'a BTreeMap<MinerKey, SecretKey>,
    /// The height of the next block.
    pub(super) height: Height,
    pub(super) now_ms: u64,
}

/// Plots by their keys.
#[derive(Debug, Default)]
pub(super) struct Plots {
    registration: Registration,
    entries: BTreeMap<Hash, Entry>,
}

impl Plots {
    pub(super) fn new(registration: Registration) -> Self {
        Self { registration, entries: BTreeMap::new() }
    }

    /// Takes in which plots there are.
    pub(super) fn look_at(&mut self, farm: &BTreeMap<PlotId, PlotInfo>) {
        let keys: BTreeMap<Hash, &PlotInfo> = farm.values().map(|info| (info.key, info)).collect();
        self.entries.retain(|key, entry| keys.get(key).is_some_and(|info| info.id == entry.info.id));
        for (key, info) in keys {
            self.entries.entry(key).or_insert_with(|| Entry::new(info.clone()));
        }
    }

    /// Whether a plot may win a height, as far as is known.
    pub(super) fn may_win(&self, plot_key: &Hash, height: Height) -> bool {
        match self.entries.get(plot_key).and_then(|entry| entry.state) {
            None => true,
            Some(PlotState::Active { mature_from, until, .. }) => {
                mature_from <= height && until.is_none_or(|until| height <= until)
            }
            Some(_) => false,
        }
    }

    /// What the chain said last of a plot.
    pub(super) fn state(&self, plot_key: &Hash) -> Option<PlotState> {
        self.entries.get(plot_key)?.state
    }

    /// What was wrong with a plot's transactions last.
    pub(super) fn error(&self, plot_key: &Hash) -> Option<&str> {
        self.entries.get(plot_key)?.error.as_deref()
    }

    /// Whatever was under way is forgotten with the connection.
    pub(super) fn disconnected(&mut self) {
        for entry in self.entries.values_mut() {
            entry.asked = false;
            if matches!(entry.step, Step::Nonce { .. } | Step::Sending) {
                entry.step = Step::Idle;
            }
        }
    }

    /// The node has said what it knows of a plot.
    pub(super) fn told(
        &mut self,
        plot_key: &Hash,
        result: Result<PlotState, LinkError>,
        chain: &ChainWork,
        now_ms: u64,
    ) {
        let plots = self.entries.len() as u64;
        let Some(entry) = self.entries.get_mut(plot_key) else { return };
        entry.asked = false;
        let settled = SETTLED_EPOCHS.saturating_add(plots / 8);
        match result {
            Ok(state) => {
                entry.learn(state, now_ms);
                let epochs = match state {
                    _ if entry.is_on_the_way(now_ms) => 1,
                    PlotState::Ended => settled.saturating_mul(8),
                    PlotState::Active { .. } => settled,
                    PlotState::Absent if matches!(self.registration, Registration::Off) => settled,
                    PlotState::Absent | PlotState::Pending { .. } => 1 + plots / 64,
                };
                entry.ask_at_ms = later(chain, epochs, now_ms);
            }
            Err(_) => entry.ask_at_ms = later(chain, 2, now_ms),
        }
    }

    /// Cells were read, or could not be.
    pub(super) fn opened(
        &mut self,
        order: &OpeningsOrder,
        result: Result<Vec<Opening>, String>,
        around: &Surroundings<'_>,
    ) -> Option<MinerEffect> {
        let (plot_key, entry) = self.entries.iter_mut().find(|(_, entry)| entry.info.id == order.plot)?;
        let plot_key = *plot_key;
        if !matches!(entry.step, Step::Opening { mix } if mix == order.mix) {
            return None;
        }
        entry.step = Step::Idle;
        match result {
            Ok(openings) => self.pay(&plot_key, Draft::Activate(openings), around),
            Err(error) => {
                entry.retry_at_ms = later(around.chain, DAMAGED_EPOCHS, around.now_ms);
                entry.complain(format!("it cannot be activated: {error}"));
                None
            }
        }
    }

    /// The paying account's next nonce.
    pub(super) fn nonce(&mut self, result: Result<u64, LinkError>, around: &Surroundings<'_>) -> Option<MinerEffect> {
        let waits = |entry: &Entry| matches!(entry.step, Step::Nonce { .. });
        let (_, entry) = self.entries.iter_mut().find(|(_, entry)| waits(entry))?;
        let Step::Nonce { draft } = std::mem::replace(&mut entry.step, Step::Idle) else { return None };
        let Registration::Paid(payer) = &self.registration else { return None };
        match result {
            Ok(nonce) => entry.send(&draft, Some((payer, nonce)), around),
            Err(error) => {
                entry.retry_at_ms = later(around.chain, 2, around.now_ms);
                entry.complain(format!("the paying account's nonce is not known: {error}"));
                None
            }
        }
    }

    /// The node has taken a transaction, or not.
    pub(super) fn sent(&mut self, plot_key: &Hash, result: Result<(), LinkError>, chain: &ChainWork, now_ms: u64) {
        let Some(entry) = self.entries.get_mut(plot_key) else { return };
        if !matches!(entry.step, Step::Sending) {
            return;
        }
        let doubled = |epochs: u64| epochs << entry.tries.min(MAX_DOUBLINGS);
        match result {
            Ok(()) => {
                entry.step = Step::Sent;
                entry.retry_at_ms = later(chain, doubled(RESEND_EPOCHS), now_ms);
                entry.error = None;
                entry.ask_at_ms = entry.ask_at_ms.min(later(chain, 1, now_ms));
            }
            Err(LinkError::Refused(error)) => {
                entry.step = Step::Idle;
                entry.retry_at_ms = later(chain, doubled(REFUSED_EPOCHS), now_ms);
                entry.complain(format!("its transaction was refused: {error}"));
            }
            Err(error @ LinkError::Unreachable(_)) => {
                entry.step = Step::Idle;
                entry.retry_at_ms = later(chain, 2, now_ms);
                entry.complain(error.to_string());
            }
        }
        entry.tries = entry.tries.saturating_add(1);
    }

    /// Asks and sends what is due.
    pub(super) fn advance(&mut self, around: &Surroundings<'_>) -> Vec<MinerEffect> {
        let mut effects = self.ask(around.now_ms);
        let mut on_the_way = self.entries.values().filter(|entry| entry.is_on_the_way(around.now_ms)).count();
        let mut due: Vec<(u64, Hash)> = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.is_on_the_way(around.now_ms) && entry.retry_at_ms <= around.now_ms)
            .filter(|(_, entry)| entry.need(around, &self.registration).is_some())
            .map(|(key, entry)| (entry.retry_at_ms, *key))
            .collect();
        // Who has waited longest, and so who was never sent, comes first.
        due.sort_unstable();
        for (_, plot_key) in due {
            // One nonce after the other: the next is known once the transaction before was taken.
            let paying = |entry: &Entry| matches!(entry.step, Step::Nonce { .. } | Step::Sending);
            let waits = matches!(self.registration, Registration::Paid(_)) && self.entries.values().any(paying);
            if on_the_way >= MAX_ON_THE_WAY || waits {
                break;
            }
            let Some(need) = self.entries.get(&plot_key).and_then(|entry| entry.need(around, &self.registration))
            else {
                continue;
            };
            on_the_way += 1;
            match need {
                Need::Register => effects.extend(self.pay(&plot_key, Draft::Register, around)),
                Need::Activate(mix) => {
                    let Some(entry) = self.entries.get_mut(&plot_key) else { continue };
                    entry.step = Step::Opening { mix };
                    let count = around.chain.openings;
                    effects.push(MinerEffect::Open(OpeningsOrder { plot: entry.info.id, mix, count }));
                }
            }
        }
        effects
    }

    fn ask(&mut self, now_ms: u64) -> Vec<MinerEffect> {
        let asked = self.entries.values().filter(|entry| entry.asked).count();
        let mut due: Vec<(u64, Hash)> = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.asked && entry.ask_at_ms <= now_ms)
            .map(|(key, entry)| (entry.ask_at_ms, *key))
            .collect();
        due.sort_unstable();
        due.truncate(MAX_ASKED.saturating_sub(asked));
        for (_, plot_key) in &due {
            self.entries.get_mut(plot_key).expect("it was listed").asked = true;
        }
        due.into_iter().map(|(_, plot_key)| MinerEffect::QueryPlot { plot_key }).collect()
    }

    /// Sends a transaction, or asks for its payer's nonce first.
    fn pay(&mut self, plot_key: &Hash, draft: Draft, around: &Surroundings<'_>) -> Option<MinerEffect> {
        let waiting = self.entries.values().any(|entry| matches!(entry.step, Step::Nonce { .. } | Step::Sending));
        let entry = self.entries.get_mut(plot_key)?;
        match &self.registration {
            Registration::Off => None,
            Registration::Unpaid => entry.send(&draft, None, around),
            // Its turn comes again when the one before was sent.
            Registration::Paid(_) if waiting => None,
            Registration::Paid(payer) => {
                entry.step = Step::Nonce { draft };
                Some(MinerEffect::QueryNonce(payer.account_key().address()))
            }
        }
    }

    /// When something is due next.
    pub(super) fn wake_ms(&self, now_ms: u64) -> Option<u64> {
        let times = self.entries.values().flat_map(|entry| {
            let ask = (!entry.asked).then_some(entry.ask_at_ms);
            ask.into_iter().chain([entry.retry_at_ms])
        });
        times.filter(|time| *time > now_ms).min()
    }
}

/// What the chain lacks of a plot.
enum Need {
    Register,
    Activate(Hash),
}

impl Entry {
    fn new(info: PlotInfo) -> Self {
        let step = Step::Idle;
        Self { info, state: None, asked: false, ask_at_ms: 0, step, retry_at_ms: 0, tries: 0, error: None }
    }

    fn learn(&mut self, state: PlotState, now_ms: u64) {
        let renewed = match (self.state, state) {
            (Some(PlotState::Active { until: before, .. }), PlotState::Active { until, .. }) => before != until,
            _ => false,
        };
        let moved = self.state.as_ref().map(std::mem::discriminant) != Some(std::mem::discriminant(&state));
        if moved || renewed {
            if !matches!(self.step, Step::Opening { .. } | Step::Nonce { .. } | Step::Sending) {
                self.step = Step::Idle;
            }
            (self.tries, self.retry_at_ms, self.error) = (0, now_ms, None);
        }
        if moved {
            let (plot, first) = (&self.info.name, self.state.is_none());
            match state {
                PlotState::Absent => tracing::info!(%plot, "the chain does not know this plot"),
                PlotState::Pending { registered, until, .. } => {
                    tracing::info!(%plot, registered = registered.0, until = until.0, "a plot is registered");
                }
                PlotState::Active { mature_from, .. } if !first => {
                    tracing::info!(%plot, mature_from = mature_from.0, "a plot is active");
                }
                PlotState::Active { .. } => {}
                PlotState::Ended => tracing::warn!(%plot, "this plot's registration has ended for good"),
            }
        }
        self.state = Some(state);
    }

    fn is_on_the_way(&self, now_ms: u64) -> bool {
        match self.step {
            Step::Idle => false,
            Step::Sent => self.retry_at_ms > now_ms,
            Step::Opening { .. } | Step::Nonce { .. } | Step::Sending => true,
        }
    }

    fn need(&self, around: &Surroundings<'_>, registration: &Registration) -> Option<Need> {
        if matches!(registration, Registration::Off) {
            return None;
        }
        match self.state? {
            PlotState::Absent => Some(Need::Register),
            PlotState::Pending { mix, until, .. } => mix.filter(|_| around.height <= until).map(Need::Activate),
            PlotState::Active { until: Some(until), mix, .. } => {
                let lifetime = around.chain.plot_lifetime.unwrap_or(u64::MAX);
                let near = until.0.saturating_sub(around.height.0) < lifetime / RENEWAL_PART;
                mix.filter(|_| near).map(Need::Activate)
            }
            PlotState::Active { until: None, .. } | PlotState::Ended => None,
        }
    }

    fn send(
        &mut self,
        draft: &Draft,
        payer: Option<(&ed25519::SecretKey, u64)>,
        around: &Surroundings<'_>,
    ) -> Option<MinerEffect> {
        let secret = around.keys.get(&self.info.miner_key)?;
        let transaction: Option<Transaction> = match draft {
            Draft::Register => Some(register(around.chain, secret, &self.info, payer)),
            Draft::Activate(openings) => activate(around.chain, secret, &self.info, openings.clone(), payer),
        };
        let Some(transaction) = transaction else {
            self.retry_at_ms = later(around.chain, DAMAGED_EPOCHS, around.now_ms);
            self.complain("more openings than a transaction holds".to_owned());
            return None;
        };
        self.step = Step::Sending;
        Some(MinerEffect::Send { plot_key: self.info.key, transaction: Box::new(transaction) })
    }

    fn complain(&mut self, error: String) {
        if self.error.as_ref() != Some(&error) {
            tracing::warn!(plot = %self.info.name, %error, "a plot does not come to life");
            self.error = Some(error);
        }
    }
}

fn later(chain: &ChainWork, epochs: u64, now_ms: u64) -> u64 {
    now_ms.saturating_add(epochs.saturating_mul(chain.epoch_ms))
}
