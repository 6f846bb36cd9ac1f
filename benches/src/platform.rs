//! What differs between systems. Linux first; elsewhere each does the plain thing.

use std::fs::File;
use std::io;
use std::path::Path;

use spacetime_prover::farm::Buffer;
use spacetime_prover::{DIRECT_ALIGNMENT, open_direct, read_direct};

/// Bytes that this user may still write below `folder`.
///
/// # Errors
/// What the system says.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    #[cfg(unix)]
    {
        let stat = rustix::fs::statvfs(folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        Ok(u64::MAX)
    }
}

/// Reserves the first `bytes` of `file`, as the plotter does before it grows; makes it that long where that cannot be.
///
/// # Errors
/// What the system says: above all that there is no space.
pub(crate) fn preallocate(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        loop {
            match fallocate(file, FallocateFlags::empty(), 0, bytes) {
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => break,
                done => return done.map_err(Into::into),
            }
        }
    }
    file.set_len(bytes)
}

/// Has reads and writes of `file` pass the page cache by, or not; whether the system takes that.
pub(crate) fn set_direct(file: &File, direct: bool) -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
        let set = |flags: OFlags| {
            let flags = if direct { flags | OFlags::DIRECT } else { flags - OFlags::DIRECT };
            fcntl_setfl(file, flags)
        };
        fcntl_getfl(file).and_then(set).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        !direct
    }
}

/// Whether the file system that holds `file` lies in memory. One that does may take
/// "direct" reads all the same (tmpfs, since Linux 6.6).
pub(crate) fn is_in_memory(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    {
        // statfs(2): TMPFS_MAGIC and RAMFS_MAGIC, 32 bits on every architecture.
        const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];
        rustix::fs::fstatfs(file).is_ok_and(|stat| IN_MEMORY.contains(&(stat.f_type as u32)))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        false
    }
}

/// Whether reads of the file at `path` come from its disk, not from this machine's memory.
pub(crate) fn is_read_cold(path: &Path) -> bool {
    let Some(file) = open_direct(path) else { return false };
    let mut page = Buffer::new(DIRECT_ALIGNMENT);
    !is_in_memory(&file) && read_direct(&file, page.as_mut_slice(), 0).unwrap_or(false)
}
