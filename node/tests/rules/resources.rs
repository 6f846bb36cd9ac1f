//! Blocks that are meant to cost much: work that grows with the square of a block, templates over the limits, sums at
//! the end of counting.

use std::cell::Cell;
use std::time::{Duration, Instant};

use spacetime_node::chain::{Amount, Block, Header, MinerKey, Payload, Transaction};
use spacetime_node::chain::{Capped, Evidence, MAX_MEMO_BYTES, Transfer, plot_key};
use spacetime_node::consensus::Parameters;
use spacetime_node::manager::Verdict;
use spacetime_node::state::tree::{Node, NodeKey, NodeReader, TreeError, commit};
use spacetime_node::state::{Execution, Place, StateError, StateKey, StateReader};
use spacetime_node::testing::{Fabric, MemoryPlot, Miner, Order, Random, Setup, parameters, report, sign};

use crate::common::{LATER_MS, blocks, fresh, submit, verdict};

/// Counts what is read of a state.
struct Counting<R> {
    reader: R,
    reads: Cell<u64>,
}

impl<R: StateReader> StateReader for Counting<R> {
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StateError> {
        self.reads.set(self.reads.get() + 1);
        self.reader.read(key)
    }
}

impl<R: NodeReader> NodeReader for Counting<R> {
    fn node(&self, key: &NodeKey) -> Result<Option<Node>, TreeError> {
        self.reads.set(self.reads.get() + 1);
        self.reader.node(key)
    }
}

/// What it costs to apply transactions to the state after `parent`, signatures and rows aside: reads, and the least
/// time of nine runs.
fn cost(fabric: &Fabric, block: &Block, transactions: &[Transaction]) -> (u64, Duration) {
    let header = &block.header;
    let parent = &fabric.made(&header.parent).lineage;
    let lineage = &fabric.made(&block.id()).lineage;
    let place = Place { parameters: fabric.parameters(), parent, lineage, miner_key: header.miner_key };
    let winner = spacetime_node::chain::Hash(plot_key(fabric.parameters(), &header.miner_key, &block.proof.seed).0);
    let Payload::Coinbase(coinbase) = &block.transactions[0].payload else { panic!("a coinbase comes first") };
    let run = || {
        let state = Counting { reader: fabric.state(&parent.id), reads: Cell::new(0) };
        let begun = Instant::now();
        let mut execution = Execution::begin(place, winner, header.plot_id, &state).expect("the winner may win");
        for transaction in transactions {
            execution.apply(transaction).expect("it can be applied");
        }
        let changes = execution.finish(coinbase).expect("the coinbase pays no more than it may");
        let leaves = changes.iter().map(|(key, value)| (key.hash(), value.as_deref()));
        commit(&state, Some(parent.height.0), leaves).expect("the tree can be read");
        (state.reads.get(), begun.elapsed())
    };
    // Each is short enough that one of nine is not disturbed by what else the machine does.
    let runs: Vec<_> = (0..9).map(|_| run()).collect();
    (runs[0].0, runs.iter().map(|(_, time)| *time).min().expect("nine"))
}

/// How many times as much is compared.
const TIMES: usize = 16;

/// Sixteen times as much costs sixteen times as much. Squares would cost 256 times: a limit of 64 is as far from them as
/// from what is right, so that whatever else the machine does meanwhile is neither taken for a square nor hides one.
fn assert_linear(what: &str, fabric: &Fabric, block: &Block, make: impl Fn(usize) -> Vec<Transaction>, most: usize) {
    let few = most / TIMES;
    let (reads, time) = cost(fabric, block, &make(few));
    let (more_reads, more_time) = cost(fabric, block, &make(most));
    let times = TIMES as u64;
    assert!(more_reads <= reads * times, "{what}: {few} take {reads} reads, {times} times as many {more_reads}");
    assert!(more_time < time * 64, "{what}: {few} take {time:?}, {times} times as many {more_time:?}");
}

#[test]
fn work_grows_with_a_block_and_not_with_its_square() {
    // A long queue of rewards, so that evidence has something to look through.
    let parameters = Parameters { coinbase_maturity: 100, ..parameters() };
    let mut fabric = Fabric::new(&Setup { parameters, wallets: 64, ..Setup::default() });
    let genesis = fabric.genesis_id();
    let ids = fabric.chain(&genesis, 102, 0);
    let block = fabric.block(&ids[101]).clone();
    let wallets = &fabric.wallets;
    let (one, other) = (&wallets[0], &wallets[1]);

    let in_turn =
        |count| (0..count as u64).map(|nonce| one.transfer(&genesis, nonce, Amount(1), other.address, Amount(1)));
    assert_linear("transfers of one account", &fabric, &block, |count| in_turn(count).collect(), 4000);
    let mut random = Random::new(5);
    let strangers: Vec<_> = (0..4000).map(|_| random.bytes()).collect();
    let to_strangers = |count: usize| {
        let to = |(nonce, bytes): (usize, &[u8; 32])| {
            let address = spacetime_node::chain::AccountKey(*bytes).address();
            one.transfer(&genesis, nonce as u64, Amount(1), address, Amount(1))
        };
        strangers[..count].iter().enumerate().map(to).collect()
    };
    assert_linear("transfers to new accounts", &fabric, &block, to_strangers, 4000);
    // Nobody signs these: signatures come before execution, and the keys are none.
    let evidence = |number: usize| {
        let mut key = [0; 48];
        key[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let first = Header { miner_key: MinerKey(key), ..block.header.clone() };
        let second = Header { timestamp_ms: first.timestamp_ms + 1, ..first.clone() };
        report(&genesis, Evidence { first, second }, one.paying(number as u64, Amount(1)))
    };
    assert_linear("evidence against many keys", &fabric, &block, |count| (0..count).map(evidence).collect(), 800);
}

/// The controls: time alone that grows with the square, and reads alone.
#[test]
#[should_panic(expected = "squares of time: 200 take")]
fn squares_are_noticed() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let id = fabric.chain(&genesis, 1, 0)[0];
    let block = fabric.block(&id).clone();
    let wallet = &fabric.wallets[0];
    // 200 for 200, enough to outweigh what any block costs, and 51,200 for 3,200: all of one account, so that reads stay
    // the same. Execution looks at no signature.
    let first = wallet.transfer(&genesis, 0, Amount::ZERO, wallet.address, Amount(1));
    let transfer = |nonce| Transaction { nonce, ..first.clone() };
    let squared = |count: usize| (0..(count * count / 200) as u64).map(transfer).collect();
    assert_linear("squares of time", &fabric, &block, squared, 3200);
}

