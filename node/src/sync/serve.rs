//! Answers to GET_HEADERS and GET_BLOCK, out of a store. Each costs a bounded number of reads.

use crate::chain::proof::{self, MAX_PROOF_BYTES};
use crate::chain::{BlockId, Capped, HEADER_BYTES, Height};
use crate::network::message::{
    GetHeaders, MAX_BLOCKS, MAX_BLOCKS_BYTES, MAX_HEADERS, MAX_HEADERS_BYTES, ProvedHeader, Response,
};
use crate::store::{Database, Store, StoreError};

/// Longest encoding of a header with its proof.
pub(super) const MAX_PROVED_BYTES: usize = HEADER_BYTES + MAX_PROOF_BYTES;

/// HEADERS: those of the best chain above the locator's first block on it, as many as are wanted and fit. Refused, if
/// the locator has none, not even genesis.
///
/// # Errors
/// If the store cannot be read.
pub fn headers<D: Database>(store: &Store<D>, wanted: &GetHeaders) -> Result<Response, StoreError> {
    let Some((mut id, height)) = first_on_best_chain(store, &wanted.locator)? else {
        return Ok(Response::Refused);
    };
    let limit = (wanted.limit as usize).min(MAX_HEADERS);
    let (mut found, mut bytes) = (Vec::new(), size_of::<u32>());
    let mut above = height;
    while found.len() < limit && bytes + MAX_PROVED_BYTES <= MAX_HEADERS_BYTES {
        let Some(next) = above.0.checked_add(1).map(Height) else { break };
        let Some(at) = store.id_at(next)? else { break };
        let stored = store.known_header(&at)?;
        // Somebody may change branches meanwhile.
        if stored.header.parent != id {
            break;
        }
        bytes += HEADER_BYTES + proof::encoded_len(&stored.proof);
        found.push(ProvedHeader { header: stored.header, proof: stored.proof });
        (id, above) = (at, next);
    }
    Ok(Response::Headers(Capped::new(found).expect("no more were taken")))
}

fn first_on_best_chain<D: Database>(
    store: &Store<D>,
    locator: &[BlockId],
) -> Result<Option<(BlockId, Height)>, StoreError> {
    for id in locator {
        if let Some(height) = on_best_chain(store, id)? {
            return Ok(Some((*id, height)));
        }
    }
    Ok(None)
}

fn on_best_chain<D: Database>(store: &Store<D>, id: &BlockId) -> Result<Option<Height>, StoreError> {
    let Some(header) = store.header(id)? else { return Ok(None) };
    let height = header.lineage.height;
    Ok((store.id_at(height)? == Some(*id)).then_some(height))
}

/// BLOCK: those of the asked that are on the best chain and whole, in the order asked, up to [`MAX_BLOCKS_BYTES`]. Blocks
/// beside it are not served: whoever serves a block vouches for it, and those were not executed.
///
/// # Errors
/// If the store cannot be read.
pub fn blocks<D: Database>(store: &Store<D>, wanted: &[BlockId]) -> Result<Response, StoreError> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for id in wanted.iter().take(MAX_BLOCKS) {
        if bytes >= MAX_BLOCKS_BYTES {
            break;
        }
        if on_best_chain(store, id)?.is_none_or(|height| height == Height(0)) {
            continue;
        }
        if let Some(block) = store.block(id)? {
            bytes += block.encoded_len();
            found.push(block);
        }
    }
    Ok(Response::Blocks(Capped::new(found).expect("no more were asked for")))
}
