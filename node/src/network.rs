//! What peers say to each other, what they may cost, and which of them are kept.
//!
//! * [`message`] is the set of messages, each bounded before it is read.
//! * [`offence`] says what a peer pays for what it does wrong.
//!
//! All but the sockets is pure: a whole network runs inside one deterministic test.

pub mod message;
pub mod offence;
mod peer_id;

pub use peer_id::PeerId;
