//! The block builder: order, limits, and what it leaves out.

mod judging;

use judging::ids;
use spacetime_node::builder::{Payout, Share};
use spacetime_node::chain::rules::check_body;
use spacetime_node::chain::{
    Address, Amount, BlockId, Capped, Coinbase, Height, MinerKey, Payload, Signatures, Transaction,
};
use spacetime_node::consensus::Parameters;
use spacetime_node::testing::{Fabric, MemoryPlot, Order, Setup, parameters, report};

const TO: Address = Address([7; 20]);

fn limited(max_block_bytes: u32, max_block_transactions: u32) -> Fabric {
    let parameters = Parameters { max_block_bytes, max_block_transactions, ..parameters() };
    Fabric::new(&Setup { parameters, ..Setup::default() })
}

/// Transfers of one wallet in the order of its nonces.
fn transfers(fabric: &Fabric, wallet: usize, count: u64) -> Vec<Transaction> {
    let transfer = |nonce| fabric.wallets[wallet].transfer(&fabric.genesis_id(), nonce, Amount(0), TO, Amount(1));
    (0..count).map(transfer).collect()
}

fn make(fabric: &mut Fabric, transactions: &[Transaction]) -> BlockId {
    let genesis = fabric.genesis_id();
    let id = fabric.make(&genesis, Order { transactions: transactions.to_vec(), ..Order::default() });
    check_body(fabric.block(&id), fabric.parameters()).unwrap();
    id
}

#[test]
fn registrations_and_evidence_come_first() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let miner = &fabric.miners[0];
    let plot = |seed| MemoryPlot::grow(fabric.parameters(), miner.key, [seed; 32], 16);
    let wallet = |index: usize, nonce| fabric.wallets[index].paying(nonce, Amount(0));
    let transfers = [0, 1].map(|wallet| transfers(&fabric, wallet, 2));
    let unpaid = miner.register(&genesis, &plot(1), None);
    let paid = miner.register(&genesis, &plot(2), Some(wallet(2, 0)));
    let waiting = miner.register(&genesis, &plot(3), Some(wallet(1, 2)));
    let evidence = report(&genesis, fabric.miners[2].equivocate(&genesis, &fabric.genesis.header), wallet(3, 0));
    let [[a0, a1], [b0, b1]] = transfers.map(|list| <[Transaction; 2]>::try_from(list).unwrap());
    let candidates = [&a0, &b0, &unpaid, &a1, &b1, &waiting, &evidence, &paid].map(Clone::clone);
    let block = make(&mut fabric, &candidates);
    let expected = [&unpaid, &evidence, &paid, &a0, &b0, &a1, &b1, &waiting].map(Transaction::id);
    assert_eq!(ids(&fabric, &block), expected, "one stands behind its sender's transfers");
}

#[test]
fn what_cannot_be_applied_is_left_out() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let good = transfers(&fabric, 0, 3);
    let gap = fabric.wallets[1].transfer(&genesis, 1, Amount(0), TO, Amount(1));
    let poor = fabric.wallets[2].transfer(&genesis, 0, Amount(0), TO, Amount(u64::MAX / 2));
    let coinbase = Transaction {
        sender: None,
        nonce: 0,
        fee: Amount(0),
        payload: Payload::Coinbase(Coinbase {
            height: Height(1),
            miner_key: MinerKey::ZERO,
            outputs: Capped::default(),
            extra: Capped::default(),
        }),
        signatures: Signatures::default(),
    };
    let candidates = [&coinbase, &good[0], &gap, &good[0], &good[1], &poor, &good[2], &good[1]].map(Clone::clone);
    let block = make(&mut fabric, &candidates);
    assert_eq!(ids(&fabric, &block), [&good[0], &good[1], &good[2]].map(Transaction::id));
}

