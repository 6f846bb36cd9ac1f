//! Which transactions go into a block.

use spacetime_kernels::CellRequest;

use super::candidates::{Candidates, Room};
use crate::chain::rules::TransactionError;
use crate::chain::verify::Verifier;
use crate::chain::{Block, Payload, Transaction};
use crate::consensus::Parameters;
use crate::state::{Execution, Fault, StateError, StateReader};

/// A block that is being filled.
pub(super) struct Selection<'s, 'a, R> {
    execution: &'s mut Execution<'a, R>,
    verifier: &'s Verifier,
    room: Room,
}

impl<'s, 'a, R: StateReader> Selection<'s, 'a, R> {
    /// `block` is what there is already: header, proof and coinbase.
    pub(super) fn new(
        execution: &'s mut Execution<'a, R>,
        verifier: &'s Verifier,
        parameters: &Parameters,
        block: &Block,
    ) -> Self {
        let Room { bytes, transactions, registrations } = Room::of(parameters);
        let bytes = bytes.saturating_sub(block.encoded_len());
        let transactions = transactions.saturating_sub(block.transactions.len());
        Self { execution, verifier, room: Room { bytes, transactions, registrations } }
    }

    /// What there is for candidates.
    pub(super) fn room(&self) -> Room {
        self.room
    }

    /// Takes what can be applied and has room, in the order in which it is offered.
    pub(super) fn select(mut self, mut candidates: impl Candidates) -> Result<Vec<Transaction>, StateError> {
        let mut taken = Vec::new();
        while self.room.transactions > 0 {
            let Some(candidate) = candidates.next_candidate() else { break };
            if self.take(candidate)? {
                taken.push(candidate.clone());
            } else {
                candidates.refuse();
            }
        }
        Ok(taken)
    }

    fn take(&mut self, transaction: &Transaction) -> Result<bool, StateError> {
        let bytes = transaction.encoded_len();
        if matches!(transaction.payload, Payload::Coinbase(_)) || bytes > self.room.bytes {
            return Ok(false);
        }
        if !self.openings_hold(transaction)? || !applied(self.execution.apply(transaction))? {
            return Ok(false);
        }
        self.room.bytes -= bytes;
        self.room.transactions -= 1;
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

/// Whether it went well; a broken rule is the transaction's own fault.
fn applied<T>(result: Result<T, Fault<TransactionError>>) -> Result<bool, StateError> {
    match result {
        Ok(_) => Ok(true),
        Err(Fault::Rule(_)) => Ok(false),
        Err(Fault::State(error)) => Err(error),
    }
}
