//! Taking a snapshot in, of which nothing is believed but what the trusted id covers.

use std::io::Read;
use std::sync::Arc;

use borsh::BorshDeserialize;
use spacetime_prover::Proof;

use super::frames::FrameReader;
use super::{MAX_KEY_BYTES, SnapshotError, SnapshotHead, Step};
use crate::chain::rules::check_header;
use crate::chain::{BlockId, Header, Height, encode, proof};
use crate::consensus::{Checkpoint, Lineage, SpaceTime, Specification};
use crate::state::tree::{Leaf, Node, NodeKey, TreeBuilder, value_hash};
use crate::state::values::MAX_VALUE_BYTES;
use crate::state::{GenesisBlock, StateKey, Value, genesis};
use crate::store::blocks::{connect, put_header};
use crate::store::open::{FORMAT, FORMAT_KEY, GENESIS_KEY, UNFINISHED_KEY, put_oldest_body, put_oldest_state, put_tip};
use crate::store::versions::{Changed, Undo, put_value};
use crate::store::{Batch, Column, Database, Operation, Store, StoreError, StoredHeader};

/// A batch is written as soon as it has so many bytes.
const BATCH_BYTES: usize = 4 << 20;

/// What was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The block, which is the tip now.
    pub tip: Lineage,
    /// Values of its state.
    pub values: u64,
}

/// A snapshot whose head was read.
#[derive(Debug)]
pub struct SnapshotReader<R> {
    frames: FrameReader<R>,
    head: SnapshotHead,
    /// Items of a frame that are not read yet.
    items: Vec<u8>,
    read: usize,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads the head. `name` is what errors call the file.
    ///
    /// # Errors
    /// If it is no snapshot that this program knows.
    pub fn open(reader: R, name: impl Into<String>) -> Result<Self, SnapshotError> {
        let (frames, head) = FrameReader::open(reader, name.into())?;
        Ok(Self { frames, head, items: Vec::new(), read: 0 })
    }

    /// What it says of itself.
    #[must_use]
    pub const fn head(&self) -> &SnapshotHead {
        &self.head
    }

    /// Takes it in, where `database` is empty, or holds part of a snapshot that was not taken in to its end. `trusted` is
    /// the block that it has to be of, known from elsewhere. `see` is told how far it is, and stops it by `false`.
    ///
    /// # Errors
    /// If it is of another block or chain, is damaged, or its state is not the block's: then nothing of it is left.
    pub fn import<D: Database>(
        mut self,
        specification: &Specification,
        trusted: Checkpoint,
        database: &Arc<D>,
        mut see: impl FnMut(Step) -> bool,
    ) -> Result<Imported, SnapshotError> {
        let genesis = genesis(specification)?;
        let SnapshotHead { genesis: found, block, .. } = self.head;
        let (expected, name) = (genesis.lineage.id, self.frames.name.clone());
        if found != expected {
            return Err(SnapshotError::OtherChain { name, found, expected });
        }
        if block != trusted {
            return Err(SnapshotError::Untrusted { name, found: block, trusted });
        }
        let store = Store { database: Arc::clone(database) };
        if store.is_unfinished()? {
            wipe(&store)?;
        }
        if !store.is_empty()? {
            return Err(SnapshotError::NotEmpty);
        }
        let mut writer = Writer { store, batch: Batch::default(), bytes: 0 };
        writer.batch.put(Column::Meta, UNFINISHED_KEY, []);
        writer.flush()?;
        let taken = self.take(specification, &genesis, &mut writer, &mut see);
        if taken.is_err() {
            wipe(&writer.store)?;
        }
        taken
    }

