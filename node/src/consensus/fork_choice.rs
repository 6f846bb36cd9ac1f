//! Which of two chains is the better one, and which is not worth a look (PROTOCOL §7).

use spacetime_kernels::Score;

use super::weight::Weight;
use crate::chain::{BlockId, Epoch, Height};

/// What fork choice sees of a chain's last block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TipView {
    /// Sum of the weights of all blocks up to it.
    pub weight: Weight,
    /// Its parent.
    pub parent: BlockId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its score.
    pub score: Score,
    /// Its id.
    pub id: BlockId,
}

/// Whether `offered` takes the place of `held`: by greater weight; between equals with the same
/// parent and the same epoch by lower score, whenever it arrives. Any other tie keeps `held`.
#[must_use]
pub fn prefer(held: &TipView, offered: &TipView) -> bool {
    if offered.weight != held.weight {
        return offered.weight > held.weight;
    }
    offered.parent == held.parent && offered.epoch == held.epoch && offered.score < held.score
}

/// Whether a branch that left the chain after `fork_height` is too deep to be followed by itself.
#[must_use]
pub fn too_deep(tip_height: Height, fork_height: Height, reorg_limit: u64) -> bool {
    tip_height.0.saturating_sub(fork_height.0) > reorg_limit
}

/// Whether a branch of weight `branch`, its dearest known header included, outweighs the tip's
/// parent. No row is grown for one that does not (PROTOCOL §7, "Cheap before dear").
#[must_use]
pub fn could_outweigh(branch: Weight, tip_parent: Weight) -> bool {
    branch > tip_parent
}

#[cfg(test)]
mod tests {
    use spacetime_kernels::Target;

    use super::*;

    fn tip(weight: u8, parent: u8, epoch: u64, score: u8, id: u8) -> TipView {
        let mut bytes = [0; 32];
        bytes[31] = weight;
        TipView {
            weight: Weight::from_bytes(&bytes),
            parent: BlockId([parent; 32]),
            epoch: Epoch(epoch),
            score: Score([score; 32]),
            id: BlockId([id; 32]),
        }
    }

    #[test]
    fn weight_comes_first() {
        assert!(prefer(&tip(5, 1, 9, 1, 1), &tip(6, 2, 9, 9, 2)));
        assert!(!prefer(&tip(6, 1, 9, 9, 1), &tip(5, 1, 9, 1, 2)), "a better score does not make up for weight");
    }

    #[test]
    fn between_siblings_of_an_epoch_the_lower_score_wins() {
        let (good, bad) = (tip(5, 1, 9, 3, 1), tip(5, 1, 9, 4, 2));
        assert!(prefer(&bad, &good));
        assert!(!prefer(&good, &bad));
        assert!(!prefer(&good, &TipView { id: BlockId([3; 32]), ..good }), "the same score");
    }

    #[test]
    fn other_ties_keep_what_is_held() {
        let held = tip(5, 1, 9, 4, 1);
        assert!(!prefer(&held, &tip(5, 2, 9, 3, 2)), "another parent");
        assert!(!prefer(&held, &tip(5, 1, 8, 3, 2)), "an earlier epoch");
        assert!(!prefer(&held, &tip(5, 1, 10, 3, 2)), "a later epoch");
        assert!(!prefer(&held, &held));
    }

    #[test]
    fn depth_is_counted_from_the_tip() {
        assert!(!too_deep(Height(400), Height(40), 360));
        assert!(too_deep(Height(401), Height(40), 360));
        assert!(!too_deep(Height(3), Height(7), 0), "a fork above the tip is none");
    }

    #[test]
    fn the_tips_siblings_are_looked_at_and_its_parents_are_not() {
        let block = Weight::of(&Target([0x0f; 32]));
        let grandparent = block.plus(block);
        let parent = grandparent.plus(block);
        assert!(could_outweigh(parent.plus(block), parent), "a sibling of the tip");
        assert!(!could_outweigh(grandparent.plus(block), parent), "a sibling of its parent");
        assert!(!could_outweigh(Weight::ZERO, Weight::ZERO));
    }
}
