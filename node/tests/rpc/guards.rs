//! What guards the node from those who call.

use std::time::Duration;

use spacetime_node::rpc::{Patience, RpcOptions, RpcServer, StartError};
use spacetime_node::testing::Fabric;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{PATIENCE, Served, answer, options};

/// As little patience as a loaded machine bears.
fn impatient() -> RpcOptions {
    let patience = Patience {
        idle: Duration::from_millis(600),
        call: Duration::from_millis(600),
        stall: Duration::from_millis(600),
    };
    RpcOptions { patience, ..options() }
}

#[tokio::test]
async fn what_is_no_call_is_said_to_be_none() {
    let served = Served::start(&Fabric::default(), options()).await;
    for path in ["/", "/rpc", "/rpc/gethead", "/rpc/getHead/", "/rpc/getBlock", "/rpc/getBlock/1/2", "/../etc/passwd"] {
        served.get(path).await.refused(404, "not_found", "no such call");
    }
    for path in ["/rpc/getHead", "/metrics", "/rpc/history/x"] {
        served.post(path, "{}").await.refused(405, "method", "another method");
    }
    for path in ["/rpc/sendTx", "/rpc/submitProof", "/rpc/submitBlock"] {
        served.get(path).await.refused(405, "method", "another method");
    }
    let garbage = served.raw("garbage\r\n\r\n").await;
    assert_eq!(garbage.status, 400);
}

#[tokio::test]
async fn a_page_from_elsewhere_gets_no_answer() {
    let mut named = options();
    named.config.hosts = vec!["node.example".to_owned()];
    let served = Served::start(&Fabric::default(), named).await;
    let get = async |headers: &str| {
        served.raw(&format!("GET /rpc/getHead HTTP/1.1\r\n{headers}Connection: close\r\n\r\n")).await
    };
    get("Host: evil.example\r\n").await.refused(403, "host", "rpc.hosts");
    get("Host: evil.example:21211\r\n").await.refused(403, "host", "rpc.hosts");
    get("").await.refused(400, "bad_request", "Host");
    get("Host: localhost\r\nHost: evil.example\r\n").await.refused(400, "bad_request", "Host");
    for host in ["localhost", "127.0.0.1:21211", "[::1]:5", "node.example", "NODE.example:80"] {
        get(&format!("Host: {host}\r\n")).await.expect(200);
        // Browsers say where a page comes from, if not always in the same words.
        for page in ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site"] {
            let answer = get(&format!("Host: {host}\r\n{page}\r\n")).await;
            assert!(!answer.head.to_ascii_lowercase().contains("access-control"), "{answer:?}");
            answer.refused(403, "origin", "browser");
        }
    }
    // A browser asks first, and hears of no permission.
    let preflight = "OPTIONS /rpc/sendTx HTTP/1.1\r\nHost: localhost\r\nOrigin: http://e\r\nConnection: close\r\n\r\n";
    let answer = served.raw(preflight).await;
    assert!(answer.status == 403 && !answer.head.to_ascii_lowercase().contains("access-control"), "{answer:?}");
}

