//! What a node answers over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

/// Longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A node's HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Rpc {
    agent: Agent,
    /// Where it is.
    pub(crate) at: SocketAddr,
}

/// Where a node's chain ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The block.
    pub(crate) id: String,
    /// Its height.
    pub(crate) height: u64,
    /// The epoch that the node's clock is in.
    pub(crate) clock_epoch: u64,
}

impl Rpc {
    pub(crate) fn new(at: SocketAddr) -> Self {
        let config = Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None);
        Self { agent: config.build().into(), at }
    }

    /// What a path has; none if it has nothing, or nobody answers.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        let mut answer = self.agent.get(format!("http://{}{path}", self.at)).call().ok()?;
        answer.body_mut().read_json().ok()
    }

    /// Where its chain ends.
    pub(crate) fn head(&self) -> Option<Head> {
        let head = self.get("/rpc/getHead")?;
        let number = |name: &str| head[name].as_u64();
        Some(Head {
            id: head["id"].as_str()?.to_owned(),
            height: number("height")?,
            clock_epoch: number("clock_epoch")?,
        })
    }

    /// The id of the best chain's block at a height.
    pub(crate) fn id_at(&self, height: u64) -> Option<String> {
        Some(self.get(&format!("/rpc/getBlock/{height}"))?["id"].as_str()?.to_owned())
    }

    /// Ids of peers that are ready.
    pub(crate) fn peers(&self) -> Vec<String> {
        let answer = self.get("/rpc/peers").unwrap_or_default();
        let ready = answer["peers"].as_array().into_iter().flatten().filter(|peer| peer["ready"] == true);
        ready.filter_map(|peer| peer["id"].as_str().map(str::to_owned)).collect()
    }

    /// One of the figures of `/metrics`.
    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        let mut answer = self.agent.get(format!("http://{}/metrics", self.at)).call().ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.split(' ').next()?.parse().ok()
    }
}
