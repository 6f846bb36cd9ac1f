//! The pool on real chains: what it offers, blocks take; what two branches hold goes over from one to the other.

use std::collections::HashSet;

use spacetime_node::chain::rules::{SignatureRule, TransactionError};
use spacetime_node::chain::{Amount, BlockId, Payload, Transaction, TransactionId};
use spacetime_node::consensus::Fees;
use spacetime_node::mempool::{CheckedTransaction, Limits, Mempool, Refusal, Room, StateView};
use spacetime_node::state::Fault;
use spacetime_node::testing::{Fabric, Order, Random, StateAt};

fn view<'a>(fabric: &'a Fabric, tip: &BlockId) -> StateView<'a, StateAt<'a>> {
    StateView::new(fabric.state(tip), fabric.made(tip).lineage.height, fabric.parameters())
}

/// A block's transactions without its coinbase.
fn body(fabric: &Fabric, id: &BlockId) -> Vec<Transaction> {
    fabric.block(id).transactions[1..].to_vec()
}

fn pool() -> Mempool {
    Mempool::new(Limits::new(Fees { base: Amount(0), per_byte: Amount(0) }))
}

fn checked(fabric: &Fabric, transactions: Vec<Transaction>) -> Vec<CheckedTransaction> {
    let results = CheckedTransaction::check(transactions, &fabric.verifier(), fabric.parameters());
    results.into_iter().map(|result| result.expect("form and signatures hold")).collect()
}

#[test]
fn form_and_signatures_are_checked_on_the_way_in() {
    let fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let [from, to] = [&fabric.wallets[0], &fabric.wallets[1]];
    let good = from.transfer(&genesis, 0, Amount(5), to.address, Amount(7));
    let nothing = from.transfer(&genesis, 0, Amount(5), to.address, Amount(0));
    let mut stolen = good.clone();
    stolen.sender = Some(to.secret.account_key());
    let elsewhere = from.transfer(&BlockId::ZERO, 0, Amount(5), to.address, Amount(7));
    let all = vec![nothing, good.clone(), stolen, elsewhere];
    let mut results = CheckedTransaction::check(all, &fabric.verifier(), fabric.parameters()).into_iter();
    let unsigned = Err(TransactionError::Signature(SignatureRule::Account));
    assert_eq!(results.next(), Some(Err(TransactionError::NoAmount)));
    assert_eq!(results.next().map(|result| result.map(|checked| checked.id())), Some(Ok(good.id())));
    assert_eq!(results.next(), Some(unsigned.clone()));
    assert_eq!(results.next(), Some(unsigned));
}

#[test]
fn what_the_state_forbids_is_refused_by_its_rule() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let (miner, wallet) = (&fabric.miners[0], &fabric.wallets[0]);
    let registered = miner.register(&genesis, &miner.plots[0], None);
    let early = miner.activate(&genesis, &miner.plots[0], &fabric.genesis.lineage.beacon.mix, 4, None);
    let foreign = fabric.miners[1].retire(&genesis, &miner.plots[0], wallet.paying(0, Amount(1)));
    let retired = miner.retire(&genesis, &miner.plots[0], wallet.paying(0, Amount(1)));
    let mut pool = pool();
    let mut refusals = Vec::new();
    for transaction in checked(&fabric, vec![registered, early, foreign]) {
        match pool.insert(transaction, &view(&fabric, &genesis)) {
            Err(Fault::Rule(Refusal::Judged(error))) => refusals.push(error),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(refusals[0], TransactionError::Registered { .. }));
    assert!(matches!(refusals[1], TransactionError::NotDrawn));
    assert!(matches!(refusals[2], TransactionError::ForeignPlot { .. }));
    let again = retired.clone();
    for transaction in checked(&fabric, vec![retired]) {
        pool.insert(transaction, &view(&fabric, &genesis)).expect("its own plot");
    }
    // Another node's block retires it, and the account's nonce is used.
    let block = fabric.make(&genesis, Order { transactions: vec![again], ..Order::default() });
    let dropped = pool.advance([fabric.wallets[0].address], &view(&fabric, &block)).expect("memory");
    assert_eq!(dropped.len(), 1);
    assert!(pool.is_empty());
}

#[test]
fn what_one_branch_holds_is_mined_on_another() {
    let mut fabric = Fabric::default();
    let mut random = Random::new(4);
    let genesis = fabric.genesis_id();
    let mut branch = vec![genesis];
    for _ in 0..40 {
        let block = fabric.random_block(branch.last().expect("not empty"), &mut random);
        branch.push(block);
    }
    let there: Vec<_> = branch[1..].iter().flat_map(|id| body(&fabric, id)).collect();
    let there_ids: HashSet<TransactionId> = there.iter().map(Transaction::id).collect();
    assert!(there.len() > 60, "something happened: {}", there.len());
    let abandoned = checked(&fabric, there);

    // On another branch, from the beginning: the pool is all that it has.
    let mut pool = pool();
    let mut tip = genesis;
    let mut mined: HashSet<TransactionId> = HashSet::new();
    for _ in 0..60 {
        // Those that were refused at one tip are tried again at the next.
        let untried = abandoned.iter().filter(|transaction| !mined.contains(&transaction.id())).cloned();
        pool.restore(untried, &view(&fabric, &tip)).expect("memory");
        let offered: Vec<_> =
            pool.select(Room::of(fabric.parameters())).map(|transaction| transaction.get().clone()).collect();
        tip = fabric.make(&tip, Order { transactions: offered.clone(), ..Order::default() });
        let taken: HashSet<_> = body(&fabric, &tip).iter().map(Transaction::id).collect();
        // Two that are good by themselves may exclude each other: the same plot, the same miner.
        let excluded: HashSet<_> = offered
            .iter()
            .filter(|transaction| !taken.contains(&transaction.id()))
            .map(|transaction| transaction.sender_address())
            .collect();
        for transaction in offered.iter().filter(|transaction| !taken.contains(&transaction.id())) {
            let transfer = matches!(transaction.payload, Payload::Transfer(_));
            let first_of_sender =
                offered.iter().find(|other| other.sender == transaction.sender && !taken.contains(&other.id()));
            let first = first_of_sender.expect("itself").id() == transaction.id();
            assert!(!(transfer && first), "a transfer that was offered can be applied, or another stands before it");
        }
        assert!(excluded.len() <= 2, "nearly all are taken");
        mined.extend(&taken);
        pool.advance_all(&view(&fabric, &tip)).expect("memory");
        assert!(taken.iter().all(|id| !pool.contains(id)), "nothing mined is held");
    }
    // Draws and rewards differ: an account stands still at its first transaction that this branch forbids.
    assert!(mined.len() * 3 > there_ids.len(), "{} of {}", mined.len(), there_ids.len());

    // Back to the first branch: what it holds is not in the pool, what only the second held is tried.
    let first = *branch.last().expect("not empty");
    pool.advance_all(&view(&fabric, &first)).expect("memory");
    let back: Vec<_> = abandoned.iter().filter(|transaction| mined.contains(&transaction.id())).cloned().collect();
    pool.restore(back, &view(&fabric, &first)).expect("memory");
    let held = pool.iter().filter(|transaction| there_ids.contains(&transaction.id()));
    let held: Vec<_> = held.filter(|transaction| transaction.get().sender.is_some()).collect();
    assert!(held.is_empty(), "all of their nonces are used: {held:?}");
}
