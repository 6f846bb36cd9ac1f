//! What the pool asks of the state after the tip.

use crate::chain::rules::TransactionError;
use crate::chain::{Address, Height, Payload};
use crate::consensus::Parameters;
use crate::state::{Account, Fault, Ledger, OpeningClaim, StateError, StateReader, check_payload};

/// The state after the tip.
pub trait PoolView {
    /// An account; one that never was has nothing.
    ///
    /// # Errors
    /// If the state cannot be read.
    fn account(&self, address: Address) -> Result<Account, StateError>;

    /// Whether the next block could hold a transaction that asks for this, whoever pays for it:
    /// plots, barred miners, evidence.
    ///
    /// # Errors
    /// If not, or the state cannot be read.
    fn judge(&self, payload: &Payload) -> Result<(), Fault<TransactionError>>;
}

/// A chain's state as the pool sees it.
#[derive(Clone, Copy, Debug)]
pub struct StateView<'a, R> {
    state: R,
    next: Height,
    parameters: &'a Parameters,
}

impl<'a, R: StateReader> StateView<'a, R> {
    /// The state after the block at height `tip`.
    #[must_use]
    pub fn new(state: R, tip: Height, parameters: &'a Parameters) -> Self {
        Self { state, next: tip.next(), parameters }
    }

    /// What [`PoolView::judge`] finds, and of an activation the cells whose rows are yet to be grown: before the pool
    /// takes it, for it does not grow them.
    ///
    /// # Errors
    /// As [`PoolView::judge`].
    pub fn openings(&self, payload: &Payload) -> Result<Vec<OpeningClaim>, Fault<TransactionError>> {
        check_payload(&mut Ledger::new(&self.state), payload, self.next, self.parameters)
    }
}

impl<R: StateReader> PoolView for StateView<'_, R> {
    fn account(&self, address: Address) -> Result<Account, StateError> {
        Ok(Ledger::new(&self.state).account(address)?.unwrap_or_default())
    }

    fn judge(&self, payload: &Payload) -> Result<(), Fault<TransactionError>> {
        self.openings(payload).map(drop)
    }
}
