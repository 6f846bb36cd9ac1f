//! Money that is sent on the way: from the treasury to somebody else, handed in at one node and seen at all.

use std::time::{Duration, Instant};

use spacetime_node::chain::types::UNITS_PER_COIN;
use spacetime_node::chain::{
    Address, Amount, BlockId, Capped, Height, Payload, Signatures, Transaction, TransactionId, Transfer,
};
use spacetime_node::rpc::answers::BlockAnswer;

use super::people::Account;
use super::rpc::{Client, RpcError};
use crate::Failure;

/// What is sent each time, and paid for it.
const AMOUNT: Amount = Amount(UNITS_PER_COIN);
const FEE: Amount = Amount(UNITS_PER_COIN / 1000);
/// Blocks from one transfer to the next.
const EVERY: u64 = 10;
/// Longest from handing one in until all nodes have it: longer than any gap between blocks that is to be expected.
const PATIENCE: Duration = Duration::from_secs(60);

/// The transfers of a network.
pub(super) struct Transfers<'a> {
    treasury: &'a Account,
    receiver: Address,
    genesis: BlockId,
    next_at: Height,
    waiting: Option<Waiting>,
    settled: u64,
    first: Option<Settled>,
}

/// One that was handed in.
#[derive(Debug)]
struct Waiting {
    id: TransactionId,
    since: Instant,
    /// Where it is in the chain.
    block: Option<Height>,
}

/// One that all nodes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// Its id.
    pub(super) id: TransactionId,
    /// Its block's height.
    pub(super) height: Height,
    /// What was sent.
    pub(super) amount: Amount,
}

impl<'a> Transfers<'a> {
    /// None yet, from `treasury` to `receiver` on the chain of this genesis.
    pub(super) fn new(treasury: &'a Account, receiver: Address, genesis: BlockId) -> Self {
        Self { treasury, receiver, genesis, next_at: Height(0), waiting: None, settled: 0, first: None }
    }

    /// How many all nodes have.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<Settled> {
        self.first
    }

    /// A block has joined the best chain.
    pub(super) fn added(&mut self, block: &BlockAnswer) {
        if let Some(waiting) = &mut self.waiting
            && block.transactions.iter().flatten().any(|transaction| transaction.id == waiting.id)
        {
            waiting.block = Some(block.height);
        }
    }

    /// Blocks above this height have left it.
    pub(super) fn replaced(&mut self, height: Height) {
        if let Some(waiting) = &mut self.waiting {
            waiting.block = waiting.block.filter(|block| *block <= height);
        }
    }

    /// Goes on: hands in the next one when it is due, or looks whether all nodes have the one that waits, which is
    /// returned.
    ///
    /// # Errors
    /// If one is refused, or is not there after a minute.
    pub(super) fn step(&mut self, nodes: &[Client], height: Height) -> Result<Option<Settled>, Failure> {
        let Some(waiting) = &self.waiting else {
            if height >= self.next_at {
                self.hand_in(nodes, height)?;
            }
            return Ok(None);
        };
        let expected = Amount(AMOUNT.0 * (self.settled + 1));
        let arrived = |node: &Client| node.balance(self.receiver).is_ok_and(|found| found.mature.0 == expected);
        if let Some(block) = waiting.block
            && nodes.iter().all(arrived)
        {
            let settled = Settled { id: waiting.id, height: block, amount: AMOUNT };
            self.waiting = None;
            self.settled += 1;
            self.first.get_or_insert(settled);
            return Ok(Some(settled));
        }
        if waiting.since.elapsed() > PATIENCE {
            let (id, seconds) = (waiting.id, PATIENCE.as_secs());
            let place = waiting.block.map_or("in no block".to_owned(), |height| format!("in block {height}"));
            return Err(Failure::failed(format!(
                "the transfer {id} is {place} and not at all nodes after {seconds} s"
            )));
        }
        Ok(None)
    }

    /// Hands one in, at another node each time, the last one first: miners ask the first ones.
    fn hand_in(&mut self, nodes: &[Client], height: Height) -> Result<(), Failure> {
        let node = &nodes[nodes.len() - 1 - self.settled as usize % nodes.len()];
        let sent =
            node.balance(self.treasury.address).and_then(|balance| node.send(&self.transfer(balance.next_nonce)));
        match sent {
            Ok(sent) => {
                self.waiting = Some(Waiting { id: sent.id, since: Instant::now(), block: None });
                self.next_at = Height(height.0 + EVERY);
                Ok(())
            }
            // The next step tries again.
            Err(error) if error.is_passing() => Ok(()),
            Err(error @ RpcError::Refused { .. }) => Err(Failure::failed(format!("a transfer was refused: {error}"))),
            Err(error) => Err(Failure::failed(error)),
        }
    }

    fn transfer(&self, nonce: u64) -> Transaction {
        let memo = Capped::new(b"devnet".to_vec()).expect("a memo has more room");
        let mut transaction = Transaction {
            sender: Some(self.treasury.key().account_key()),
            nonce,
            fee: FEE,
            payload: Payload::Transfer(Transfer { to: self.receiver, amount: AMOUNT, memo }),
            signatures: Signatures::default(),
        };
        let account = self.treasury.key().sign(&transaction.signed_bytes(&self.genesis));
        transaction.signatures = Signatures { account: Some(account), miner: None };
        transaction
    }
}
