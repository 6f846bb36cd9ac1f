//! Ctrl-C as a flag that long work looks at between two steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::{Code, Failure};

/// Set once the user asked to stop.
///
/// Verbs that finish at once never install it and die of the signal as any
/// program does. SIGHUP keeps its meaning, so that `nohup` works; a plot left
/// behind by it is resumed like any other.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    /// The signal that came last, or zero.
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// From now on the first Ctrl-C or SIGTERM sets the flag; the second ends
    /// the program on the spot with code 130.
    ///
    /// # Errors
    /// If the system does not take the signal handlers.
    pub fn install() -> Result<Self, Failure> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the first signal finds the flag still unset.
            flag::register_conditional_shutdown(signal, Code::Interrupted as i32, Arc::clone(&interrupt.asked))
                .and_then(|_| flag::register(signal, Arc::clone(&interrupt.asked)))
                .and_then(|_| flag::register_usize(signal, Arc::clone(&interrupt.signal), signal as usize))
                .context("cannot install a signal handler")?;
        }
        Ok(interrupt)
    }

    /// Calls `stop` once the user asked to stop, on a thread of its own.
    ///
    /// # Errors
    /// If the system gives no thread or takes no handler.
    pub fn then(&self, stop: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot install a signal handler")?;
        let wait = move || {
            if signals.forever().next().is_some() {
                stop();
            }
        };
        std::thread::Builder::new().name("interrupt".into()).spawn(wait).context("cannot start a thread")?;
        Ok(())
    }

    /// Whether the user asked to stop.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// How a program ends well that runs until it is asked to end: that is nothing to fail for, unless a person at the
    /// terminal did it by Ctrl-C.
    ///
    /// # Errors
    /// With code 130 if it was Ctrl-C.
    pub fn end_of_service(&self) -> Result<(), Failure> {
        match self.signal.load(Ordering::Relaxed) as i32 {
            SIGINT => Err(Failure::interrupted("stopped by Ctrl-C; nothing is lost")),
            _ => Ok(()),
        }
    }

    /// The flag itself, for libraries that watch one.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// Goes on, unless the user asked to stop.
    ///
    /// # Errors
    /// With code 130, and `message` saying what was left and how to go on.
    pub fn check(&self, message: &str) -> Result<(), Failure> {
        if self.requested() { Err(Failure::interrupted(message)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_asks_and_the_program_lives() {
        let interrupt = Interrupt::install().expect("handlers");
        assert!(interrupt.check("nothing to resume").is_ok());
        assert!(interrupt.end_of_service().is_ok());
        signal_hook::low_level::raise(SIGTERM).expect("raised");
        assert!(interrupt.requested() && interrupt.flag().load(Ordering::Relaxed));
        let failure = interrupt.check("left x.plot.tmp; `plot resume` goes on").expect_err("asked to stop");
        assert_eq!(failure.code(), Code::Interrupted);
        assert!(interrupt.end_of_service().is_ok(), "it was not Ctrl-C");
    }
}
