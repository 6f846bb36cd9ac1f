//! A second state, written from PROTOCOL.md alone: the whole history in lists and maps, everything else computed from
//! it whenever it is asked for. Of the product it uses the objects' types.

mod plots;

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use spacetime_node::chain::{Address, Block, Coinbase, Evidence, MinerKey, Payload, Transaction};
use spacetime_node::consensus::{Parameters, Schedule, Specification};

pub(crate) use plots::Plot;

/// What a model may get wrong, to see that somebody notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Fees that the coinbase leaves are not burnt.
    FeesVanish,
    /// Rewards can be spent a block too late.
    LateRewards,
    /// Evidence's tenth is rounded for each reward instead of once.
    TenthOfEach,
    /// What nobody claims is minted all the same.
    UnclaimedMinted,
    /// Openings are drawn from the first new group.
    FirstGroup,
    /// A plot lives one block too long.
    LongLife,
    /// Failing to count nonces.
    NoNonces,
}

/// `H_tag(x)` of PROTOCOL's notation.
pub(crate) fn h(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update([tag.len() as u8]);
    hasher.update(tag);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// What is known of one block, genesis included.
#[derive(Clone, Debug)]
struct Past {
    epoch: u64,
    mix: [u8; 32],
    active: [u8; 32],
    miner: MinerKey,
    outputs: Vec<(Address, u64)>,
}

/// Everything that ever happened on one branch.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    parameters: Parameters,
    mistake: Option<Mistake>,
    past: Vec<Past>,
    /// Balance and next nonce.
    pub(crate) accounts: BTreeMap<Address, (u64, u64)>,
    pub(crate) plots: BTreeMap<[u8; 32], Plot>,
    pub(crate) barred: BTreeSet<MinerKey>,
    pub(crate) issued: u64,
    pub(crate) burnt: u64,
    used: BTreeSet<(Address, u64)>,
}

/// Refuses with a message unless `holds`.
fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

impl Model {
    pub(crate) fn new(specification: &Specification, genesis_id: [u8; 32], mistake: Option<Mistake>) -> Self {
        let genesis = &specification.genesis;
        let past = Past { epoch: 0, mix: genesis_id, active: genesis_id, miner: MinerKey::ZERO, outputs: Vec::new() };
        let mut model = Self {
            parameters: specification.parameters.clone(),
            mistake,
            past: vec![past],
            accounts: genesis.accounts.iter().map(|account| (account.address, (account.balance.0, 0))).collect(),
            plots: BTreeMap::new(),
            barred: BTreeSet::new(),
            issued: genesis.accounts.iter().map(|account| account.balance.0).sum(),
            burnt: 0,
            used: BTreeSet::new(),
        };
        for plot in &genesis.plots {
            let key = model.plot_key(&plot.miner_key, &plot.seed.0);
            model.plots.insert(key, Plot::at_genesis(plot));
        }
        model
    }

