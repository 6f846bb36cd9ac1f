//! The GPU engine, on wgpu: growing, hashing and scoring on every adapter that
//! runs Vulkan, Metal or DirectX 12.
//!
//! * [`adapters`] finds what there is; [`Adapter::open`] starts one, and
//!   refuses it if it does not compute what the CPU computes.
//! * [`GpuGrower`] grows rows in flight on one and hands out finished strips and roots.
//! * [`GpuScorer`] scores strips.
//! * [`Meter`] measures what an adapter can do at best.
//!
//! wgpu's own checks, of indices and loops within shaders and of every call, stay on:
//! `Checks` in benches/RESULTS.md has what they cost.

mod adapter;
mod device;
mod flight;
mod gather;
mod grower;
mod handover;
mod memory;
mod meter;
mod pace;
mod pipeline;
mod scorer;
mod self_test;
mod session;

pub use adapter::{Adapter, AdapterKind, GpuError, OpenOptions, Rewrite, adapters};
pub use device::Plug;
pub use grower::GpuGrower;
pub use meter::{Meter, Rate};
pub use scorer::GpuScorer;
pub use self_test::SelfTestError;
pub use spacetime_shaders::Shader;
