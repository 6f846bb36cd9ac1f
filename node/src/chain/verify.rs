//! What is dear, done for many blocks at once: signatures in batches, rows side by side.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use spacetime_kernels::{Cell, CellRequest, Shape};
use spacetime_prover::VerifyError;

use super::rows::RowMemo;
use super::rules::{CheckedHeader, HeaderError, SignatureClaim, Signer, TransactionError, header_claims};
use super::{BlockId, Header, Transaction, bls, ed25519, rules};

/// Most signatures in one batch: more would share the final exponentiation with more others, but gain little.
const MAX_BATCH: usize = 64;
/// Fewer than these are not worth another thread.
const MIN_BATCH: usize = 8;

/// Headers that are remembered as good, by their ids: all that sync takes ahead of their blocks on any known chain, several
/// times over, in less than a megabyte.
const MAX_SEEN: NonZeroUsize = NonZeroUsize::new(8192).expect("it is not zero");

/// A header whose cheap rules hold.
#[derive(Clone, Copy, Debug)]
pub struct HeaderCheck<'a> {
    /// The header.
    pub header: &'a Header,
    /// The proof's leaf.
    pub leaf: Cell,
    /// What [`rules::check_header`] left to be checked.
    pub checked: &'a CheckedHeader,
}

/// Checks signatures and rows, and remembers keys, rows and headers that it has seen.
#[derive(Debug)]
pub struct Verifier {
    genesis: BlockId,
    keys: bls::KeyCache,
    rows: RowMemo,
    /// Headers whose signatures and rows hold: a block whose header came before it costs its transactions only.
    seen: Mutex<LruCache<BlockId, ()>>,
    seed: [u8; 32],
    batches: AtomicU64,
}

impl Verifier {
    /// For the chain of `genesis`. `seed` is unknown to whoever makes signatures: batches are weighted by it.
    #[must_use]
    pub fn new(genesis: BlockId, shape: Shape, seed: [u8; 32]) -> Self {
        Self {
            genesis,
            keys: bls::KeyCache::new(),
            rows: RowMemo::new(shape),
            seen: Mutex::new(LruCache::new(MAX_SEEN)),
            seed,
            batches: AtomicU64::new(0),
        }
    }

    /// The genesis block's id, which all signatures bind.
    #[must_use]
    pub fn genesis(&self) -> BlockId {
        self.genesis
    }

    /// Grows the cells that `requests` name, or remembers them.
    #[must_use]
    pub fn cells(&self, requests: &[CellRequest]) -> Vec<Cell> {
        self.rows.cells(requests)
    }

