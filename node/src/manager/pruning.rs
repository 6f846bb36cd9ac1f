//! What is forgotten as the chain grows.

use std::collections::HashSet;

use super::ChainManager;
use crate::chain::Height;
use crate::consensus::Lineage;
use crate::store::blocks::{forget_body, forget_side_block};
use crate::store::open::{put_oldest_body, put_oldest_state};
use crate::store::{Batch, Database, StoreError};

impl<D: Database> ChainManager<D> {
    /// Versions of the state that are kept: any that a fork within the limit returns to, and those that light clients
    /// look up plots in (PROTOCOL §7).
    fn kept_versions(&self) -> u64 {
        self.parameters().reorg_limit.max(self.parameters().plot_maturity)
    }

    /// Adds to `batch` what a tip at `height` lets forget.
    pub(super) fn prune(&self, batch: &mut Batch, height: Height) -> Result<(), StoreError> {
        let oldest = self.store.oldest_state()?;
        let wanted = Height(height.0.saturating_sub(self.kept_versions()));
        if wanted > oldest {
            for version in (oldest.0 + 1..=wanted.0).map(Height) {
                self.store.prune_state(batch, version)?;
            }
            put_oldest_state(batch, wanted);
        }
        if let Some(keep) = self.options.keep_bodies {
            self.prune_bodies(batch, Height(height.0.saturating_sub(keep)))?;
        }
        for lineage in self.hopeless(height, wanted.max(oldest)) {
            forget_side_block(batch, lineage.height, &lineage.id);
        }
        Ok(())
    }

    fn prune_bodies(&self, batch: &mut Batch, wanted: Height) -> Result<(), StoreError> {
        let oldest = self.store.oldest_body()?;
        // A step a block, and a few more where the option is new to an old store: a batch stays small.
        let until = Height(wanted.0.min(oldest.0.saturating_add(64)));
        if until <= oldest {
            return Ok(());
        }
        for height in (oldest.0..until.0).map(Height) {
            if let Some(id) = self.store.id_at(height)? {
                let ids = self.transaction_ids(&id)?.unwrap_or_default();
                forget_body(batch, &id, &ids);
            }
        }
        put_oldest_body(batch, until);
        Ok(())
    }

    /// Blocks beside the best chain whose fork is so deep below a tip at `tip` that they can never win any more.
    fn hopeless(&self, tip: Height, oldest_state: Height) -> Vec<Lineage> {
        let limit = tip.0.saturating_sub(self.parameters().reorg_limit);
        let lowest_fork = if self.syncing { oldest_state } else { Height(limit) };
        let mut by_height: Vec<_> = self.branches.values().collect();
        by_height.sort_unstable_by_key(|lineage| lineage.height);
        let mut hopeless = HashSet::new();
        for lineage in by_height {
            // A parent that is not beside the best chain is on it: there is the fork.
            let forks_here = !self.branches.contains_key(&lineage.parent);
            if hopeless.contains(&lineage.parent) || forks_here && lineage.height.0 <= lowest_fork.0 {
                hopeless.insert(lineage.id);
            }
        }
        hopeless.iter().map(|id| self.branches[id].clone()).collect()
    }

    /// Lets go of what [`Self::prune`] forgot.
    pub(super) fn forget_hopeless(&mut self) -> Result<(), StoreError> {
        if self.branches.is_empty() {
            return Ok(());
        }
        for lineage in self.hopeless(self.tip.height, self.store.oldest_state()?) {
            self.branches.remove(&lineage.id);
        }
        Ok(())
    }
}
