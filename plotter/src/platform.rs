//! What differs between systems: free space and memory, preallocation,
//! priorities, the page cache. Linux first; elsewhere each does the plain thing.

use std::fs::File;
use std::io;
use std::path::Path;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Bytes that this user may still write below `folder`.
///
/// # Errors
/// What the system says.
pub(crate) fn free_space(folder: &Path) -> io::Result<u64> {
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

/// Whether two folders are known to share their free space.
pub(crate) fn same_disk(left: &Path, right: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let disk = |folder| std::fs::metadata(folder).map(|metadata| metadata.dev());
        matches!((disk(left), disk(right)), (Ok(left), Ok(right)) if left == right)
    }
    #[cfg(not(unix))]
    {
        let _ = (left, right);
        false
    }
}

/// Bytes of memory that can be had without swapping, if the system tells.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let machine = kibibytes * 1024;
    // A container may hold less than the machine (cgroup v2).
    let number = |name: &str| -> Option<u64> {
        std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse().ok()
    };
    let container = number("memory.max").zip(number("memory.current")).map(|(max, now)| max.saturating_sub(now));
    Some(container.map_or(machine, |container| container.min(machine)))
}

/// Most bytes of memory that this process has held at once, if the system tells.
#[must_use]
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Reserves the first `bytes` of `file` and makes it that long. Where the file
/// system cannot reserve, it is made long only, and the answer is `false`.
///
/// # Errors
/// What the system says: above all that there is no space.
pub(crate) fn preallocate(file: &File, bytes: u64) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        loop {
            match fallocate(file, FallocateFlags::empty(), 0, bytes) {
                Ok(()) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    file.set_len(bytes)?;
    Ok(false)
}

/// Whether a read failed because the disk could not read that place, so that others may succeed.
pub(crate) fn is_unreadable(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::Errno;
        matches!(Errno::from_io_error(error), Some(Errno::IO | Errno::NODATA | Errno::ILSEQ))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = error;
        false
    }
}

/// Puts the calling thread behind every other one, for CPU and for disk.
pub(crate) fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        // On Linux this is the thread's own niceness. That a sandbox forbids it harms nobody.
        let _ = rustix::process::setpriority_process(None, 19);
        idle_classes();
    }
}

/// `SCHED_IDLE` and `IOPRIO_CLASS_IDLE` for this thread, which neither std nor rustix knows.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn idle_classes() {
    const WHO_PROCESS: libc::c_int = 1;
    const CLASS_IDLE: libc::c_int = 3 << 13;
    let no_priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: sched_setscheduler(2) reads a sched_param that outlives the call, and 0 names the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &no_priority) };
    // SAFETY: ioprio_set(2) takes three integers, reads and writes no memory of ours, and
    // 0 names the calling thread.
    unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE) };
}

/// A pool of `threads` threads that stand behind every other one.
///
/// # Errors
/// If the system starts no more threads.
pub(crate) fn idle_pool(threads: usize) -> io::Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).start_handler(|_| lower_priority());
    pool.build().map_err(io::Error::other)
}

/// Runs `work` on a thread of its own that stands behind every other one, for
/// CPU and for disk, and waits for it.
pub(crate) fn at_idle_priority<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            lower_priority();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Opens a file for reading and writing, which is to be a regular one with no
/// other name: never through a link, and never waiting for a pipe's other end.
///
/// # Errors
/// What the system says, and if it is anything else.
pub(crate) fn open_own(path: &Path, create: bool) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(create).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = options.custom_flags(flags.bits().cast_signed()).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.nlink() > 1 {
            return Err(io::Error::other("is not a regular file with this name alone"));
        }
        Ok(file)
    }
    #[cfg(not(unix))]
    options.open(path)
}

/// Bytes that a file takes on its disk.
pub(crate) fn space_taken(file: &File) -> u64 {
    #[cfg(unix)]
    let taken = file.metadata().map(|metadata| std::os::unix::fs::MetadataExt::blocks(&metadata) * 512);
    #[cfg(not(unix))]
    let taken = file.metadata().map(|metadata| metadata.len());
    taken.unwrap_or(0)
}

/// Makes renames and new names in `folder` last.
///
/// # Errors
/// What the system says.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Renames `from` to `to`, which must not exist unless `replace`.
///
/// # Errors
/// What the system says; [`io::ErrorKind::AlreadyExists`] if `to` exists and must not.
pub(crate) fn rename(from: &Path, to: &Path, replace: bool) -> io::Result<()> {
    if replace {
        return std::fs::rename(from, to);
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Some file systems know no such flag: look first, then rename.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            result => return Ok(result?),
        }
    }
    if to.try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, to)
}

/// The process of that id by name, for a message.
pub(crate) fn process_name(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { format!("process {pid}") } else { format!("process {pid} ({name})") }
}