#[tokio::test]
async fn bodies_are_json_and_bounded() {
    let served = Served::start(&Fabric::default(), options()).await;
    let plain = "POST /rpc/sendTx HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\n\
                 Content-Length: 2\r\n\r\n{}";
    served.raw(plain).await.refused(415, "media_type", "application/json");
    let long = format!("{{\"transaction\": \"{}\"}}", "0".repeat(1 << 20));
    served.post("/rpc/sendTx", &long).await.refused(413, "too_large", "longer");
    // As long as it says it is, however much comes.
    let lying = "POST /rpc/sendTx HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
                 Content-Length: 99999999999\r\n\r\n{";
    served.raw(lying).await.refused(413, "too_large", "longer");
    // Without a length it is counted.
    let chunk = format!("10000\r\n{}\r\n", "0".repeat(0x10000));
    let chunked = format!(
        "POST /rpc/sendTx HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(17)
    );
    served.raw(&chunked).await.refused(413, "too_large", "longer");
    let deep = "[".repeat(100_000);
    served.post("/rpc/sendTx", &deep).await.refused(400, "bad_request", "");
    // The server lives.
    served.get("/health").await.expect(200);
}

#[tokio::test]
async fn heads_are_bounded() {
    let served = Served::start(&Fabric::default(), options()).await;
    let long = served.get(&format!("/{}", "x".repeat(1 << 20))).await;
    assert!(long.status == 414 || long.status == 431 || long.status == 400, "{long:?}");
    let many = "X-Y: z\r\n".repeat(5_000);
    let answer =
        served.raw(&format!("GET /rpc/getHead HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{many}\r\n")).await;
    assert!(answer.status == 431 || answer.status == 400, "{answer:?}");
    served.get("/health").await.expect(200);
}

#[tokio::test]
async fn an_address_has_so_many_calls_and_no_more() {
    let mut strict = options();
    (strict.config.burst, strict.config.requests_per_second) = (3, 1);
    let served = Served::start(&Fabric::default(), strict).await;
    let mut refused = 0;
    for _ in 0..10 {
        let answer = served.get("/rpc/getHead").await;
        if answer.status == 429 {
            answer.refused(429, "too_many_requests", "try again");
            assert!(answer.head.to_ascii_lowercase().contains("retry-after: 1"), "{answer:?}");
            refused += 1;
        } else {
            answer.expect(200);
        }
    }
    // A slow machine may have earned some more meanwhile.
    assert!((1..=7).contains(&refused), "{refused}");
}

#[tokio::test]
async fn slow_callers_are_let_go() {
    let served = Served::start(&Fabric::default(), impatient()).await;
    // A head that never ends.
    let mut slow = served.connect().await;
    slow.write_all(b"GET /rpc/getHead HTTP/1.1\r\nHost: loc").await.unwrap();
    // A body that never ends: it is told so.
    let mut half = served.connect().await;
    let head = "POST /rpc/sendTx HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
                Content-Length: 1000\r\n\r\n{";
    half.write_all(head.as_bytes()).await.unwrap();
    // Nothing at all, and a call after which nothing comes.
    let silent = served.connect().await;
    let mut idle = served.connect().await;
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    answer(half).await.refused(408, "timeout", "too long");
    for (mut stream, least) in [(slow, 0), (silent, 0), (idle, 1)] {
        let mut bytes = Vec::new();
        // Reset or closed.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it is let go");
        assert!(bytes.len() >= least, "{bytes:?}");
    }
    served.get("/health").await.expect(200);
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_hold_a_connection() {
    let served = Served::start(&Fabric::default(), impatient()).await;
    let mut slow = served.connect().await;
    let begun = std::time::Instant::now();
    slow.write_all(b"GET /rpc/getHead HTTP/1.1\r\n").await.unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    // It is written until the server has closed.
    while slow.write_all(b"X-Y: z\r\n").await.is_ok() {
        pace.tick().await;
        assert!(begun.elapsed() < PATIENCE, "it is never let go");
    }
}

#[tokio::test]
async fn connections_are_bounded() {
    let mut few = options();
    few.config.connections = 4;
    let served = Served::start(&Fabric::default(), few).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = served.connect().await;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut bytes = [0; 1024];
        assert!(stream.read(&mut bytes).await.unwrap() > 0, "it is answered");
        held.push(stream);
    }
    // One more is closed at once.
    let mut more = served.connect().await;
    let _ = more.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, more.read_to_end(&mut bytes)).await.expect("it is closed");
    assert!(bytes.is_empty(), "{bytes:?}");
    // Who goes makes room.
    drop(held);
    let answered = async {
        while served.get("/health").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("there is room again");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let fabric = Fabric::default();
    let served = Served::start(&fabric, options()).await;
    let mut same = options();
    same.config.listen = served.address();
    let error = RpcServer::start(served.node.clone(), same).await.expect_err("it is taken");
    assert!(matches!(error, StartError::Listen { .. }));
    assert!(error.to_string().contains(&served.address().to_string()), "{error}");
}

#[tokio::test]
async fn a_server_that_stops_ends_what_it_is_doing() {
    let served = Served::start(&Fabric::default(), options()).await;
    let address = served.address();
    let mut open = served.connect().await;
    open.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut bytes = [0; 1024];
    assert!(open.read(&mut bytes).await.unwrap() > 0);
    // One that has not said what it wants.
    let _half = served.connect().await;
    let Served { server, .. } = served;
    tokio::time::timeout(Duration::from_secs(5), server.stop()).await.expect("it stops in time");
    assert_eq!(open.read(&mut bytes).await.unwrap_or_default(), 0, "it is closed");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
