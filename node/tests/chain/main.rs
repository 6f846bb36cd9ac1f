//! The chain manager against trees of blocks: any order, any fault.

mod accounts;
mod common;
mod delivery;
mod faults;
mod headers;
mod reorganisations;
mod steps;
mod tricks;
