//! Blocks with a bit of everything.

use std::collections::HashMap;

use super::fabric::{Fabric, Order};
use super::people::{Miner, Payer, Wallet, report};
use super::plot::MemoryPlot;
use super::random::Random;
use crate::builder::{Payout, Share};
use crate::chain::{Address, Amount, BlockId, Capped, Transaction};
use crate::state::PlotStatus;

/// Most wallets and plots that a fabric grows to by random blocks.
const MAX_WALLETS: usize = 64;
const MAX_PLOTS: usize = 48;
/// Most transactions tried for one block.
const MAX_TRIED: u64 = 12;

impl Fabric {
    /// Makes a block upon `parent` of transfers, registrations, activations, retirements and evidence, with a coinbase
    /// that pays some, all or nobody. New wallets, miners and plots come into being on the way; whatever the parent's
    /// state does not allow is left out, so that a block may have less than was tried.
    ///
    /// # Panics
    /// As [`Fabric::make`].
    pub fn random_block(&mut self, parent: &BlockId, random: &mut Random) -> BlockId {
        if self.wallets.len() < MAX_WALLETS && random.one_in(4) {
            self.wallets.push(Wallet::new(random.bytes()));
        }
        if random.one_in(40) && self.miners.len() < 8 {
            self.miners.push(Miner::new(random.bytes()));
        }
        self.new_plot(random);
        let mut nonces = HashMap::new();
        let tried = random.below(MAX_TRIED);
        let transactions = (0..tried).filter_map(|_| self.random_transaction(parent, random, &mut nonces)).collect();
        let order = Order {
            transactions,
            miner: None,
            skip_epochs: if random.one_in(8) { random.below(10) } else { 0 },
            payout: random.one_in(3).then(|| self.random_payout(random)),
        };
        self.make(parent, order)
    }

    fn new_plot(&mut self, random: &mut Random) {
        let plots: usize = self.miners.iter().map(|miner| miner.plots.len()).sum();
        if plots >= MAX_PLOTS || !random.one_in(3) {
            return;
        }
        let rows = self.parameters().min_rows + random.below(4);
        let miner = random.below(self.miners.len() as u64) as usize;
        let plot = MemoryPlot::grow(self.parameters(), self.miners[miner].key, random.bytes(), rows);
        self.miners[miner].plots.push(plot);
    }

    fn random_payout(&self, random: &mut Random) -> Payout {
        let share = |_| Share { address: random.pick(&self.wallets).address, parts: random.below(4) as u32 };
        let shares = Capped::new((0..3).map(share).collect()).expect("three are not too many");
        Payout { shares, unclaimed_parts: random.below(4) as u32, extra: Capped::default() }
    }

    fn random_transaction(
        &self,
        at: &BlockId,
        random: &mut Random,
        nonces: &mut HashMap<Address, u64>,
    ) -> Option<Transaction> {
        let genesis = self.genesis_id();
        let wallet = random.pick(&self.wallets);
        let account = self.account(at, wallet.address);
        if account.balance == Amount::ZERO && !random.one_in(10) {
            return None;
        }
        let nonce = nonces.entry(wallet.address).or_insert(account.nonce);
        // More than any transaction's least fee on the known chains.
        let payer = wallet.paying(*nonce, Amount(100_000 + random.below(1000)));
        let transaction = match random.below(20) {
            0..=2 => self.random_registration(at, random, payer),
            3..=8 => self.random_activation(at, random, payer),
            9 if random.one_in(2) => {
                let miner = random.pick(&self.miners);
                // Never the first, so that somebody is left to win.
                let plots = miner.plots.get(1..).filter(|plots| !plots.is_empty());
                plots.map(|plots| miner.retire(&genesis, random.pick(plots), payer))
            }
            10 if random.one_in(3) => self.random_evidence(at, random, payer),
            _ => {
                let to = if random.one_in(10) { wallet.address } else { random.pick(&self.wallets).address };
                let amount = Amount(1 + random.below(account.balance.0 / 4));
                Some(wallet.transfer(&genesis, *nonce, payer.fee, to, amount))
            }
        }?;
        if transaction.sender.is_some() {
            *nonce += 1;
        }
        Some(transaction)
    }

    fn random_registration(&self, at: &BlockId, random: &mut Random, payer: Payer<'_>) -> Option<Transaction> {
        let miner = random.pick(&self.miners);
        let height = self.made(at).lineage.height.next();
        let free = |plot: &&MemoryPlot| {
            let known = self.plot(at, plot.key());
            known.is_none_or(|plot| !plot.status(height, self.parameters()).is_live())
        };
        let plot = miner.plots.iter().find(free)?;
        Some(miner.register(&self.genesis_id(), plot, (!random.one_in(3)).then_some(payer)))
    }

    /// Of a plot that may be activated, by preference one that was not yet.
    fn random_activation(&self, at: &BlockId, random: &mut Random, payer: Payer<'_>) -> Option<Transaction> {
        let height = self.made(at).lineage.height.next();
        let mut found = Vec::new();
        for miner in &self.miners {
            for plot in &miner.plots {
                let Some(record) = self.plot(at, plot.key()) else { continue };
                let Some(mix) = self.drawn_mix(at, plot.key()) else { continue };
                match record.status(height, self.parameters()) {
                    PlotStatus::Pending => found.insert(0, (miner, plot, mix)),
                    PlotStatus::Immature | PlotStatus::Mature if random.one_in(3) => found.push((miner, plot, mix)),
                    _ => {}
                }
            }
        }
        let (miner, plot, mix) = found.first()?;
        let payer = (!random.one_in(3)).then_some(payer);
        Some(miner.activate(&self.genesis_id(), plot, mix, self.parameters().openings, payer))
    }

    /// Against any miner but the first two, so that somebody is left to win; now and then too old.
    fn random_evidence(&self, at: &BlockId, random: &mut Random, payer: Payer<'_>) -> Option<Transaction> {
        let accused = self.miners.get(2..).filter(|miners| !miners.is_empty())?;
        let mut header = &self.block(at).header;
        for _ in 0..random.below(self.parameters().coinbase_maturity + 2).min(header.height.0) {
            header = &self.block(&header.parent).header;
        }
        let evidence = random.pick(accused).equivocate(&self.genesis_id(), header);
        Some(report(&self.genesis_id(), evidence, payer))
    }
}
