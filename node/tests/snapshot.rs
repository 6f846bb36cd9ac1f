//! Snapshots of a state: what comes back is the state, and nothing that was done to one goes unnoticed.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sha2::{Digest, Sha256};
use spacetime_node::chain::rules::{BlockError, HeaderError};
use spacetime_node::chain::{Amount, BlockId, Header, Height, proof_id};
use spacetime_node::consensus::{Checkpoint, Specification};
use spacetime_node::manager::{ChainManager, ManagerError, Options, Refusal, Verdict};
use spacetime_node::network::message::ProvedHeader;
use spacetime_node::state::{Account, StateKey, Value};
use spacetime_node::store::check::{Watch, check};
use spacetime_node::store::snapshot::{SnapshotError, SnapshotReader, Step, export};
use spacetime_node::store::{Column, Database, MemoryDatabase, OpenError};
use spacetime_node::testing::{Fabric, Random, Setup};

/// Later than any block here.
const NOW_MS: u64 = 1 << 60;
const BLOCKS: usize = 24;
/// The block whose state is written: states are kept for 16 blocks.
const AT: usize = 15;

struct World {
    fabric: Fabric,
    /// From above genesis.
    chain: Vec<BlockId>,
    manager: ChainManager<MemoryDatabase>,
}

fn open(specification: &Specification, database: &Arc<MemoryDatabase>) -> ChainManager<MemoryDatabase> {
    ChainManager::open(Arc::new(specification.clone()), database.clone(), [1; 32], Options::default()).unwrap()
}

impl World {
    fn new() -> Self {
        let mut fabric = Fabric::default();
        let mut random = Random::new(3);
        let mut tip = fabric.genesis_id();
        let mut chain = Vec::new();
        for _ in 0..BLOCKS {
            tip = fabric.random_block(&tip, &mut random);
            chain.push(tip);
        }
        let mut manager = open(&fabric.specification, &Arc::default());
        manager.submit(chain.iter().map(|id| fabric.block(id).clone()), NOW_MS).unwrap();
        assert_eq!(manager.tip().id, tip);
        Self { fabric, chain, manager }
    }

    fn block(&self, height: usize) -> Checkpoint {
        Checkpoint { height: Height(height as u64), id: self.chain[height - 1] }
    }

    fn written(&self, height: usize) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.snapshot");
        let genesis = self.fabric.genesis_id();
        let head = export(self.manager.store(), &genesis, Height(height as u64), &path, |_| true).unwrap();
        assert_eq!(head.block, self.block(height));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        std::fs::read(path).unwrap()
    }

    fn import(&self, bytes: &[u8], height: usize, database: &Arc<MemoryDatabase>) -> Result<(), SnapshotError> {
        let reader = SnapshotReader::open(bytes, "x.snapshot")?;
        let imported = reader.import(&self.fabric.specification, self.block(height), database, |_| true)?;
        assert_eq!(imported.tip, self.fabric.made(&self.chain[height - 1]).lineage);
        Ok(())
    }

    /// Why it is not taken in; that nothing is left of it.
    fn refused(&self, bytes: &[u8]) -> SnapshotError {
        let database = Arc::new(MemoryDatabase::new());
        let error = self.import(bytes, AT, &database).expect_err("it is not what was written");
        assert!(is_empty(&database), "{error}: something is left");
        error
    }
}

fn is_empty(database: &MemoryDatabase) -> bool {
    Column::ALL.into_iter().all(|column| database.first_from(column, &[]).unwrap().is_none())
}

fn assert_sound(specification: &Specification, database: &Arc<MemoryDatabase>) {
    let watch = Watch { steps: &mut |_| {}, stop: &AtomicBool::new(false) };
    let report = check(database, specification, watch).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
}

