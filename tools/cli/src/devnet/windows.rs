//! What a miner says of its windows: a JSON object a line, in a file that grows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use spacetime_node::miner::window::{Outcome, WindowLine};

/// Most bytes read at once: some hundred windows, of which one comes an epoch.
const MAX_BYTES: u64 = 256 << 10;

/// A miner's windows so far.
#[derive(Debug)]
pub(super) struct Windows {
    path: PathBuf,
    /// How far the file was read: up to the end of a line.
    read_bytes: u64,
    /// Windows in which all was done that could be.
    answered: u64,
    /// Windows in which something was not.
    missed: u64,
    last: Option<WindowLine>,
}

impl Windows {
    /// Those that a miner writes to `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read_bytes: 0, answered: 0, missed: 0, last: None }
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn read(&mut self) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read_bytes))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        // A line that is not whole yet is read again; one that is longer than any window is skipped.
        let end = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if bytes.len() as u64 == MAX_BYTES => bytes.len(),
            None => 0,
        };
        self.read_bytes += end as u64;
        for line in bytes[..end].split(|byte| *byte == b'\n') {
            // Other lines are not windows.
            if let Ok(window) = serde_json::from_slice::<WindowLine>(line) {
                match window.result {
                    Outcome::Missed => self.missed += 1,
                    _ => self.answered += 1,
                }
                self.last = Some(window);
            }
        }
        Ok(())
    }

    /// Windows in which all was done that could be.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// Windows in which something was not.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// The latest one.
    pub(super) fn last(&self) -> Option<&WindowLine> {
        self.last.as_ref()
    }
}
