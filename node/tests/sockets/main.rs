//! The network on real sockets of this machine: TCP and QUIC, questions, gossip, limits, bans, and peers that do not
//! keep to anything. Whatever is waited for comes, or the test fails after a minute.

#![cfg(feature = "service")]

mod common;
mod doors;
mod finding;
mod rogue;
mod talk;
