//! The server: where it listens, which calls there are, and how it ends.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::backend::Backend;
use super::guard::{Caller, Guarded};
use super::shared::{RpcOptions, Shared};
use super::{accounts, admin, chain, health, history, metrics, mining, screen, send};
use crate::service::Stopped;

/// How long calls that are being answered have to end when the server does.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why there is no server.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("HTTP cannot be listened on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The node has stopped already.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A server that runs until it is stopped.
#[derive(Debug)]
pub struct RpcServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl RpcServer {
    /// Listens where `options` say, and answers for the node behind `handle`.
    ///
    /// # Errors
    /// If the address is not to be had, or the node has stopped.
    pub async fn start<B: Backend>(handle: B, options: RpcOptions) -> Result<Self, StartError> {
        let wanted = options.config.listen;
        let failed = |source| StartError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().to_canonical().is_loopback() {
            warn!(%address, "HTTP is listened on an address that other machines reach, and is not encrypted");
        }
        let guarded = Guarded::new(listener, options.config.connections, options.patience);
        let (stop, stopping) = watch::channel(false);
        let shared = Shared::new(handle, options, stopping.clone()).await.map_err(|_| Stopped)?;
        let service = routes(Arc::new(shared)).into_make_service_with_connect_info::<Caller>();
        let serve = axum::serve(guarded, service).with_graceful_shutdown(stopped(stopping));
        let task = tokio::spawn(async move {
            // It ends when it is told to, and in no other way.
            let _ = serve.await;
        });
        info!(%address, "HTTP is listened for");
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more calls, and waits two seconds at most for those that are being answered.
    pub async fn stop(mut self) {
        // Whoever listens for it may have gone.
        let _ = self.stop.send(true);
        if tokio::time::timeout(FAREWELL, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// Waits until the server is to end.
async fn stopped(mut stopping: watch::Receiver<bool>) {
    // Whoever could stop it is gone: it ends too.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

fn routes<B: Backend>(shared: Arc<Shared<B>>) -> Router {
    let admin = Router::new()
        .route("/rpc/admin/stop", post(admin::stop))
        .route("/rpc/admin/ban", post(admin::ban))
        .route("/rpc/admin/unban", post(admin::unban))
        .route("/rpc/admin/connect", post(admin::connect))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&shared), screen::with_token));
    Router::new()
        .route("/rpc/getHead", get(chain::head))
        .route("/rpc/getBlock/{which}", get(chain::block))
        .route("/rpc/getTx/{id}", get(chain::transaction))
        .route("/rpc/estimateFee", get(send::estimate_fee))
        .route("/rpc/sendTx", post(send::send))
        .route("/rpc/getBalance/{address}", get(accounts::balance))
        .route("/rpc/history/{address}", get(history::history))
        .route("/rpc/peers", get(health::peers))
        .route("/rpc/farm", get(mining::farm))
        .route("/rpc/plot/{plot_key}", get(mining::plot))
        .route("/rpc/work", get(mining::work))
        .route("/rpc/submitProof", post(mining::submit_proof))
        .route("/rpc/submitBlock", post(mining::submit_block))
        .route("/metrics", get(metrics::metrics))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .merge(admin)
        .fallback(screen::no_such_call)
        .method_not_allowed_fallback(screen::no_such_method)
        .layer(DefaultBodyLimit::max(usize::try_from(shared.options.config.body_bytes).unwrap_or(usize::MAX)))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), screen::screen))
        .with_state(shared)
}
