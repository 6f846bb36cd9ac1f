//! Catching up: headers first with proofs checked in batches, then bodies from many peers at once. A state machine
//! without sockets, clock or threads.

use crate::chain::rules::CheckedHeader;
use crate::network::message::ProvedHeader;

/// Headers whose cheap rules hold, one on another, on their way to have their signatures and rows checked.
#[derive(Clone, Debug)]
pub struct HeaderBatch {
    /// Names the batch.
    pub number: u64,
    /// The headers, and what is left to be checked of each.
    pub headers: Vec<(ProvedHeader, CheckedHeader)>,
}
