//! `spacetime miner`: mining as a process of its own, by way of a node.

mod events;
mod link;
mod payout;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgGroup, Args};
use spacetime_node::builder::Payout;
use spacetime_node::chain::{MinerKey, bls, ed25519};
use spacetime_node::miner::record::{FileRecord, OpenRecordError};
use spacetime_node::miner::window::WindowLine;
use spacetime_node::miner::{DiskField, MinerOptions, News, Registration, RunError, RunOptions, Stop, run};
use spacetime_prover::farm::MAX_THREADS;
use spacetime_prover::{Farm, FarmOptions};
use tracing::{info, warn};
use zeroize::Zeroizing;

use self::link::HttpLink;
use self::payout::PayTo;
use crate::args::{Engines, Size, engines, size};
use crate::interrupt::Interrupt;
use crate::keys::account::Account;
use crate::keys::passphrase::PassphraseFile;
use crate::keys::store::{self, Kind};
use crate::prove::{allow_open_files, refusal};
use crate::{Code, Failure, Failures, gpu, out};

/// Most keystores: each is opened, held and locked.
const MAX_KEYS: usize = 64;

/// Mines with plots on this machine for a node here or elsewhere, until Ctrl-C or SIGTERM.
///
/// Sweeps the plots for each group of challenges, proves and submits what wins, and signs the header that the node then
/// makes, once for an epoch: what was signed is remembered in a file beside the keystore. Each epoch leaves one line on
/// standard output. Plots that the chain does not know yet are registered and activated.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("registration"))]
pub struct Miner {
    /// The node.
    #[arg(long, value_name = "URL", env = "SPACETIME_NODE", default_value = "http://127.0.0.1:21211")]
    node: String,
    /// A keystore of the plots' miner key; may be given several times.
    #[arg(long, required = true, value_name = "FILE")]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseFile,
    /// The address that blocks pay to.
    #[arg(long, value_name = "ADDRESS", value_parser = payout::parse)]
    payout: PayTo,
    /// Keeps the record of what was signed in this folder instead of beside each keystore.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Leaves plots alone that the chain does not know.
    #[arg(long, group = "registration")]
    no_register: bool,
    /// The keystore of an account that pays the least fee for registrations and activations. Without it they are sent
    /// without a fee, of which blocks take few.
    #[arg(long, group = "registration", value_name = "FILE")]
    pay_fees: Option<PathBuf>,
    /// Holds up plotting while there is work: give the same file to `plot create --pause-file`.
    #[arg(long, value_name = "FILE")]
    pause_file: Option<PathBuf>,
    /// Reads in flight on each disk.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    queue_depth: Option<usize>,
    /// Bytes of a read, a multiple of 4096.
    #[arg(long, value_parser = size, value_name = "SIZE", allow_negative_numbers = true)]
    block_size: Option<Size>,
    /// What scores: auto, cpu, cpu:portable, cpu:shani, cpu:avx2 or cpu:avx512. GPUs, as gpu or gpu:0,2,
    /// score beside the CPU where they are measured to be faster; auto leaves them alone.
    #[arg(long, env = "SPACETIME_BACKEND", default_value = "auto", value_parser = engines, value_name = "BACKEND")]
    backend: Engines,
    /// Threads that score. Default: one for each CPU.
    #[arg(long, env = "SPACETIME_THREADS", value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS as i64), value_name = "N", allow_negative_numbers = true)]
    threads: Option<u16>,
    /// Prints a JSON object for each epoch.
    #[arg(long)]
    json: bool,
    /// Plots, or folders that hold some or will.
    #[arg(required = true, value_name = "PLOTS")]
    paths: Vec<PathBuf>,
}

