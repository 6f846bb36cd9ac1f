//! The folder that a local network lives in.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::Failure;

/// The chain's specification.
pub(super) const CHAIN: &str = "chain.toml";
/// The keystore of the account that has money from the beginning.
pub(super) const TREASURY_KEY: &str = "treasury.json";
/// The keystore of the account that it is sent to.
pub(super) const RECEIVER_KEY: &str = "receiver.json";
/// The processes' logs.
pub(super) const LOGS: &str = "logs";

/// A folder in which the names that are needed were free.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// There where the user named none.
    temporary: Option<TempDir>,
}

impl Place {
    /// Uses the folder `wanted`, which is made if missing and may hold other files, or else a temporary one. In it the
    /// folders `names` and the one of the logs are made.
    ///
    /// # Errors
    /// If a name is taken, of which nothing is touched, or a folder cannot be made.
    pub(super) fn open(wanted: Option<&Path>, names: &[String]) -> Result<Self, Failure> {
        let place = match wanted {
            Some(path) => {
                fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", path.display()))?;
                let path = fs::canonicalize(path).with_context(|| format!("cannot use {}", path.display()))?;
                Self { path, temporary: None }
            }
            None => {
                let made = tempfile::Builder::new().prefix("spacetime-devnet-").tempdir();
                let folder = made.context("cannot make a temporary folder")?;
                Self { path: folder.path().to_owned(), temporary: Some(folder) }
            }
        };
        let folders = || names.iter().map(String::as_str).chain([LOGS]);
        // All are looked at before the first is made.
        for name in folders().chain([CHAIN, TREASURY_KEY, RECEIVER_KEY]) {
            if place.path.join(name).symlink_metadata().is_ok() {
                return Err(place.taken(name));
            }
        }
        for name in folders() {
            let path = place.path.join(name);
            fs::create_dir(&path).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => place.taken(name),
                _ => Failure::failed(format!("cannot make the folder {}: {error}", path.display())),
            })?;
        }
        Ok(place)
    }

    fn taken(&self, name: &str) -> Failure {
        Failure::failed(format!(
            "{} exists already, of an earlier devnet perhaps: name another folder with --dir, or remove it",
            self.path.join(name).display()
        ))
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The chain's specification.
    pub(super) fn chain(&self) -> PathBuf {
        self.path.join(CHAIN)
    }

    /// The log of the process `name`.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.path.join(LOGS).join(format!("{name}.log"))
    }

    /// The windows of the miner `name`, a JSON object a line.
    pub(super) fn windows(&self, name: &str) -> PathBuf {
        self.path.join(LOGS).join(format!("{name}.windows"))
    }

    /// Whether the folder goes when this does.
    pub(super) fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// Leaves the folder there, whatever it is.
    pub(super) fn keep(mut self) -> PathBuf {
        if let Some(folder) = self.temporary.take() {
            let _ = folder.keep();
        }
        self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        vec!["node-1".to_owned(), "miner-1".to_owned()]
    }

    #[test]
    fn other_files_may_be_there_and_taken_names_may_not() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("letters"), "mine").expect("a file");
        Place::open(Some(folder.path()), &names()).expect("nothing is in the way");
        assert_eq!(fs::read(folder.path().join("letters")).expect("still there"), b"mine");

        let other = tempfile::tempdir().expect("a folder");
        for name in ["node-1", "miner-1", CHAIN, TREASURY_KEY, RECEIVER_KEY, LOGS] {
            let taken = other.path().join(name);
            fs::write(&taken, "mine").expect("a file");
            let failure = Place::open(Some(other.path()), &names()).expect_err("the name is taken");
            assert!(failure.to_string().contains(name), "{failure}");
            assert_eq!(fs::read_dir(other.path()).expect("a folder").count(), 1, "nothing was made");
            fs::remove_file(&taken).expect("ours");
        }
    }

    #[test]
    fn a_temporary_folder_goes_unless_it_is_kept() {
        let gone = Place::open(None, &names()).expect("a folder");
        let path = gone.path().to_owned();
        assert!(gone.is_temporary() && path.join("node-1").is_dir());
        drop(gone);
        assert!(!path.exists());
        let kept = Place::open(None, &names()).expect("a folder").keep();
        assert!(kept.join(LOGS).is_dir());
        fs::remove_dir_all(kept).expect("ours");
    }
}
