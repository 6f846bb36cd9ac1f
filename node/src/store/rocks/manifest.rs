//! Looks at RocksDB's list of tables before RocksDB does.
//!
//! RocksDB takes a record of the list that goes beyond the end of the file for one that was cut off while it was
//! written, and forgets it with all that follow. If the record's length is damaged, that drops tables which hold
//! batches, keeps later batches of the log, and deletes the tables: contents that never were. A record that was cut off
//! has a checksum that fits no part of what is there; a record with a wrong length has one that does.
//!
//! The file is a row of 32 KiB blocks of records, `le32(masked CRC-32C of type and payload) || le16(length) || type ||
//! payload`; what is left of a block with less than 7 bytes is zero (rocksdb/db/log_format.h).

use std::fs;
use std::io;
use std::path::Path;

use crate::store::DatabaseError;

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;

/// Checks the list of tables that `CURRENT` names in folder `path`, if there is one.
///
/// # Errors
/// If a record of it is damaged, or it cannot be read.
pub(super) fn check(path: &Path) -> Result<(), DatabaseError> {
    let shown = || path.display().to_string();
    let read = |name: &str| {
        fs::read(path.join(name)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => DatabaseError::Corrupt { path: shown(), reason: format!("{name} is not there") },
            _ => DatabaseError::Io { path: shown(), reason: format!("{name}: {error}") },
        })
    };
    let corrupt = |reason: String| Err(DatabaseError::Corrupt { path: shown(), reason });
    let current = String::from_utf8_lossy(&read("CURRENT")?).into_owned();
    let name = current.strip_suffix('\n').unwrap_or_default();
    if !name.strip_prefix("MANIFEST-").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
        return corrupt("CURRENT names no list of tables".to_owned());
    }
    match damaged_at(&read(name)?) {
        None => Ok(()),
        Some(offset) => corrupt(format!("{name}: the record at byte {offset} is damaged")),
    }
}

/// Where the first damaged record begins.
fn damaged_at(bytes: &[u8]) -> Option<usize> {
    for (index, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
        let mut at = 0;
        while let Some((header, rest)) = block[at..].split_first_chunk::<HEADER_BYTES>() {
            let &[c0, c1, c2, c3, l0, l1, kind] = header;
            let (stored, length) = (u32::from_le_bytes([c0, c1, c2, c3]), usize::from(u16::from_le_bytes([l0, l1])));
            if header == &[0; HEADER_BYTES] && rest.iter().all(|byte| *byte == 0) {
                break;
            }
            let whole = rest.get(..length);
            let sound = match whole {
                Some(payload) => prefixes(kind, payload).last() == Some(stored),
                None => !prefixes(kind, rest).any(|crc| crc == stored),
            };
            if !sound {
                return Some(index * BLOCK_BYTES + at);
            }
            if whole.is_none() {
                break;
            }
            at += HEADER_BYTES + length;
        }
    }
    None
}

/// Masked checksums of `kind` with nothing, with the first byte of `payload`, with the first two, and so on.
fn prefixes(kind: u8, payload: &[u8]) -> impl Iterator<Item = u32> {
    let mut crc = u32::MAX;
    std::iter::once(kind).chain(payload.iter().copied()).map(move |byte| {
        crc = TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
        (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
    })
}

/// CRC-32C, a byte at a time: the list is short.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
        let crc = prefixes(kind, payload).last().unwrap();
        [&crc.to_le_bytes()[..], &(payload.len() as u16).to_le_bytes(), &[kind], payload].concat()
    }

    /// From RFC 3720 §B.4: 32 bytes of zeros, of which the type is the first.
    #[test]
    fn the_checksum_is_crc_32c() {
        let crc = prefixes(0, &[0; 31]).last().unwrap();
        assert_eq!(crc, 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn a_record_cut_off_is_the_end_and_a_damaged_one_is_found() {
        let first = record(1, b"first");
        let whole = [first.clone(), record(2, &[7; 300]), record(4, b"last")].concat();
        for length in 0..=whole.len() {
            assert_eq!(damaged_at(&whole[..length]), None, "cut off at {length}");
        }
        for offset in 0..whole.len() {
            for flip in [1, 0x10, 0x80] {
                let mut bad = whole.clone();
                bad[offset] ^= flip;
                assert!(damaged_at(&bad).is_some(), "byte {offset}");
            }
        }
        assert_eq!(damaged_at(&[&first[..], &[0; 100]].concat()), None, "room made in advance");
    }

    #[test]
    fn records_do_not_cross_blocks() {
        let long = record(1, &vec![3; BLOCK_BYTES - 2 * HEADER_BYTES - 2]);
        let bytes = [&record(1, b"")[..], &long, &[0; 2], &record(1, b"next")].concat();
        assert_eq!(damaged_at(&bytes), None);
        let mut bad = bytes;
        *bad.last_mut().unwrap() ^= 1;
        assert_eq!(damaged_at(&bad), Some(BLOCK_BYTES));
    }
}
