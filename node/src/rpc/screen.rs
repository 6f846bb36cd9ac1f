//! What every call goes through before it is answered.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use tracing::debug;

use super::backend::Backend;
use super::error::RpcError;
use super::guard::Caller;
use super::shared::Shared;

/// Refuses what comes too often or from a page of somebody else, ends what takes too long, and counts.
pub(super) async fn screen<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    ConnectInfo(Caller(caller)): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = match let_in(&shared, caller, &path, request.headers()) {
        Err(error) => error.into_response(),
        Ok(()) => match tokio::time::timeout(shared.options.patience.call / 2, next.run(request)).await {
            Ok(response) => response,
            Err(_) => RpcError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the call took too long").into_response(),
        },
    };
    let status = response.status();
    let counter = match status.as_u16() {
        ..400 => &shared.served.well,
        400..500 => &shared.served.refused,
        500.. => &shared.served.failed,
    };
    counter.fetch_add(1, Ordering::Relaxed);
    debug!(%caller, %method, path, status = status.as_u16(), ms = begun.elapsed().as_millis() as u64, "call");
    response
}

/// Calls of miners: they count apart, so that a wallet's hurry, or whoever shares their address, costs no block.
const OF_MINERS: [&str; 3] = ["/rpc/work", "/rpc/submitProof", "/rpc/submitBlock"];

fn let_in<B: Backend>(shared: &Shared<B>, caller: SocketAddr, path: &str, headers: &HeaderMap) -> Result<(), RpcError> {
    if is_of_a_page(headers) {
        return Err(RpcError::new(StatusCode::FORBIDDEN, "origin", "pages in a browser may not call a node"));
    }
    let rates = if OF_MINERS.contains(&path) { &shared.miner_rates } else { &shared.rates };
    if !rates.allow(caller.ip()) {
        return Err(RpcError::too_many("too many calls from this address; try again in a second"));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    };
    let Some(host) = host else { return Err(RpcError::bad_request("the call needs one Host header")) };
    if !is_own_host(host, &shared.options.config.hosts) {
        return Err(RpcError::new(
            StatusCode::FORBIDDEN,
            "host",
            "the name in Host is not this node's: use its address, or set rpc.hosts",
        ));
    }
    // What says that it is too long is not waited for; what says nothing is counted while it is read.
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > shared.options.config.body_bytes) {
        return Err(RpcError::too_large());
    }
    Ok(())
}

/// Whether a browser says that a page makes this call, of which a node has none itself. Some are made without asking
/// first; all of them say where they come from.
fn is_of_a_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    headers.contains_key(header::ORIGIN) || site.is_some_and(|site| site != b"none")
}

/// Whether a call was meant for this node. A page that a browser loaded from elsewhere can have its own name point here,
/// but then that name stands in `Host`, and no address does.
fn is_own_host(host: &str, names: &[String]) -> bool {
    if host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let in_brackets = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    in_brackets.is_some_and(|name| name.parse::<IpAddr>().is_ok())
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Lets in who has the token alone.
pub(super) async fn with_token<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    request: Request,
    next: Next,
) -> Response {
    if has_token(request.headers(), &shared.options.token) {
        return next.run(request).await;
    }
    let message = "this call needs the token of the file rpc.token: Authorization: Bearer TOKEN";
    RpcError::new(StatusCode::UNAUTHORIZED, "token", message).into_response()
}

fn has_token(headers: &HeaderMap, token: &[u8; 32]) -> bool {
    let mut given = [0; 32];
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let digits = text.and_then(|text| text.strip_prefix("Bearer ")).map(str::trim);
    let is_hex =
        digits.is_some_and(|digits| digits.len() == 64 && const_hex::decode_to_slice(digits, &mut given).is_ok());
    // How far the two agree must not be seen in the time it takes: their hashes tell nothing.
    is_hex && Sha256::digest(given) == Sha256::digest(token)
}

pub(super) async fn no_such_call() -> RpcError {
    RpcError::not_found("there is no such call")
}

pub(super) async fn no_such_method() -> RpcError {
    RpcError::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this call takes another method")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn hosts() {
        let names = ["node.example".to_owned()];
        for host in [
            "127.0.0.1",
            "127.0.0.1:21211",
            "[::1]",
            "[::1]:21211",
            "localhost",
            "LocalHost:1",
            "192.0.2.1:80",
            "node.example",
            "NODE.example:21211",
        ] {
            assert!(is_own_host(host, &names), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:21211",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[evil]",
            "x:y",
        ] {
            assert!(!is_own_host(host, &names), "{host}");
        }
        assert!(!is_own_host("node.example", &[]));
    }

    #[test]
    fn pages() {
        let called = |name: &'static str, value: &'static str| {
            is_of_a_page(&HeaderMap::from_iter([(
                header::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )]))
        };
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(called(name, value), "{name}: {value}");
        }
        // A person who types the address, and whatever is no browser.
        assert!(!called("sec-fetch-site", "none") && !called("accept", "*/*"));
    }

    #[test]
    fn tokens() {
        let token = [0xab; 32];
        let given = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(text).unwrap());
            has_token(&headers, &token)
        };
        assert!(given(&format!("Bearer {}", "ab".repeat(32))));
        assert!(!given(&format!("Bearer {}ac", "ab".repeat(31))));
        for text in ["", "Bearer", "Bearer ", "Bearer abab", &"ab".repeat(32), &format!("Basic {}", "ab".repeat(32))] {
            assert!(!given(text), "{text}");
        }
        assert!(!has_token(&HeaderMap::new(), &token));
        assert!(!has_token(&HeaderMap::new(), &[0; 32]), "nothing is no token");
    }
}
