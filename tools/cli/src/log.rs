//! Where log lines go: standard error, as loud as `-v` and `-q` say.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How loud the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verbosity {
    /// How often `-v` was given.
    pub(crate) verbose: u8,
    /// Whether `-q` was given.
    pub(crate) quiet: bool,
    /// Whether the program runs until it is stopped: then its log says when what happened, one level more of it.
    pub(crate) serves: bool,
}

impl Verbosity {
    fn level(self) -> LevelFilter {
        match (self.quiet, self.verbose + u8::from(self.serves && self.verbose < u8::MAX)) {
            (true, _) => LevelFilter::ERROR,
            (false, 0) => LevelFilter::WARN,
            (false, 1) => LevelFilter::INFO,
            (false, 2) => LevelFilter::DEBUG,
            (false, _) => LevelFilter::TRACE,
        }
    }
}

/// Starts logging. A log line that cannot be written is lost, never a panic.
pub(crate) fn start(verbosity: Verbosity) {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false);
    let lines = if verbosity.serves { lines.boxed() } else { lines.without_time().boxed() };
    // What libraries tell of themselves says little to whom it is not for.
    let others = Verbosity { verbose: verbosity.verbose.saturating_sub(1), serves: false, ..verbosity };
    let loud = Targets::new().with_target("spacetime", verbosity.level()).with_default(others.level());
    // What peers send must not fill a log: the network warns of every message that is none.
    let loud = if verbosity.verbose == 0 { loud.with_target("libp2p", LevelFilter::ERROR) } else { loud };
    tracing_subscriber::registry().with(lines).with(loud).init();
}
