//! A node, as seen from outside: calls over HTTP.

use std::io::ErrorKind;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use spacetime_node::chain::Transaction;
use spacetime_node::rpc::answers::{BalanceAnswer, FeeAnswer, HeadAnswer, SentAnswer};
use spacetime_node::rpc::error::ErrorAnswer;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, Error};

use crate::Failure;
use crate::node::named;

/// Longest answer that is read: the largest is a page of history.
const MAX_ANSWER_BYTES: u64 = 4 << 20;
/// How long a call may take in all.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it is waited after each try to hand over a transaction.
const AGAIN: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::ZERO];

/// A call without an answer.
enum Unanswered {
    /// It was not done.
    Surely(Failure),
    /// It may have been.
    Perhaps(Failure),
}

/// Which node is asked.
#[derive(Clone, Debug, Args)]
pub(super) struct NodeUrl {
    /// The node that is asked.
    #[arg(long, value_name = "URL", env = "SPACETIME_NODE", default_value = "http://127.0.0.1:21211")]
    node: String,
}

/// A node.
pub(super) struct Node {
    agent: Agent,
    url: String,
}

impl NodeUrl {
    pub(super) fn connect(&self) -> Node {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            // The node's own words are worth more than a status.
            .http_status_as_error(false)
            .max_redirects(0)
            // A node is spoken to directly, whatever stands in the environment for the web.
            .proxy(None);
        Node { agent: config.build().into(), url: self.node.trim_end_matches('/').to_owned() }
    }
}

impl Node {
    /// The chain and where it ends. For chains that this program knows by name, that it is really that chain: what is
    /// signed holds on the chain that the node names.
    pub(super) fn head(&self) -> Result<HeadAnswer, Failure> {
        let head: HeadAnswer = self.get("/rpc/getHead")?;
        named::check(&format!("the node at {}", self.url), &head.network, &head.hrp, head.genesis)?;
        Ok(head)
    }

    pub(super) fn balance(&self, address: &str, proof: bool) -> Result<BalanceAnswer, Failure> {
        self.get(&format!("/rpc/getBalance/{address}?proof={proof}"))
    }

    pub(super) fn fee(&self, bytes: usize) -> Result<FeeAnswer, Failure> {
        self.get(&format!("/rpc/estimateFee?bytes={bytes}"))
    }

    /// Hands over a transaction; the same again where it is not known whether it arrived, which a node takes once.
    pub(super) fn send(&self, transaction: &Transaction) -> Result<SentAnswer, Failure> {
        #[derive(Serialize)]
        struct Sent {
            transaction: String,
        }
        let sent = Sent { transaction: const_hex::encode(transaction.encoded()) };
        let mut doubt = None;
        for wait in AGAIN {
            match self.post("/rpc/sendTx", &sent) {
                Err(Unanswered::Surely(failure)) if doubt.is_none() => return Err(failure),
                Err(Unanswered::Surely(failure) | Unanswered::Perhaps(failure)) => doubt = Some(failure),
                Ok(answer) => return Ok(answer),
            }
            std::thread::sleep(wait); // a node that restarts needs its time
        }
        let (id, nonce) = (transaction.id(), transaction.nonce);
        let why = doubt.map_or_else(String::new, |failure| failure.to_string());
        Err(Failure::failed(format!(
            "{why}; transaction {id} may have been sent all the same: look for it before paying again, or pay again with --nonce {nonce}, of which a chain takes one"
        )))
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.look(path)?.ok_or_else(|| Failure::failed(format!("the node at {} knows no {path}", self.url)))
    }

    /// None if the node has not what is asked for.
    pub(super) fn look<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
        let answer = self.agent.get(format!("{}{path}", self.url)).call().map_err(|error| self.unreachable(&error))?;
        if answer.status() == 404 { Ok(None) } else { self.read(answer).map(Some) }
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Unanswered> {
        let call = self.agent.post(format!("{}{path}", self.url)).send_json(body);
        let answer = call.map_err(|error| match &error {
            Error::Io(source) if source.kind() == ErrorKind::ConnectionRefused => {
                Unanswered::Surely(self.unreachable(&error))
            }
            Error::BadUri(_) | Error::Http(_) | Error::HostNotFound | Error::ConnectionFailed => {
                Unanswered::Surely(self.unreachable(&error))
            }
            _ => Unanswered::Perhaps(self.unreachable(&error)),
        })?;
        let status = answer.status();
        let surely = status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT;
        self.read(answer).map_err(if surely { Unanswered::Surely } else { Unanswered::Perhaps })
    }

    fn read<T: DeserializeOwned>(&self, mut answer: Response<Body>) -> Result<T, Failure> {
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_string();
        let text = text.map_err(|error| self.unreachable(&error))?;
        let url = &self.url;
        if status.is_success() {
            return serde_json::from_str(&text).map_err(|error| {
                Failure::failed(format!("{url} answers, but not as a node of this version: {error}"))
            });
        }
        Err(match serde_json::from_str::<ErrorAnswer>(&text) {
            Ok(ErrorAnswer { error }) => Failure::failed(format!("the node at {url} refuses: {}", error.message)),
            Err(_) => Failure::failed(format!("{url} answers with status {status}: is it a node?")),
        })
    }

    fn unreachable(&self, error: &Error) -> Failure {
        let url = &self.url;
        match error {
            Error::Timeout(_) => {
                Failure::failed(format!("the node at {url} has not answered for {}s", PATIENCE.as_secs()))
            }
            Error::BadUri(_) | Error::Http(_) => {
                Failure::usage(format!("{url} is no URL of a node: one is written like http://127.0.0.1:21211"))
            }
            error => Failure::failed(format!("cannot reach the node at {url}: {error}")),
        }
    }
}
