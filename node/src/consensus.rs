//! Whose turn it is, how hard it is to win, and what it pays: pure (PROTOCOL §7, §8, §11).

pub mod beacon;
pub mod check;
mod difficulty;
mod emission;
mod engine;
mod fork_choice;
pub mod parameters;
pub mod specification;
mod weight;
mod wide;

pub use beacon::{Beacon, Group, epoch_of, reveal_message};
pub use check::ParameterError;
pub use difficulty::{Difficulty, MAX_SHIFT, log2_q32, retarget};
pub use engine::{Claim, Engine, Lineage, SpaceTime};
pub use fork_choice::{TipView, could_outweigh, prefer, too_deep};
pub use parameters::{Emission, Fees, Goal, Parameters, Schedule};
pub use specification::{Checkpoint, Genesis, GenesisAccount, GenesisPlot, Specification, SpecificationError};
pub use weight::Weight;
