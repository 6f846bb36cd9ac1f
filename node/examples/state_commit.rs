//! What a block's state costs: 1,000 changed accounts among a million, over a database in memory and over the one on
//! disk, the hashing alone beside it, crate `jmt` for comparison, and how long proofs are.
//!
//! `state_commit [ACCOUNTS [CHANGED [ROUNDS]]]`

use std::collections::HashMap;
use std::error::Error;
use std::time::Instant;

use jmt::storage::{LeafNode, TreeReader};
use jmt::{JellyfishMerkleTree, OwnedValue, SimpleHasher};
use sha2::{Digest, Sha256};
use spacetime_node::state::proof::prove;
use spacetime_node::state::tree::{KeyHash, StoredNodes, Version, commit, delete_nodes, write_nodes};
use spacetime_node::store::{Batch, Database, MemoryDatabase};

/// Accounts that are added in one version while the tree is filled: bounds what that takes in memory.
const FILL: u64 = 10_000;

/// `jmt` keeps 16 places for children in each node, and so a million accounts do not fit beside the rest.
const JMT_ACCOUNTS: u64 = 100_000;

struct Sizes {
    accounts: u64,
    changed: u64,
    rounds: u64,
}

fn key(account: u64) -> KeyHash {
    KeyHash::of(0, &account.to_be_bytes())
}

/// A balance and a nonce.
fn value(account: u64, version: u64) -> [u8; 16] {
    let mut value = [0; 16];
    value[..8].copy_from_slice(&account.to_le_bytes());
    value[8..].copy_from_slice(&version.to_le_bytes());
    value
}

/// Accounts that a round changes: all over the tree, each once.
fn changed(sizes: &Sizes, round: u64) -> impl Iterator<Item = u64> {
    let stride = sizes.accounts / sizes.changed;
    let first = round.wrapping_mul(7_919) % stride.max(1);
    (0..sizes.changed).map(move |n| n * stride + first)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Time that this thread has had a core, in milliseconds: what counts where others use the machine too.
fn core_ms() -> f64 {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = spent.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e6
}

/// Peak memory of the process so far, in MiB; 0 where the system does not say.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn apply<D: Database>(
    database: &D,
    version: Version,
    changes: impl Iterator<Item = (KeyHash, Option<[u8; 16]>)>,
) -> Result<[f64; 5], Box<dyn Error>> {
    let (begun, core) = (Instant::now(), core_ms());
    let update = commit(&StoredNodes(database), version.checked_sub(1), changes)?;
    let (committing, core) = (milliseconds(begun), core_ms() - core);
    let begun = Instant::now();
    let mut batch = Batch::default();
    write_nodes(&mut batch, &update);
    delete_nodes(&mut batch, &update.stale);
    database.write(batch)?;
    let writing = milliseconds(begun);
    let begun = core_ms();
    for (_, node) in &update.nodes {
        std::hint::black_box(node.hash());
    }
    Ok([committing, core, core_ms() - begun, writing, update.nodes.len() as f64])
}

/// Fills a database and measures rounds of changes; returns the last version.
fn measure<D: Database>(name: &str, database: &D, sizes: &Sizes) -> Result<Version, Box<dyn Error>> {
    let begun = Instant::now();
    let mut version = 0;
    for first in (0..sizes.accounts).step_by(FILL as usize) {
        let accounts = first..sizes.accounts.min(first + FILL);
        apply(database, version, accounts.map(|account| (key(account), Some(value(account, 0)))))?;
        version += 1;
    }
    let filling = begun.elapsed().as_secs_f64();
    let mut rounds = Vec::new();
    for round in 0..sizes.rounds {
        let changes = changed(sizes, round).map(|account| (key(account), Some(value(account, round + 1))));
        rounds.push(apply(database, version, changes)?);
        version += 1;
    }
    let [committing, core, hashing, writing, nodes] =
        std::array::from_fn(|column| median(rounds.iter().map(|round| round[column]).collect()));
    println!(
        "{name:<10} {:>9} {:>8} {committing:>10.1} {core:>8.1} {hashing:>11.1} {writing:>10.1} {nodes:>7} {filling:>8.1} {:>9}",
        sizes.accounts,
        sizes.changed,
        peak_mib()
    );
    Ok(version - 1)
}

