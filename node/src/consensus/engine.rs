//! Who may propose, and which branch weighs more, behind one interface (PROTOCOL §10): a second
//! engine can join without the chain noticing.

use borsh::{BorshDeserialize, BorshSerialize};
use spacetime_kernels::{Challenge, ColumnIndex, Score, Target};

use super::beacon::{self, Beacon};
use super::difficulty::Difficulty;
use super::fork_choice::{self, TipView};
use super::parameters::Parameters;
use super::specification::Specification;
use super::weight::Weight;
use crate::chain::{BlockId, Epoch, Header, Height, codec};

/// What a block leaves to its children, computed from headers alone.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Lineage {
    /// The block.
    pub id: BlockId,
    /// Its parent.
    pub parent: BlockId,
    /// Its height.
    pub height: Height,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its time, Unix milliseconds.
    pub timestamp_ms: u64,
    /// Its score.
    #[borsh(serialize_with = "codec::score::write", deserialize_with = "codec::score::read")]
    pub score: Score,
    /// What later challenges are drawn from.
    pub beacon: Beacon,
    /// What later targets come from.
    pub difficulty: Difficulty,
    /// Sum of the weights of the blocks after genesis, up to and with it.
    pub weight: Weight,
}

impl Lineage {
    /// What genesis leaves, its block's id being `id`.
    #[must_use]
    pub fn genesis(id: BlockId, specification: &Specification) -> Self {
        Self {
            id,
            parent: BlockId::ZERO,
            height: Height(0),
            epoch: Epoch(0),
            timestamp_ms: specification.genesis.time_ms,
            score: Score([0; 32]),
            beacon: Beacon::genesis(&id),
            difficulty: Difficulty::genesis(specification.genesis.base),
            weight: Weight::ZERO,
        }
    }

    /// What fork choice sees of the block.
    #[must_use]
    pub fn tip(&self) -> TipView {
        TipView { weight: self.weight, parent: self.parent, epoch: self.epoch, score: self.score, id: self.id }
    }
}

/// What a block of one epoch must show to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its score lies below this.
    pub target: Target,
    /// Its score is over this.
    pub challenge: Challenge,
    /// Its leaf lies in this column.
    pub column: ColumnIndex,
}

/// Who may propose, and which branch weighs more. Pure: no clock, no store.
pub trait Engine {
    /// The epoch of a moment, Unix milliseconds; none before genesis.
    fn epoch_of(&self, timestamp_ms: u64) -> Option<Epoch>;

    /// What a child of `parent` in `epoch` must show. `epoch` is greater than the parent's in every valid block.
    fn claim(&self, parent: &Lineage, epoch: Epoch) -> Claim;

    /// What the block with `header` and `id`, a child of `parent`, leaves.
    ///
    /// The weight it adds is that of the target that was asked of it, whatever the header says.
    fn extend(&self, parent: &Lineage, header: &Header, id: BlockId) -> Lineage;

    /// Whether the chain up to `offered` takes the place of the one up to `held`.
    fn prefer(&self, held: &Lineage, offered: &Lineage) -> bool;

    /// Whether a branch of weight `branch`, its heaviest known header included, is worth the growing of a row;
    /// `tip_parent` is the weight of the parent of the best chain's tip, or of the tip itself if that is genesis.
    fn could_outweigh(&self, branch: Weight, tip_parent: Weight) -> bool;
}

/// Proof of space in epochs of time: the first engine (PROTOCOL §7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceTime {
    parameters: Parameters,
    genesis_time_ms: u64,
}

impl SpaceTime {
    /// The engine of a chain whose specification was checked.
    #[must_use]
    pub fn new(specification: &Specification) -> Self {
        Self { parameters: specification.parameters.clone(), genesis_time_ms: specification.genesis.time_ms }
    }

    /// The chain's parameters.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

impl Engine for SpaceTime {
    fn epoch_of(&self, timestamp_ms: u64) -> Option<Epoch> {
        beacon::epoch_of(timestamp_ms, self.genesis_time_ms, &self.parameters)
    }

    fn claim(&self, parent: &Lineage, epoch: Epoch) -> Claim {
        let active = parent.beacon.active_at(parent.epoch, epoch, &self.parameters);
        let group = beacon::group(epoch, &self.parameters);
        Claim {
            target: parent.difficulty.target(parent.epoch, epoch, &self.parameters).0,
            challenge: beacon::challenge(&active, epoch),
            column: beacon::column(&active, group, self.parameters.shape()),
        }
    }

    fn extend(&self, parent: &Lineage, header: &Header, id: BlockId) -> Lineage {
        let (target, _) = parent.difficulty.target(parent.epoch, header.epoch, &self.parameters);
        Lineage {
            id,
            parent: parent.id,
            height: parent.height.next(),
            epoch: header.epoch,
            timestamp_ms: header.timestamp_ms,
            score: header.score,
            beacon: parent.beacon.extend(parent.epoch, header.epoch, &header.reveal, &self.parameters),
            difficulty: parent.difficulty.extend(parent.epoch, header.epoch, &self.parameters),
            weight: parent.weight.plus(Weight::of(&target)),
        }
    }

