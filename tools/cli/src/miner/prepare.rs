//! What a miner needs before it can work, whichever way it asks its node: plots, keys, and the record of what was signed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use spacetime_node::builder::Payout;
use spacetime_node::chain::{Address, MinerKey, bls, ed25519};
use spacetime_node::miner::record::{FileRecord, OpenRecordError};
use spacetime_node::miner::{DiskField, MinerOptions, Registration, RunOptions};
use spacetime_prover::farm::MAX_THREADS;
use tracing::warn;
use zeroize::Zeroizing;

use crate::args::FarmFlags;
use crate::keys::account::Account;
use crate::keys::passphrase::PassphraseFile;
use crate::keys::store::{self, Kind};
use crate::prove::open_plots;
use crate::{Code, Failure};

/// Most keystores: each is opened, held and locked.
const MAX_KEYS: usize = 64;

/// What its user says.
#[derive(Debug)]
pub(crate) struct Wishes<'a> {
    /// Plots, or folders of plots.
    pub(crate) plots: &'a [PathBuf],
    /// Keystores of the plots' miner keys.
    pub(crate) keys: &'a [PathBuf],
    /// Where their passphrase comes from.
    pub(crate) passphrase: &'a PassphraseFile,
    /// The folder of the records of what was signed; without it they lie beside the keystores.
    pub(crate) records: Option<&'a Path>,
    /// Who is paid.
    pub(crate) payout: Address,
    /// Whether plots that the chain does not know are registered.
    pub(crate) register: bool,
    /// The keystore of the account that pays for that.
    pub(crate) pay_fees: Option<&'a Path>,
    /// What holds up plotting.
    pub(crate) pause_file: Option<&'a Path>,
    /// What reads and scores.
    pub(crate) engine: &'a FarmFlags,
}

/// A miner that has all it needs but its node.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) options: RunOptions,
    pub(crate) record: FileRecord,
    pub(crate) field: DiskField,
}

impl Wishes<'_> {
    /// Opens all of it.
    ///
    /// # Errors
    /// The first that cannot be opened, or is held by another miner.
    pub(crate) fn prepare(&self) -> Result<Prepared, Failure> {
        if self.keys.len() > MAX_KEYS {
            return Err(Failure::usage(format!("{} keystores, a miner takes {MAX_KEYS}", self.keys.len())));
        }
        let field = self.field()?;
        // Before a passphrase is asked for: another miner may have it.
        let record = self.record()?;
        let options = RunOptions {
            miner: MinerOptions {
                keys: self.secrets()?,
                payout: Payout::all_to(self.payout),
                registration: self.registration()?,
            },
            pause_file: self.pause_file.map(Path::to_owned),
        };
        Ok(Prepared { options, record, field })
    }

    fn field(&self) -> Result<DiskField, Failure> {
        let farm = open_plots(self.plots, self.engine.options()?)?;
        if farm.plots().is_empty() {
            warn!("there is no plot yet: plots that come into these folders are taken in");
        }
        let threads = self
            .engine
            .threads
            .map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS), usize::from);
        Ok(DiskField::new(farm, self.engine.backend.cpu(), threads))
    }

    /// What was signed, held against all other miners with these keystores, wherever theirs is remembered.
    fn record(&self) -> Result<FileRecord, Failure> {
        let (mut places, mut held) = (Vec::new(), Vec::new());
        for keystore in self.keys {
            let key = MinerKey(store::public_key(keystore)?);
            // A link to a keystore is that keystore.
            let real = keystore.canonicalize().with_context(|| format!("cannot find {}", keystore.display()))?;
            let beside = FileRecord::place_beside(&real);
            let Some(folder) = self.records else {
                places.push((key, beside));
                continue;
            };
            let place = FileRecord::place_in(folder, &key);
            if beside.exists() {
                return Err(Failure::usage(format!(
                    "{} remembers what this key has signed already, and {} would not: leave that folder out, or move the file there",
                    beside.display(),
                    place.display(),
                )));
            }
            places.push((key, place));
            held.push(beside);
        }
        if let Some(folder) = self.records {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let mut record = FileRecord::open(places).map_err(record_failure)?;
        for beside in held {
            match record.hold(&beside) {
                // Nobody else can keep a record there either.
                Err(OpenRecordError::Io { source, .. })
                    if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {}
                held => held.map_err(record_failure)?,
            }
        }
        Ok(record)
    }

    fn registration(&self) -> Result<Registration, Failure> {
        Ok(match self.pay_fees {
            Some(_) if !self.register => {
                return Err(Failure::usage("an account to pay for registrations is named, and none are to be made"));
            }
            Some(path) => {
                let secret = store::read_kind::<Account, 32>(path)?.open(|| self.passphrase.ask(path))?;
                let bytes = Account::secret_bytes(&secret);
                Registration::Paid(Box::new(ed25519::SecretKey::from_bytes(&bytes)))
            }
            None if !self.register => Registration::Off,
            None => Registration::Unpaid,
        })
    }

    fn secrets(&self) -> Result<Vec<bls::SecretKey>, Failure> {
        self.keys.iter().map(|path| miner_secret(path, self.passphrase)).collect()
    }
}

/// The secret key in a miner's keystore.
///
/// # Errors
/// If it cannot be read or opened.
pub(crate) fn miner_secret(path: &Path, passphrase: &PassphraseFile) -> Result<bls::SecretKey, Failure> {
    let secret = store::read(path)?.open(|| passphrase.ask(path))?;
    let bytes = Zeroizing::new(secret.to_bytes());
    bls::SecretKey::from_bytes(&bytes).map_err(|error| Failure::damaged(format!("{}: {error}", path.display())))
}

fn record_failure(error: OpenRecordError) -> Failure {
    let code = match error {
        OpenRecordError::Held { .. } | OpenRecordError::Io { .. } => Code::Failed,
        OpenRecordError::Twice { .. } => Code::Usage,
        OpenRecordError::Damaged { .. } | OpenRecordError::Version { .. } | OpenRecordError::Key { .. } => {
            Code::Damaged
        }
    };
    Failure::new(code, error)
}
