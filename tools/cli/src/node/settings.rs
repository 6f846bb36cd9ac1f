//! The flags that are settings, and the configuration that they and the other sources come to.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use spacetime_node::config::{Config, ConfigError, Kind, Layers, Setting, read_file};

use super::chain::Network;
use crate::{Code, Failure};

/// The file in a data directory that is read where no other is named.
const FILE: &str = "config.toml";

/// Settings. Each has a variable `SPACETIME_…` too, and a key in the configuration file; `spacetime node config` lists
/// them.
#[derive(Debug, Args)]
pub(super) struct Settings {
    /// The folder that all is kept in; made if there is none.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file; without it, config.toml in the data folder, if it is there.
    #[arg(long, value_name = "FILE", env = "SPACETIME_CONFIG")]
    config: Option<PathBuf>,
    /// The chain, where it is one that this program knows; main where none is named.
    #[arg(long, value_enum)]
    network: Option<Network>,
    /// The chain's specification, where it is another one.
    #[arg(long, value_name = "FILE", conflicts_with = "network")]
    chain: Option<PathBuf>,
    /// An address to listen on for other nodes, like /ip4/0.0.0.0/tcp/21210; several times for several.
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<String>,
    /// An address that others reach this node at, where it cannot see that itself.
    #[arg(long, value_name = "MULTIADDR")]
    external: Vec<String>,
    /// An address to dial where too few others are known; several times for several.
    #[arg(long, value_name = "MULTIADDR")]
    seed: Vec<String>,
    /// Where HTTP is listened.
    #[arg(long, value_name = "IP:PORT")]
    rpc: Option<String>,
    /// Lets other machines reach HTTP. It is not encrypted.
    #[arg(long)]
    rpc_public: bool,
    /// Mines with these plots, or folders of plots, in this process.
    #[arg(long, value_name = "PLOTS", num_args = 1..)]
    mine: Vec<PathBuf>,
    /// The keystores of the plots' miner keys.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    keys: Vec<PathBuf>,
    /// Reads the keystores' passphrase from this file.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The address that blocks pay to.
    #[arg(long, value_name = "ADDRESS")]
    payout: Option<String>,
    /// Sends registrations of plots that the chain does not know from the account in this keystore, which pays the least
    /// fee. Without it they are sent without a fee, of which blocks take few.
    #[arg(long, value_name = "FILE")]
    pay_fees: Option<PathBuf>,
    /// Holds up plotting while there is work: give the same file to `plot create --pause-file`.
    #[arg(long, value_name = "FILE")]
    pause_file: Option<PathBuf>,
    /// What scores, as for `spacetime miner`: auto, cpu, gpu, or both as gpu+cpu.
    #[arg(long, env = "SPACETIME_BACKEND", value_name = "BACKEND")]
    backend: Option<String>,
    /// Any setting, as peers.most=64; lists have commas.
    #[arg(long = "set", value_name = "SETTING=VALUE", value_parser = assignment)]
    set: Vec<(&'static Setting, String)>,
}

/// Reads `SETTING=VALUE`.
fn assignment(text: &str) -> Result<(&'static Setting, String), String> {
    let (path, value) = text.split_once('=').ok_or("expected SETTING=VALUE")?;
    let setting = Setting::named(path).ok_or_else(|| format!("there is no setting \"{path}\""))?;
    Ok((setting, value.to_owned()))
}

impl Settings {
    /// What file, environment and flags come to.
    pub(super) fn read(self) -> Result<Config, Failure> {
        let here = std::env::current_dir().context("cannot see the current folder")?;
        let variable = |name: &str| std::env::var_os(name);
        let data =
            self.data.clone().or_else(|| variable("SPACETIME_DATA").filter(|dir| !dir.is_empty()).map(PathBuf::from));
        let named = self.config.clone().filter(|file| !file.as_os_str().is_empty());
        let file = named.or_else(|| data.map(|data| data.join(FILE)).filter(|file| file.is_file()));
        let layers = match file {
            Some(path) => Layers::new().file(&path, &read_file(&path).map_err(failure)?).map_err(failure)?,
            None => Layers::new(),
        };
        let layers = layers.environment(&here, variable).map_err(failure)?;
        let layers = layers.flags(&here, self.assignments()?).map_err(failure)?;
        layers.finish().map_err(failure)
    }

    /// The flags that were given, as settings and texts; `--set` last, as it may name any.
    fn assignments(self) -> Result<Vec<(&'static Setting, Vec<String>)>, Failure> {
        let mut given: Vec<(&'static str, Vec<String>)> = Vec::new();
        for (setting, paths) in [
            ("data", self.data.into_iter().collect::<Vec<_>>()),
            ("chain", self.chain.into_iter().collect()),
            ("mine.plots", self.mine),
            ("mine.keys", self.keys),
            ("mine.passphrase_file", self.passphrase_file.into_iter().collect()),
            ("mine.pay_fees", self.pay_fees.into_iter().collect()),
            ("mine.pause_file", self.pause_file.into_iter().collect()),
        ] {
            let texts = paths.into_iter().map(|path| {
                let text = path.into_os_string().into_string();
                text.map_err(|path| Failure::usage(format!("{}: is not UTF-8", path.display())))
            });
            given.push((setting, texts.collect::<Result<_, _>>()?));
        }
        let network = self.network.map(|network| network.name().to_owned());
        given.extend([
            ("network", network.into_iter().collect()),
            ("peers.listen", self.listen),
            ("peers.external", self.external),
            ("peers.seeds", self.seed),
            ("rpc.listen", self.rpc.into_iter().collect()),
            ("rpc.public", self.rpc_public.then(|| "true".to_owned()).into_iter().collect()),
            ("mine.backend", self.backend.into_iter().collect()),
            ("mine.payout", self.payout.into_iter().collect()),
        ]);
        let given = given.into_iter().filter(|(_, texts)| !texts.is_empty());
        let named = given.map(|(path, texts)| (Setting::named(path).expect("flags are settings"), texts));
        let set = self.set.into_iter().map(|(setting, text)| match setting.kind {
            Kind::Texts | Kind::Paths => (setting, text.split(',').map(|part| part.trim().to_owned()).collect()),
            _ => (setting, vec![text]),
        });
        Ok(named.chain(set).collect())
    }
}

/// A configuration that cannot be had, with its exit code.
fn failure(error: ConfigError) -> Failure {
    let code = match error {
        ConfigError::Read { .. } => Code::Failed,
        _ => Code::Usage,
    };
    Failure::new(code, error)
}
