//! One participant against a hand that plays its peers, in time that the tests turn.

mod blocks;
mod gossip;
mod hand;
mod operate;
mod questions;
