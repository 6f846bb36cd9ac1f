//! Rules of bodies and totals (PROTOCOL §6, §8, §11).

use spacetime_kernels::Target;
use spacetime_node::chain::rules::BlockError;
use spacetime_node::chain::{
    Amount, Block, BlockId, Capped, Coinbase, Hash, Height, MAX_MEMO_BYTES, Output, Payload, Transaction, Transfer,
};
use spacetime_node::consensus::Parameters;
use spacetime_node::testing::{Fabric, Setup, parameters, sign};

use crate::common::{Case, Trial, coinbase_of, forge, sealed, whole, winner};

pub(crate) fn trials() -> Vec<Trial> {
    vec![coinbases(), count(), bytes(), supply()]
}

#[test]
fn are_judged() {
    trials().iter().for_each(Trial::run);
}

fn coinbases() -> Trial {
    let mut fabric = Fabric::default();
    let held = fabric.chain(&fabric.genesis_id(), 6, 1);
    let id = fabric.chain(&held[5], 1, 2)[0];
    let good = fabric.block(&id).clone();
    let changed = |change: &dyn Fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        whole(&fabric, block)
    };
    let mut cases = Vec::new();
    let mut add = |what: &str, block, error: BlockError| cases.push(Case::new(what, block, error));

    let mut block = good.clone();
    block.header.transaction_root = Hash([1; 32]);
    let error = BlockError::TransactionRoot { found: good.header.transaction_root, expected: Hash([1; 32]) };
    add("another body's root", sealed(&fabric, block), error);
    let block = changed(&|block| drop(block.transactions.remove(0)));
    add("no coinbase", block, BlockError::NoCoinbase);
    add("no transaction", changed(&|block| block.transactions.clear()), BlockError::NoCoinbase);
    add("the coinbase second", changed(&|block| block.transactions.swap(0, 1)), BlockError::NoCoinbase);
    for index in [1, 3] {
        let again = good.transactions[0].clone();
        let block = changed(&|block| block.transactions.insert(index, again.clone()));
        add("two coinbases", block, BlockError::SecondCoinbase { index });
    }
    let block = changed(&|block| coinbase_of(block).height = Height(6));
    add("another height's coinbase", block, BlockError::CoinbaseHeight { found: Height(6), expected: Height(7) });
    let other = fabric.miners.iter().find(|miner| miner.key != good.header.miner_key).expect("there are three").key;
    let block = changed(&|block| coinbase_of(block).miner_key = other);
    let error = BlockError::CoinbaseMiner { found: other, expected: good.header.miner_key };
    add("another miner's coinbase", block, error);

    // Fees are zero here: the reward is all there is.
    let paid = Amount(5_000_000_001);
    let block = changed(&|block| pay(block, paid));
    let error = BlockError::CoinbaseSum { paid, reward: Amount(5_000_000_000), fees: Amount::ZERO };
    add("a greedy coinbase", block, error);
    let mut block = good.clone();
    block.header.state_root = Hash([1; 32]);
    let error = BlockError::StateRoot { found: good.header.state_root, expected: Hash([1; 32]) };
    add("another state", sealed(&fabric, block), error);
    Trial { held, good, cases, fabric }
}

fn pay(block: &mut Block, amount: Amount) {
    let Coinbase { outputs, .. } = coinbase_of(block);
    *outputs = Capped::new(vec![Output { amount, ..outputs[0] }]).expect("one is not too many");
}

/// A chain of three blocks, and who wins the fourth.
fn world(parameters: Parameters) -> (Fabric, Vec<BlockId>, Block) {
    let mut fabric = Fabric::new(&Setup { parameters, ..Setup::default() });
    let held = fabric.chain(&fabric.genesis_id(), 3, 0);
    let id = fabric.chain(&held[2], 1, 0)[0];
    let empty = fabric.block(&id).clone();
    (fabric, held, empty)
}

