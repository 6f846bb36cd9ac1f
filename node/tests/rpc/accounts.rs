//! Balances, histories and fees.

use serde_json::{Value, json};
use spacetime_node::chain::{Address, Amount, Header, decode};
use spacetime_node::consensus::{Fees, Parameters};
use spacetime_node::rpc::answers::{BalanceAnswer, HappeningKind, HistoryAnswer, ProofAnswer};
use spacetime_node::state::StateKey;
use spacetime_node::state::proof::StateProof;
use spacetime_node::testing::{Fabric, Setup, parameters};

use crate::client::{Served, options};

async fn send(served: &Served, fabric: &Fabric, from: usize, to: usize, nonce: u64, amount: u64) {
    let transfer = fabric.wallets[from].transfer(
        &fabric.genesis_id(),
        nonce,
        Amount(7),
        fabric.wallets[to].address,
        Amount(amount),
    );
    let body = json!({ "transaction": const_hex::encode(transfer.encoded()) }).to_string();
    served.post("/rpc/sendTx", &body).await.expect(200);
}

async fn balance(served: &Served, address: &str, query: &str) -> BalanceAnswer {
    serde_json::from_value(served.get(&format!("/rpc/getBalance/{address}{query}")).await.expect(200)).unwrap()
}

#[tokio::test]
async fn a_balance_is_what_can_be_spent_and_what_will_be() {
    let mut fabric = Fabric::default();
    let served = Served::start(&fabric, options()).await;
    let (sender, stranger) = (fabric.wallets[0].address.encode("lst"), Address([9; 20]).encode("lst"));
    send(&served, &fabric, 0, 1, 0, 5).await;
    let before = balance(&served, &sender, "").await;
    assert_eq!((before.mature.0, before.nonce, before.next_nonce), (Amount(1_000_000_000_000), 0, 1));
    let block = served.node.mine(&mut fabric);
    let after = balance(&served, &sender, "").await;
    assert_eq!((after.mature.0, after.nonce, after.next_nonce), (Amount(999_999_999_988), 1, 1));
    assert_eq!((after.block, after.height.0, after.proof), (block, 1, None));
    let miner = fabric.miners.iter().find(|miner| miner.key == fabric.block(&block).header.miner_key).unwrap();
    let miner = balance(&served, &miner.wallet.address.encode("lst"), "").await;
    assert_eq!((miner.mature.0, miner.immature.0), (Amount(0), Amount(5_000_000_007)));

    let nobody = served.get(&format!("/rpc/getBalance/{stranger}")).await.expect(200);
    assert_eq!((&nobody["mature"], &nobody["next_nonce"]), (&json!("0"), &json!(0)), "money is a text");
    for (bad, words) in [
        (fabric.wallets[0].address.encode("st"), "begins with lst1, this with st1"),
        (sender.replace("lst1", "lst1q"), "checksum"),
        ("x".to_owned(), "not an address"),
        ("q".repeat(500), "500"),
    ] {
        served.get(&format!("/rpc/getBalance/{bad}")).await.refused(400, "bad_request", words);
    }
}

#[tokio::test]
async fn a_proof_holds_against_the_header_and_against_no_other() {
    let mut fabric = Fabric::default();
    let served = Served::start(&fabric, options()).await;
    served.node.mine(&mut fabric);
    for address in [fabric.wallets[0].address, Address([9; 20])] {
        let answer = balance(&served, &address.encode("lst"), "?proof=true").await;
        let ProofAnswer { header, account, path } = answer.proof.expect("it was asked for");
        let header: Header = decode("header", &const_hex::decode(header).unwrap(), 1 << 10).unwrap();
        assert_eq!(header.id(), answer.block);
        let path = StateProof::decode(&const_hex::decode(path).unwrap()).unwrap();
        let value = account.map(|account| const_hex::decode(account).unwrap());
        let key = StateKey::Account(address).hash();
        path.verify(&header.state_root, &key, value.as_deref()).unwrap();
        // The control: another value has no proof.
        assert!(path.verify(&header.state_root, &key, Some(&[0; 16])).is_err());
        assert_eq!(value.is_some(), address == fabric.wallets[0].address);
    }
}

