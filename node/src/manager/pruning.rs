//! What is forgotten as the chain grows.

use super::ChainManager;
use crate::chain::Height;
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
        let limit = self.side_limit(height);
        for lineage in self.branches.values().filter(|lineage| lineage.height < limit) {
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

    /// Blocks beside the best chain below this height can never win any more.
    fn side_limit(&self, tip: Height) -> Height {
        Height(tip.0.saturating_sub(self.parameters().reorg_limit))
    }

    /// Lets go of what [`Self::prune`] forgot.
    pub(super) fn forget_old_branches(&mut self) {
        let limit = self.side_limit(self.tip.height);
        self.branches.retain(|_, lineage| lineage.height >= limit);
    }
}
