//! What miners follow and send.

use std::time::Duration;

use serde_json::{Value, json};
use spacetime_node::builder::Payout;
use spacetime_node::chain::{Epoch, Hash, Height, MinerKey, MinerSignature};
use spacetime_node::miner::work::{MinerProof, MinerSigned, Pause, ResultWork, Work};
use spacetime_node::rpc::{Hooks, RpcOptions};
use spacetime_node::testing::Fabric;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{PATIENCE, Served, options};

fn result(epoch: u64) -> Work {
    Work::Result(ResultWork { epoch: Epoch(epoch), best: Some(Hash([7; 32])), block: None })
}

/// A stream that is followed.
struct Follower {
    stream: TcpStream,
    text: String,
}

impl Follower {
    async fn start(served: &Served) -> Self {
        let mut stream = served.connect().await;
        stream.write_all(b"GET /rpc/work HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        Self { stream, text: String::new() }
    }

    /// Reads on until the text has `enough` of it. False if the stream ends before.
    async fn read_until(&mut self, enough: impl Fn(&str) -> bool) -> bool {
        let mut bytes = [0; 4096];
        while !enough(&self.text) {
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await.expect("something comes");
            match read {
                Ok(0) | Err(_) => return false,
                Ok(count) => self.text += std::str::from_utf8(&bytes[..count]).unwrap(),
            }
        }
        true
    }

    /// What has been told so far.
    fn told(&self) -> Vec<Work> {
        let events = self.text.lines().filter_map(|line| line.strip_prefix("data: "));
        events.map(|event| serde_json::from_str(event).unwrap()).collect()
    }

    async fn wait_for(&mut self, work: &Work) {
        let text = serde_json::to_string(work).unwrap();
        assert!(self.read_until(|told| told.contains(&text)).await, "{}", self.text);
    }
}

#[tokio::test]
async fn a_miner_is_told_what_there_is_and_then_what_happens() {
    let served = Served::start(&Fabric::default(), options()).await;
    served.node.node().work = vec![Work::Pause(Pause::Behind), result(1)];
    let mut follower = Follower::start(&served).await;
    follower.wait_for(&result(1)).await;
    assert!(follower.text.contains("content-type: text/event-stream"), "{}", follower.text);
    served.node.told.send(result(2)).unwrap();
    follower.wait_for(&result(2)).await;
    assert_eq!(follower.told(), [Work::Pause(Pause::Behind), result(1), result(2)]);
}

#[tokio::test]
async fn a_miner_that_lost_something_is_told_all_again() {
    let served = Served::start(&Fabric::default(), options()).await;
    served.node.node().work = vec![result(1)];
    let mut follower = Follower::start(&served).await;
    follower.wait_for(&result(1)).await;
    served.node.node().work = vec![result(100)];
    {
        // The stream cannot look in between: the channel holds four, and more come than it takes while we hold the node.
        let _node = served.node.node();
        for epoch in 2..50 {
            served.node.told.send(result(epoch)).unwrap();
        }
    }
    follower.wait_for(&result(100)).await;
    // It goes on from there.
    served.node.told.send(result(101)).unwrap();
    follower.wait_for(&result(101)).await;
}

#[tokio::test]
async fn so_many_miners_and_no_more() {
    let mut few = options();
    few.config.streams = 2;
    let served = Served::start(&Fabric::default(), few).await;
    served.node.node().work = vec![Work::Pause(Pause::Behind)];
    let mut first = Follower::start(&served).await;
    let mut second = Follower::start(&served).await;
    first.wait_for(&Work::Pause(Pause::Behind)).await;
    second.wait_for(&Work::Pause(Pause::Behind)).await;
    assert_eq!(served.get("/rpc/farm").await.expect(200), json!({ "followers": 2, "own": null }));
    served.get("/rpc/work").await.refused(503, "busy", "as many miners");
    drop(first);
    // The place is given back as soon as the server sees that nobody reads.
    let again = async {
        loop {
            served.node.told.send(Work::Pause(Pause::Behind)).unwrap();
            let mut third = Follower::start(&served).await;
            if third.read_until(|text| text.contains("\r\n\r\n")).await && third.text.contains("200 OK") {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("there is a place again");
}

#[tokio::test]
async fn a_stream_ends_with_the_server() {
    let served = Served::start(&Fabric::default(), options()).await;
    served.node.node().work = vec![Work::Pause(Pause::Behind)];
    let mut follower = Follower::start(&served).await;
    follower.wait_for(&Work::Pause(Pause::Behind)).await;
    let address = served.address();
    let Served { server, .. } = served;
    tokio::time::timeout(Duration::from_secs(5), server.stop()).await.expect("it stops in time");
    assert!(!follower.read_until(|_| false).await, "the stream has ended");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
}

fn proof() -> MinerProof {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let (miner, win) = fabric.win(&genesis, 0, None);
    MinerProof {
        epoch: win.epoch,
        miner_key: fabric.miners[miner].key,
        proof: win.proof,
        reveal: win.reveal,
        payout: Payout::all_to(fabric.wallets[0].address),
    }
}

#[tokio::test]
async fn proofs_go_to_the_node() {
    let served = Served::start(&Fabric::default(), options()).await;
    let body = serde_json::to_string(&proof()).unwrap();
    assert_eq!(served.post("/rpc/submitProof", &body).await.expect(200), json!({ "taken": true }));
    assert_eq!(served.node.node().proofs, [proof()]);
    let later = serde_json::to_string(&MinerProof { epoch: Epoch(99), ..proof() }).unwrap();
    served.post("/rpc/submitProof", &later).await.refused(422, "refused_proof", "has not begun");
    // What passes is no refusal.
    served.node.node().behind = true;
    served.post("/rpc/submitProof", &body).await.refused(503, "busy", "catching up");
    let mut bad: Value = serde_json::from_str(&body).unwrap();
    bad["miner_key"] = json!("00");
    served.post("/rpc/submitProof", &bad.to_string()).await.refused(400, "bad_request", "96 hex digits");
    served.post("/rpc/submitProof", "{}").await.refused(400, "bad_request", "missing field");
    assert_eq!(served.node.node().proofs.len(), 1);
}

#[tokio::test]
async fn signatures_go_to_the_node() {
    let served = Served::start(&Fabric::default(), options()).await;
    let signed =
        |epoch| MinerSigned { epoch: Epoch(epoch), miner_key: MinerKey([1; 48]), signature: MinerSignature([2; 96]) };
    let body = |epoch| serde_json::to_string(&signed(epoch)).unwrap();
    assert_eq!(served.post("/rpc/submitBlock", &body(5)).await.expect(200), json!({ "id": "05".repeat(32) }));
    served.post("/rpc/submitBlock", &body(6)).await.refused(422, "refused_signature", "not asked for");
    served.post("/rpc/submitBlock", "{}").await.refused(400, "bad_request", "missing field");
}

#[tokio::test]
async fn plots_are_looked_up_by_their_key() {
    let served = Served::start(&Fabric::default(), options()).await;
    let pending = served.get(&format!("/rpc/plot/{}", "01".repeat(32))).await.expect(200);
    assert_eq!(pending, json!({ "status": "pending", "registered": Height(3), "mix": null, "until": Height(9) }));
    let absent = served.get(&format!("/rpc/plot/{}", "02".repeat(32))).await.expect(200);
    assert_eq!(absent, json!({ "status": "absent" }));
    served.get("/rpc/plot/02").await.refused(400, "bad_request", "64 hex digits");
}

#[tokio::test]
async fn the_farm_of_this_process_speaks_for_itself() {
    let hooks = Hooks { farm: std::sync::Arc::new(|| Some(json!({ "plots": 3 }))), ..Hooks::default() };
    let served = Served::start(&Fabric::default(), RpcOptions { hooks, ..options() }).await;
    assert_eq!(served.get("/rpc/farm").await.expect(200), json!({ "followers": 0, "own": { "plots": 3 } }));
}
