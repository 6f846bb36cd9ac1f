//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What comes behind the name of a file that is not whole yet. One that a crash has left is overwritten.
const ENDING: &str = ".unfinished";

/// A file that could not be written. The one before it is still there.
#[derive(Debug)]
pub(crate) struct NotWritten {
    /// The file.
    pub(crate) path: PathBuf,
    /// What was tried.
    pub(crate) action: &'static str,
    /// The system's answer.
    pub(crate) source: io::Error,
}

impl NotWritten {
    fn new(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), action, source }
    }
}

/// A file under a name of its own, in the same folder, which goes unless it is finished.
pub(crate) struct Unfinished {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    keep: bool,
}

impl Unfinished {
    /// Begins what is to become `path`.
    pub(crate) fn create(path: &Path) -> Result<Self, NotWritten> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(ENDING);
        let path = path.with_file_name(name);
        let file = File::create(&path).map_err(NotWritten::new(&path, "cannot create it"))?;
        Ok(Self { file, path, keep: false })
    }

    /// Puts it on the disk, and gives it its name, so that it is there after a loss of power.
    pub(crate) fn finish(mut self, path: &Path) -> Result<(), NotWritten> {
        self.file.sync_all().map_err(NotWritten::new(&self.path, "cannot write it"))?;
        fs::rename(&self.path, path).map_err(NotWritten::new(path, "cannot put the new one in its place"))?;
        self.keep = true;
        sync_folder(path).map_err(NotWritten::new(path, "cannot sync its folder"))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes `bytes` to `path`, over what is there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), NotWritten> {
    let mut unfinished = Unfinished::create(path)?;
    let written = unfinished.file.write_all(bytes);
    written.map_err(NotWritten::new(&unfinished.path, "cannot write it"))?;
    unfinished.finish(path)
}

/// Makes a name that is new in the folder of `path` last, where the system has folders that can be synced.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
