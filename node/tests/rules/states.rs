//! Rules of transactions that ask a state (PROTOCOL §7, §9, §10).

use spacetime_node::chain::rules::TransactionError;
use spacetime_node::chain::{ActivatePlot, Amount, Block, BlockId, Capped, Hash, Height, Payload, Transaction};
use spacetime_node::consensus::{Engine, Parameters};
use spacetime_node::state::openings::draw;
use spacetime_node::state::{Account, Execution, Fault, Place, StateError, StateKey, StateReader, Value};
use spacetime_node::testing::{Fabric, MemoryPlot, Miner, Order, Setup, Wallet, parameters, report, sign};
use spacetime_prover::tree::fold;

use crate::common::{Case, Trial, forge, winner};

pub(crate) fn trials() -> Vec<Trial> {
    vec![senders(), plots()]
}

#[test]
fn are_asked() {
    trials().iter().for_each(Trial::run);
}

/// Makes blocks of one winner with any transactions.
struct Maker<'a> {
    fabric: &'a Fabric,
    genesis: BlockId,
    empty: &'a Block,
    cases: Vec<Case>,
}

impl<'a> Maker<'a> {
    fn new(fabric: &'a Fabric, empty: &'a Block) -> Self {
        Self { fabric, genesis: fabric.genesis_id(), empty, cases: Vec::new() }
    }

    fn block(&self, transactions: Vec<Transaction>) -> Block {
        let win = (self.empty.header.epoch, self.empty.proof.clone());
        forge(self.fabric, &self.empty.header.parent, winner(self.fabric, self.empty), win, transactions)
    }

    /// The last of `transactions` breaks a rule.
    fn add(&mut self, what: &str, transactions: Vec<Transaction>, error: TransactionError) {
        let index = transactions.len();
        self.cases.push(Case::transaction(what, self.block(transactions), index, error));
    }

    fn wallet(&self, number: usize) -> &'a Wallet {
        &self.fabric.wallets[number]
    }
}

fn senders() -> Trial {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let parent = fabric.chain(&genesis, 1, 0)[0];
    let (to, balance) = (fabric.wallets[1].address, Setup::default().balance);
    let first = fabric.wallets[0].transfer(&genesis, 0, Amount::ZERO, to, Amount(10));
    let held = vec![parent, fabric.extend(&parent, vec![first.clone()])];
    let next = fabric.make(&held[1], Order::default());
    let empty = fabric.block(&next).clone();
    let mut maker = Maker::new(&fabric, &empty);
    let transfer = |nonce, amount| fabric.wallets[0].transfer(&genesis, nonce, Amount(1), to, Amount(amount));
    let left = balance.0 - 10;

    maker.add("a transaction once more", vec![first], TransactionError::Nonce { found: 0, expected: 1 });
    maker.add("a gap", vec![transfer(2, 1)], TransactionError::Nonce { found: 2, expected: 1 });
    let again = vec![transfer(1, 1), transfer(1, 1)];
    maker.add("twice in one block", again, TransactionError::Nonce { found: 1, expected: 2 });
    let error = |balance, needed| TransactionError::Balance { balance: Amount(balance), needed: Amount(needed) };
    maker.add("one more than there is", vec![transfer(1, left)], error(left, left + 1));
    let all = vec![transfer(1, left - 2), transfer(2, 1)];
    maker.add("spent twice", all, error(1, 2));
    let newcomer = Wallet::new([77; 32]);
    let poor = newcomer.transfer(&genesis, 0, Amount(1), to, Amount(1));
    maker.add("from an account that never was", vec![poor], error(0, 2));
    // Credited in the same block, it can pay; and all that is there can be sent.
    let fund = fabric.wallets[0].transfer(&genesis, 1, Amount(1), newcomer.address, Amount(left - 1));
    let spend = newcomer.transfer(&genesis, 0, Amount(1), to, Amount(left - 2));
    let good = maker.block(vec![fund, spend]);
    let cases = maker.cases;
    Trial { held, good, cases, fabric }
}

/// Spare plots by what becomes of them.
struct Plots {
    /// Registered early and never activated.
    lapsed: MemoryPlot,
    /// Registered in the last block.
    pending: MemoryPlot,
    /// Ended by its miner.
    retired: MemoryPlot,
    /// Never registered.
    unknown: Vec<MemoryPlot>,
}

