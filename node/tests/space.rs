//! The guard that stops writing before the disk is full.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use spacetime_node::store::space::free_bytes;
use spacetime_node::store::{Batch, Column, Database, DatabaseError, MemoryDatabase, SpaceGuard};

fn batch(bytes: usize) -> Batch {
    let mut batch = Batch::default();
    batch.put(Column::Meta, *b"k", vec![0; bytes - 1]);
    batch
}

#[test]
fn nothing_is_written_into_what_is_kept_free() {
    let free = AtomicU64::new(1_100);
    let probe = |_: &Path| Ok(free.load(Ordering::Relaxed));
    let guard = SpaceGuard::with_probe(MemoryDatabase::new(), Path::new("/disk"), 1_000, probe);
    guard.write(batch(100)).unwrap();
    match guard.write(batch(101)) {
        Err(DatabaseError::NoSpace { path, free_bytes, needed_bytes }) => {
            assert_eq!((path.as_str(), free_bytes, needed_bytes), ("/disk", 1_100, 1_101));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(guard.get(Column::Meta, b"k").unwrap().unwrap().len(), 99, "reading goes on, the old value is there");
    free.store(1_101, Ordering::Relaxed);
    guard.write(batch(101)).unwrap();
    free.store(0, Ordering::Relaxed);
    assert!(matches!(guard.write(Batch::default()), Err(DatabaseError::NoSpace { free_bytes: 0, .. })));
    assert_eq!(guard.inner().bytes(Column::Meta), 101);
}

#[test]
fn a_disk_that_does_not_say_is_not_written_to() {
    let probe = |_: &Path| Err(io::Error::other("gone"));
    let guard = SpaceGuard::with_probe(MemoryDatabase::new(), Path::new("/disk"), 0, probe);
    assert!(matches!(guard.write(batch(1)), Err(DatabaseError::Io { .. })));
    assert_eq!(guard.inner().bytes(Column::Meta), 0);
}

#[test]
fn the_real_disk_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let free = free_bytes(folder.path()).unwrap();
    assert!(free > 0);
    let enough = SpaceGuard::new(MemoryDatabase::new(), folder.path(), 0);
    enough.write(batch(1)).unwrap();
    // More than any disk has.
    let never = SpaceGuard::new(MemoryDatabase::new(), folder.path(), u64::MAX - 1);
    if cfg!(unix) {
        assert!(matches!(never.write(batch(1)), Err(DatabaseError::NoSpace { .. })));
    }
    let gone = SpaceGuard::new(MemoryDatabase::new(), &folder.path().join("gone"), 0);
    assert!(matches!(gone.write(batch(1)), Err(DatabaseError::Io { .. })));
}
