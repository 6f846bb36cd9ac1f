//! Plotting beside a miner pauses while there is a sweep: by a file that the plotter looks for (`--pause-file`).
//!
//! A file that says `until 1795285394123`, Unix milliseconds, pauses until then, so that a miner that was killed holds
//! nobody up for long; the miner writes it anew while it is busy. A file that says anything else is a person's: it pauses
//! as long as it is there, and the miner leaves it alone.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// How long a pause lasts unless it is renewed.
pub const PAUSE_MS: u64 = 10_000;
/// How often it is renewed.
pub const RENEWAL_MS: u64 = 2_000;
/// Longest text that is looked at.
const MAX_BYTES: u64 = 64;

/// The file, as the miner that writes it knows it.
#[derive(Debug)]
pub struct PauseFile {
    path: PathBuf,
    /// When it has to be written anew; none while nothing pauses.
    renew_ms: Option<u64>,
}

impl PauseFile {
    /// Nothing pauses yet. What an earlier miner left is removed.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let file = Self { path, renew_ms: None };
        file.remove();
        file
    }

    /// Begins or ends a pause.
    pub fn set(&mut self, pause: bool, now_ms: u64) {
        match (pause, self.renew_ms) {
            (true, None) => self.renew(now_ms),
            (false, Some(_)) => {
                self.renew_ms = None;
                self.remove();
            }
            _ => {}
        }
    }

    /// Renews a pause that lasts, if it is time.
    pub fn tick(&mut self, now_ms: u64) {
        if self.renew_ms.is_some_and(|renew_ms| renew_ms <= now_ms) {
            self.renew(now_ms);
        }
    }

    /// When [`Self::tick`] is due.
    #[must_use]
    pub fn wake_ms(&self) -> Option<u64> {
        self.renew_ms
    }

    fn renew(&mut self, now_ms: u64) {
        self.renew_ms = Some(now_ms.saturating_add(RENEWAL_MS));
        if !is_ours(&self.path).unwrap_or(true) {
            return;
        }
        if let Err(error) = write(&self.path, now_ms.saturating_add(PAUSE_MS)) {
            tracing::warn!(path = %self.path.display(), %error, "plotting cannot be paused");
        }
    }

    fn remove(&self) {
        if is_ours(&self.path).unwrap_or(false)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the pause file cannot be removed: it ends by itself");
        }
    }
}

impl Drop for PauseFile {
    fn drop(&mut self) {
        if self.renew_ms.is_some() {
            self.remove();
        }
    }
}

/// Whether a miner wrote the file, or it is not there.
fn is_ours(path: &Path) -> io::Result<bool> {
    let mut text = String::new();
    match fs::File::open(path) {
        Ok(file) => file.take(MAX_BYTES).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    Ok(text.starts_with("until "))
}

/// Whole or not at all: half of it would pause for ever.
fn write(path: &Path, until_ms: u64) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = fs::File::create(&new)?;
    writeln!(file, "until {until_ms}")?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    #[test]
    fn a_pause_is_renewed_and_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pause");
        let mut file = PauseFile::new(path.clone());
        file.tick(0);
        assert_eq!((text(&path), file.wake_ms()), (None, None));
        file.set(true, 1000);
        assert_eq!(text(&path).as_deref(), Some("until 11000\n"));
        file.set(true, 1500);
        file.tick(2999);
        assert_eq!(text(&path).as_deref(), Some("until 11000\n"));
        file.tick(3000);
        assert_eq!(text(&path).as_deref(), Some("until 13000\n"));
        file.set(false, 3100);
        assert_eq!((text(&path), file.wake_ms()), (None, None));
        file.set(true, 4000);
        drop(file);
        assert_eq!(text(&path), None);
        // One that was left by a miner that was killed.
        fs::write(&path, "until 5\n").unwrap();
        drop(PauseFile::new(path.clone()));
        assert_eq!(text(&path), None);
    }

    #[test]
    fn a_persons_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pause");
        for own in ["", "do not plot today\n"] {
            fs::write(&path, own).unwrap();
            let mut file = PauseFile::new(path.clone());
            file.set(true, 1000);
            assert_eq!(text(&path).as_deref(), Some(own));
            file.set(false, 1000);
            assert_eq!(text(&path).as_deref(), Some(own));
        }
    }

    #[test]
    fn a_folder_that_is_gone_stops_nobody() {
        let mut file = PauseFile::new(PathBuf::from("/nowhere/pause"));
        file.set(true, 1);
        file.set(false, 2);
    }
}
