//! Files that were cut, flipped, held and filled.

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

const GENESIS: BlockId = BlockId([7; 32]);
const KEY: MinerKey = MinerKey([8; 48]);

fn digest(number: u64) -> Hash {
    Hash(Sha256::digest(number.to_le_bytes()).into())
}

fn open(path: &Path) -> Result<FileRecord, OpenRecordError> {
    FileRecord::open([(KEY, path.to_owned())])
}

fn sign(record: &mut FileRecord, epoch: u64, number: u64) -> Result<(), RecordError> {
    record.remember(&GENESIS, &KEY, Epoch(epoch), &digest(number))
}

/// A record of epochs 1 to `count`, closed.
fn filled(path: &Path, count: u64) {
    let mut record = open(path).unwrap();
    (1..=count).for_each(|epoch| sign(&mut record, epoch, epoch).unwrap());
}

#[test]
fn what_was_signed_outlasts_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.signed");
    filled(&path, 3);
    let mut record = open(&path).unwrap();
    assert_eq!(record.remembered(&GENESIS, &KEY, Epoch(2)), Some(digest(2)));
    assert_eq!(sign(&mut record, 2, 2), Ok(()), "the same again");
    let other = RecordError::Other { epoch: Epoch(2), signed: digest(2), asked: digest(9) };
    assert_eq!(sign(&mut record, 2, 9), Err(other));
    assert_eq!(sign(&mut record, 9, 9), Ok(()));
    assert_eq!(sign(&mut record, 5, 5), Ok(()), "an epoch that was left out");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // Another chain's epochs are others.
    assert_eq!(record.remember(&BlockId([1; 32]), &KEY, Epoch(2), &digest(9)), Ok(()));
    assert!(matches!(
        record.remember(&GENESIS, &MinerKey([1; 48]), Epoch(2), &digest(9)),
        Err(RecordError::Unusable(_))
    ));
}

/// The program is killed after every single byte that an append writes: the file is cut there, or its length has
/// reached the disk before its bytes.
#[test]
fn a_kill_within_an_append_leaves_a_record_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.signed");
    filled(&path, 4);
    let whole = std::fs::read(&path).unwrap();
    let before = whole.len() - PIECE_BYTES;
    for length in before..=whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let mut record = open(&path).unwrap_or_else(|error| panic!("{length}: {error}"));
        assert_eq!(record.remembered(&GENESIS, &KEY, Epoch(3)), Some(digest(3)), "{length}");
        let last = record.remembered(&GENESIS, &KEY, Epoch(4));
        assert_eq!(last, (length == whole.len()).then(|| digest(4)), "{length}");
        // Another header may be signed only if the first never was.
        assert_eq!(sign(&mut record, 4, 99).is_ok(), length < whole.len(), "{length}");
        drop(record);
        let record = open(&path).unwrap();
        let expected = if length < whole.len() { digest(99) } else { digest(4) };
        assert_eq!(record.remembered(&GENESIS, &KEY, Epoch(4)), Some(expected));
    }
    let mut zeros = whole[..before].to_vec();
    zeros.resize(whole.len(), 0);
    std::fs::write(&path, &zeros).unwrap();
    let mut record = open(&path).unwrap();
    assert_eq!(record.remembered(&GENESIS, &KEY, Epoch(4)), None);
    sign(&mut record, 4, 4).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn a_cut_deeper_than_the_last_entry_is_seen_or_is_an_earlier_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.signed");
    filled(&path, 2);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        match open(&path) {
            Ok(_) => assert!(length >= PIECE_BYTES, "{length}"),
            Err(error) => {
                assert!(length < PIECE_BYTES, "{length}: {error}");
                assert!(error.to_string().contains("key.signed"), "{error}");
            }
        }
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.signed");
    filled(&path, 2);
    let whole = std::fs::read(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        let error = open(&path).expect_err("damage").to_string();
        assert!(error.contains("key.signed"), "bit {bit}: {error}");
    }
    std::fs::write(&path, &whole).unwrap();
    open(&path).expect("the control");
}

#[test]
fn entries_in_another_order_or_of_another_file_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.signed");
    filled(&path, 3);
    let whole = std::fs::read(&path).unwrap();
    let piece = |number: usize| &whole[number * PIECE_BYTES..][..PIECE_BYTES];
    for order in [[0, 2, 1, 3], [0, 1, 1, 2], [0, 1, 3, 3]] {
        std::fs::write(&path, order.map(piece).concat()).unwrap();
        assert!(matches!(open(&path), Err(OpenRecordError::Damaged { .. })), "{order:?}");
    }
    // Zeros that are not the last piece.
    let zeros = [0; PIECE_BYTES];
    std::fs::write(&path, [piece(0), piece(1), &zeros, &zeros].concat()).unwrap();
    assert!(matches!(open(&path), Err(OpenRecordError::Damaged { .. })));
    std::fs::write(&path, [piece(0), piece(1), &zeros, &zeros[..5]].concat()).unwrap();
    assert!(matches!(open(&path), Err(OpenRecordError::Damaged { .. })));
}

