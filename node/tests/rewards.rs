//! What blocks mint, burn, pay and take away (PROTOCOL §7, §8).

mod judging;

use judging::{execution, paid, refusal, unfit};
use spacetime_node::builder::{Payout, Share};
use spacetime_node::chain::rules::{BlockError, TransactionError};
use spacetime_node::chain::{Address, Amount, BlockId, Capped, Coinbase, Header, Output, Payload, Transaction};
use spacetime_node::consensus::{Emission, Parameters, Schedule};
use spacetime_node::state::Fault;
use spacetime_node::testing::{Fabric, MemoryPlot, Order, Setup, parameters, report};

const REWARD: u64 = 5_000_000_000;
const NOBODY: Address = Address([9; 20]);

fn payout(parts: u32, unclaimed_parts: u32) -> Option<Payout> {
    let shares = Capped::new(vec![Share { address: NOBODY, parts }]).unwrap();
    Some(Payout { shares, unclaimed_parts, ..Payout::default() })
}

fn supply(fabric: &Fabric, at: &BlockId) -> (u64, u64) {
    let chain = fabric.ledger(at).chain().unwrap();
    (chain.issued.0, chain.burnt.0)
}

/// A transfer of the wallet's next nonce.
fn transfer(fabric: &Fabric, at: &BlockId, fee: u64) -> Transaction {
    let wallet = &fabric.wallets[0];
    let nonce = fabric.account(at, wallet.address).nonce;
    wallet.transfer(&fabric.genesis_id(), nonce, Amount(fee), NOBODY, Amount(1))
}

/// A block of one miner.
fn won_by(fabric: &mut Fabric, parent: &BlockId, miner: usize, transactions: Vec<Transaction>) -> BlockId {
    let count = transactions.len();
    let id = fabric.make(parent, Order { transactions, miner: Some(miner), ..Order::default() });
    assert_eq!(fabric.block(&id).transactions.len(), count + 1);
    id
}

#[test]
fn rewards_can_be_spent_in_the_block_that_they_mature_in() {
    let mut fabric = Fabric::default();
    let first = fabric.make(&fabric.genesis_id(), Order { miner: Some(1), ..Order::default() });
    let others = fabric.chain(&first, 2, 0);
    let wallet = &fabric.miners[1].wallet;
    let spend = wallet.transfer(&fabric.genesis_id(), 0, Amount(0), NOBODY, Amount(REWARD));
    let address = wallet.address;
    assert_eq!(fabric.account(&others[1], address).balance, Amount(0), "two blocks later");
    // Height 3 comes before the block at height 1 matures, height 4 is it.
    let early = refusal(&mut fabric, &others[0], &[], &spend);
    assert_eq!(early, Some(TransactionError::Balance { balance: Amount(0), needed: Amount(REWARD) }));
    assert_eq!(refusal(&mut fabric, &others[1], &[], &spend), None);
    let spent = fabric.extend(&others[1], vec![spend]);
    assert_eq!(fabric.made(&spent).lineage.height.0, 4);
    assert_eq!(fabric.account(&spent, NOBODY).balance, Amount(REWARD));
}

#[test]
fn what_is_not_claimed_is_not_minted() {
    let mut fabric = Fabric::default();
    let (issued, _) = supply(&fabric, &fabric.genesis_id());
    let order = |payout| Order { payout, ..Order::default() };
    let quarter = fabric.make(&fabric.genesis_id(), order(payout(1, 3)));
    assert_eq!(supply(&fabric, &quarter), (issued + REWARD / 4, 0));
    let none = fabric.make(&quarter, order(payout(0, 0)));
    assert_eq!((paid(&fabric, &none), supply(&fabric, &none)), (0, (issued + REWARD / 4, 0)));
    let all = fabric.make(&none, order(payout(1, 0)));
    assert_eq!(supply(&fabric, &all), (issued + REWARD / 4 + REWARD, 0));
}

