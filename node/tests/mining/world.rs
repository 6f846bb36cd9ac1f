//! A miner, its plots, and a clock turned by hand. Whatever the miner orders is done, each thing in its time.

use std::collections::BTreeMap;

use spacetime_kernels::tagged_hash;
use spacetime_node::builder::Payout;
use spacetime_node::chain::bls::SecretKey;
use spacetime_node::chain::{
    Address, Amount, BlockId, Epoch, HEADER_VERSION, Hash, Header, Height, MinerKey, MinerSignature, Payload, PlotId,
    Signatures, Transaction, proof_id,
};
use spacetime_node::consensus::{Fees, Parameters};
use spacetime_node::miner::farm::{FarmView, Field, Leaf, PlotInfo, SweepEnd, SweepReport};
use spacetime_node::miner::io::{LinkError, OpeningsOrder, SweepId, SweepOrder};
use spacetime_node::miner::record::MemoryRecord;
use spacetime_node::miner::window::WindowLine;
use spacetime_node::miner::work::{
    ChainWork, CoinbaseProof, EpochChallenge, EpochWork, GroupWork, MinerProof, MinerSigned, PlotState, ResultWork,
    SignWork, Work,
};
use spacetime_node::miner::{Miner, MinerEffect, MinerInput, MinerOptions, Registration};
use spacetime_node::testing::{MemoryField, MemoryPlot};
use spacetime_prover::farm::Cancel;

pub(crate) const GENESIS_MS: u64 = 1_000_000;
pub(crate) const EPOCH_MS: u64 = 1000;
pub(crate) const WINDOW_MS: u64 = 600;
/// Every score but the very highest wins.
pub(crate) const EASY: Hash = Hash([0xff; 32]);
/// No score wins.
pub(crate) const HOPELESS: Hash = Hash([0; 32]);

/// The key of a number.
pub(crate) fn secret(number: u8) -> SecretKey {
    SecretKey::from_ikm(&[number; 32])
}

pub(crate) fn key(number: u8) -> MinerKey {
    secret(number).public_key().to_bytes()
}

/// When an epoch begins.
pub(crate) fn start(epoch: u64) -> u64 {
    GENESIS_MS + epoch * EPOCH_MS
}

/// What a number stands for on one of several branches.
fn drawn(what: &str, branch: u8, number: u64) -> Hash {
    Hash(tagged_hash(what, &[&[branch], &number.to_le_bytes()]))
}

pub(crate) fn challenge(branch: u8, epoch: u64) -> Hash {
    drawn("challenge", branch, epoch)
}

pub(crate) fn column(branch: u8, group: u64) -> u32 {
    // Branches differ in their columns, so that no sweep serves two of them.
    u32::from(drawn("column", 0, group).0[0]) % 32 + 32 * u32::from(branch % 2)
}

pub(crate) fn group(branch: u8, group: u64) -> Work {
    let challenges = (4 * group..4 * group + 4).map(|epoch| EpochChallenge {
        epoch: Epoch(epoch),
        challenge: challenge(branch, epoch),
        start_ms: start(epoch),
    });
    Work::Group(GroupWork { group, column: column(branch, group), challenges: challenges.collect(), target: EASY })
}

pub(crate) fn epoch(branch: u8, epoch: u64, target: Hash) -> Work {
    Work::Epoch(EpochWork {
        epoch: Epoch(epoch),
        challenge: challenge(branch, epoch),
        column: column(branch, epoch / 4),
        target,
        parent: BlockId([branch; 32]),
        height: Height(epoch + 1),
        closes_ms: start(epoch) + WINDOW_MS,
        time_ms: start(epoch),
    })
}

/// A coinbase, and a transaction after it, that pays all to an address.
fn coinbase(address: Address, height: Height, miner_key: MinerKey) -> CoinbaseProof {
    let claimable = Amount(50);
    let coinbase = Payout::all_to(address).coinbase(height, miner_key, claimable);
    let transaction = |nonce| Transaction {
        sender: None,
        nonce,
        fee: Amount::ZERO,
        payload: Payload::Coinbase(coinbase.clone()),
        signatures: Signatures::default(),
    };
    CoinbaseProof::new(&[transaction(0), transaction(1)], claimable)
}

pub(crate) fn result(epoch: u64, block: Option<MinerKey>) -> Work {
    let block = block.map(|key| (BlockId([0xbb; 32]), key));
    Work::Result(ResultWork { epoch: Epoch(epoch), best: None, block })
}