#[test]
fn a_record_is_of_one_key_and_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.signed");
    filled(&path, 1);
    let error = FileRecord::open([(MinerKey([1; 48]), path.clone())]).unwrap_err();
    assert!(matches!(error, OpenRecordError::Key { found: KEY, .. }), "{error}");
    let mut piece = header(&KEY);
    piece[8] = 2;
    std::fs::write(&path, piece).unwrap();
    assert!(matches!(open(&path), Err(OpenRecordError::Version { found: 2, .. })));
}

#[test]
fn a_record_has_one_holder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.signed");
    let record = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenRecordError::Held { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())));
    drop(record);
    open(&path).expect("it is free");
}

#[test]
fn a_long_record_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.signed");
    let mut record = open(&path).unwrap();
    let file = record.files.get_mut(&KEY).unwrap();
    // As long as it gets, without waiting for the disk each time.
    for epoch in 1..=MAX_ENTRIES as u64 {
        let piece = entry(1, Epoch(epoch), &GENESIS, &digest(epoch), &file.checksum);
        file.seek_and_write(&piece);
    }
    let longest = std::fs::metadata(&path).unwrap().len();
    let next = MAX_ENTRIES as u64 + 1;
    sign(&mut record, next, next).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < longest / 8);
    drop(record);
    let mut record = open(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(record.remembered(&GENESIS, &KEY, Epoch(next)), Some(digest(next)));
    let through = Epoch(next - KEPT_EPOCHS as u64);
    for epoch in [1, through.0] {
        let forgotten = RecordError::Forgotten { epoch: Epoch(epoch), through };
        assert_eq!(sign(&mut record, epoch, epoch), Err(forgotten));
    }
    assert!(matches!(sign(&mut record, through.0 + 1, 0), Err(RecordError::Other { .. })));
}

#[test]
fn chains_of_long_ago_are_forgotten_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.signed");
    let mut record = open(&path).unwrap();
    let chain = |number: u8| BlockId([number; 32]);
    for number in 0..MAX_LIVE_CHAINS as u8 + 2 {
        record.remember(&chain(number), &KEY, Epoch(5), &digest(5)).unwrap();
    }
    record.files.get_mut(&KEY).unwrap().compact().unwrap();
    drop(record);
    let mut record = open(&path).unwrap();
    let mut sign = |number, epoch| record.remember(&chain(number), &KEY, Epoch(epoch), &digest(9));
    assert_eq!(sign(0, 5), Err(RecordError::Forgotten { epoch: Epoch(5), through: Epoch(5) }));
    assert!(matches!(sign(2, 5), Err(RecordError::Other { .. })));
    assert_eq!(sign(0, 6), Ok(()));
}

#[test]
fn a_failed_append_signs_nothing_and_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.signed");
    filled(&path, 2);
    let mut record = open(&path).unwrap();
    // A handle that cannot write, as if the disk were full.
    let file = record.files.get_mut(&KEY).unwrap();
    let good = std::mem::replace(&mut file.file, File::open(&path).unwrap());
    assert!(matches!(sign(&mut record, 3, 3), Err(RecordError::Unusable(_))));
    assert_eq!(record.remembered(&GENESIS, &KEY, Epoch(3)), None);
    // Part of it may have been written.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(&[1; 50]);
    std::fs::write(&path, bytes).unwrap();
    record.files.get_mut(&KEY).unwrap().file = good;
    sign(&mut record, 3, 4).unwrap();
    drop(record);
    assert_eq!(open(&path).unwrap().remembered(&GENESIS, &KEY, Epoch(3)), Some(digest(4)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// A file and a memory agree, whatever is signed and however often the file is opened anew.
    #[test]
    fn as_in_memory(steps in prop::collection::vec((0_u64..12, 0_u64..2, any::<bool>()), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.signed");
        let (mut on_disk, mut in_memory) = (open(&path).unwrap(), super::super::MemoryRecord::default());
        for (epoch, number, again) in steps {
            let expected = in_memory.remember(&GENESIS, &KEY, Epoch(epoch), &digest(number));
            prop_assert_eq!(sign(&mut on_disk, epoch, number), expected);
            if again {
                drop(on_disk);
                on_disk = open(&path).unwrap();
            }
        }
    }
}
