//! Mining: which columns are swept when, which proofs are submitted, and what is signed.
//!
//! * [`work`] is what a node tells its miners, in this process or another, and what they answer.
//! * [`Miner`] decides: pure, it has no clock, no disk and no socket. What goes in and comes out stands in [`io`].
//! * [`farm`] is what it needs of plots: on disks, or in memory for tests.
//! * [`record`] remembers what was signed, so that no epoch is signed twice.
//! * [`window`] is the one line that every epoch leaves.
//! * [`run()`] has it at work with threads, a clock, [`DiskField`] and a [`Link`] to a node.

mod disks;
pub mod farm;
pub mod io;
mod machine;
pub mod pause;
pub mod record;
mod run;
pub mod window;
pub mod work;

pub use disks::DiskField;
pub use io::{MinerEffect, MinerInput};
pub use machine::{Miner, MinerOptions, PlotView, Registration};
pub use run::{Link, News, PlotStatus, RunError, RunOptions, Stop, run};