const WINDOW: u64 = 9;
const LIMIT: u32 = 2;

fn plots() -> Trial {
    let parameters = Parameters { activation_window: WINDOW, registrations_per_block: LIMIT, ..parameters() };
    let mut fabric = Fabric::new(&Setup { parameters, ..Setup::default() });
    let genesis = fabric.genesis_id();
    let key = fabric.miners[0].key;
    let grow = |seed: u8| MemoryPlot::grow(fabric.parameters(), key, [seed; 32], 16);
    let plots = Plots { lapsed: grow(1), pending: grow(2), retired: grow(3), unknown: vec![grow(4), grow(5), grow(6)] };
    let miner = &fabric.miners[0];
    let early = vec![miner.register(&genesis, &plots.lapsed, None)];
    let paid = |miner: &Miner, plot, wallet: usize| {
        miner.register(&genesis, plot, Some(fabric.wallets[wallet].paying(0, Amount(1))))
    };
    let retired = paid(miner, &plots.retired, 0);
    let retire = miner.retire(&genesis, &plots.retired, fabric.wallets[0].paying(1, Amount(1)));
    let late = vec![miner.register(&genesis, &plots.pending, None)];

    let mut held = vec![fabric.extend(&genesis, early)];
    let add = |fabric: &mut Fabric, held: &mut Vec<BlockId>, transactions: Vec<Transaction>| {
        held.push(fabric.extend(held.last().expect("it has a block"), transactions));
    };
    add(&mut fabric, &mut held, vec![retired, retire]);
    // Barred in block 3, by headers of the block before.
    let header = fabric.block(&held[1]).header.clone();
    let evidence = fabric.miners[2].equivocate(&genesis, &header);
    let reported = report(&genesis, evidence, fabric.wallets[1].paying(0, Amount(1)));
    let alive = |fabric: &mut Fabric, at: &BlockId| fabric.make(at, Order { miner: Some(0), ..Order::default() });
    add(&mut fabric, &mut held, vec![reported]);
    while held.len() < 1 + WINDOW as usize {
        held.push(alive(&mut fabric, held.last().expect("it has a block")));
    }
    let order = Order { miner: Some(0), transactions: late, ..Order::default() };
    held.push(fabric.make(held.last().expect("it has a block"), order));
    let parent = *held.last().expect("it has a block");
    let empty = alive(&mut fabric, &parent);
    let empty = fabric.block(&empty).clone();
    assert_eq!(empty.header.height, Height(3 + WINDOW));

    let mut maker = Maker::new(&fabric, &empty);
    registrations(&mut maker, &plots);
    registry(&mut maker, &plots);
    openings(&mut maker, &plots);
    let miner = &fabric.miners[0];
    let good = maker.block(vec![
        // A lapsed one can return.
        miner.register(&genesis, &plots.lapsed, None),
        miner.register(&genesis, &plots.unknown[0], Some(fabric.wallets[3].paying(0, Amount(1)))),
        activation(&maker, &|_| ()),
        oldest_evidence(&maker, 3),
    ]);
    let cases = maker.cases;
    Trial { held, good, cases, fabric }
}

fn payer<'a>(maker: &Maker<'a>, wallet: usize) -> spacetime_node::testing::Payer<'a> {
    maker.wallet(wallet).paying(0, Amount(1))
}

fn registrations(maker: &mut Maker<'_>, plots: &Plots) {
    let (genesis, fabric) = (maker.genesis, maker.fabric);
    let miner = &fabric.miners[0];
    let register = |plot: &MemoryPlot| miner.register(&genesis, plot, None);
    for (what, plot, registered) in
        [("since genesis", &miner.plots[0], 0), ("but not activated", &plots.pending, WINDOW + 2)]
    {
        let error = TransactionError::Registered { plot_key: plot.key(), registered: Height(registered) };
        maker.add(&format!("registered {what}"), vec![register(plot)], error);
    }
    // Twins have one key, whatever their rows.
    let twin = MemoryPlot::grow(fabric.parameters(), miner.key, [2; 32], 17);
    let error = TransactionError::Registered { plot_key: twin.key(), registered: Height(WINDOW + 2) };
    assert_eq!(twin.key(), plots.pending.key());
    maker.add("a twin", vec![register(&twin)], error);
    let own_block =
        vec![register(&plots.unknown[0]), miner.register(&genesis, &plots.unknown[0], Some(payer(maker, 3)))];
    let error = TransactionError::Registered { plot_key: plots.unknown[0].key(), registered: Height(3 + WINDOW) };
    maker.add("twice in one block", own_block, error);
    let retired = TransactionError::Retired { plot_key: plots.retired.key() };
    maker.add("a retired plot's key", vec![register(&plots.retired)], retired);

    let paid = |plot: &MemoryPlot, wallet: usize| {
        miner.register(&genesis, plot, Some(fabric.wallets[wallet].paying(0, Amount(1))))
    };
    let three: Vec<_> = plots.unknown.iter().zip(3..).map(|(plot, wallet)| paid(plot, wallet)).collect();
    maker.add("too many registrations", three, TransactionError::Registrations { limit: LIMIT });
    let two = vec![register(&plots.unknown[0]), register(&plots.unknown[1])];
    maker.add("two without a fee", two, TransactionError::UnpaidRegistrations);
}

