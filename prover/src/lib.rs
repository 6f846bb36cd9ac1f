//! Plots as they lie on disk, and what is made of them: Merkle paths, proofs
//! and their verification (docs/PROTOCOL.md, sections 3 to 5).
//!
//! * [`PlotHeader`] and [`Layout`] say what a plot file holds and where.
//! * [`Plot`] reads one and makes a [`Proof`] of a leaf.
//! * [`check`], [`verify`] and [`verify_batch`] judge proofs, cheapest rule
//!   first. They need no disk and no thread pool.
//! * [`farm::Farm`] keeps many plots open, searches them together and proves what it found.

pub mod farm;
mod header;
mod hex;
mod layout;
mod platform;
mod plot;
mod proof;
pub mod tree;
mod verify;

pub use farm::{Farm, FarmOptions, SearchOptions, SearchReport, Strategy};
pub use header::{HEADER_BYTES, HeaderError, PlotHeader, PlotState};
pub use layout::{Layout, LayoutError, Strip};
pub use platform::{DIRECT_ALIGNMENT, forget, open_direct, read_direct, read_exact_at, read_passing_by, write_all_at};
pub use plot::{Plot, PlotError};
pub use proof::{MAX_SIBLINGS, Proof, ProofRecord};
pub use verify::{Expected, VerifyError, check, verify, verify_batch};