    fn take<D: Database>(
        &mut self,
        specification: &Specification,
        genesis: &GenesisBlock,
        writer: &mut Writer<D>,
        see: &mut impl FnMut(Step) -> bool,
    ) -> Result<Imported, SnapshotError> {
        let (tip, state_root) = self.take_headers(specification, genesis, writer, see)?;
        let values = self.take_values(tip.height, state_root, writer, see)?;
        // What opening a store expects of genesis, whose state is forgotten.
        let set = |key: &StateKey| Changed { key: key.bytes(), replaced: None, removed: false };
        let undo = Undo { changed: genesis.changes.keys().map(set).collect(), stale: Vec::new() };
        let batch = &mut writer.batch;
        batch.put(Column::Undo, 0u64.to_be_bytes(), encode(&undo));
        batch.delete(Column::Meta, UNFINISHED_KEY);
        batch.put(Column::Meta, FORMAT_KEY, encode(&FORMAT));
        batch.put(Column::Meta, GENESIS_KEY, encode(&genesis.lineage.id));
        put_tip(batch, &tip.id);
        put_oldest_state(batch, tip.height);
        put_oldest_body(batch, tip.height.next());
        writer.flush()?;
        Ok(Imported { tip, values })
    }

    /// Reads headers from above genesis to the block, which each stand on the one before. Returns what the block leaves,
    /// and the root of its state. Signatures and rows are not looked at: the trusted id covers them all.
    fn take_headers<D: Database>(
        &mut self,
        specification: &Specification,
        genesis: &GenesisBlock,
        writer: &mut Writer<D>,
        see: &mut impl FnMut(Step) -> bool,
    ) -> Result<(Lineage, crate::chain::Hash), SnapshotError> {
        let engine = SpaceTime::new(specification);
        let GenesisBlock { header, proof, lineage, .. } = genesis.clone();
        let mut state_root = header.state_root;
        let mut below = lineage.clone();
        writer.put_header(&StoredHeader { header, proof, lineage })?;
        for height in (1..=self.head.block.height.0).map(Height) {
            let (header, proof): (Header, Proof) =
                self.item("header", |bytes| Ok((Header::deserialize_reader(bytes)?, proof::read(bytes)?)))?;
            let (name, offset) = (&self.frames.name, self.frames.frame_offset);
            let chain = |found: BlockId, expected: BlockId| {
                Err(SnapshotError::Chain { name: name.clone(), offset, height, found, expected })
            };
            if header.parent != below.id {
                return chain(header.parent, below.id);
            }
            let checked =
                check_header(&engine, &specification.parameters, &genesis.lineage, &below, &header, &proof, None);
            let checked = checked.map_err(|error| SnapshotError::Header {
                name: name.clone(),
                offset,
                height,
                error: Box::new(error),
            })?;
            below = checked.lineage;
            let known = specification.checkpoints.iter().chain([&self.head.block]);
            if let Some(expected) = known.into_iter().find(|known| known.height == height && known.id != below.id) {
                return chain(below.id, expected.id);
            }
            state_root = header.state_root;
            writer.put_header(&StoredHeader { header, proof, lineage: below.clone() })?;
            if height.0.is_multiple_of(1024) && !see(Step::Headers(height.0)) {
                return Err(SnapshotError::Stopped);
            }
        }
        self.end_part("headers")?;
        Ok((below, state_root))
    }

    /// Reads the values, and builds the tree over them, which has to have `root`.
    fn take_values<D: Database>(
        &mut self,
        height: Height,
        root: crate::chain::Hash,
        writer: &mut Writer<D>,
        see: &mut impl FnMut(Step) -> bool,
    ) -> Result<u64, SnapshotError> {
        let mut tree = TreeBuilder::new(height.0);
        for number in 1..=self.head.values {
            let (key, value) = self.item("value", read_value)?;
            let damaged = |reason: String| self.frames.damaged("value", reason);
            let state_key = StateKey::parse(&key).ok_or_else(|| damaged("its key is none of a state".to_owned()))?;
            Value::decode(&state_key, &value).map_err(|error| damaged(error.to_string()))?;
            let leaf = Leaf { key: state_key.hash(), value: value_hash(&value) };
            tree.add(leaf, |key, node| writer.put_node(&key, &node)).map_err(|error| damaged(error.to_string()))?;
            writer.put_value(&state_key, height, &value)?;
            if number.is_multiple_of(1024) && !see(Step::Values(number)) {
                return Err(SnapshotError::Stopped);
            }
        }
        self.end_part("values")?;
        if self.frames.frame()?.is_some() {
            return Err(self.frames.damaged("end", "there are more values than the head says".to_owned()));
        }
        let leaves = tree.leaves();
        let found = tree.finish(|key, node| writer.put_node(&key, &node));
        if found != root {
            return Err(SnapshotError::Root { name: self.frames.name.clone(), found, expected: root });
        }
        Ok(leaves)
    }

