//! Mining: which columns are swept when, which proofs are submitted, and what is signed.
//!
//! * [`work`] is what a node tells its miners, in this process or another, and what they answer.

pub mod work;
