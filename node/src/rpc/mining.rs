//! What miners follow and send.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::backend::{Backend, Denied, Node};
use super::error::RpcError;
use super::extract::{Body, hash};
use super::shared::Shared;
use crate::chain::BlockId;
use crate::miner::work::{MinerProof, MinerSigned, PlotState, Work};
use crate::service::Stopped;

/// How often a comment says that a stream lives: miners that hear nothing for some of these connect anew.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// One miner's stream.
struct Follower<B> {
    handle: B,
    work: Receiver<Work>,
    /// What is told before the next of `work`.
    first: VecDeque<Work>,
    stopping: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl<B: Backend> Follower<B> {
    /// What is told from the beginning.
    async fn begin(&mut self) -> Result<(), Stopped> {
        // Heard from now on: what is told in between comes twice, and each kind replaces what was told of it before.
        self.work = self.handle.subscribe_work();
        let look = |node: &mut B::Node, now_ms| node.work(now_ms);
        self.first = self.handle.with(look).await?.into();
        Ok(())
    }

    /// The next that is told; none once the node or the server ends.
    async fn next(&mut self) -> Option<Work> {
        loop {
            if let Some(work) = self.first.pop_front() {
                return Some(work);
            }
            let told = tokio::select! {
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                told = self.work.recv() => told,
            };
            match told {
                Ok(work) => return Some(work),
                Err(RecvError::Closed) => return None,
                // Something was lost, so all is told again.
                Err(RecvError::Lagged(_)) => self.begin().await.ok()?,
            }
        }
    }
}

pub(super) async fn work<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, RpcError> {
    let too_many = || RpcError::busy("as many miners as are allowed follow this node already");
    let permit = Semaphore::try_acquire_owned(Arc::clone(&shared.streams)).map_err(|_| too_many())?;
    let handle = shared.handle.clone();
    let mut follower = Follower {
        work: handle.subscribe_work(),
        handle,
        first: VecDeque::new(),
        stopping: shared.stopping.clone(),
        _permit: permit,
    };
    follower.begin().await?;
    let events = stream::unfold(follower, async |mut follower| {
        let work = follower.next().await?;
        let event = Event::default().json_data(&work).expect("work has a form in JSON");
        Some((Ok(event), follower))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)))
}

/// It was taken.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Taken {
    taken: bool,
}

pub(super) async fn submit_proof<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    Body(proof): Body<MinerProof>,
) -> Result<Json<Taken>, RpcError> {
    let submit = move |node: &mut B::Node, now_ms| node.submit_proof(proof, now_ms);
    match shared.ask(submit).await? {
        Ok(()) => Ok(Json(Taken { taken: true })),
        Err(Denied::Store(error)) => Err(error.into()),
        Err(Denied::NotNow(reason)) => Err(RpcError::busy(reason)),
        Err(Denied::Refused(reason)) => Err(RpcError::refused("refused_proof", reason)),
    }
}

/// A block was made and told to the network.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Made {
    id: BlockId,
}

pub(super) async fn submit_block<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    Body(signed): Body<MinerSigned>,
) -> Result<Json<Made>, RpcError> {
    let submit = move |node: &mut B::Node, now_ms| node.submit_signature(signed, now_ms);
    match shared.ask(submit).await? {
        Ok(id) => Ok(Json(Made { id })),
        Err(Denied::Store(error)) => Err(error.into()),
        Err(Denied::NotNow(reason)) => Err(RpcError::busy(reason)),
        Err(Denied::Refused(reason)) => Err(RpcError::refused("refused_signature", reason)),
    }
}

pub(super) async fn plot<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    Path(plot_key): Path<String>,
) -> Result<Json<PlotState>, RpcError> {
    let plot_key = hash("plot key", &plot_key)?;
    let look = move |node: &mut B::Node, _| node.plot_state(plot_key);
    Ok(Json(shared.ask(look).await??))
}

/// What mines here.
#[derive(Debug, Serialize)]
pub(super) struct FarmAnswer {
    /// Miners that follow `/rpc/work`.
    followers: usize,
    /// What the miner in the node's own process says, if there is one.
    own: Option<serde_json::Value>,
}

pub(super) async fn farm<B: Backend>(State(shared): State<Arc<Shared<B>>>) -> Json<FarmAnswer> {
    let followers = (shared.options.config.streams as usize).saturating_sub(shared.streams.available_permits());
    Json(FarmAnswer { followers, own: (shared.options.hooks.farm)() })
}
