//! Every database does what a naive one does.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use spacetime_node::store::{Batch, Column, Database, DatabaseError, Entry, MemoryDatabase, Operation, Visit};

/// Keys over two letters and none, so that prefixes, neighbours and equals abound.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0u8, 1, 0x7f, 0xff]), 0..4)
}

fn column() -> impl Strategy<Value = Column> {
    prop::sample::select(vec![Column::Headers, Column::State, Column::Tree])
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (column(), key(), prop::collection::vec(any::<u8>(), 0..6)).prop_map(|(c, k, v)| Operation::Put(c, k, v)),
        2 => (column(), key()).prop_map(|(c, k)| Operation::Delete(c, k)),
        1 => (column(), key(), key()).prop_map(|(c, from, to)| Operation::DeleteRange(c, from, to)),
    ]
}

/// The database as one would first write it: a list, searched through.
#[derive(Default)]
struct Model(BTreeMap<(Column, Vec<u8>), Vec<u8>>);

impl Model {
    fn write(&mut self, batch: &Batch) {
        for operation in &batch.0 {
            match operation {
                Operation::Put(column, key, value) => {
                    self.0.insert((*column, key.clone()), value.clone());
                }
                Operation::Delete(column, key) => {
                    self.0.remove(&(*column, key.clone()));
                }
                Operation::DeleteRange(column, from, to) => {
                    self.0.retain(|(at, key), _| at != column || key < from || key >= to);
                }
            }
        }
    }

    fn entries(&self, column: Column, wanted: impl Fn(&[u8]) -> bool) -> Vec<Entry> {
        let entries = self.0.iter().filter(|((at, key), _)| *at == column && wanted(key));
        entries.map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }
}

fn scanned<D: Database>(database: &D, column: Column, from: &[u8], to: Option<&[u8]>, most: usize) -> Vec<Entry> {
    let mut seen = Vec::new();
    database
        .scan(column, from, to, &mut |key, value| {
            seen.push((key.to_vec(), value.to_vec()));
            if seen.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    seen
}

/// Writes random batches into fresh databases and compares every way of reading with the model's.
fn check_database<D: Database>(open: impl Fn() -> D, cases: u32) -> Result<(), String> {
    let batches = prop::collection::vec(prop::collection::vec(operation(), 0..12), 1..8);
    let probes = prop::collection::vec((column(), key(), key(), 1..5usize), 1..12);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(batches, probes), |(batches, probes)| {
            let (database, mut model) = (open(), Model::default());
            for batch in batches.into_iter().map(Batch) {
                model.write(&batch);
                database.write(batch).unwrap();
                for (column, a, b, most) in &probes {
                    compare(&database, &model, *column, a, b, *most)?;
                }
            }
            Ok(())
        })
        .map_err(|error| error.to_string())
}

fn compare<D: Database>(
    database: &D,
    model: &Model,
    column: Column,
    a: &[u8],
    b: &[u8],
    most: usize,
) -> Result<(), TestCaseError> {
    let found = model.entries(column, |key| key == a).pop().map(|(_, value)| value);
    prop_assert_eq!(database.get(column, a).unwrap(), found);
    let from = model.entries(column, |key| key >= a);
    prop_assert_eq!(database.first_from(column, a).unwrap(), from.first().cloned());
    prop_assert_eq!(database.last_until(column, a).unwrap(), model.entries(column, |key| key <= a).pop());
    prop_assert_eq!(scanned(database, column, a, None, usize::MAX), from.clone());
    prop_assert_eq!(scanned(database, column, a, None, most), from[..most.min(from.len())].to_vec());
    let between = model.entries(column, |key| key >= a && key < b);
    prop_assert_eq!(scanned(database, column, a, Some(b), usize::MAX), between);
    Ok(())
}

#[test]
fn memory_does_what_the_model_does() {
    check_database(MemoryDatabase::new, 256).unwrap();
}

#[cfg(feature = "rocksdb")]
mod on_disk {
    use spacetime_node::store::{RocksDatabase, RocksOptions};
    use tempfile::TempDir;

    use super::*;

    const OPTIONS: RocksOptions = RocksOptions { create: true, sync: false };

    /// A database that every write is followed by something else: a new start, a flush, a compaction.
    struct Disturbed {
        folder: TempDir,
        rocks: std::sync::RwLock<(Option<RocksDatabase>, u32)>,
    }

    impl Disturbed {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let rocks = RocksDatabase::open(folder.path(), OPTIONS).unwrap();
            Self { folder, rocks: std::sync::RwLock::new((Some(rocks), 0)) }
        }

        fn with<T>(&self, read: impl FnOnce(&RocksDatabase) -> T) -> T {
            read(self.rocks.read().unwrap().0.as_ref().unwrap())
        }
    }

    impl Database for Disturbed {
        fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
            self.with(|rocks| rocks.get(column, key))
        }

        fn first_from(&self, column: Column, from: &[u8]) -> Result<Option<Entry>, DatabaseError> {
            self.with(|rocks| rocks.first_from(column, from))
        }

        fn last_until(&self, column: Column, until: &[u8]) -> Result<Option<Entry>, DatabaseError> {
            self.with(|rocks| rocks.last_until(column, until))
        }

        fn scan(
            &self,
            column: Column,
            from: &[u8],
            to: Option<&[u8]>,
            see: &mut Visit<'_>,
        ) -> Result<(), DatabaseError> {
            self.with(|rocks| rocks.scan(column, from, to, see))
        }

        fn write(&self, batch: Batch) -> Result<(), DatabaseError> {
            let mut held = self.rocks.write().unwrap();
            let (rocks, writes) = &mut *held;
            rocks.as_ref().unwrap().write(batch)?;
            *writes += 1;
            match *writes % 4 {
                0 => rocks.as_ref().unwrap().compact()?,
                1 => rocks.as_ref().unwrap().flush()?,
                2 => {
                    *rocks = None;
                    *rocks = Some(RocksDatabase::open(self.folder.path(), RocksOptions { create: false, ..OPTIONS })?);
                }
                _ => {}
            }
            Ok(())
        }
    }

    #[test]
    fn rocks_does_what_the_model_does() {
        check_database(Disturbed::new, 16).unwrap();
    }
}

