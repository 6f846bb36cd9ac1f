//! Blocks and transactions.

use serde_json::json;
use spacetime_node::chain::{Amount, Block, Transaction, decode};
use spacetime_node::rpc::answers::{BlockAnswer, HeadAnswer, Place, TransactionAnswer, What};
use spacetime_node::testing::Fabric;

use crate::client::{Served, options};

fn sent(transaction: &Transaction) -> String {
    json!({ "transaction": const_hex::encode(transaction.encoded()) }).to_string()
}

#[tokio::test]
async fn the_head_is_the_chains() {
    let mut fabric = Fabric::default();
    let served = Served::start(&fabric, options()).await;
    let head: HeadAnswer = serde_json::from_value(served.get("/rpc/getHead").await.expect(200)).unwrap();
    assert_eq!((head.id, head.genesis, head.height.0), (fabric.genesis_id(), fabric.genesis_id(), 0));
    assert_eq!((head.network.as_str(), head.hrp.as_str()), ("local", "lst"));
    assert_eq!(head.issued.0, Amount(8 * 1_000_000_000_000));
    let id = served.node.mine(&mut fabric);
    served.node.node().behind = true;
    let answer = served.get("/rpc/getHead").await.expect(200);
    assert_eq!((&answer["id"], &answer["height"], &answer["syncing"]), (&json!(id), &json!(1), &json!(true)));
    assert_eq!(answer["issued"], json!("8005000000000"), "money is a text");
}

#[tokio::test]
async fn blocks_are_found_by_height_and_by_id() {
    let mut fabric = Fabric::default();
    let served = Served::start(&fabric, options()).await;
    let transfer = fabric.wallets[0].transfer(&fabric.genesis_id(), 0, Amount(7), fabric.wallets[1].address, Amount(5));
    served.post("/rpc/sendTx", &sent(&transfer)).await.expect(200);
    let id = served.node.mine(&mut fabric);
    served.node.mine(&mut fabric);
    let by_height = served.get("/rpc/getBlock/1").await.expect(200);
    assert_eq!(served.get(&format!("/rpc/getBlock/{id}")).await.expect(200), by_height);
    let block: BlockAnswer = serde_json::from_value(by_height).unwrap();
    assert_eq!((block.id, block.height.0, block.best_chain, block.confirmations), (id, 1, true, 2));
    assert_eq!(block.raw, None);
    let transactions = block.transactions.expect("they are kept");
    assert!(matches!(transactions[0].what, What::Coinbase { .. }));
    let to = fabric.wallets[1].address.encode("lst");
    assert!(
        matches!(&transactions[1].what, What::Transfer { to: found, amount, .. } if *found == to && amount.0.0 == 5)
    );

    let raw = served.get("/rpc/getBlock/1?raw=true").await.expect(200);
    let raw = const_hex::decode(raw["raw"].as_str().unwrap()).unwrap();
    assert_eq!(decode::<Block>("block", &raw, 1 << 20).unwrap(), *fabric.block(&id));
    let genesis: BlockAnswer = serde_json::from_value(served.get("/rpc/getBlock/0").await.expect(200)).unwrap();
    assert_eq!((genesis.id, genesis.transactions), (fabric.genesis_id(), Some(vec![])));
}

#[tokio::test]
async fn a_block_beside_the_best_chain_has_no_confirmations() {
    let mut fabric = Fabric::default();
    let served = Served::start(&fabric, options()).await;
    let genesis = fabric.genesis_id();
    let chain = fabric.chain(&genesis, 3, 0);
    let beside = fabric.make(&chain[1], spacetime_node::testing::Order { skip_epochs: 1, ..Default::default() });
    chain.iter().for_each(|id| served.node.take(&fabric, id));
    served.node.node().chain.submit([fabric.block(&beside).clone()], crate::fake::LATER_MS).unwrap();
    let best = served.get("/rpc/getHead").await.expect(200)["id"].clone();
    let other = if best == json!(beside) { chain[2] } else { beside };
    let block: BlockAnswer =
        serde_json::from_value(served.get(&format!("/rpc/getBlock/{other}")).await.expect(200)).unwrap();
    assert_eq!((block.best_chain, block.confirmations), (false, 0));
}

#[tokio::test]
async fn blocks_that_are_not_there_are_said_so() {
    let served = Served::start(&Fabric::default(), options()).await;
    served.get("/rpc/getBlock/1").await.refused(404, "not_found", "height 1");
    served.get(&format!("/rpc/getBlock/{}", "ab".repeat(32))).await.refused(404, "not_found", "abab");
    for bad in ["-1", "1.5", "abc", "99999999999999999999", &"xy".repeat(32), &"ab".repeat(33), "%00"] {
        served.get(&format!("/rpc/getBlock/{bad}")).await.refused(400, "bad_request", "expected");
    }
    served.get("/rpc/getBlock/0?raw=perhaps").await.refused(400, "bad_request", "raw");
    served.get("/rpc/getBlock/0?row=true").await.refused(400, "bad_request", "unknown field `row`");
}