impl Miner {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let link = HttpLink::new(&self.node)?;
        let field = Arc::new(self.field()?);
        let places: Vec<_> = self.keys.iter().map(|keystore| self.place(keystore)).collect::<Result<_, _>>()?;
        // Before a passphrase is asked for: another miner may have it.
        let record = FileRecord::open(places).map_err(record_failure)?;
        let options = RunOptions {
            miner: MinerOptions {
                keys: self.secrets()?,
                payout: Payout::all_to(self.payout.address()),
                registration: self.registration()?,
            },
            pause_file: self.pause_file.clone(),
        };
        let stop = Stop::new();
        let at_signal = stop.clone();
        Interrupt::install()?.then(move || at_signal.set())?;
        let mut failure = None;
        let ended = run(options, record, field, Arc::new(link), &stop, |news| {
            self.tell(&news).map_err(|error| {
                let text = error.to_string();
                failure = Some(error);
                text
            })
        });
        match (ended, failure) {
            // To be stopped is how a miner ends.
            (Ok(()), _) => Ok(()),
            (Err(_), Some(failure)) => Err(failure),
            (Err(error @ RunError::OtherChain { .. }), None) => Err(Failure::damaged(error)),
            (Err(error), None) => Err(Failure::failed(error)),
        }
    }

    fn tell(&self, news: &News<'_>) -> Result<(), Failure> {
        match news {
            News::Window(line) => self.line(line),
            News::Chain(chain) => {
                info!(network = chain.network, genesis = %chain.genesis, "following {}", self.node);
                self.payout.check(chain)
            }
            News::Plots(plots) => {
                info!(plots = plots.len(), "plots that can be used");
                Ok(())
            }
        }
    }

    fn line(&self, line: &WindowLine) -> Result<(), Failure> {
        if self.json { out::json(line) } else { out::line(line) }
    }

    fn field(&self) -> Result<DiskField, Failure> {
        let defaults = FarmOptions::default();
        let options = FarmOptions {
            queue_depth: self.queue_depth.unwrap_or(defaults.queue_depth),
            block_bytes: self.block_size.map_or(defaults.block_bytes, |size| size.bytes as usize),
            scorers: gpu::scorers(&self.backend)?,
            ..defaults
        };
        allow_open_files();
        let farm = Farm::open(&self.paths, options).map_err(Failure::usage)?;
        if farm.plots().is_empty() {
            let mut failures = Failures::default();
            farm.refused().iter().for_each(|refused| failures.push(refusal(&refused.why)));
            failures.end()?;
            warn!("there is no plot yet: plots that come into these folders are taken in");
        }
        let threads = self
            .threads
            .map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS), usize::from);
        Ok(DiskField::new(farm, self.backend.cpu(), threads))
    }

    /// A keystore's key, and where what it signed is remembered.
    fn place(&self, keystore: &Path) -> Result<(MinerKey, PathBuf), Failure> {
        let key = MinerKey(store::public_key(keystore)?);
        let place = match &self.data {
            Some(folder) => {
                std::fs::create_dir_all(folder).map_err(|error| {
                    Failure::failed(format!("{}: cannot make the folder: {error}", folder.display()))
                })?;
                FileRecord::place_in(folder, &key)
            }
            None => FileRecord::place_beside(keystore),
        };
        Ok((key, place))
    }

    fn registration(&self) -> Result<Registration, Failure> {
        Ok(match &self.pay_fees {
            Some(path) => {
                let secret = store::read_kind::<Account, 32>(path)?.open(|| self.passphrase.ask(path))?;
                let bytes = Account::secret_bytes(&secret);
                Registration::Paid(Box::new(ed25519::SecretKey::from_bytes(&bytes)))
            }
            None if self.no_register => Registration::Off,
            None => Registration::Unpaid,
        })
    }

    fn secrets(&self) -> Result<Vec<bls::SecretKey>, Failure> {
        if self.keys.len() > MAX_KEYS {
            return Err(Failure::usage(format!("{} keystores, a miner takes {MAX_KEYS}", self.keys.len())));
        }
        let open = |path: &PathBuf| {
            let secret = store::read(path)?.open(|| self.passphrase.ask(path))?;
            let bytes = Zeroizing::new(secret.to_bytes());
            bls::SecretKey::from_bytes(&bytes).map_err(|error| Failure::damaged(format!("{}: {error}", path.display())))
        };
        self.keys.iter().map(open).collect()
    }
}

fn record_failure(error: OpenRecordError) -> Failure {
    let code = match error {
        OpenRecordError::Held { .. } | OpenRecordError::Io { .. } => Code::Failed,
        OpenRecordError::Damaged { .. } | OpenRecordError::Version { .. } | OpenRecordError::Key { .. } => {
            Code::Damaged
        }
    };
    Failure::new(code, error)
}
