//! Where log lines go: standard error, as loud as `-v` and `-q` say.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What all of this workspace's crates are called.
const OWN: &str = "spacetime";
/// What the network's are called: they warn of every message that is none, and what peers send must not fill a log.
const NETWORK: &str = "libp2p";

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

    /// What is heard of whom: libraries tell of each packet, so they are heard from one level less.
    fn filter(self) -> Targets {
        let level = self.level();
        let libraries = match level {
            LevelFilter::TRACE => LevelFilter::DEBUG,
            LevelFilter::DEBUG => LevelFilter::INFO,
            LevelFilter::INFO => LevelFilter::WARN,
            other => other,
        };
        let network = if self.verbose == 0 { LevelFilter::ERROR } else { libraries };
        Targets::new().with_default(libraries).with_target(OWN, level).with_target(NETWORK, network)
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
    tracing_subscriber::registry().with(lines).with(verbosity.filter()).init();
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_are_heard_a_level_later() {
        let serving = |verbose| Verbosity { verbose, quiet: false, serves: true }.filter();
        let heard = |filter: &Targets, target, level| filter.would_enable(target, &level);
        let [usual, loud, louder] = [0, 1, 2].map(serving);
        for target in ["spacetime", "spacetime_node::participant"] {
            assert!(heard(&usual, target, Level::INFO) && !heard(&usual, target, Level::DEBUG), "{target}");
        }
        assert!(heard(&usual, "wgpu_hal", Level::WARN) && !heard(&usual, "wgpu_hal", Level::INFO));
        assert!(heard(&usual, "libp2p_gossipsub", Level::ERROR) && !heard(&usual, "libp2p_gossipsub", Level::WARN));
        assert!(heard(&loud, "spacetime_node::sync", Level::DEBUG) && !heard(&loud, "libp2p_swarm", Level::DEBUG));
        assert!(heard(&louder, "spacetime_node::sync", Level::TRACE) && heard(&louder, "libp2p_swarm", Level::DEBUG));
        assert!(!heard(&louder, "libp2p_swarm", Level::TRACE));
    }
}
