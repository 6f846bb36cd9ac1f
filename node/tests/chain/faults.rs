//! A database that fails: nothing is lost, nothing is half done.

use std::sync::Arc;

use spacetime_node::chain::{Amount, Height};
use spacetime_node::manager::{ChainManager, ManagerError, Options};
use spacetime_node::store::{Batch, Column, Database, FORMAT, MemoryDatabase, OpenError};
use spacetime_node::testing::{Fabric, Random, Setup};

use crate::common::{LATER_MS, blocks, decided, dump, fresh, open, submit};

#[test]
fn whichever_write_fails_the_store_opens_at_a_tip_and_ends_where_it_should() {
    let mut fabric = Fabric::default();
    let mut random = Random::new(11);
    let mut ids = Vec::new();
    let mut tip = fabric.genesis_id();
    for _ in 0..12 {
        tip = fabric.random_block(&tip, &mut random);
        ids.push(tip);
    }
    let mut fork = ids[6];
    for _ in 0..7 {
        fork = fabric.random_block(&fork, &mut random);
        ids.push(fork);
    }
    let (mut undisturbed, database) = fresh(&fabric);
    submit(&mut undisturbed, blocks(&fabric, &ids), LATER_MS);
    let expected = decided(&database);

    let mut failures = 0;
    for after in 0.. {
        let database = Arc::new(MemoryDatabase::new());
        let mut manager = open(&fabric, &database);
        database.fail_write(after);
        if manager.submit(blocks(&fabric, &ids), LATER_MS).is_ok() {
            break;
        }
        failures += 1;
        // As after a crash: only what was written is there.
        let database = Arc::new(database.reopened());
        let mut manager = open(&fabric, &database);
        submit(&mut manager, blocks(&fabric, &ids), LATER_MS);
        assert_eq!(manager.tip(), undisturbed.tip());
        assert_eq!(decided(&database), expected, "write {after} failed");
    }
    assert!(failures >= ids.len(), "each block is a write: {failures}");
}

#[test]
fn a_manager_goes_on_after_a_write_that_failed() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 5, 1);
    let (mut manager, database) = fresh(&fabric);
    database.fail_write(2);
    manager.submit(blocks(&fabric, &ids), LATER_MS).expect_err("the third write fails");
    assert_eq!(manager.tip().height, Height(2));
    submit(&mut manager, blocks(&fabric, &ids), LATER_MS);
    assert_eq!(manager.tip().id, ids[4]);
}

#[test]
fn a_manager_knows_its_tip_when_reads_fail_behind_a_change_of_branches() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 5, 1);
    let one = fabric.chain(&trunk[4], 2, 1);
    let two = fabric.chain(&trunk[4], 6, 1);
    let (mut straight, other) = fresh(&fabric);
    submit(&mut straight, blocks(&fabric, trunk.iter().chain(&two)), LATER_MS);
    let (mut manager, database) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, trunk.iter().chain(&one)), LATER_MS);
    let mut failures = 0;
    for id in &two {
        // A block beside the chain is one write, and the change to its branch the second.
        database.fail_reads_after(2);
        failures += u32::from(manager.submit(blocks(&fabric, [id]), LATER_MS).is_err());
        database.fail_reads(false);
        assert_eq!(manager.tip().id, manager.store().tip().expect("memory can be read"), "{failures} failures");
    }
    assert!(failures > 0, "some reads failed");
    submit(&mut manager, blocks(&fabric, &two), LATER_MS);
    assert_eq!(manager.tip(), straight.tip());
    assert_eq!(decided(&database), decided(&other));
}

#[test]
fn reads_that_fail_condemn_nobody() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 5, 1);
    let (mut manager, database) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &ids[..2]), LATER_MS);
    database.fail_reads(true);
    manager.submit(blocks(&fabric, &ids), LATER_MS).expect_err("nothing can be read");
    database.fail_reads(false);
    submit(&mut manager, blocks(&fabric, &ids), LATER_MS);
    assert_eq!(manager.tip().id, ids[4]);
}

fn open_error(fabric: &Fabric, database: &Arc<MemoryDatabase>) -> OpenError {
    let specification = Arc::new(fabric.specification.clone());
    match ChainManager::open(specification, database.clone(), [0; 32], Options::default()) {
        Err(ManagerError::Open(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn stores_that_are_not_this_chains_are_refused() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 3, 0);
    let (mut manager, database) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &ids), LATER_MS);
    let other = Fabric::new(&Setup { balance: Amount(5), ..Setup::default() });
    assert!(matches!(open_error(&other, &database), OpenError::OtherChain { .. }));

    let with = |column: Column, key: &[u8], value: Option<Vec<u8>>| {
        let changed = Arc::new(database.reopened());
        let mut batch = Batch::default();
        match value {
            Some(value) => batch.put(column, key, value),
            None => batch.delete(column, key),
        }
        changed.write(batch).expect("memory can be written");
        changed
    };
    let newer = with(Column::Meta, b"format", Some((FORMAT + 1).to_le_bytes().to_vec()));
    assert!(matches!(open_error(&fabric, &newer), OpenError::Newer { found } if found == FORMAT + 1));
    assert!(matches!(open_error(&fabric, &with(Column::Meta, b"format", None)), OpenError::NoStore { .. }));
    assert!(matches!(open_error(&fabric, &with(Column::Meta, b"genesis", None)), OpenError::NoStore { .. }));
    assert!(matches!(open_error(&fabric, &with(Column::Meta, b"tip", None)), OpenError::Store(_)));
    let height = 3u64.to_be_bytes();
    assert!(matches!(open_error(&fabric, &with(Column::ByHeight, &height, None)), OpenError::Tip { .. }));
    let above = 4u64.to_be_bytes();
    let above = with(Column::ByHeight, &above, Some(ids[0].0.to_vec()));
    assert!(matches!(open_error(&fabric, &above), OpenError::Tip { .. }));
    let lower = with(Column::Meta, b"tip", Some(ids[1].0.to_vec()));
    assert!(matches!(open_error(&fabric, &lower), OpenError::Tip { .. }));
    assert_eq!(open(&fabric, &with(Column::Meta, b"other", Some(Vec::new()))).tip().id, ids[2], "the control");
}

#[test]
fn a_damaged_byte_is_an_error_or_nothing_but_never_a_panic() {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 20, 1);
    let (mut manager, database) = fresh(&fabric);
    submit(&mut manager, blocks(&fabric, &ids[..18]), LATER_MS);
    let mut refused = 0;
    for (column, entries) in dump(&database) {
        for (key, value) in entries.iter().filter(|(_, value)| !value.is_empty()).step_by(7) {
            for place in [0, value.len() / 2, value.len() - 1] {
                let changed = Arc::new(database.reopened());
                let mut value = value.clone();
                value[place] ^= 0x41;
                let mut batch = Batch::default();
                batch.put(column, key.clone(), value);
                changed.write(batch).expect("memory can be written");
                let specification = Arc::new(fabric.specification.clone());
                match ChainManager::open(specification, changed, [0; 32], Options::default()) {
                    Err(_) => refused += 1,
                    Ok(mut manager) => drop(manager.submit(blocks(&fabric, &ids[18..]), LATER_MS)),
                }
            }
        }
    }
    assert!(refused > 0, "some of it is seen at once");
}
