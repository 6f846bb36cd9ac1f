//! What callers send, read with our own words for what is wrong with it.

use std::str::FromStr;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::RpcError;
use crate::chain::Hash;

/// A body in JSON.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = RpcError;

    async fn from_request(request: Request, state: &S) -> Result<Self, RpcError> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(refusal(&rejection)),
        }
    }
}

fn refusal(rejection: &JsonRejection) -> RpcError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => RpcError::too_large(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => RpcError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media_type",
            "the body must be JSON, and content-type application/json must say so",
        ),
        _ => RpcError::bad_request(rejection.body_text()),
    }
}

/// Values behind the question mark.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = RpcError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RpcError> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|rejection| RpcError::bad_request(rejection.body_text()))
    }
}

/// 32 bytes in hex, part of a path.
pub(super) fn hash(what: &str, text: &str) -> Result<Hash, RpcError> {
    let mut bytes = [0; 32];
    if text.len() != 64 || const_hex::decode_to_slice(text, &mut bytes).is_err() {
        return Err(RpcError::bad_request(format!("{what}: expected 64 hex digits")));
    }
    Ok(Hash(bytes))
}

/// A number, part of a path.
pub(super) fn number<T: FromStr>(what: &str, text: &str) -> Result<T, RpcError> {
    text.parse().map_err(|_| RpcError::bad_request(format!("{what}: expected a number")))
}
