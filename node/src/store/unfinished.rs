//! A file that is there whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A file under a name of its own, in the same folder, which goes unless it is finished.
pub(crate) struct Unfinished {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    keep: bool,
}

impl Unfinished {
    /// Begins what is to become `path`. The error names the file.
    pub(crate) fn create(path: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let path = path.with_file_name(name);
        match File::create(&path) {
            Ok(file) => Ok(Self { file, path, keep: false }),
            Err(source) => Err((path, source)),
        }
    }

    /// Puts it on the disk, and gives it its name.
    pub(crate) fn finish(mut self, path: &Path) -> Result<(), (PathBuf, io::Error)> {
        self.file.sync_all().map_err(|source| (self.path.clone(), source))?;
        fs::rename(&self.path, path).map_err(|source| (path.to_owned(), source))?;
        self.keep = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.keep {
            // If it stays, whoever writes again overwrites it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
