//! What the operator alone may do.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tracing::info;

use super::backend::{Backend, Node};
use super::error::RpcError;
use super::extract::Body;
use super::shared::Shared;
use crate::network::PeerId;
use crate::network::address::PeerAddress;
use crate::network::record::Banned;

/// Longest ban: ten years.
const MAX_BAN_S: u64 = 10 * 365 * 86_400;
/// Longest text of a peer's id or of an IP address.
const MAX_NAME_BYTES: usize = 64;

/// It was done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    done: bool,
}

const DONE: Json<Done> = Json(Done { done: true });

pub(super) async fn stop<B: Backend>(State(shared): State<Arc<Shared<B>>>) -> Json<Done> {
    info!("a call asks the node to stop");
    (shared.options.hooks.stop)();
    DONE
}

/// Who: a peer by its id, or whoever is at an address.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Who {
    Peer(String),
    Address(String),
}

impl Who {
    fn banned(&self) -> Result<Banned, RpcError> {
        let bounded = |text: &str| text.len() <= MAX_NAME_BYTES;
        match self {
            Self::Peer(text) => {
                let bytes = Some(text).filter(|text| bounded(text)).and_then(|text| bs58::decode(text).into_vec().ok());
                let peer = bytes.and_then(|bytes| PeerId::from_multihash(&bytes));
                peer.map(Banned::Peer).ok_or_else(|| RpcError::bad_request("peer: expected a peer's id (12D3Koo…)"))
            }
            Self::Address(text) => {
                let address: Option<IpAddr> =
                    Some(text).filter(|text| bounded(text)).and_then(|text| text.parse().ok());
                address.map(Banned::ip).ok_or_else(|| RpcError::bad_request("address: expected an IP address"))
            }
        }
    }
}

/// Who is kept out, and for how long.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ban {
    #[serde(flatten)]
    who: Who,
    seconds: u64,
}

pub(super) async fn ban<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    Body(ban): Body<Ban>,
) -> Result<Json<Done>, RpcError> {
    let who = ban.who.banned()?;
    if !(1..=MAX_BAN_S).contains(&ban.seconds) {
        return Err(RpcError::bad_request(format!("seconds: 1 to {MAX_BAN_S} are allowed")));
    }
    let ms = ban.seconds * 1000;
    let act = move |node: &mut B::Node, now_ms: u64| node.ban(who, now_ms + ms, now_ms);
    shared.ask(act).await?;
    Ok(DONE)
}

pub(super) async fn unban<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    Body(who): Body<Who>,
) -> Result<Json<Done>, RpcError> {
    let who = who.banned()?;
    let pardoned = shared.ask(move |node: &mut B::Node, _| node.pardon(&who)).await?;
    if pardoned { Ok(DONE) } else { Err(RpcError::not_found("there is no such ban")) }
}

/// Where to connect to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Connect {
    /// A multiaddr.
    address: String,
}

pub(super) async fn connect<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    Body(connect): Body<Connect>,
) -> Result<Json<Done>, RpcError> {
    let address =
        PeerAddress::parse(&connect.address).map_err(|error| RpcError::bad_request(format!("address: {error}")))?;
    shared.ask(move |node: &mut B::Node, now_ms| node.dial(&address, now_ms)).await?;
    Ok(DONE)
}