pub(crate) struct World {
    pub(crate) miner: Miner<MemoryRecord>,
    pub(crate) record: MemoryRecord,
    pub(crate) field: Plots,
    pub(crate) now: u64,
    /// How long a sweep and a proof take.
    pub(crate) sweep_ms: u64,
    /// Plots that are read last: their leaves are known at the end of a sweep.
    pub(crate) slow: Vec<PlotId>,
    pub(crate) prove_ms: u64,
    /// What the node says to the next proofs; it takes all beyond them.
    pub(crate) answers: Vec<Result<(), LinkError>>,
    /// As much of signatures.
    pub(crate) sign_answers: Vec<Result<(), LinkError>>,
    /// When the node's answers come.
    pub(crate) answer_ms: u64,
    pending: BTreeMap<(u64, u64), MinerInput>,
    number: u64,
    pub(crate) sweeps: Vec<(u64, SweepOrder)>,
    pub(crate) cancelled: Vec<SweepId>,
    pub(crate) proofs: u64,
    pub(crate) submitted: Vec<(u64, MinerProof)>,
    pub(crate) signed: Vec<MinerSigned>,
    pub(crate) lines: Vec<(u64, WindowLine)>,
    pub(crate) pauses: Vec<(u64, bool)>,
    pub(crate) other_chain: bool,
    /// What the node knows of plots, and what of all others.
    pub(crate) states: BTreeMap<Hash, PlotState>,
    pub(crate) others: PlotState,
    pub(crate) queried: u64,
    pub(crate) opened: Vec<OpeningsOrder>,
    pub(crate) sent: Vec<(u64, Hash, Transaction)>,
    /// What the node says to transactions, if not yes; and whether it says anything.
    pub(crate) refuse_sends: Option<LinkError>,
    pub(crate) mute_sends: bool,
    /// The next nonce of all accounts: it grows with what is sent.
    pub(crate) nonce: u64,
    pub(crate) nonces_asked: Vec<Address>,
    pub(crate) lifetime: Option<u64>,
    pub(crate) fees: Fees,
}

pub(crate) fn parameters() -> Parameters {
    Parameters::local()
}

/// A plot of 16 rows.
pub(crate) fn plot(miner: u8, seed: u8) -> MemoryPlot {
    MemoryPlot::grow(&parameters(), key(miner), [seed; 32], 16)
}

pub(crate) fn chain(now: u64) -> ChainWork {
    let parameters = parameters();
    ChainWork {
        network: parameters.network.clone(),
        hrp: parameters.hrp.clone(),
        genesis: BlockId([9; 32]),
        genesis_time_ms: GENESIS_MS,
        epoch_ms: EPOCH_MS,
        window_ms: WINDOW_MS,
        beacon_interval: 4,
        log2_columns: parameters.log2_columns,
        rounds: parameters.rounds,
        min_rows: parameters.min_rows,
        openings: parameters.openings,
        plot_maturity: parameters.plot_maturity,
        plot_lifetime: parameters.plot_lifetime,
        fees: parameters.fees,
        time_ms: now,
    }
}

/// Plots, found by their roots too.
pub(crate) struct Plots(MemoryField);

impl std::ops::Deref for Plots {
    type Target = MemoryField;

    fn deref(&self) -> &MemoryField {
        &self.0
    }
}

impl Plots {
    pub(crate) fn look_for(&self, root: [u8; 32]) -> PlotInfo {
        self.look().plots.into_iter().find(|plot| plot.root.0 == root).expect("there is such a plot")
    }
}

impl World {
    /// A miner with the keys 1 and 2 and these plots, in the middle of epoch 3, before it has heard anything.
    fn silent(plots: Vec<MemoryPlot>, registration: Registration) -> Self {
        let record = MemoryRecord::default();
        let options =
            MinerOptions { keys: vec![secret(1), secret(2)], payout: Payout::all_to(Address([1; 20])), registration };
        let mut world = Self {
            miner: Miner::new(options, record.clone()),
            record,
            field: Plots(MemoryField::new(&parameters(), plots)),
            now: start(3) + 500,
            sweep_ms: 10,
            slow: Vec::new(),
            prove_ms: 5,
            answers: Vec::new(),
            sign_answers: Vec::new(),
            answer_ms: 1,
            pending: BTreeMap::new(),
            number: 0,
            sweeps: Vec::new(),
            cancelled: Vec::new(),
            proofs: 0,
            submitted: Vec::new(),
            signed: Vec::new(),
            lines: Vec::new(),
            pauses: Vec::new(),
            other_chain: false,
            states: BTreeMap::new(),
            others: PlotState::Absent,
            queried: 0,
            opened: Vec::new(),
            sent: Vec::new(),
            refuse_sends: None,
            mute_sends: false,
            nonce: 0,
            nonces_asked: Vec::new(),
            lifetime: None,
            fees: parameters().fees,
        };
        world.put(MinerInput::Farm(world.field.look()));
        world
    }

