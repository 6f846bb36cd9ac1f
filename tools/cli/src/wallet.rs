//! `spacetime wallet`: money, by way of a node.

mod balance;
mod client;
mod history;
mod owner;
mod register;
mod send;
mod sign;
mod wait;

use clap::Subcommand;

use crate::Failure;

/// The verbs of `spacetime wallet`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Prints the address of an account's key.
    Address(owner::AddressVerb),
    /// Prints what an account has.
    Balance(balance::Balance),
    /// Sends money.
    Send(send::Send),
    /// Prints what happened to an account, the latest first.
    History(history::History),
    /// Registers plots, paid by an account. The miner brings them to life.
    Register(register::Register),
}

/// Does what a verb says.
///
/// # Errors
/// Whatever went wrong, with its exit code.
pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Address(address) => address.run(),
        Verb::Balance(balance) => balance.run(),
        Verb::Send(send) => send.run(),
        Verb::History(history) => history.run(),
        Verb::Register(register) => register.run(),
    }
}
