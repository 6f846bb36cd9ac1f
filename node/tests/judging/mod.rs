//! Which rule a transaction or a winner breaks.

#![allow(dead_code, reason = "each test uses its part")]

use spacetime_node::chain::rules::{BlockError, TransactionError};
use spacetime_node::chain::{BlockId, Hash, Payload, Transaction, TransactionId, plot_key};
use spacetime_node::state::{Execution, Fault, Place, check_winner};
use spacetime_node::testing::{Fabric, MemoryPlot, Order, StateAt};

/// A block's execution on its parent's state, before its first transaction.
pub(crate) fn execution<'f>(fabric: &'f Fabric, child: &BlockId) -> Execution<'f, StateAt<'f>> {
    let made = fabric.made(child);
    let (header, proof) = (&made.block.header, &made.block.proof);
    let parent = &fabric.made(&header.parent).lineage;
    let parameters = fabric.parameters();
    let place = Place { parameters, parent, lineage: &made.lineage, miner_key: header.miner_key };
    let winner = Hash(plot_key(parameters, &header.miner_key, &proof.seed).0);
    Execution::begin(place, winner, header.plot_id, fabric.state(&parent.id)).expect("the block was won")
}

/// The ids of a block's transactions but the coinbase.
pub(crate) fn ids(fabric: &Fabric, block: &BlockId) -> Vec<TransactionId> {
    fabric.block(block).transactions[1..].iter().map(Transaction::id).collect()
}

/// The rule that `transaction` breaks in a child of `parent` after `before`, if it breaks one; the builder must see
/// it as well.
pub(crate) fn refusal(
    fabric: &mut Fabric,
    parent: &BlockId,
    before: &[Transaction],
    transaction: &Transaction,
) -> Option<TransactionError> {
    let transactions = [before, std::slice::from_ref(transaction)].concat();
    let child = fabric.make(parent, Order { transactions, ..Order::default() });
    let times = |ids: Vec<TransactionId>| ids.iter().filter(|id| **id == transaction.id()).count();
    let taken = times(ids(fabric, &child)) > times(before.iter().map(Transaction::id).collect());
    let mut execution = execution(fabric, &child);
    for transaction in before {
        execution.apply(transaction).expect("what comes before can be applied");
    }
    match execution.apply(transaction) {
        Ok(_) => {
            assert!(taken, "the builder leaves out what can be applied");
            None
        }
        Err(Fault::Rule(error)) => {
            assert!(!taken, "the builder took what breaks a rule: {error}");
            Some(error)
        }
        Err(Fault::State(error)) => panic!("{error}"),
    }
}

/// Why a plot may not win a child of `parent`, if it may not.
pub(crate) fn unfit(fabric: &Fabric, parent: &BlockId, miner: usize, plot: &MemoryPlot) -> Option<BlockError> {
    let parent = &fabric.made(parent).lineage;
    let mut lineage = parent.clone();
    lineage.height = parent.height.next();
    let miner_key = fabric.miners[miner].key;
    let place = Place { parameters: fabric.parameters(), parent, lineage: &lineage, miner_key };
    match check_winner(&mut fabric.ledger(&parent.id), &place, plot.key(), plot.id()) {
        Ok(()) => None,
        Err(Fault::Rule(error)) => Some(error),
        Err(Fault::State(error)) => panic!("{error}"),
    }
}

/// What a block's coinbase pays.
pub(crate) fn paid(fabric: &Fabric, block: &BlockId) -> u64 {
    match &fabric.block(block).transactions[0].payload {
        Payload::Coinbase(coinbase) => coinbase.outputs.iter().map(|output| output.amount.0).sum(),
        _ => panic!("the first transaction is no coinbase"),
    }
}