#[tokio::test]
async fn a_history_tells_everything_once_the_latest_first() {
    let mut fabric = Fabric::default();
    let served = Served::start(&fabric, options()).await;
    let own = fabric.wallets[0].address.encode("lst");
    send(&served, &fabric, 0, 1, 0, 5).await;
    send(&served, &fabric, 0, 0, 1, 6).await;
    served.node.mine(&mut fabric);
    send(&served, &fabric, 2, 0, 0, 8).await;
    served.node.mine(&mut fabric);
    send(&served, &fabric, 0, 3, 2, 9).await;
    let page: HistoryAnswer =
        serde_json::from_value(served.get(&format!("/rpc/history/{own}")).await.expect(200)).unwrap();
    assert_eq!((page.from.0, page.to.0, page.before, page.pruned), (2, 0, None, false));
    let told = |page: &HistoryAnswer| -> Vec<_> {
        let all = page.waiting.iter().chain(&page.happened);
        all.map(|one| (one.kind, one.height.map(|height| height.0), one.amount.0.0, one.fee.0.0)).collect()
    };
    use HappeningKind::{Genesis, Received, Sent, ToItself};
    assert_eq!(
        told(&page),
        [
            (Sent, None, 9, 7),
            (Received, Some(2), 8, 0),
            (ToItself, Some(1), 6, 7),
            (Sent, Some(1), 5, 7),
            (Genesis, Some(0), 1_000_000_000_000, 0),
        ]
    );
    assert_eq!(page.happened[0].other, Some(fabric.wallets[2].address.encode("lst")));
    // From a height on.
    let path = format!("/rpc/history/{own}?before=2");
    let rest: HistoryAnswer = serde_json::from_value(served.get(&path).await.expect(200)).unwrap();
    assert_eq!((rest.from.0, told(&rest)), (1, told(&page)[2..].to_vec()));
    // A miner sees its rewards.
    let miner = fabric.miners.iter().find(|miner| miner.key == served.node.node().chain_miner()).unwrap();
    let path = format!("/rpc/history/{}", miner.wallet.address.encode("lst"));
    let mined: HistoryAnswer = serde_json::from_value(served.get(&path).await.expect(200)).unwrap();
    assert_eq!(
        (mined.happened[0].kind, mined.happened[0].height.map(|height| height.0)),
        (HappeningKind::Reward, Some(2))
    );
    served.get("/rpc/history/nobody").await.refused(400, "bad_request", "not an address");
    served.get(&format!("/rpc/history/{own}?before=x")).await.refused(400, "bad_request", "before");
}

#[tokio::test]
async fn a_long_history_comes_in_pages() {
    let mut fabric = Fabric::default();
    let served = Served::start(&fabric, options()).await;
    let own = fabric.wallets[0].address.encode("lst");
    for block in 0..5 {
        for nonce in 0..45 {
            send(&served, &fabric, 0, 1, block * 45 + nonce, 1 + nonce).await;
        }
        served.node.mine(&mut fabric);
    }
    let (mut before, mut pages, mut all) = (None, 0, Vec::new());
    loop {
        let query = before.map_or(String::new(), |before| format!("?before={before}"));
        let answer = served.get(&format!("/rpc/history/{own}{query}")).await.expect(200);
        let page: HistoryAnswer = serde_json::from_value(answer).unwrap();
        pages += 1;
        all.extend(page.happened.iter().filter_map(|one| one.id));
        match page.before {
            Some(height) => before = Some(height),
            None => break,
        }
    }
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (225, 225), "each once");
    assert!(pages > 1, "{pages}");
}

#[tokio::test]
async fn a_fee_is_what_the_next_block_costs() {
    let fees = Fees { base: Amount(1000), per_byte: Amount(10) };
    let parameters = Parameters { fees, max_block_bytes: 8192, ..parameters() };
    let fabric = Fabric::new(&Setup { parameters, ..Setup::default() });
    let served = Served::start(&fabric, options()).await;
    let answer = served.get("/rpc/estimateFee?bytes=200").await.expect(200);
    assert_eq!(answer, json!({ "bytes": 200, "least": "3000", "next_block": "3000" }));
    // More waits than a block holds.
    for wallet in 0..4 {
        for nonce in 0..15 {
            let from = &fabric.wallets[wallet];
            let fee = Amount(1_000_000);
            let transfer = from.transfer(&fabric.genesis_id(), nonce, fee, fabric.wallets[7].address, Amount(1));
            let body = json!({ "transaction": const_hex::encode(transfer.encoded()) }).to_string();
            served.post("/rpc/sendTx", &body).await.expect(200);
        }
    }
    let answer = served.get("/rpc/estimateFee?bytes=200").await.expect(200);
    let next: u64 = answer["next_block"].as_str().unwrap().parse().unwrap();
    assert!(answer["least"] == json!("3000") && next > 1_000_000, "{answer}");
    for bad in ["", "?bytes=0", "?bytes=x", "?bytes=-1", "?bytes=262145", "?bytes=200&bites=1"] {
        served.get(&format!("/rpc/estimateFee{bad}")).await.refused(400, "bad_request", "");
    }
    let _: Value = served.get("/rpc/estimateFee?bytes=262144").await.expect(200);
}