#[test]
fn the_chain_goes_on_from_it_as_from_blocks() {
    let world = World::new();
    let specification = &world.fabric.specification;
    for height in [BLOCKS - 16, AT, BLOCKS - 1, BLOCKS] {
        let database = Arc::new(MemoryDatabase::new());
        world.import(&world.written(height), height, &database).unwrap();
        assert_sound(specification, &database);
        let mut manager = open(specification, &database);
        assert_eq!(*manager.tip(), world.fabric.made(&world.chain[height - 1]).lineage);
        let outcome = manager.submit(world.chain[height..].iter().map(|id| world.fabric.block(id).clone()), NOW_MS);
        assert!(outcome.unwrap().verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Connected));
        assert_eq!(manager.tip(), world.manager.tip());
        for wallet in &world.fabric.wallets {
            let balance = |manager: &ChainManager<MemoryDatabase>| {
                let tip = manager.tip().height;
                manager.store().balance(wallet.address, tip, manager.parameters()).unwrap()
            };
            assert_eq!(balance(&manager), balance(&world.manager));
        }
        assert_sound(specification, &database);
        // A snapshot of the snapshot is the same.
        let mut again = World::new();
        again.manager = manager;
        assert!(again.written(BLOCKS) == world.written(BLOCKS));
    }
}

#[test]
fn forks_below_it_are_not_followed() {
    let mut world = World::new();
    let rival = world.fabric.chain(&world.chain[AT - 3], 14, 0);
    let near = world.fabric.chain(&world.chain[AT - 1], 11, 0);
    let database = Arc::new(MemoryDatabase::new());
    world.import(&world.written(AT), AT, &database).unwrap();
    let mut manager = open(&world.fabric.specification, &database);
    let outcome = manager.submit(rival.iter().map(|id| world.fabric.block(id).clone()), NOW_MS).unwrap();
    assert_eq!(manager.tip().id, world.chain[AT - 1]);
    let too_deep = |verdict: &Verdict| {
        matches!(verdict, Verdict::Refused(Refusal::Rule(BlockError::Header(HeaderError::TooDeep { .. }))))
    };
    assert!(outcome.verdicts.iter().any(|(id, verdict)| *id == rival[0] && too_deep(verdict)));
    assert_eq!(manager.alarms().len(), 1);
    manager.submit(near.iter().map(|id| world.fabric.block(id).clone()), NOW_MS).unwrap();
    assert_eq!(manager.tip().id, near[10], "the control: a fork from the block itself is");
}

