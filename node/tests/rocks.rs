//! The database on disk: starts, locks, damage.

#![cfg(feature = "rocksdb")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use spacetime_node::store::{Batch, Column, Database, DatabaseError, Entry, RocksDatabase, RocksOptions};
use tempfile::TempDir;

const NEW: RocksOptions = RocksOptions { create: true, sync: false };
const OLD: RocksOptions = RocksOptions { create: false, sync: false };

/// Entries of every column, without a pattern that compression could use.
fn fill(rocks: &RocksDatabase, from: u32, to: u32) {
    for n in from..to {
        let mut batch = Batch::default();
        for (index, column) in Column::ALL.into_iter().enumerate() {
            let noise = (0..40u32).map(|step| {
                (n.wrapping_mul(2_654_435_761).wrapping_add(step * 40_503 + index as u32 * 97) >> 11) as u8
            });
            batch.put(column, [index as u32, n].map(u32::to_be_bytes).concat(), noise.collect::<Vec<_>>());
        }
        rocks.write(batch).unwrap();
    }
}

fn contents(rocks: &RocksDatabase) -> Result<Vec<Vec<Entry>>, DatabaseError> {
    let column = |column| {
        let mut entries = Vec::new();
        rocks.scan(column, &[], None, &mut |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
        for (key, value) in &entries {
            assert_eq!(rocks.get(column, key)?.as_ref(), Some(value));
        }
        Ok(entries)
    };
    Column::ALL.into_iter().map(column).collect()
}

fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| wanted(path.file_name().unwrap().to_str().unwrap())).collect();
    files.sort();
    files
}

fn is_table(name: &str) -> bool {
    name.ends_with(".sst")
}

#[test]
fn what_is_not_there_is_made_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    assert!(matches!(RocksDatabase::open(&path, OLD), Err(DatabaseError::Missing { .. })));
    assert!(!path.exists(), "asking leaves nothing behind");
    drop(RocksDatabase::open(&path, NEW).unwrap());
    drop(RocksDatabase::open(&path, OLD).unwrap());
}

#[test]
fn only_one_holds_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let held = RocksDatabase::open(folder.path(), NEW).unwrap();
    match RocksDatabase::open(folder.path(), NEW) {
        Err(DatabaseError::Locked { path }) => assert_eq!(Path::new(&path), folder.path()),
        other => panic!("{other:?}"),
    }
    assert_eq!(another("locked", folder.path()).wait().unwrap().code(), Some(0));
    drop(held);
    drop(RocksDatabase::open(folder.path(), NEW).unwrap());
}

/// Says to this program, started again, what to do.
const ROLE: &str = "SPACETIME_TEST_ROLE";
const FOLDER: &str = "SPACETIME_TEST_FOLDER";

fn another(role: &str, folder: &Path) -> Child {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "what_another_process_does", "--nocapture"]);
    program.env(ROLE, role).env(FOLDER, folder).stdout(Stdio::piped()).spawn().unwrap()
}

/// Does nothing unless another test starts it in a process of its own.
#[test]
fn what_another_process_does() {
    let (Ok(role), Some(folder)) = (std::env::var(ROLE), std::env::var_os(FOLDER)) else { return };
    let folder = Path::new(&folder);
    match role.as_str() {
        "locked" => assert!(matches!(RocksDatabase::open(folder, NEW), Err(DatabaseError::Locked { .. }))),
        "writes" => {
            let rocks = RocksDatabase::open(folder, NEW).unwrap();
            let written = contents(&rocks).unwrap()[0].len() as u32;
            for n in written.. {
                fill(&rocks, n, n + 1);
                if n % 64 == 0 {
                    rocks.flush().unwrap();
                }
                println!("wrote {n}");
            }
        }
        other => panic!("unknown role {other}"),
    }
}

