//! The file that a plot is written to, behind a trait, so that tests can make
//! it fail or lose power.

use std::fs::File;
use std::io;

use spacetime_prover::{read_exact_at, write_all_at};

/// A file under construction. Writes may be lost until [`Storage::sync`] returns.
pub trait Storage: Send + Sync {
    /// Writes all of `bytes` at `offset_bytes`.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<()>;

    /// Fills `buffer` from `offset_bytes`.
    ///
    /// # Errors
    /// What the system says, and if the file ends before `buffer` is full.
    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()>;

    /// Makes everything written so far outlast a loss of power.
    ///
    /// # Errors
    /// What the system says. Nothing written since the last success is certain then.
    fn sync(&self) -> io::Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Cuts the file off, or lengthens it with zeros.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// These bytes were synced and will not be needed again soon.
    fn forget(&self, offset_bytes: u64, bytes: u64) {
        let _ = (offset_bytes, bytes);
    }

    /// Whether it holds nothing.
    ///
    /// # Errors
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl Storage for File {
    fn write_at(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        write_all_at(self, bytes, offset_bytes)
    }

    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        read_exact_at(self, buffer, offset_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn forget(&self, offset_bytes: u64, bytes: u64) {
        spacetime_prover::forget(self, offset_bytes, bytes);
    }
}
