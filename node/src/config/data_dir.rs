//! The folder that a node keeps everything in, held by one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Holder;

/// The lock's file. It stays: whoever locks another file of the same name would lock something else.
const LOCK: &str = "lock";
/// Longest text of a lock file that is looked at.
const MAX_LOCK_BYTES: u64 = 256;

/// A folder that this process holds until it drops this.
///
/// | name | what |
/// |---|---|
/// | `lock` | who holds the folder |
/// | `config.toml` | settings, where there are any; read before the folder is held |
/// | `chain/` | blocks and states |
/// | `peers` | the peer book |
/// | `pool` | transactions that waited when the node stopped |
/// | `node.key` | what peers know the node by; mode 0600 |
/// | `rpc.token` | what admin calls need; mode 0600 |
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Holds the lock.
    _lock: File,
}

/// Why a folder cannot be held.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// There is none.
    #[error("{}: there is no such folder", .0.display())]
    Missing(PathBuf),
    /// It cannot be made or read.
    #[error("{}: {action}", path.display())]
    Io {
        /// What cannot be used.
        path: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{}: {}", path.display(), holder.map_or("another process holds it".to_owned(), |holder| holder.to_string()))]
    Held {
        /// The folder.
        path: PathBuf,
        /// Which process, where it says so.
        holder: Option<Holder>,
    },
}

impl DataDirError {
    fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}

impl DataDir {
    /// Holds the folder `path`; makes it, for its owner alone, if there is none.
    ///
    /// # Errors
    /// If it cannot be made, or another process holds it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        if !path.is_dir() {
            make(path).map_err(DataDirError::io(path, "cannot make the folder"))?;
        }
        Self::hold(path)
    }

    /// Holds the folder `path`, which must be there.
    ///
    /// # Errors
    /// If it is not, or another process holds it.
    pub fn open_existing(path: &Path) -> Result<Self, DataDirError> {
        if !path.is_dir() {
            return Err(DataDirError::Missing(path.to_owned()));
        }
        Self::hold(path)
    }

    fn hold(path: &Path) -> Result<Self, DataDirError> {
        let name = path.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(&name).map_err(DataDirError::io(&name, "cannot open the lock file"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Who it is helps; that it is held is certain without it.
                let _ = lock.take(MAX_LOCK_BYTES).read_to_string(&mut text);
                return Err(DataDirError::Held { path: path.to_owned(), holder: Holder::parse(&text) });
            }
            Err(TryLockError::Error(error)) => return Err(DataDirError::io(&name, "cannot lock it")(error)),
        }
        // A full disk must not keep a node from being looked at: the lock is the lock, with or without a name in it.
        let _ = lock.set_len(0).and_then(|()| lock.rewind());
        let _ = lock.write_all(Holder::this_process().encode().as_bytes());
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database of blocks and states.
    #[must_use]
    pub fn chain(&self) -> PathBuf {
        self.path.join("chain")
    }

    /// The peer book.
    #[must_use]
    pub fn peers(&self) -> PathBuf {
        self.path.join("peers")
    }

    /// Transactions that waited when the node stopped.
    #[must_use]
    pub fn pool(&self) -> PathBuf {
        self.path.join("pool")
    }

    /// Where the chain ended when that was last written down.
    #[must_use]
    pub fn last_tip(&self) -> PathBuf {
        self.path.join("last-tip")
    }

    /// What peers know the node by.
    #[must_use]
    pub fn node_key(&self) -> PathBuf {
        self.path.join("node.key")
    }

    /// What admin calls need.
    #[must_use]
    pub fn rpc_token(&self) -> PathBuf {
        self.path.join("rpc.token")
    }
}

/// Makes a folder that its owner alone may enter; those above it as usual.
fn make(path: &Path) -> io::Result<()> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        // Another process was faster; the lock decides between the two.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}
