//! What all calls share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::http::StatusCode;
use tokio::sync::{Semaphore, watch};
use zeroize::Zeroizing;

use super::backend::{Backend, Node};
use super::error::RpcError;
use super::guard::Patience;
use super::rate::Rates;
use crate::chain::BlockId;
use crate::config;
use crate::consensus::{Parameters, Specification};
use crate::network::swarm::Traffic;
use crate::store::Store;

/// Calls at once that read blocks: each may hold some megabytes while it does.
const MAX_READS: usize = 4;
/// Walks over many blocks at once: each reads as fast as the disk gives, and the chain needs the disk as well.
const MAX_SCANS: usize = 2;

/// What the server is told beside the node.
pub struct RpcOptions {
    /// Limits and names.
    pub config: config::Rpc,
    /// What admin calls need.
    pub token: Zeroizing<[u8; 32]>,
    /// Name and version of the software.
    pub software: String,
    /// What the program does.
    pub hooks: Hooks,
    /// How long callers may take.
    pub patience: Patience,
}

/// What calls have the program do.
#[derive(Clone)]
pub struct Hooks {
    /// Ends the program in good order.
    pub stop: Arc<dyn Fn() + Send + Sync>,
    /// What the miner in this process does, if there is one.
    pub farm: Arc<dyn Fn() -> Option<serde_json::Value> + Send + Sync>,
    /// What the network knows of itself: its id and where it listens.
    pub network: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// What the network has counted.
    pub traffic: Arc<dyn Fn() -> Traffic + Send + Sync>,
}

impl fmt::Debug for RpcOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcOptions").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Default for Hooks {
    /// Nothing is to be stopped, and nothing known.
    fn default() -> Self {
        Self {
            stop: Arc::new(|| {}),
            farm: Arc::new(|| None),
            network: Arc::new(|| serde_json::Value::Null),
            traffic: Arc::new(Traffic::default),
        }
    }
}

/// What all calls share.
pub(super) struct Shared<B: Backend> {
    pub(super) handle: B,
    pub(super) store: Store<<B::Node as Node>::Database>,
    pub(super) specification: Arc<Specification>,
    pub(super) genesis: BlockId,
    pub(super) options: RpcOptions,
    pub(super) rates: Rates,
    /// Of what miners call.
    pub(super) miner_rates: Rates,
    pub(super) streams: Arc<Semaphore>,
    pub(super) scans: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    pub(super) served: Served,
    /// True once the server ends.
    pub(super) stopping: watch::Receiver<bool>,
}

/// How calls were answered.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) well: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl<B: Backend> Shared<B> {
    pub(super) async fn new(handle: B, options: RpcOptions, stopping: watch::Receiver<bool>) -> Result<Self, RpcError> {
        let look = |node: &mut B::Node, _| {
            let chain = node.chain();
            (chain.store().clone(), Arc::clone(chain.specification()), chain.genesis().id)
        };
        let (store, specification, genesis) = handle.with(look).await?;
        Ok(Self {
            store,
            specification,
            genesis,
            rates: Rates::new(options.config.burst, options.config.requests_per_second),
            miner_rates: Rates::new(options.config.burst, options.config.requests_per_second),
            streams: Arc::new(Semaphore::new(options.config.streams as usize)),
            scans: Arc::new(Semaphore::new(MAX_SCANS)),
            reads: Arc::new(Semaphore::new(MAX_READS)),
            served: Served::default(),
            stopping,
            handle,
            options,
        })
    }

    pub(super) fn parameters(&self) -> &Parameters {
        &self.specification.parameters
    }

    /// Runs `call` on the participant's thread: short things only, everything waits for them.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut B::Node, u64) -> T + Send + 'static,
    ) -> Result<T, RpcError> {
        Ok(self.handle.with(call).await?)
    }

    /// Runs `read` on a thread that may wait for the disk. The chain goes on meanwhile: whoever needs two entries that
    /// fit each other looks whether they do.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let shared = Arc::clone(self);
        let permit = Arc::clone(&self.reads).acquire_owned().await.expect("it is never closed");
        let read = move || {
            // It goes with the work, not with whoever waits for it.
            let _permit = permit;
            read(&shared)
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(result) => result,
            Err(_) => Err(RpcError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the call failed")),
        }
    }
}