#[test]
#[should_panic(expected = "reads, 16 times as many")]
fn squares_of_reads_are_noticed() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let id = fabric.chain(&genesis, 1, 0)[0];
    let block = fabric.block(&id).clone();
    let (wallet, mut random) = (&fabric.wallets[0], Random::new(6));
    let strangers: Vec<_> = (0..2560).map(|_| random.bytes()).collect();
    let transfer = |(nonce, bytes): (u64, &[u8; 32])| {
        let address = spacetime_node::chain::AccountKey(*bytes).address();
        wallet.transfer(&genesis, nonce, Amount::ZERO, address, Amount(1))
    };
    let squared = |count: usize| (0..).zip(&strangers[..count * count / 10]).map(transfer).collect();
    assert_linear("squares", &fabric, &block, squared, 160);
}

/// Two MiB of what there is, the largest first: the template keeps the limits and is as good as full.
#[test]
fn templates_keep_the_limits() {
    let mut fabric = Fabric::new(&Setup { wallets: 80, ..Setup::default() });
    let genesis = fabric.genesis_id();
    let held = fabric.chain(&genesis, 14, 0);
    let parent = held[13];
    let parameters = fabric.parameters().clone();
    let mut transactions = Vec::new();
    let mut random = Random::new(1);
    let header = fabric.block(&parent).header.clone();
    for number in 0..250 {
        let evidence = Miner::new(random.bytes()).equivocate(&genesis, &header);
        transactions.push(report(&genesis, evidence, fabric.wallets[0].paying(number, Amount(1))));
    }
    let miner = &fabric.miners[0];
    for (plot, wallet) in miner.plots.iter().zip(&fabric.wallets[1..]) {
        let mix = fabric.drawn_mix(&parent, plot.key()).expect("two groups began");
        transactions.push(miner.activate(&genesis, plot, &mix, parameters.openings, Some(wallet.paying(0, Amount(1)))));
    }
    for seed in 0..20 {
        let plot = MemoryPlot::grow(&parameters, miner.key, [seed; 32], 16);
        transactions.push(miner.register(&genesis, &plot, None));
    }
    let memo = Capped::new(vec![b'm'; MAX_MEMO_BYTES]).expect("the longest");
    let mut bytes: usize = transactions.iter().map(Transaction::encoded_len).sum();
    for number in 0.. {
        let wallet = &fabric.wallets[10 + number % 70];
        let payload = Payload::Transfer(Transfer { to: wallet.address, amount: Amount(1), memo: memo.clone() });
        let payer = wallet.paying((number / 70) as u64, Amount(1));
        transactions.push(sign(&genesis, payload, Some(payer), None));
        bytes += transactions[transactions.len() - 1].encoded_len();
        if bytes > 2 << 20 {
            break;
        }
    }
    let id = fabric.make(&parent, Order { transactions, ..Order::default() });
    let block = fabric.block(&id);
    let (length, limit) = (block.encoded_len(), parameters.max_block_bytes as usize);
    assert!(length <= limit && length > limit - 400, "{length} bytes, {limit} are allowed");
    assert!(block.transactions.len() <= parameters.max_block_transactions as usize);
    let mut kinds = [0; 6];
    block.transactions.iter().for_each(|transaction| kinds[transaction.payload.kind() as usize] += 1);
    assert_eq!((kinds[0], kinds[2], kinds[5]), (1, 1, 250), "registrations and evidence come first");
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &held), LATER_MS);
    assert_eq!(verdict(&mut manager, block, LATER_MS), Verdict::Connected);

    // As many as there may be, where bytes are no matter.
    let small = |number: u64| {
        let wallet = &fabric.wallets[number as usize % 80];
        let nonce = fabric.account(&id, wallet.address).nonce + number / 80;
        wallet.transfer(&genesis, nonce, Amount::ZERO, wallet.address, Amount(1))
    };
    let transactions = (0..5000).map(small).collect();
    let full = fabric.make(&id, Order { transactions, ..Order::default() });
    assert_eq!(fabric.block(&full).transactions.len(), 4096);
    assert_eq!(verdict(&mut manager, fabric.block(&full), LATER_MS), Verdict::Connected);
}
