//! What an account has.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;

use super::answers::{BalanceAnswer, ProofAnswer, Units};
use super::backend::{Backend, Node};
use super::error::RpcError;
use super::extract::Asked;
use super::shared::Shared;
use crate::chain::{Address, Height, encode};
use crate::consensus::Parameters;
use crate::manager::ChainManager;
use crate::mempool::StateView;
use crate::store::{Database, StoreError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BalanceQuery {
    #[serde(default)]
    proof: bool,
}

/// An address of this chain, part of a path.
pub(super) fn address(text: &str, parameters: &Parameters) -> Result<Address, RpcError> {
    Address::parse(text, &parameters.hrp).map_err(|error| RpcError::bad_request(format!("address: {error}")))
}

pub(super) async fn balance<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    Path(text): Path<String>,
    Asked(query): Asked<BalanceQuery>,
) -> Result<Json<BalanceAnswer>, RpcError> {
    let address = address(&text, shared.parameters())?;
    // All of it at one tip: what is read one after another elsewhere might not add up.
    let look = move |node: &mut B::Node, _| {
        let (chain, pool) = (node.chain(), node.pool().pool());
        let (store, parameters, tip) = (chain.store(), chain.parameters(), chain.tip());
        let balance = store.balance(address, tip.height, parameters)?;
        let view = StateView::new(store.state(tip.height), tip.height, parameters);
        let next_nonce = pool.next_nonce(address, &view).map_err(StoreError::from)?;
        let proof = if query.proof { Some(prove(chain, address, tip.height)?) } else { None };
        Ok::<_, StoreError>(BalanceAnswer {
            address: address.encode(&parameters.hrp),
            block: tip.id,
            height: tip.height,
            mature: Units(balance.mature),
            immature: Units(balance.immature),
            nonce: balance.next_nonce,
            next_nonce,
            proof,
        })
    };
    Ok(Json(shared.ask(look).await??))
}

fn prove<D: Database>(chain: &ChainManager<D>, address: Address, height: Height) -> Result<ProofAnswer, StoreError> {
    let (account, path) = chain.store().account_proof(address, height)?;
    let header = chain.store().known_header(&chain.tip().id)?.header;
    Ok(ProofAnswer {
        header: const_hex::encode(encode(&header)),
        account: account.map(|account| const_hex::encode(encode(&account))),
        path: const_hex::encode(path.encode()),
    })
}
