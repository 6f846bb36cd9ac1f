//! States, one version a block, so that any of the latest can be read and returned to.
//!
//! | column | key | value |
//! |---|---|---|
//! | state, registry | the state key's bytes, 2^64 - 1 - version | 1 and the value, or 0 where it was removed |
//! | tree | see [`crate::state::tree`] | nodes |
//! | undo | version | [`Undo`]: what that version changed |
//!
//! The newest version of a key not above a given one is the first entry behind
//! its key and that version. Versions below the oldest one that is still whole
//! are forgotten one by one: what version `v` replaced is needed by none from `v` on.

use std::collections::HashMap;
use std::ops::ControlFlow;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Batch, Column, Database, Store, StoreError};
use crate::chain::{Height, encode};
use crate::state::tree::{NodeKey, StoredNodes, TreeUpdate, delete_versions_above, write_nodes};
use crate::state::{Changes, StateError, StateKey, StateReader};

/// What one version changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Undo {
    /// The values it set or removed.
    pub changed: Vec<Changed>,
    /// Nodes of earlier versions that it replaced, as their keys are encoded in the tree's column.
    pub stale: Vec<Vec<u8>>,
}

/// A value that a version set or removed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Changed {
    /// Whose value, as [`StateKey::bytes`].
    pub key: Vec<u8>,
    /// The version that had set or removed it before, if any did.
    pub replaced: Option<Height>,
    /// Whether it was removed.
    pub removed: bool,
}

/// What a key holds: since which version, and its value unless that was removed. Nothing, if no version ever set it.
pub(crate) type Held = Option<(Height, Option<Vec<u8>>)>;

fn versioned(key: &StateKey, version: Height) -> Vec<u8> {
    let mut bytes = key.bytes();
    bytes.extend_from_slice(&(!version.0).to_be_bytes());
    bytes
}

/// Reads one version of the state.
#[derive(Debug)]
pub struct StoredState<'a, D> {
    store: &'a Store<D>,
    version: Height,
}

impl<D> Clone for StoredState<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for StoredState<'_, D> {}

impl<D: Database> StoredState<'_, D> {
    /// What `key` holds in this version.
    pub(crate) fn held(&self, key: &StateKey) -> Result<Held, StateError> {
        let wanted = versioned(key, self.version);
        // No further than this key's versions: behind them may lie any number of entries that are gone.
        let mut end = key.bytes();
        end.extend_from_slice(&[0xff; size_of::<u64>() + 1]);
        let mut first = None;
        self.store.database.scan(key.column(), &wanted, Some(&end), &mut |found, value| {
            first = Some((found.to_vec(), value.to_vec()));
            ControlFlow::Break(())
        })?;
        let Some((found, value)) = first else {
            return Ok(None);
        };
        let Some((_, version)) = found.split_last_chunk().filter(|_| found.len() == wanted.len()) else {
            return Ok(None);
        };
        let version = Height(!u64::from_be_bytes(*version));
        match value.split_first() {
            Some((1, value)) => Ok(Some((version, Some(value.to_vec())))),
            Some((0, [])) => Ok(Some((version, None))),
            _ => Err(StateError::Marker { key: *key }),
        }
    }
}

impl<D: Database> StateReader for StoredState<'_, D> {
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.held(key)?.and_then(|(_, value)| value))
    }
}

