//! Importing chains, against what signatures, rows, tree and store take alone:
//! `cargo bench -p spacetime-benches --features node --bench chain`.
//!
//! Chains at the local chain's parameters go through the chain manager into RocksDB, in a process of their own whose
//! memory is looked at. The parts are then done alone, each on one core; two cores allow half of their sum, but no less
//! than tree and store, which follow one another. Headers at the main parameters are held against growing rows alone.
//! The folder SPACETIME_BENCH_DIR (default: the temporary one) takes some hundred megabytes, which are removed.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rayon::ThreadPoolBuilder;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use spacetime_kernels::{Backend, Grower, Target};
use spacetime_node::chain::rules::check_header;
use spacetime_node::chain::verify::HeaderCheck;
use spacetime_node::chain::{Block, decode};
use spacetime_node::consensus::{Parameters, Specification};
use spacetime_node::manager::{Candidate, ChainManager, Options, verify};
use spacetime_node::state::StateKey;
use spacetime_node::state::tree::{StoredNodes, commit};
use spacetime_node::store::rocks::{RocksDatabase, RocksOptions};
use spacetime_node::store::{
    Batch, Column, Database, DatabaseError, Entry, MemoryDatabase, Operation, StoreError, Visit,
};
use spacetime_node::testing::{Fabric, Setup};

/// Blocks of each chain.
const BLOCKS: u64 = 10_000;
/// Headers at the main parameters.
const MAIN_HEADERS: u64 = 128;
/// What the whole must reach of what its parts allow.
const GOAL: f64 = 0.75;
/// Most memory of a process that imports.
const MEMORY_GOAL_BYTES: u64 = 512 << 20;
/// Cores that the goal is for.
const CORES: usize = 2;
/// Long after every block.
const NOW_MS: u64 = 4_000_000_000_000;
/// Tells a process to import, and what.
const CHILD: &str = "SPACETIME_BENCH_IMPORT";

type Failure = Box<dyn Error>;