/// Transfers of one wallet with memos of given lengths.
fn transfers(fabric: &Fabric, memos: impl IntoIterator<Item = usize>) -> Vec<Transaction> {
    let wallet = &fabric.wallets[0];
    let transfer = |(nonce, memo)| {
        let memo = Capped::new(vec![b'x'; memo]).expect("short enough");
        let payload = Payload::Transfer(Transfer { to: wallet.address, amount: Amount(1), memo });
        sign(&fabric.genesis_id(), payload, Some(wallet.paying(nonce, Amount::ZERO)), None)
    };
    (0..).zip(memos).map(transfer).collect()
}

fn with(fabric: &Fabric, empty: &Block, transactions: Vec<Transaction>) -> Block {
    let win = (empty.header.epoch, empty.proof.clone());
    forge(fabric, &empty.header.parent, winner(fabric, empty), win, transactions)
}

fn count() -> Trial {
    let limit = 12;
    let (fabric, held, empty) = world(Parameters { max_block_transactions: limit, ..parameters() });
    let all = |count| with(&fabric, &empty, transfers(&fabric, (1..count).map(|_| 0)));
    let (good, bad) = (all(12), all(13));
    let case = Case::new("one too many", bad, BlockError::Transactions { found: 13, limit });
    Trial { held, good, cases: vec![case], fabric }
}

fn bytes() -> Trial {
    let limit = 4096;
    let (fabric, held, empty) = world(Parameters { max_block_bytes: limit, ..parameters() });
    let count = 18;
    let long = |mut memo: usize| {
        let memos = (0..count).map(|_| {
            let taken = memo.min(MAX_MEMO_BYTES);
            memo -= taken;
            taken
        });
        with(&fabric, &empty, transfers(&fabric, memos.collect::<Vec<_>>()))
    };
    let room = limit as usize - long(0).encoded_len();
    assert!(room < count * MAX_MEMO_BYTES);
    let (mut good, mut bad) = (long(room), long(room + 1));
    assert_eq!(good.encoded_len(), 4096);
    // Metadata does not count.
    for block in [&mut good, &mut bad] {
        block.metadata = Capped::new(vec![b'x'; 64]);
    }
    let case = Case::new("a byte too long", bad, BlockError::Bytes { bytes: 4097, limit });
    Trial { held, good, cases: vec![case], fabric }
}

/// Sums at the end of counting: nearly all money there can be is in two accounts, and pays for two transfers.
fn supply() -> Trial {
    let balance = Amount(u64::MAX / 2 - 500);
    let setup = Setup { wallets: 2, balance, base: Target([0x3f; 32]), ..Setup::default() };
    let mut fabric = Fabric::new(&setup);
    let id = fabric.chain(&fabric.genesis_id(), 1, 0)[0];
    // The builder claimed what there is room for: issued is 2^64 - 1 now.
    let held = vec![id];
    let chain = fabric.ledger(&id).chain().expect("memory can be read");
    assert_eq!(chain.issued, Amount(u64::MAX));
    let fee = Amount(balance.0 - 1);
    let transfer = |wallet: usize| {
        let wallet = &fabric.wallets[wallet];
        wallet.transfer(&fabric.genesis_id(), 0, fee, wallet.address, Amount(1))
    };
    let transactions = vec![transfer(0), transfer(1)];
    let fees = Amount(2 * fee.0);
    let good = fabric.extend(&id, transactions);
    let good = fabric.block(&good).clone();
    let mut changed = good.clone();
    assert_eq!(coinbase_of(&mut changed).outputs[0].amount, fees, "all fees, and no reward");
    let with = |amount| {
        let mut block = good.clone();
        pay(&mut block, amount);
        whole(&fabric, block)
    };
    let supply = |paid| BlockError::Supply { issued: Amount(u64::MAX), paid: Amount(paid) };
    let one = Case::new("one more than can be counted", with(Amount(fees.0 + 1)), supply(1));
    let all = Case::new("all there can be", with(Amount(u64::MAX)), supply(u64::MAX - fees.0));
    Trial { held, good, cases: vec![one, all], fabric }
}
