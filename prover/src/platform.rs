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
pub(crate) const DIRECT_ALIGNMENT: usize = 4096;

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
pub(crate) fn open_direct(path: &Path) -> Option<File> {
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
pub(crate) fn read_direct(file: &File, buffer: &mut [u8], offset_bytes: u64) -> io::Result<bool> {
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
pub(crate) fn read_passing_by(file: &File, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
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

/// Tells the system that these bytes will not be read again soon, so that they
/// do not push out what other programs have cached.
pub(crate) fn forget(file: &File, offset_bytes: u64, bytes: u64) {
    #[cfg(target_os = "linux")]
    if let Some(bytes) = std::num::NonZeroU64::new(bytes) {
        // Advice: that it was not taken harms nobody.
        let _ = rustix::fs::fadvise(file, offset_bytes, Some(bytes), rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, offset_bytes, bytes);
}
