//! The tip's values in the order of the tree's leaves, a part of them at a time.

use std::collections::VecDeque;

use super::values::{VALUE_COLUMNS, parse_entry};
use super::{CheckError, Walk};
use crate::chain::Hash;
use crate::state::StateKey;
use crate::state::tree::{KeyHash, value_hash};
use crate::store::Database;

/// Most values that are sorted at once, as far as hashes are spread evenly.
const PART_VALUES: u64 = 1 << 18;

/// A value as the tree knows it.
pub(super) struct SortedValue {
    pub(super) hash: KeyHash,
    pub(super) value: Hash,
    pub(super) key: StateKey,
}

/// The tip's values, ascending by the hash of their key.
pub(super) struct Sorted {
    /// How many leading bits of a hash tell its part.
    bits: u32,
    /// The next part.
    next: u64,
    part: VecDeque<SortedValue>,
}

impl Sorted {
    /// Of about so many values.
    pub(super) fn new(values: u64) -> Self {
        let bits = values.div_ceil(PART_VALUES).max(1).next_power_of_two().ilog2();
        Self { bits, next: 0, part: VecDeque::new() }
    }

    fn part_of(&self, hash: &KeyHash) -> u64 {
        let head = u64::from_be_bytes(*hash.0.first_chunk().expect("a hash is longer"));
        head.checked_shr(64 - self.bits).unwrap_or(0)
    }

    /// The next value, which stays.
    pub(super) fn peek<D: Database>(&mut self, walk: &mut Walk<'_, D>) -> Result<Option<&SortedValue>, CheckError> {
        while self.part.is_empty() && self.next < 1 << self.bits {
            self.load(walk)?;
            self.next += 1;
        }
        Ok(self.part.front())
    }

    /// Takes the next value away.
    pub(super) fn pop(&mut self) {
        self.part.pop_front();
    }

    fn load<D: Database>(&mut self, walk: &mut Walk<'_, D>) -> Result<(), CheckError> {
        let mut part = Vec::new();
        for column in VALUE_COLUMNS {
            let mut last: Option<StateKey> = None;
            walk.pages(column, |walk, key, value| {
                // What is no entry was noted.
                let Ok(entry) = parse_entry(column, key, value) else { return walk.advance(0) };
                if entry.version > walk.span.tip || last.replace(entry.key) == Some(entry.key) {
                    return Ok(());
                }
                let hash = entry.key.hash();
                if let Some(value) = entry.value.filter(|_| self.part_of(&hash) == self.next) {
                    part.push(SortedValue { hash, value: value_hash(value), key: entry.key });
                }
                walk.advance(0)
            })?;
        }
        part.sort_unstable_by_key(|value| value.hash);
        self.part = part.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::super::{Span, Totals, Watch};
    use super::*;
    use crate::chain::{Address, Amount};
    use crate::consensus::{GenesisAccount, SpaceTime, Specification};
    use crate::state::genesis;
    use crate::store::{MemoryDatabase, Store};

    #[test]
    fn parts_are_the_whole_whatever_their_number() {
        let mut specification = Specification::local();
        let account = |n: u32| {
            let mut address = Address([7; 20]);
            address.0[..4].copy_from_slice(&n.to_le_bytes());
            GenesisAccount { address, balance: Amount(1 + u64::from(n)) }
        };
        specification.genesis.accounts = (0..500).map(account).collect();
        let first = genesis(&specification).expect("a genesis");
        let (store, _) = Store::open(Arc::new(MemoryDatabase::new()), &first).expect("made");
        let mut expected: Vec<_> =
            first.changes.iter().map(|(key, value)| (key.hash(), value_hash(value.as_deref().expect("set")))).collect();
        expected.sort();
        let mut walk = Walk {
            store,
            parameters: specification.parameters.clone(),
            engine: SpaceTime::new(&specification),
            genesis: first,
            watch: Watch { steps: &mut |_| {}, stop: &AtomicBool::new(false) },
            span: Span::default(),
            totals: Totals::default(),
            findings: Vec::new(),
            found: 0,
        };
        for (values, bits) in [(500, 0), (PART_VALUES + 1, 1), (32 * PART_VALUES, 5), (200 * PART_VALUES, 8)] {
            let mut sorted = Sorted::new(values);
            assert_eq!(sorted.bits, bits);
            let mut found = Vec::new();
            while let Some(value) = sorted.peek(&mut walk).expect("memory") {
                found.push((value.hash, value.value));
                sorted.pop();
            }
            assert!(found == expected, "{bits} bits");
        }
    }
}
