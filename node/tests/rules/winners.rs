//! Whose plot may win (PROTOCOL §7, §9): asked of the state at the fork before any row is grown, and of the parent's
//! state when the block is executed.

use spacetime_node::chain::rules::BlockError;
use spacetime_node::chain::{Amount, Block, BlockId, Height, MinerKey, Transaction};
use spacetime_node::consensus::Parameters;
use spacetime_node::manager::{Refusal, Verdict};
use spacetime_node::state::PlotStatus;
use spacetime_node::testing::{Fabric, MemoryPlot, Order, Setup, parameters, report};

use crate::common::{Case, LATER_MS, Trial, blocks, forge, fresh, submit, win_of};

pub(crate) fn trials() -> Vec<Trial> {
    vec![at_the_fork(), at_the_end()]
}

#[test]
fn may_win() {
    trials().iter().for_each(Trial::run);
}

const LIFETIME: u64 = 30;
const WINDOW: u64 = 9;

fn fabric(plots: usize) -> Fabric {
    let parameters = Parameters { plot_lifetime: Some(LIFETIME), activation_window: WINDOW, ..parameters() };
    Fabric::new(&Setup { parameters, plots, ..Setup::default() })
}

fn grow(fabric: &Fabric, miner: MinerKey, seed: u8) -> MemoryPlot {
    MemoryPlot::grow(fabric.parameters(), miner, [seed; 32], 16)
}

/// A chain that one miner wins, as far as nobody else is told to.
struct Chain {
    fabric: Fabric,
    ids: Vec<BlockId>,
}

impl Chain {
    fn tip(&self) -> BlockId {
        self.ids.last().copied().unwrap_or_else(|| self.fabric.genesis_id())
    }

    fn add(&mut self, miner: usize, transactions: Vec<Transaction>) -> BlockId {
        let count = transactions.len();
        let tip = self.tip();
        let id = self.fabric.make(&tip, Order { miner: Some(miner), transactions, ..Order::default() });
        assert_eq!(self.fabric.block(&id).transactions.len(), 1 + count);
        self.ids.push(id);
        id
    }

    fn grow_to(&mut self, height: u64) {
        while (self.ids.len() as u64) < height {
            self.add(0, Vec::new());
        }
    }

    /// A block that a plot wins upon the tip, whether it may or not.
    fn won_by(&self, miner: usize, plot: &MemoryPlot) -> Block {
        let win = win_of(&self.fabric, &self.tip(), plot);
        forge(&self.fabric, &self.tip(), &self.fabric.miners[miner], win, Vec::new())
    }

    fn trial(self, cases: Vec<Case>) -> Trial {
        let Self { mut fabric, ids } = self;
        let good = fabric.make(ids.last().expect("it has a block"), Order { miner: Some(0), ..Order::default() });
        Trial { good: fabric.block(&good).clone(), held: ids, cases, fabric }
    }
}

