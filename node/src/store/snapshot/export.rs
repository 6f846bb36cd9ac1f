//! Writing the state after a block to a file.

use std::io::BufWriter;
use std::path::Path;

use borsh::BorshSerialize;

use super::frames::FrameWriter;
use super::{SnapshotError, SnapshotHead, Step, leaves};
use crate::chain::{BlockId, Height, proof};
use crate::consensus::Checkpoint;
use crate::state::tree::{Leaf, NodeKey, TreeBuilder, TreeError, value_hash};
use crate::store::{Column, Database, Store, StoreError};
use crate::whole::{NotWritten, Unfinished};

/// Items between two looks at whether to stop.
const STEP: u64 = 1024;

/// Writes the state after the best chain's block at `height`, and the headers that lead to it, to `path`: under another
/// name first, in the same folder, so that a file of that name is always whole. Returns what the file says of itself.
/// `see` is told how far it is, and stops it by `false`.
///
/// # Errors
/// If that state is not kept, the store cannot be read or is damaged, or the file cannot be written.
pub fn export<D: Database>(
    store: &Store<D>,
    genesis: &BlockId,
    height: Height,
    path: &Path,
    mut see: impl FnMut(Step) -> bool,
) -> Result<SnapshotHead, SnapshotError> {
    let (oldest, newest) = (store.oldest_state()?, store.known_header(&store.tip()?)?.lineage.height);
    if height == Height(0) || !(oldest..=newest).contains(&height) {
        return Err(SnapshotError::NotKept { height, oldest, newest });
    }
    let id_at = |height: Height| -> Result<BlockId, StoreError> {
        let key = height.0.to_be_bytes().to_vec();
        store.id_at(height)?.ok_or(StoreError::Missing { column: Column::ByHeight, key })
    };
    let values = leaves::count(store, height)?;
    let id = id_at(height)?;
    let head = SnapshotHead { genesis: *genesis, block: Checkpoint { height, id }, values };

    let failed = |NotWritten { path, source, .. }| SnapshotError::Write { path, source };
    let unfinished = Unfinished::create(path).map_err(failed)?;
    let io = |source| SnapshotError::Write { path: unfinished.path.clone(), source };
    let mut frames = FrameWriter::begin(BufWriter::with_capacity(1 << 20, &unfinished.file), &head).map_err(io)?;
    for height in (1..=height.0).map(Height) {
        let stored = store.known_header(&id_at(height)?)?;
        let write = |frame: &mut Vec<u8>| {
            stored.header.serialize(frame).expect("writing to memory does not fail");
            proof::write(&stored.proof, frame).expect("writing to memory does not fail");
        };
        frames.add(write).map_err(io)?;
        if height.0.is_multiple_of(STEP) && !see(Step::Headers(height.0)) {
            return Err(SnapshotError::Stopped);
        }
    }
    frames.end_frame().map_err(io)?;

    // The tree is built anew, so that no snapshot leaves here that nobody would take in.
    let mut tree = TreeBuilder::new(height.0);
    leaves::in_order(store, height, values, |valued| {
        let leaf = Leaf { key: valued.hash, value: value_hash(&valued.value) };
        tree.add(leaf, |_, _| {}).expect("values were sorted, and keys have one value each");
        let write = |frame: &mut Vec<u8>| {
            frame.push(valued.key.len() as u8);
            frame.extend(&valued.key);
            frame.extend((valued.value.len() as u16).to_le_bytes());
            frame.extend(&valued.value);
        };
        frames.add(write).map_err(io)?;
        match tree.leaves().is_multiple_of(STEP) && !see(Step::Values(tree.leaves())) {
            true => Err(SnapshotError::Stopped),
            false => Ok(()),
        }
    })?;
    let expected = store.known_header(&id)?.header.state_root;
    if tree.finish(|_, _| {}) != expected {
        let key = NodeKey::root(height.0);
        let error = TreeError::corrupt(&key, "the state's values have another root than the header says");
        return Err(StoreError::from(error).into());
    }
    frames.finish().map_err(io)?;
    unfinished.finish(path).map_err(failed)?;
    Ok(head)
}
