//! Plots of the miners, on disk.

use std::path::{Path, PathBuf};

use anyhow::Context;
use spacetime_kernels::Backend;
use spacetime_node::chain::MinerKey;
use spacetime_node::consensus::Parameters;
use spacetime_plotter::{Control, Cpu, CreateOptions, PlotParams, create};

use super::interrupted;
use crate::Failure;
use crate::plot::create_failure;

/// Memory for growing: the plots have a few megabytes each.
const MEMORY: u64 = 64 << 20;

/// A plot that was grown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grown {
    /// Its file.
    pub(super) path: PathBuf,
    /// Its seed.
    pub(super) seed: [u8; 32],
    /// Its rows.
    pub(super) rows: u64,
    /// Its root.
    pub(super) root: [u8; 32],
}

/// Grows a plot of `rows` rows, from a random seed, for a chain of these parameters.
///
/// # Errors
/// If it cannot be made; with code 130 if `control` was stopped.
pub(super) fn grow(
    parameters: &Parameters,
    miner_key: MinerKey,
    rows: u64,
    path: &Path,
    control: &Control,
) -> Result<Grown, Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).context("the system gives no random bytes")?;
    let params = PlotParams {
        miner_key: miner_key.0,
        seed,
        network: parameters.network_tag().0,
        shape: parameters.shape(),
        rows,
        rows_per_segment: None,
        first_row: None,
    };
    let options = CreateOptions {
        engine: &Cpu(Backend::fastest()),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        growers: &[],
        cpu_grows: true,
        memory: Some(MEMORY),
        force: false,
        preallocate: true,
        control,
        events: &|_| (),
    };
    let created = create(&params, path, &options).map_err(|error| match error.is_stopped() {
        // Nobody goes on with this one.
        true => interrupted(),
        false => create_failure(&error),
    })?;
    Ok(Grown { path: created.path, seed, rows, root: created.header.root })
}
