//! `spacetime node run`.

mod mine;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use spacetime_node::chain_pool::PoolError;
use spacetime_node::config::{Config, ConfigError, DataDir};
use spacetime_node::consensus::Specification;
use spacetime_node::service::{EndError, NodeOptions, RunningNode, StartError, StopError, Whereabouts};
use spacetime_node::store::{RocksDatabase, RocksOptions, SpaceGuard};
use tracing::{error, info};

use super::chain::{Network, read_specification};
use super::db::fail::{database_failure, manager_failure, store_failure};
use super::db::open::Guarded;
use super::settings::Settings;
use crate::interrupt::Interrupt;
use crate::{Code, Failure, out};

/// How long a node may take to stop: less than the five seconds that whoever waits for it gives it.
const STOP: Duration = Duration::from_millis(4500);

/// Where a running node says where it is to be found.
const WHEREABOUTS: &str = "run.json";

/// Joins the network, catches up, follows the chain, and mines if it is told to, until Ctrl-C or SIGTERM.
///
/// Where it listens is printed on standard output, and written to run.json in the data folder while it runs.
#[derive(Debug, Args)]
pub struct RunVerb {
    #[command(flatten)]
    settings: Settings,
    /// Mines without any peer: for the first node of a new network.
    #[arg(long)]
    mine_alone: bool,
    /// Prints a JSON object where it listens, and one for each epoch that is mined in.
    #[arg(long)]
    json: bool,
}

impl RunVerb {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { settings, mine_alone, json } = self;
        let config = settings.read()?;
        let Some(folder) = config.data.clone() else { return Err(Failure::usage(ConfigError::Data)) };
        let specification = Arc::new(specification(&config)?);
        let data = DataDir::open(&folder)?;
        let database = database(&config, &data)?;
        // Keys are asked for before anything is started.
        let miner = mine::prepare(&config, &specification)?;
        let interrupt = Interrupt::install()?;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        interrupt.then(move || {
            info!("stopping; once more stops at once");
            // The node may have ended by itself.
            let _ = stop.send(());
            std::thread::sleep(STOP); // whatever hangs, it has had its time
            error!(
                "the node did not stop in {} s: it ends here, and what was written whole is kept",
                STOP.as_secs_f32()
            );
            std::process::exit(Code::Failed as i32);
        })?;
        let farm = mine::Report::default();
        let node = RunningNode::start(NodeOptions {
            config,
            specification,
            data,
            database,
            software: concat!("spacetime/", env!("CARGO_PKG_VERSION")).to_owned(),
            mine_alone,
            farm: farm.hook(),
        });
        let mut node = node.map_err(|error| start_failure(&folder, error))?;
        let place = node.data().path().join(WHEREABOUTS);
        let told = write_whereabouts(&place, node.whereabouts()).and_then(|()| tell(node.whereabouts(), json));
        let mut miner = match (told, miner) {
            (Ok(()), Some(miner)) => mine::start(miner, node.handle().clone(), farm, json).map(Some),
            (told, _) => told.map(|()| None),
        };
        if let Ok(miner) = &mut miner {
            let mined = async {
                match miner {
                    Some(miner) => miner.ended().await,
                    None => std::future::pending().await,
                }
            };
            node.wait(async {
                tokio::select! {
                    _ = stopped => {}
                    () = mined => {}
                }
            });
        }
        let mined = miner.and_then(|miner| miner.map_or(Ok(()), mine::Working::stop));
        let _ = std::fs::remove_file(&place);
        node.stop().map_err(|error| stop_failure(&folder, &error))?;
        mined?;
        info!("the node has stopped");
        interrupt.end_of_service()
    }
}

fn tell(whereabouts: &Whereabouts, json: bool) -> Result<(), Failure> {
    if json {
        return out::json(whereabouts);
    }
    for address in &whereabouts.listen {
        out::line(format_args!("peers {address}"))?;
    }
    whereabouts.rpc.iter().try_for_each(|address| out::line(format_args!("http  http://{address}")))
}

fn specification(config: &Config) -> Result<Specification, Failure> {
    match &config.chain {
        Some(path) => read_specification(path),
        None => Ok(Network::from(config.network).specification()),
    }
}

fn database(config: &Config, data: &DataDir) -> Result<Arc<Guarded>, Failure> {
    let folder = data.chain();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let database = RocksDatabase::open(&folder, RocksOptions { create: true, sync: config.store.sync })
        .map_err(|error| database_failure(&error))?;
    Ok(Arc::new(SpaceGuard::new(database, &folder, config.store.free_bytes)))
}

/// Written whole or not at all: whoever waits for it reads it as soon as it is there.
fn write_whereabouts(place: &Path, whereabouts: &Whereabouts) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(whereabouts).context("cannot say where the node is")?;
    let new = place.with_extension("json.new");
    std::fs::write(&new, text + "\n")
        .and_then(|()| std::fs::rename(&new, place))
        .with_context(|| format!("cannot write {}", place.display()))?;
    Ok(())
}

fn start_failure(folder: &Path, error: StartError) -> Failure {
    let code = match &error {
        StartError::Chain(error) => return manager_failure(folder, error),
        StartError::Seed { .. } => Code::Usage,
        StartError::Pool(error) => match &**error {
            PoolError::Store(error) => return store_failure(folder, error),
            _ => Code::Failed,
        },
        _ => Code::Failed,
    };
    Failure::new(code, error)
}

fn stop_failure(folder: &Path, error: &StopError) -> Failure {
    match error {
        StopError::Ended(EndError::Store(error)) => store_failure(folder, error),
        error => Failure::new(Code::Failed, error),
    }
}
