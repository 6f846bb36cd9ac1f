//! One process of the network.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::Context;

use crate::Failure;
use crate::exit::one_line;

/// Of the log of a process that ended, so many bytes are looked at, and so many lines told.
const TAIL_BYTES: u64 = 8 << 10;
const TAIL_LINES: usize = 12;

/// A process that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
    asked_to_stop: bool,
    /// Most memory that it has had, as the system last said.
    peak_bytes: Option<u64>,
}

impl Process {
    /// Starts this very program with `arguments`. What it says goes to `log`, and to `output` where it is given.
    ///
    /// It has a process group of its own, so that Ctrl-C in the terminal reaches the devnet alone, which stops all in
    /// order. Settings in the environment are not for it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn start(
        name: &str,
        arguments: &[impl AsRef<std::ffi::OsStr>],
        log: &Path,
        output: Option<&Path>,
    ) -> Result<Self, Failure> {
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let file = |path: &Path| File::create_new(path).with_context(|| format!("cannot make {}", path.display()));
        let errors = file(log)?;
        // A node tells what happens by itself, a miner when it is asked to.
        let loud: &[&str] = if output.is_some() { &["-v", "--leash"] } else { &["--leash"] };
        let output = match output {
            Some(path) => file(path)?,
            None => errors.try_clone().with_context(|| format!("cannot use {}", log.display()))?,
        };
        let mut command = Command::new(&program);
        command.args(loud).args(arguments).stdin(Stdio::piped()).stdout(output).stderr(errors);
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("SPACETIME_") {
                command.env_remove(variable);
            }
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let log = log.to_owned();
        Ok(Self { name: name.to_owned(), child, log, ended: None, asked_to_stop: false, peak_bytes: None })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Most memory that it has had.
    pub(super) fn peak_bytes(&self) -> Option<u64> {
        self.peak_bytes
    }

    /// Whether it runs no more.
    pub(super) fn has_ended(&mut self) -> bool {
        if self.ended.is_none() {
            // What cannot be asked about is a child no more.
            self.ended = self.child.try_wait().unwrap_or(Some(ExitStatus::default()));
        }
        self.ended.is_some()
    }

    /// Goes on while it runs, or was asked to stop.
    ///
    /// # Errors
    /// If it ended by itself.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        if self.asked_to_stop || !self.has_ended() {
            return Ok(());
        }
        let status = self.ended.unwrap_or_default();
        Err(Failure::failed(format!("{} ended by itself ({status}); its log is {}", self.name, self.log.display())))
    }

    /// Whether it ended without being asked to.
    pub(super) fn is_lost(&mut self) -> bool {
        self.check().is_err()
    }

    /// The last lines of its log.
    pub(super) fn tail(&self) -> Vec<String> {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => last_lines(&String::from_utf8_lossy(&bytes)),
            Err(error) => vec![format!("(its log cannot be read: {error})")],
        }
    }

    /// Notes how much memory it has had.
    pub(super) fn measure(&mut self) {
        if let Some(bytes) = peak_memory(self.id()) {
            self.peak_bytes = Some(bytes.max(self.peak_bytes.unwrap_or(0)));
        }
    }

    /// Asks it to stop, as the system would.
    pub(super) fn ask_to_stop(&mut self) {
        if self.asked_to_stop || self.has_ended() {
            return;
        }
        self.measure();
        self.asked_to_stop = true;
        // It has not been waited for, so the id is still its own.
        #[cfg(unix)]
        let _ =
            rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM);
        // Where there are no signals, the end of its input tells it.
        #[cfg(not(unix))]
        drop(self.child.stdin.take());
    }

    /// Waits until it has ended, until `deadline` at most. Says whether it has.
    pub(super) fn wait(&mut self, deadline: Instant) -> bool {
        while !self.has_ended() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(super::TICK);
        }
        true
    }

    /// Ends it on the spot.
    pub(super) fn kill(&mut self) {
        if !self.has_ended() {
            // It may have ended just now.
            let _ = self.child.kill();
            self.ended = self.child.wait().ok().or(Some(ExitStatus::default()));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of a text.
fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| one_line(line)).collect()
}

/// The most memory that a process has had, where the system tells.
fn peak_memory(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_ends_with_its_last_lines() {
        assert!(last_lines("").is_empty());
        assert_eq!(last_lines("one\n\ntwo \u{1b}[31m\n"), ["one", "two \\u{1b}[31m"]);
        let long: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let last = last_lines(&long);
        assert_eq!((last.len(), last[0].as_str(), last[11].as_str()), (12, "line 88", "line 99"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_what_the_system_says() {
        assert!(peak_memory(std::process::id()).is_some_and(|bytes| bytes > 1 << 20));
        assert_eq!(peak_memory(u32::MAX), None);
    }
}
