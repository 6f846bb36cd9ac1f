//! Applying a block to its parent's state (PROTOCOL §7 to §10): matured
//! rewards, transactions in order, totals, reward queue, registry.

use std::collections::HashMap;

use thiserror::Error;

use super::StateKey;
use super::admission::{check_activation, check_evidence, check_registration, live_plot, maturing};
use super::ledger::{Changes, Ledger, StateError, StateReader};
use super::openings::OpeningClaim;
use super::values::{Account, BeaconEntry, PlotRecord, PlotStatus, Rewards, Value};
use crate::chain::rules::{BlockError, TransactionError};
use crate::chain::{
    ActivatePlot, Address, Amount, Capped, Coinbase, Epoch, Hash, Height, MinerKey, Payload, PlotId, RegisterPlot,
    RetirePlot, Transaction,
};
use crate::consensus::{Lineage, Parameters};

/// Where a block stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The chain's parameters.
    pub parameters: &'a Parameters,
    /// What the parent leaves behind.
    pub parent: &'a Lineage,
    /// What the block itself leaves behind.
    pub lineage: &'a Lineage,
    /// Who won.
    pub miner_key: MinerKey,
}

/// Why a block or transaction cannot be applied.
#[derive(Debug, Error)]
pub enum Fault<E> {
    /// It breaks a rule.
    #[error(transparent)]
    Rule(E),
    /// The state cannot be used; the block may be good.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<TransactionError> for Fault<TransactionError> {
    fn from(error: TransactionError) -> Self {
        Self::Rule(error)
    }
}

impl From<BlockError> for Fault<BlockError> {
    fn from(error: BlockError) -> Self {
        Self::Rule(error)
    }
}

/// A block on its way through the state.
#[derive(Debug)]
pub struct Execution<'a, R> {
    place: Place<'a>,
    ledger: Ledger<R>,
    winner: Hash,
    /// Epoch of the ancestor that evidence may not be older than.
    oldest_evidence: Epoch,
    fees: Amount,
    registrations: u32,
    unpaid_registrations: u32,
    /// Immature rewards by miner, once evidence asked for them: one walk through the queue a block, however much there is.
    rewards: Option<HashMap<MinerKey, Vec<Height>>>,
}

impl<'a, R: StateReader> Execution<'a, R> {
    /// Checks on the parent's state that the plot may win, and credits the rewards that mature.
    ///
    /// # Errors
    /// If the plot of `plot_key` may not win, or the state cannot be read.
    pub fn begin(place: Place<'a>, winner: Hash, plot_id: PlotId, reader: R) -> Result<Self, Fault<BlockError>> {
        let mut execution = Self {
            place,
            ledger: Ledger::new(reader),
            winner,
            oldest_evidence: Epoch(0),
            fees: Amount::ZERO,
            registrations: 0,
            unpaid_registrations: 0,
            rewards: None,
        };
        check_winner(&mut execution.ledger, &place, winner, plot_id)?;
        execution.mature()?;
        Ok(execution)
    }

    fn height(&self) -> Height {
        self.place.lineage.height
    }

    fn mature(&mut self) -> Result<(), StateError> {
        let Some(height) = maturing(self.height(), self.place.parameters) else {
            return Ok(());
        };
        let key = StateKey::Rewards(height);
        let rewards = self.ledger.rewards(height)?.ok_or(StateError::Missing { key })?;
        self.oldest_evidence = rewards.epoch;
        for output in rewards.outputs.iter() {
            self.ledger.credit(output.address, output.amount)?;
        }
        self.ledger.set(&key, None)
    }

