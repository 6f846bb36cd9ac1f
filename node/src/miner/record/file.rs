//! The record on disk: one file a key, beside the keystore or in a data directory.
//!
//! All in pieces of 128 bytes, numbers little-endian, so that none lies across two sectors of a disk:
//!
//! | at | bytes | of the header | of an entry |
//! |---|---|---|---|
//! | 0 | 8 | magic `SPCTSIGN` | kind: 1 signed, 2 everything up to this epoch is forgotten |
//! | 8 | 8 | version = 1 | epoch |
//! | 16 | 32 | zero | genesis id |
//! | 48 | 32 | miner key | SHA-256 of what was signed; zero in kind 2 |
//! | 80 | 16 | … | zero |
//! | 96 | 32 | SHA-256 of all before it | SHA-256 of the piece before's checksum and all before it |
//!
//! An entry is appended and synced before a signature leaves. A crash in between leaves a last piece that is cut short
//! or all zero: nothing was signed, it is dropped. Whatever else does not fit is damage, and nothing is signed until a
//! person has looked at it. A file grown too long is written anew beside it and takes its place.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::memory::Signed;
use super::{KEPT_EPOCHS, RecordError, SigningRecord};
use crate::chain::{BlockId, Epoch, Hash, MinerKey};
use crate::whole::sync_folder;

const PIECE_BYTES: usize = 128;
const CHECKSUM_AT: usize = 96;
const MAGIC: &[u8; 8] = b"SPCTSIGN";
const VERSION: u64 = 1;
/// What the name of a file that is to take the record's place ends with.
const NEW: &str = ".new";
/// Entries after which a file is written anew: a MiB.
const MAX_ENTRIES: usize = 8192;
/// Most chains whose epochs are remembered one by one: of the others, used longer ago, all are forgotten.
const MAX_LIVE_CHAINS: usize = 16;
/// Most chains that are known at all.
const MAX_CHAINS: usize = 1024;

const _: () =
    assert!(MAX_LIVE_CHAINS * (KEPT_EPOCHS + 1) + MAX_CHAINS < MAX_ENTRIES, "what is written anew is shorter");

type Piece = [u8; PIECE_BYTES];

