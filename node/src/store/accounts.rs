//! What a wallet asks about an account.

use super::{Database, Store, StoreError};
use crate::chain::{Address, Amount, Height};
use crate::consensus::Parameters;
use crate::state::proof::{StateProof, prove};
use crate::state::{Account, Ledger, StateError, StateKey};

/// An account's money and next nonce in one state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// What it can spend in the next block.
    pub mature: Amount,
    /// Rewards that it cannot spend yet.
    pub immature: Amount,
    /// The nonce of its next transaction.
    pub next_nonce: u64,
}

impl<D: Database> Store<D> {
    /// What `address` has after the best chain's block at `height`. An account that never had a credit has nothing.
    /// Rewards that the next block credits before its transactions count as immature still.
    ///
    /// # Errors
    /// If the state of that height was pruned or cannot be read.
    pub fn balance(&self, address: Address, height: Height, parameters: &Parameters) -> Result<Balance, StoreError> {
        let mut ledger = Ledger::new(self.state_at(height)?);
        let Account { balance: mature, nonce: next_nonce } = ledger.account(address)?.unwrap_or_default();
        let mut immature = Amount::ZERO;
        // Those of the block `coinbase_maturity` below were credited at this block's start.
        let credited = height.0.saturating_sub(parameters.coinbase_maturity);
        for rewarded in (credited + 1..=height.0).map(Height) {
            let key = StateKey::Rewards(rewarded);
            let rewards = ledger.rewards(rewarded)?.ok_or(StateError::Missing { key })?;
            let own = rewards.outputs.iter().filter(|output| output.address == address);
            let sum = own.map(|output| output.amount).chain([immature]);
            immature = Amount::checked_sum(sum).ok_or(StateError::Sum { what: "immature rewards" })?;
        }
        Ok(Balance { mature, immature, next_nonce })
    }

    /// An account after the best chain's block at `height`, if it ever had a credit, and what shows that to whoever
    /// knows the header's state root: below a kilobyte at a million accounts.
    ///
    /// # Errors
    /// If the state of that height was pruned or cannot be read.
    pub fn account_proof(&self, address: Address, height: Height) -> Result<(Option<Account>, StateProof), StoreError> {
        let account = Ledger::new(self.state_at(height)?).account(address)?;
        let proof = prove(&self.nodes(), height.0, &StateKey::Account(address).hash())?;
        Ok((account, proof))
    }

    /// The state after a block that is on the best chain and not older than what is kept.
    fn state_at(&self, height: Height) -> Result<super::StoredState<'_, D>, StoreError> {
        let oldest = self.oldest_state()?;
        let newest = self.known_header(&self.tip()?)?.lineage.height;
        if (oldest..=newest).contains(&height) {
            Ok(self.state(height))
        } else {
            Err(StoreError::NotKept { height, oldest, newest })
        }
    }
}
