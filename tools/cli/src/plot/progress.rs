//! How far a plot is: a bar on a terminal, an object a line with `--json`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use spacetime_plotter::{Event, Phase, Step};

use crate::out;

/// How often `--json` prints how far a plot is.
const JSON_INTERVAL: Duration = Duration::from_secs(1);

/// Shows how far several plots are at once.
#[derive(Debug)]
pub(crate) struct Screen {
    bars: Option<MultiProgress>,
    json: bool,
}

/// Shows how far one piece of work is.
#[derive(Debug)]
pub(crate) struct Progress {
    path: PathBuf,
    bar: Option<ProgressBar>,
    json: bool,
    row_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    began: Instant,
    said: Option<Instant>,
    rows: u64,
    /// Rows there when this run began.
    before: u64,
    grown: u64,
    done: u64,
}

impl State {
    /// How long the slower of growing and writing takes for the rest, at the
    /// rate of the `seconds` so far; none where there is no rate yet.
    fn seconds_left(&self, seconds: f64) -> Option<f64> {
        let left = |reached: u64| match (self.rows - reached, reached - self.before) {
            (0, _) => Some(0.0),
            (_, 0) => None,
            (left, made) => Some(left as f64 * seconds / made as f64),
        };
        match (left(self.grown)?, left(self.done)) {
            (growing, Some(writing)) => Some(growing.max(writing)),
            // Nothing is written yet: growing alone says something, as long as it goes on.
            (growing, None) => (growing > 0.0).then_some(growing),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    #[serde(serialize_with = "out::path")]
    path: &'a Path,
    rows: u64,
    rows_grown: u64,
    rows_done: u64,
    bytes_per_second: f64,
    seconds_left: Option<f64>,
}

impl Screen {
    pub(crate) fn new(json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && tracing::enabled!(tracing::Level::WARN);
        let bars = (terminal && !json).then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self { bars, json }
    }

    fn bar(&self, path: &Path) -> Option<ProgressBar> {
        self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(0).with_style(style(NOTHING)));
            bar.set_message(file_name(path));
            bar.enable_steady_tick(BAR_INTERVAL);
            bar
        })
    }

    /// A bar for work on the plot at `path` that goes in [`Step`]s.
    pub(crate) fn start_steps(&self, path: &Path) -> StepProgress {
        StepProgress { bar: self.bar(path), name: file_name(path) }
    }

    /// A bar for growing `path`, whose rows have `row_bytes` bytes each.
    pub(crate) fn start(&self, path: &Path, row_bytes: u64) -> Progress {
        let bar = self.bar(path);
        let state = State { began: Instant::now(), said: None, rows: 0, before: 0, grown: 0, done: 0 };
        Progress { path: path.to_owned(), bar, json: self.json, row_bytes, state: Mutex::new(state) }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// How often a bar is drawn anew where nothing happens.
const BAR_INTERVAL: Duration = Duration::from_secs(1);

/// How a bar counts: before anything is known, and before there is a rate, which with a GPU lasts for the
/// whole first lot.
const NOTHING: &str = "{msg}  {elapsed}";
const FIRST: &str = "{msg} [{bar:30}] {percent:>3}%  {binary_bytes} of {binary_total_bytes}  {elapsed} so far";
const BYTES: &str =
    "{msg} [{bar:30}] {percent:>3}%  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";
const ROWS: &str = "{msg} [{bar:30}] {percent:>3}%  {pos} of {len} rows  {eta} left";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well-formed").progress_chars("=> ")
}

impl Progress {
    /// Takes in what happened.
    pub(crate) fn see(&self, event: Event) {
        let mut state = self.state.lock().expect("showing progress does not panic");
        match event {
            Event::Began { rows, rows_done } => {
                (state.rows, state.before, state.grown, state.done) = (rows, rows_done, rows_done, rows_done);
                state.began = Instant::now();
                if let Some(bar) = &self.bar {
                    bar.set_style(style(FIRST));
                    bar.set_length(rows * self.row_bytes);
                    bar.set_position(rows_done * self.row_bytes);
                    bar.reset_eta();
                }
            }
            Event::Grown(rows) => {
                let is_first = state.grown == state.before;
                state.grown += rows;
                if let Some(bar) = &self.bar {
                    if is_first {
                        bar.set_style(style(BYTES));
                    }
                    bar.set_position(state.grown * self.row_bytes);
                    if state.grown == state.rows {
                        bar.set_message(format!("{} writing", file_name(&self.path)));
                    }
                }
            }
            Event::Done { rows_done } => {
                state.done = rows_done;
                if let Some(bar) = self.bar.as_ref().filter(|_| state.done == state.rows) {
                    bar.set_message(file_name(&self.path));
                }
            }
            // The log says so.
            Event::Lost(_) => {}
        }
        let due = state.said.is_none_or(|said| said.elapsed() >= JSON_INTERVAL);
        if self.json && due {
            state.said = Some(Instant::now());
            let grown = state.grown - state.before;
            let seconds = state.began.elapsed().as_secs_f64();
            let rate = if seconds > 0.0 { grown as f64 / seconds } else { 0.0 };
            let line = Line {
                event: "progress",
                path: &self.path,
                rows: state.rows,
                rows_grown: grown,
                rows_done: state.done,
                bytes_per_second: rate * self.row_bytes as f64,
                seconds_left: state.seconds_left(seconds),
            };
            // A reader that left is noticed when the result is printed.
            let _ = out::json(&line);
        }
    }
}

/// Shows how far reading, growing again or copying is.
#[derive(Debug)]
pub(crate) struct StepProgress {
    bar: Option<ProgressBar>,
    name: String,
}

impl StepProgress {
    /// Takes in what happened.
    pub(crate) fn see(&self, step: Step) {
        let Some(bar) = &self.bar else { return };
        match step {
            Step::Began { phase, total } => {
                let (doing, counted) = match phase {
                    Phase::Reading => ("reading", BYTES),
                    Phase::Growing => ("growing again", ROWS),
                    Phase::Verifying => ("verifying", BYTES),
                    Phase::Copying => ("copying", BYTES),
                };
                bar.set_style(style(counted));
                bar.set_message(format!("{} {doing}", self.name));
                bar.set_length(total);
                bar.set_position(0);
                bar.reset_eta();
            }
            Step::Advanced(more) => bar.inc(more),
        }
    }
}

impl Drop for StepProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress {
    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_growing_and_writing_says_how_long() {
        let left = |before, grown, done| {
            State { began: Instant::now(), said: None, rows: 100, before, grown, done }.seconds_left(10.0)
        };
        assert_eq!(left(0, 0, 0), None);
        assert_eq!(left(0, 50, 0), Some(10.0));
        assert_eq!(left(0, 50, 20), Some(40.0));
        assert_eq!(left(0, 100, 0), None, "all is grown, and nothing is written");
        assert_eq!(left(0, 100, 50), Some(10.0));
        assert_eq!(left(50, 75, 50), Some(10.0), "what an earlier run left is no work of this one");
        assert_eq!(left(0, 100, 100), Some(0.0));
    }
}
