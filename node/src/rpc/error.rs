//! What a caller is told when there is no answer: `{"error": {"code": "…", "message": "…"}}` with the status that fits.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tracing::error;

use crate::chain_pool::PoolError;
use crate::mempool::Refusal;
use crate::service::Stopped;
use crate::store::StoreError;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Seconds after which it is worth another try.
    retry_s: Option<u32>,
}

/// The body of an answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// What went wrong.
    pub error: ErrorText,
}

/// What went wrong, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorText {
    /// For programs; it stays the same.
    pub code: String,
    /// For people.
    pub message: String,
}

impl RpcError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl ToString) -> Self {
        Self { status, code, message: message.to_string(), retry_s: None }
    }

    /// The call itself is wrong.
    pub(super) fn bad_request(message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// What was asked for is not there.
    pub(super) fn not_found(message: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// The node has other things to do.
    pub(super) fn busy(message: impl ToString) -> Self {
        Self { retry_s: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message) }
    }

    /// There were too many calls.
    pub(super) fn too_many(message: impl ToString) -> Self {
        Self { retry_s: Some(1), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message) }
    }

    /// More is sent than is read.
    pub(super) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is longer than this node reads")
    }

    /// What was sent was understood and is not taken.
    pub(super) fn refused(code: &'static str, message: impl ToString) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }
}

impl From<Stopped> for RpcError {
    fn from(stopped: Stopped) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", stopped)
    }
}

impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> Self {
        // Where the store is on the disk is the operator's business, and stands in the log.
        error!(%error, "a call cannot be answered: the store failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store", "the node cannot read its store; its log says why")
    }
}

impl From<PoolError> for RpcError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Invalid(error) => Self::refused("invalid_transaction", error),
            PoolError::Refused(error @ Refusal::Full { .. }) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "pool_full", error)
            }
            PoolError::Refused(error) => Self::new(StatusCode::CONFLICT, "refused_transaction", error),
            PoolError::Store(error) => error.into(),
            error @ (PoolError::Build(_) | PoolError::Save(_)) => {
                error!(%error, "a call cannot be answered");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store", "the node's pool failed; its log says why")
            }
        }
    }
}

impl IntoResponse for RpcError {
    fn into_response(self) -> Response {
        let error = ErrorText { code: self.code.to_owned(), message: self.message };
        let mut response = (self.status, Json(ErrorAnswer { error })).into_response();
        if let Some(seconds) = self.retry_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
