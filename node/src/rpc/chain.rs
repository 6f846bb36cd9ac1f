//! Blocks and transactions.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;

use super::answers::{BlockAnswer, HeadAnswer, Place, SyncAnswer, TransactionAnswer, Units};
use super::backend::{Backend, Node};
use super::error::RpcError;
use super::extract::{Asked, hash, number};
use super::shared::Shared;
use crate::chain::{Block, BlockId, Epoch, Hash, Height, Transaction, TransactionId, encode};
use crate::consensus::Engine;
use crate::state::Ledger;
use crate::store::{Body, Database, Store, StoreError, StoredHeader};

/// How often entries are read again that did not fit each other, because the chain had gone on in between.
const TRIES: usize = 3;

pub(super) async fn head<B: Backend>(State(shared): State<Arc<Shared<B>>>) -> Result<Json<HeadAnswer>, RpcError> {
    let look = |node: &mut B::Node, now_ms| {
        let chain = node.chain();
        let tip = chain.tip().clone();
        let record = Ledger::new(chain.store().state(tip.height)).chain().map_err(StoreError::from)?;
        let clock_epoch = chain.engine().epoch_of(now_ms).unwrap_or(Epoch(0));
        Ok::<_, StoreError>((tip, record, clock_epoch, node.is_behind(), node.progress()))
    };
    let (tip, record, clock_epoch, syncing, progress) = shared.ask(look).await??;
    let parameters = shared.parameters();
    Ok(Json(HeadAnswer {
        network: parameters.network.clone(),
        hrp: parameters.hrp.clone(),
        genesis: shared.genesis,
        id: tip.id,
        height: tip.height,
        epoch: tip.epoch,
        timestamp_ms: tip.timestamp_ms,
        weight: Hash(tip.weight.to_bytes()),
        clock_epoch,
        syncing,
        sync: SyncAnswer {
            headers: progress.headers,
            target: progress.target,
            milliblocks_per_second: (progress.blocks_per_second.max(0.0) * 1000.0) as u64,
            left_ms: progress.left_ms,
            peers: progress.peers as u64,
        },
        coinbase_maturity: parameters.coinbase_maturity,
        log2_columns: parameters.log2_columns,
        rounds: parameters.rounds,
        min_rows: parameters.min_rows,
        issued: Units(record.issued),
        burnt: Units(record.burnt),
        software: shared.options.software.clone(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockQuery {
    #[serde(default)]
    raw: bool,
}

pub(super) async fn block<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    Path(which): Path<String>,
    Asked(query): Asked<BlockQuery>,
) -> Result<Json<BlockAnswer>, RpcError> {
    let read = move |shared: &Shared<B>| {
        let id = match which.len() {
            64 => BlockId(hash("block id", &which)?.0),
            _ => {
                let height = Height(number("height or block id", &which)?);
                let none = || RpcError::not_found(format!("no block of the best chain has height {height}"));
                shared.store.id_at(height)?.ok_or_else(none)?
            }
        };
        answer_block(shared, id, query.raw)
    };
    shared.read(read).await.map(Json)
}

fn answer_block<B: Backend>(shared: &Shared<B>, id: BlockId, raw: bool) -> Result<BlockAnswer, RpcError> {
    let store = &shared.store;
    let none = || RpcError::not_found(format!("no block {id} is kept"));
    let StoredHeader { header, proof, .. } = store.header(&id)?.ok_or_else(none)?;
    let body = store.body(&id)?;
    let best_chain = store.id_at(header.height)? == Some(id);
    let confirmations = if best_chain { confirmations(store, header.height)? } else { 0 };
    let short = |body: &Body| {
        let transactions = body.transactions.iter();
        transactions.map(|transaction| TransactionAnswer::of(transaction, shared.parameters())).collect()
    };
    let transactions = body.as_ref().map(short);
    let mut answer = BlockAnswer {
        id,
        best_chain,
        confirmations,
        height: header.height,
        epoch: header.epoch,
        timestamp_ms: header.timestamp_ms,
        parent: header.parent,
        target: Hash(header.target.0),
        score: Hash(header.score.0),
        miner_key: header.miner_key,
        plot_id: header.plot_id,
        transaction_root: header.transaction_root,
        state_root: header.state_root,
        transactions,
        raw: None,
    };
    if raw && let Some(Body { transactions, metadata }) = body {
        answer.raw = Some(const_hex::encode(encode(&Block { header, proof, transactions, metadata })));
    }
    Ok(answer)
}

pub(super) async fn transaction<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    Path(id): Path<String>,
) -> Result<Json<TransactionAnswer>, RpcError> {
    let id = TransactionId(hash("transaction id", &id)?.0);
    let in_pool = move |node: &mut B::Node, _| node.pool().pool().get(&id).cloned();
    if let Some(found) = shared.ask(in_pool).await? {
        return Ok(Json(TransactionAnswer::at(found.get(), shared.parameters(), Place::Pool)));
    }
    let read = move |shared: &Shared<B>| {
        for _ in 0..TRIES {
            match mined(&shared.store, &id)? {
                Mined::Nowhere => break,
                Mined::At(transaction, place) => {
                    return Ok(TransactionAnswer::at(&transaction, shared.parameters(), place));
                }
                Mined::Moved => {}
            }
        }
        Err(RpcError::not_found(format!("transaction {id} is neither in the best chain nor in this node's pool")))
    };
    shared.read(read).await.map(Json)
}

enum Mined {
    Nowhere,
    At(Box<Transaction>, Place),
    /// Another branch took over while it was looked for.
    Moved,
}

fn mined<D: Database>(store: &Store<D>, id: &TransactionId) -> Result<Mined, StoreError> {
    let Some((height, index)) = store.transaction_place(id)? else { return Ok(Mined::Nowhere) };
    let Some(block) = store.id_at(height)? else { return Ok(Mined::Moved) };
    let (Some(stored), Some(mut body)) = (store.header(&block)?, store.body(&block)?) else { return Ok(Mined::Moved) };
    let place = index as usize;
    if body.transactions.get(place).is_none_or(|found| found.id() != *id) {
        return Ok(Mined::Moved);
    }
    let transaction = Box::new(body.transactions.swap_remove(place));
    let (timestamp_ms, confirmations) = (stored.header.timestamp_ms, confirmations(store, height)?);
    Ok(Mined::At(transaction, Place::Block { height, block, timestamp_ms, index, confirmations }))
}

/// Blocks from `height` to the tip, both included.
fn confirmations<D: Database>(store: &Store<D>, height: Height) -> Result<u64, StoreError> {
    let tip = store.known_header(&store.tip()?)?.lineage.height;
    Ok((tip.0 + 1).saturating_sub(height.0))
}