    /// Applies a transaction whose form and signatures were checked. One that fails has changed nothing. Openings
    /// are checked but for their rows, which are left to be grown.
    ///
    /// # Errors
    /// If it breaks a rule, or the state cannot be read.
    pub fn apply(&mut self, transaction: &Transaction) -> Result<Vec<OpeningClaim>, Fault<TransactionError>> {
        let paying = self.check_sender(transaction)?;
        let mut claims = Vec::new();
        match &transaction.payload {
            // It is applied last, with the totals.
            Payload::Coinbase(_) => {}
            Payload::Transfer(transfer) => {
                self.pay(paying)?;
                self.ledger.credit(transfer.to, transfer.amount)?;
            }
            Payload::RegisterPlot(register) => {
                let (key, record) = self.registration(register, transaction.sender.is_none())?;
                self.pay(paying)?;
                self.registrations += 1;
                self.unpaid_registrations += u32::from(transaction.sender.is_none());
                self.ledger.set(&StateKey::Plot(key), Some(Value::Plot(record)))?;
            }
            Payload::ActivatePlot(activate) => {
                let (record, opened) = self.activation(activate)?;
                self.pay(paying)?;
                claims = opened;
                self.ledger.set(&StateKey::Plot(activate.plot_key), Some(Value::Plot(record)))?;
            }
            Payload::RetirePlot(retire) => {
                let record = self.retirement(retire)?;
                self.pay(paying)?;
                self.ledger.set(&StateKey::Plot(retire.plot_key), Some(Value::Plot(record)))?;
            }
            Payload::Evidence(evidence) => {
                check_evidence(&mut self.ledger, evidence, self.oldest_evidence)?;
                let reporter = paying.map(|(address, _)| address);
                self.pay(paying)?;
                self.bar(evidence.first.miner_key, reporter)?;
            }
        }
        // Fees were taken from balances, whose sum is below 2^64.
        self.fees = self.fees.checked_add(transaction.fee).ok_or(StateError::Sum { what: "a block's fees" })?;
        Ok(claims)
    }

    /// The openings of a transaction that could be applied next: whoever builds a block has their rows grown before
    /// it is. None but an activation has any. Changes nothing.
    ///
    /// # Errors
    /// As [`Execution::apply`].
    pub fn openings(&mut self, transaction: &Transaction) -> Result<Vec<OpeningClaim>, Fault<TransactionError>> {
        let Payload::ActivatePlot(activate) = &transaction.payload else {
            return Ok(Vec::new());
        };
        self.check_sender(transaction)?;
        Ok(self.activation(activate)?.1)
    }

    /// The sender's account as it will be, if there is one.
    fn check_sender(
        &mut self,
        transaction: &Transaction,
    ) -> Result<Option<(Address, Account)>, Fault<TransactionError>> {
        let Some(address) = transaction.sender_address() else {
            return Ok(None);
        };
        let Account { balance, nonce } = self.ledger.account(address)?.unwrap_or_default();
        if transaction.nonce != nonce {
            return Err(TransactionError::Nonce { found: transaction.nonce, expected: nonce }.into());
        }
        let next = nonce.checked_add(1).ok_or(TransactionError::NonceEnd)?;
        let amount = match &transaction.payload {
            Payload::Transfer(transfer) => transfer.amount,
            _ => Amount::ZERO,
        };
        let fee = transaction.fee;
        let needed = amount.checked_add(fee).ok_or(TransactionError::AmountOverflow { amount, fee })?;
        let left = balance.checked_sub(needed).ok_or(TransactionError::Balance { balance, needed })?;
        Ok(Some((address, Account { balance: left, nonce: next })))
    }

    fn pay(&mut self, paying: Option<(Address, Account)>) -> Result<(), StateError> {
        let Some((address, account)) = paying else {
            return Ok(());
        };
        self.ledger.set(&StateKey::Account(address), Some(Value::Account(account)))
    }

    fn registration(
        &mut self,
        register: &RegisterPlot,
        unpaid: bool,
    ) -> Result<(Hash, PlotRecord), Fault<TransactionError>> {
        let parameters = self.place.parameters;
        let limit = parameters.registrations_per_block;
        if self.registrations >= limit {
            return Err(TransactionError::Registrations { limit }.into());
        }
        if unpaid && self.unpaid_registrations > 0 {
            return Err(TransactionError::UnpaidRegistrations.into());
        }
        let key = check_registration(&mut self.ledger, register, self.place.lineage.height, parameters)?;
        let record = PlotRecord {
            miner_key: register.miner_key,
            plot_id: PlotId(spacetime_kernels::plot_id(&key, register.rows, &register.root.0)),
            rows: register.rows,
            root: register.root,
            registered: self.height(),
            draw: self.next_draw()?,
            mature_from: None,
            last: self.height(),
            retired: false,
        };
        Ok((Hash(key.0), record))
    }