    /// A miner with the keys 1 and 2 and these plots, in the middle of epoch 3, connected to a node.
    pub(crate) fn new(plots: Vec<MemoryPlot>) -> Self {
        let mut world = Self::silent(plots, Registration::Off);
        world.others = PlotState::Active { mature_from: Height(1), until: None, mix: None };
        world.reconnect();
        world
    }

    /// One that brings plots to life.
    pub(crate) fn registering(plots: Vec<MemoryPlot>, registration: Registration) -> Self {
        let mut world = Self::silent(plots, registration);
        world.reconnect();
        world
    }

    pub(crate) fn reconnect(&mut self) {
        let (plot_lifetime, fees) = (self.lifetime, self.fees);
        self.say(Work::Chain(ChainWork { plot_lifetime, fees, ..chain(self.now) }));
    }

    /// What the chain said of plots is asked anew.
    pub(crate) fn miner_forgets(&mut self) {
        self.put(MinerInput::Farm(FarmView::default()));
        self.put(MinerInput::Farm(self.field.look()));
    }

    /// The program was killed and started again: the record alone is left.
    pub(crate) fn restart(&mut self) {
        let options = MinerOptions {
            keys: vec![secret(1), secret(2)],
            payout: Payout::all_to(Address([1; 20])),
            registration: Registration::Off,
        };
        self.miner = Miner::new(options, self.record.clone());
        self.pending.clear();
        self.put(MinerInput::Farm(self.field.look()));
        self.say(Work::Chain(chain(self.now)));
    }

    pub(crate) fn say(&mut self, work: Work) {
        self.put(MinerInput::Work(work));
    }

    pub(crate) fn put(&mut self, input: MinerInput) {
        let effects = self.miner.handle(input, self.now);
        effects.into_iter().for_each(|effect| self.act(effect));
    }

    /// Lets time pass.
    pub(crate) fn run_to(&mut self, until: u64) {
        loop {
            let next = self.pending.keys().next().map(|(time, _)| *time);
            let wake = self.miner.wake_ms();
            assert!(wake.is_none_or(|wake| wake > self.now), "it would spin");
            let Some(time) = next.into_iter().chain(wake).min().filter(|time| *time <= until) else { break };
            self.now = time;
            match self.pending.first_key_value().is_some_and(|((at, _), _)| *at == time) {
                true => {
                    let (_, input) = self.pending.pop_first().unwrap();
                    self.put(input);
                }
                false => self.put(MinerInput::Tick),
            }
        }
        self.now = self.now.max(until);
        self.put(MinerInput::Tick);
    }

    fn later(&mut self, after_ms: u64, input: MinerInput) {
        self.number += 1;
        self.pending.insert((self.now + after_ms, self.number), input);
    }

