//! A miner in the node's own process.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context;
use spacetime_kernels::Backend;
use spacetime_node::builder::Payout;
use spacetime_node::chain::{Address, MinerKey, bls};
use spacetime_node::config::{Config, DataDir};
use spacetime_node::consensus::Specification;
use spacetime_node::miner::record::FileRecord;
use spacetime_node::miner::window::WindowLine;
use spacetime_node::miner::{DiskField, MinerOptions, News, PlotStatus, Registration, RunError, RunOptions, Stop, run};
use spacetime_node::service::{Handle, LocalLink};
use spacetime_prover::farm::MAX_THREADS;
use spacetime_prover::{Farm, FarmOptions};
use zeroize::Zeroizing;

use crate::keys::passphrase::PassphraseFile;
use crate::keys::store;
use crate::prove::allow_open_files;
use crate::{Failure, out};

use super::Guarded;

/// What the miner said last, for `/rpc/farm`.
#[derive(Clone, Debug, Default)]
pub(super) struct Report(Arc<Mutex<Option<Said>>>);

#[derive(Clone, Debug, Default, serde::Serialize)]
struct Said {
    plots: Vec<PlotStatus>,
    window: Option<WindowLine>,
}

impl Report {
    /// What HTTP asks.
    pub(super) fn hook(&self) -> Arc<dyn Fn() -> Option<serde_json::Value> + Send + Sync> {
        let said = Arc::clone(&self.0);
        Arc::new(move || {
            let said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.as_ref().and_then(|said| serde_json::to_value(said).ok())
        })
    }

    fn note(&self, news: &News<'_>) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = said.get_or_insert_default();
        match news {
            News::Window(line) => said.window = Some((*line).clone()),
            News::Plots(plots) => said.plots = plots.to_vec(),
            News::Chain(_) => {}
        }
    }
}

/// A miner that has all it needs.
#[derive(Debug)]
pub(super) struct Prepared {
    options: RunOptions,
    record: FileRecord,
    field: DiskField,
}

/// A miner at work.
#[derive(Debug)]
pub(super) struct Working {
    stop: Stop,
    thread: JoinHandle<Result<(), RunError>>,
}

impl Prepared {
    /// Opens plots, keys and the record; nothing where no plots are set.
    pub(super) fn from(
        config: &Config,
        specification: &Specification,
        data: &DataDir,
    ) -> Result<Option<Self>, Failure> {
        let settings = &config.mine;
        if settings.plots.is_empty() {
            return Ok(None);
        }
        let Some(payout) = &settings.payout else {
            return Err(Failure::usage("mining needs an address that blocks pay to: --payout ADDRESS"));
        };
        let payout = Address::parse(payout, &specification.parameters.hrp)
            .map_err(|error| Failure::usage(format!("payout {payout}: {error}")))?;
        if settings.keys.is_empty() {
            return Err(Failure::usage("mining needs the plots' miner keys: --keys KEYSTORE"));
        }
        let place = |keystore: &PathBuf| {
            let key = MinerKey(store::public_key(keystore)?);
            Ok((key, FileRecord::place_in(&data.signed(), &key)))
        };
        let places = settings.keys.iter().map(place).collect::<Result<Vec<_>, Failure>>()?;
        let folder = data.signed();
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let record = FileRecord::open(places).map_err(Failure::failed)?;
        let passphrase =
            settings.passphrase_file.as_deref().map_or_else(PassphraseFile::default, PassphraseFile::named);
        let keys = settings.keys.iter().map(|path| secret(path, &passphrase)).collect::<Result<Vec<_>, _>>()?;
        allow_open_files();
        let farm = Farm::open(&settings.plots, FarmOptions::default()).map_err(Failure::usage)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let miner = MinerOptions { keys, payout: Payout::all_to(payout), registration: Registration::Unpaid };
        let options = RunOptions { miner, pause_file: None };
        Ok(Some(Self { options, record, field: DiskField::new(farm, Backend::fastest(), threads) }))
    }

    /// Lets it work for the participant behind `handle`.
    pub(super) fn start(self, handle: Handle<Guarded>, report: Report, json: bool) -> Result<Working, Failure> {
        let stop = Stop::new();
        let stopping = stop.clone();
        let Self { options, record, field } = self;
        let work = move || {
            let link = Arc::new(LocalLink::new(handle));
            run(options, record, Arc::new(field), link, &stopping, |news| {
                report.note(&news);
                match news {
                    News::Window(line) if json => out::json(line).map_err(|error| error.to_string()),
                    News::Window(line) => out::line(line).map_err(|error| error.to_string()),
                    _ => Ok(()),
                }
            })
        };
        let thread = std::thread::Builder::new().name("miner".into()).spawn(work).context("cannot start a thread")?;
        Ok(Working { stop, thread })
    }
}

impl Working {
    pub(super) fn stop(self) -> Result<(), Failure> {
        self.stop.set();
        match self.thread.join() {
            Ok(result) => result.map_err(Failure::failed),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn secret(path: &Path, passphrase: &PassphraseFile) -> Result<bls::SecretKey, Failure> {
    let secret = store::read(path)?.open(|| passphrase.ask(path))?;
    let bytes = Zeroizing::new(secret.to_bytes());
    bls::SecretKey::from_bytes(&bytes).map_err(|error| Failure::damaged(format!("{}: {error}", path.display())))
}
