//! The peer book in a file.
//!
//! Magic `SPCTPEER`, version (4 bytes, little-endian), the borsh of [`Saved`], and the SHA-256 of all before. Written
//! beside the file and renamed, so that there is always a whole one.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{Book, Group, Known, MAX_ADDRESSES, MAX_ANCHORS, PeerAddress, PeerId, Table};
use crate::chain::{Capped, DecodeError, decode, encode};
use crate::network::message::MAX_ADDRESS_BYTES;
use crate::network::record::{Banned, MAX_BANS, MAX_PENALTIES, Record};
use crate::network::score::Fading;
use crate::whole::{self, NotWritten};

/// What such a file begins with.
const MAGIC: [u8; 8] = *b"SPCTPEER";
/// The version that is written.
const VERSION: u32 = 1;
/// Bytes before the book.
const HEAD_BYTES: usize = 12;
/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 32;
/// Longest file: every list full, every address of the longest.
const MAX_FILE_BYTES: usize = 2 << 20;
const _: () = assert!(
    MAX_FILE_BYTES
        > HEAD_BYTES
            + CHECKSUM_BYTES
            + 32
            + (MAX_ADDRESSES + MAX_ANCHORS) * (4 + MAX_ADDRESS_BYTES + 33 + 9 + 28)
            + MAX_BANS * 41
            + MAX_PENALTIES * 48
            + 16
);

/// Why a peer book could not be saved or read. A node can begin with an empty one.
#[derive(Debug, Error)]
pub enum BookError {
    /// The system says no.
    #[error("peer book {}: {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Longer than any book.
    #[error("peer book {}: has {found} bytes, a book has at most {MAX_FILE_BYTES}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
    },
    /// Shorter than an empty book.
    #[error("peer book {}: has {found} bytes, no book is as short", path.display())]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
    /// Something else.
    #[error("peer book {}: is no peer book", path.display())]
    Magic {
        /// The file.
        path: PathBuf,
    },
    /// From another version of the program.
    #[error("peer book {}: version is {found}, known is {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Damaged.
    #[error("peer book {}: checksum does not match, the file is damaged", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
    },
    /// No encoding of a book.
    #[error("peer book {}: {source}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: DecodeError,
    },
    /// A text in it is no address.
    #[error("peer book {}: {text:?} is no address of a peer", path.display())]
    Address {
        /// The file.
        path: PathBuf,
        /// The text.
        text: String,
    },
}

impl BookError {
    fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}

type Text = Capped<u8, MAX_ADDRESS_BYTES>;

/// What the file holds.
#[derive(BorshSerialize, BorshDeserialize)]
struct Saved {
    secret: [u8; 32],
    heard: Capped<SavedAddress, MAX_ADDRESSES>,
    tried: Capped<SavedAddress, MAX_ADDRESSES>,
    anchors: Capped<Text, MAX_ANCHORS>,
    bans: Capped<(SavedBanned, u64), MAX_BANS>,
    penalties: Capped<([u8; 32], u64, u64), MAX_PENALTIES>,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct SavedAddress {
    address: Text,
    source: SavedGroup,
    heard_ms: u64,
    answered_ms: u64,
    failures: u32,
    next_try_ms: u64,
}

#[derive(BorshSerialize, BorshDeserialize)]
enum SavedGroup {
    V4([u8; 3]),
    V6([u8; 8]),
    Name([u8; 8]),
}

#[derive(BorshSerialize, BorshDeserialize)]
enum SavedBanned {
    Peer([u8; 32]),
    V4([u8; 4]),
    V6([u8; 16]),
}

fn capped<T, const MAX: usize>(items: impl Iterator<Item = T>) -> Capped<T, MAX> {
    Capped::new(items.take(MAX).collect()).expect("no more were taken")
}

fn text(address: &PeerAddress) -> Text {
    capped(address.to_string().into_bytes().into_iter())
}

impl SavedAddress {
    fn of(known: &Known) -> Self {
        let address = PeerAddress { peer: known.peer, ..known.address.clone() };
        let source = match known.source {
            Group::V4(bytes) => SavedGroup::V4(bytes),
            Group::V6(bytes) => SavedGroup::V6(bytes),
            Group::Name(bytes) => SavedGroup::Name(bytes),
        };
        let &Known { heard_ms, answered_ms, failures, next_try_ms, .. } = known;
        Self { address: text(&address), source, heard_ms, answered_ms, failures, next_try_ms }
    }

