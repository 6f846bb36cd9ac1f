//! Sending transactions, and what that costs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::answers::{FeeAnswer, SentAnswer, Units};
use super::backend::{Backend, Node};
use super::error::RpcError;
use super::extract::{Asked, Body};
use super::shared::Shared;
use crate::chain::{Amount, Transaction, decode};
use crate::chain_pool::PoolError;
use crate::consensus::Fees;
use crate::mempool::{MAX_TRANSACTION_BYTES, Refusal};

/// What a transaction pays for the next block: so much more than the least of those that fill it.
const AHEAD_TENTHS: u128 = 11;

/// What is sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    /// The transaction's borsh, in hex.
    transaction: String,
}

pub(super) async fn send<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    Body(sent): Body<Sent>,
) -> Result<Json<SentAnswer>, RpcError> {
    let text = sent.transaction;
    if text.len() > 2 * MAX_TRANSACTION_BYTES {
        let bytes = text.len() / 2;
        let message = format!("a transaction of {bytes} bytes, at most {MAX_TRANSACTION_BYTES} are held");
        return Err(RpcError::refused("invalid_transaction", message));
    }
    let bytes = const_hex::decode(&text).map_err(|error| RpcError::bad_request(format!("transaction: {error}")))?;
    let transaction: Transaction = decode("transaction", &bytes, MAX_TRANSACTION_BYTES)
        .map_err(|error| RpcError::refused("invalid_transaction", error))?;
    let id = transaction.id();
    let offered = shared.ask(move |node: &mut B::Node, _| node.offer(transaction)).await?;
    match offered {
        Ok(id) => Ok(Json(SentAnswer { id, known: false })),
        // Whoever did not get the answer sends it again, and nothing is lost by it.
        Err(PoolError::Refused(Refusal::Known { .. })) => Ok(Json(SentAnswer { id, known: true })),
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeeQuery {
    bytes: u64,
}

pub(super) async fn estimate_fee<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    Asked(FeeQuery { bytes }): Asked<FeeQuery>,
) -> Result<Json<FeeAnswer>, RpcError> {
    if bytes == 0 || bytes > MAX_TRANSACTION_BYTES as u64 {
        return Err(RpcError::bad_request(format!("bytes: a transaction has 1 to {MAX_TRANSACTION_BYTES}")));
    }
    let room = u64::from(shared.parameters().max_block_bytes);
    let look = move |node: &mut B::Node, _| {
        let pool = node.pool().pool();
        // Less than a block waits: the least is enough. Otherwise all is taken along and looked at elsewhere.
        let waiting = if pool.bytes() as u64 <= room { Vec::new() } else { pool.iter().cloned().collect() };
        (pool.limits().floor, waiting)
    };
    let (floor, waiting) = shared.ask(look).await?;
    let least = least_fee(&floor, bytes);
    let paid = waiting.iter().map(|transaction| (transaction.get().fee, transaction.bytes() as u64));
    let next_block = least.max(marginal_fee(paid.collect(), room, bytes));
    Ok(Json(FeeAnswer { bytes, least: Units(least), next_block: Units(next_block) }))
}

fn least_fee(floor: &Fees, bytes: u64) -> Amount {
    Amount(floor.base.0.saturating_add(floor.per_byte.0.saturating_mul(bytes)))
}

/// What `bytes` bytes pay to be among the best `room` bytes of what waits, given as fees and bytes: a tenth more than the
/// last of those.
fn marginal_fee(mut waiting: Vec<(Amount, u64)>, room: u64, bytes: u64) -> Amount {
    // By fee a byte, the best first, without dividing.
    waiting.sort_by(|(fee, bytes), (other_fee, other_bytes)| {
        (u128::from(other_fee.0) * u128::from(*bytes)).cmp(&(u128::from(fee.0) * u128::from(*other_bytes)))
    });
    let mut filled = 0;
    for (fee, length) in waiting {
        filled += length;
        if filled + bytes > room {
            let needed = u128::from(fee.0) * u128::from(bytes) * AHEAD_TENTHS / (10 * u128::from(length.max(1)));
            return Amount(u64::try_from(needed).unwrap_or(u64::MAX));
        }
    }
    Amount::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_that_fits_says_what_the_next_block_costs() {
        let waiting = vec![(Amount(100), 100), (Amount(1000), 100), (Amount(500), 100)];
        assert_eq!(marginal_fee(waiting.clone(), 1000, 100), Amount(0), "there is room for all");
        assert_eq!(marginal_fee(waiting.clone(), 300, 100), Amount(110), "the worst has to go");
        assert_eq!(marginal_fee(waiting.clone(), 200, 100), Amount(550));
        assert_eq!(marginal_fee(waiting.clone(), 200, 50), Amount(275), "half of the bytes, half of the fee");
        assert_eq!(marginal_fee(vec![(Amount(u64::MAX), 1)], 1, u64::from(u32::MAX)), Amount(u64::MAX));
        assert_eq!(marginal_fee(vec![], 0, 100), Amount(0));
    }
}