#[test]
fn states_that_are_not_kept_cannot_be_written() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    for height in [0, 1, BLOCKS - 17, BLOCKS + 1] {
        let path = folder.path().join("a.snapshot");
        let error = export(world.manager.store(), &world.fabric.genesis_id(), Height(height as u64), &path, |_| true);
        assert!(matches!(error, Err(SnapshotError::NotKept { .. })), "{height}: {error:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn only_the_trusted_block_and_chain_are_taken() {
    let world = World::new();
    let bytes = world.written(AT);
    let database = Arc::new(MemoryDatabase::new());
    let read = || SnapshotReader::open(&bytes[..], "x.snapshot").unwrap();
    let specification = &world.fabric.specification;
    let mut trusted = world.block(AT);
    trusted.id.0[0] ^= 1;
    let error = read().import(specification, trusted, &database, |_| true).unwrap_err();
    assert!(matches!(error, SnapshotError::Untrusted { .. }) && !error.is_damage(), "{error}");
    let error = read().import(specification, world.block(AT + 1), &database, |_| true).unwrap_err();
    assert!(matches!(error, SnapshotError::Untrusted { .. }), "{error}");
    let mut other = specification.clone();
    other.genesis.time_ms += 1;
    let error = read().import(&other, world.block(AT), &database, |_| true).unwrap_err();
    assert!(matches!(error, SnapshotError::OtherChain { .. }), "{error}");
    // A checkpoint of the specification on the way there is another block.
    let mut strict = specification.clone();
    strict.checkpoints = vec![Checkpoint { height: Height(4), id: world.chain[4] }];
    let error = read().import(&strict, world.block(AT), &database, |_| true).unwrap_err();
    assert!(matches!(error, SnapshotError::Chain { height: Height(4), .. }), "{error}");
    assert!(is_empty(&database));
    world.import(&bytes, AT, &database).unwrap();
    let error = world.import(&bytes, AT, &database).unwrap_err();
    assert!(matches!(error, SnapshotError::NotEmpty), "{error}");
    assert_eq!(open(specification, &database).tip().id, world.chain[AT - 1], "what was there stays");
}

#[test]
fn any_damage_is_refused_by_name_and_place() {
    let world = World::new();
    let good = world.written(AT);
    for place in (0..good.len()).step_by(37).chain(good.len() - 40..good.len()) {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        let error = world.refused(&bad);
        assert!(error.to_string().starts_with("x.snapshot: "), "byte {place}: {error}");
        assert!(error.is_damage(), "byte {place}: {error}");
    }
    for length in (0..good.len()).step_by(101).chain([good.len() - 1]) {
        let error = world.refused(&good[..length]);
        assert!(matches!(error, SnapshotError::Truncated { .. }), "{length} bytes: {error}");
    }
    let error = world.refused(&[&good[..], &[0]].concat());
    assert!(matches!(error, SnapshotError::Damaged { field: "end", .. }), "{error}");
    let mut newer = good.clone();
    newer[8] = 2;
    assert!(matches!(world.refused(&newer), SnapshotError::Newer { found: 2, .. }));
    let other = [&b"SPCTBLKS"[..], &good[8..]].concat();
    assert!(matches!(world.refused(&other), SnapshotError::Magic { .. }));
}

/// A snapshot taken apart.
#[derive(Clone)]
struct Parts {
    genesis: BlockId,
    block: Checkpoint,
    count: u64,
    headers: Vec<ProvedHeader>,
    values: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Parts {
    fn of(world: &World) -> Self {
        let blocks = world.chain[..AT].iter().map(|id| world.fabric.block(id));
        let headers = blocks.map(|block| ProvedHeader { header: block.header.clone(), proof: block.proof.clone() });
        // Its values as they are kept where it was taken in.
        let database = Arc::new(MemoryDatabase::new());
        world.import(&world.written(AT), AT, &database).unwrap();
        let mut values = Vec::new();
        for column in [Column::State, Column::Registry] {
            let mut see = |key: &[u8], value: &[u8]| {
                values.push((key[..key.len() - 8].to_vec(), value[1..].to_vec()));
                ControlFlow::Continue(())
            };
            database.scan(column, &[], None, &mut see).unwrap();
        }
        values.sort_by_key(|(key, _)| StateKey::parse(key).unwrap().hash());
        Self {
            genesis: world.fabric.genesis_id(),
            block: world.block(AT),
            count: values.len() as u64,
            headers: headers.collect(),
            values,
        }
    }

    /// Put together again, every checksum right; so many items a frame.
    fn written(&self, items: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(b"SPCTSNAP");
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(self.genesis.0);
        bytes.extend(self.block.height.0.to_le_bytes());
        bytes.extend(self.block.id.0);
        bytes.extend(self.count.to_le_bytes());
        let mut checksum: [u8; 32] = Sha256::digest(&bytes).into();
        bytes.extend(checksum);
        let headers = self.headers.iter().map(|header| borsh::to_vec(header).unwrap());
        let values = self.values.iter().map(|(key, value)| {
            let length = (value.len() as u16).to_le_bytes();
            [&[key.len() as u8], &key[..], &length, value].concat()
        });
        let (headers, values): (Vec<_>, Vec<_>) = (headers.collect(), values.collect());
        let frames = headers.chunks(items).chain(values.chunks(items)).map(|items| items.concat());
        for frame in frames.chain([Vec::new()]) {
            let length = (frame.len() as u32).to_le_bytes();
            checksum = Sha256::new().chain_update(checksum).chain_update(length).chain_update(&frame).finalize().into();
            bytes.extend(length);
            bytes.extend(frame);
            bytes.extend(checksum);
        }
        bytes
    }

    /// Lets headers stand one on another again, after one was changed.
    fn relink(&mut self) {
        for place in 1..self.headers.len() {
            self.headers[place].header.parent = self.headers[place - 1].header.id();
        }
    }
}

#[test]
fn every_field_is_covered_though_all_checksums_are_right() {
    let world = World::new();
    let parts = Parts::of(&world);
    // The control: taken apart and put together it is what was written, whatever the frames.
    assert!(parts.written(usize::MAX) == world.written(AT), "frames of this size hold all");
    let database = Arc::new(MemoryDatabase::new());
    world.import(&parts.written(3), AT, &database).unwrap();

    type Change = fn(&mut Header);
    let fields: [(&str, Change); 15] = [
        ("version", |header| header.version = 2),
        ("height", |header| header.height.0 += 1),
        ("epoch", |header| header.epoch.0 += 1),
        ("timestamp", |header| header.timestamp_ms += 1),
        ("parent", |header| header.parent.0[0] ^= 1),
        ("target", |header| header.target.0[31] ^= 1),
        ("miner key", |header| header.miner_key.0[3] ^= 1),
        ("plot id", |header| header.plot_id.0[3] ^= 1),
        ("plot root", |header| header.plot_root.0[3] ^= 1),
        ("score", |header| header.score.0[31] ^= 1),
        ("transaction root", |header| header.transaction_root.0[3] ^= 1),
        ("state root", |header| header.state_root.0[3] ^= 1),
        ("extension", |header| header.extension.0[3] ^= 1),
        ("reveal", |header| header.reveal.0[3] ^= 1),
        ("signature", |header| header.signature.0[3] ^= 1),
    ];
    for (name, change) in fields {
        for place in [0, 7, AT - 1] {
            for relinked in [false, true] {
                let mut bad = parts.clone();
                change(&mut bad.headers[place].header);
                if relinked && name != "parent" {
                    bad.relink();
                }
                let error = world.refused(&bad.written(4));
                let header = matches!(error, SnapshotError::Header { .. } | SnapshotError::Chain { .. });
                assert!(header, "{name} of header {place}: {error}");
            }
        }
    }
    let mut proof = parts.clone();
    proof.headers[5].proof.leaf[0] ^= 1;
    assert!(matches!(world.refused(&proof.written(9)), SnapshotError::Header { height: Height(6), .. }));
    proof.headers[5].header.proof_id = proof_id(&proof.headers[5].proof);
    assert!(matches!(world.refused(&proof.written(9)), SnapshotError::Header { height: Height(6), .. }));

    let change = |change: &dyn Fn(&mut Parts)| {
        let mut bad = parts.clone();
        change(&mut bad);
        world.refused(&bad.written(9))
    };
    let error = change(&|parts| parts.genesis.0[0] ^= 1);
    assert!(matches!(error, SnapshotError::OtherChain { .. }), "{error}");
    let error = change(&|parts| parts.block.height.0 -= 1);
    assert!(matches!(error, SnapshotError::Untrusted { .. }), "{error}");
    let error = change(&|parts| parts.block.id.0[0] ^= 1);
    assert!(matches!(error, SnapshotError::Untrusted { .. }), "{error}");
    for count in [0, parts.count - 1, parts.count + 1, u64::MAX] {
        let error = change(&|parts| parts.count = count);
        assert!(matches!(error, SnapshotError::Damaged { .. }), "{count} values: {error}");
    }
    let error = change(&|parts| drop(parts.headers.remove(4)));
    assert!(matches!(error, SnapshotError::Chain { height: Height(5), .. }), "{error}");
    let error = change(&|parts| drop(parts.headers.pop()));
    assert!(matches!(error, SnapshotError::Damaged { field: "header", .. }), "{error}");
}

#[test]
fn every_value_is_covered() {
    let world = World::new();
    let parts = Parts::of(&world);
    let root = |bad: &Parts| {
        let error = world.refused(&bad.written(50));
        assert!(matches!(error, SnapshotError::Root { .. }), "{error}");
    };
    for place in 0..parts.values.len() {
        let mut missing = parts.clone();
        missing.values.remove(place);
        missing.count -= 1;
        root(&missing);
        let mut bad = parts.clone();
        let last = bad.values[place].1.len() - 1;
        bad.values[place].1[last] ^= 1;
        let error = world.refused(&bad.written(50));
        let seen = matches!(error, SnapshotError::Root { .. } | SnapshotError::Damaged { field: "value", .. });
        assert!(seen, "value {place}: {error}");
    }
    let mut rich = parts.clone();
    let wallet = StateKey::Account(world.fabric.wallets[0].address);
    let account = Value::Account(Account { balance: Amount(1 << 60), nonce: 0 }).encode();
    rich.values.iter_mut().find(|(key, _)| *key == wallet.bytes()).unwrap().1 = account.clone();
    root(&rich);
    let mut more = parts.clone();
    let nobody = StateKey::Account(spacetime_node::chain::Address([9; 20]));
    more.values.push((nobody.bytes(), account));
    more.values.sort_by_key(|(key, _)| StateKey::parse(key).unwrap().hash());
    more.count += 1;
    root(&more);
    let damaged = |bad: &Parts| {
        let error = world.refused(&bad.written(50));
        assert!(matches!(error, SnapshotError::Damaged { field: "value", .. }), "{error}");
    };
    let mut swapped = parts.clone();
    swapped.values.swap(3, 4);
    damaged(&swapped);
    let mut twice = parts.clone();
    twice.values.insert(3, parts.values[3].clone());
    damaged(&twice);
    let mut unknown = parts.clone();
    unknown.values[0].0 = vec![99, 1];
    damaged(&unknown);
    let mut long = parts.clone();
    long.values[0].1 = vec![0; 1025];
    damaged(&long);
    let mut long_key = parts.clone();
    long_key.values[0].0 = vec![4; 50];
    damaged(&long_key);
}

#[test]
fn one_that_was_stopped_leaves_nothing_and_one_that_was_cut_off_says_so() {
    // Enough values that it is asked on the way.
    let setup = Setup { wallets: 3000, ..Default::default() };
    let mut fabric = Fabric::new(&setup);
    let chain = fabric.chain(&fabric.genesis_id(), 3, 0);
    let mut manager = open(&fabric.specification, &Arc::default());
    manager.submit(chain.iter().map(|id| fabric.block(id).clone()), NOW_MS).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.snapshot");
    let stopped = export(manager.store(), &fabric.genesis_id(), Height(3), &path, |_| false).unwrap_err();
    assert!(matches!(stopped, SnapshotError::Stopped));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    export(manager.store(), &fabric.genesis_id(), Height(3), &path, |_| true).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let trusted = Checkpoint { height: Height(3), id: chain[2] };
    let read = || SnapshotReader::open(&bytes[..], "x.snapshot").unwrap();

    let database = Arc::new(MemoryDatabase::new());
    let stopped = read().import(&fabric.specification, trusted, &database, |_| false).unwrap_err();
    assert!(matches!(stopped, SnapshotError::Stopped));
    assert!(is_empty(&database));

    // What a crash on the way leaves is no store, says so, and is no hindrance.
    let mut cut = None;
    let see = |step| {
        if step == Step::Values(2048) {
            cut = Some(Arc::new(database.reopened()));
        }
        true
    };
    read().import(&fabric.specification, trusted, &database, see).unwrap();
    let cut = cut.expect("it was asked on the way");
    assert!(!is_empty(&cut));
    let specification = Arc::new(fabric.specification.clone());
    let error = ChainManager::open(specification, cut.clone(), [1; 32], Options::default()).unwrap_err();
    assert!(matches!(error, ManagerError::Open(OpenError::Unfinished)), "{error}");
    read().import(&fabric.specification, trusted, &cut, |_| true).unwrap();
    assert_eq!(open(&fabric.specification, &cut).tip().id, chain[2]);
    assert_sound(&fabric.specification, &cut);
}

#[test]
fn a_failing_disk_leaves_nothing() {
    let world = World::new();
    let bytes = world.written(AT);
    for after in 0..2 {
        let database = Arc::new(MemoryDatabase::new());
        database.fail_write(after);
        let error = world.import(&bytes, AT, &database).unwrap_err();
        assert!(matches!(error, SnapshotError::Store(_)), "{error}");
        assert!(is_empty(&database), "write {after}");
        world.import(&bytes, AT, &database).unwrap();
    }
}

#[test]
fn a_store_whose_values_are_not_its_headers_writes_no_snapshot() {
    let world = World::new();
    let database = Arc::new(MemoryDatabase::new());
    world.import(&world.written(AT), AT, &database).unwrap();
    let manager = open(&world.fabric.specification, &database);
    // Somebody changes a balance on the disk.
    let key = StateKey::Account(world.fabric.wallets[0].address).bytes();
    let (entry, mut value) = database.first_from(Column::State, &key).unwrap().unwrap();
    value[3] ^= 1;
    let mut batch = spacetime_node::store::Batch::default();
    batch.put(Column::State, entry, value);
    database.write(batch).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.snapshot");
    let error = export(manager.store(), &world.fabric.genesis_id(), Height(AT as u64), &path, |_| true).unwrap_err();
    assert!(error.is_damage(), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