    fn prefer(&self, held: &Lineage, offered: &Lineage) -> bool {
        fork_choice::prefer(&held.tip(), &offered.tip())
    }

    fn could_outweigh(&self, branch: Weight, tip_parent: Weight) -> bool {
        fork_choice::could_outweigh(branch, tip_parent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{HEADER_VERSION, Hash, MinerKey, MinerSignature, PlotId};

    fn header(epoch: u64, score: u8) -> Header {
        Header {
            version: HEADER_VERSION,
            height: Height(77),
            epoch: Epoch(epoch),
            timestamp_ms: 123,
            parent: BlockId([77; 32]),
            target: Target([1; 32]),
            miner_key: MinerKey::ZERO,
            plot_id: PlotId::ZERO,
            plot_root: Hash::ZERO,
            score: Score([score; 32]),
            proof_id: Hash::ZERO,
            transaction_root: Hash::ZERO,
            state_root: Hash::ZERO,
            extension: Hash::ZERO,
            reveal: MinerSignature([score; 96]),
            signature: MinerSignature::ZERO,
        }
    }

    fn chain() -> (SpaceTime, Lineage) {
        let specification = Specification::main();
        (SpaceTime::new(&specification), Lineage::genesis(BlockId([9; 32]), &specification))
    }

    #[test]
    fn a_block_leaves_what_the_rules_say_not_what_its_header_says() {
        let (engine, genesis) = chain();
        let parameters = Parameters::main();
        let child = engine.extend(&genesis, &header(40, 5), BlockId([1; 32]));
        let (target, shift) = genesis.difficulty.target(Epoch(0), Epoch(40), &parameters);
        assert_eq!(shift, 2);
        assert_eq!(child.weight, Weight::of(&target));
        assert_eq!((child.parent, child.height, child.epoch), (genesis.id, Height(1), Epoch(40)));
        assert_eq!((child.timestamp_ms, child.score), (123, Score([5; 32])));
        assert_eq!(child.difficulty, Difficulty { base: target, blocks: 0, start: Epoch(40) });
        assert_eq!(child.beacon.active, genesis.beacon.mix);
        let next = engine.extend(&child, &header(41, 6), BlockId([2; 32]));
        assert_eq!(next.weight, child.weight.plus(Weight::of(&target)));
        assert_eq!(next.beacon, child.beacon, "the same group");
    }

    #[test]
    fn no_challenge_twice_along_a_chain() {
        let (engine, mut tip) = chain();
        let mut seen = std::collections::HashSet::new();
        for epoch in 1..2000 {
            let claim = engine.claim(&tip, Epoch(epoch));
            assert!(seen.insert(claim.challenge));
            // Every third epoch stays empty.
            if epoch % 3 != 0 {
                tip = engine.extend(&tip, &header(epoch, 1), BlockId([1; 32]));
            }
        }
    }

    #[test]
    fn epochs_of_a_group_share_their_column() {
        let (engine, genesis) = chain();
        let columns: Vec<_> = (8..32).map(|epoch| engine.claim(&genesis, Epoch(epoch)).column).collect();
        for group in columns.chunks(8) {
            assert!(group.iter().all(|column| column == &group[0]));
        }
        assert_ne!(columns[0], columns[8]);
        assert_ne!(columns[8], columns[16]);
    }

    #[test]
    fn branches() {
        let (engine, genesis) = chain();
        let worse = engine.extend(&genesis, &header(1, 5), BlockId([1; 32]));
        let better = engine.extend(&genesis, &header(1, 4), BlockId([2; 32]));
        let later = engine.extend(&genesis, &header(2, 3), BlockId([3; 32]));
        assert!(engine.prefer(&worse, &better) && !engine.prefer(&better, &worse));
        assert!(!engine.prefer(&worse, &later));
        assert!(engine.prefer(&genesis, &worse));
        assert!(
            engine.could_outweigh(better.weight, genesis.weight) && !engine.could_outweigh(better.weight, worse.weight)
        );
        assert!(!engine.could_outweigh(genesis.weight, genesis.weight));
    }

    #[test]
    fn encoding() {
        let (engine, genesis) = chain();
        let lineage = engine.extend(&genesis, &header(3, 5), BlockId([1; 32]));
        let bytes = borsh::to_vec(&lineage).unwrap();
        assert_eq!(bytes.len(), 2 * 32 + 3 * 8 + 32 + 2 * 32 + 48 + 32);
        assert_eq!(borsh::from_slice::<Lineage>(&bytes).unwrap(), lineage);
    }

    #[test]
    fn epochs_at_the_end_of_counting() {
        let (engine, genesis) = chain();
        let last = engine.extend(&genesis, &header(u64::MAX, 5), BlockId([1; 32]));
        assert_eq!(last.difficulty.base, Target::MAX);
        // Not a valid order of epochs, and yet no panic.
        let before = engine.extend(&last, &header(0, 5), BlockId([1; 32]));
        assert_eq!(engine.claim(&before, Epoch(u64::MAX)).target, Target::MAX);
        assert_eq!(engine.epoch_of(0), None);
    }
}
