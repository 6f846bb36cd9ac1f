//! The way to a node over HTTP.

use std::io::BufReader;
use std::sync::OnceLock;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use spacetime_node::chain::{Address, Hash, Transaction};
use spacetime_node::miner::io::LinkError;
use spacetime_node::miner::work::{MinerProof, MinerSigned, PlotState, Work};
use spacetime_node::miner::{Link, Stop};
use ureq::http::Response;
use ureq::{Agent, Body, Error};

use super::events::Events;
use crate::Failure;

/// How long a call may take in all: a proof that takes longer is late anyway.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the stream may be silent: a node gives a sign of life every five seconds.
const SILENCE: Duration = Duration::from_secs(12);
/// Longest answer to a call that is read.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// A node.
pub(super) struct HttpLink {
    url: String,
    calls: Agent,
    stream: Agent,
    /// First part of the chain's addresses, once the node has said it.
    hrp: OnceLock<String>,
}

impl HttpLink {
    /// The node at `url`, which is called when there is need.
    ///
    /// # Errors
    /// Code 2 if it is no URL of a node.
    pub(super) fn new(url: &str) -> Result<Self, Failure> {
        let wrong = || Failure::usage(format!("--node: {url}: a node's URL is written like http://127.0.0.1:21211"));
        let parsed: ureq::http::Uri = url.parse().map_err(|_| wrong())?;
        if parsed.scheme_str() != Some("http") || parsed.host().is_none_or(str::is_empty) || parsed.query().is_some() {
            return Err(wrong());
        }
        let config = || {
            Agent::config_builder()
                // The node's own words are worth more than a status.
                .http_status_as_error(false)
                .max_redirects(0)
                // A node is spoken to directly, whatever stands in the environment for the web.
                .proxy(None)
                .timeout_connect(Some(PATIENCE))
        };
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            calls: config().timeout_global(Some(PATIENCE)).build().into(),
            stream: config().timeout_recv_response(Some(SILENCE)).timeout_per_read(Some(SILENCE)).build().into(),
            hrp: OnceLock::new(),
        })
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, LinkError> {
        let answer = self.calls.get(format!("{}{path}", self.url)).call().map_err(|error| self.unreachable(&error))?;
        self.read(answer)
    }

    fn post(&self, path: &str, body: &impl Serialize) -> Result<(), LinkError> {
        let call = self.calls.post(format!("{}{path}", self.url)).send_json(body);
        // What it says beside yes is of no use here.
        self.read::<serde::de::IgnoredAny>(call.map_err(|error| self.unreachable(&error))?).map(drop)
    }

    fn read<T: DeserializeOwned>(&self, mut answer: Response<Body>) -> Result<T, LinkError> {
        if !answer.status().is_success() {
            return Err(self.refusal(answer));
        }
        let text = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_string();
        let text = text.map_err(|error| self.unreachable(&error))?;
        serde_json::from_str(&text).map_err(|error| self.strange(&error.to_string()))
    }

    /// What an answer that is no yes says.
    fn refusal(&self, mut answer: Response<Body>) -> LinkError {
        #[derive(Deserialize)]
        struct ErrorAnswer {
            error: ErrorText,
        }
        #[derive(Deserialize)]
        struct ErrorText {
            message: String,
        }
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_string().unwrap_or_default();
        match serde_json::from_str::<ErrorAnswer>(&text) {
            // A node that is busy or stops says nothing of what was asked.
            Ok(said) if status == 429 || status.is_server_error() => LinkError::Unreachable(said.error.message),
            Ok(said) => LinkError::Refused(said.error.message),
            Err(_) => self.strange(&format!("status {status}")),
        }
    }

    fn strange(&self, what: &str) -> LinkError {
        LinkError::Unreachable(format!("{} answers, but not as a node of this version: {what}", self.url))
    }

    fn unreachable(&self, error: &Error) -> LinkError {
        LinkError::Unreachable(match error {
            Error::Timeout(_) => format!("{} does not answer", self.url),
            error => format!("{}: {error}", self.url),
        })
    }
}

impl Link for HttpLink {
    fn follow(&self, hear: &mut dyn FnMut(Work), stop: &Stop) -> Result<(), LinkError> {
        let call = self.stream.get(format!("{}/rpc/work", self.url)).header("Accept", "text/event-stream").call();
        let answer = call.map_err(|error| self.unreachable(&error))?;
        if !answer.status().is_success() {
            return Err(self.refusal(answer));
        }
        let mut events = Events::new(BufReader::new(answer.into_body().into_reader()));
        while !stop.is_set() {
            let event = events.next().map_err(|error| LinkError::Unreachable(format!("{}: {error}", self.url)))?;
            let Some(event) = event else { return Ok(()) };
            let work: Work = serde_json::from_str(&event).map_err(|error| self.strange(&error.to_string()))?;
            if let Work::Chain(chain) = &work {
                // Another chain is the end of the miner, so the first counts.
                self.hrp.get_or_init(|| chain.hrp.clone());
            }
            hear(work);
        }
        Ok(())
    }

    fn hang_up(&self) {
        self.stream.clone().shutdown();
    }

    fn submit_proof(&self, proof: &MinerProof) -> Result<(), LinkError> {
        self.post("/rpc/submitProof", proof)
    }

    fn submit_signature(&self, signed: &MinerSigned) -> Result<(), LinkError> {
        self.post("/rpc/submitBlock", signed)
    }

    fn plot_state(&self, plot_key: &Hash) -> Result<PlotState, LinkError> {
        self.get(&format!("/rpc/plot/{plot_key}"))
    }

    fn next_nonce(&self, address: &Address) -> Result<u64, LinkError> {
        #[derive(Deserialize)]
        struct Balance {
            next_nonce: u64,
        }
        let hrp = self
            .hrp
            .get()
            .ok_or_else(|| LinkError::Unreachable("the node has not said which chain it is on".into()))?;
        self.get::<Balance>(&format!("/rpc/getBalance/{}", address.encode(hrp))).map(|balance| balance.next_nonce)
    }

    fn send_transaction(&self, transaction: &Transaction) -> Result<(), LinkError> {
        #[derive(Serialize)]
        struct Sent {
            transaction: String,
        }
        self.post("/rpc/sendTx", &Sent { transaction: const_hex::encode(transaction.encoded()) })
    }
}
