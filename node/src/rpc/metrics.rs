//! Figures for monitors, in the text format of Prometheus (OpenMetrics 1.0).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::backend::{Backend, Node};
use super::error::RpcError;
use super::shared::Shared;
use crate::chain::Epoch;
use crate::consensus::Engine;
use crate::network::peers;
use crate::network::swarm::Traffic;
use crate::participant::Counters;
use crate::sync::Progress;

/// The type of what is answered.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a participant is asked for, at one moment.
struct Figures {
    height: u64,
    epoch: u64,
    clock_epoch: u64,
    syncing: bool,
    waiting_blocks: usize,
    branches: usize,
    pool: usize,
    pool_bytes: usize,
    inbound: usize,
    outbound: usize,
    ready: usize,
    bans: usize,
    clock_offset_ms: Option<i64>,
    progress: Progress,
    happened: Counters,
    network: peers::Counters,
}

impl Figures {
    fn of(node: &impl Node, now_ms: u64) -> Self {
        let (chain, pool, peers) = (node.chain(), node.pool().pool(), node.peers());
        let views = peers.views(now_ms);
        let outbound = views.iter().filter(|view| view.outbound).count();
        Self {
            height: chain.tip().height.0,
            epoch: chain.tip().epoch.0,
            clock_epoch: chain.engine().epoch_of(now_ms).unwrap_or(Epoch(0)).0,
            syncing: node.is_behind(),
            waiting_blocks: chain.waiting(),
            branches: chain.branch_tips().len(),
            pool: pool.len(),
            pool_bytes: pool.bytes(),
            inbound: views.len() - outbound,
            outbound,
            ready: views.iter().filter(|view| view.ready).count(),
            bans: peers.bans().len(),
            clock_offset_ms: peers.clock_offset_ms(),
            progress: node.progress(),
            happened: node.counters(),
            network: *peers.counters(),
        }
    }
}

/// A registry of values that are known already: it is made anew for every answer.
struct Sheet(Registry);

impl Sheet {
    fn gauge(&mut self, name: &str, help: &str, value: impl TryInto<i64>) {
        self.0.register(name, help, ConstGauge::new(value.try_into().unwrap_or(i64::MAX)));
    }

    fn rate(&mut self, name: &str, help: &str, value: f64) {
        self.0.register(name, help, ConstGauge::new(value));
    }

    /// The name is written with `_total` behind it.
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.0.register(name, help, ConstCounter::new(value));
    }
}

pub(super) async fn metrics<B: Backend>(State(shared): State<Arc<Shared<B>>>) -> Result<Response, RpcError> {
    let look = |node: &mut B::Node, now_ms| Figures::of(node, now_ms);
    let figures = shared.ask(look).await?;
    let mut sheet = Sheet(Registry::with_prefix("spacetime"));
    fill(&mut sheet, &figures);
    let served = &shared.served;
    for (name, help, counter) in [
        ("rpc_answered", "Calls that were answered", &served.well),
        ("rpc_refused", "Calls that were the caller's mistake", &served.refused),
        ("rpc_failed", "Calls that the node could not answer", &served.failed),
    ] {
        sheet.counter(name, help, counter.load(Ordering::Relaxed));
    }
    fill_traffic(&mut sheet, &(shared.options.hooks.traffic)());
    let streams = shared.options.config.streams as usize;
    let followers = streams.saturating_sub(shared.streams.available_permits());
    sheet.gauge("rpc_work_streams", "Miners that follow the node's work", followers as u64);
    let mut text = String::new();
    encode(&mut text, &sheet.0).map_err(|error| RpcError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error))?;
    Ok(([(header::CONTENT_TYPE, TEXT)], text).into_response())
}

fn fill_traffic(sheet: &mut Sheet, traffic: &Traffic) {
    sheet.gauge("connections", "Connections with peers", traffic.connections);
    sheet.counter("connections_barred", "Connections that were refused by ban or address", traffic.refused);
    sheet.counter("messages_malformed", "Bytes of peers that were no message", traffic.malformed);
    sheet.counter("messages_dropped", "Messages of peers that found no room", traffic.dropped.iter().sum());
    sheet.counter(
        "answers_refused",
        "Answers that a peer was refused, who did not read others",
        traffic.refused_answers,
    );
    sheet.counter("received_bytes", "Bytes of questions, answers and gossip that came in", traffic.received_bytes);
    sheet.counter(
        "sent_bytes",
        "Bytes of questions and answers, and of gossip once, that went out",
        traffic.sent_bytes,
    );
    sheet.counter("gossip_received", "Gossip that came in, each once", traffic.gossip_received);
    sheet.counter("gossip_published", "Gossip of this node's own", traffic.gossip_published);
}

fn fill(sheet: &mut Sheet, figures: &Figures) {
    let Figures { happened, network, .. } = figures;
    sheet.gauge("height", "Height of the best chain", figures.height);
    sheet.gauge("epoch", "Epoch of the best chain's last block", figures.epoch);
    sheet.gauge("clock_epoch", "Epoch by the node's clock", figures.clock_epoch);
    sheet.gauge("syncing", "Whether the node is catching up", i64::from(figures.syncing));
    let progress = figures.progress;
    sheet.gauge("sync_headers", "Height up to which headers were verified", progress.headers.0);
    sheet.gauge("sync_target", "Height of the heaviest chain that anybody claims", progress.target.0);
    sheet.rate("sync_blocks_per_second", "Blocks a second over the last half minute", progress.blocks_per_second);
    sheet.gauge("blocks_waiting", "Blocks that wait for their parent or more weight", figures.waiting_blocks as u64);
    sheet.gauge("branches", "Branches beside the best chain", figures.branches as u64);
    sheet.gauge("pool_transactions", "Transactions that wait for a block", figures.pool as u64);
    sheet.gauge("pool_bytes", "Their bytes", figures.pool_bytes as u64);
    sheet.gauge("peers_inbound", "Peers that came by themselves", figures.inbound as u64);
    sheet.gauge("peers_outbound", "Peers that were dialled", figures.outbound as u64);
    sheet.gauge("peers_ready", "Peers that said HELLO", figures.ready as u64);
    sheet.gauge("bans", "Who is kept out now", figures.bans as u64);
    if let Some(offset_ms) = figures.clock_offset_ms {
        sheet.gauge("clock_offset_ms", "How far peers' clocks are ahead, by the middle one", offset_ms);
    }
    sheet.counter("blocks_connected", "Blocks that came to stand on the best chain", happened.connected);
    sheet.counter("blocks_refused", "Blocks that were refused", happened.refused);
    sheet.counter("reorganisations", "How often another branch took over", happened.reorganised);
    sheet.counter("alarms", "Forks too deep to be followed", happened.alarms);
    sheet.counter("proofs_submitted", "Proofs of this node's miners that were taken", happened.submitted);
    sheet.counter("blocks_proposed", "Blocks of this node's miners", happened.proposed);
    sheet.counter("peer_connections", "Connections that were taken", network.connected);
    sheet.counter("peer_connections_refused", "Connections that were let go at once", network.refused);
    sheet.counter("dials", "Attempts to connect", network.dials);
    sheet.counter("dials_failed", "Attempts to connect in vain", network.dials_failed);
    sheet.counter("bans_imposed", "Bans since the start", network.banned);
    sheet.counter("offences", "What peers did wrong", network.offences.iter().sum());
    sheet.counter("messages_limited", "Messages of peers over a limit", network.limited.iter().sum());
    sheet.counter("answers_bytes", "Bytes of large answers to peers", network.sent_bytes);
}