#[test]
fn fees_that_nobody_claims_are_burnt() {
    const FEE: u64 = REWARD / 4;
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let (issued, _) = supply(&fabric, &genesis);
    let transactions = vec![transfer(&fabric, &genesis, FEE)];
    let mut with = |payout| {
        let id = fabric.make(&genesis, Order { transactions: transactions.clone(), payout, ..Order::default() });
        (paid(&fabric, &id), supply(&fabric, &id))
    };
    assert_eq!(with(payout(0, 0)), (0, (issued, FEE)));
    assert_eq!(with(payout(1, 9)), (FEE / 2, (issued, FEE / 2)), "half of the fees");
    assert_eq!(with(payout(1, 4)), (FEE, (issued, 0)), "the fees and no more");
    assert_eq!(with(payout(2, 3)), (2 * FEE, (issued + FEE, 0)));
    assert_eq!(with(payout(1, 0)), (REWARD + FEE, (issued + REWARD, 0)));
}

#[test]
fn no_more_than_reward_and_fees() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let fee = transfer(&fabric, &genesis, 7);
    let block = fabric.extend(&genesis, vec![fee.clone()]);
    let Payload::Coinbase(coinbase) = fabric.block(&block).transactions[0].payload.clone() else { panic!() };
    let finish = |amounts: &[u64]| {
        let mut execution = execution(&fabric, &block);
        execution.apply(&fee).unwrap();
        let outputs = amounts.iter().map(|amount| Output { address: NOBODY, amount: Amount(*amount) });
        execution.finish(&Coinbase { outputs: Capped::new(outputs.collect()).unwrap(), ..coinbase.clone() })
    };
    assert!(finish(&[REWARD, 7]).is_ok());
    let refused = |paid| match finish(paid) {
        Err(Fault::Rule(error)) => error,
        other => panic!("{other:?}"),
    };
    let sum = |paid| BlockError::CoinbaseSum { paid: Amount(paid), reward: Amount(REWARD), fees: Amount(7) };
    assert_eq!(refused(&[REWARD, 8]), sum(REWARD + 8));
    assert_eq!(refused(&[u64::MAX]), sum(u64::MAX));
}

#[test]
fn issuing_ends_where_numbers_end() {
    let schedule = Schedule::Fixed { initial_reward: Amount(u64::MAX) };
    let emission = Emission { schedule, reward_floor: Amount(0), emission_cap: None };
    let mut fabric = Fabric::new(&Setup { parameters: Parameters { emission, ..parameters() }, ..Setup::default() });
    let mut tip = fabric.genesis_id();
    let mut rewards = Vec::new();
    for _ in 0..4 {
        let fee = transfer(&fabric, &tip, 5);
        tip = fabric.extend(&tip, vec![fee]);
        rewards.push(paid(&fabric, &tip));
    }
    assert_eq!(supply(&fabric, &tip), (u64::MAX, 0));
    assert_eq!(rewards[1..], [5, 5, 5]);
}

#[test]
fn evidence_takes_what_is_immature() {
    // A reward that does not divide by ten: three of them have a tenth of 3 · 5 + 2.
    let schedule = Schedule::Fixed { initial_reward: Amount(59) };
    let emission = Emission { schedule, reward_floor: Amount(0), emission_cap: None };
    let parameters = Parameters { emission, coinbase_maturity: 4, ..parameters() };
    let mut fabric = Fabric::new(&Setup { parameters, ..Setup::default() });
    let (genesis, culprit) = (fabric.genesis_id(), fabric.miners[2].wallet.address);
    let mut tip = genesis;
    for miner in [2, 2, 2, 1, 2] {
        tip = won_by(&mut fabric, &tip, miner, vec![]);
    }
    // Height 6: the reward of height 2 matures in it, those of 3 and 5 are immature, and so is that of 4, another's.
    let (wallet, other) = (fabric.wallets[0].address, fabric.miners[1].wallet.address);
    let before = (fabric.account(&tip, wallet).balance.0, supply(&fabric, &tip));
    let evidence = fabric.miners[2].equivocate(&genesis, &fabric.block(&tip).header);
    let reported = report(&genesis, evidence.clone(), fabric.wallets[0].paying(0, Amount(1)));
    let barred = won_by(&mut fabric, &tip, 2, vec![reported]);
    assert_eq!(fabric.account(&barred, culprit).balance, Amount(2 * 59), "what has matured stays");
    assert_eq!(fabric.account(&barred, wallet).balance.0, before.0 - 1 + 2 * 59 / 10, "a tenth, at once");
    let (issued, burnt) = before.1;
    assert_eq!(supply(&fabric, &barred), (issued + 59, burnt + 2 * 59 - 2 * 59 / 10));
    assert_ne!(2 * (59 / 10), 2 * 59 / 10, "rounding once or twice makes a difference");

    let later = fabric.chain(&barred, 6, 0);
    assert_eq!(fabric.account(&later[5], culprit).balance, Amount(2 * 59 + 60), "the block that barred paid as well");
    assert!(fabric.account(&later[5], other).balance >= Amount(59), "others keep theirs");
}

