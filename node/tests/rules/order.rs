//! Cheap before dear (PROTOCOL §4, §7, §9): of two broken rules, the cheaper one is named.

use spacetime_node::chain::rules::{BlockError, HeaderError, SignatureRule, TransactionError};
use spacetime_node::chain::{Amount, Block, Hash, Output, Transaction};
use spacetime_node::testing::{Fabric, MemoryPlot, Miner};
use spacetime_prover::VerifyError;
use spacetime_prover::tree::fold;

use crate::cells::Registered;
use crate::common::{Case, Trial, coinbase_of, forge, search, whole, win_of, winner};

#[test]
fn cheap_rules_come_first() {
    headers().run();
    rows().run();
    openings().run();
}

/// A header signature that does not hold, on a block that is whole otherwise.
fn unsigned(mut block: Block) -> Block {
    block.header.signature = block.header.reveal;
    block
}

fn headers() -> Trial {
    let mut fabric = Fabric::default();
    let held = fabric.chain(&fabric.genesis_id(), 4, 1);
    let id = fabric.chain(&held[3], 1, 2)[0];
    let good = fabric.block(&id).clone();
    let mut cases = Vec::new();
    let changed = |change: &dyn Fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        whole(&fabric, block)
    };
    let mut add = |what: &str, block, error| cases.push(Case::new(what, block, error));

    let all = changed(&|block| {
        block.header.version = 7;
        block.header.height.0 += 1;
        block.header.extension = Hash([1; 32]);
        block.proof.siblings.clear();
        block.transactions.clear();
    });
    add("a version before all else", unsigned(all), HeaderError::Version(7).into());
    let path = changed(&|block| block.proof.siblings[0][0] ^= 1);
    let found = fold(&path.proof.leaf, path.proof.leaf_index, &path.proof.siblings);
    let error = HeaderError::Proof(VerifyError::Path { found, expected: good.proof.root });
    add("a path before a signature", unsigned(path), error.into());

    let plot = MemoryPlot::grow(fabric.parameters(), fabric.miners[0].key, [9; 32], 16);
    let won = win_of(&fabric, &held[3], &plot);
    let unknown = forge(&fabric, &held[3], &fabric.miners[0], won, Vec::new());
    let mut other_body = unknown.clone();
    other_body.transactions.push(good.transactions[1].clone());
    let error = BlockError::UnknownPlot { plot_id: plot.id() };
    add("the registry before a signature", unsigned(unknown), error);
    let refused = add_root(&other_body);
    add("the body's root before the registry", other_body, refused);

    let unpaid = |block: &mut Block| block.transactions[2].signatures.account = None;
    let error = TransactionError::Signatures { kind: "transfer", whose: "account's", found: false };
    add("a form before a header's signature", unsigned(changed(&unpaid)), BlockError::Transaction { index: 2, error });
    let forged = |block: &mut Block| {
        block.transactions[1].signatures.account = block.transactions[2].signatures.account;
    };
    let header = BlockError::Header(HeaderError::Signature(SignatureRule::Header));
    add("a header's signature before a transaction's", unsigned(changed(&forged)), header);
    let mut root = changed(&forged);
    root.header.state_root = Hash::ZERO;
    let error = TransactionError::Signature(SignatureRule::Account);
    add("a signature before the state", fabric.reseal(root), BlockError::Transaction { index: 1, error });
    Trial { held, good, cases, fabric }
}

fn add_root(block: &Block) -> BlockError {
    let ids: Vec<_> = block.transactions.iter().map(Transaction::id).collect();
    let found = spacetime_node::chain::transaction_root(&ids);
    BlockError::TransactionRoot { found, expected: block.header.transaction_root }
}

/// No row is grown for a header whose signatures do not hold.
fn rows() -> Trial {
    let mut registered = Registered::find(false);
    let activation = registered.activation();
    let plot = registered.fabric.miners[0].plots.pop().expect("it was added");
    let Registered { fabric, chain: held, .. } = &mut registered;
    held.push(fabric.extend(held.last().expect("it has a block"), vec![activation]));
    let immature = *held.last().expect("it has a block");
    held.extend(fabric.chain(&immature, fabric.parameters().plot_maturity, 0));
    let tip = *held.last().expect("it has a block");
    let forged = search(fabric, &tip, |claim| Some(plot.prove(&claim.challenge, claim.column, 5)));
    let block = forge(fabric, &tip, &fabric.miners[0], forged, Vec::new());
    let mut revealing = block.clone();
    revealing.header.reveal = block.header.signature;
    let rule = |rule| HeaderError::Signature(rule);
    let cases = vec![
        Case::new("a signature before a row", unsigned(block), rule(SignatureRule::Header)),
        Case::new("a reveal before a row", whole(fabric, revealing), rule(SignatureRule::Reveal)),
    ];
    let good = fabric.chain(&tip, 1, 0)[0];
    let good = fabric.block(&good).clone();
    Trial { held: registered.chain, good, cases, fabric: registered.fabric }
}

/// No opening is grown for a block that breaks any rule that costs less.
fn openings() -> Trial {
    let mut registered = Registered::find(true);
    let tip = registered.tip();
    let (number, win) = registered.fabric.win(&tip, 0, None);
    let activation = registered.activation();
    let fabric = &registered.fabric;
    let miner: &Miner = &fabric.miners[number];
    let block = |transactions| forge(fabric, &tip, miner, (win.epoch, win.proof.clone()), transactions);
    let mut cases = Vec::new();

    let mut stolen = activation.clone();
    let message = stolen.signed_bytes(&fabric.genesis_id());
    stolen.signatures.miner = Some(fabric.miners[1].secret.sign(&message));
    let error = TransactionError::Signature(SignatureRule::Miner);
    cases.push(Case::transaction("a signature before openings", block(vec![stolen]), 1, error));
    let wallet = &fabric.wallets[0];
    let gap = wallet.transfer(&fabric.genesis_id(), 3, Amount::ZERO, wallet.address, Amount(1));
    let error = TransactionError::Nonce { found: 3, expected: 0 };
    cases.push(Case::transaction("a nonce before openings", block(vec![activation.clone(), gap]), 2, error));
    let mut greedy = block(vec![activation]);
    let outputs = vec![Output { address: wallet.address, amount: Amount(5_000_000_001) }];
    coinbase_of(&mut greedy).outputs = spacetime_node::chain::Capped::new(outputs).expect("one is not too many");
    let error =
        BlockError::CoinbaseSum { paid: Amount(5_000_000_001), reward: Amount(5_000_000_000), fees: Amount::ZERO };
    cases.push(Case::new("totals before openings", whole(fabric, greedy), error));
    assert_eq!(winner(fabric, &cases[0].block).key, miner.key);
    let good = registered.fabric.chain(&tip, 1, 1)[0];
    let good = registered.fabric.block(&good).clone();
    Trial { held: registered.chain, good, cases, fabric: registered.fabric }
}
