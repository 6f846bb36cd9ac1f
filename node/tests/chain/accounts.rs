//! What a wallet asks about accounts.

use spacetime_node::chain::{Address, Amount, Height, Payload};
use spacetime_node::store::StoreError;
use spacetime_node::testing::{Fabric, Random};

use crate::common::{LATER_MS, blocks, fresh, submit};

#[test]
fn balances_are_those_of_the_states_and_of_coinbases_that_are_not_mature() {
    let mut fabric = Fabric::default();
    let mut random = Random::new(21);
    let mut ids = vec![fabric.genesis_id()];
    for _ in 0..30 {
        ids.push(fabric.random_block(ids.last().unwrap(), &mut random));
    }
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &ids[1..]), LATER_MS);
    let (store, parameters) = (manager.store(), fabric.parameters());
    let addresses = fabric.wallets.iter().chain(fabric.miners.iter().map(|miner| &miner.wallet));
    let addresses: Vec<Address> = addresses.map(|wallet| wallet.address).collect();
    let mut seen = 0;
    for height in 15..=30u64 {
        let mut sum = 0;
        for address in &addresses {
            let balance = store.balance(*address, Height(height), parameters).expect("the state is kept");
            let account = fabric.account(&ids[height as usize], *address);
            assert_eq!((balance.mature, balance.next_nonce), (account.balance, account.nonce));
            sum += balance.mature.0 + balance.immature.0;
            // Where no evidence took rewards away they are what the last coinbases pay.
            let paid = (height - 2..=height).flat_map(|height| {
                let block = fabric.block(&ids[height as usize]);
                let Payload::Coinbase(coinbase) = &block.transactions[0].payload else { panic!("a coinbase is first") };
                let own = coinbase.outputs.iter().filter(|output| output.address == *address);
                own.map(|output| output.amount.0).collect::<Vec<_>>()
            });
            let paid: u64 = paid.sum();
            assert!(balance.immature <= Amount(paid));
            seen += u64::from(balance.immature == Amount(paid) && paid > 0);
        }
        let chain = fabric.ledger(&ids[height as usize]).chain().expect("memory can be read");
        assert_eq!(sum, chain.issued.0 - chain.burnt.0, "issued = balances + immature + burnt");
    }
    assert!(seen > 10, "rewards of {seen} accounts and heights");
    let stranger = store.balance(Address([9; 20]), Height(30), parameters).expect("the state is kept");
    assert_eq!(stranger, Default::default());
}

#[test]
fn proofs_show_accounts_and_their_absence_to_whoever_has_the_header() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 25, 3);
    let (mut manager, _) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &ids), LATER_MS);
    let store = manager.store();
    let (known, unknown) = (fabric.wallets[0].address, Address([9; 20]));
    for height in [9, 20, 25u64] {
        let root = fabric.block(&ids[height as usize - 1]).header.state_root;
        let (account, proof) = store.account_proof(known, Height(height)).expect("the state is kept");
        let account = account.expect("it had money at genesis");
        assert_eq!(account, fabric.account(&ids[height as usize - 1], known));
        let key = |address| spacetime_node::state::StateKey::Account(address).hash();
        let value = spacetime_node::state::Value::Account(account).encode();
        proof.verify(&root, &key(known), Some(&value)).expect("it is there");
        proof.verify(&root, &key(known), None).expect_err("and not absent");
        let (none, proof) = store.account_proof(unknown, Height(height)).expect("the state is kept");
        assert_eq!(none, None);
        proof.verify(&root, &key(unknown), None).expect("it is not there");
        proof.verify(&root, &key(unknown), Some(&value)).expect_err("nobody has that");
    }
    for height in [8, 26] {
        let refused = store.account_proof(known, Height(height)).expect_err("no such state is kept");
        assert!(matches!(refused, StoreError::NotKept { oldest: Height(9), newest: Height(25), .. }), "{refused}");
        assert!(!refused.is_damage());
    }
}