#[test]
fn openings_that_were_never_grown_are_left_out() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let key = fabric.miners[0].key;
    let forged = MemoryPlot::forge(fabric.parameters(), key, [1; 32], 16);
    let grown = MemoryPlot::grow(fabric.parameters(), key, [2; 32], 16);
    let payer = fabric.wallets[0].paying(0, Amount(0));
    let registrations = vec![
        fabric.miners[0].register(&genesis, &forged, None),
        fabric.miners[0].register(&genesis, &grown, Some(payer)),
    ];
    let registered = fabric.extend(&genesis, registrations);
    let tip = *fabric.chain(&registered, 12, 0).last().unwrap();
    let activate = |fabric: &Fabric, plot: &MemoryPlot| {
        let mix = fabric.drawn_mix(&tip, plot.key()).unwrap();
        fabric.miners[0].activate(&genesis, plot, &mix, 4, None)
    };
    let (bad, good) = (activate(&fabric, &forged), activate(&fabric, &grown));
    let transactions = vec![bad.clone(), good.clone()];
    let block = fabric.make(&tip, Order { transactions, ..Order::default() });
    assert_eq!(ids(&fabric, &block), [good.id()]);
    assert_eq!(fabric.plot(&block, forged.key()).unwrap().mature_from, None, "the other one changed nothing");
    assert!(fabric.plot(&block, grown.key()).unwrap().mature_from.is_some());
    assert!(judging::execution(&fabric, &block).apply(&bad).is_ok(), "its paths are good");
}

#[test]
fn no_more_transactions_than_allowed() {
    for limit in [8, 9, 20] {
        let mut fabric = limited(1 << 20, limit);
        let candidates = transfers(&fabric, 0, 30);
        let block = make(&mut fabric, &candidates);
        assert_eq!(fabric.block(&block).transactions.len(), limit as usize);
    }
}

#[test]
fn no_more_bytes_than_allowed() {
    // Long enough for the least limit that a chain may have.
    let mut fabric = limited(1 << 20, 4096);
    let candidates = transfers(&fabric, 0, 30);
    let block = make(&mut fabric, &candidates);
    let full = fabric.block(&block).encoded_len() as u32;
    assert!(full > 4096, "{full}");
    for (limit, expected) in [(full + 1, 30), (full, 30), (full - 1, 29)] {
        let mut fabric = limited(limit, 4096);
        let candidates = transfers(&fabric, 0, 40);
        let block = make(&mut fabric, &candidates);
        assert_eq!(fabric.block(&block).transactions.len(), 1 + expected);
        assert!(fabric.block(&block).encoded_len() as u32 <= limit);
    }
}

#[test]
fn what_fits_is_taken_behind_what_does_not() {
    let mut fabric = limited(4096, 4096);
    let genesis = fabric.genesis_id();
    let evidence = report(
        &genesis,
        fabric.miners[2].equivocate(&genesis, &fabric.genesis.header),
        fabric.wallets[1].paying(0, Amount(0)),
    );
    // Evidence is longer than the room that the transfers leave it, were it not the first to be tried.
    let mut candidates = transfers(&fabric, 0, 40);
    let length = candidates[0].encoded_len();
    candidates.push(evidence.clone());
    let block = make(&mut fabric, &candidates);
    assert_eq!(ids(&fabric, &block)[0], evidence.id());
    let left = 4096 - fabric.block(&block).encoded_len();
    assert!(left < length, "{left} bytes are left, a transfer takes {length}");
}

#[test]
fn a_long_coinbase_has_its_room() {
    let payout = || {
        let shares = (0..16).map(|name| Share { address: Address([name; 20]), parts: 1 });
        Payout {
            shares: Capped::new(shares.collect()).unwrap(),
            unclaimed_parts: 0,
            extra: Capped::new(vec![1; 100]).unwrap(),
        }
    };
    for limit in 4096..4096 + 200 {
        let mut fabric = limited(limit, 4096);
        let genesis = fabric.genesis_id();
        let transactions = transfers(&fabric, 0, 30);
        let id = fabric.make(&genesis, Order { transactions, payout: Some(payout()), ..Order::default() });
        let block = fabric.block(&id);
        check_body(block, fabric.parameters()).unwrap();
        let left = limit as usize - block.encoded_len();
        assert!(left < block.transactions[1].encoded_len(), "{left} bytes are left");
    }
}