fn registry(maker: &mut Maker<'_>, plots: &Plots) {
    let (genesis, fabric) = (maker.genesis, maker.fabric);
    let (miner, barred) = (&fabric.miners[0], &fabric.miners[2]);
    let retire =
        |miner: &Miner, plot: &MemoryPlot| miner.retire(&genesis, plot, fabric.wallets[3].paying(0, Amount(1)));
    let activate = |miner: &Miner, plot: &MemoryPlot| miner.activate(&genesis, plot, &Hash::ZERO, 4, None);
    let height = maker.empty.header.height;

    let plot_key = plots.unknown[0].key();
    let unknown = || TransactionError::UnknownPlot { plot_key };
    maker.add("an unknown plot retired", vec![retire(miner, &plots.unknown[0])], unknown());
    maker.add("an unknown plot activated", vec![activate(miner, &plots.unknown[0])], unknown());
    let others = &fabric.miners[1].plots[0];
    let foreign = || TransactionError::ForeignPlot { plot_key: others.key(), owner: fabric.miners[1].key };
    maker.add("another's plot retired", vec![retire(miner, others)], foreign());
    maker.add("another's plot activated", vec![activate(miner, others)], foreign());
    let retired = || TransactionError::Retired { plot_key: plots.retired.key() };
    maker.add("retired twice", vec![retire(miner, &plots.retired)], retired());
    maker.add("activated when retired", vec![activate(miner, &plots.retired)], retired());
    let lapsed = || TransactionError::Lapsed { plot_key: plots.lapsed.key(), height };
    maker.add("retired when lapsed", vec![retire(miner, &plots.lapsed)], lapsed());
    maker.add("activated when lapsed", vec![activate(miner, &plots.lapsed)], lapsed());
    maker.add("activated too soon", vec![activate(miner, &plots.pending)], TransactionError::NotDrawn);

    let error = || TransactionError::Barred { miner_key: barred.key, height: Height(3) };
    let theirs = MemoryPlot::grow(fabric.parameters(), barred.key, [8; 32], 16);
    maker.add("registered when barred", vec![barred.register(&genesis, &theirs, None)], error());
    maker.add("retired when barred", vec![retire(barred, &barred.plots[0])], error());
    maker.add("activated when barred", vec![activate(barred, &barred.plots[0])], error());
    let again = barred.equivocate(&genesis, &fabric.block(&maker.empty.header.parent).header);
    maker.add("barred twice", vec![report(&genesis, again, payer(maker, 3))], error());
    let both = vec![oldest_evidence(maker, 3), oldest_evidence_of(maker, 3, 5)];
    let key = fabric.miners[1].key;
    maker.add("barred twice in one block", both, TransactionError::Barred { miner_key: key, height });
    let oldest = ancestor(maker, 3);
    let old = ancestor(maker, 4);
    let error = TransactionError::OldEvidence { epoch: old, oldest };
    maker.add("old evidence", vec![oldest_evidence(maker, 4)], error);
}

/// Epoch of the ancestor so many blocks above the block that is made.
fn ancestor(maker: &Maker<'_>, up: u64) -> spacetime_node::chain::Epoch {
    let mut header = &maker.empty.header;
    for _ in 0..up {
        header = &maker.fabric.block(&header.parent).header;
    }
    header.epoch
}

