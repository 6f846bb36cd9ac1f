//! Whether the node answers, whether it is of use, and whom it knows.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answers::{HealthAnswer, ReadyAnswer};
use super::backend::{Backend, Node};
use super::error::RpcError;
use super::shared::Shared;
use crate::chain::Height;
use crate::network::peers::PeerView;

/// A node that answers does so in this time.
const ANSWER: Duration = Duration::from_secs(2);

pub(super) async fn health<B: Backend>(State(shared): State<Arc<Shared<B>>>) -> Result<Json<HealthAnswer>, RpcError> {
    let look = shared.ask(|node: &mut B::Node, _| node.chain().tip().height);
    match tokio::time::timeout(ANSWER, look).await {
        Ok(height) => Ok(Json(HealthAnswer { height: height? })),
        Err(_) => Err(RpcError::busy("the node has not answered for two seconds")),
    }
}

pub(super) async fn ready<B: Backend>(State(shared): State<Arc<Shared<B>>>) -> Response {
    let look = |node: &mut B::Node, _| (node.is_behind(), node.may_mine(), node.chain().tip().height);
    let reasons = match tokio::time::timeout(ANSWER, shared.ask(look)).await {
        Err(_) => vec!["the node has not answered for two seconds".to_owned()],
        Ok(Err(_)) => vec!["the node has stopped".to_owned()],
        Ok(Ok((behind, may_mine, height))) => reasons(behind, may_mine, height),
    };
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ReadyAnswer { ready: reasons.is_empty(), reasons })).into_response()
}

fn reasons(behind: bool, may_mine: bool, height: Height) -> Vec<String> {
    match (behind, may_mine) {
        (true, _) => vec![format!("catching up with the network, at height {height} now")],
        (false, false) => vec!["no peer is connected".to_owned()],
        (false, true) => Vec::new(),
    }
}

/// Who is there.
#[derive(Debug, Serialize)]
pub(super) struct PeersAnswer {
    /// What the network knows of this node: its id and where it listens.
    own: serde_json::Value,
    /// How far peers' clocks are ahead of this node's, milliseconds, by the middle one.
    clock_offset_ms: Option<i64>,
    /// Those that are connected.
    peers: Vec<PeerAnswer>,
}

/// One of them.
#[derive(Debug, Serialize)]
struct PeerAnswer {
    id: String,
    address: Option<String>,
    outbound: bool,
    ready: bool,
    software: String,
    height: Option<Height>,
    score: i64,
    rtt_ms: Option<u64>,
    clock_offset_ms: Option<i64>,
    since_ms: u64,
}

pub(super) async fn peers<B: Backend>(State(shared): State<Arc<Shared<B>>>) -> Result<Json<PeersAnswer>, RpcError> {
    let look = |node: &mut B::Node, now_ms| (node.peers().views(now_ms), node.peers().clock_offset_ms());
    let (views, clock_offset_ms) = shared.ask(look).await?;
    let peers = views.into_iter().map(|view: PeerView| PeerAnswer {
        id: view.id.to_string(),
        address: view.address,
        outbound: view.outbound,
        ready: view.ready,
        software: view.software,
        height: view.tip.map(|tip| tip.height),
        score: view.score,
        rtt_ms: view.rtt_ms,
        clock_offset_ms: view.clock_offset_ms,
        since_ms: view.since_ms,
    });
    Ok(Json(PeersAnswer { own: (shared.options.hooks.network)(), clock_offset_ms, peers: peers.collect() }))
}
