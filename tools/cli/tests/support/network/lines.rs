//! What a process says, line by line, and when.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A line, and when it was read, which is a moment after it was written.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// When.
    pub(crate) at: Instant,
    /// What.
    pub(crate) text: String,
}

impl Line {
    /// The value of a `tracing` field that has no blanks in it.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let key = format!("{name}=");
        self.text.split_whitespace().find_map(|word| word.strip_prefix(&key))
    }
}

/// The lines of one process after another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(Arc<(Mutex<Vec<Line>>, Condvar)>);

impl Lines {
    /// Reads to the end of `output` on a thread of its own, and keeps a copy in `file`.
    pub(crate) fn follow(&self, output: impl Read + Send + 'static, file: &Path) {
        let (lines, mut copy) =
            (self.clone(), OpenOptions::new().create(true).append(true).open(file).expect("a file of ours"));
        std::thread::spawn(move || {
            for text in BufReader::new(output).split(b'\n') {
                let Ok(text) = text else { return };
                let text = String::from_utf8_lossy(&text).into_owned();
                let _ = writeln!(copy, "{text}");
                let (all, grown) = &*lines.0;
                all.lock().expect("nobody panics with it").push(Line { at: Instant::now(), text });
                grown.notify_all();
            }
        });
    }

    /// All lines that `wanted` finds something in, from the line `from` on.
    pub(crate) fn find<T>(&self, from: usize, wanted: impl FnMut(&Line) -> Option<T>) -> Vec<T> {
        let all = self.0.0.lock().expect("nobody panics with it");
        all[from.min(all.len())..].iter().filter_map(wanted).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.0.lock().expect("nobody panics with it").len()
    }

    /// Waits for a line from `from` on that `wanted` finds something in. None after `patience`.
    pub(crate) fn wait<T>(
        &self,
        mut from: usize,
        patience: Duration,
        mut wanted: impl FnMut(&Line) -> Option<T>,
    ) -> Option<T> {
        let (all, grown) = &*self.0;
        let until = Instant::now() + patience;
        let mut held = all.lock().expect("nobody panics with it");
        loop {
            if let Some(found) = held[from.min(held.len())..].iter().find_map(&mut wanted) {
                return Some(found);
            }
            from = held.len();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            held = grown.wait_timeout(held, left).expect("nobody panics with it").0;
        }
    }
}