fn main() -> Result<ExitCode, Failure> {
    if let Some(folder) = std::env::var_os(CHILD) {
        import(Path::new(&folder))?;
        return Ok(ExitCode::SUCCESS);
    }
    let folder = std::env::var_os("SPACETIME_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let blocks = std::env::var("SPACETIME_BENCH_BLOCKS").ok().map_or(Ok(BLOCKS), |text| text.parse())?;
    let mut held = true;
    println!("{blocks} blocks at p = 6, R = 5, {CORES} cores; seconds of one core for each part");
    println!(
        "{:>10} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>6} {:>8}",
        "transfers", "signatures", "rows", "tree", "store", "allowed", "import", "cpu", "blocks/s", "ratio", "memory"
    );
    for transfers in [0, 20] {
        let folder = tempfile::tempdir_in(&folder)?;
        make_chain(folder.path(), blocks, transfers)?;
        let whole: Imported =
            serde_json::from_slice(&Command::new(std::env::current_exe()?).env(CHILD, folder.path()).output()?.stdout)?;
        let parts = parts(folder.path())?;
        let allowed = parts.allowed();
        let ratio = allowed / whole.seconds;
        println!(
            "{transfers:>10} {:>10.2} {:>8.2} {:>8.2} {:>8.2} {allowed:>8.2} {:>8.2} {:>8.2} {:>9.0} {ratio:>6.2} {:>4} MiB",
            parts.signatures,
            parts.rows,
            parts.tree,
            parts.store,
            whole.seconds,
            whole.cpu_seconds,
            blocks as f64 / whole.seconds,
            whole.peak_bytes >> 20
        );
        held &= ratio >= GOAL && whole.peak_bytes < MEMORY_GOAL_BYTES;
    }
    held &= main_headers()? >= GOAL;
    println!("goal {GOAL} and {} MiB: {}", MEMORY_GOAL_BYTES >> 20, if held { "PASS" } else { "FAIL" });
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a process that imports says of itself.
#[derive(Serialize, Deserialize)]
struct Imported {
    seconds: f64,
    cpu_seconds: f64,
    peak_bytes: u64,
}

/// Seconds of one core.
#[derive(Default)]
struct Parts {
    signatures: f64,
    rows: f64,
    tree: f64,
    store: f64,
}

impl Parts {
    fn allowed(&self) -> f64 {
        let in_turn = self.tree + self.store;
        in_turn.max((self.signatures + self.rows + in_turn) / CORES as f64)
    }
}

fn specification_of(folder: &Path) -> Result<Arc<Specification>, Failure> {
    Ok(Arc::new(Specification::parse(&std::fs::read_to_string(folder.join("chain.toml"))?)?))
}

fn make_chain(folder: &Path, blocks: u64, transfers: usize) -> Result<(), Failure> {
    let setup = Setup { parameters: Parameters::local(), wallets: 64, keep: Some(8), ..Setup::default() };
    let mut fabric = Fabric::new(&setup);
    std::fs::write(folder.join("chain.toml"), fabric.specification.to_toml())?;
    let mut file = BufWriter::new(File::create(folder.join("chain"))?);
    let mut tip = fabric.genesis_id();
    for _ in 0..blocks {
        tip = *fabric.chain(&tip, 1, transfers).last().expect("one block");
        let bytes = borsh::to_vec(fabric.block(&tip))?;
        file.write_all(&(bytes.len() as u32).to_le_bytes())?;
        file.write_all(&bytes)?;
    }
    Ok(file.flush()?)
}

fn read_chain(folder: &Path) -> Result<impl Iterator<Item = Result<Block, StoreError>>, Failure> {
    let mut file = BufReader::new(File::open(folder.join("chain"))?);
    Ok(std::iter::from_fn(move || {
        let mut length = [0; 4];
        file.read_exact(&mut length).ok()?;
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        file.read_exact(&mut bytes).ok()?;
        Some(Ok(decode("block", &bytes, bytes.len()).expect("it was written a moment ago")))
    }))
}

fn open_rocks(folder: &Path) -> Result<RocksDatabase, Failure> {
    Ok(RocksDatabase::open(folder, RocksOptions { create: true, sync: false })?)
}

fn import(folder: &Path) -> Result<(), Failure> {
    let database = Arc::new(open_rocks(&folder.join("imported"))?);
    let mut manager = ChainManager::open(specification_of(folder)?, database, [1; 32], Options::default())?;
    let (begin, cpu) = (Instant::now(), cpu_seconds());
    let report = manager.import(read_chain(folder)?, NOW_MS, |_| true)?;
    let (seconds, cpu_seconds) = (begin.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    if manager.tip().height.0 != report.connected {
        return Err(format!("{} of {} blocks were taken", manager.tip().height, report.connected).into());
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    let peak_bytes = peak.unwrap_or(0u64) << 10;
    println!("{}", serde_json::to_string(&Imported { seconds, cpu_seconds, peak_bytes })?);
    Ok(())
}

/// Notes down what is written.
struct Recorder {
    inner: MemoryDatabase,
    batches: Mutex<Vec<Batch>>,
}

impl Database for Recorder {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.inner.get(column, key)
    }

    fn first_from(&self, column: Column, from: &[u8]) -> Result<Option<Entry>, DatabaseError> {
        self.inner.first_from(column, from)
    }

    fn last_until(&self, column: Column, until: &[u8]) -> Result<Option<Entry>, DatabaseError> {
        self.inner.last_until(column, until)
    }

    fn scan(&self, column: Column, from: &[u8], to: Option<&[u8]>, see: &mut Visit<'_>) -> Result<(), DatabaseError> {
        self.inner.scan(column, from, to, see)
    }

    fn write(&self, batch: Batch) -> Result<(), DatabaseError> {
        self.batches.lock().expect("nobody panics").push(batch.clone());
        self.inner.write(batch)
    }
}

/// Seconds that all threads of this process have run: what others do to the machine is not in it.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn timed<T>(spent: &mut f64, work: impl FnOnce() -> T) -> T {
    let begin = cpu_seconds();
    let result = work();
    *spent += cpu_seconds() - begin;
    result
}

/// Each part alone, on one core, over the same blocks.
fn parts(folder: &Path) -> Result<Parts, Failure> {
    let recorder = Arc::new(Recorder { inner: MemoryDatabase::new(), batches: Mutex::default() });
    let specification = specification_of(folder)?;
    let mut manager = ChainManager::open(specification, recorder.clone(), [1; 32], Options::default())?;
    let rocks = open_rocks(&folder.join("alone"))?;
    let one = ThreadPoolBuilder::new().num_threads(1).build()?;
    let (mut parts, mut both) = (Parts::default(), 0.0);
    let mut blocks = read_chain(folder)?;
    loop {
        let piece: Vec<Block> = blocks.by_ref().take(32).collect::<Result<_, _>>()?;
        if piece.is_empty() {
            break;
        }
        let candidates: Vec<Candidate> = manager.admit(piece, NOW_MS)?.candidates;
        // Rows alone come first, in a memo of their own, so that the verifier's has not seen them.
        let memo = spacetime_node::chain::rows::RowMemo::new(manager.parameters().shape());
        let requests: Vec<_> = candidates.iter().map(|candidate| candidate.checked.request).collect();
        one.install(|| timed(&mut parts.rows, || memo.cells(&requests)));
        let verifier = manager.verifier().clone();
        let results = one.install(|| timed(&mut both, || verify(&verifier, &candidates)));
        manager.apply(candidates.into_iter().zip(results))?;
        for batch in std::mem::take(&mut *recorder.batches.lock().expect("nobody panics")) {
            tree_alone(&rocks, &batch, &mut parts.tree)?;
            timed(&mut parts.store, || rocks.write(batch))?;
        }
    }
    parts.signatures = both - parts.rows;
    Ok(parts)
}

/// Commits again what a block changed, over the nodes of the blocks before it.
fn tree_alone(rocks: &RocksDatabase, batch: &Batch, spent: &mut f64) -> Result<(), Failure> {
    let mut version = None;
    let mut changes = Vec::new();
    for operation in &batch.0 {
        if let Operation::Put(Column::State | Column::Registry, key, value) = operation {
            let (key, inverted) = key.split_last_chunk().ok_or("a key has a version")?;
            version = Some(!u64::from_be_bytes(*inverted));
            let key = StateKey::parse(key).ok_or("a key is one of the state")?;
            changes.push((key.hash(), (value[0] == 1).then(|| value[1..].to_vec())));
        }
    }
    let Some(version) = version else { return Ok(()) };
    timed(spent, || commit(&StoredNodes(rocks), version.checked_sub(1), changes))?;
    Ok(())
}

/// Headers with proofs at the main parameters, against growing their rows alone.
fn main_headers() -> Result<f64, Failure> {
    let parameters = Parameters { min_rows: 16, ..Parameters::main() };
    let setup = Setup { parameters, base: Target([0x3f; 32]), plots: 8, keep: Some(4), ..Setup::default() };
    let mut fabric = Fabric::new(&setup);
    let ids = fabric.chain(&fabric.genesis_id(), MAIN_HEADERS, 0);
    let shape = fabric.parameters().shape();
    let pool = ThreadPoolBuilder::new().num_threads(CORES).build()?;
    let (mut ratios, mut best) = (Vec::new(), (Duration::MAX, Duration::MAX));
    for _ in 0..3 {
        let verifier = fabric.verifier();
        let begin = Instant::now();
        let mut parent = fabric.genesis.lineage.clone();
        let mut checked = Vec::new();
        for id in &ids {
            let Block { header, proof, .. } = fabric.block(id);
            let genesis = &fabric.genesis.lineage;
            let found = check_header(&fabric.engine, fabric.parameters(), genesis, &parent, header, proof, None)?;
            parent = found.lineage.clone();
            checked.push(found);
        }
        let checks: Vec<_> = ids
            .iter()
            .zip(&checked)
            .map(|(id, checked)| {
                let Block { header, proof, .. } = fabric.block(id);
                HeaderCheck { header, leaf: proof.leaf, checked }
            })
            .collect();
        for result in pool.install(|| verifier.headers(&checks)) {
            result?;
        }
        let whole = begin.elapsed();

        let requests: Vec<_> = checked.iter().map(|checked| checked.request).collect();
        let backend = Backend::fastest();
        let begin = Instant::now();
        pool.install(|| {
            use rayon::prelude::*;
            requests.par_chunks(backend.lanes()).for_each(|requests| {
                let mut cells = vec![[0; 32]; requests.len()];
                Grower::new(backend, shape).grow_cells(requests, &mut cells);
            });
        });
        let alone = begin.elapsed();
        ratios.push(alone.as_secs_f64() / whole.as_secs_f64());
        best = (best.0.min(whole), best.1.min(alone));
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "headers with proofs at p = 13, R = 31: {:.0}/s, rows alone {:.0}/s, ratio {:.2}",
        MAIN_HEADERS as f64 / best.0.as_secs_f64(),
        MAIN_HEADERS as f64 / best.1.as_secs_f64(),
        ratios[1]
    );
    Ok(ratios[1])
}
