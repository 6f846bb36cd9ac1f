//! What is asked of a node, over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use spacetime_node::chain::{Address, Height, Transaction};
use spacetime_node::rpc::answers::{BalanceAnswer, BlockAnswer, HeadAnswer, SentAnswer};
use spacetime_node::rpc::error::ErrorAnswer;
use thiserror::Error;
use ureq::Agent;

/// Longest that an answer is waited for: a node on this machine answers in milliseconds, one that is busy with a large
/// block in a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer: a block of 1 MiB with its transactions told in full.
const MAX_ANSWER_BYTES: u64 = 32 << 20;

/// A node's HTTP.
#[derive(Clone, Debug)]
pub(super) struct Client {
    agent: Agent,
    at: SocketAddr,
    hrp: String,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum RpcError {
    /// It cannot be reached, or says something else than it should.
    #[error("{at}{path}: {source}")]
    Http {
        /// Whom.
        at: SocketAddr,
        /// What was asked for.
        path: String,
        /// Why not.
        source: Box<ureq::Error>,
    },
    /// It said no.
    #[error("{at}{path}: {message} ({code})")]
    Refused {
        /// Who.
        at: SocketAddr,
        /// What was asked for.
        path: String,
        /// For programs.
        code: String,
        /// For people.
        message: String,
    },
}

impl RpcError {
    /// Whether it may be different in a moment.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Http { .. } => true,
            Self::Refused { code, .. } => matches!(code.as_str(), "busy" | "too_many_requests" | "pool_full"),
        }
    }
}

impl Client {
    /// Asks the node that listens at `at`, of a chain whose addresses begin with `hrp`.
    pub(super) fn new(at: SocketAddr, hrp: &str) -> Self {
        let config = Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).proxy(None);
        Self { agent: config.build().into(), at, hrp: hrp.to_owned() }
    }

    /// Where the chain ends.
    pub(super) fn head(&self) -> Result<HeadAnswer, RpcError> {
        self.get("/rpc/getHead")
    }

    /// How many peers it has.
    pub(super) fn peers(&self) -> Result<usize, RpcError> {
        Ok(self.get::<Peers>("/rpc/peers")?.peers.len())
    }

    /// The best chain's block at a height.
    pub(super) fn block_at(&self, height: Height) -> Result<BlockAnswer, RpcError> {
        self.get(&format!("/rpc/getBlock/{height}"))
    }

    /// What an account has.
    pub(super) fn balance(&self, address: Address) -> Result<BalanceAnswer, RpcError> {
        self.get(&format!("/rpc/getBalance/{}", address.encode(&self.hrp)))
    }

    /// Hands in a transaction.
    pub(super) fn send(&self, transaction: &Transaction) -> Result<SentAnswer, RpcError> {
        let path = "/rpc/sendTx";
        let body = serde_json::json!({ "transaction": const_hex::encode(transaction.encoded()) });
        self.read(path, self.agent.post(self.url(path)).send_json(body))
    }

    /// Where a path is.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RpcError> {
        self.read(path, self.agent.get(self.url(path)).call())
    }

    fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<T, RpcError> {
        let at = self.at;
        let failed = |source| RpcError::Http { at, path: path.to_owned(), source: Box::new(source) };
        let mut response = response.map_err(failed)?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        if status.is_success() {
            return body.read_json().map_err(failed);
        }
        let ErrorAnswer { error } = body.read_json().map_err(|_| failed(ureq::Error::StatusCode(status.as_u16())))?;
        Err(RpcError::Refused { at, path: path.to_owned(), code: error.code, message: error.message })
    }
}

/// `/rpc/peers`, as far as it is of interest here.
#[derive(Deserialize)]
struct Peers {
    peers: Vec<serde::de::IgnoredAny>,
}