    fn act(&mut self, effect: MinerEffect) {
        match effect {
            MinerEffect::Sweep(order) => {
                assert!(!self.pending.values().any(|input| matches!(input, MinerInput::SweepDone { .. })));
                assert!(
                    (1..=8).contains(&order.challenges.len()) && order.due_ms.iter().all(|due_ms| *due_ms > self.now)
                );
                let mut report = self.field.sweep(&order, &Cancel::new(), &mut |_, _| {});
                let mut took_ms = self.sweep_ms;
                if !self.slow.is_empty() {
                    let mut part = report.clone().expect("memory");
                    let quick = |leaf: &Leaf| !self.slow.contains(&leaf.plot);
                    part.rankings.iter_mut().for_each(|ranking| ranking.retain(quick));
                    part.plots = part.rankings[0].len() as u64;
                    let end_ms = self.now + took_ms;
                    for due_ms in order.due_ms.iter().filter(|due_ms| **due_ms < end_ms) {
                        let (id, due_ms) = (order.id, *due_ms);
                        self.later(due_ms - self.now, MinerInput::SweepDue { id, due_ms, report: part.clone() });
                    }
                }
                if let Ok(report) = &mut report {
                    if self.now + took_ms > order.deadline_ms() {
                        took_ms = order.deadline_ms() - self.now;
                        report.end = SweepEnd::Deadline;
                        report.rankings.iter_mut().for_each(Vec::clear);
                        report.leaves = 0;
                    }
                    report.took_ms = took_ms;
                }
                let id = order.id;
                self.sweeps.push((self.now, order));
                self.later(took_ms, MinerInput::SweepDone { id, result: report });
            }
            MinerEffect::CancelSweep(id) => {
                self.cancelled.push(id);
                let running = |input: &MinerInput| matches!(input, MinerInput::SweepDone { id: of, .. } if *of == id);
                let place = *self.pending.iter().find(|(_, input)| running(input)).expect("it runs").0;
                let Some(MinerInput::SweepDone { id, result }) = self.pending.remove(&place) else { unreachable!() };
                let result = result.map(|report| SweepReport { end: SweepEnd::Cancelled, ..report });
                self.later(1, MinerInput::SweepDone { id, result });
            }
            MinerEffect::Prove(order) => {
                self.proofs += 1;
                let result = self.field.prove(&order).map(Box::new);
                self.later(self.prove_ms, MinerInput::ProofMade { order, result });
            }
            MinerEffect::Submit(proof) => {
                let answer = if self.answers.is_empty() { Ok(()) } else { self.answers.remove(0) };
                let (epoch, challenge) = (proof.epoch, Hash(proof.proof.challenge));
                self.submitted.push((self.now, *proof));
                self.later(self.answer_ms, MinerInput::SubmitResult { epoch, challenge, result: answer });
            }
            MinerEffect::Signed(signed) => {
                self.signed.push(signed);
                let result = if self.sign_answers.is_empty() { Ok(()) } else { self.sign_answers.remove(0) };
                let (epoch, miner_key) = (signed.epoch, signed.miner_key);
                self.later(self.answer_ms, MinerInput::SignResult { epoch, miner_key, result });
            }
            MinerEffect::Window(line) => self.lines.push((self.now, *line)),
            MinerEffect::PausePlotting(pause) => self.pauses.push((self.now, pause)),
            MinerEffect::OtherChain { .. } => self.other_chain = true,
            MinerEffect::QueryPlot { plot_key } => {
                self.queried += 1;
                let result = Ok(self.states.get(&plot_key).copied().unwrap_or(self.others));
                self.later(1, MinerInput::PlotState { plot_key, result });
            }
            MinerEffect::QueryNonce(address) => {
                self.nonces_asked.push(address);
                self.later(1, MinerInput::Nonce { address, result: Ok(self.nonce) });
            }
            MinerEffect::Open(order) => {
                let result = self.field.open(&order);
                self.opened.push(order.clone());
                self.later(3, MinerInput::OpeningsMade { order, result });
            }
            MinerEffect::Send { plot_key, transaction } => {
                self.sent.push((self.now, plot_key, *transaction));
                self.nonce += 1;
                let result = self.refuse_sends.clone().map_or(Ok(()), Err);
                if !self.mute_sends {
                    self.later(1, MinerInput::SendResult { plot_key, result });
                }
            }
        }
    }

    /// The header of a block for the last proof that was submitted, as an honest node asks it to be signed.
    pub(crate) fn template(&self) -> SignWork {
        self.template_paying(Address([1; 20]))
    }

    /// One that pays an address.
    pub(crate) fn template_paying(&self, address: Address) -> SignWork {
        let (_, proof) = self.submitted.last().expect("a proof was submitted");
        let plot = self.field.look_for(proof.proof.root);
        let score = spacetime_kernels::score(&spacetime_kernels::Challenge(proof.proof.challenge), &proof.proof.leaf);
        let coinbase = coinbase(address, Height(proof.epoch.0 + 1), proof.miner_key);
        let header = Header {
            version: HEADER_VERSION,
            height: Height(proof.epoch.0 + 1),
            epoch: proof.epoch,
            timestamp_ms: start(proof.epoch.0) + WINDOW_MS,
            parent: BlockId([0; 32]),
            target: spacetime_kernels::Target(EASY.0),
            miner_key: proof.miner_key,
            plot_id: plot.id,
            plot_root: plot.root,
            score,
            proof_id: proof_id(&proof.proof),
            transaction_root: coinbase.root().expect("it has a path"),
            state_root: Hash([2; 32]),
            extension: Hash::ZERO,
            reveal: proof.reveal,
            signature: MinerSignature::ZERO,
        };
        SignWork { header, coinbase, expires_ms: start(proof.epoch.0) + EPOCH_MS }
    }

    /// The line of an epoch, of which there is exactly one.
    pub(crate) fn line(&self, epoch: u64) -> &WindowLine {
        let mut lines = self.lines.iter().filter(|(_, line)| line.epoch == Epoch(epoch));
        let (_, line) = lines.next().unwrap_or_else(|| panic!("epoch {epoch} left no line"));
        assert!(lines.next().is_none(), "epoch {epoch} left two lines");
        line
    }

    /// Where the best leaf of a challenge lies.
    pub(crate) fn best_plot(&self, branch: u8, epoch: u64) -> PlotId {
        let order = SweepOrder {
            id: SweepId(0),
            column: column(branch, epoch / 4),
            challenges: vec![challenge(branch, epoch)],
            due_ms: vec![0],
        };
        self.field.sweep(&order, &Cancel::new(), &mut |_, _| {}).unwrap().rankings[0][0].plot
    }
}
