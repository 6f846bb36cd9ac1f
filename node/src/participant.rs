//! One participant of the network: chain, pool, sync, rounds of proposals and peers, without a clock, a socket or a
//! thread. What happens comes in as [`Input`], what is to be done goes out as [`Effect`]: the program drives it by
//! sockets and the clock, tests by a seed.

mod io;

pub use io::{Effect, Input, Refused, RequestFailure, RequestId, RequestIds, Ticket, Verdict};
