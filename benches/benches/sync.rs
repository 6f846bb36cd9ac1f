//! Catching up with a chain of near-empty blocks from peers, against importing the same blocks from a file:
//! `cargo bench -p spacetime-benches --features node --bench sync`.
//!
//! Both go into RocksDB at the local chain's parameters, in turns. One thread runs sync and the chain manager, another
//! verifies, as in a node; a third one answers as several peers do, out of a store in RocksDB. What goes between them is
//! encoded and decoded. The folder SPACETIME_BENCH_DIR (default: the temporary one) takes some ten megabytes.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use spacetime_node::chain::rules::{BlockError, HeaderError};
use spacetime_node::chain::{Block, decode, verify::Verifier};
use spacetime_node::consensus::{Parameters, Specification};
use spacetime_node::manager::{Candidate, ChainManager, Options, verify};
use spacetime_node::network::PeerId;
use spacetime_node::network::message::{
    CAPABLE_ARCHIVE, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Request, Response, Tip,
};
use spacetime_node::participant::{RequestId, RequestIds};
use spacetime_node::store::rocks::{RocksDatabase, RocksOptions};
use spacetime_node::store::{Store, StoreError};
use spacetime_node::sync::{HeaderBatch, Sync, SyncEffect, SyncOptions, serve};
use spacetime_node::testing::{Fabric, Setup};

/// Blocks of the chain.
const BLOCKS: u64 = 1_000;
/// Peers that serve it.
const PEERS: u8 = 4;
/// Turns of each; the median counts.
const TURNS: usize = 5;
/// What syncing must reach, in blocks a second and of what importing does.
const RATE_GOAL: f64 = 300.0;
const RATIO_GOAL: f64 = 0.7;
/// Long after every block.
const NOW_MS: u64 = 4_000_000_000_000;

type Failure = Box<dyn Error>;

