//! Where two chains part, in a few ids.

use super::Sync;
use crate::chain::{BlockId, Capped, Height};
use crate::manager::ChainManager;
use crate::network::message::MAX_LOCATOR;
use crate::store::{Database, StoreError};

/// Ids that follow one another before steps grow.
const DENSE: usize = 10;

impl Sync {
    /// Ids of the trunk and of the best chain below it, highest first, ever further apart, genesis last. `first` stands
    /// before them.
    pub(super) fn locator<D: Database>(
        &self,
        manager: &ChainManager<D>,
        first: Option<BlockId>,
    ) -> Result<Capped<BlockId, MAX_LOCATOR>, StoreError> {
        let mut ids: Vec<_> = first.into_iter().collect();
        let base = self.trunk.base();
        // The trunk may leave the best chain below its tip.
        let mut next = match base {
            Some(base) => manager.place_of(&base)?.map_or(Height(0), |(lineage, _)| lineage.height),
            None => manager.tip().height,
        };
        let above: Vec<_> = self.trunk.ids().collect();
        let (mut back, mut step) = (0, 1);
        while let Some(id) = above.len().checked_sub(back + 1).map(|place| above[place]) {
            if ids.len() + 2 >= MAX_LOCATOR / 2 {
                break;
            }
            ids.push(id);
            back += step;
            step = if ids.len() >= DENSE { step * 2 } else { 1 };
        }
        if let Some(base) = base {
            ids.push(base);
        }
        let dense = ids.len() + DENSE;
        let mut step = 1;
        while next > Height(0) && ids.len() + 1 < MAX_LOCATOR {
            if let Some(id) = manager.store().id_at(next)?
                && ids.last() != Some(&id)
            {
                ids.push(id);
            }
            next = Height(next.0.saturating_sub(step));
            step = if ids.len() >= dense { step.saturating_mul(2) } else { 1 };
        }
        if ids.last() != Some(&manager.genesis().id) {
            ids.push(manager.genesis().id);
        }
        Ok(Capped::new(ids).expect("it is stopped before"))
    }
}
