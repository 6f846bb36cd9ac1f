//! Whose money: an account's key, or an address alone.

use std::path::{Path, PathBuf};

use clap::Args;
use spacetime_node::chain::{AccountKey, Address};

use super::client::{Node, NodeUrl};
use crate::keys::account::{Account, AccountSecret};
use crate::keys::passphrase::PassphraseFile;
use crate::keys::store;
use crate::node::chain::Network;
use crate::{Failure, out};

/// The key of the account that pays.
#[derive(Debug, Args)]
pub(super) struct Payer {
    /// The keystore of the account that pays (`spacetime keys new --kind account`).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseFile,
}

impl Payer {
    /// Where the passphrase comes from.
    pub(super) fn passphrase(&self) -> &PassphraseFile {
        &self.passphrase
    }

    /// The public key; takes no passphrase.
    pub(super) fn public(&self) -> Result<AccountKey, Failure> {
        public(&self.key)
    }

    /// The secret key.
    pub(super) fn open(&self) -> Result<AccountSecret, Failure> {
        store::read_kind::<Account, 32>(&self.key)?.open(|| self.passphrase.ask(&self.key))
    }
}

/// Whom a question is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Whom {
    /// An address.
    address: Option<String>,
    /// The keystore of an account's key; takes no passphrase.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Whom {
    /// The address, as the chain of `node` writes it.
    pub(super) fn address(&self, node: &Node) -> Result<(Address, String), Failure> {
        let hrp = node.head()?.hrp;
        let address = match (&self.address, &self.key) {
            (Some(text), _) => {
                Address::parse(text, &hrp).map_err(|error| Failure::usage(format!("{text}: {error}")))?
            }
            (None, Some(path)) => public(path)?.address(),
            (None, None) => return Err(Failure::usage("name an address, or a keystore with --key")),
        };
        Ok((address, address.encode(&hrp)))
    }
}

fn public(path: &Path) -> Result<AccountKey, Failure> {
    Ok(store::read_kind::<Account, 32>(path)?.public_key().0)
}

/// `spacetime wallet address`.
#[derive(Debug, Args)]
pub struct AddressVerb {
    /// The keystore of an account's key; takes no passphrase.
    file: PathBuf,
    /// The network whose addresses are written; without it, that of the node.
    #[arg(long, value_enum)]
    network: Option<Network>,
    #[command(flatten)]
    node: NodeUrl,
}

impl AddressVerb {
    pub(super) fn run(self) -> Result<(), Failure> {
        let address = public(&self.file)?.address();
        let hrp = match self.network {
            Some(network) => network.specification().parameters.hrp,
            None => self.node.connect().head()?.hrp,
        };
        out::line(address.encode(&hrp))
    }
}
