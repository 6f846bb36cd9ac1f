//! A build without the GPU engine: there are no adapters, and reading `--backend` refuses to name any.

use spacetime_kernels::Shape;
use spacetime_plotter::SharedGrower;
use spacetime_prover::farm::Scorers;

use crate::Failure;
use crate::args::Engines;

/// Growers that work on one plot at a time, together.
pub(crate) type Growers = Vec<SharedGrower>;

/// How adapters would be used.
#[expect(dead_code, reason = "flags are read alike in every build")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) queues: u64,
    pub(crate) sets: u64,
}

/// None, for each of the sets.
pub(crate) fn growers(_: &Engines, _: Shape, _: u64, usage: Use) -> Result<Vec<Growers>, Failure> {
    Ok((0..usage.sets).map(|_| Growers::new()).collect())
}

/// None.
pub(crate) fn scorers(_: &Engines) -> Result<Scorers, Failure> {
    Ok(Scorers::default())
}
