//! The state's tree against crate `jmt`, and against what it must keep whatever happens to it.

mod trees;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use spacetime_node::chain::Hash;
use spacetime_node::state::tree::{
    KeyHash, Layer, Node, NodeKey, NodeReader, Overlay, PLACEHOLDER, StoredNodes, TreeError, TreeUpdate, Version,
    check, commit, delete_nodes, delete_versions_above, value_hash, write_nodes,
};
use spacetime_node::store::{Batch, Column, Database, MemoryDatabase};
use trees::{Change, Jmt, changes, effective};

type Commit = fn(&StoredNodes<'_, MemoryDatabase>, Option<Version>, &[Change]) -> Result<TreeUpdate, TreeError>;

fn ours(
    reader: &StoredNodes<'_, MemoryDatabase>,
    parent: Option<Version>,
    changes: &[Change],
) -> Result<TreeUpdate, TreeError> {
    commit(reader, parent, changes.iter().cloned())
}

fn stored(database: &MemoryDatabase) -> BTreeSet<NodeKey> {
    let mut keys = BTreeSet::new();
    database
        .scan(Column::Tree, &[], None, &mut |key, _| {
            keys.insert(NodeKey::decode(key).unwrap());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    keys
}

/// All nodes of a version, found from its root.
fn reachable<R: NodeReader>(reader: &R, version: Version) -> BTreeSet<NodeKey> {
    let (mut found, mut open) = (BTreeSet::new(), vec![NodeKey::root(version)]);
    while let Some(key) = open.pop() {
        found.insert(key);
        if let Node::Internal(node) = reader.node(&key).unwrap().unwrap() {
            let children = node.slots().into_iter().enumerate();
            open.extend(
                children.filter_map(|(nibble, child)| {
                    Some(NodeKey { version: child?.version, path: key.path.child(nibble) })
                }),
            );
        }
    }
    found
}

fn leaves<R: NodeReader>(reader: &R, version: Version) -> Result<BTreeMap<KeyHash, Hash>, TreeError> {
    let mut found = BTreeMap::new();
    let totals = check(reader, version, &mut |_, leaf| {
        found.insert(leaf.key, leaf.value);
        Ok::<_, TreeError>(())
    })?;
    assert_eq!(totals.leaves, found.len() as u64);
    Ok(found)
}

/// Commits random versions with `commit` and with `jmt`, and compares roots, contents and what is stale.
fn check_commit(commit: Commit, cases: u32) -> Result<(), String> {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(changes(24), 1..10), |versions| compare(commit, &versions))
        .map_err(|error| error.to_string())
}

fn compare(commit: Commit, versions: &[Vec<Change>]) -> Result<(), TestCaseError> {
    let (whole, pruned, mut jmt) = (MemoryDatabase::new(), MemoryDatabase::new(), Jmt::default());
    let mut model = BTreeMap::<KeyHash, Vec<u8>>::new();
    let mut history = Vec::new();
    for (version, changes) in versions.iter().enumerate() {
        let version = version as Version;
        let parent = version.checked_sub(1);
        let update = commit(&StoredNodes(&pruned), parent, changes).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(update.version, version);

        let effective = effective(&model, changes);
        prop_assert_eq!(update.root.0, jmt.put(version, &effective), "roots of version {}", version);
        if effective.iter().all(|(_, value)| value.is_some()) && !effective.is_empty() {
            prop_assert_eq!(update.nodes.len(), jmt.nodes_of(version), "nodes of version {}", version);
        }
        for (key, value) in effective {
            match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }

        let mut batch = Batch::default();
        write_nodes(&mut batch, &update);
        whole.write(batch.clone()).unwrap();
        delete_nodes(&mut batch, &update.stale);
        pruned.write(batch).unwrap();
        prop_assert_eq!(stored(&pruned), reachable(&StoredNodes(&pruned), version), "nothing lost, nothing left over");
        let expected: BTreeMap<_, _> = model.iter().map(|(key, value)| (*key, value_hash(value))).collect();
        history.push(expected);
    }
    for (version, expected) in history.iter().enumerate() {
        let found = leaves(&StoredNodes(&whole), version as Version);
        let found = found.map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(&found, expected, "version {} stays", version);
    }
    Ok(())
}

#[test]
fn commits_are_those_of_jmt() {
    check_commit(ours, 400).unwrap();
}

#[test]
fn the_harness_finds_wrong_commits() {
    let wrong: [(&str, Commit); 5] = [
        ("forgets what is stale", |reader, parent, changes| {
            Ok(TreeUpdate { stale: Vec::new(), ..ours(reader, parent, changes)? })
        }),
        ("names too much stale", |reader, parent, changes| {
            let mut update = ours(reader, parent, changes)?;
            update.stale.push(NodeKey::root(update.version));
            Ok(update)
        }),
        ("takes a removal for an empty value", |reader, parent, changes| {
            let filled = |(key, value): &Change| (*key, Some(value.clone().unwrap_or_default()));
            ours(reader, parent, &changes.iter().map(filled).collect::<Vec<_>>())
        }),
        ("lets the first change of a key count", |reader, parent, changes| {
            ours(reader, parent, &changes.iter().rev().cloned().collect::<Vec<_>>())
        }),
        ("loses the last node", |reader, parent, changes| {
            let mut update = ours(reader, parent, changes)?;
            update.nodes.pop();
            Ok(update)
        }),
    ];
    for (what, commit) in wrong {
        check_commit(commit, 400).expect_err(what);
    }
}

fn write<D: Database>(database: &D, update: &TreeUpdate) {
    let mut batch = Batch::default();
    write_nodes(&mut batch, update);
    database.write(batch).unwrap();
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(200) })]

    #[test]
    fn the_order_of_changes_does_not_matter(
        first in changes(24), second in prop::collection::btree_map(trees::key(), trees::value(), 0..24), rotate in 0..24usize
    ) {
        let database = MemoryDatabase::new();
        write(&database, &commit(&StoredNodes(&database), None, first).unwrap());
        let mut second: Vec<_> = second.into_iter().collect();
        let update = commit(&StoredNodes(&database), Some(0), second.clone()).unwrap();
        let middle = rotate.min(second.len());
        second.rotate_left(middle);
        second[middle / 2..].reverse();
        prop_assert_eq!(update, commit(&StoredNodes(&database), Some(0), second).unwrap());
    }

    #[test]
    fn versions_above_can_be_taken_back(
        first in changes(24), second in changes(24), third in changes(24), other in changes(24)
    ) {
        let database = MemoryDatabase::new();
        write(&database, &commit(&StoredNodes(&database), None, first).unwrap());
        let before = database.reopened();
        write(&database, &commit(&StoredNodes(&database), Some(0), second).unwrap());
        write(&database, &commit(&StoredNodes(&database), Some(1), third).unwrap());
        let mut batch = Batch::default();
        delete_versions_above(&mut batch, 0);
        database.write(batch).unwrap();
        prop_assert_eq!(stored(&database), stored(&before));
        let again = commit(&StoredNodes(&database), Some(0), other.clone()).unwrap();
        prop_assert_eq!(again, commit(&StoredNodes(&before), Some(0), other).unwrap());
    }

    /// The stored chain goes on beside the branch: neither sees the other's nodes of the same versions.
    #[test]
    fn branches_in_memory_equal_stored_ones(
        shared in changes(24), main in prop::collection::vec(changes(24), 0..4), side in prop::collection::vec(changes(24), 1..4)
    ) {
        let database = MemoryDatabase::new();
        write(&database, &commit(&StoredNodes(&database), None, shared).unwrap());
        let alone = database.reopened();
        for (version, changes) in main.into_iter().enumerate() {
            write(&database, &commit(&StoredNodes(&database), Some(version as u64), changes).unwrap());
        }
        let mut branch = Overlay::new(StoredNodes(&database), 0, Vec::new());
        for changes in side {
            let parent = branch.version();
            let update = commit(&branch, Some(parent), changes.clone()).unwrap();
            prop_assert_eq!(&update, &commit(&StoredNodes(&alone), Some(parent), changes).unwrap());
            write(&alone, &update);
            branch.push(Arc::new(Layer::new(&update)));
            prop_assert_eq!(leaves(&branch, branch.version()).unwrap(), leaves(&StoredNodes(&alone), parent + 1).unwrap());
        }
        prop_assert!(branch.node(&NodeKey::root(branch.version() + 1)).unwrap().is_none());
    }
}