/// Against miner 1, of the epoch of the ancestor so many blocks up.
fn oldest_evidence(maker: &Maker<'_>, up: u64) -> Transaction {
    oldest_evidence_of(maker, up, 4)
}

fn oldest_evidence_of(maker: &Maker<'_>, up: u64, wallet: usize) -> Transaction {
    let mut header = maker.empty.header.clone();
    header.epoch = ancestor(maker, up);
    report(&maker.genesis, maker.fabric.miners[1].equivocate(&maker.genesis, &header), payer(maker, wallet))
}

/// A genesis plot activated again, changed and signed.
fn activation(maker: &Maker<'_>, change: &dyn Fn(&mut Vec<spacetime_node::chain::Opening>)) -> Transaction {
    let miner = &maker.fabric.miners[0];
    let mix = drawn(maker);
    let mut openings = miner.plots[0].openings(&mix, 4);
    change(&mut openings);
    let openings = Capped::new(openings).expect("four");
    let payload = ActivatePlot { miner_key: miner.key, plot_key: miner.plots[0].key(), openings };
    sign(&maker.genesis, Payload::ActivatePlot(payload), None, Some(&miner.secret))
}

fn drawn(maker: &Maker<'_>) -> Hash {
    let plot = &maker.fabric.miners[0].plots[0];
    maker.fabric.drawn_mix(&maker.empty.header.parent, plot.key()).expect("two groups began")
}

fn openings(maker: &mut Maker<'_>, _: &Plots) {
    let plot = &maker.fabric.miners[0].plots[0];
    for (found, index) in [(9, 0), (11, 3)] {
        let resized = activation(maker, &|openings| {
            let mut siblings = openings[index].siblings.to_vec();
            siblings.resize(found, [0; 32]);
            openings[index].siblings = Capped::new(siblings).expect("few enough");
        });
        let error = TransactionError::OpeningSiblings { index, found, expected: 10 };
        maker.add("a path of another length", vec![resized], error);
    }
    let mix = drawn(maker);
    let leads = |openings: &[spacetime_node::chain::Opening], index: usize| {
        let (row, column) = draw(&plot.id(), &mix, index as u32, 16, 64);
        fold(&openings[index].cell, u64::from(column.0) << 4 | row.0, &openings[index].siblings)
    };
    let mut changed = plot.openings(&mix, 4);
    changed[2].cell[0] ^= 1;
    let error = TransactionError::OpeningPath { index: 2, found: leads(&changed, 2) };
    maker.add("another cell", vec![activation(maker, &|openings| openings[2].cell[0] ^= 1)], error);
    let mut changed = plot.openings(&mix, 4);
    changed.swap(0, 1);
    let error = TransactionError::OpeningPath { index: 0, found: leads(&changed, 0) };
    maker.add("openings in another order", vec![activation(maker, &|openings| openings.swap(0, 1))], error);
}

/// A state in which the first wallet has used all nonces but the last, which no chain is long enough for.
struct Worn<R>(R, StateKey);

impl<R: StateReader> StateReader for Worn<R> {
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StateError> {
        if *key == self.1 {
            return Ok(Some(Value::Account(Account { balance: Amount(9), nonce: u64::MAX }).encode()));
        }
        self.0.read(key)
    }
}

/// What the transaction with the last nonce there is breaks.
pub(crate) fn nonce_end() -> TransactionError {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let id = fabric.chain(&genesis, 1, 0)[0];
    let block = fabric.block(&id);
    let (parent, parameters) = (&fabric.genesis.lineage, fabric.parameters());
    let lineage = fabric.engine.extend(parent, &block.header, id);
    let place = Place { parameters, parent, lineage: &lineage, miner_key: block.header.miner_key };
    let plots = fabric.miners.iter().flat_map(|miner| &miner.plots);
    let plot = plots.into_iter().find(|plot| plot.id() == block.header.plot_id).expect("a genesis plot won");
    let wallet = &fabric.wallets[0];
    let worn = Worn(fabric.state(&genesis), StateKey::Account(wallet.address));
    let mut execution = Execution::begin(place, plot.key(), plot.id(), worn).expect("it may win");
    let last = wallet.transfer(&genesis, u64::MAX, Amount(1), wallet.address, Amount(1));
    match execution.apply(&last) {
        Err(Fault::Rule(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_nonce_is_never_used() {
    assert_eq!(nonce_end(), TransactionError::NonceEnd);
}
