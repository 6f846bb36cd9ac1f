//! What the operator alone may do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use spacetime_node::network::PeerId;
use spacetime_node::network::record::Banned;
use spacetime_node::rpc::{Hooks, RpcOptions};
use spacetime_node::testing::Fabric;

use crate::client::{Served, options};

#[tokio::test]
async fn only_the_token_opens() {
    let asked = Arc::new(AtomicBool::new(false));
    let stop = {
        let asked = Arc::clone(&asked);
        move || asked.store(true, Ordering::Relaxed)
    };
    let hooks = Hooks { stop: Arc::new(stop), ..Hooks::default() };
    let served = Served::start(&Fabric::default(), RpcOptions { hooks, ..options() }).await;
    for path in ["/rpc/admin/stop", "/rpc/admin/ban", "/rpc/admin/unban", "/rpc/admin/connect"] {
        served.post(path, "{}").await.refused(401, "token", "rpc.token");
        for token in ["", "ab", &"00".repeat(32), &"ab".repeat(33), &"zz".repeat(32)] {
            let headers = format!("Authorization: Bearer {token}\r\n");
            let answer = served.post_with(path, &headers, "{}").await;
            answer.refused(401, "token", "rpc.token");
            assert!(answer.head.to_ascii_lowercase().contains("www-authenticate: bearer"), "{answer:?}");
        }
        let basic = format!("Authorization: Basic {}\r\n", "ab".repeat(32));
        served.post_with(path, &basic, "{}").await.refused(401, "token", "");
        // Without it not even the method is told.
        let method = served.get(path).await;
        assert!(method.status == 405 || method.status == 401, "{method:?}");
    }
    assert!(!asked.load(Ordering::Relaxed), "nothing was done");
    served.admin("/rpc/admin/stop", "").await.expect(200);
    assert!(asked.load(Ordering::Relaxed));
}

#[tokio::test]
async fn bans_come_and_go() {
    let served = Served::start(&Fabric::default(), options()).await;
    let peer = PeerId([7; 32]);
    let by_address = json!({ "address": "192.0.2.1", "seconds": 60 }).to_string();
    let by_id = json!({ "peer": peer.to_string(), "seconds": 60 }).to_string();
    served.admin("/rpc/admin/ban", &by_address).await.expect(200);
    served.admin("/rpc/admin/ban", &by_id).await.expect(200);
    let bans: Vec<_> = served.node.node().peers.bans();
    let until = crate::fake::LATER_MS + 60_000;
    let expected = [(Banned::Peer(peer), until), (Banned::ip("192.0.2.1".parse().unwrap()), until)];
    assert!(bans.len() == 2 && expected.iter().all(|ban| bans.contains(ban)), "{bans:?}");
    served.admin("/rpc/admin/unban", &json!({ "address": "192.0.2.1" }).to_string()).await.expect(200);
    served.admin("/rpc/admin/unban", &json!({ "address": "192.0.2.1" }).to_string()).await.refused(
        404,
        "not_found",
        "ban",
    );
    assert_eq!(served.node.node().peers.bans().len(), 1);
    for (body, words) in [
        (json!({ "address": "192.0.2", "seconds": 60 }), "expected an IP address"),
        (json!({ "peer": "nobody", "seconds": 60 }), "peer's id"),
        (json!({ "peer": "1".repeat(500), "seconds": 60 }), "peer's id"),
        (json!({ "address": "192.0.2.1", "seconds": 0 }), "seconds"),
        (json!({ "address": "192.0.2.1", "seconds": u64::MAX }), "seconds"),
        (json!({ "address": "192.0.2.1" }), "missing field `seconds`"),
        (json!({ "seconds": 60 }), ""),
    ] {
        served.admin("/rpc/admin/ban", &body.to_string()).await.refused(400, "bad_request", words);
    }
}

#[tokio::test]
async fn connecting_dials() {
    let served = Served::start(&Fabric::default(), options()).await;
    let address = "/ip4/192.0.2.1/tcp/21210";
    served.admin("/rpc/admin/connect", &json!({ "address": address }).to_string()).await.expect(200);
    assert_eq!(served.node.node().dialled, [address]);
    for bad in ["", "192.0.2.1:21210", "/ip4/192.0.2.1", &"x".repeat(1000)] {
        let body = json!({ "address": bad }).to_string();
        served.admin("/rpc/admin/connect", &body).await.refused(400, "bad_request", "address");
    }
    assert_eq!(served.node.node().dialled.len(), 1);
}
