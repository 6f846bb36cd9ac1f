//! A miner in the node's own process.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context;
use spacetime_node::chain::Address;
use spacetime_node::config::{Config, ConfigError};
use spacetime_node::consensus::Specification;
use spacetime_node::miner::window::WindowLine;
use spacetime_node::miner::{News, PlotStatus, RunError, Stop, run};
use spacetime_node::service::{Handle, LocalLink};
use tokio::sync::oneshot;

use crate::Failure;
use crate::args::{FarmFlags, Size, engines};
use crate::keys::passphrase::PassphraseFile;
use crate::miner::lines::Lines;
use crate::miner::prepare::{Prepared, Wishes};

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

/// A miner at work.
#[derive(Debug)]
pub(super) struct Working {
    stop: Stop,
    thread: JoinHandle<Result<(), RunError>>,
    /// Closed when the thread ends, however it does.
    ended: oneshot::Receiver<()>,
}

/// Opens plots, keys and the record; nothing where no plots are set.
pub(super) fn prepare(config: &Config, specification: &Specification) -> Result<Option<Prepared>, Failure> {
    let settings = &config.mine;
    if settings.plots.is_empty() {
        return Ok(None);
    }
    let Some(payout) = &settings.payout else { return Err(Failure::usage(ConfigError::Payout)) };
    let payout = Address::parse(payout, &specification.parameters.hrp)
        .map_err(|error| Failure::usage(format!("payout {payout}: {error}")))?;
    let backend = engines(&settings.backend)
        .map_err(|error| Failure::usage(format!("mine.backend is \"{}\": {error}", settings.backend)))?;
    let engine = FarmFlags {
        queue_depth: settings.queue_depth.map(|depth| depth as usize),
        block_size: settings.block_bytes.map(|bytes| Size { bytes: bytes.into() }),
        backend,
        threads: settings.threads,
    };
    let passphrase = settings.passphrase_file.as_deref().map_or_else(PassphraseFile::default, PassphraseFile::named);
    let wishes = Wishes {
        plots: &settings.plots,
        keys: &settings.keys,
        passphrase: &passphrase,
        records: settings.records.as_deref(),
        payout,
        register: settings.register,
        pay_fees: settings.pay_fees.as_deref(),
        pause_file: settings.pause_file.as_deref(),
        engine: &engine,
    };
    wishes.prepare().map(Some)
}

/// Lets a miner work for the participant behind `handle`.
pub(super) fn start(
    prepared: Prepared,
    handle: Handle<Guarded>,
    report: Report,
    json: bool,
) -> Result<Working, Failure> {
    let stop = Stop::new();
    let stopping = stop.clone();
    let Prepared { options, record, field } = prepared;
    let (end, ended) = oneshot::channel();
    let mut lines = Lines::new(json);
    let work = move || {
        let _end = end;
        let link = Arc::new(LocalLink::new(handle));
        run(options, record, Arc::new(field), link, &stopping, |news| {
            report.note(&news);
            let News::Window(line) = news else { return Ok(()) };
            lines.tell(line);
            Ok(())
        })
    };
    let thread = std::thread::Builder::new().name("miner".into()).spawn(work).context("cannot start a thread")?;
    Ok(Working { stop, thread, ended })
}

impl Working {
    /// Waits until it ends by itself, which it does for an error alone.
    pub(super) async fn ended(&mut self) {
        // Nothing is ever sent: the other end goes with the thread.
        let _ = (&mut self.ended).await;
    }

    pub(super) fn stop(self) -> Result<(), Failure> {
        self.stop.set();
        match self.thread.join() {
            Ok(result) => result.map_err(Failure::failed),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
