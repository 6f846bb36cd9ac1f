//! What can be wrong with a configuration.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use super::layers::MAX_FILE_BYTES;
use crate::network::address::AddressError;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is longer than any.
    #[error("configuration file {}: longer than {MAX_FILE_BYTES} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is no TOML, or has a key that there is not, or a value of another kind.
    #[error("configuration file {}: line {line}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there, with the key's name.
        reason: String,
    },
    /// A variable has a value of another kind.
    #[error("{variable}: {reason}")]
    Variable {
        /// Its name.
        variable: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A flag has a value of another kind.
    #[error("{setting}: {reason}")]
    Value {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// One source names two chains.
    #[error("{source_name}: network and chain name two chains; one of them is enough")]
    TwoChains {
        /// Which source.
        source_name: String,
    },
    /// A number is out of its range.
    #[error("{setting} is {found}, allowed are {least} to {most}")]
    Range {
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: u64,
        /// The least.
        least: u64,
        /// The greatest.
        most: u64,
    },
    /// More peers are wanted than are allowed.
    #[error("{setting} is {found}, which is above peers.most, {most}")]
    AboveMost {
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: u32,
        /// The bound.
        most: u32,
    },
    /// A list is longer than any needs to be.
    #[error("{setting} has {found} entries, at most {most} are allowed")]
    TooMany {
        /// The setting.
        setting: &'static str,
        /// How many there are.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// No multiaddr.
    #[error("{setting}: \"{text}\": {reason}; one is written like /ip4/192.0.2.1/tcp/21210")]
    Multiaddr {
        /// The setting.
        setting: &'static str,
        /// What stands there.
        text: String,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// HTTP would be reached by other machines without a word that it should.
    #[error(
        "rpc.listen is {address}, which other machines reach, and HTTP is not encrypted: set rpc.public = true \
         (--rpc-public) if that is wanted"
    )]
    PublicRpc {
        /// Where it would be listened.
        address: SocketAddr,
    },
    /// There is nobody to pay.
    #[error("plots are to be mined with, but nobody to pay is named: set mine.payout (--payout ADDRESS)")]
    Payout,
    /// There is nothing to sign with.
    #[error("plots are to be mined with, but no keys are named: set mine.keys (--keys FILE)")]
    Keys,
    /// There is no folder to keep things in.
    #[error(
        "no folder to keep the chain in is named: give --data DIR, SPACETIME_DATA, or data in a configuration file"
    )]
    Data,
}
