//! `spacetime keys`: makes, shows, imports and exports miner keys.

mod document;
mod passphrase;
mod seal;
pub mod store;

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use blst::min_pk::SecretKey;
use clap::{Args, Subcommand};
use serde::Serialize;
use zeroize::{Zeroize, Zeroizing};

use self::passphrase::PassphraseFile;
use crate::args::{MinerKey, decode};
use crate::{Failure, out};

/// A secret is 64 hex digits and a line break; more than this is none.
const MAX_SECRET_TEXT_BYTES: u64 = 1024;

/// The verbs of `spacetime keys`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes a new miner key and prints its public key.
    New(NewKey),
    /// Prints the public key of a keystore; takes no passphrase.
    Show(Show),
    /// Puts a secret key (64 hex digits on standard input) into a keystore.
    Import(Import),
    /// Prints the secret key of a keystore as 64 hex digits.
    Export(Export),
}

/// Where a keystore goes and how it is protected.
#[derive(Debug, Args)]
struct Target {
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
            let mut material = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *material).context("the system gives no random bytes")?;
            let secret = SecretKey::key_gen(&*material, &[])
                .map_err(|error| Failure::failed(format!("cannot make a key: {error:?}")))?;
            write(&secret, &target)
        }
        Verb::Show(show) => {
            let found = store::read(&show.file)?;
            print(&show.file, found.public_key(), found.is_encrypted(), show.json)
        }
        Verb::Import(import) => {
            store::check_free(&import.target.out, import.target.force)?;
            let secret = read_secret(import.secret_file.as_deref())?;
            write(&secret, &import.target)
        }
        Verb::Export(export) => {
            let found = store::read(&export.file)?;
            let secret = found.open(|| export.passphrase.ask(&export.file))?;
            let bytes = Zeroizing::new(secret.to_bytes());
            let mut line = Zeroizing::new(const_hex::encode(*bytes));
            line.push('\n');
            out::write_all(line.as_bytes())
        }
    }
}

fn write(secret: &SecretKey, target: &Target) -> Result<(), Failure> {
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
    let public_key = store::write(&target.out, secret, passphrase.as_ref(), target.force)?;
    print(&target.out, public_key, !target.insecure, target.json)
}

fn print(path: &Path, public_key: MinerKey, encrypted: bool, json: bool) -> Result<(), Failure> {
    if json { out::json(&Shown { path, public_key: public_key.to_string(), encrypted }) } else { out::line(public_key) }
}

/// The secret to import, from a file or standard input.
fn read_secret(file: Option<&Path>) -> Result<SecretKey, Failure> {
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
    let secret = SecretKey::from_bytes(&bytes);
    bytes.zeroize();
    secret.map_err(|_| Failure::damaged(format!("{name}: secret key: zero, or not below the group order of BLS12-381")))
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
