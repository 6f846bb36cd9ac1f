//! `spacetime keys`: makes, shows, imports and exports keys of miners and of accounts.

#[cfg(feature = "node")]
pub(crate) mod account;
mod document;
pub(crate) mod passphrase;
mod seal;
pub mod store;

use std::fmt::Display;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use zeroize::{Zeroize, Zeroizing};

#[cfg(feature = "node")]
use self::account::Account;
use self::passphrase::PassphraseFile;
use self::store::{Kind, Miner};
use crate::args::decode;
use crate::{Failure, out};

/// A secret is 64 hex digits and a line break; more than this is none.
const MAX_SECRET_TEXT_BYTES: u64 = 1024;

/// The verbs of `spacetime keys`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes a new key and prints its public key.
    New(NewKey),
    /// Prints the public key of a keystore; takes no passphrase.
    Show(Show),
    /// Puts a secret key (64 hex digits on standard input) into a keystore.
    Import(Import),
    /// Prints the secret key of a keystore as 64 hex digits.
    Export(Export),
}

/// What a key is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum KeyKind {
    /// A miner's: it signs blocks and owns plots (BLS12-381).
    #[default]
    Miner,
    /// An account's: it spends money (Ed25519).
    #[cfg(feature = "node")]
    Account,
}

/// Where a keystore goes and how it is protected.
#[derive(Debug, Args)]
struct Target {
    /// What the key is for.
    #[arg(long, value_enum, default_value_t)]
    kind: KeyKind,
    /// The keystore to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replaces the file if there is one. The key in it is lost.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    passphrase: PassphraseFile,
    /// Stores the secret as it is, without a passphrase. For tests only.
    #[arg(long, conflicts_with = "passphrase_file")]
    insecure: bool,
    /// Prints a JSON object instead of the public key alone.
    #[arg(long)]
    json: bool,
}

/// `spacetime keys new`.
#[derive(Debug, Args)]
pub struct NewKey {
    #[command(flatten)]
    target: Target,
}

/// `spacetime keys show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The keystore.
    file: PathBuf,
    /// Prints a JSON object instead of the public key alone.
    #[arg(long)]
    json: bool,
}

/// `spacetime keys import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Reads the secret from this file instead of standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

/// `spacetime keys export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The keystore.
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseFile,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(serialize_with = "out::path")]
    path: &'a Path,
    public_key: String,
    encrypted: bool,
}

/// Does what a verb says.
///
/// # Errors
/// Code 1 if a file cannot be read or written, is there already, or the
/// passphrase is missing or wrong; 3 if a keystore or a secret is invalid.
pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::New(NewKey { target }) => {
            store::check_free(&target.out, target.force)?;
            match target.kind {
                KeyKind::Miner => new::<Miner, 48>(&target, |material| {
                    let made = blst::min_pk::SecretKey::key_gen(material, &[]);
                    made.map_err(|error| Failure::failed(format!("cannot make a key: {error:?}")))
                }),
                #[cfg(feature = "node")]
                KeyKind::Account => {
                    new::<Account, 32>(&target, |material| Account::secret(material).map_err(Failure::failed))
                }
            }
        }
        Verb::Show(show) => {
            #[cfg(feature = "node")]
            if store::is_kind::<Account, 32>(&show.file)? {
                return show_kind::<Account, 32>(&show);
            }
            show_kind::<Miner, 48>(&show)
        }
        Verb::Import(import) => {
            store::check_free(&import.target.out, import.target.force)?;
            match import.target.kind {
                KeyKind::Miner => import_kind::<Miner, 48>(&import),
                #[cfg(feature = "node")]
                KeyKind::Account => import_kind::<Account, 32>(&import),
            }
        }
        Verb::Export(export) => {
            #[cfg(feature = "node")]
            if store::is_kind::<Account, 32>(&export.file)? {
                return export_kind::<Account, 32>(&export);
            }
            export_kind::<Miner, 48>(&export)
        }
    }
}

fn new<K: Kind<N>, const N: usize>(
    target: &Target,
    make: impl FnOnce(&[u8; 32]) -> Result<K::Secret, Failure>,
) -> Result<(), Failure> {
    let mut material = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *material).context("the system gives no random bytes")?;
    write::<K, N>(&make(&material)?, target)
}

fn show_kind<K: Kind<N>, const N: usize>(show: &Show) -> Result<(), Failure> {
    let found = store::read_kind::<K, N>(&show.file)?;
    print(&show.file, found.public_key(), found.is_encrypted(), show.json)
}

fn import_kind<K: Kind<N>, const N: usize>(import: &Import) -> Result<(), Failure> {
    write::<K, N>(&read_secret::<K, N>(import.secret_file.as_deref())?, &import.target)
}

fn export_kind<K: Kind<N>, const N: usize>(export: &Export) -> Result<(), Failure> {
    let found = store::read_kind::<K, N>(&export.file)?;
    let secret = found.open(|| export.passphrase.ask(&export.file))?;
    let mut line = Zeroizing::new(const_hex::encode(*K::secret_bytes(&secret)));
    line.push('\n');
    out::write_all(line.as_bytes())
}

fn write<K: Kind<N>, const N: usize>(secret: &K::Secret, target: &Target) -> Result<(), Failure> {
    let passphrase = if target.insecure {
        // Not a log line: it is said whatever -q says.
        eprint_line(&format!(
            "WARNING: --insecure: {} holds the secret key UNENCRYPTED; whoever reads the file owns the key",
            target.out.display()
        ));
        None
    } else {
        Some(target.passphrase.choose(&target.out)?)
    };
    let public_key = store::write::<K, N>(&target.out, secret, passphrase.as_ref(), target.force)?;
    print(&target.out, public_key, !target.insecure, target.json)
}

fn print(path: &Path, public_key: impl Display, encrypted: bool, json: bool) -> Result<(), Failure> {
    if json { out::json(&Shown { path, public_key: public_key.to_string(), encrypted }) } else { out::line(public_key) }
}

/// The secret to import, from a file or standard input.
fn read_secret<K: Kind<N>, const N: usize>(file: Option<&Path>) -> Result<K::Secret, Failure> {
    let mut text = Zeroizing::new(String::new());
    let name = match file {
        Some(path) => {
            let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            read_text(file, &mut text).with_context(|| format!("cannot read {}", path.display()))?;
            path.display().to_string()
        }
        None if io::stdin().is_terminal() => {
            let typed = rpassword::prompt_password("Secret key (64 hex digits): ");
            *text = typed.context("cannot ask for the secret key on the terminal")?;
            "terminal".to_owned()
        }
        None => {
            read_text(io::stdin(), &mut text).context("cannot read standard input")?;
            "standard input".to_owned()
        }
    };
    let mut bytes: [u8; 32] =
        decode(text.trim()).map_err(|error| Failure::damaged(format!("{name}: secret key: {error}")))?;
    let secret = K::secret(&bytes);
    bytes.zeroize();
    secret.map_err(|error| Failure::damaged(format!("{name}: secret key: {error}")))
}

fn read_text(from: impl Read, text: &mut String) -> io::Result<()> {
    // A whole buffer at once: a string that grows leaves copies behind.
    text.reserve_exact(MAX_SECRET_TEXT_BYTES as usize);
    from.take(MAX_SECRET_TEXT_BYTES).read_to_string(text)?;
    Ok(())
}

fn eprint_line(text: &str) {
    use std::io::Write;
    // Standard error may be closed; that is no reason to panic.
    let _ = writeln!(io::stderr(), "{text}");
}