    /// The beacon entry from which openings are drawn after this block: that of the second new group.
    fn next_draw(&mut self) -> Result<u64, StateError> {
        Ok(self.groups()? + 2)
    }

    /// Groups that have had a block, this one included.
    fn groups(&mut self) -> Result<u64, StateError> {
        Ok(self.ledger.chain()?.groups + u64::from(self.begins_group()))
    }

    fn begins_group(&self) -> bool {
        let Place { parameters, parent, lineage, .. } = self.place;
        lineage.epoch.0 / parameters.beacon_interval > parent.epoch.0 / parameters.beacon_interval
    }

    fn activation(
        &mut self,
        activate: &ActivatePlot,
    ) -> Result<(PlotRecord, Vec<OpeningClaim>), Fault<TransactionError>> {
        let parameters = self.place.parameters;
        let (mut plot, claims) = check_activation(&mut self.ledger, activate, self.place.lineage.height, parameters)?;
        plot.draw = self.next_draw()?;
        plot.last = self.height();
        let matures = Height(self.height().0.saturating_add(parameters.plot_maturity));
        plot.mature_from = plot.mature_from.or(Some(matures));
        Ok((plot, claims))
    }

    fn retirement(&mut self, retire: &RetirePlot) -> Result<PlotRecord, Fault<TransactionError>> {
        let Place { parameters, lineage, .. } = self.place;
        let mut plot = live_plot(&mut self.ledger, retire.plot_key, retire.miner_key, lineage.height, parameters)?;
        plot.retired = true;
        Ok(plot)
    }

    /// Bars a miner, pays the reporter a tenth of the miner's immature rewards and burns the rest.
    fn bar(&mut self, miner_key: MinerKey, reporter: Option<Address>) -> Result<(), StateError> {
        let height = self.height();
        self.ledger.set(&StateKey::Barred(miner_key), Some(Value::Barred(height)))?;
        let mut taken = Amount::ZERO;
        for height in self.immature_of(&miner_key)? {
            let key = StateKey::Rewards(height);
            let mut rewards = self.ledger.rewards(height)?.ok_or(StateError::Missing { key })?;
            let sum = rewards.total().and_then(|total| taken.checked_add(total));
            taken = sum.ok_or(StateError::Sum { what: "immature rewards" })?;
            rewards.outputs = Capped::default();
            self.ledger.set(&key, Some(Value::Rewards(rewards)))?;
        }
        let share = Amount(taken.0 / 10);
        // Evidence always has a sender: whoever reports pays the fee.
        if let Some(reporter) = reporter.filter(|_| share > Amount::ZERO) {
            self.ledger.credit(reporter, share)?;
        }
        let mut chain = self.ledger.chain()?;
        let burnt = chain.burnt.checked_add(Amount(taken.0 - share.0));
        chain.burnt = burnt.ok_or(StateError::Sum { what: "what was burnt" })?;
        self.ledger.set(&StateKey::Chain, Some(Value::Chain(chain)))
    }

    fn immature_of(&mut self, miner_key: &MinerKey) -> Result<Vec<Height>, StateError> {
        if self.rewards.is_none() {
            let mut by_miner: HashMap<MinerKey, Vec<Height>> = HashMap::new();
            let newest = self.height().0;
            let oldest = newest.saturating_sub(self.place.parameters.coinbase_maturity) + 1;
            for height in (oldest.max(1)..newest).map(Height) {
                let key = StateKey::Rewards(height);
                let rewards = self.ledger.rewards(height)?.ok_or(StateError::Missing { key })?;
                by_miner.entry(rewards.miner_key).or_default().push(height);
            }
            self.rewards = Some(by_miner);
        }
        Ok(self.rewards.as_ref().and_then(|rewards| rewards.get(miner_key)).cloned().unwrap_or_default())
    }

