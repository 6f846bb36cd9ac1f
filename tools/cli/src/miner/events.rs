//! Server-sent events (WHATWG HTML, "Server-sent events"), as far as a stream of JSON needs them: the `data` of each.

use std::io::{self, BufRead, ErrorKind};

/// Longest line, and longest event: a header of work takes about 2 KiB.
const MAX_EVENT_BYTES: usize = 64 << 10;

/// The events of a stream.
pub(super) struct Events<R> {
    from: R,
    line: Vec<u8>,
}

impl<R: BufRead> Events<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, line: Vec::new() }
    }

    /// The data of the next event; none at the end of the stream. An event that the end cuts short is none.
    ///
    /// # Errors
    /// If it cannot be read, is no UTF-8, or too long.
    pub(super) fn next(&mut self) -> io::Result<Option<String>> {
        let mut data: Option<String> = None;
        while self.read_line()? {
            let line =
                std::str::from_utf8(&self.line).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            if line.is_empty() {
                match data.take() {
                    Some(data) => return Ok(Some(data)),
                    // Comments and other fields alone make no event.
                    None => continue,
                }
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            if field != "data" {
                continue;
            }
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut data {
                None => data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            }
            if data.as_ref().is_some_and(|data| data.len() > MAX_EVENT_BYTES) {
                return Err(too_long());
            }
        }
        Ok(None)
    }

    /// Reads a line, without its end; whether there was a whole one.
    fn read_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        loop {
            let read = match self.from.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read.is_empty() {
                return Ok(false);
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(read.len());
            self.line.extend_from_slice(&read[..taken]);
            self.from.consume(end.map_or(taken, |end| end + 1));
            if self.line.len() > MAX_EVENT_BYTES {
                return Err(too_long());
            }
            if end.is_some() {
                self.line.pop_if(|last| *last == b'\r');
                return Ok(true);
            }
        }
    }
}

fn too_long() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("an event of more than {MAX_EVENT_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn all(text: &[u8], room: usize) -> io::Result<Vec<String>> {
        let mut events = Events::new(BufReader::with_capacity(room, text));
        std::iter::from_fn(|| events.next().transpose()).collect()
    }

    #[test]
    fn events_and_what_stands_between_them() {
        let text = b": alive\n\ndata: one\n\nevent: x\nid: 4\ndata:two\r\n\r\n:\n\n\ndata: a\ndata: b\ndata\n\ndata:  c\n\ndata: cut";
        for room in [1, 2, 7, 1000] {
            assert_eq!(all(text, room).unwrap(), ["one", "two", "a\nb\n", " c"]);
        }
        assert_eq!(all(b"", 9).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_too_long_or_no_text_is_refused() {
        let long = [b"data: ".as_slice(), &vec![b'x'; MAX_EVENT_BYTES], b"\n\n"].concat();
        assert!(all(&long, 4096).is_err());
        let many = b"data: 0123456789\n".repeat(MAX_EVENT_BYTES / 10);
        assert!(all(&many, 4096).is_err());
        assert!(all(&vec![b'x'; 2 * MAX_EVENT_BYTES], 4096).is_err(), "a line without an end");
        assert!(all(b"data: \xff\n\n", 4096).is_err());
    }
}
