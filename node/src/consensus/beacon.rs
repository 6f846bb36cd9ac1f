//! Epochs, groups, and the challenges that earlier blocks' reveals draw (PROTOCOL §7).

use borsh::{BorshDeserialize, BorshSerialize};
use spacetime_kernels::{Challenge, ColumnIndex, Shape, tagged_hash};

use super::parameters::Parameters;
use crate::chain::{BlockId, Epoch, Hash, MinerSignature};

/// A number of `beacon_interval` epochs, counted from genesis, that share one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(pub u64);

/// The epoch of a moment, both times in Unix milliseconds; none before genesis.
///
/// # Panics
/// If `epoch_ms` is 0, which checked parameters have not.
#[must_use]
pub fn epoch_of(timestamp_ms: u64, genesis_time_ms: u64, parameters: &Parameters) -> Option<Epoch> {
    Some(Epoch(timestamp_ms.checked_sub(genesis_time_ms)? / parameters.epoch_ms))
}

/// When an epoch begins, in Unix milliseconds; none past the end of counting.
#[must_use]
pub fn start_of(epoch: Epoch, genesis_time_ms: u64, parameters: &Parameters) -> Option<u64> {
    epoch.0.checked_mul(parameters.epoch_ms)?.checked_add(genesis_time_ms)
}

/// The group of an epoch.
///
/// # Panics
/// If `beacon_interval` is 0, which checked parameters have not.
#[must_use]
pub fn group(epoch: Epoch, parameters: &Parameters) -> Group {
    Group(epoch.0 / parameters.beacon_interval)
}

/// The column that all challenges of `group` open, drawn from the beacon active in it.
#[must_use]
pub fn column(active: &Hash, group: Group, shape: Shape) -> ColumnIndex {
    let hash = tagged_hash("spacetime/column/v1", &[&active.0, &group.0.to_le_bytes()]);
    let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    ColumnIndex(number & ((1 << shape.log2_columns()) - 1))
}

/// The challenge of `epoch`, drawn from the beacon active in it.
#[must_use]
pub fn challenge(active: &Hash, epoch: Epoch) -> Challenge {
    Challenge(tagged_hash("spacetime/challenge/v1", &[&active.0, &epoch.0.to_le_bytes()]))
}

/// What a miner signs to reveal: genesis id, then the challenge's hash.
#[must_use]
pub fn reveal_message(genesis: &BlockId, challenge: &Challenge) -> [u8; 64] {
    let mut message = [0; 64];
    message[..32].copy_from_slice(&genesis.0);
    message[32..].copy_from_slice(&tagged_hash("spacetime/reveal/v1", &[&challenge.0]));
    message
}

/// What a block leaves for the challenges of the blocks after it. The epoch of that block itself,
/// the parent of those to come, is handed in beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Beacon {
    /// All reveals that count, folded: what the next new group draws from.
    pub mix: Hash,
    /// What the block's own group draws from.
    pub active: Hash,
}

impl Beacon {
    /// As genesis leaves it.
    #[must_use]
    pub fn genesis(id: &BlockId) -> Self {
        Self { mix: Hash(id.0), active: Hash(id.0) }
    }

    /// What `epoch` draws from on the branch of a block in `parent_epoch` that left `self`.
    #[must_use]
    pub fn active_at(&self, parent_epoch: Epoch, epoch: Epoch, parameters: &Parameters) -> Hash {
        if group(parent_epoch, parameters) < group(epoch, parameters) { self.mix } else { self.active }
    }

    /// What a block in `epoch` leaves, whose parent lies in `parent_epoch` and left `self`. Only the
    /// first block of a group feeds the beacon.
    #[must_use]
    pub fn extend(&self, parent_epoch: Epoch, epoch: Epoch, reveal: &MinerSignature, parameters: &Parameters) -> Self {
        let mix = if group(parent_epoch, parameters) < group(epoch, parameters) {
            Hash(tagged_hash("spacetime/beacon/v1", &[&self.mix.0, &reveal.0]))
        } else {
            self.mix
        };
        Self { mix, active: self.active_at(parent_epoch, epoch, parameters) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_begin_with_genesis() {
        let parameters = Parameters::main();
        let epoch = |time| epoch_of(time, 1_000_000, &parameters);
        assert_eq!(epoch(999_999), None);
        assert_eq!(epoch(0), None);
        assert_eq!(epoch(1_000_000), Some(Epoch(0)));
        assert_eq!(epoch(1_009_999), Some(Epoch(0)));
        assert_eq!(epoch(1_010_000), Some(Epoch(1)));
        assert_eq!(epoch_of(u64::MAX, 0, &parameters), Some(Epoch(u64::MAX / 10_000)));
        assert_eq!(start_of(Epoch(1), 1_000_000, &parameters), Some(1_010_000));
        assert_eq!(start_of(Epoch(u64::MAX / 10_000), 1_000_000, &parameters), None);
        assert_eq!(start_of(Epoch(u64::MAX), 0, &parameters), None);
    }

    #[test]
    fn only_the_first_block_of_a_group_feeds_the_beacon() {
        let parameters = Parameters::main();
        let (one, two) = (MinerSignature([1; 96]), MinerSignature([2; 96]));
        let genesis = Beacon::genesis(&BlockId([7; 32]));
        let own_group = genesis.extend(Epoch(0), Epoch(7), &one, &parameters);
        assert_eq!(own_group, genesis, "genesis is the first block of its group");
        let first = own_group.extend(Epoch(7), Epoch(8), &one, &parameters);
        assert_ne!(first.mix, genesis.mix);
        assert_eq!(first.active, genesis.mix);
        assert_eq!(first.extend(Epoch(8), Epoch(15), &two, &parameters), first);
        assert_eq!(first.active_at(Epoch(8), Epoch(15), &parameters), first.active);
        assert_eq!(first.active_at(Epoch(8), Epoch(16), &parameters), first.mix);
        let other = own_group.extend(Epoch(7), Epoch(8), &two, &parameters);
        assert_ne!(first.mix, other.mix, "another reveal, another beacon");
        let last = first.extend(Epoch(8), Epoch(u64::MAX), &two, &parameters);
        assert_eq!(last.active, first.mix);
    }

    #[test]
    fn columns_lie_within_the_plot() {
        let shape = Shape::new(4, 1).unwrap();
        let columns: Vec<_> = (0..200).map(|number| column(&Hash::ZERO, Group(number), shape).0).collect();
        assert!((0..16).all(|column| columns.contains(&column)) && columns.iter().all(|&column| column < 16));
    }

    #[test]
    fn reveals_bind_chain_and_challenge() {
        let message = |genesis, bytes| reveal_message(&BlockId([genesis; 32]), &Challenge([bytes; 32]));
        assert_eq!(message(1, 2)[..32], [1; 32]);
        assert_ne!(message(1, 2), message(1, 3));
        assert_ne!(message(1, 2), message(2, 2));
    }
}
