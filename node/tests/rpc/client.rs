//! A server with a node behind it, and a caller who writes what he likes.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use spacetime_node::config::{Config, Network};
use spacetime_node::rpc::{Hooks, Patience, RpcOptions, RpcServer};
use spacetime_node::testing::Fabric;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::fake::Handle;

/// Longest that anything here is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const TOKEN: [u8; 32] = [0xab; 32];

/// What is usual, but so many calls at once that no test meets the limit by chance.
pub(crate) fn options() -> RpcOptions {
    let mut config = Config::usual(Network::Local).rpc;
    config.listen = "127.0.0.1:0".parse().expect("an address");
    config.burst = 10_000;
    RpcOptions {
        config,
        token: Zeroizing::new(TOKEN),
        software: "spacetime/test".to_owned(),
        hooks: Hooks::default(),
        patience: Patience::default(),
    }
}

/// A server and the node behind it.
pub(crate) struct Served {
    pub(crate) node: Handle,
    pub(crate) server: RpcServer,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer as JSON; it must have this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// It is an error of this status and code, whose message holds these words.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str, words: &str) {
        let json = self.expect(status);
        assert_eq!(json["error"]["code"], code, "{self:?}");
        assert!(json["error"]["message"].as_str().is_some_and(|message| message.contains(words)), "{self:?}");
    }
}

impl Served {
    pub(crate) async fn start(fabric: &Fabric, options: RpcOptions) -> Self {
        let node = Handle::new(fabric);
        let server = RpcServer::start(node.clone(), options).await.expect("a free port");
        Self { node, server }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.expect("it listens")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.raw(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.post_with(path, "", body).await
    }

    /// With further headers, each with its line break.
    pub(crate) async fn post_with(&self, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}");
        self.raw(&format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")).await
    }

    pub(crate) async fn admin(&self, path: &str, body: &str) -> Answer {
        let headers = format!("Authorization: Bearer {}\r\n", const_hex::encode(TOKEN));
        self.post_with(path, &headers, body).await
    }

    /// Writes these bytes and reads until the server closes the connection.
    pub(crate) async fn raw(&self, text: &str) -> Answer {
        let mut stream = self.connect().await;
        // A server that refuses may close before it has read all.
        let _ = stream.write_all(text.as_bytes()).await;
        answer(stream).await
    }
}

/// What comes until the connection is closed.
pub(crate) async fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it ends in time");
    // A connection that is reset after its answer has been read is closed as well.
    if let Err(error) = read {
        assert!(!bytes.is_empty(), "{error}");
    }
    let text = String::from_utf8(bytes).expect("answers are text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

/// A body without the lengths of its chunks (RFC 9112 §7.1).
fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a length");
        let Some(chunk) = after.get(..length).filter(|chunk| !chunk.is_empty()) else { break };
        body += chunk;
        rest = after[length..].trim_start_matches("\r\n");
    }
    body
}