#[tokio::test]
async fn a_transaction_goes_from_the_pool_into_a_block() {
    let mut fabric = Fabric::default();
    let served = Served::start(&fabric, options()).await;
    let transfer = fabric.wallets[0].transfer(&fabric.genesis_id(), 0, Amount(7), fabric.wallets[1].address, Amount(5));
    let path = format!("/rpc/getTx/{}", transfer.id());
    served.get(&path).await.refused(404, "not_found", "neither in the best chain nor");
    let answer = served.post("/rpc/sendTx", &sent(&transfer)).await.expect(200);
    assert_eq!(answer, json!({ "id": transfer.id(), "known": false }));
    let again = served.post("/rpc/sendTx", &sent(&transfer)).await.expect(200);
    assert_eq!(again, json!({ "id": transfer.id(), "known": true }));
    let found: TransactionAnswer = serde_json::from_value(served.get(&path).await.expect(200)).unwrap();
    assert_eq!((found.place, found.fee.0, found.nonce), (Some(Place::Pool), Amount(7), 0));
    assert_eq!(found.raw, Some(const_hex::encode(transfer.encoded())));
    assert_eq!(found.sender, Some(fabric.wallets[0].address.encode("lst")));

    let block = served.node.mine(&mut fabric);
    served.node.mine(&mut fabric);
    let json = served.get(&path).await.expect(200);
    assert_eq!(json["kind"], "transfer");
    let found: TransactionAnswer = serde_json::from_value(json).unwrap();
    let Some(Place::Block { height, block: of, index, confirmations, .. }) = found.place else { panic!("{found:?}") };
    assert_eq!((height.0, of, index, confirmations), (1, block, 1, 2));
    served.get("/rpc/getTx/abcd").await.refused(400, "bad_request", "64 hex digits");
}

#[tokio::test]
async fn transactions_that_are_not_taken_are_told_why() {
    let mut fabric = Fabric::default();
    let served = Served::start(&fabric, options()).await;
    let (genesis, to) = (fabric.genesis_id(), fabric.wallets[1].address);
    let good = fabric.wallets[0].transfer(&genesis, 0, Amount(7), to, Amount(5));
    let mut forged = good.clone();
    forged.fee = Amount(8);
    served.post("/rpc/sendTx", &sent(&forged)).await.refused(422, "invalid_transaction", "signature");
    let far = fabric.wallets[0].transfer(&genesis, 1000, Amount(7), to, Amount(5));
    served.post("/rpc/sendTx", &sent(&far)).await.refused(409, "refused_transaction", "nonce is 1000");
    let rich = fabric.wallets[0].transfer(&genesis, 0, Amount(7), to, Amount(u64::MAX / 2));
    served.post("/rpc/sendTx", &sent(&rich)).await.refused(409, "refused_transaction", "balance");
    served.post("/rpc/sendTx", &sent(&good)).await.expect(200);
    let cheap = fabric.wallets[0].transfer(&genesis, 0, Amount(7), to, Amount(6));
    served.post("/rpc/sendTx", &sent(&cheap)).await.refused(409, "refused_transaction", "taking the place");
    served.node.mine(&mut fabric);
    let used = fabric.wallets[0].transfer(&genesis, 0, Amount(70), to, Amount(6));
    served.post("/rpc/sendTx", &sent(&used)).await.refused(409, "refused_transaction", "next is 1");

    for (body, status, code, words) in [
        ("", 400, "bad_request", "EOF"),
        ("{}", 400, "bad_request", "missing field `transaction`"),
        ("[]", 400, "bad_request", ""),
        (r#"{"transaction": 5}"#, 400, "bad_request", "string"),
        (r#"{"transaction": "zz"}"#, 400, "bad_request", "transaction:"),
        (r#"{"transaction": "abc"}"#, 400, "bad_request", "transaction:"),
        (r#"{"transaction": ""}"#, 422, "invalid_transaction", "transaction"),
        (r#"{"transaction": "ff0000000000000000000000000000000000"}"#, 422, "invalid_transaction", "kind 255"),
        (r#"{"transaction": "", "more": 1}"#, 400, "bad_request", "unknown field `more`"),
    ] {
        served.post("/rpc/sendTx", body).await.refused(status, code, words);
    }
    let extended = json!({ "transaction": const_hex::encode(good.encoded()) + "00" }).to_string();
    served.post("/rpc/sendTx", &extended).await.refused(422, "invalid_transaction", "");
    let long = json!({ "transaction": "00".repeat((256 << 10) + 1) }).to_string();
    served.post("/rpc/sendTx", &long).await.refused(422, "invalid_transaction", "at most 262144");
}