impl<D: Database> Store<D> {
    /// The state after the best chain's block at `version`, if it was not pruned.
    #[must_use]
    pub fn state(&self, version: Height) -> StoredState<'_, D> {
        StoredState { store: self, version }
    }

    /// Nodes of the state's tree.
    #[must_use]
    pub fn nodes(&self) -> StoredNodes<'_, D> {
        StoredNodes(&*self.database)
    }

    /// What a version changed, unless it was pruned.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn undo(&self, version: Height) -> Result<Option<Undo>, StoreError> {
        self.entry("undo record", Column::Undo, &version.0.to_be_bytes())
    }

    fn known_undo(&self, version: Height) -> Result<Undo, StoreError> {
        let key = version.0.to_be_bytes();
        self.undo(version)?.ok_or_else(|| StoreError::Missing { column: Column::Undo, key: key.to_vec() })
    }

    fn parse_key(&self, version: Height, bytes: &[u8]) -> Result<StateKey, StoreError> {
        StateKey::parse(bytes).ok_or_else(|| StoreError::Inconsistent {
            column: Column::Undo,
            key: version.0.to_be_bytes().to_vec(),
            reason: format!("{} is no key of the state", const_hex::encode(bytes)),
        })
    }

    /// Removes the values of the versions above `version`, up to `tip`. Their nodes go by [`forget_nodes_above`].
    ///
    /// # Errors
    /// If what they changed cannot be read.
    pub(crate) fn roll_back(&self, batch: &mut Batch, tip: Height, version: Height) -> Result<(), StoreError> {
        for height in (version.0 + 1..=tip.0).map(Height) {
            for changed in self.known_undo(height)?.changed {
                let key = self.parse_key(height, &changed.key)?;
                batch.delete(key.column(), versioned(&key, height));
            }
            batch.delete(Column::Undo, height.0.to_be_bytes());
        }
        Ok(())
    }

    /// Forgets what `version` replaced: no version before it can be read any more.
    ///
    /// # Errors
    /// If what it replaced cannot be read.
    pub(crate) fn prune_state(&self, batch: &mut Batch, version: Height) -> Result<(), StoreError> {
        let undo = self.known_undo(version)?;
        for Changed { key, replaced, removed } in &undo.changed {
            let key = self.parse_key(version, key)?;
            if let Some(replaced) = replaced {
                batch.delete(key.column(), versioned(&key, *replaced));
            }
            if *removed {
                batch.delete(key.column(), versioned(&key, version));
            }
        }
        for node in undo.stale {
            batch.delete(Column::Tree, node);
        }
        batch.delete(Column::Undo, version.0.to_be_bytes());
        Ok(())
    }
}

/// Since when the keys that a version changes held what they did, as `held` says of each.
pub(crate) fn replaced_by(
    changes: &Changes,
    held: impl Fn(&StateKey) -> Result<Held, StateError>,
) -> Result<HashMap<StateKey, Height>, StateError> {
    let mut replaced = HashMap::with_capacity(changes.len());
    for key in changes.keys() {
        if let Some((version, _)) = held(key)? {
            replaced.insert(*key, version);
        }
    }
    Ok(replaced)
}

/// Writes one version: values, nodes, and what it changed. `replaced` says since when a key held what it did before.
pub(crate) fn put_version(
    batch: &mut Batch,
    version: Height,
    changes: &Changes,
    update: &TreeUpdate,
    replaced: &HashMap<StateKey, Height>,
) {
    let mut changed = Vec::with_capacity(changes.len());
    for (key, value) in changes {
        put_value(batch, key, version, value.as_deref());
        changed.push(Changed { key: key.bytes(), replaced: replaced.get(key).copied(), removed: value.is_none() });
    }
    write_nodes(batch, update);
    let undo = Undo { changed, stale: update.stale.iter().map(NodeKey::encode).collect() };
    batch.put(Column::Undo, version.0.to_be_bytes(), encode(&undo));
}

/// Writes what a key holds since a version; none where that removed it.
pub(crate) fn put_value(batch: &mut Batch, key: &StateKey, version: Height, value: Option<&[u8]>) {
    let entry = value.map_or_else(|| vec![0], |value| [&[1], value].concat());
    batch.put(key.column(), versioned(key, version), entry);
}

/// Removes the nodes of all versions above `version`.
pub(crate) fn forget_nodes_above(batch: &mut Batch, version: Height) {
    delete_versions_above(batch, version.0);
}
