//! The walk through a whole store finds whatever is done to any entry, and nothing where nothing was done.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use spacetime_node::chain::{Amount, BlockId, Height};
use spacetime_node::consensus::Specification;
use spacetime_node::manager::{ChainManager, Options, Verdict};
use spacetime_node::state::tree::{StoredNodes, commit, write_nodes};
use spacetime_node::state::{GenesisBlock, StateKey, Value, genesis};
use spacetime_node::store::check::{CheckError, Flaw, MAX_FINDINGS, Phase, Report, Step, Watch, check};
use spacetime_node::store::{Batch, Column, Database, Entry, MemoryDatabase, OpenError, Store};
use spacetime_node::testing::{Fabric, Random, Setup};

/// Later than any block here.
const NOW_MS: u64 = 1 << 60;

fn walk(database: &Arc<MemoryDatabase>, specification: &Specification) -> Result<Report, CheckError> {
    check(database, specification, Watch { steps: &mut |_| {}, stop: &AtomicBool::new(false) })
}

fn list(report: &Report) -> String {
    report.findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

/// A chain with a bit of everything, with branches beside its end.
struct Chain {
    fabric: Fabric,
    database: Arc<MemoryDatabase>,
    tip: BlockId,
}

fn chain(seed: u64, blocks: usize, options: Options) -> Chain {
    let mut fabric = Fabric::new(&Setup { seed, ..Setup::default() });
    let mut random = Random::new(seed ^ 77);
    let mut trunk = vec![fabric.genesis_id()];
    for _ in 0..blocks {
        trunk.push(fabric.random_block(&trunk[trunk.len() - 1], &mut random));
    }
    for depth in [2, 4, 6].into_iter().filter(|depth| *depth < blocks) {
        let side = fabric.random_block(&trunk[trunk.len() - 1 - depth], &mut random);
        fabric.random_block(&side, &mut random);
    }
    let database = Arc::new(MemoryDatabase::new());
    let specification = Arc::new(fabric.specification.clone());
    let mut manager = ChainManager::open(specification, Arc::clone(&database), [1; 32], options).expect("opens");
    for made in &fabric.all()[1..] {
        let outcome = manager.submit([made.block.clone()], NOW_MS).expect("memory works");
        let refused = outcome.verdicts.iter().find(|(_, verdict)| matches!(verdict, Verdict::Refused(_)));
        assert!(refused.is_none(), "{refused:?}");
    }
    let tip = manager.tip().id;
    Chain { fabric, database, tip }
}

fn entries(database: &MemoryDatabase, column: Column) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut see = |key: &[u8], value: &[u8]| {
        found.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    database.scan(column, &[], None, &mut see).expect("memory can be read");
    found
}

fn changed(database: &MemoryDatabase, change: impl FnOnce(&mut Batch)) -> Arc<MemoryDatabase> {
    let database = database.reopened();
    let mut batch = Batch::default();
    change(&mut batch);
    database.write(batch).expect("memory works");
    Arc::new(database)
}

#[test]
fn a_sound_store_has_no_findings() {
    for (seed, options) in [(1, Options::default()), (2, Options { keep_bodies: Some(9) })] {
        let Chain { fabric, database, tip } = chain(seed, 60, options);
        let report = walk(&database, &fabric.specification).expect("a store");
        assert!(report.is_sound(), "{}", list(&report));
        assert_eq!(report.tip, Some(tip));
        let totals = report.totals;
        let height = fabric.made(&tip).lineage.height;
        assert_eq!((totals.tip, totals.blocks), (height, height.0 + 1));
        assert!(totals.side_blocks >= 1 && totals.plots > 6 && totals.accounts > 8, "{totals:?}");
        assert_eq!(totals.versions, 17);
        assert_eq!(totals.nodes, entries(&database, Column::Tree).len() as u64);
        let bodies = options.keep_bodies.unwrap_or(height.0) + 1 + totals.side_blocks;
        assert_eq!(totals.bodies, bodies);
        let reopened = Arc::new(database.reopened());
        let specification = Arc::new(fabric.specification.clone());
        let manager = ChainManager::open(specification, reopened, [1; 32], options).expect("opens");
        assert_eq!(manager.tip().id, tip);
    }
}

#[test]
fn a_store_of_genesis_alone_is_sound() {
    let fabric = Fabric::default();
    let database = Arc::new(MemoryDatabase::new());
    let first = genesis(&fabric.specification).expect("a genesis");
    Store::open(Arc::clone(&database), &first).expect("made");
    let report = walk(&database, &fabric.specification).expect("a store");
    assert!(report.is_sound(), "{}", list(&report));
    assert_eq!((report.totals.blocks, report.totals.versions, report.totals.accounts), (1, 1, 8));
}

#[test]
fn a_store_that_went_back_is_sound() {
    for (keep_bodies, back) in [(None, 5), (Some(9), 5), (Some(9), 13)] {
        let options = Options { keep_bodies };
        let Chain { fabric, database, tip } = chain(3, 50, options);
        let specification = Arc::new(fabric.specification.clone());
        let mut manager = ChainManager::open(specification, Arc::clone(&database), [1; 32], options).expect("a store");
        let to = Height(manager.tip().height.0 - back);
        manager.rewind(to).expect("not too deep");
        let report = walk(&database, &fabric.specification).expect("a store");
        assert!(report.is_sound(), "{}", list(&report));
        assert_eq!(report.totals.tip, to);
        for made in &fabric.all()[1..] {
            manager.submit([made.block.clone()], NOW_MS).expect("memory works");
        }
        assert_eq!(manager.tip().id, tip);
        let report = walk(&database, &fabric.specification).expect("a store");
        assert!(report.is_sound(), "{}", list(&report));
    }
}

#[test]
fn forks_below_the_oldest_body_are_not_followed_even_while_syncing() {
    let options = Options { keep_bodies: Some(9) };
    let Chain { mut fabric, database, tip } = chain(10, 50, options);
    let specification = Arc::new(fabric.specification.clone());
    let mut manager = ChainManager::open(specification, Arc::clone(&database), [1; 32], options).expect("a store");
    assert!(manager.is_syncing());
    let at = |height| manager.store().id_at(Height(height)).expect("memory").expect("on the best chain");
    let height = manager.tip().height.0;
    let (deep, shallow) = (at(height - 12), at(height - 9));
    // Twice as long as what it would replace.
    let branch = fabric.chain(&deep, 24, 0);
    let outcome = manager.submit(branch.iter().map(|id| fabric.block(id).clone()), NOW_MS).expect("no damage");
    assert!(outcome.verdicts.iter().all(|(_, verdict)| *verdict != Verdict::Connected));
    assert_eq!(manager.tip().id, tip);
    let branch = fabric.chain(&shallow, 24, 0);
    manager.submit(branch.iter().map(|id| fabric.block(id).clone()), NOW_MS).expect("no damage");
    assert_eq!(Some(&manager.tip().id), branch.last(), "the control: all that it takes is there");
    let report = walk(&database, &fabric.specification).expect("a store");
    assert!(report.is_sound(), "{}", list(&report));
}

/// Does `damage` to some entries of every column, one at a time, and expects that each time it is found there.
fn every_column(name: &str, damage: impl Fn(&mut Batch, Column, &Entry, &mut Random)) {
    let Chain { fabric, database, .. } = chain(4, 40, Options::default());
    let mut random = Random::new(5);
    for column in Column::ALL {
        let all = entries(&database, column);
        assert!(!all.is_empty(), "{column:?}");
        // The first, the last, and some between.
        let step = all.len().div_ceil(12);
        for entry in all.iter().step_by(step).chain(all.last()) {
            let damaged = changed(&database, |batch| damage(batch, column, entry, &mut random));
            let about = format!("{name}: column {}, entry {}", column.name(), const_hex::encode(&entry.0));
            match walk(&damaged, &fabric.specification) {
                Ok(report) => {
                    assert!(!report.is_sound(), "{about}");
                    // What a fact says is seen by what does not fit it, an index entry that is gone by its block.
                    let near = |found| match column {
                        Column::Meta => true,
                        Column::ByHeight => [Column::ByHeight, Column::Headers].contains(&found),
                        // Of a value that is gone nobody knows the key: its leaf is named.
                        Column::State | Column::Registry => [column, Column::Tree].contains(&found),
                        _ => found == column,
                    };
                    let named = report.findings.iter().any(|finding| near(finding.column));
                    assert!(named, "{about}: {}", list(&report));
                }
                // The two facts without which nobody knows what it is.
                Err(CheckError::Open(_)) => {
                    assert!(column == Column::Meta && [&b"format"[..], b"genesis"].contains(&&entry.0[..]), "{about}");
                }
                Err(error) => panic!("{about}: {error}"),
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    every_column("flipped", |batch, column, (key, value), random| {
        let mut value = value.clone();
        match value.len() as u64 {
            // Blocks beside the chain have no value.
            0 => value.push(0),
            length => value[random.below(length) as usize] ^= 1 << random.below(8),
        }
        batch.put(column, key.clone(), value);
    });
}

#[test]
fn a_value_cut_short_is_found() {
    every_column("cut", |batch, column, (key, value), random| {
        let mut value = value.clone();
        match value.len() as u64 {
            0 => value.push(0),
            length => value.truncate(random.below(length) as usize),
        }
        batch.put(column, key.clone(), value);
    });
}

#[test]
fn a_missing_entry_is_found() {
    every_column("missing", |batch, column, (key, _), _| batch.delete(column, key.clone()));
}

#[test]
fn a_moved_entry_is_found() {
    every_column("moved", |batch, column, (key, value), random| {
        let mut moved = key.clone();
        moved[random.below(key.len() as u64) as usize] ^= 1 << random.below(8);
        batch.delete(column, key.clone());
        batch.put(column, moved, value.clone());
    });
}

#[test]
fn an_entry_too_many_is_found() {
    every_column("copied", |batch, column, (key, value), random| {
        let mut copy = key.clone();
        copy[random.below(key.len() as u64) as usize] ^= 1 << random.below(8);
        batch.put(column, copy, value.clone());
    });
    every_column("longer", |batch, column, (key, value), _| {
        batch.put(column, [&key[..], &[0]].concat(), value.clone())
    });
}

#[test]
fn findings_name_what_is_wrong() {
    let Chain { fabric, database, tip } = chain(6, 30, Options::default());
    let found = |change: &dyn Fn(&mut Batch)| {
        let report = walk(&changed(&database, change), &fabric.specification).expect("a store");
        report.findings.into_iter().map(|finding| (finding.column, finding.key, finding.flaw)).collect::<Vec<_>>()
    };
    let body = entries(&database, Column::Bodies).remove(3);
    assert_eq!(
        found(&|batch| batch.delete(Column::Bodies, body.0.clone())),
        [(Column::Bodies, body.0.clone(), Flaw::Missing)]
    );
    let height = fabric.made(&tip).lineage.height;
    let above = (height.0 + 1).to_be_bytes().to_vec();
    assert_eq!(
        found(&|batch| batch.put(Column::ByHeight, above.clone(), tip.0))[0],
        (Column::ByHeight, above.clone(), Flaw::Above { found: height.next(), tip: height })
    );
    // The tip's node of the tree, changed where it says which leaf is below.
    let root = [&height.0.to_be_bytes()[..], &[0]].concat();
    let mut node = database.get(Column::Tree, &root).expect("memory").expect("a root");
    *node.last_mut().expect("not empty") ^= 1;
    let findings = found(&|batch| batch.put(Column::Tree, root.clone(), node.clone()));
    assert!(
        matches!(&findings[0], (Column::Tree, key, Flaw::Root { version, .. }) if *key == root && *version == height)
    );
    assert!(
        matches!(&findings[1], (Column::Tree, _, Flaw::Unreadable(reason)) if reason.contains("hash")),
        "{findings:?}"
    );
    // Money for nothing, of which the tree knows nothing.
    let wallet = StateKey::Account(fabric.wallets[0].address);
    let (key, mut value) = entries(&database, Column::State)
        .into_iter()
        .find(|(key, _)| key.starts_with(&wallet.bytes()))
        .expect("it had money");
    value[1] ^= 1;
    let findings = found(&|batch| batch.put(Column::State, key.clone(), value.clone()));
    assert!(findings.iter().any(|(_, _, flaw)| matches!(flaw, Flaw::Supply { .. })), "{findings:?}");
    assert!(findings.contains(&(Column::State, key, Flaw::ValueHash(height))), "{findings:?}");
}

#[test]
fn a_state_whose_sums_are_wrong_is_found_though_its_hashes_are_right() {
    let fabric = Fabric::default();
    let database = Arc::new(MemoryDatabase::new());
    let mut first: GenesisBlock = genesis(&fabric.specification).expect("a genesis");
    Store::open(Arc::clone(&database), &first).expect("made");
    let wallet = StateKey::Account(fabric.wallets[0].address);
    let bytes = first.changes[&wallet].clone().expect("it has money");
    let Value::Account(mut account) = Value::decode(&wallet, &bytes).expect("an account") else { unreachable!() };
    account.balance = Amount(account.balance.0 + 1);
    let value = Value::Account(account).encode();
    first.changes.insert(wallet, Some(value.clone()));
    let leaves = first.changes.iter().map(|(key, value)| (key.hash(), value.as_deref()));
    let empty = MemoryDatabase::new();
    let update = commit(&StoredNodes(&empty), None, leaves).expect("a tree");
    let richer = changed(&database, |batch| {
        batch.put(Column::State, [&wallet.bytes()[..], &[0xff; 8]].concat(), [&[1], &value[..]].concat());
        write_nodes(batch, &update);
    });
    let report = walk(&richer, &fabric.specification).expect("a store");
    let flaws: Vec<_> = report.findings.iter().map(|finding| &finding.flaw).collect();
    assert!(matches!(flaws[..], [Flaw::Supply { .. }, Flaw::Root { .. }]), "{flaws:?}");
}

#[test]
fn much_damage_is_counted_and_some_of_it_listed() {
    let Chain { fabric, database, .. } = chain(7, 40, Options::default());
    let damaged = changed(&database, |batch| {
        for column in [Column::Bodies, Column::Transactions, Column::Tree] {
            batch.delete_range(column, [0; 1], [0xff; 48]);
        }
    });
    let report = walk(&damaged, &fabric.specification).expect("a store");
    assert_eq!(report.findings.len(), MAX_FINDINGS.min(report.found as usize));
    let emptied = changed(&database, |batch| {
        for column in Column::ALL.into_iter().filter(|column| *column != Column::Meta) {
            batch.delete_range(column, [0; 1], [0xff; 48]);
        }
    });
    assert!(!walk(&emptied, &fabric.specification).expect("a store").is_sound());
}

#[test]
fn what_is_no_store_of_this_chain_is_an_error() {
    let Chain { fabric, database, .. } = chain(8, 5, Options::default());
    let newer = changed(&database, |batch| batch.put(Column::Meta, &b"format"[..], 2u32.to_le_bytes()));
    let error = walk(&newer, &fabric.specification).expect_err("from the future");
    assert!(matches!(error, CheckError::Open(OpenError::Newer { found: 2 })), "{error}");
    let other = Fabric::new(&Setup { seed: 99, ..Setup::default() });
    let error = walk(&database, &other.specification).expect_err("another chain");
    assert!(matches!(error, CheckError::Open(OpenError::OtherChain { .. })), "{error}");
    let error = walk(&Arc::new(MemoryDatabase::new()), &fabric.specification).expect_err("nothing");
    assert!(matches!(error, CheckError::Open(OpenError::Empty)), "{error}");
    database.fail_reads(true);
    // Not even what it is can be read.
    assert!(walk(&database, &fabric.specification).is_err());
}

#[test]
fn it_tells_how_far_it_is_and_stops_when_told() {
    let Chain { fabric, database, .. } = chain(9, 20, Options::default());
    let mut phases = Vec::new();
    let mut done = 0;
    let mut steps = |step| match step {
        Step::Began { phase, .. } => phases.push(phase),
        Step::Advanced(by) => done += by,
    };
    check(&database, &fabric.specification, Watch { steps: &mut steps, stop: &AtomicBool::new(false) })
        .expect("a store");
    assert_eq!(phases, [Phase::Headers, Phase::Bodies, Phase::Values, Phase::Tree, Phase::Versions]);
    assert!(done > 100, "{done}");
    let stop = AtomicBool::new(false);
    let mut steps = |step| {
        if step == (Step::Began { phase: Phase::Bodies, total: None }) || matches!(step, Step::Advanced(_)) {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let stopped = check(&database, &fabric.specification, Watch { steps: &mut steps, stop: &stop });
    assert!(matches!(stopped, Err(CheckError::Stopped)));
}
