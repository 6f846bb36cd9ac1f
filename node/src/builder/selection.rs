//! Which transactions go into a block.

use std::borrow::Borrow;

use spacetime_kernels::CellRequest;

use crate::chain::rules::TransactionError;
use crate::chain::verify::Verifier;
use crate::chain::{Block, Payload, Transaction};
use crate::consensus::Parameters;
use crate::state::{Execution, Fault, StateError, StateReader};

/// Candidates without room for them, after which no more are tried: the block is as good as full.
const MAX_MISFITS: usize = 256;

/// A block that is being filled.
pub(super) struct Selection<'s, 'a, R> {
    execution: &'s mut Execution<'a, R>,
    verifier: &'s Verifier,
    bytes_left: usize,
    places_left: usize,
    misfits: usize,
}

impl<'s, 'a, R: StateReader> Selection<'s, 'a, R> {
    /// `block` is what there is already: header, proof and coinbase.
    pub(super) fn new(
        execution: &'s mut Execution<'a, R>,
        verifier: &'s Verifier,
        parameters: &Parameters,
        block: &Block,
    ) -> Self {
        let bytes_left = (parameters.max_block_bytes as usize).saturating_sub(block.encoded_len());
        let places_left = (parameters.max_block_transactions as usize).saturating_sub(block.transactions.len());
        Self { execution, verifier, bytes_left, places_left, misfits: 0 }
    }

    /// Takes what can be applied and has room, in order but for registrations and evidence, which come first where
    /// their senders' nonces let them.
    pub(super) fn select<T: Borrow<Transaction>>(
        mut self,
        candidates: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Transaction>, StateError> {
        let candidates: Vec<T> = candidates.into_iter().collect();
        let mut taken = vec![false; candidates.len()];
        let mut transactions = Vec::new();
        for only_first in [true, false] {
            self.misfits = 0;
            for (candidate, taken) in candidates.iter().map(Borrow::borrow).zip(&mut taken) {
                if self.places_left == 0 || self.misfits == MAX_MISFITS {
                    break;
                }
                if !*taken && (!only_first || comes_first(candidate)) && self.take(candidate)? {
                    *taken = true;
                    transactions.push(candidate.clone());
                }
            }
        }
        Ok(transactions)
    }

    fn take(&mut self, transaction: &Transaction) -> Result<bool, StateError> {
        if matches!(transaction.payload, Payload::Coinbase(_)) {
            return Ok(false);
        }
        let bytes = transaction.encoded_len();
        if bytes > self.bytes_left {
            self.misfits += 1;
            return Ok(false);
        }
        if !self.openings_hold(transaction)? || !applied(self.execution.apply(transaction))? {
            return Ok(false);
        }
        self.bytes_left -= bytes;
        self.places_left -= 1;
        Ok(true)
    }

    /// Grows the rows of an activation before it changes anything.
    fn openings_hold(&mut self, transaction: &Transaction) -> Result<bool, StateError> {
        let claims = match self.execution.openings(transaction) {
            Ok(claims) => claims,
            Err(fault) => return applied::<()>(Err(fault)),
        };
        let requests: Vec<CellRequest> = claims.iter().map(|claim| claim.request).collect();
        let grown = self.verifier.cells(&requests);
        Ok(claims.iter().zip(grown).all(|(claim, grown)| claim.cell == grown))
    }
}

fn comes_first(transaction: &Transaction) -> bool {
    matches!(transaction.payload, Payload::RegisterPlot(_) | Payload::Evidence(_))
}

/// Whether it went well; a broken rule is the transaction's own fault.
fn applied<T>(result: Result<T, Fault<TransactionError>>) -> Result<bool, StateError> {
    match result {
        Ok(_) => Ok(true),
        Err(Fault::Rule(_)) => Ok(false),
        Err(Fault::State(error)) => Err(error),
    }
}
