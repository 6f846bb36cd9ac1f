//! Headers: every byte counts, every rule has its error.

mod common;

use common::{header, plot_bytes, write_plot};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use spacetime_prover::{HEADER_BYTES, HeaderError, LayoutError, Plot, PlotError, PlotHeader};

fn good() -> [u8; HEADER_BYTES] {
    plot_bytes(&header(1, 4, 1, 5, 2)).0.encode()
}

/// The header with `bytes` at `at`, and a checksum that fits.
fn changed(at: usize, bytes: &[u8]) -> Result<PlotHeader, HeaderError> {
    let mut header = good();
    header[at..at + bytes.len()].copy_from_slice(bytes);
    let checksum = Sha256::digest(&header[..4064]);
    header[4064..].copy_from_slice(&checksum);
    PlotHeader::decode(&header)
}

#[test]
fn every_flipped_bit_is_refused() {
    PlotHeader::decode(&good()).expect("the control: untouched, the header is good");
    for at in 0..HEADER_BYTES {
        for bit in 0..8 {
            let mut header = good();
            header[at] ^= 1 << bit;
            PlotHeader::decode(&header).expect_err("a flipped bit");
        }
    }
}

#[test]
fn every_rule_has_its_error_when_the_checksum_fits() {
    assert!(changed(0, b"SPCTPLOT").is_ok(), "the control");
    assert_eq!(changed(0, b"NOTAPLOT"), Err(HeaderError::Magic));
    assert_eq!(changed(8, &[2]), Err(HeaderError::Version(2)));
    assert_eq!(changed(12, &[0, 32]), Err(HeaderError::HeaderBytes(8192)));
    assert!(matches!(changed(128, &[3]), Err(HeaderError::Shape(_))));
    assert!(matches!(changed(128, &[21]), Err(HeaderError::Shape(_))));
    assert!(matches!(changed(129, &[0]), Err(HeaderError::Shape(_))));
    assert_eq!(changed(130, &[31]), Err(HeaderError::CellBytes(31)));
    assert_eq!(changed(132, &[3]), Err(HeaderError::State(3)));
    assert_eq!(changed(132, &[0]), Err(HeaderError::EarlyRoot));
    assert_eq!(changed(132, &[2]), Err(HeaderError::EarlyRoot));
    assert_eq!(changed(136, &[0]), Err(HeaderError::Rows(0)));
    assert_eq!(changed(136, &[0xff; 8]), Err(HeaderError::Rows(u64::MAX)));
    assert_eq!(changed(144, &[0]), Err(HeaderError::RowsPerSegment(0)));
    assert_eq!(changed(144, &[3]), Err(HeaderError::RowsPerSegment(3)));
    assert_eq!(changed(144, &[0, 0, 0, 0, 0, 2]), Err(HeaderError::RowsPerSegment(1 << 41)));
    assert!(matches!(changed(152, &[2]), Err(HeaderError::FirstRow { first_row: 2, .. })));
    assert_eq!(changed(160, &[0, 0]), Err(HeaderError::DataOffset(0)));
    assert_eq!(changed(160, &[1, 16]), Err(HeaderError::DataOffset(4097)));
    assert_eq!(changed(168, &[1]), Err(HeaderError::RootsOffset(8193)));
    assert_eq!(changed(176, &[0; 32]), Err(HeaderError::PlotId));
    assert_eq!(changed(16, &[8]), Err(HeaderError::PlotId));
    assert_eq!(changed(240, &[1]), Err(HeaderError::Reserved(240)));
    assert_eq!(changed(4063, &[1]), Err(HeaderError::Reserved(4063)));
}

#[test]
fn sizes_are_held_against_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.plot");
    write_plot(&path, &header(1, 4, 1, 5, 2));
    let whole = std::fs::read(&path).expect("a file");
    for bytes in [0, 1, 4095, 4096, 8191, 8192, whole.len() - 1] {
        std::fs::write(&path, &whole[..bytes]).expect("a small file");
        let error = Plot::open(&path).expect_err("a truncated file");
        let truncated = matches!(error, PlotError::Layout { source: LayoutError::Truncated { .. }, .. });
        assert!(truncated || (bytes < 4096 && matches!(error, PlotError::Short { .. })), "{error}");
    }
    // A trailer behind the roots is somebody's own and does no harm.
    let mut longer = whole.clone();
    longer.extend([1; 100]);
    std::fs::write(&path, longer).expect("a small file");
    Plot::open(&path).expect("a plot with a trailer");
}

#[test]
fn headers_of_giants_are_refused_without_allocating() {
    let mut giant = header(1, 20, 255, 1 << 37, 1 << 40);
    giant.roots_offset = 1 << 40;
    let error = spacetime_prover::Layout::new(&giant).expect_err("data and roots overlap");
    assert!(matches!(error, LayoutError::Overlap { .. }), "{error}");
    giant.roots_offset = u64::MAX - 4095;
    let error = spacetime_prover::Layout::new(&giant).expect_err("roots beyond every file");
    assert!(matches!(error, LayoutError::TooLarge { .. }), "{error}");
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(matches!(Plot::open(folder.path()), Err(PlotError::NotAFile(_))));
    assert!(matches!(Plot::open(&folder.path().join("absent.plot")), Err(PlotError::Io { .. })));
}

proptest! {
    #[test]
    fn headers_round_trip(
        seed: [u8; 32], network: [u8; 32], p in 4u8..=20, rounds in 1u8..=255, rows in 1u64..1 << 24, log2_segment in 0u32..24,
    ) {
        let mut header = header(0, p, rounds, rows, 1 << log2_segment);
        (header.seed, header.network) = (seed, network);
        prop_assert_eq!(PlotHeader::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), HEADER_BYTES), fix in any::<bool>()) {
        let mut bytes: [u8; HEADER_BYTES] = bytes.try_into().expect("the length asked for");
        if fix {
            bytes[..16].copy_from_slice(&good()[..16]);
            bytes[240..4064].fill(0);
            let checksum = Sha256::digest(&bytes[..4064]);
            bytes[4064..].copy_from_slice(&checksum);
        }
        let _ = PlotHeader::decode(&bytes);
    }
}