fn at_the_fork() -> Trial {
    let mut chain = Chain { fabric: fabric(2), ids: Vec::new() };
    let genesis = chain.fabric.genesis_id();
    let key = chain.fabric.miners[0].key;
    let [lapsed, immature, pending, unknown] = [1, 2, 3, 4].map(|seed| grow(&chain.fabric, key, seed));
    let register = |chain: &Chain, plot: &MemoryPlot| chain.fabric.miners[0].register(&genesis, plot, None);
    let payer = |chain: &Chain| chain.fabric.wallets[0].secret.account_key().address();
    assert_eq!(chain.fabric.account(&genesis, payer(&chain)).nonce, 0);

    let lapsing = register(&chain, &lapsed);
    chain.add(0, vec![lapsing]);
    let miner = &chain.fabric.miners[1];
    let retire = miner.retire(&genesis, &miner.plots[1], chain.fabric.wallets[0].paying(0, Amount(1)));
    chain.add(0, vec![retire]);
    chain.grow_to(4);
    // Lately enough that its lifetime goes on.
    let theirs = chain.add(2, Vec::new());
    let evidence = chain.fabric.miners[2].equivocate(&genesis, &chain.fabric.block(&theirs).header);
    let reported = report(&genesis, evidence, chain.fabric.wallets[0].paying(1, Amount(1)));
    chain.add(0, vec![reported]);
    chain.grow_to(LIFETIME - 12);
    let maturing = register(&chain, &immature);
    chain.add(0, vec![maturing]);
    let mix = loop {
        match chain.fabric.drawn_mix(&chain.tip(), immature.key()) {
            Some(mix) => break mix,
            None => chain.add(0, Vec::new()),
        };
    };
    let activation = chain.fabric.miners[0].activate(&genesis, &immature, &mix, 4, None);
    chain.add(0, vec![activation]);
    chain.grow_to(LIFETIME + 1);
    let registered = register(&chain, &pending);
    chain.add(0, vec![registered]);

    let fabric = &chain.fabric;
    let height = Height(LIFETIME + 3);
    let mut cases = Vec::new();
    let mut add = |what: &str, miner: usize, plot: &MemoryPlot, error: BlockError| {
        let block = chain.won_by(miner, plot);
        // Execution would say the same of a signed block: that the state at the fork is asked first, and no row is
        // grown, shows where the signature does not hold either.
        let mut unsigned = block.clone();
        unsigned.header.signature = unsigned.header.reveal;
        cases.push(Case::new(format!("{what}, unsigned"), unsigned, error.clone()));
        cases.push(Case::new(what, block, error));
    };
    add("a plot that nobody registered", 0, &unknown, BlockError::UnknownPlot { plot_id: unknown.id() });
    let own = &fabric.miners[0].plots[0];
    let twin = MemoryPlot::grow(fabric.parameters(), key, own.description().seed.0, 17);
    add("a twin of a plot", 0, &twin, BlockError::OtherPlot { found: twin.id(), registered: own.id() });
    let error = |plot: &MemoryPlot, status| BlockError::PlotStatus { plot_id: plot.id(), status, height };
    add("a registered plot", 0, &pending, error(&pending, PlotStatus::Pending));
    add("a lapsed plot", 0, &lapsed, error(&lapsed, PlotStatus::Lapsed));
    add("an immature plot", 0, &immature, error(&immature, PlotStatus::Immature));
    let (ended, retired) = (&fabric.miners[1].plots[0], &fabric.miners[1].plots[1]);
    add("an ended plot", 1, ended, error(ended, PlotStatus::Ended));
    add("a retired plot", 1, retired, error(retired, PlotStatus::Retired));
    let barred = &fabric.miners[2];
    let won = fabric.block(&theirs).header.plot_id;
    let alive = barred.plots.iter().find(|plot| plot.id() == won).expect("one of its plots won");
    add("a barred miner's plot", 2, alive, BlockError::Barred { miner_key: barred.key, since: Height(6) });
    chain.trial(cases)
}

/// The last height that a plot may win is judged at the block's own height, when it is executed.
fn at_the_end() -> Trial {
    let mut chain = Chain { fabric: fabric(1), ids: Vec::new() };
    chain.grow_to(LIFETIME - 1);
    let plot = chain.fabric.miners[1].plots[0].clone();
    let last = chain.won_by(1, &plot);
    let (mut manager, _) = fresh(&chain.fabric);
    submit(&mut manager, blocks(&chain.fabric, &chain.ids), LATER_MS);
    assert_eq!(submit(&mut manager, vec![last.clone()], LATER_MS).verdicts, [(last.id(), Verdict::Connected)]);

    chain.grow_to(LIFETIME);
    let error = BlockError::PlotStatus { plot_id: plot.id(), status: PlotStatus::Ended, height: Height(LIFETIME + 1) };
    let cases = vec![Case::new("a block too late", chain.won_by(1, &plot), error)];
    chain.trial(cases)
}

/// A plot that its own block retires, or whose miner it bars, wins that block and none after it. Both come together,
/// so that the second is judged by the state before the first until it is executed.
#[test]
fn what_a_block_ends_wins_it_and_no_more() {
    for retired in [true, false] {
        let mut chain = Chain { fabric: fabric(1), ids: Vec::new() };
        let genesis = chain.fabric.genesis_id();
        chain.grow_to(3);
        let (miner, payer) = (&chain.fabric.miners[1], chain.fabric.wallets[0].paying(0, Amount(1)));
        let plot = miner.plots[0].clone();
        let header = &chain.fabric.block(&chain.tip()).header;
        let ending = match retired {
            true => miner.retire(&genesis, &plot, payer),
            false => report(&genesis, miner.equivocate(&genesis, header), payer),
        };
        let miner_key = miner.key;
        let own = chain.add(1, vec![ending]);
        let next = chain.won_by(1, &plot);
        let height = Height(5);
        let error = match retired {
            true => BlockError::PlotStatus { plot_id: plot.id(), status: PlotStatus::Retired, height },
            false => BlockError::Barred { miner_key, since: Height(4) },
        };
        let (mut manager, _) = fresh(&chain.fabric);
        let mut all = blocks(&chain.fabric, &chain.ids);
        all.push(next.clone());
        let outcome = submit(&mut manager, all, LATER_MS);
        assert_eq!(manager.tip().id, own, "it wins the block that ends it");
        let refused = Verdict::Refused(Refusal::Rule(error));
        assert!(outcome.verdicts.contains(&(next.id(), refused)), "{:?}", outcome.verdicts);
    }
}