    /// What the coinbase may pay at most, and how much of it are fees.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn allowance(&mut self) -> Result<(Amount, Amount), StateError> {
        let issued = self.ledger.chain()?.issued;
        Ok((self.place.parameters.emission.reward(self.height(), issued), self.fees))
    }

    /// The most that the coinbase's outputs can sum up to: reward and fees, as far as amounts can count.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn claimable(&mut self) -> Result<Amount, StateError> {
        let (reward, fees) = self.allowance()?;
        let room = u64::MAX - self.ledger.chain()?.issued.0;
        Ok(Amount(reward.0.min(room).saturating_add(fees.0)))
    }

    /// Applies coinbase, totals and registry, and says what the block changes.
    ///
    /// # Errors
    /// If the coinbase pays too much, or the state cannot be read.
    pub fn finish(mut self, coinbase: &Coinbase) -> Result<Changes, Fault<BlockError>> {
        let (reward, fees) = self.allowance()?;
        let mut chain = self.ledger.chain()?;
        let paid = Amount::checked_sum(coinbase.outputs.iter().map(|output| output.amount));
        let paid = paid.unwrap_or(Amount(u64::MAX));
        if u128::from(paid.0) > u128::from(reward.0) + u128::from(fees.0) {
            return Err(BlockError::CoinbaseSum { paid, reward, fees }.into());
        }
        let minted = Amount(paid.0.saturating_sub(fees.0));
        let unclaimed = Amount(fees.0.saturating_sub(paid.0));
        let issued = chain.issued.checked_add(minted);
        chain.issued = issued.ok_or(BlockError::Supply { issued: chain.issued, paid: minted })?;
        chain.burnt = chain.burnt.checked_add(unclaimed).ok_or(StateError::Sum { what: "what was burnt" })?;

        let lineage = self.place.lineage;
        let rewards =
            Rewards { epoch: lineage.epoch, miner_key: self.place.miner_key, outputs: coinbase.outputs.clone() };
        self.ledger.set(&StateKey::Rewards(self.height()), Some(Value::Rewards(rewards)))?;

        let key = StateKey::Plot(self.winner);
        let mut plot = self.ledger.plot(self.winner)?.ok_or(StateError::Missing { key })?;
        plot.last = self.height();
        self.ledger.set(&key, Some(Value::Plot(plot)))?;

        if self.begins_group() {
            chain.groups += 1;
            let entry = BeaconEntry { height: self.height(), mix: lineage.beacon.mix };
            self.ledger.set(&StateKey::Beacon(chain.groups), Some(Value::Beacon(entry)))?;
        }
        chain.difficulty = lineage.difficulty;
        chain.beacon = lineage.beacon;
        self.ledger.set(&StateKey::Chain, Some(Value::Chain(chain)))?;
        Ok(self.ledger.into_changes())
    }
}

/// Checks that a plot may win a block at its height, judged on a state before it (PROTOCOL §9).
///
/// # Errors
/// If it may not, or the state cannot be read.
pub fn check_winner<R: StateReader>(
    ledger: &mut Ledger<R>,
    place: &Place<'_>,
    winner: Hash,
    plot_id: PlotId,
) -> Result<(), Fault<BlockError>> {
    let (miner_key, height) = (place.miner_key, place.lineage.height);
    let plot = ledger.plot(winner)?.ok_or(BlockError::UnknownPlot { plot_id })?;
    if plot.plot_id != plot_id {
        return Err(BlockError::OtherPlot { found: plot_id, registered: plot.plot_id }.into());
    }
    let status = plot.status(height, place.parameters);
    if status != PlotStatus::Mature {
        return Err(BlockError::PlotStatus { plot_id, status, height }.into());
    }
    match ledger.barred(miner_key)? {
        Some(since) => Err(BlockError::Barred { miner_key, since }.into()),
        None => Ok(()),
    }
}
