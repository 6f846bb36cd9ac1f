//! Branches that are too large to be changed at once.

use std::sync::Arc;

use spacetime_node::chain::{BlockId, Height};
use spacetime_node::manager::{Event, Verdict};
use spacetime_node::testing::Fabric;

use crate::common::{LATER_MS, Manager, blocks, decided, dump, fresh, open, submit, verdict};

/// A trunk of ten blocks, a branch of three upon it and one of five, all with transfers.
fn forked() -> (Fabric, Vec<BlockId>, Vec<BlockId>, Vec<BlockId>) {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 10, 1);
    let light = fabric.chain(&trunk[9], 3, 2);
    let heavy = fabric.chain(&trunk[9], 5, 1);
    (fabric, trunk, light, heavy)
}

fn in_steps(manager: Manager) -> Manager {
    let mut manager = manager;
    manager.limit_switch(0);
    manager
}

#[test]
fn steps_end_where_one_batch_does() {
    let (fabric, trunk, light, heavy) = forked();
    let ends = [false, true].map(|steps| {
        let (mut manager, database) = fresh(&fabric);
        if steps {
            manager = in_steps(manager);
        }
        submit(&mut manager, blocks(&fabric, trunk.iter().chain(&light)), LATER_MS);
        let events = submit(&mut manager, blocks(&fabric, &heavy), LATER_MS).events;
        (dump(&database), manager.tip().clone(), events)
    });
    assert_eq!(ends[1].1.id, heavy[4]);
    assert!(matches!(&ends[1].2[0], Event::Reorganised { fork: Height(10), abandoned, .. } if *abandoned == light));
    assert!(ends[0] == ends[1], "store, tip and events are the same");
}

#[test]
fn whichever_step_fails_the_change_is_completed_after_a_restart() {
    let (fabric, trunk, light, heavy) = forked();
    let (mut undisturbed, database) = fresh(&fabric);
    submit(&mut undisturbed, blocks(&fabric, trunk.iter().chain(&light).chain(&heavy)), LATER_MS);
    let expected = decided(&database);
    let mut failures = 0;
    for after in 0.. {
        let (manager, database) = fresh(&fabric);
        let mut manager = in_steps(manager);
        submit(&mut manager, blocks(&fabric, trunk.iter().chain(&light)), LATER_MS);
        database.fail_write(after);
        if manager.submit(blocks(&fabric, &heavy), LATER_MS).is_ok() {
            break;
        }
        failures += 1;
        // In the same process, and in the next one.
        submit(&mut manager, blocks(&fabric, &heavy), LATER_MS);
        assert_eq!(manager.tip().id, heavy[4], "write {after}, the same manager");
        let reopened = Arc::new(database.reopened());
        let mut manager = open(&fabric, &reopened);
        submit(&mut manager, blocks(&fabric, &heavy), LATER_MS);
        assert_eq!(manager.tip().id, heavy[4], "write {after}, opened anew");
        assert!(decided(&reopened) == expected, "write {after}");
    }
    assert!(failures > 8, "steps are batches of their own: {failures}");
}

#[test]
fn a_broken_block_on_the_way_leads_back() {
    let (fabric, trunk, light, heavy) = forked();
    let (manager, database) = fresh(&fabric);
    let mut manager = in_steps(manager);
    submit(&mut manager, blocks(&fabric, trunk.iter().chain(&light)), LATER_MS);
    let before = decided(&database);
    let mut broken = fabric.block(&heavy[3]).clone();
    broken.header.state_root.0[0] ^= 1;
    let broken = fabric.reseal(broken);
    let mut offered = blocks(&fabric, &heavy[..3]);
    offered.push(broken.clone());
    submit(&mut manager, offered, LATER_MS);
    assert!([light[2], heavy[2]].contains(&manager.tip().id), "equal weight, but never the broken block");
    if manager.tip().id == light[2] {
        assert!(decided(&database) == before);
    }
    assert!(matches!(verdict(&mut manager, &broken, LATER_MS), Verdict::Refused(_)));
    submit(&mut manager, blocks(&fabric, &heavy), LATER_MS);
    assert_eq!(manager.tip().id, heavy[4]);
}