fn proofs<D: Database>(database: &D, version: Version, sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    println!("\nproofs      number  mean bytes   max bytes   µs each");
    let absent = sizes.accounts..sizes.accounts + sizes.accounts / 5;
    for (name, accounts) in [("present", 0..sizes.accounts), ("absent", absent)] {
        let (mut number, mut sum, mut most) = (0u64, 0, 0);
        let begun = Instant::now();
        for account in accounts.step_by(3) {
            let bytes = prove(&StoredNodes(database), version, &key(account))?.encode().len();
            (number, sum, most) = (number + 1, sum + bytes, most.max(bytes));
        }
        let each = milliseconds(begun) * 1e3 / number as f64;
        println!("{name:<10} {number:>7} {:>11.0} {most:>11} {each:>9.1}", sum as f64 / number as f64);
    }
    Ok(())
}

/// SHA-256 for `jmt`, by the `sha2` that the product uses.
struct Sha(Sha256);

impl SimpleHasher for Sha {
    fn new() -> Self {
        Self(Sha256::new())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[derive(Default)]
struct Jmt(HashMap<jmt::storage::NodeKey, jmt::storage::Node>);

impl TreeReader for Jmt {
    fn get_node_option(&self, key: &jmt::storage::NodeKey) -> anyhow::Result<Option<jmt::storage::Node>> {
        Ok(self.0.get(key).cloned())
    }

    fn get_value_option(&self, _: Version, _: jmt::KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok(None)
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(jmt::storage::NodeKey, LeafNode)>> {
        Ok(None)
    }
}

impl Jmt {
    fn apply(
        &mut self,
        version: Version,
        changes: impl Iterator<Item = (KeyHash, Vec<u8>)>,
    ) -> anyhow::Result<[f64; 2]> {
        let set: Vec<_> = changes.map(|(key, value)| (jmt::KeyHash(key.0), Some(value))).collect();
        let (begun, core) = (Instant::now(), core_ms());
        let (_, update) = JellyfishMerkleTree::<_, Sha>::new(self).put_value_set(set, version)?;
        let times = [milliseconds(begun), core_ms() - core];
        self.0.extend(update.node_batch.nodes().clone());
        for stale in update.stale_node_index_batch {
            self.0.remove(&stale.node_key);
        }
        Ok(times)
    }

    fn measure(sizes: &Sizes) -> anyhow::Result<()> {
        let mut jmt = Self::default();
        let begun = Instant::now();
        jmt.apply(0, (0..sizes.accounts).map(|account| (key(account), value(account, 0).to_vec())))?;
        let filling = begun.elapsed().as_secs_f64();
        let mut rounds = Vec::new();
        for round in 0..sizes.rounds {
            let changes = changed(sizes, round).map(|account| (key(account), value(account, round + 1).to_vec()));
            rounds.push(jmt.apply(round + 1, changes)?);
        }
        let [committing, core] =
            std::array::from_fn(|column| median(rounds.iter().map(|round: &[f64; 2]| round[column]).collect()));
        println!(
            "{:<10} {:>9} {:>8} {committing:>10.1} {core:>8.1} {:>11} {:>10} {:>7} {filling:>8.1} {:>9}",
            "jmt 0.12",
            sizes.accounts,
            sizes.changed,
            "",
            "",
            "",
            peak_mib()
        );
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let mut next = |default| arguments.next().unwrap_or(Ok(default));
    let sizes = Sizes { accounts: next(1_000_000)?.max(1), changed: next(1_000)?, rounds: next(20)?.max(1) };
    let sizes = Sizes { changed: sizes.changed.clamp(1, sizes.accounts), ..sizes };
    println!("database    accounts  changed  commit ms  core ms  hashing ms   write ms   nodes   fill s  peak MiB");

    #[cfg(feature = "rocksdb")]
    {
        use spacetime_node::store::{RocksDatabase, RocksOptions};
        let folder = tempfile::tempdir()?;
        let rocks = RocksDatabase::open(folder.path(), RocksOptions { create: true, sync: false })?;
        measure("RocksDB", &rocks, &sizes)?;
        rocks.set_sync(true)?;
    }
    let few = Sizes { accounts: sizes.accounts.min(JMT_ACCOUNTS), changed: sizes.changed.min(JMT_ACCOUNTS), ..sizes };
    measure("memory", &MemoryDatabase::new(), &few)?;
    Jmt::measure(&few)?;
    let memory = MemoryDatabase::new();
    let version = measure("memory", &memory, &sizes)?;
    proofs(&memory, version, &sizes)
}
