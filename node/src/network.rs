//! What peers say to each other, what they may cost, and which of them are kept.
//!
//! * [`message`] is the set of messages, each bounded before it is read.
//! * [`offence`] says what a peer pays for what it does wrong.
//! * [`address`] reads where a peer is, and which addresses count as one.
//! * [`book`] remembers addresses, bans and penalties, also across restarts.
//! * [`peers`] decides who is dialled, kept, served and let go.
//! * `swarm`, with the feature `service`, is the sockets: libp2p.
//!
//! All but the sockets is pure: a whole network runs inside one deterministic test.

pub mod address;
pub mod book;
pub mod bucket;
#[cfg(feature = "service")]
pub mod identity;
mod lots;
pub mod message;
pub mod offence;
mod peer_id;
pub mod peers;
pub mod record;
pub mod score;
#[cfg(feature = "service")]
pub mod swarm;

pub use peer_id::PeerId;
