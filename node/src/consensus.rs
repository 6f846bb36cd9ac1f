//! Whose turn it is, how hard it is to win, and what it pays: pure (PROTOCOL §7, §8, §11).

pub mod parameters;

pub use parameters::{Emission, Fees, Goal, Parameters, Schedule};