#[test]
fn trees_without_keys_have_roots_too() {
    let database = MemoryDatabase::new();
    let nothing = || std::iter::empty::<Change>();
    let genesis = commit(&StoredNodes(&database), None, nothing()).unwrap();
    assert_eq!((genesis.root, genesis.nodes.len(), genesis.stale.len()), (PLACEHOLDER, 1, 0));
    write(&database, &genesis);
    let next = commit(&StoredNodes(&database), Some(0), nothing()).unwrap();
    assert_eq!((next.root, next.nodes.len(), &next.stale[..]), (PLACEHOLDER, 1, &[NodeKey::root(0)][..]));
    write(&database, &next);
    let filled = commit(&StoredNodes(&database), Some(1), [(KeyHash([7; 32]), Some([1]))]).unwrap();
    assert_ne!(filled.root, PLACEHOLDER);
    write(&database, &filled);
    let emptied = commit(&StoredNodes(&database), Some(2), [(KeyHash([7; 32]), None::<[u8; 1]>)]).unwrap();
    assert_eq!((emptied.root, &emptied.stale[..]), (PLACEHOLDER, &[NodeKey::root(2)][..]));
}

#[test]
fn versions_that_are_not_there_are_named() {
    let database = MemoryDatabase::new();
    let reader = StoredNodes(&database);
    let nothing = || std::iter::empty::<Change>();
    assert!(matches!(commit(&reader, Some(4), nothing()), Err(TreeError::MissingRoot { version: 4 })));
    assert!(matches!(commit(&reader, Some(u64::MAX), nothing()), Err(TreeError::LastVersion { version: u64::MAX })));
    write(&database, &commit(&reader, None, nothing()).unwrap());
    database.fail_reads(true);
    assert!(matches!(commit(&reader, Some(0), nothing()), Err(TreeError::Database(_))));
}

