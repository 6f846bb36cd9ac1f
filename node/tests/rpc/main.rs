//! HTTP, from the outside: every call, good and bad, and what guards them.

#![cfg(feature = "service")]

mod accounts;
mod admin;
mod client;
mod fake;
mod guards;
mod mining;
mod objects;
mod state;
