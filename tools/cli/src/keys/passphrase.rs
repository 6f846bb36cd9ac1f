//! Where a passphrase comes from: a file or the terminal.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use zeroize::Zeroizing;

use crate::Failure;

/// Longest passphrase, in bytes.
const MAX_BYTES: usize = 4096;

/// The environment's way to name a passphrase file.
const VARIABLE: &str = "SPACETIME_PASSPHRASE_FILE";

/// A passphrase; wiped from memory when dropped.
pub(crate) type Passphrase = Zeroizing<String>;

/// `--passphrase-file`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PassphraseFile {
    /// Reads the passphrase from this file, without its last line break,
    /// instead of the terminal. SPACETIME_PASSPHRASE_FILE does the same.
    // Not clap's `env`: a variable that is set must not conflict with --insecure.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseFile {
    /// The passphrase in this file.
    #[cfg(feature = "node")]
    pub(crate) fn named(path: &Path) -> Self {
        Self { passphrase_file: Some(path.to_owned()) }
    }

    /// The passphrase of a keystore that exists.
    ///
    /// # Errors
    /// If there is neither a file nor a terminal, or it is no passphrase.
    pub(crate) fn ask(&self, keystore: &Path) -> Result<Passphrase, Failure> {
        match self.file() {
            Some(file) => read(&file),
            None => prompt(&format!("Passphrase for {}: ", keystore.display())),
        }
    }

    /// The passphrase for a new keystore: asked for twice on a terminal.
    ///
    /// # Errors
    /// As [`Self::ask`], and if the two differ.
    pub(crate) fn choose(&self, keystore: &Path) -> Result<Passphrase, Failure> {
        if let Some(file) = self.file() {
            return read(&file);
        }
        let first = prompt(&format!("New passphrase for {}: ", keystore.display()))?;
        if *prompt("The same again: ")? != *first {
            return Err(Failure::failed("the two passphrases differ; nothing was written"));
        }
        Ok(first)
    }

    fn file(&self) -> Option<PathBuf> {
        let variable = || std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        self.passphrase_file.clone().or_else(variable)
    }
}

fn read(path: &Path) -> Result<Passphrase, Failure> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot open the passphrase file {shown}"))?;
    // Room for all at once: a string that grows leaves copies behind.
    let limit = MAX_BYTES + "\r\n".len() + 1;
    let mut text = Zeroizing::new(String::with_capacity(limit));
    file.take(limit as u64)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read the passphrase file {shown}"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    bounded(text).map_err(|message| Failure::failed(format!("passphrase file {shown}: {message}")))
}

fn prompt(text: &str) -> Result<Passphrase, Failure> {
    if !io::stdin().is_terminal() && !io::stderr().is_terminal() {
        return Err(Failure::failed(format!(
            "no terminal to ask for the passphrase: name a file with --passphrase-file or {VARIABLE}"
        )));
    }
    let typed = rpassword::prompt_password(text).context("cannot ask for the passphrase on the terminal")?;
    bounded(Zeroizing::new(typed)).map_err(Failure::failed)
}

fn bounded(passphrase: Passphrase) -> Result<Passphrase, String> {
    match passphrase.len() {
        0 => Err("the passphrase is empty".to_owned()),
        length if length > MAX_BYTES => Err(format!("the passphrase is longer than {MAX_BYTES} bytes")),
        _ => Ok(passphrase),
    }
}