/// Whatever byte of a tree is damaged, a walk finds it and commits never panic.
#[test]
fn every_damaged_byte_is_found() {
    let database = MemoryDatabase::new();
    let key = |n: u8| KeyHash([n & 3, n, n, n].repeat(8).try_into().unwrap());
    let filled = commit(&StoredNodes(&database), None, (0..40).map(|n| (key(n), Some([n])))).unwrap();
    write(&database, &filled);
    for (at, node) in &filled.nodes {
        let good = node.encode();
        for byte in 0..good.len() {
            for flip in [1, 0x10, 0x80] {
                let mut bad = good.clone();
                bad[byte] ^= flip;
                let mut batch = Batch::default();
                batch.put(Column::Tree, at.encode(), bad);
                database.write(batch).unwrap();
                let found = leaves(&StoredNodes(&database), 0);
                // The root's hash stands in the header alone.
                let root = |totals: spacetime_node::state::tree::TreeTotals| totals.root != Some(filled.root);
                let walked = check(&StoredNodes(&database), 0, &mut |_, _| Ok::<_, TreeError>(()));
                assert!(found.is_err() || walked.is_ok_and(root), "byte {byte} of {at:?}");
                let _ = commit(&StoredNodes(&database), Some(0), (0..40).map(|n| (key(n), Some([n + 1]))));
                let _ = commit(&StoredNodes(&database), Some(0), (0..40).map(|n| (key(n), None::<[u8; 1]>)));
            }
        }
        let mut batch = Batch::default();
        batch.put(Column::Tree, at.encode(), good);
        database.write(batch).unwrap();
    }
    assert_eq!(leaves(&StoredNodes(&database), 0).unwrap().len(), 40);
}
