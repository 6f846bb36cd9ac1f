//! What Spacetime measures of itself.
//!
//! * [`cpu`]: every hash job on every backend, beside the crate `hashtree-rs`;
//!   behind `spacetime bench cpu` and the bench `held`.
//! * [`workload`]: the jobs themselves, which the criterion benches share.
//!
//! Numbers and the machines they were seen on: `RESULTS.md`.

#![forbid(unsafe_code)]

pub mod cpu;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod workload;