    fn wrong(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    pub(crate) fn height(&self) -> u64 {
        self.past.len() as u64 - 1
    }

    fn group(&self, epoch: u64) -> u64 {
        epoch / self.parameters.beacon_interval
    }

    /// Whether the block at `height` is the first of its group.
    fn begins_group(&self, height: usize) -> bool {
        self.group(self.past[height].epoch) > self.group(self.past[height - 1].epoch)
    }

    fn maturity(&self) -> u64 {
        self.parameters.coinbase_maturity + u64::from(self.wrong(Mistake::LateRewards))
    }

    fn credit(&mut self, address: Address, amount: u64) {
        self.accounts.entry(address).or_default().0 += amount;
    }

    /// What is in the queue after the latest block.
    pub(crate) fn immature(&self) -> u64 {
        let matured = (self.height() + 1).saturating_sub(self.maturity()) as usize;
        self.past.iter().skip(matured).flat_map(|past| &past.outputs).map(|(_, amount)| amount).sum()
    }

    fn reward(&self, height: u64) -> u64 {
        let emission = &self.parameters.emission;
        let scheduled = match &emission.schedule {
            Schedule::Fixed { initial_reward } => initial_reward.0,
            Schedule::Halving { initial_reward, interval } => {
                (0..(height - 1) / interval).fold(initial_reward.0, |reward, _| reward / 2)
            }
            other => panic!("the model does not know {other:?}"),
        };
        let reward = scheduled.max(emission.reward_floor.0);
        emission.emission_cap.map_or(reward, |cap| reward.min(cap.0 - self.issued))
    }

    /// Applies a block that is said to be valid, and says what is wrong with that.
    pub(crate) fn apply(&mut self, block: &Block) -> Result<(), String> {
        let (header, height) = (&block.header, self.height() + 1);
        let winner = self.check_win(block)?;

        if let Some(matured) = height.checked_sub(self.maturity()) {
            for (address, amount) in self.past[matured as usize].outputs.clone() {
                self.credit(address, amount);
            }
        }
        let mut fees = 0;
        for transaction in &block.transactions[1..] {
            fees += self.transact(transaction, height)?;
        }
        let Payload::Coinbase(coinbase) = &block.transactions[0].payload else { return Err("no coinbase".into()) };
        let outputs = self.totals(coinbase, fees, height)?;

        let parent = self.past.last().expect("genesis");
        let new_group = self.group(header.epoch.0) > self.group(parent.epoch);
        let mix = if new_group { h("spacetime/beacon/v1", &[&parent.mix, &header.reveal.0]) } else { parent.mix };
        let active = if new_group { parent.mix } else { parent.active };
        self.past.push(Past { epoch: header.epoch.0, mix, active, miner: header.miner_key, outputs });
        self.plots.get_mut(&winner).expect("it won").last = height;
        Ok(())
    }

    fn totals(&mut self, coinbase: &Coinbase, fees: u64, height: u64) -> Result<Vec<(Address, u64)>, String> {
        let outputs: Vec<_> = coinbase.outputs.iter().map(|output| (output.address, output.amount.0)).collect();
        let sum: u64 = outputs.iter().map(|(_, amount)| amount).sum();
        let reward = self.reward(height);
        ensure(sum <= reward + fees, || format!("coinbase of {sum}, allowed are {reward} and {fees}"))?;
        let minted = if self.wrong(Mistake::UnclaimedMinted) { reward } else { sum.saturating_sub(fees) };
        self.issued += minted;
        if !self.wrong(Mistake::FeesVanish) {
            self.burnt += fees.saturating_sub(sum);
        }
        Ok(outputs)
    }

    /// Applies a transaction, and returns its fee.
    fn transact(&mut self, transaction: &Transaction, height: u64) -> Result<u64, String> {
        let sender = transaction.sender.map(|key| key.address());
        let fee = transaction.fee.0;
        if let Some(sender) = sender {
            let (balance, nonce) = self.accounts.get(&sender).copied().unwrap_or_default();
            ensure(nonce == transaction.nonce, || format!("nonce {}, next is {nonce}", transaction.nonce))?;
            ensure(self.used.insert((sender, nonce)), || format!("nonce {nonce} twice"))?;
            ensure(balance >= fee, || format!("{balance} do not pay {fee}"))?;
            let next = nonce + u64::from(!self.wrong(Mistake::NoNonces));
            self.accounts.insert(sender, (balance - fee, next));
        } else {
            ensure(fee == 0 && transaction.nonce == 0, || "a fee from nobody".into())?;
        }
        match &transaction.payload {
            Payload::Coinbase(_) => return Err("a second coinbase".into()),
            Payload::Transfer(transfer) => {
                let account = self.accounts.get_mut(&sender.ok_or("a transfer from nobody")?).expect("it paid");
                account.0 = account.0.checked_sub(transfer.amount.0).ok_or("too little to transfer")?;
                self.credit(transfer.to, transfer.amount.0);
            }
            Payload::RegisterPlot(register) => self.register(register, height)?,
            Payload::ActivatePlot(activate) => self.activate(activate, height)?,
            Payload::RetirePlot(retire) => self.retire(retire, height)?,
            Payload::Evidence(evidence) => self.convict(evidence, sender.ok_or("nobody reports")?, height)?,
        }
        Ok(fee)
    }

    fn convict(&mut self, evidence: &Evidence, reporter: Address, height: u64) -> Result<(), String> {
        let key = evidence.first.miner_key;
        let oldest = self.past[height.saturating_sub(self.parameters.coinbase_maturity) as usize].epoch;
        ensure(evidence.first.epoch.0 >= oldest, || format!("evidence of {}, before {oldest}", evidence.first.epoch))?;
        ensure(self.barred.insert(key), || "barred twice".into())?;
        let matured = (height + 1).saturating_sub(self.maturity()) as usize;
        let each = self.wrong(Mistake::TenthOfEach);
        let (mut sum, mut tenths) = (0, 0);
        for past in self.past.iter_mut().skip(matured).filter(|past| past.miner == key) {
            let taken: u64 = past.outputs.drain(..).map(|(_, amount)| amount).sum();
            sum += taken;
            tenths += taken / 10;
        }
        let share = if each { tenths } else { sum / 10 };
        self.credit(reporter, share);
        self.burnt += sum - share;
        Ok(())
    }
}
