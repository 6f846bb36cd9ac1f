//! How far work on a store is: a bar on a terminal, an object a line with `--json`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::out;

/// How often `--json` prints how far it is.
const JSON_INTERVAL: Duration = Duration::from_secs(1);
/// How often a bar is drawn anew where nothing happens.
const BAR_INTERVAL: Duration = Duration::from_secs(1);

const COUNTED: &str = "{msg} [{bar:30}] {percent:>3}%  {human_pos} of {human_len}  {per_sec}  {eta} left";
const UNCOUNTED: &str = "{msg}  {human_pos}  {per_sec}  {elapsed}";

/// Shows how far it is.
#[derive(Debug)]
pub(in crate::node) struct Progress {
    bar: Option<ProgressBar>,
    json: bool,
    doing: &'static str,
    done: u64,
    total: Option<u64>,
    said: Instant,
}

#[derive(Serialize)]
struct Line {
    event: &'static str,
    doing: &'static str,
    done: u64,
    total: Option<u64>,
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well-formed").progress_chars("=> ")
}

impl Progress {
    pub(in crate::node) fn new(json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && tracing::enabled!(tracing::Level::WARN);
        let bar = (terminal && !json).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            bar.enable_steady_tick(BAR_INTERVAL);
            bar
        });
        Self { bar, json, doing: "", done: 0, total: None, said: Instant::now() }
    }

    /// Something begins, with so much to do where that is known.
    pub(in crate::node) fn begin(&mut self, doing: &'static str, total: Option<u64>) {
        (self.doing, self.done, self.total) = (doing, 0, total);
        if let Some(bar) = &self.bar {
            bar.set_style(style(if total.is_some() { COUNTED } else { UNCOUNTED }));
            bar.set_message(doing);
            bar.set_length(total.unwrap_or(0));
            bar.set_position(0);
            bar.reset_eta();
        }
    }

    /// So much of it is done.
    pub(in crate::node) fn advance(&mut self, by: u64) {
        self.done = self.done.saturating_add(by);
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        }
        if self.json && self.said.elapsed() >= JSON_INTERVAL {
            self.said = Instant::now();
            // If standard output is closed, the result will say so.
            let _ = out::json(&Line { event: "progress", doing: self.doing, done: self.done, total: self.total });
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