fn main() -> Result<ExitCode, Failure> {
    let folder = std::env::var_os("SPACETIME_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let blocks = std::env::var("SPACETIME_BENCH_BLOCKS").ok().map_or(Ok(BLOCKS), |text| text.parse())?;
    let folder = tempfile::tempdir_in(&folder)?;
    let specification = make_chain(folder.path(), blocks)?;
    let served = open_rocks(&folder.path().join("served"))?;
    let mut source = ChainManager::open(specification.clone(), Arc::new(served), [1; 32], Options::default())?;
    source.import(read_chain(folder.path())?, NOW_MS, |_| true)?;

    println!("{blocks} near-empty blocks at p = 6, R = 5; blocks a second");
    println!("{:>8} {:>8} {:>6}", "import", "sync", "ratio");
    let mut rates = Vec::new();
    for turn in 0..TURNS {
        let import = import(&specification, folder.path(), &folder.path().join(format!("imported{turn}")))?;
        let sync = synchronise(&specification, &source, &folder.path().join(format!("synced{turn}")))?;
        let (import, sync) = (blocks as f64 / import.as_secs_f64(), blocks as f64 / sync.as_secs_f64());
        println!("{import:>8.0} {sync:>8.0} {:>6.2}", sync / import);
        rates.push((sync / import, sync));
    }
    rates.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (ratio, rate) = rates[TURNS / 2];
    let held = ratio >= RATIO_GOAL && rate >= RATE_GOAL;
    println!(
        "median ratio {ratio:.2} at {rate:.0} blocks/s, goal {RATIO_GOAL} and {RATE_GOAL}: {}",
        if held { "PASS" } else { "FAIL" }
    );
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn open_rocks(folder: &Path) -> Result<RocksDatabase, Failure> {
    Ok(RocksDatabase::open(folder, RocksOptions { create: true, sync: false })?)
}

fn make_chain(folder: &Path, blocks: u64) -> Result<Arc<Specification>, Failure> {
    let setup = Setup { parameters: Parameters::local(), wallets: 64, keep: Some(8), ..Setup::default() };
    let mut fabric = Fabric::new(&setup);
    let mut file = BufWriter::new(File::create(folder.join("chain"))?);
    let mut tip = fabric.genesis_id();
    for _ in 0..blocks {
        tip = *fabric.chain(&tip, 1, 0).last().expect("one block");
        let bytes = borsh::to_vec(fabric.block(&tip))?;
        file.write_all(&(bytes.len() as u32).to_le_bytes())?;
        file.write_all(&bytes)?;
    }
    file.flush()?;
    Ok(Arc::new(fabric.specification.clone()))
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

fn import(specification: &Arc<Specification>, folder: &Path, into: &Path) -> Result<Duration, Failure> {
    let database = Arc::new(open_rocks(into)?);
    let mut manager = ChainManager::open(specification.clone(), database, [2; 32], Options::default())?;
    let begin = Instant::now();
    manager.import(read_chain(folder)?, NOW_MS, |_| true)?;
    Ok(begin.elapsed())
}

/// What comes to the thread that syncs.
enum Input {
    Response(PeerId, RequestId, Vec<u8>),
    Headers(HeaderBatch, Vec<Result<(), HeaderError>>),
    Blocks(Vec<(Candidate, Result<(), BlockError>)>),
}

/// What goes to the thread that verifies.
enum Work {
    Headers(HeaderBatch),
    Blocks(Vec<Candidate>),
}

/// A question on its way to a peer.
type Asked = (PeerId, RequestId, Vec<u8>);

fn answer(store: &Store<RocksDatabase>, asked: &Receiver<Asked>, inputs: &Sender<Input>) -> Result<(), StoreError> {
    for (peer, id, bytes) in asked {
        let response = match decode::<Request>("request", &bytes, MAX_REQUEST_BYTES) {
            Ok(Request::Headers(wanted)) => serve::headers(store, &wanted)?,
            Ok(Request::Blocks(ids)) => serve::blocks(store, &ids)?,
            _ => Response::Refused,
        };
        let bytes = borsh::to_vec(&response).expect("writing to memory does not fail");
        if inputs.send(Input::Response(peer, id, bytes)).is_err() {
            break;
        }
    }
    Ok(())
}

fn work(verifier: &Verifier, works: &Receiver<Work>, inputs: &Sender<Input>) {
    for work in works {
        let done = match work {
            Work::Headers(batch) => {
                let results = batch.verify(verifier);
                Input::Headers(batch, results)
            }
            Work::Blocks(candidates) => {
                let results = verify(verifier, &candidates);
                Input::Blocks(candidates.into_iter().zip(results).collect())
            }
        };
        if inputs.send(done).is_err() {
            break;
        }
    }
}

fn synchronise(
    specification: &Arc<Specification>,
    source: &ChainManager<RocksDatabase>,
    into: &Path,
) -> Result<Duration, Failure> {
    let database = Arc::new(open_rocks(into)?);
    let mut manager = ChainManager::open(specification.clone(), database, [3; 32], Options::default())?;
    let verifier = manager.verifier().clone();
    let (inputs_in, inputs) = channel();
    let (works, works_out) = channel();
    let (asked, asked_out) = channel();
    let (store, target) = (source.store().clone(), Tip::from(source.tip()));
    let begin = Instant::now();
    thread::scope(|scope| -> Result<(), Failure> {
        let answers = inputs_in.clone();
        scope.spawn(move || answer(&store, &asked_out, &answers).expect("the store can be read"));
        scope.spawn(move || work(&verifier, &works_out, &inputs_in));
        let result = follow(&mut manager, target, &inputs, &works, &asked, begin);
        // The others end when nobody asks any more.
        drop((works, asked));
        result
    })?;
    Ok(begin.elapsed())
}

fn follow(
    manager: &mut ChainManager<RocksDatabase>,
    target: Tip,
    inputs: &Receiver<Input>,
    works: &Sender<Work>,
    asked: &Sender<Asked>,
    begin: Instant,
) -> Result<(), Failure> {
    let mut sync = Sync::new(SyncOptions { compare_ms: 0 });
    let mut ids = RequestIds::default();
    for number in 0..PEERS {
        sync.peer_ready(PeerId([number; 32]), target, CAPABLE_ARCHIVE);
    }
    let mut blocks = Vec::new();
    while manager.tip().id != target.id {
        let now_ms = NOW_MS + begin.elapsed().as_millis() as u64;
        if !blocks.is_empty() {
            let admission = manager.admit(std::mem::take(&mut blocks), now_ms)?;
            admission.verdicts.iter().for_each(|(id, verdict)| sync.judged(id, verdict));
            if !admission.candidates.is_empty() {
                works.send(Work::Blocks(admission.candidates))?;
            }
        }
        let effects = sync.poll(manager, &mut ids, now_ms)?;
        let idle = effects.is_empty();
        for effect in effects {
            match effect {
                SyncEffect::Request { peer, id, request, .. } => asked.send((peer, id, borsh::to_vec(&request)?))?,
                SyncEffect::VerifyHeaders(batch) => works.send(Work::Headers(batch))?,
                SyncEffect::Blocks(handed) => blocks.extend(handed.into_iter().map(|(_, block)| block)),
                other => return Err(format!("nobody did anything wrong: {other:?}").into()),
            }
        }
        if !idle {
            continue;
        }
        let input = match inputs.recv_timeout(Duration::from_millis(100)) {
            Ok(input) => input,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Err("the other threads have ended".into()),
        };
        let now_ms = NOW_MS + begin.elapsed().as_millis() as u64;
        match input {
            Input::Response(peer, id, bytes) => {
                let response = decode::<Response>("response", &bytes, MAX_RESPONSE_BYTES)?;
                sync.response(&peer, id, Ok(response), now_ms);
            }
            Input::Headers(batch, results) => sync.headers_verified(&batch, results),
            Input::Blocks(verified) => {
                let outcome = manager.apply(verified)?;
                outcome.verdicts.iter().for_each(|(id, verdict)| sync.judged(id, verdict));
            }
        }
    }
    Ok(())
}