    /// The next item, of the frame that is read or the next one.
    fn item<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut &[u8]) -> std::io::Result<T>,
    ) -> Result<T, SnapshotError> {
        if self.read == self.items.len() {
            self.items = self.frames.frame()?.ok_or_else(|| {
                self.frames.damaged("end", format!("the {field}s before it are fewer than the head says"))
            })?;
            self.read = 0;
        }
        let mut rest = &self.items[self.read..];
        let item = read(&mut rest).map_err(|error| self.frames.damaged(field, error.to_string()))?;
        self.read = self.items.len() - rest.len();
        Ok(item)
    }

    /// The last item of a kind is the last of its frame.
    fn end_part(&self, field: &'static str) -> Result<(), SnapshotError> {
        match self.read == self.items.len() {
            true => Ok(()),
            false => Err(self.frames.damaged("frame", format!("bytes follow the last of the {field}"))),
        }
    }
}

/// A key and its value.
fn read_value(bytes: &mut &[u8]) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let mut take = |length: usize, most: usize| {
        if length > most {
            return Err(std::io::Error::other(format!("its length is {length}, at most {most} are allowed")));
        }
        let (taken, rest) = bytes.split_at_checked(length).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        *bytes = rest;
        Ok(taken.to_vec())
    };
    let length = take(1, 1)?[0];
    let key = take(length.into(), MAX_KEY_BYTES)?;
    let length = take(2, 2)?;
    let value = take(u16::from_le_bytes([length[0], length[1]]).into(), MAX_VALUE_BYTES)?;
    Ok((key, value))
}

/// Writes in batches of some size.
struct Writer<D> {
    store: Store<D>,
    batch: Batch,
    bytes: usize,
}

impl<D: Database> Writer<D> {
    fn put_header(&mut self, stored: &StoredHeader) -> Result<(), StoreError> {
        put_header(&mut self.batch, stored);
        connect(&mut self.batch, &stored.lineage, &[]);
        self.grown(2048)
    }

    fn put_value(&mut self, key: &StateKey, height: Height, value: &[u8]) -> Result<(), StoreError> {
        put_value(&mut self.batch, key, height, Some(value));
        self.grown(64 + value.len())
    }

    fn put_node(&mut self, key: &NodeKey, node: &Node) {
        let node = node.encode();
        self.bytes += 64 + node.len();
        self.batch.put(Column::Tree, key.encode(), node);
    }

    fn grown(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.bytes += bytes;
        if self.bytes < BATCH_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.bytes = 0;
        self.store.write(std::mem::take(&mut self.batch))
    }
}

/// Removes all that there is of a snapshot, the mark last.
fn wipe<D: Database>(store: &Store<D>) -> Result<(), StoreError> {
    // No key of any column is longer, or greater.
    let end = [0xff; 64];
    let others = Column::ALL.into_iter().filter(|column| *column != Column::Meta);
    let all = others.map(|column| Operation::DeleteRange(column, Vec::new(), end.to_vec()));
    store.write(Batch(all.collect()))?;
    let mut batch = Batch::default();
    batch.delete(Column::Meta, UNFINISHED_KEY);
    store.write(batch)
}
