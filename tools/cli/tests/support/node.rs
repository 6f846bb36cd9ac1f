//! A node that says what a test tells it to and writes down what it hears, over HTTP.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use spacetime_node::miner::work::Work;

/// Nothing here takes as long, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// A call that is not for the stream of work.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) body: Value,
}

#[derive(Default)]
struct State {
    /// What every stream is told, from its beginning.
    work: Vec<String>,
    streams: usize,
    calls: Vec<Call>,
    /// Answers to the next calls of a path: status and body. The others are answered as a node does.
    answers: VecDeque<(String, u16, String)>,
    hang_up: bool,
}

/// The node. Its threads end with the test's process.
pub(crate) struct FakeNode {
    state: Arc<(Mutex<State>, Condvar)>,
    pub(crate) url: String,
}

impl FakeNode {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0")
    }

    pub(crate) fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A caller that leaves in the middle is the test's business, not the thread's.
                thread::spawn(move || serve(&stream, &shared).unwrap_or_default());
            }
        });
        Self { state, url }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.0.lock().expect("no panic"));
        self.state.1.notify_all();
        result
    }

    /// Says something to all who follow, and to all who will.
    pub(crate) fn say(&self, work: &Work) {
        let event = serde_json::to_string(work).expect("JSON");
        self.change(|state| state.work.push(event));
    }

    /// Ends all streams, and says nothing of what was said to the next ones.
    pub(crate) fn restart(&self) {
        self.change(|state| {
            state.work.clear();
            state.hang_up = true;
        });
        self.wait("all streams to end", |state| (state.streams == 0).then_some(()));
        self.change(|state| state.hang_up = false);
    }

    /// Answers the next call of a path so.
    pub(crate) fn answer(&self, path: &str, status: u16, body: &str) {
        self.change(|state| state.answers.push_back((path.to_owned(), status, body.to_owned())));
    }

    fn wait<T>(&self, what: &str, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        let (mut state, until) = (self.state.0.lock().expect("no panic"), Instant::now() + PATIENCE);
        loop {
            if let Some(found) = look(&mut state) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}: {:#?}", state.calls);
            state = self.state.1.wait_timeout(state, left).expect("no panic").0;
        }
    }

    /// The `number`-th call of a path, once it has come.
    pub(crate) fn call(&self, path: &str, number: usize) -> Call {
        let of_path = |state: &mut State| state.calls.iter().filter(|call| call.path == path).nth(number).cloned();
        self.wait(path, of_path)
    }

    pub(crate) fn calls(&self, path: &str) -> usize {
        self.change(|state| state.calls.iter().filter(|call| call.path == path).count())
    }

    pub(crate) fn calls_under(&self, path: &str) -> usize {
        self.change(|state| state.calls.iter().filter(|call| call.path.starts_with(path)).count())
    }

    /// Waits for so many calls whose paths begin so.
    pub(crate) fn wait_for_calls(&self, path: &str, count: usize) {
        let of_path = |state: &State| state.calls.iter().filter(|call| call.path.starts_with(path)).count();
        self.wait(path, |state| (of_path(state) >= count).then_some(()));
    }

    pub(crate) fn wait_for_streams(&self, count: usize) {
        self.wait("streams", |state| (state.streams == count).then_some(()));
    }
}

fn serve(stream: &TcpStream, shared: &(Mutex<State>, Condvar)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            match header.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().unwrap_or(0)
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if path == "/rpc/work" {
            return follow(stream, shared);
        }
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (status, text) = {
            let mut state = shared.0.lock().expect("no panic");
            state.calls.push(Call { path: path.clone(), body });
            let place = state.answers.iter().position(|(of, _, _)| path.starts_with(of));
            place
                .and_then(|place| state.answers.remove(place))
                .map_or_else(|| (200, usual(&path)), |(_, status, text)| (status, text))
        };
        shared.1.notify_all();
        write!(
            &*stream,
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        )?;
    }
}

fn usual(path: &str) -> String {
    match path {
        path if path.starts_with("/rpc/plot/") => r#"{"status":"active","mature_from":1,"until":null,"mix":null}"#,
        path if path.starts_with("/rpc/getBalance/") => r#"{"next_nonce":0}"#,
        _ => r#"{"taken":true}"#,
    }
    .to_owned()
}

fn follow(mut stream: &TcpStream, shared: &(Mutex<State>, Condvar)) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes())?;
    shared.0.lock().expect("no panic").streams += 1;
    shared.1.notify_all();
    let mut said = 0;
    let ended = loop {
        let mut state = shared.0.lock().expect("no panic");
        if state.hang_up {
            break Ok(());
        }
        let Some(event) = state.work.get(said).cloned() else {
            (state, _) = shared.1.wait_timeout(state, Duration::from_secs(1)).expect("no panic");
            drop(state);
            // A sign of life, which also tells whether anybody is there.
            match stream.write_all(b"3\r\n:\n\n\r\n") {
                Ok(()) => continue,
                Err(error) => break Err(error),
            }
        };
        drop(state);
        said += 1;
        let event = format!("data: {event}\n\n");
        if let Err(error) = write!(stream, "{:x}\r\n{event}\r\n", event.len()) {
            break Err(error);
        }
    };
    shared.0.lock().expect("no panic").streams -= 1;
    shared.1.notify_all();
    stream.write_all(b"0\r\n\r\n")?;
    ended
}
