//! Who takes part: miners with their keys and plots, and accounts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use blst::min_pk;
use spacetime_node::chain::{Address, MinerKey, ed25519};
use spacetime_node::consensus::Parameters;
use spacetime_plotter::Control;
use zeroize::Zeroizing;

use super::plots::{self, Grown};
use crate::Failure;
use crate::keys::account::AccountSecret;
use crate::keys::store::Kind;
use crate::keys::{account, store};

/// Plots of each miner that stand in genesis, and their rows: 8 MiB each on the local chain.
const PLOTS: usize = 2;
const ROWS: u64 = 4096;
/// Rows of the plot that each miner brings to life by itself.
const NEW_ROWS: u64 = 2048;

/// The keystore of a miner's account, in its folder.
const ACCOUNT: &str = "account.json";

/// An account whose secret this process knows, and whoever finds its keystore.
pub(super) struct Account {
    secret: AccountSecret,
    /// Its address.
    pub(super) address: Address,
}

/// A miner, as it is made.
#[derive(Debug)]
pub(super) struct Miner {
    /// Its name, which is its folder's too.
    pub(super) name: String,
    /// Its keystore.
    pub(super) keystore: PathBuf,
    /// Its folder of plots.
    pub(super) plots: PathBuf,
    /// What it keeps for itself.
    pub(super) data: PathBuf,
    /// Its public key.
    pub(super) key: MinerKey,
    /// Where its blocks pay to.
    pub(super) payout: Address,
    /// Its plots that stand in genesis.
    pub(super) genesis_plots: Vec<Grown>,
}

impl Account {
    /// Makes one, whose keystore is `path`: for `spacetime wallet`, while the network runs.
    ///
    /// # Errors
    /// If the system gives no random bytes, or the file cannot be written.
    pub(super) fn make(path: &Path) -> Result<Self, Failure> {
        let secret = account::Account::secret(&*random()?).map_err(Failure::failed)?;
        let key = store::write::<account::Account, 32>(path, &secret, None, false)?;
        Ok(Self { secret, address: key.0.address() })
    }

    /// What it signs with.
    pub(super) fn key(&self) -> &ed25519::SecretKey {
        self.secret.key()
    }
}

impl Miner {
    /// Makes keys and plots of the miner `name` in `folder`, which is there and empty. The keystore has no passphrase:
    /// nothing on this chain is worth one.
    ///
    /// # Errors
    /// If something cannot be made; with code 130 if `control` was stopped.
    pub(super) fn make(name: &str, folder: &Path, parameters: &Parameters, control: &Control) -> Result<Self, Failure> {
        let folder_named = |name: &str| {
            let path = folder.join(name);
            fs::create_dir(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
            Ok::<_, Failure>(path)
        };
        let (plots, data) = (folder_named("plots")?, folder_named("data")?);
        let keystore = folder.join("miner.json");
        let secret = min_pk::SecretKey::key_gen(&*random()?, &[])
            .map_err(|error| Failure::failed(format!("cannot make a key: {error:?}")))?;
        let key = MinerKey(store::write::<store::Miner, 48>(&keystore, &secret, None, false)?.bytes());
        let grow = |name: String, rows| plots::grow(parameters, key, rows, &plots.join(name), control);
        let genesis_plots = (1..=PLOTS).map(|number| grow(format!("genesis-{number}.plot"), ROWS));
        let genesis_plots = genesis_plots.collect::<Result<_, _>>()?;
        grow("new.plot".to_owned(), NEW_ROWS)?;
        let payout = Account::make(&folder.join(ACCOUNT))?.address;
        Ok(Self { name: name.to_owned(), keystore, plots, data, key, payout, genesis_plots })
    }
}

fn random() -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).context("the system gives no random bytes")?;
    Ok(bytes)
}