/// Wrong in one way, as a control of the harness.
struct Wrong(MemoryDatabase, Fault);

#[derive(Clone, Copy, Debug)]
enum Fault {
    ForgetsDeletes,
    RangeWithItsEnd,
    SeeksBehind,
    ScansToTheEnd,
    SwapsOrder,
}

impl Database for Wrong {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.0.get(column, key)
    }

    fn first_from(&self, column: Column, from: &[u8]) -> Result<Option<Entry>, DatabaseError> {
        match self.1 {
            Fault::SeeksBehind => self.0.first_from(column, &[from, &[0]].concat()),
            _ => self.0.first_from(column, from),
        }
    }

    fn last_until(&self, column: Column, until: &[u8]) -> Result<Option<Entry>, DatabaseError> {
        self.0.last_until(column, until)
    }

    fn scan(&self, column: Column, from: &[u8], to: Option<&[u8]>, see: &mut Visit<'_>) -> Result<(), DatabaseError> {
        let to = if matches!(self.1, Fault::ScansToTheEnd) { None } else { to };
        self.0.scan(column, from, to, see)
    }

    fn write(&self, mut batch: Batch) -> Result<(), DatabaseError> {
        match self.1 {
            Fault::ForgetsDeletes => batch.0.retain(|operation| !matches!(operation, Operation::Delete(..))),
            Fault::SwapsOrder => batch.0.reverse(),
            Fault::RangeWithItsEnd => {
                for operation in &mut batch.0 {
                    if let Operation::DeleteRange(_, _, to) = operation {
                        to.push(0);
                    }
                }
            }
            Fault::SeeksBehind | Fault::ScansToTheEnd => {}
        }
        self.0.write(batch)
    }
}

#[test]
fn the_harness_finds_wrong_databases() {
    let faults =
        [Fault::ForgetsDeletes, Fault::RangeWithItsEnd, Fault::SeeksBehind, Fault::ScansToTheEnd, Fault::SwapsOrder];
    for fault in faults {
        check_database(|| Wrong(MemoryDatabase::new(), fault), 256).expect_err(&format!("{fault:?}"));
    }
}

#[test]
fn a_write_told_to_fail_does_nothing() {
    let database = MemoryDatabase::new();
    let put = |value: u8| {
        let mut batch = Batch::default();
        batch.put(Column::Meta, *b"a", [value]);
        batch.put(Column::State, *b"b", [value]);
        database.write(batch)
    };
    put(0).unwrap();
    database.fail_write(1);
    put(1).unwrap();
    assert!(matches!(put(2), Err(DatabaseError::Io { .. })));
    assert_eq!(database.get(Column::Meta, b"a").unwrap(), Some(vec![1]));
    assert_eq!(database.reopened().get(Column::State, b"b").unwrap(), Some(vec![1]));
    put(3).unwrap();
    assert_eq!(database.get(Column::Meta, b"a").unwrap(), Some(vec![3]));
    assert_eq!(database.bytes(Column::Meta), 2);

    database.fail_reads(true);
    assert!(database.get(Column::Meta, b"a").is_err());
    assert!(database.first_from(Column::Meta, b"").is_err());
    assert!(database.last_until(Column::Meta, b"z").is_err());
    assert!(database.scan(Column::Meta, b"", None, &mut |_, _| ControlFlow::Continue(())).is_err());
    assert!(database.reopened().get(Column::Meta, b"a").is_ok());
}
