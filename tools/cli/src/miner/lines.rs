//! A line for each epoch on standard output.

use spacetime_node::miner::window::WindowLine;
use tracing::warn;

use crate::out;

/// Whoever reads the lines may go, or the disk that they go to may fill: mining goes on.
#[derive(Debug)]
pub(crate) struct Lines {
    json: bool,
    unheard: bool,
}

impl Lines {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, unheard: false }
    }

    pub(crate) fn tell(&mut self, line: &WindowLine) {
        let told = if self.json { out::json(line) } else { out::line(line) };
        match told {
            Ok(()) => self.unheard = false,
            Err(error) if !std::mem::replace(&mut self.unheard, true) => {
                warn!("nobody reads the lines of windows any more: {error}");
            }
            Err(_) => {}
        }
    }
}