    /// Checks headers' signatures alone.
    #[must_use]
    pub fn are_signed(&self, headers: &[HeaderCheck<'_>]) -> Vec<Result<(), HeaderError>> {
        let claims: Vec<_> = headers
            .iter()
            .flat_map(|check| header_claims(check.header, &self.genesis, check.checked.reveal_message.to_vec()))
            .collect();
        let hold = self.claims(&claims);
        hold.chunks_exact(2)
            .zip(claims.chunks_exact(2))
            .map(|(hold, claims)| match hold.iter().position(|hold| !hold) {
                Some(broken) => Err(HeaderError::Signature(claims[broken].rule)),
                None => Ok(()),
            })
            .collect()
    }

    /// Checks headers' signatures, and then the rows of those that hold. What holds is remembered by the header's id, which
    /// covers its signatures, its parent and so the challenge, and the proof's id, which [`rules::check_header`] has compared.
    #[must_use]
    pub fn headers(&self, headers: &[HeaderCheck<'_>]) -> Vec<Result<(), HeaderError>> {
        let mut results = vec![Ok(()); headers.len()];
        let unseen: Vec<_> = {
            let mut seen = self.seen();
            (0..headers.len()).filter(|index| seen.get(&headers[*index].checked.lineage.id).is_none()).collect()
        };
        let unsigned: Vec<_> = unseen.iter().map(|index| headers[*index]).collect();
        for (index, signed) in unseen.iter().zip(self.are_signed(&unsigned)) {
            results[*index] = signed;
        }
        let good: Vec<_> = unseen.into_iter().filter(|index| results[*index].is_ok()).collect();
        let requests: Vec<_> = good.iter().map(|index| headers[*index].checked.request).collect();
        let cells = self.cells(&requests);
        let mut seen = self.seen();
        for (index, grown) in good.into_iter().zip(cells) {
            let HeaderCheck { leaf: found, checked, .. } = headers[index];
            if found == grown {
                seen.put(checked.lineage.id, ());
            } else {
                results[index] = Err(HeaderError::Proof(VerifyError::Leaf { found, grown }));
            }
        }
        results
    }

    /// Ids are put in whole, so a poisoned lock still guards good ones.
    fn seen(&self) -> MutexGuard<'_, LruCache<BlockId, ()>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks transactions' signatures; their form was checked.
    #[must_use]
    pub fn transactions(&self, transactions: &[&Transaction]) -> Vec<Result<(), TransactionError>> {
        let mut owners = Vec::new();
        let mut claims = Vec::new();
        for (owner, transaction) in transactions.iter().enumerate() {
            let own = rules::transaction_claims(transaction, &self.genesis);
            owners.extend(std::iter::repeat_n(owner, own.len()));
            claims.extend(own);
        }
        let mut results = vec![Ok(()); transactions.len()];
        for ((owner, claim), hold) in owners.into_iter().zip(&claims).zip(self.claims(&claims)) {
            if !hold && results[owner].is_ok() {
                results[owner] = Err(TransactionError::Signature(claim.rule));
            }
        }
        results
    }

    /// Whether each signature holds.
    ///
    /// A wrong one makes those of its own batch be checked one by one, none of another batch: at most [`MAX_BATCH`]
    /// single checks for each wrong signature. However many are wrong, each costs a check in a batch and a single one,
    /// which is three times what a good one does (`examples/signatures.rs`; accounts' up to three and a half).
    fn claims(&self, claims: &[SignatureClaim]) -> Vec<bool> {
        claims.par_chunks(batch_size(claims.len())).flat_map_iter(|claims| self.batch(claims)).collect()
    }

    fn batch(&self, claims: &[SignatureClaim]) -> Vec<bool> {
        let mut hold = vec![true; claims.len()];
        let (mut miners, mut of_miners) = (bls::Batch::new(), Vec::new());
        let (mut accounts, mut of_accounts) = (ed25519::Batch::new(), Vec::new());
        for (index, claim) in claims.iter().enumerate() {
            match &claim.signer {
                Signer::Account(key, signature) => {
                    accounts.push(key, &claim.message, signature);
                    of_accounts.push(index);
                }
                Signer::Miner(key, signature) => match self.keys.parse(key) {
                    Ok(key) => {
                        miners.push(key, claim.message.clone(), *signature);
                        of_miners.push(index);
                    }
                    Err(_) => hold[index] = false,
                },
                Signer::Possession(key, proof) => {
                    hold[index] = match self.keys.parse(key) {
                        Ok(key) => bls::verify_possession(&self.genesis, &key, proof).is_ok(),
                        Err(_) => false,
                    };
                }
            }
        }
        let seed = self.next_seed();
        miners.find_invalid(&seed).into_iter().for_each(|bad| hold[of_miners[bad]] = false);
        accounts.find_invalid(&seed).into_iter().for_each(|bad| hold[of_accounts[bad]] = false);
        hold
    }

    /// A new seed for each batch, so that what one batch shows helps nobody against another.
    fn next_seed(&self) -> [u8; 32] {
        let count = self.batches.fetch_add(1, Ordering::Relaxed);
        Sha256::new().chain_update(self.seed).chain_update(count.to_le_bytes()).finalize().into()
    }
}

/// How many of `claims` signatures go into one batch, so that all threads have equally many.
fn batch_size(claims: usize) -> usize {
    let batches = claims.div_ceil(MAX_BATCH).max(1).next_multiple_of(rayon::current_num_threads());
    claims.div_ceil(batches).max(MIN_BATCH)
}
