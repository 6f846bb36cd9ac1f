//! A state's values in the order of its tree, a part of them at a time.

use std::ops::ControlFlow;

use crate::chain::Height;
use crate::state::StateKey;
use crate::state::tree::KeyHash;
use crate::store::{Column, Database, Store, StoreError};

/// Most values that are sorted at once, as far as hashes are spread evenly.
const PART_VALUES: u64 = 1 << 18;

/// A value with its key.
pub(super) struct Valued {
    pub(super) hash: KeyHash,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// Shows each value of the state after the best chain's block at `height`, in the order in which they are kept.
fn scan<D: Database>(store: &Store<D>, height: Height, mut see: impl FnMut(StateKey, &[u8])) -> Result<(), StoreError> {
    for column in [Column::State, Column::Registry] {
        let mut last: Option<Vec<u8>> = None;
        let mut broken = None;
        store.database.scan(column, &[], None, &mut |entry, value| {
            let parsed = entry.split_last_chunk::<8>().and_then(|(key, version)| {
                let state_key = StateKey::parse(key).filter(|state_key| state_key.column() == column)?;
                Some((key, state_key, Height(!u64::from_be_bytes(*version))))
            });
            let Some((key, state_key, version)) = parsed else {
                broken = Some((entry.to_vec(), "it is no key of the state"));
                return ControlFlow::Break(());
            };
            // The newest version comes first.
            if version > height || last.as_deref() == Some(key) {
                return ControlFlow::Continue(());
            }
            last = Some(key.to_vec());
            match value.split_first() {
                Some((1, value)) => see(state_key, value),
                Some((0, [])) => {}
                _ => {
                    broken = Some((entry.to_vec(), "its first byte is no marker"));
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        if let Some((key, reason)) = broken {
            return Err(StoreError::Inconsistent { column, key, reason: reason.to_owned() });
        }
    }
    Ok(())
}

/// How many values a state has.
pub(super) fn count<D: Database>(store: &Store<D>, height: Height) -> Result<u64, StoreError> {
    let mut count = 0;
    scan(store, height, |_, _| count += 1)?;
    Ok(count)
}

/// Shows all `count` values of a state to `see`, ascending by the hashes of their keys. Each part takes a walk over all.
pub(super) fn in_order<D: Database, E: From<StoreError>>(
    store: &Store<D>,
    height: Height,
    count: u64,
    mut see: impl FnMut(Valued) -> Result<(), E>,
) -> Result<(), E> {
    let bits = count.div_ceil(PART_VALUES).max(1).next_power_of_two().ilog2();
    for number in 0..1u64 << bits {
        let mut part = Vec::new();
        scan(store, height, |key, value| {
            let hash = key.hash();
            let head = u64::from_be_bytes(*hash.0.first_chunk().expect("a hash is longer"));
            if head.checked_shr(64 - bits).unwrap_or(0) == number {
                part.push(Valued { hash, key: key.bytes(), value: value.to_vec() });
            }
        })?;
        part.sort_unstable_by_key(|valued| valued.hash);
        part.into_iter().try_for_each(&mut see)?;
    }
    Ok(())
}
