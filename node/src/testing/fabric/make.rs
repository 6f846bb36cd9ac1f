//! Winning epochs and making their blocks.

use std::collections::HashMap;

use spacetime_kernels::Best;

use super::{Fabric, Made};
use crate::builder::{Ground, Payout, Template, Win, build};
use crate::chain::{Address, Amount, Block, BlockId, Epoch, Transaction, proof_id, transaction_root};
use crate::consensus::{Claim, Engine, reveal_message};
use crate::state::{Ledger, PlotStatus};
use crate::testing::people::at_least_fee;

/// Epochs within which some plot wins, as long as one may: long gaps ease the target.
const MAX_EPOCHS_SEARCHED: u64 = 10_000;

/// What is wanted of a block; by default an empty one in the next epoch that anybody wins.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Its transactions, without the coinbase.
    pub transactions: Vec<Transaction>,
    /// Who wins it, by place among the fabric's miners.
    pub miner: Option<usize>,
    /// Epochs after the parent's that stay empty in any case.
    pub skip_epochs: u64,
    /// Who is paid; by default the miner's wallet gets all.
    pub payout: Option<Payout>,
}

impl Fabric {
    /// Plots of `miner` (of all without one) that may win a child of `parent`.
    fn contenders(&self, parent: &BlockId, miner: Option<usize>) -> Vec<(usize, usize)> {
        let mut ledger = self.ledger(parent);
        let height = self.made(parent).lineage.height.next();
        let mut found = Vec::new();
        for (number, owner) in self.miners.iter().enumerate() {
            if miner.is_some_and(|miner| miner != number) || ledger.barred(owner.key).expect("memory").is_some() {
                continue;
            }
            for (place, plot) in owner.plots.iter().enumerate() {
                let record = ledger.plot(plot.key()).expect("memory can be read");
                if record.is_some_and(|plot| plot.status(height, self.parameters()) == PlotStatus::Mature) {
                    found.push((number, place));
                }
            }
        }
        found
    }

    /// The next win upon `parent`, `skip_epochs` epochs left empty in any case: who won, and what.
    ///
    /// # Panics
    /// If the block was not made here, or nobody may win.
    pub fn win(&mut self, parent: &BlockId, skip_epochs: u64, miner: Option<usize>) -> (usize, Win) {
        let contenders = self.contenders(parent, miner);
        let lineage = self.made(parent).lineage.clone();
        let first = lineage.epoch.0 + 1 + skip_epochs;
        for epoch in (first..first + MAX_EPOCHS_SEARCHED).map(Epoch) {
            let Claim { target, challenge, column } = self.engine.claim(&lineage, epoch);
            let scored = contenders.iter().map(|&(miner, plot)| {
                let Best { score, row } = self.miners[miner].plots[plot].best(&challenge, column);
                (score, row, miner, plot)
            });
            let Some((_, row, number, plot)) = scored.min().filter(|(score, ..)| target.is_met_by(score)) else {
                continue;
            };
            let miner = &self.miners[number];
            let epoch_ms = self.parameters().epoch_ms;
            let begins_ms = self.specification.genesis.time_ms + epoch.0 * epoch_ms;
            let win = Win {
                epoch,
                timestamp_ms: begins_ms + self.random.below(epoch_ms),
                miner_key: miner.key,
                proof: miner.plots[plot].prove(&challenge, column, row),
                reveal: miner.secret.sign(&reveal_message(&self.genesis.lineage.id, &challenge)),
            };
            return (number, win);
        }
        panic!("no plot won within {MAX_EPOCHS_SEARCHED} epochs");
    }

