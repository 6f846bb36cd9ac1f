//! What Spacetime measures of itself.
//!
//! * [`cpu`]: every hash job on every backend, beside the crate `hashtree-rs`;
//!   behind `spacetime bench cpu` and the bench `held`.
//! * [`disk`]: writes and reads of a file that lies as a plot does; behind
//!   `spacetime bench disk`.
//! * [`farm`]: challenge windows rehearsed on real plots; behind `spacetime
//!   bench farm`.
//! * [`chart`]: what was measured as bars.
//! * [`workload`]: the hash jobs themselves, which the criterion benches share.
//! * [`stats`] has percentiles and medians.
//!
//! Nothing here prints. Numbers and the machines they were seen on: `RESULTS.md`.

#![forbid(unsafe_code)]

pub mod chart;
pub mod cpu;
pub mod disk;
pub mod farm;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod stats;
pub mod workload;

mod platform;
