//! What differs between systems: which file a path names, and reads that leave
//! the page cache alone. Linux first; elsewhere each does the plain thing.

mod positioned;

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::SystemTime;

pub use positioned::{read_exact_at, write_all_at};

/// What offset, length and memory of a direct read are multiples of: a page,
/// and no less than the logical sectors of the disks there are.
pub const DIRECT_ALIGNMENT: usize = 4096;

/// Which file it is and which state of it: equal as long as nobody replaced or wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    place: Option<(u64, u64)>,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let place = {
            use std::os::unix::fs::MetadataExt;
            Some((metadata.dev(), metadata.ino()))
        };
        #[cfg(not(unix))]
        let place = None;
        Self { place, bytes: metadata.len(), modified: metadata.modified().ok() }
    }

    /// Whether both are one file, reached perhaps by two paths.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        self.place.is_some() && self.place == other.place
    }

    /// Device and number on it, where the system knows such a thing.
    pub(crate) fn place(&self) -> Option<(u64, u64)> {
        self.place
    }

    /// The disk that holds the file; 0 where the system does not tell.
    pub(crate) fn disk(&self) -> u64 {
        self.place.map_or(0, |(device, _)| device)
    }
}

/// Opens `path` for reads past the page cache; `None` where there is no such thing.
pub fn open_direct(path: &Path) -> Option<File> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::DIRECT | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).ok()?;
        File::options().read(true).custom_flags(flags).open(path).ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        None
    }
}

/// Fills `buffer` from `offset_bytes` of a file from [`open_direct`]; all three
/// are aligned to [`DIRECT_ALIGNMENT`]. `Ok(false)`: this file system takes no
/// direct reads after all.
///
/// # Errors
/// What the system says; [`io::ErrorKind::UnexpectedEof`] if the file ends before `buffer` is full.
pub fn read_direct(file: &File, buffer: &mut [u8], offset_bytes: u64) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::Errno;
        let mut filled = 0;
        while filled < buffer.len() {
            match rustix::io::pread(file, &mut buffer[filled..], offset_bytes + filled as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(Errno::INVAL) if filled == 0 => return Ok(false),
                // The read before stopped off a sector's end: there the file ends.
                Err(Errno::INVAL) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, buffer, offset_bytes);
        Ok(false)
    }
}

/// Fills `buffer` from `offset_bytes` of `file` through the page cache, and
/// leaves there what was there before but not what this read brought in.
///
/// # Errors
/// As [`read_exact_at`].
pub fn read_passing_by(file: &File, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::ReadWriteFlags;
        // What a read that must not wait returns was cached already.
        let mut slices = [io::IoSliceMut::new(buffer)];
        let cached = rustix::io::preadv2(file, &mut slices, offset_bytes, ReadWriteFlags::NOWAIT).unwrap_or(0);
        let (rest, offset_bytes) = (&mut buffer[cached..], offset_bytes + cached as u64);
        read_exact_at(file, rest, offset_bytes)?;
        forget(file, offset_bytes, rest.len() as u64);
        Ok(())
    }
    #[cfg(not(target_os = "linux"))]
    read_exact_at(file, buffer, offset_bytes)
}

/// Tells the system that these bytes of `file` will not be read again soon, so
/// that they do not push out what other programs have cached. Written ones must
/// have been synced.
pub fn forget(file: &File, offset_bytes: u64, bytes: u64) {
    #[cfg(target_os = "linux")]
    if let Some(bytes) = std::num::NonZeroU64::new(bytes) {
        // Advice: that it was not taken harms nobody.
        let _ = rustix::fs::fadvise(file, offset_bytes, Some(bytes), rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, offset_bytes, bytes);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::farm::Buffer;

    const PAGES: usize = 64;

    /// A file that was synced, and what is in it.
    fn file() -> (tempfile::NamedTempFile, Vec<u8>) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let bytes: Vec<u8> = (0..PAGES * 4096).map(|at| (at / 7) as u8).collect();
        io::Write::write_all(&mut file, &bytes).expect("a small file");
        file.as_file().sync_all().expect("a small file");
        (file, bytes)
    }

    /// Whether the page cache holds these bytes.
    fn is_cached(file: &File, offset_bytes: u64) -> bool {
        let mut page = [0; 4096];
        let mut slices = [io::IoSliceMut::new(&mut page)];
        rustix::io::preadv2(file, &mut slices, offset_bytes, rustix::io::ReadWriteFlags::NOWAIT) == Ok(4096)
    }

    #[test]
    fn direct_reads_read_what_is_there() {
        let (file, bytes) = file();
        let Some(direct) = open_direct(file.path()) else {
            return println!("SKIPPED: no direct reads in {}", file.path().display());
        };
        let mut buffer = Buffer::new(8192);
        assert!(read_direct(&direct, buffer.as_mut_slice(), 4096).expect("a read"));
        assert_eq!(buffer.as_slice(), &bytes[4096..][..8192]);
        // At the end of the file, on a page and off it, and beyond.
        for (length, offset_bytes) in [(bytes.len(), bytes.len() - 4096), (bytes.len() - 4000, 62 * 4096), (4096, 8192)]
        {
            file.as_file().set_len(length as u64).expect("a small file");
            let error = read_direct(&direct, buffer.as_mut_slice(), offset_bytes as u64).expect_err("a short file");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{length} bytes");
        }
    }

    #[test]
    fn reads_in_passing_leave_the_page_cache_as_it_was() {
        let (file, bytes) = file();
        let file = file.as_file();
        let mut buffer = vec![0; bytes.len()];
        forget(file, 0, bytes.len() as u64);
        if is_cached(file, 0) {
            return println!("SKIPPED: this file system keeps all in memory");
        }
        forget(file, 0, bytes.len() as u64);
        read_passing_by(file, &mut buffer, 0).expect("a read");
        assert_eq!(buffer, bytes);
        assert!(!is_cached(file, 40 * 4096), "what was not cached before is not cached now");
        // The control: a plain read leaves it there, and then it stays.
        read_exact_at(file, &mut buffer, 0).expect("a read");
        assert!(is_cached(file, 40 * 4096));
        buffer.fill(0);
        read_passing_by(file, &mut buffer, 0).expect("a read");
        assert!(buffer == bytes && is_cached(file, 40 * 4096));
    }
}