#[test]
fn evidence_ends_a_miner_for_good() {
    let mut fabric = Fabric::default();
    let (genesis, miner) = (fabric.genesis_id(), 2);
    let tip = *fabric.chain(&genesis, 14, 0).last().unwrap();
    let [first, second] = [0, 1].map(|wallet| {
        let evidence = fabric.miners[miner].equivocate(&genesis, &fabric.block(&tip).header);
        report(&genesis, evidence, fabric.wallets[wallet].paying(0, Amount(0)))
    });
    let key = fabric.miners[miner].key;
    let error = refusal(&mut fabric, &tip, std::slice::from_ref(&first), &second);
    let height = fabric.made(&tip).lineage.height.next();
    assert_eq!(error, Some(TransactionError::Barred { miner_key: key, height }));

    assert_eq!(unfit(&fabric, &tip, miner, &fabric.miners[miner].plots[0]), None);
    let barred = won_by(&mut fabric, &tip, miner, vec![first]);
    let since = fabric.made(&barred).lineage.height;
    for plot in &fabric.miners[miner].plots {
        assert_eq!(unfit(&fabric, &barred, miner, plot), Some(BlockError::Barred { miner_key: key, since }));
    }
    let new = MemoryPlot::grow(fabric.parameters(), key, [1; 32], 16);
    let culprit = &fabric.miners[miner];
    let payer = fabric.wallets[3].paying(0, Amount(0));
    let mix = fabric.drawn_mix(&tip, culprit.plots[0].key()).unwrap();
    let dead = [
        culprit.register(&genesis, &new, None),
        culprit.activate(&genesis, &culprit.plots[0], &mix, 4, None),
        culprit.retire(&genesis, &culprit.plots[0], payer),
        second,
    ];
    for at in [barred, *fabric.chain(&barred, 60, 0).last().unwrap()] {
        for transaction in &dead {
            let found = refusal(&mut fabric, &at, &[], transaction);
            let old = matches!(found, Some(TransactionError::OldEvidence { .. }));
            assert!(old || found == Some(TransactionError::Barred { miner_key: key, height: since }), "{found:?}");
        }
    }
}

/// Evidence against the third miner for the epoch of `header`.
fn against(fabric: &Fabric, header: &Header) -> Transaction {
    let evidence = fabric.miners[2].equivocate(&fabric.genesis_id(), header);
    report(&fabric.genesis_id(), evidence, fabric.wallets[0].paying(0, Amount(0)))
}

#[test]
fn evidence_grows_old() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let chain = fabric.chain(&genesis, 12, 0);
    let tip = chain[11];
    // In a block at height 13 the ancestor three blocks up is the one at height 10.
    let oldest = fabric.block(&chain[9]).header.clone();
    let good = against(&fabric, &oldest);
    assert_eq!(refusal(&mut fabric, &tip, &[], &good), None);
    let mut older = oldest.clone();
    older.epoch.0 -= 1;
    let old = against(&fabric, &older);
    let expected = TransactionError::OldEvidence { epoch: older.epoch, oldest: oldest.epoch };
    assert_eq!(refusal(&mut fabric, &tip, &[], &old), Some(expected));
    // Near genesis nothing is too old, and what lies ahead never is.
    let first = against(&fabric, &fabric.genesis.header);
    assert_eq!(refusal(&mut fabric, &chain[1], &[], &first), None);
    let mut ahead = oldest;
    ahead.epoch.0 += 1000;
    let ahead = against(&fabric, &ahead);
    assert_eq!(refusal(&mut fabric, &tip, &[], &ahead), None);
}
