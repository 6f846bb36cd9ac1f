//! Standard output: results and nothing else.
//!
//! `println!` panics when the reader has left; these do not.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use anyhow::Context;
use serde::{Serialize, Serializer};

use crate::Failure;

/// Writes one line.
///
/// # Errors
/// If standard output cannot be written: silent when its reader has left.
pub fn line(text: impl Display) -> Result<(), Failure> {
    write_all(format!("{text}\n").as_bytes())
}

/// Writes one JSON object on a line of its own.
///
/// # Errors
/// As [`line()`].
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).context("cannot write a result as JSON")?;
    line(text)
}

/// Serialises a path, whose bytes may be no UTF-8: those become U+FFFD.
pub(crate) fn path<S: Serializer>(path: impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.as_ref().display())
}

/// Writes bytes as they are.
///
/// # Errors
/// As [`line()`].
pub fn write_all(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::output_closed()),
        Err(error) => Err(Failure::failed(format!("cannot write to standard output: {error}"))),
    }
}