/// Whatever was reported as written is there, and no batch is there in part.
#[test]
fn a_process_killed_while_writing_leaves_whole_batches() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 0..10 {
        let mut child = another("writes", folder.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut reported =
            lines.filter_map(|line| line.rsplit_once("wrote ").and_then(|(_, n)| n.parse::<usize>().ok()));
        let last = reported.by_ref().take(1 + round * 37 % 101).last().unwrap();
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().code(), None, "it did not end by itself");
        drop(reported);

        let rocks = RocksDatabase::open(folder.path(), OLD).unwrap();
        let found = contents(&rocks).unwrap();
        assert!(found[0].len() > last, "round {round}: {} of {last}", found[0].len());
        assert!(found[0].len() > before);
        before = found[0].len();
        let other = tempfile::tempdir().unwrap();
        let expected = RocksDatabase::open(other.path(), NEW).unwrap();
        fill(&expected, 0, before as u32);
        assert_eq!(contents(&expected).unwrap(), found, "round {round}");
        rocks.verify().unwrap();
    }
}

#[test]
fn statistics_and_compaction() {
    let folder = tempfile::tempdir().unwrap();
    let rocks = RocksDatabase::open(folder.path(), NEW).unwrap();
    fill(&rocks, 0, 2_000);
    rocks.set_sync(true).unwrap();
    fill(&rocks, 2_000, 2_003);
    rocks.flush().unwrap();
    let before = rocks.stats().unwrap();
    for stats in &before.columns {
        assert_eq!((stats.keys, stats.tables > 0), (2_003, true), "{stats:?}");
        assert!(stats.table_bytes > 2_003);
    }
    let mut batch = Batch::default();
    for column in Column::ALL {
        batch.delete_range(column, [], [0xff]);
    }
    rocks.write(batch).unwrap();
    rocks.compact().unwrap();
    assert!(rocks.stats().unwrap().columns.iter().all(|stats| (stats.keys, stats.table_bytes) == (0, 0)));
    rocks.verify().unwrap();
    assert!(contents(&rocks).unwrap().iter().all(Vec::is_empty));
}

/// A database of two tables a column and some batches in its log, closed; and what is in it.
fn filled() -> (TempDir, Vec<Vec<Entry>>) {
    let folder = tempfile::tempdir().unwrap();
    let rocks = RocksDatabase::open(folder.path(), NEW).unwrap();
    fill(&rocks, 0, 100);
    rocks.flush().unwrap();
    fill(&rocks, 100, 200);
    rocks.flush().unwrap();
    fill(&rocks, 200, 203);
    let contents = contents(&rocks).unwrap();
    drop(rocks);
    (folder, contents)
}

