//! Holding back and stopping: Ctrl-C, a pause file, a greatest rate.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

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
    /// Work waits while `pause_file` exists, and writes at most `max_rate` bytes a second.
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
        while self.pause_file.as_ref().is_some_and(|file| file.exists()) {
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