    /// Makes a block upon `parent`; what cannot be applied is left out of it.
    ///
    /// # Panics
    /// If the parent was not made here, its state was pruned, or nobody may win.
    pub fn make(&mut self, parent: &BlockId, order: Order) -> BlockId {
        let (miner, win) = self.win(parent, order.skip_epochs, order.miner);
        let payout = order.payout.unwrap_or_else(|| Payout::all_to(self.miners[miner].wallet.address));
        let at = self.index(parent);
        let state = self.versions.at(at);
        let ground = Ground {
            engine: &self.engine,
            parameters: &self.specification.parameters,
            genesis: &self.genesis.lineage,
            parent: &self.made[at].lineage,
            state,
            nodes: state,
            verifier: &self.verifier,
        };
        let template = build(&ground, &win, &payout, &order.transactions).expect("the winner may win");
        self.finish(miner, template)
    }

    /// Signs a template by the miner in this place, and keeps its block.
    ///
    /// # Panics
    /// If the parent was not made here, its state was pruned, or another miner won.
    pub fn finish(&mut self, miner: usize, template: Template) -> BlockId {
        let (genesis, at) = (self.genesis_id(), self.index(&template.header.parent));
        let index = self.versions.add(Some(at), &template.changes, &template.update);
        let block = template.sign(&self.miners[miner].secret, &genesis, None);
        let id = block.id();
        let lineage = self.engine.extend(&self.made[at].lineage, &block.header, id);
        self.made.push(Made { block, lineage });
        self.by_id.insert(id, index);
        if let Some(keep) = self.keep {
            self.versions.prune(index, keep);
        }
        id
    }

    /// Makes a block upon `parent` with all of `transactions`.
    ///
    /// # Panics
    /// As [`Fabric::make`], and if one of them cannot be applied.
    pub fn extend(&mut self, parent: &BlockId, transactions: Vec<Transaction>) -> BlockId {
        let count = transactions.len();
        let id = self.make(parent, Order { transactions, ..Order::default() });
        assert_eq!(self.block(&id).transactions.len(), 1 + count, "every transaction is in the block");
        id
    }

    /// Makes a chain of `blocks` blocks upon `parent`, each with `transfers` transfers, and returns their ids.
    ///
    /// # Panics
    /// As [`Fabric::make`], and if there are transfers to be made and no wallet has money.
    pub fn chain(&mut self, parent: &BlockId, blocks: u64, transfers: usize) -> Vec<BlockId> {
        let mut tip = *parent;
        let mut made = Vec::new();
        for _ in 0..blocks {
            let transactions = self.transfers(&tip, transfers);
            tip = self.extend(&tip, transactions);
            made.push(tip);
        }
        made
    }

    /// Transfers of one unit among wallets, by turns, for the least fee, which can be applied to a child of `at`.
    fn transfers(&mut self, at: &BlockId, count: usize) -> Vec<Transaction> {
        let (genesis, first) = (self.genesis_id(), self.random.number() as usize % self.wallets.len().max(1));
        let mut ledger = Ledger::new(self.versions.at(self.by_id[at]));
        let mut nonces: HashMap<Address, u64> = HashMap::new();
        let mut transactions = Vec::with_capacity(count);
        for turn in 0..count {
            let sender = &self.wallets[(first + turn) % self.wallets.len()];
            let to = self.random.pick(&self.wallets).address;
            let nonce = nonces.entry(sender.address).or_insert_with(|| {
                ledger.account(sender.address).expect("memory can be read").unwrap_or_default().nonce
            });
            let transfer = |fee| sender.transfer(&genesis, *nonce, fee, to, Amount(1));
            transactions.push(at_least_fee(&self.specification.parameters, transfer));
            *nonce += 1;
        }
        transactions
    }

    /// Makes a changed block whole again: proof id, transaction root and signature are those of what it has become.
    /// Its state root stays.
    ///
    /// # Panics
    /// If its miner is none of the fabric's.
    #[must_use]
    pub fn reseal(&self, mut block: Block) -> Block {
        let ids: Vec<_> = block.transactions.iter().map(Transaction::id).collect();
        block.header.transaction_root = transaction_root(&ids);
        block.header.proof_id = proof_id(&block.proof);
        let miner =
            self.miners.iter().find(|miner| miner.key == block.header.miner_key).expect("a miner of the fabric");
        miner.seal(&self.genesis_id(), &mut block.header);
        block
    }
}