fn copied(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in files(folder, |_| true) {
        fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    copy
}

/// Opens, reads and verifies; says what was found wrong. Contents that differ must have been noticed.
fn examine(folder: &Path, expected: &[Vec<Entry>]) -> Option<DatabaseError> {
    let rocks = match RocksDatabase::open(folder, OLD) {
        Ok(rocks) => rocks,
        Err(error) => return Some(error),
    };
    match contents(&rocks) {
        Ok(found) => {
            assert!(found == expected, "wrong contents, and nobody noticed");
            rocks.verify().err()
        }
        Err(error) => Some(error),
    }
}

/// Flips a bit of a file in a copy of `folder`, and hands the copy on.
fn with_flipped<T>(folder: &Path, file: &Path, offset: usize, see: impl FnOnce(&Path) -> T) -> T {
    let copy = copied(folder);
    let mut bytes = fs::read(file).unwrap();
    bytes[offset] ^= 0x10;
    fs::write(copy.path().join(file.file_name().unwrap()), bytes).unwrap();
    see(copy.path())
}

fn length(file: &Path) -> usize {
    fs::metadata(file).unwrap().len() as usize
}

#[test]
fn flipped_bytes_of_tables_are_found_and_named_after_every_restart() {
    let (folder, expected) = filled();
    let tables = files(folder.path(), is_table);
    assert_eq!(tables.len(), 2 * Column::ALL.len());
    assert!(examine(copied(folder.path()).path(), &expected).is_none(), "an undamaged copy is whole");
    for (index, table) in tables.iter().enumerate() {
        let name = table.file_name().unwrap().to_str().unwrap();
        // One table densely, so that each kind of block is hit: data, filter, index, properties, footer.
        let (start, step) = if index == 0 { (0, 67) } else { (index * 31, 997) };
        for offset in (start..length(table)).step_by(step) {
            with_flipped(folder.path(), table, offset, |copy| {
                for start in ["first", "second"] {
                    match examine(copy, &expected) {
                        Some(DatabaseError::Corrupt { path, reason }) => {
                            assert_eq!(Path::new(&path), copy);
                            // Of a table whose list of properties is damaged RocksDB does not say which it is.
                            let others = ["filters of its tables are wrong", "Corruption: properties unsorted"];
                            let named = reason.contains(name) || others.iter().any(|other| reason.contains(other));
                            assert!(named, "{name} at {offset}: {reason}");
                        }
                        other => panic!("{name} at {offset}, {start} start: {other:?}"),
                    }
                }
            });
        }
    }
}

fn names(error: Option<DatabaseError>, table: &str) {
    match error {
        Some(DatabaseError::Corrupt { reason, .. }) => assert!(reason.contains(table), "{reason}"),
        other => panic!("{table}: {other:?}"),
    }
}

#[test]
fn tables_that_are_cut_off_or_gone_are_found() {
    let (folder, expected) = filled();
    for table in files(folder.path(), is_table).iter().step_by(5) {
        let name = table.file_name().unwrap();
        for bytes in [0, 1, length(table) / 2, length(table) - 1] {
            let copy = copied(folder.path());
            fs::write(copy.path().join(name), &fs::read(table).unwrap()[..bytes]).unwrap();
            names(examine(copy.path(), &expected), name.to_str().unwrap());
        }
        let copy = copied(folder.path());
        fs::remove_file(copy.path().join(name)).unwrap();
        names(examine(copy.path(), &expected), name.to_str().unwrap());
    }
}

#[test]
fn damage_to_the_list_of_tables_is_found() {
    let (folder, expected) = filled();
    let lists = files(folder.path(), |name| name == "CURRENT" || name.starts_with("MANIFEST-"));
    assert_eq!(lists.len(), 2);
    for list in lists {
        for offset in (0..length(&list)).step_by(if length(&list) > 100 { 37 } else { 1 }) {
            with_flipped(folder.path(), &list, offset, |copy| {
                let error = examine(copy, &expected);
                assert!(
                    matches!(error, Some(DatabaseError::Corrupt { .. })),
                    "{} at {offset}: {error:?}",
                    list.display()
                );
            });
        }
        let copy = copied(folder.path());
        fs::remove_file(copy.path().join(list.file_name().unwrap())).unwrap();
        match RocksDatabase::open(copy.path(), NEW) {
            Err(DatabaseError::Corrupt { .. }) => {}
            other => panic!("a new database over an old one: {other:?}"),
        }
    }
}

/// What is lost with a damaged log are whole batches, the last ones.
#[test]
fn a_damaged_log_counts_up_to_the_damage() {
    let (folder, expected) = filled();
    let logs = files(folder.path(), |name| name.ends_with(".log"));
    let log = logs.iter().max_by_key(|log| length(log)).unwrap();
    let mut seen = BTreeSet::new();
    let mut check = |copy: &Path| {
        let rocks = RocksDatabase::open(copy, OLD).unwrap();
        let found = contents(&rocks).unwrap();
        let batches = found[0].len();
        assert!(found.iter().zip(&expected).all(|(found, expected)| found[..] == expected[..batches]));
        seen.insert(batches);
    };
    for offset in (0..length(log)).step_by(41) {
        with_flipped(folder.path(), log, offset, &mut check);
        let copy = copied(folder.path());
        fs::write(copy.path().join(log.file_name().unwrap()), &fs::read(log).unwrap()[..offset]).unwrap();
        check(copy.path());
    }
    assert_eq!(seen, BTreeSet::from([200, 201, 202]));
}