    fn known(&self, path: &Path) -> Result<Known, BookError> {
        let address = parsed(path, &self.address)?;
        let source = match self.source {
            SavedGroup::V4(bytes) => Group::V4(bytes),
            SavedGroup::V6(bytes) => Group::V6(bytes),
            SavedGroup::Name(bytes) => Group::Name(bytes),
        };
        let &Self { heard_ms, answered_ms, failures, next_try_ms, .. } = self;
        let peer = address.peer;
        let address = address.without_peer();
        Ok(Known { address, peer, source, heard_ms, answered_ms, failures, next_try_ms })
    }
}

fn parsed(path: &Path, text: &[u8]) -> Result<PeerAddress, BookError> {
    let text = String::from_utf8_lossy(text);
    PeerAddress::parse(&text).map_err(|_| BookError::Address { path: path.to_owned(), text: text.into_owned() })
}

/// A book as its file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(Vec<u8>);

impl Snapshot {
    /// Writes it to `path`, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written; the one before it is still there.
    pub fn save(&self, path: &Path) -> Result<(), BookError> {
        whole::write(path, &self.0).map_err(|NotWritten { path, action, source }| BookError::Io {
            path,
            action,
            source,
        })
    }
}

impl Book {
    /// Writes the book to `path`, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written; the one before it is still there.
    pub fn save(&self, path: &Path) -> Result<(), BookError> {
        self.snapshot().save(path)
    }

    /// What [`Book::save`] writes, to be written while the book goes on.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.to_bytes())
    }

    /// Reads what [`Book::save`] wrote; None if there is no file. `strict_local` as in [`Book::new`].
    ///
    /// # Errors
    /// If the file cannot be read, or is damaged.
    pub fn load(path: &Path, strict_local: bool) -> Result<Option<Self>, BookError> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(BookError::io(path, "cannot open it"))?,
        };
        let found = file.metadata().map_err(BookError::io(path, "cannot see its length"))?.len();
        if found > MAX_FILE_BYTES as u64 {
            return Err(BookError::TooLong { path: path.to_owned(), found });
        }
        let mut bytes = Vec::with_capacity(found as usize);
        // It may have grown since.
        file.take(MAX_FILE_BYTES as u64).read_to_end(&mut bytes).map_err(BookError::io(path, "cannot read it"))?;
        Self::from_bytes(path, &bytes, strict_local).map(Some)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let table = |known: &Vec<Option<Known>>| capped(known.iter().flatten().map(SavedAddress::of));
        let bans = self.record.bans().map(|(who, until)| match who {
            Banned::Peer(peer) => (SavedBanned::Peer(peer.0), until),
            Banned::Ip(IpAddr::V4(ip)) => (SavedBanned::V4(ip.octets()), until),
            Banned::Ip(IpAddr::V6(ip)) => (SavedBanned::V6(ip.octets()), until),
        });
        let penalties = self.record.penalties().map(|(peer, penalty)| {
            let (milli, at_ms) = penalty.saved();
            (peer.0, milli, at_ms)
        });
        let saved = Saved {
            secret: self.secret,
            heard: table(&self.heard),
            tried: table(&self.tried),
            anchors: capped(self.anchors.iter().map(text)),
            bans: capped(bans),
            penalties: capped(penalties),
        };
        let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &encode(&saved)].concat();
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    fn from_bytes(path: &Path, bytes: &[u8], strict_local: bool) -> Result<Self, BookError> {
        let owned = || path.to_owned();
        let short = || BookError::TooShort { path: owned(), found: bytes.len() };
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(short)?;
        let (head, rest) = body.split_first_chunk::<HEAD_BYTES>().ok_or_else(short)?;
        if head[..8] != MAGIC {
            return Err(BookError::Magic { path: owned() });
        }
        let found = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if found != VERSION {
            return Err(BookError::Version { path: owned(), found });
        }
        if Sha256::digest(body)[..] != checksum[..] {
            return Err(BookError::Checksum { path: owned() });
        }
        let saved: Saved =
            decode("peer book", rest, MAX_FILE_BYTES).map_err(|source| BookError::Form { path: owned(), source })?;
        let mut book = Self::new(saved.secret, strict_local);
        for (table, addresses) in [(Table::Tried, &saved.tried), (Table::Heard, &saved.heard)] {
            for address in addresses.iter() {
                let known = address.known(path)?;
                // Two of one place there are where local addresses were spread in another way: the first stays.
                let place = book.place_of(table, &known);
                if book.table(table)[place].is_none() && !book.places.contains_key(&known.address) {
                    book.places.insert(known.address.clone(), (table, place));
                    book.table_mut(table)[place] = Some(known);
                }
            }
        }
        book.anchors = saved.anchors.iter().map(|text| parsed(path, text)).collect::<Result<_, _>>()?;
        let bans = saved.bans.iter().map(|(who, until)| match *who {
            SavedBanned::Peer(peer) => (Banned::Peer(PeerId(peer)), *until),
            SavedBanned::V4(ip) => (Banned::ip(ip.into()), *until),
            SavedBanned::V6(ip) => (Banned::ip(ip.into()), *until),
        });
        let penalties = saved.penalties.iter();
        let penalties = penalties.map(|(peer, milli, at_ms)| (PeerId(*peer), Fading::restored(*milli, *at_ms)));
        book.record = Record::restored(bans.collect(), penalties.collect());
        Ok(book)
    }
}

#[cfg(test)]
mod tests;
