//! Connections: so many at once, and none that keeps the node waiting.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tracing::{debug, warn};

use crate::network::address::owner;

/// How long a connection may lie idle.
const IDLE: Duration = Duration::from_secs(60);
/// From the first byte of a call, slow headers and body included, to the first byte of its answer.
const CALL: Duration = Duration::from_secs(20);
/// How long a caller may take nothing of an answer.
const STALL: Duration = Duration::from_secs(20);
/// Until a connection is taken again where the system gave none: it has run out of files, which other connections give
/// back.
const RETRY: Duration = Duration::from_millis(200);

/// How long each step of a connection may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Lying idle.
    pub idle: Duration,
    /// From the first byte of a call to the first of its answer; and the answering itself takes half of it at most.
    pub call: Duration,
    /// Taking nothing of an answer.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { idle: IDLE, call: CALL, stall: STALL }
    }
}

/// Takes connections, up to a bound; those beyond it are closed at once, so that whoever comes is not left waiting.
pub(super) struct Guarded {
    listener: TcpListener,
    seats: Arc<Seats>,
    patience: Patience,
}

/// The connections that there may be: of one address a quarter of them at most, so that nobody keeps all others out. This
/// machine, where many may stand behind one address, has no such bound.
struct Seats {
    most: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's seat, which is free again when this is dropped.
struct Seat {
    of: Arc<Seats>,
    owner: IpAddr,
}

impl Seats {
    fn take(this: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let owner = owner(address);
        let most = if owner.is_loopback() { this.most } else { this.most.div_ceil(4) };
        // A panic elsewhere leaves the counts as good as they were.
        let mut taken = this.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= this.most || taken.get(&owner).is_some_and(|taken| *taken >= most) {
            return None;
        }
        *taken.entry(owner).or_default() += 1;
        Some(Seat { of: Arc::clone(this), owner })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = taken.entry(self.owner) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

impl Guarded {
    pub(super) fn new(listener: TcpListener, connections: u32, patience: Patience) -> Self {
        let seats = Arc::new(Seats { most: connections as usize, taken: Mutex::default() });
        Self { listener, seats, patience }
    }
}

impl Listener for Guarded {
    type Io = Timed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Timed, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => match Seats::take(&self.seats, address.ip()) {
                    Some(seat) => return (Timed::new(stream, self.patience, seat), address),
                    None => debug!(%address, "too many connections: one is closed"),
                },
                Err(error) if is_of_the_caller(&error) => {}
                Err(error) => {
                    warn!(%error, "cannot take a connection");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn is_of_the_caller(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller(pub(super) SocketAddr);

impl Connected<IncomingStream<'_, Guarded>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Guarded>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// A call.
    Idle,
    /// The rest of a call, or its answer.
    Answer,
    /// The caller to take more of an answer.
    Room,
}

/// A connection that fails when it waits too long.
pub(super) struct Timed {
    stream: TcpStream,
    patience: Patience,
    waits: Waits,
    deadline: Pin<Box<Sleep>>,
    _seat: Seat,
}

impl Timed {
    fn new(stream: TcpStream, patience: Patience, seat: Seat) -> Self {
        // Answers are small and whole: nothing is gained by waiting for more of them.
        let _ = stream.set_nodelay(true);
        // Whoever connects has something to say.
        let deadline = Box::pin(tokio::time::sleep(patience.call));
        Self { stream, patience, waits: Waits::Idle, deadline, _seat: seat }
    }

    fn wait_for(&mut self, waits: Waits) {
        self.waits = waits;
        let patience = match waits {
            Waits::Idle => self.patience.idle,
            Waits::Answer => self.patience.call,
            Waits::Room => self.patience.stall,
        };
        self.deadline.as_mut().reset(Instant::now() + patience);
    }

    /// Nothing can be done now: is it too late?
    fn still<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// What follows from writing.
    fn written(&mut self, result: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(bytes)) => {
                self.wait_for(Waits::Idle);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(error) => Poll::Ready(error),
            Poll::Pending => {
                if self.waits != Waits::Room {
                    self.wait_for(Waits::Room);
                }
                self.still(context)
            }
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.still(context),
            done => {
                if buffer.filled().len() > before && self.waits == Waits::Idle {
                    self.wait_for(Waits::Answer);
                }
                done
            }
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(result, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(result, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_seats_but_this_machine() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let seats = Arc::new(Seats { most: 8, taken: Mutex::default() });
        let mut held: Vec<_> = ["2001:db8::1", "2001:db8::2"].map(|one| Seats::take(&seats, ip(one)).unwrap()).into();
        assert!(Seats::take(&seats, ip("2001:db8::3")).is_none(), "one network, one owner");
        held.extend((0..6).map(|_| Seats::take(&seats, ip("127.0.0.1")).unwrap()));
        assert!(Seats::take(&seats, ip("127.0.0.1")).is_none() && Seats::take(&seats, ip("192.0.2.1")).is_none());
        held.remove(0);
        assert!(Seats::take(&seats, ip("2001:db8::3")).is_some());
        held.clear();
        assert!(seats.taken.lock().unwrap().is_empty());
    }
}
