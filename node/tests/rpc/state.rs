//! Health, readiness, peers and figures.

use std::sync::atomic::Ordering;

use serde_json::json;
use spacetime_node::rpc::{Hooks, RpcOptions};
use spacetime_node::testing::Fabric;

use crate::client::{Served, options};

#[tokio::test]
async fn a_node_is_ready_when_it_has_caught_up_and_has_peers() {
    let served = Served::start(&Fabric::default(), options()).await;
    assert_eq!(served.get("/ready").await.expect(200), json!({ "ready": true, "reasons": [] }));
    served.node.node().alone = true;
    assert_eq!(served.get("/ready").await.expect(503), json!({ "ready": false, "reasons": ["no peer is connected"] }));
    served.node.node().behind = true;
    let answer = served.get("/ready").await.expect(503);
    assert!(answer["reasons"][0].as_str().unwrap().contains("height 0"), "{answer}");
    // It answers all the same.
    assert_eq!(served.get("/health").await.expect(200), json!({ "height": 0 }));
}

#[tokio::test]
async fn a_node_that_hangs_or_has_stopped_is_not_healthy() {
    let served = Served::start(&Fabric::default(), options()).await;
    served.node.hangs.store(true, Ordering::Relaxed);
    served.get("/health").await.refused(503, "busy", "two seconds");
    let answer = served.get("/ready").await.expect(503);
    assert!(answer["reasons"][0].as_str().unwrap().contains("two seconds"), "{answer}");
    served.node.stopped.store(true, Ordering::Relaxed);
    served.get("/health").await.refused(503, "stopped", "has stopped");
    served.get("/rpc/getHead").await.refused(503, "stopped", "has stopped");
    served.get("/ready").await.expect(503);
}

#[tokio::test]
async fn peers_are_listed() {
    let hooks =
        Hooks { network: std::sync::Arc::new(|| json!({ "id": "12D3", "listening": ["/ip4/x"] })), ..Hooks::default() };
    let served = Served::start(&Fabric::default(), RpcOptions { hooks, ..options() }).await;
    let answer = served.get("/rpc/peers").await.expect(200);
    let expected = json!({ "own": { "id": "12D3", "listening": ["/ip4/x"] }, "clock_offset_ms": null, "peers": [] });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn figures_are_openmetrics() {
    let mut fabric = Fabric::default();
    let served = Served::start(&fabric, options()).await;
    served.node.mine(&mut fabric);
    served.get("/nowhere").await.expect(404);
    let answer = served.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("application/openmetrics-text"), "{}", answer.head);
    let lines: Vec<_> = answer.body.lines().collect();
    for line in [
        "spacetime_height 1",
        "# TYPE spacetime_height gauge",
        "spacetime_blocks_connected_total 7",
        "# TYPE spacetime_blocks_connected counter",
        "spacetime_syncing 0",
        "spacetime_sync_target 9",
        "spacetime_rpc_refused_total 1",
        "spacetime_rpc_work_streams 0",
        "spacetime_peers_ready 0",
    ] {
        assert!(lines.contains(&line), "{line}: {}", answer.body);
    }
    assert_eq!(lines.last(), Some(&"# EOF"));
}
