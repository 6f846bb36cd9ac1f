//! Files of 32 secret bytes in hex that the owner alone may read: the node's identity, the token of admin calls.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::whole::sync_folder;

/// 64 digits and a line break; more than this is something else.
const MAX_BYTES: u64 = 128;

/// Why there is no secret.
#[derive(Debug, Error)]
pub enum SecretFileError {
    /// It cannot be read or written.
    #[error("{}: {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Others than its owner may read it.
    #[error("{}: others may read it (mode {mode:04o}): chmod 600 it, or remove it to have a new one made", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds something else.
    #[error("{}: expected 64 hex digits", path.display())]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// Reads 32 bytes from the file `path`, or makes it with random ones, of mode 0600, if there is none.
///
/// # Errors
/// If it cannot be read or made, holds something else, or others may read it.
pub fn read_or_make_secret(path: &Path) -> Result<Zeroizing<[u8; 32]>, SecretFileError> {
    match File::open(path) {
        Ok(file) => read(path, file),
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        Err(error) => Err(io_error(path, "cannot open it")(error)),
    }
}

fn io_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> SecretFileError {
    let path = path.to_owned();
    move |source| SecretFileError::Io { path, action, source }
}

fn read(path: &Path, file: File) -> Result<Zeroizing<[u8; 32]>, SecretFileError> {
    #[cfg(unix)]
    {
        let metadata = file.metadata().map_err(io_error(path, "cannot see its mode"))?;
        let mode = std::os::unix::fs::MetadataExt::mode(&metadata) & 0o7777;
        if mode & 0o077 != 0 {
            return Err(SecretFileError::Readable { path: path.to_owned(), mode });
        }
    }
    // Room for all at once: a string that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize + 1));
    let form = || SecretFileError::Form { path: path.to_owned() };
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => form(),
        _ => io_error(path, "cannot read it")(error),
    })?;
    let mut secret = Zeroizing::new([0; 32]);
    let digits = text.trim();
    if digits.len() != 64 || const_hex::decode_to_slice(digits, &mut *secret).is_err() {
        return Err(form());
    }
    Ok(secret)
}

/// Whole or not at all: beside its place first, and then in it.
fn make(path: &Path) -> Result<Zeroizing<[u8; 32]>, SecretFileError> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *secret).map_err(SecretFileError::Random)?;
    let mut text = Zeroizing::new(const_hex::encode(*secret));
    text.push('\n');
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    // What a crash left behind may have another mode.
    let _ = fs::remove_file(&new);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new).map_err(io_error(&new, "cannot make it"))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io_error(&new, "cannot write it"))?;
    drop(file);
    fs::rename(&new, path).map_err(io_error(path, "cannot put it in its place"))?;
    sync_folder(path).map_err(io_error(path, "cannot sync its folder"))?;
    Ok(secret)
}