/// Why a record cannot be opened. Every message names the file.
#[derive(Debug, Error)]
pub enum OpenRecordError {
    /// Another miner has it.
    #[error("{}: another miner signs with this key{}", path.display(), match pid {
        Some(pid) => format!(": process {pid}"),
        None => String::new(),
    })]
    Held {
        /// The record.
        path: PathBuf,
        /// Its process, where it says so.
        pid: Option<u32>,
    },
    /// The system refused.
    #[error("{}: {doing}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was to be done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It is damaged.
    #[error(
        "{}: the signing record is damaged at byte {at}: {why}; nothing is signed, since what was signed before is not known",
        path.display()
    )]
    Damaged {
        /// The record.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// It is of a later program.
    #[error("{}: the signing record has version {found}, known is {VERSION}", path.display())]
    Version {
        /// The record.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// It is another key's.
    #[error("{}: this is the signing record of miner key {found}", path.display())]
    Key {
        /// The record.
        path: PathBuf,
        /// Whose it is.
        found: MinerKey,
    },
    /// One key would have two records.
    #[error("{} and {} are to be signing records of one miner key, {key}", first.display(), second.display())]
    Twice {
        /// The key.
        key: MinerKey,
        /// A record.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
}

/// Records of some keys, each in a file, held until this is dropped.
#[derive(Debug)]
pub struct FileRecord {
    files: BTreeMap<MinerKey, KeyFile>,
    /// Locks of further places.
    held: Vec<File>,
}

impl FileRecord {
    /// Opens each key's record, and makes those that are not there, readable by their owner alone.
    ///
    /// # Errors
    /// If one of them is held by another process or damaged, cannot be read or written, or is a key's second.
    pub fn open(places: impl IntoIterator<Item = (MinerKey, PathBuf)>) -> Result<Self, OpenRecordError> {
        let mut files: BTreeMap<MinerKey, KeyFile> = BTreeMap::new();
        for (key, path) in places {
            if let Some(first) = files.get(&key) {
                return Err(OpenRecordError::Twice { key, first: first.path.clone(), second: path });
            }
            files.insert(key, KeyFile::open(&path, &key)?);
        }
        Ok(Self { files, held: Vec::new() })
    }

    /// Keeps other miners away from the place of a record that lies elsewhere, without making one there.
    ///
    /// # Errors
    /// If another process holds it, or no lock can be made there.
    pub fn hold(&mut self, path: &Path) -> Result<(), OpenRecordError> {
        self.held.push(lock(path)?);
        Ok(())
    }

    /// Where a key's record lies in a folder that holds those of many.
    #[must_use]
    pub fn place_in(folder: &Path, key: &MinerKey) -> PathBuf {
        folder.join(format!("{}.signed", const_hex::encode(&key.0[..16])))
    }

    /// Where a key's record lies beside its keystore, which two miners that use it share.
    #[must_use]
    pub fn place_beside(keystore: &Path) -> PathBuf {
        let mut name = keystore.file_name().unwrap_or_default().to_owned();
        name.push(".signed");
        keystore.with_file_name(name)
    }
}

impl SigningRecord for FileRecord {
    fn remember(&mut self, genesis: &BlockId, key: &MinerKey, epoch: Epoch, digest: &Hash) -> Result<(), RecordError> {
        let none = || RecordError::Unusable(format!("there is no signing record of miner key {key}"));
        self.files.get_mut(key).ok_or_else(none)?.remember(genesis, epoch, digest)
    }

    fn remembered(&self, genesis: &BlockId, key: &MinerKey, epoch: Epoch) -> Option<Hash> {
        self.files.get(key)?.chains.get(genesis)?.signed.epochs.get(&epoch).copied()
    }
}

/// One chain in a file.
#[derive(Debug, Default)]
struct Chain {
    signed: Signed,
    /// The number of its latest entry: which chains were used last.
    used: u64,
}

/// One key's record.
#[derive(Debug)]
struct KeyFile {
    path: PathBuf,
    key: MinerKey,
    file: File,
    /// Holds the lock: another file than the record, which is replaced now and then.
    _lock: File,
    chains: BTreeMap<BlockId, Chain>,
    entries: usize,
    /// The latest piece's checksum.
    checksum: [u8; 32],
    /// Whether there may be more in the file than `entries`: an append has failed.
    ragged: bool,
    /// Why it cannot be told which of two files is at `path` after a loss of power, if that is so.
    doubtful: Option<String>,
}

impl KeyFile {
    fn open(path: &Path, key: &MinerKey) -> Result<Self, OpenRecordError> {
        let io = |doing| move |source| OpenRecordError::Io { path: path.to_owned(), doing, source };
        let lock = lock(path)?;
        if !path.try_exists().map_err(io("cannot look for it"))? {
            make(path, key).map_err(io("cannot make the signing record"))?;
            tracing::warn!(path = %path.display(), "a new signing record: what this key has signed before, if it has, is not known");
        }
        let file =
            OpenOptions::new().read(true).write(true).open(path).map_err(io("cannot open the signing record"))?;
        let mut bytes = Vec::new();
        // A file that was never compacted for long has a few entries more than the most.
        let limit = (2 * MAX_ENTRIES * PIECE_BYTES) as u64;
        (&file).take(limit + 1).read_to_end(&mut bytes).map_err(io("cannot read the signing record"))?;
        let damaged = |at: usize, why| OpenRecordError::Damaged { path: path.to_owned(), at: at as u64, why };
        if bytes.len() as u64 > limit {
            return Err(damaged(limit as usize, "it is longer than any record"));
        }
        let (pieces, torn) = bytes.as_chunks::<PIECE_BYTES>();
        let Some((first, entries)) = pieces.split_first() else {
            return Err(damaged(bytes.len(), "it ends within its header"));
        };
        let version = u64::from_le_bytes(*first[8..].first_chunk().expect("a piece is longer"));
        if first.starts_with(MAGIC) && version > VERSION {
            return Err(OpenRecordError::Version { path: path.to_owned(), found: version });
        }
        if first[CHECKSUM_AT..] != checksum(&[0; 32], first) || !first.starts_with(MAGIC) || version != VERSION {
            return Err(damaged(0, "its header is not one"));
        }
        let found = MinerKey(*first[48..].first_chunk().expect("a piece is longer"));
        if found != *key {
            return Err(OpenRecordError::Key { path: path.to_owned(), found });
        }
        let mut record = Self {
            path: path.to_owned(),
            key: *key,
            file,
            _lock: lock,
            chains: BTreeMap::new(),
            entries: 0,
            checksum: *first.last_chunk().expect("a piece is longer"),
            ragged: !torn.is_empty(),
            doubtful: None,
        };
        for (number, piece) in entries.iter().enumerate() {
            if *piece == [0; PIECE_BYTES] && number + 1 == entries.len() && torn.is_empty() {
                record.ragged = true;
                break;
            }
            record.take_in(piece).map_err(|why| damaged((number + 1) * PIECE_BYTES, why))?;
        }
        if record.ragged {
            tracing::warn!(path = %path.display(), "the last entry of the signing record was not written whole: it is dropped, nothing was signed");
            record.mend().map_err(io("cannot mend the signing record"))?;
        }
        Ok(record)
    }

    /// Takes in an entry that was read.
    fn take_in(&mut self, piece: &Piece) -> Result<(), &'static str> {
        if piece[CHECKSUM_AT..] != checksum(&self.checksum, piece) {
            return Err("the checksum of an entry is wrong");
        }
        let epoch = Epoch(u64::from_le_bytes(*piece[8..].first_chunk().expect("a piece is longer")));
        let genesis = BlockId(*piece[16..].first_chunk().expect("a piece is longer"));
        let digest = Hash(*piece[48..].first_chunk().expect("a piece is longer"));
        self.entries += 1;
        let chain = self.chains.entry(genesis).or_default();
        chain.used = self.entries as u64;
        match u64::from_le_bytes(*piece.first_chunk().expect("a piece is longer")) {
            1 => match chain.signed.check(epoch, &digest) {
                Ok(_) => chain.signed.insert(epoch, digest),
                Err(_) => return Err("two headers of one epoch were signed"),
            },
            2 => chain.signed.forgotten = chain.signed.forgotten.max(Some(epoch)),
            _ => return Err("an entry is of no known kind"),
        }
        self.checksum = *piece.last_chunk().expect("a piece is longer");
        Ok(())
    }

    fn remember(&mut self, genesis: &BlockId, epoch: Epoch, digest: &Hash) -> Result<(), RecordError> {
        if self.chains.get(genesis).is_some_and(|chain| chain.signed.check(epoch, digest) == Ok(true)) {
            return Ok(());
        }
        if let Some(chain) = self.chains.get(genesis) {
            chain.signed.check(epoch, digest)?;
        } else if self.chains.len() >= MAX_CHAINS {
            let path = self.path.display();
            return Err(RecordError::Unusable(format!("{path}: the signing record holds {MAX_CHAINS} chains already")));
        }
        let unusable = |path: &Path, error: io::Error| {
            RecordError::Unusable(format!("{}: cannot write to the signing record: {error}", path.display()))
        };
        if let Some(why) = &self.doubtful {
            return Err(RecordError::Unusable(why.clone()));
        }
        if self.entries >= MAX_ENTRIES {
            self.compact().map_err(|error| unusable(&self.path, error))?;
        }
        if self.ragged {
            self.mend().map_err(|error| unusable(&self.path, error))?;
        }
        let piece = entry(1, epoch, genesis, digest, &self.checksum);
        self.ragged = true;
        self.append(&piece).map_err(|error| unusable(&self.path, error))?;
        self.ragged = false;
        self.take_in(&piece).expect("it was checked, and made here");
        Ok(())
    }

    fn append(&mut self, piece: &Piece) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end()))?;
        self.file.write_all(piece)?;
        self.file.sync_all()
    }

    /// Appends without waiting for the disk.
    #[cfg(test)]
    fn seek_and_write(&mut self, piece: &Piece) {
        self.file.seek(SeekFrom::Start(self.end())).and_then(|_| self.file.write_all(piece)).unwrap();
        self.take_in(piece).unwrap();
    }

    /// Cuts off what is not known to be whole.
    fn mend(&mut self) -> io::Result<()> {
        self.file.set_len(self.end())?;
        self.file.sync_all()?;
        self.ragged = false;
        Ok(())
    }

    fn end(&self) -> u64 {
        ((1 + self.entries) * PIECE_BYTES) as u64
    }

    /// Writes what is remembered into a file of its own, which takes this one's place.
    fn compact(&mut self) -> io::Result<()> {
        let mut by_use: Vec<(BlockId, u64)> = self.chains.iter().map(|(id, chain)| (*id, chain.used)).collect();
        by_use.sort_unstable_by_key(|(_, used)| *used);
        let forgotten = by_use.len().saturating_sub(MAX_LIVE_CHAINS);
        for (id, _) in &by_use[..forgotten] {
            let signed = &mut self.chains.get_mut(id).expect("it was listed").signed;
            let latest = signed.epochs.last_key_value().map(|(epoch, _)| *epoch);
            signed.forgotten = signed.forgotten.max(latest);
            signed.epochs.clear();
        }
        let mut pieces = vec![header(&self.key)];
        let mut add = |kind, epoch, id: &BlockId, digest: &Hash| {
            let before = *pieces.last().and_then(|piece| piece.last_chunk()).expect("there is a header");
            pieces.push(entry(kind, epoch, id, digest, &before));
        };
        for (id, _) in &by_use {
            let Signed { forgotten, epochs } = &self.chains[id].signed;
            forgotten.iter().for_each(|epoch| add(2, *epoch, id, &Hash::ZERO));
            epochs.iter().for_each(|(epoch, digest)| add(1, *epoch, id, digest));
        }
        let file = write_beside(&self.path, &pieces)?;
        fs::rename(beside(&self.path, NEW), &self.path)?;
        self.file = file;
        self.entries = pieces.len() - 1;
        self.checksum = *pieces.last().and_then(|piece| piece.last_chunk()).expect("there is a header");
        self.ragged = false;
        for ((id, _), used) in by_use.iter().zip(0..) {
            self.chains.get_mut(id).expect("it was listed").used = used;
        }
        sync_folder(&self.path).inspect_err(|error| {
            let path = self.path.display();
            self.doubtful = Some(format!("{path}: the signing record was written anew, but not its folder: {error}"));
        })
    }
}

