//! How a verb ends: exit codes and the error that carries one.

use std::fmt::{self, Display};
use std::io::Write;
use std::process::ExitCode;

/// The program's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done.
    Done = 0,
    /// It could not be done: no space, no permission, unreachable.
    Failed = 1,
    /// Wrong usage, or a value out of range.
    Usage = 2,
    /// Damaged or invalid data was found: a bad file, a refused proof.
    Damaged = 3,
    /// Stopped by Ctrl-C or a request to terminate.
    Interrupted = 130,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a verb did not end well: an exit code and the line that explains it.
///
/// Any error becomes one with code 1 through `?`; [`FailureExt`] gives another.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    /// `None` where there is nobody left to tell: standard output is closed.
    error: Option<anyhow::Error>,
}

impl Failure {
    /// A failure with this code and message.
    pub fn new(code: Code, message: impl Display) -> Self {
        Self { code, error: Some(anyhow::anyhow!("{message}")) }
    }

    /// Code 1: it could not be done.
    pub fn failed(message: impl Display) -> Self {
        Self::new(Code::Failed, message)
    }

    /// Code 2: wrong usage, or a value out of range.
    pub fn usage(message: impl Display) -> Self {
        Self::new(Code::Usage, message)
    }

    /// Code 3: damaged or invalid data was found.
    pub fn damaged(message: impl Display) -> Self {
        Self::new(Code::Damaged, message)
    }

    /// Code 130: the user stopped it; the message says how to go on.
    pub fn interrupted(message: impl Display) -> Self {
        Self::new(Code::Interrupted, message)
    }

    /// Code 1 without a word: whoever read standard output has left.
    pub(crate) fn output_closed() -> Self {
        Self { code: Code::Failed, error: None }
    }

    /// The exit code it carries.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Writes `error: …` to standard error, on one line whatever a file is
    /// called, and returns the exit code.
    #[must_use]
    pub fn report(self) -> ExitCode {
        if let Some(error) = &self.error {
            // If standard error is closed too, the code has to say it all.
            let _ = writeln!(std::io::stderr(), "error: {}", one_line(&format!("{error:#}")));
        }
        self.code.into()
    }
}

/// The failures of several pieces of work; one's is not the others'.
///
/// Each is a line `error: …`; the last one's code is the program's.
#[derive(Debug, Default)]
#[must_use = "the last failure is told by `end` alone"]
pub struct Failures(Option<Failure>);

impl Failures {
    /// Takes one in, and reports the one before.
    pub fn push(&mut self, failure: Failure) {
        if let Some(earlier) = self.0.replace(failure) {
            let _ = earlier.report();
        }
    }

    /// Takes in a failure if it is one.
    pub fn take<T>(&mut self, result: Result<T, Failure>) -> Option<T> {
        result.map_err(|failure| self.push(failure)).ok()
    }

    /// The end of it all, by this failure: what was pushed before is reported.
    ///
    /// # Errors
    /// Always: the failure, which has not been reported yet.
    pub fn end_with(mut self, failure: Failure) -> Result<(), Failure> {
        self.push(failure);
        self.end()
    }

    /// The end of it all.
    ///
    /// # Errors
    /// The last failure, which has not been reported yet.
    pub fn end(self) -> Result<(), Failure> {
        self.0.map_or(Ok(()), Err)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: Code::Failed, error: Some(error.into()) }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{error:#}"),
            None => f.write_str("standard output is closed"),
        }
    }
}

/// Turns any error into a [`Failure`] with the code that fits.
pub trait FailureExt<T> {
    /// With `code`.
    ///
    /// # Errors
    /// The error, carrying the code.
    fn or_exit(self, code: Code) -> Result<T, Failure>;

    /// With code 2: wrong usage, or a value out of range.
    ///
    /// # Errors
    /// The error, carrying the code.
    fn or_usage(self) -> Result<T, Failure>
    where
        Self: Sized,
    {
        self.or_exit(Code::Usage)
    }

    /// With code 3: damaged or invalid data was found.
    ///
    /// # Errors
    /// The error, carrying the code.
    fn or_damaged(self) -> Result<T, Failure>
    where
        Self: Sized,
    {
        self.or_exit(Code::Damaged)
    }
}

impl<T, E: Into<anyhow::Error>> FailureExt<T> for Result<T, E> {
    fn or_exit(self, code: Code) -> Result<T, Failure> {
        self.map_err(|error| Failure { code, error: Some(error.into()) })
    }
}

/// Control characters, line breaks above all, become escapes: a file name may
/// hold any, and a message is one line.
pub(crate) fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for character in message.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_manual() {
        let codes = [Code::Done, Code::Failed, Code::Usage, Code::Damaged, Code::Interrupted];
        assert_eq!(codes.map(|code| code as u8), [0, 1, 2, 3, 130]);
    }

    #[test]
    fn an_error_fails_with_1_unless_told_otherwise() {
        let io = || std::io::Error::other("disk on fire");
        assert_eq!(Failure::from(io()).code(), Code::Failed);
        assert_eq!(Err::<(), _>(io()).or_damaged().unwrap_err().code(), Code::Damaged);
        assert_eq!(Err::<(), _>(io()).or_usage().unwrap_err().code(), Code::Usage);
    }

    #[test]
    fn a_message_stays_on_one_line() {
        assert_eq!(one_line("no file \"a\nb\u{1b}[31m\""), "no file \"a\\nb\\u{1b}[31m\"");
    }
}
