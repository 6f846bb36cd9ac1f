//! GPU adapters, as `--backend` and its companions ask for them.

use std::sync::Mutex;

use spacetime_kernels::gpu::{Adapter, GpuError, OpenOptions, adapters};
use spacetime_kernels::{BulkGrower, BulkScorer, Shape};
use spacetime_plotter::SharedGrower;
use spacetime_prover::farm::Scorers;
use tracing::{info, warn};

use crate::Failure;
use crate::args::{Engines, GpuEngines};

/// Growers that work on one plot at a time, together.
pub(crate) type Growers = Vec<SharedGrower>;

/// Compressions below which `auto` leaves GPUs alone: a CPU has done them before a GPU has passed its self-test.
const SMALL_WORK: u64 = 1 << 30;

/// How adapters are used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// Bytes of memory for each adapter, if the user said.
    pub(crate) memory_bytes: Option<u64>,
    /// Devices opened on each.
    pub(crate) queues: u64,
    /// Plots that are made side by side, each with devices of its own.
    pub(crate) sets: u64,
}

/// The adapters that `engines` names: none is no failure where the CPU works too.
///
/// # Errors
/// If an adapter is named that there is not, or nothing is left to do the work.
pub(crate) fn chosen(engines: &Engines) -> Result<Vec<Adapter>, Failure> {
    let gpu = match engines {
        Engines::Auto => return Ok(of_use(adapters())),
        Engines::Named { gpu: None, .. } => return Ok(Vec::new()),
        Engines::Named { gpu: Some(gpu), .. } => gpu,
    };
    let found = adapters();
    match gpu {
        GpuEngines::Only(numbers) => numbers.iter().map(|number| numbered(&found, *number)).collect(),
        GpuEngines::All if found.is_empty() && engines.cpu_grows() => {
            warn!("no GPU adapter found: the CPU works alone");
            Ok(found)
        }
        GpuEngines::All if found.is_empty() => Err(Failure::failed(
            "--backend gpu: no GPU adapter found (is a Vulkan driver installed?); --backend gpu+cpu goes on without",
        )),
        GpuEngines::All => Ok(best_of(found)),
    }
}

/// Those that are no software; without any, says so.
fn of_use(mut found: Vec<Adapter>) -> Vec<Adapter> {
    let software: Vec<String> = found.extract_if(.., |adapter| adapter.is_software()).map(|one| one.name()).collect();
    match (found.as_slice(), software.as_slice()) {
        ([], []) => warn!("no GPU adapter found: the CPU works alone"),
        ([], names) => warn!("no GPU adapter but software, {}: the CPU works alone", names.join(", ")),
        _ => (),
    }
    found
}

/// Those that are no software, or if there are no others, those that are.
fn best_of(mut found: Vec<Adapter>) -> Vec<Adapter> {
    if found.iter().all(Adapter::is_software) {
        for adapter in &found {
            warn!("{} is software, slower than the CPU's own backends; there is no other adapter", adapter.name());
        }
    } else {
        found.retain(|adapter| !adapter.is_software());
    }
    found
}

fn numbered(found: &[Adapter], number: usize) -> Result<Adapter, Failure> {
    let names: Vec<String> = found.iter().map(Adapter::name).collect();
    found.get(number).cloned().ok_or_else(|| {
        let known =
            if names.is_empty() { "there are none".to_owned() } else { format!("there are {}", names.join(", ")) };
        Failure::usage(format!("--backend gpu:{number}: no such adapter; {known}"))
    })
}

/// Opens the adapters that shall grow `rows` rows of `shape`, as often as `usage` says.
///
/// # Errors
/// As [`chosen`]; and if one fails and nothing is left to do the work.
pub(crate) fn growers(engines: &Engines, shape: Shape, rows: u64, usage: Use) -> Result<Vec<Growers>, Failure> {
    let mut sets: Vec<Growers> = (0..usage.sets).map(|_| Growers::new()).collect();
    if *engines == Engines::Auto && rows.saturating_mul(shape.compressions_per_row()) < SMALL_WORK {
        return Ok(sets);
    }
    let adapters = chosen(engines)?;
    let mut last = None;
    for adapter in &adapters {
        if let Err(error) = open(adapter, shape, usage, &mut sets) {
            match error {
                error if adapters.len() == 1 && !engines.cpu_grows() => return Err(failure(&error)),
                error => warn!("{error}: going on without it"),
            }
            last = Some(adapter.name());
        }
    }
    match last {
        Some(_) if sets.iter().any(Vec::is_empty) && !engines.cpu_grows() => {
            Err(Failure::failed("no GPU adapter is left; --backend gpu+cpu goes on without"))
        }
        _ => Ok(sets),
    }
}

/// Opens one adapter for every set, or for none.
fn open(adapter: &Adapter, shape: Shape, usage: Use, sets: &mut [Growers]) -> Result<(), GpuError> {
    let memory_bytes = usage.memory_bytes.unwrap_or_else(|| adapter.default_memory_bytes());
    let share = memory_bytes / usage.sets / usage.queues;
    let options = OpenOptions { memory_bytes: Some(share), ..OpenOptions::default() };
    let mut opened: Vec<Box<dyn BulkGrower>> = Vec::new();
    for _ in 0..usage.sets * usage.queues {
        opened.push(Box::new(adapter.open(shape, &options)?));
    }
    info!(
        adapter = adapter.name(),
        driver = adapter.driver(),
        rows_in_flight = opened[0].rows_in_flight(),
        "GPU opened"
    );
    for (place, grower) in opened.into_iter().enumerate() {
        sets[place % usage.sets as usize].push(Mutex::new(grower));
    }
    Ok(())
}

/// An adapter's failure as the program's: asking for what it cannot have is wrong usage.
pub(crate) fn failure(error: &GpuError) -> Failure {
    match error {
        GpuError::SmallMemory { .. } => Failure::usage(format!("--gpu-memory: {error}")),
        _ => Failure::failed(error),
    }
}

/// Adapters that score beside the CPU, if `engines` names any: `auto` does not, as one search
/// is over before an adapter has passed its self-test.
///
/// # Errors
/// As [`chosen`]; and if one fails.
pub(crate) fn scorers(engines: &Engines) -> Result<Scorers, Failure> {
    if *engines == Engines::Auto {
        return Ok(Scorers::default());
    }
    let mut opened: Vec<Box<dyn BulkScorer>> = Vec::new();
    for adapter in chosen(engines)? {
        match adapter.open_scorer(&OpenOptions::default()) {
            Ok(scorer) => opened.push(Box::new(scorer)),
            // Whatever an adapter does, the CPU scores too.
            Err(error) => warn!("{error}: going on without it"),
        }
    }
    Scorers::start(opened).map_err(Failure::failed)
}
