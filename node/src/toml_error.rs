//! What is wrong with a TOML text, on one line.

/// Longest value that is repeated, in bytes.
const MAX_VALUE_BYTES: usize = 80;

/// The line where a mistake was found, from 1, and what it is: the key, the value and the reason.
pub(crate) fn place(text: &str, error: &toml::de::Error) -> (usize, String) {
    let span = error.span().unwrap_or(0..0);
    let at = span.start.min(text.len());
    let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    // The reason is one line, however many the parser makes of it.
    let reason = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    let value = text.get(span).map(str::trim).filter(|value| {
        (1..=MAX_VALUE_BYTES).contains(&value.len()) && !value.contains(['\n', '=']) && !reason.contains(value)
    });
    let reason = value.map_or(reason.clone(), |value| format!("{value}: {reason}"));
    (line, key_at(text, at).map_or(reason.clone(), |key| format!("{key}: {reason}")))
}

/// The key that stands where a mistake was found, or before it in the same line.
fn key_at(text: &str, at: usize) -> Option<&str> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let line = text[start..].lines().next()?;
    let key = line.split_once('=')?.0.trim();
    (!key.is_empty()).then_some(key)
}