fn header(key: &MinerKey) -> Piece {
    let mut piece = [0; PIECE_BYTES];
    piece[..8].copy_from_slice(MAGIC);
    piece[8..16].copy_from_slice(&VERSION.to_le_bytes());
    piece[48..96].copy_from_slice(&key.0);
    let sum = checksum(&[0; 32], &piece);
    piece[CHECKSUM_AT..].copy_from_slice(&sum);
    piece
}

fn entry(kind: u64, epoch: Epoch, genesis: &BlockId, digest: &Hash, before: &[u8; 32]) -> Piece {
    let mut piece = [0; PIECE_BYTES];
    piece[..8].copy_from_slice(&kind.to_le_bytes());
    piece[8..16].copy_from_slice(&epoch.0.to_le_bytes());
    piece[16..48].copy_from_slice(&genesis.0);
    piece[48..80].copy_from_slice(&digest.0);
    let sum = checksum(before, &piece);
    piece[CHECKSUM_AT..].copy_from_slice(&sum);
    piece
}

fn checksum(before: &[u8; 32], piece: &Piece) -> [u8; 32] {
    Sha256::new().chain_update(before).chain_update(&piece[..CHECKSUM_AT]).finalize().into()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// Options that make files for their owner alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Keeps other miners away from a record.
fn lock(path: &Path) -> Result<File, OpenRecordError> {
    let name = beside(path, ".lock");
    let io = |doing| {
        let name = name.clone();
        move |source| OpenRecordError::Io { path: name, doing, source }
    };
    let mut file = private().truncate(false).open(&name).map_err(io("cannot open the lock file"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Who it is helps; that it is held is certain without it.
            let _ = file.take(64).read_to_string(&mut text);
            return Err(OpenRecordError::Held { path: path.to_owned(), pid: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(source)) => return Err(io("cannot lock it")(source)),
    }
    // The lock is the lock, with or without a name in it.
    let _ = file.set_len(0).and_then(|()| file.rewind());
    let _ = writeln!(file, "{}", std::process::id());
    Ok(file)
}

/// Writes a file that is to take the place of the one at `path`.
fn write_beside(path: &Path, pieces: &[Piece]) -> io::Result<File> {
    let mut file = private().truncate(true).open(beside(path, NEW))?;
    file.write_all(pieces.as_flattened())?;
    file.sync_all()?;
    Ok(file)
}

/// Makes an empty record: whole, or there is none.
fn make(path: &Path, key: &MinerKey) -> io::Result<()> {
    write_beside(path, &[header(key)])?;
    fs::rename(beside(path, NEW), path)?;
    sync_folder(path)
}

#[cfg(test)]
mod tests;
