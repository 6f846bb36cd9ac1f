//! Some reads or writes in flight, for a while.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use spacetime_prover::farm::Buffer;

/// When a pass ends.
pub(crate) struct Limits<'a> {
    /// No block begins after this time …
    pub(crate) time: Duration,
    /// … except that so many are done in any case.
    pub(crate) least: u64,
    /// Ends it at once, without a result.
    pub(crate) stop: &'a AtomicBool,
}

/// What a pass did.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    /// How long each block took.
    pub(crate) times_ms: Vec<f64>,
    /// From the first block's begin to the last one's end.
    pub(crate) took: Duration,
}

impl Pass {
    pub(crate) fn bytes_per_second(&self, block_bytes: u64) -> f64 {
        (self.times_ms.len() as u64 * block_bytes) as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

/// Does `act` to blocks, `depth` at a time, in the order of their places as
/// `offset` says, until there are none, the time is up, or it was asked to
/// stop (`None`).
///
/// # Errors
/// The first that `act` returns.
pub(crate) fn run(
    depth: usize,
    block_bytes: u64,
    limits: &Limits<'_>,
    offset: impl Fn(u64) -> Option<u64> + Sync,
    act: impl Fn(&mut [u8], u64) -> io::Result<()> + Sync,
) -> io::Result<Option<Pass>> {
    let (next, failed) = (AtomicU64::new(0), Mutex::new(None));
    let buffers: Vec<Buffer> = (0..depth).map(|_| Buffer::new(block_bytes as usize)).collect();
    let began = Instant::now();
    let one = |mut buffer: Buffer| {
        let mut times_ms = Vec::new();
        while !limits.stop.load(Ordering::Relaxed) && failed.lock().expect("nobody panics with it").is_none() {
            // Before a place is taken: one that is taken is done, so that a file has no holes.
            if began.elapsed() >= limits.time && next.load(Ordering::Relaxed) >= limits.least {
                break;
            }
            let Some(offset_bytes) = offset(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let began = Instant::now();
            if let Err(error) = act(buffer.as_mut_slice(), offset_bytes) {
                *failed.lock().expect("nobody panics with it") = Some(error);
                break;
            }
            times_ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
        times_ms
    };
    let times_ms: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = buffers.into_iter().map(|buffer| scope.spawn(|| one(buffer))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic in it")).collect()
    });
    let took = began.elapsed();
    match failed.into_inner().expect("nobody panics with it") {
        Some(error) => Err(error),
        None if limits.stop.load(Ordering::Relaxed) => Ok(None),
        None => Ok(Some(Pass { times_ms, took })),
    }
}
