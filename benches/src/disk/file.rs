//! A file to be measured on, without a name: nothing is left of it, whatever happens.

use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::Path;

use spacetime_prover::farm::Buffer;
use spacetime_prover::{DIRECT_ALIGNMENT, forget, read_direct, read_passing_by, write_all_at};

use crate::disk::pass::{Limits, Pass, run};
use crate::disk::{DiskError, LEAST_BYTES, STRIP_BYTES};
use crate::platform::{free_bytes, is_in_memory, preallocate, set_direct};

/// The file and how it is reached.
#[derive(Debug)]
pub(crate) struct TestFile {
    file: File,
    bytes: u64,
    direct: bool,
    in_memory: bool,
    /// What the bytes are drawn from; another in every run, so that no disk has seen them.
    seed: u64,
}

impl TestFile {
    /// Reserves `bytes` in `folder`, rounded down to whole strips. On Linux the
    /// file never has a name (`O_TMPFILE`); where the file system has no such
    /// thing its name is taken away as soon as it is open.
    ///
    /// # Errors
    /// If it is no folder, cannot be written, has no room, or `bytes` are too few.
    pub(crate) fn create(folder: &Path, bytes: u64) -> Result<Self, DiskError> {
        let io = |doing| move |source| DiskError::Io { path: folder.to_owned(), doing, source };
        if !std::fs::metadata(folder).map_err(io("cannot look at it"))?.is_dir() {
            return Err(DiskError::NotAFolder(folder.to_owned()));
        }
        if bytes < LEAST_BYTES {
            return Err(DiskError::TooSmall { bytes });
        }
        let bytes = bytes / STRIP_BYTES * STRIP_BYTES;
        let free_bytes = free_bytes(folder).map_err(io("cannot ask for its free space"))?;
        if bytes > free_bytes {
            return Err(DiskError::NoSpace { path: folder.to_owned(), bytes, free_bytes });
        }
        let file = tempfile::tempfile_in(folder).map_err(io("cannot make a file in it"))?;
        preallocate(&file, bytes).map_err(io("cannot reserve the space"))?;
        let seed = std::hash::RandomState::new().build_hasher().finish();
        let in_memory = is_in_memory(&file);
        let mut made = Self { file, bytes, direct: false, in_memory, seed };
        made.direct = made.takes_direct().map_err(io("cannot write"))?;
        Ok(made)
    }

    /// Tries whether reads and writes can pass the page cache by, and leaves it so.
    fn takes_direct(&self) -> io::Result<bool> {
        let mut page = Buffer::new(DIRECT_ALIGNMENT);
        let tried = set_direct(&self.file, true)
            && write_all_at(&self.file, page.as_slice(), 0).is_ok()
            && read_direct(&self.file, page.as_mut_slice(), 0)?;
        if !tried {
            set_direct(&self.file, false);
        }
        Ok(tried)
    }

    /// Writes it from begin to end and has it synced; it is cut where the time
    /// was up. `None`: it was asked to stop.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn fill(&mut self, depth: usize, limits: &Limits<'_>) -> io::Result<Option<Pass>> {
        let strips = self.bytes / STRIP_BYTES;
        let offset = |at| (at < strips).then_some(at * STRIP_BYTES);
        let began = std::time::Instant::now();
        let Some(mut pass) = run(depth, STRIP_BYTES, limits, offset, |buffer, at| self.write(buffer, at))? else {
            return Ok(None);
        };
        self.file.sync_data()?;
        pass.took = began.elapsed();
        self.bytes = pass.times_ms.len() as u64 * STRIP_BYTES;
        self.file.set_len(self.bytes)?;
        Ok(Some(pass))
    }

    fn write(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        for (number, word) in (offset_bytes / 8..).zip(buffer.as_chunks_mut().0) {
            *word = random(self.seed, number).to_le_bytes();
        }
        write_all_at(&self.file, buffer, offset_bytes)
    }

    /// Fills `buffer` from `offset_bytes`, past the page cache if that can be.
    pub(crate) fn read(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        if self.direct && read_direct(&self.file, buffer, offset_bytes)? {
            return Ok(());
        }
        read_passing_by(&self.file, buffer, offset_bytes)
    }

    /// Has the page cache drop what it holds of it.
    pub(crate) fn forget(&self) {
        forget(&self.file, 0, self.bytes);
    }

    /// Its length.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether reads and writes pass the page cache by.
    #[must_use]
    pub(crate) fn is_direct(&self) -> bool {
        self.direct
    }

    /// Whether its file system lies in memory.
    #[must_use]
    pub(crate) fn is_in_memory(&self) -> bool {
        self.in_memory
    }
}

/// The word that comes `at` that place of an endless row of random ones (splitmix64, Steele et al. 2014).
#[must_use]
pub(crate) fn random(seed: u64, at: u64) -> u64 {
    let mut word = seed.wrapping_add(at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
