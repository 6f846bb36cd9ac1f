//! Holding back and stopping: Ctrl-C, a pause file, a greatest rate.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// How often the pause file is looked for: there is nothing portable to wait on.
const PAUSE_POLL: Duration = Duration::from_millis(100);

/// Long work was asked to stop. What is on disk can be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("stopped; `spacetime plot resume` goes on from here")]
pub struct Stopped;

/// Shared by the threads of a long piece of work and whoever watches over it.
#[derive(Debug, Default)]
pub struct Control {
    stopped: Mutex<bool>,
    woken: Condvar,
    pause_file: Option<PathBuf>,
    max_rate: Option<u64>,
    /// When the next write may begin, for `max_rate`.
    next_write: Mutex<Option<Instant>>,
}

impl Control {
    /// Work waits while `pause_file` exists, and writes at most `max_rate` bytes a second. A file that says
    /// `until 1795285394123`, Unix milliseconds, pauses no longer than that: a miner writes it, and may be killed.
    #[must_use]
    pub fn new(pause_file: Option<PathBuf>, max_rate: Option<u64>) -> Self {
        Self { pause_file, max_rate, ..Self::default() }
    }

    /// Asks the work to stop at its next step.
    pub fn stop(&self) {
        *self.stopped.lock().expect("no thread panics with this lock") = true;
        self.woken.notify_all();
    }

    /// Called between steps: waits while paused.
    ///
    /// # Errors
    /// If the work is to stop.
    pub fn step(&self) -> Result<(), Stopped> {
        self.wait(Duration::ZERO)?;
        while self.pause_file.as_ref().is_some_and(|file| pauses(file)) {
            self.wait(PAUSE_POLL)?;
        }
        Ok(())
    }

    /// Waits while paused, and until `bytes` more may be written.
    ///
    /// # Errors
    /// If the work is to stop.
    pub fn pace(&self, bytes: u64) -> Result<(), Stopped> {
        self.step()?;
        let Some(max_rate) = self.max_rate else { return Ok(()) };
        let now = Instant::now();
        let begin = {
            let mut next_write = self.next_write.lock().expect("no thread panics with this lock");
            let begin = next_write.map_or(now, |next| next.max(now));
            *next_write = Some(begin + Duration::from_secs_f64(bytes as f64 / max_rate.max(1) as f64));
            begin
        };
        self.wait(begin - now)
    }

    fn wait(&self, time: Duration) -> Result<(), Stopped> {
        let stopped = self.stopped.lock().expect("no thread panics with this lock");
        let (stopped, _) =
            self.woken.wait_timeout_while(stopped, time, |stopped| !*stopped).expect("no thread panics with this lock");
        if *stopped { Err(Stopped) } else { Ok(()) }
    }
}

/// Longest text of a pause file that is looked at.
const MAX_PAUSE_BYTES: u64 = 64;

/// Whether there is a file that pauses now.
fn pauses(path: &Path) -> bool {
    let mut text = String::new();
    // Whatever is there and says nothing else pauses.
    let read = File::open(path).and_then(|file| file.take(MAX_PAUSE_BYTES).read_to_string(&mut text));
    let until = text.strip_prefix("until ").and_then(|until| until.trim_end().parse().ok());
    match (read, until) {
        (Ok(_), Some(until)) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            now < Duration::from_millis(until)
        }
        _ => path.exists(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn now_ms() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
    }

    #[test]
    fn what_a_pause_file_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pause");
        assert!(!pauses(&path));
        let soon = format!("until {}\n", now_ms() + 60_000);
        let before = format!("until {}\n", now_ms() - 1);
        let cases =
            [("", true), ("tonight", true), (&*soon, true), (&*before, false), ("until", true), ("until x", true)];
        for (text, expected) in cases {
            fs::write(&path, text).unwrap();
            assert_eq!(pauses(&path), expected, "{text:?}");
        }
        fs::write(&path, [0xff; 100]).unwrap();
        assert!(pauses(&path), "no text at all");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(pauses(&path), "a folder");
    }

    #[test]
    fn a_pause_that_nobody_renews_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pause");
        let until = now_ms() + 300;
        fs::write(&path, format!("until {until}\n")).unwrap();
        Control::new(Some(path), None).step().unwrap();
        assert!(now_ms() >= until);
    }

    #[test]
    fn work_goes_on_when_the_file_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pause");
        fs::write(&path, format!("until {}\n", now_ms() + 3_600_000)).unwrap();
        let control = Control::new(Some(path.clone()), None);
        let (done, waiting) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| done.send(control.step()).unwrap());
            assert!(waiting.recv_timeout(Duration::from_millis(250)).is_err(), "it is held up");
            fs::remove_file(&path).unwrap();
            assert_eq!(waiting.recv_timeout(Duration::from_secs(60)).unwrap(), Ok(()));
        });
    }
}
