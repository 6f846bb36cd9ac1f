//! From the network to the participant: what must not be lost, and four classes of what may be, each with a bound.

use std::sync::Arc;

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::network::message::{Gossip, Request};
use crate::participant::Input;

/// Classes of what comes from peers, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Blocks, challenges, news of tips; HELLO and PING, which are small and keep connections alive.
    Urgent,
    /// Proofs.
    Proof,
    /// Questions whose answers take work.
    Question,
    /// Transactions, and addresses that were heard of.
    Transaction,
}

/// How many classes there are.
pub(super) const CLASSES: usize = 4;

impl Class {
    /// All of them, most urgent first.
    pub const ALL: [Self; CLASSES] = [Self::Urgent, Self::Proof, Self::Question, Self::Transaction];

    pub(super) fn of_gossip(gossip: &Gossip) -> Self {
        match gossip {
            Gossip::Proposal(_) => Self::Urgent,
            Gossip::Submission(_) => Self::Proof,
            Gossip::Transaction(_) => Self::Transaction,
        }
    }

    pub(super) fn of_request(request: &Request) -> Self {
        match request {
            Request::Hello(_) | Request::Ping(_) | Request::NewChallenge(_) | Request::BlockAccepted(_) => Self::Urgent,
            Request::Headers(_) | Request::Blocks(_) | Request::Peers | Request::Pool => Self::Question,
        }
    }

    /// Most messages that wait, and most bytes of them. A participant that is busy with a block for a second finds what
    /// came meanwhile; more than this is an attack, or a machine that is too slow.
    const fn bounds(self) -> (usize, usize) {
        match self {
            // Some blocks of 1 MiB, or very many small messages.
            Self::Urgent => (4096, 32 << 20),
            Self::Proof => (2048, 8 << 20),
            // All that peers may have open at once.
            Self::Question => (2048, 8 << 20),
            // Four full blocks of small ones.
            Self::Transaction => (16_384, 16 << 20),
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// Events that must not be lost wait here, beside those that wait in the network's own queue while this is full.
const CONTROL: usize = 1024;

/// Something with the room that it takes.
#[derive(Debug)]
struct Held {
    input: Input,
    /// Given back when it is taken out.
    _room: OwnedSemaphorePermit,
}

/// The participant's end.
#[derive(Debug)]
pub struct Inputs {
    control: mpsc::Receiver<Input>,
    classes: [mpsc::Receiver<Held>; CLASSES],
}

/// The network's end.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) control: mpsc::Sender<Input>,
    classes: [(mpsc::Sender<Held>, Arc<Semaphore>); CLASSES],
}

/// Both ends.
pub(super) fn channel() -> (Outlet, Inputs) {
    let (control, control_end) = mpsc::channel(CONTROL);
    let queues = Class::ALL.map(|class| {
        let (count, bytes) = class.bounds();
        let (sender, receiver) = mpsc::channel(count);
        (sender, Arc::new(Semaphore::new(bytes)), receiver)
    });
    let mut ends = Vec::with_capacity(CLASSES);
    let classes = queues.map(|(sender, room, receiver)| {
        ends.push(receiver);
        (sender, room)
    });
    let classes_end = ends.try_into().expect("one for each class");
    (Outlet { control, classes }, Inputs { control: control_end, classes: classes_end })
}

impl Outlet {
    /// Hands over what came in so many bytes. False if there is no room, or nobody there any more.
    pub(super) fn offer(&self, class: Class, input: Input, bytes: usize) -> bool {
        let (sender, room) = &self.classes[class.index()];
        // What stands in memory is more than its encoding: some for the rest.
        let bytes = u32::try_from(bytes.saturating_add(256)).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(room).try_acquire_many_owned(bytes) else { return false };
        match sender.try_send(Held { input, _room: room }) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => false,
        }
    }
}

impl Inputs {
    /// The next that happened: what must not be lost first, then class by class. None when the network has ended and
    /// all is taken. Nothing is lost where this is dropped half-way.
    pub async fn next(&mut self) -> Option<Input> {
        let Self { control, classes: [urgent, proof, question, transaction] } = self;
        tokio::select! {
            biased;
            Some(input) = control.recv() => Some(input),
            Some(held) = urgent.recv() => Some(held.input),
            Some(held) = proof.recv() => Some(held.input),
            Some(held) = question.recv() => Some(held.input),
            Some(held) = transaction.recv() => Some(held.input),
            else => None,
        }
    }

    /// The next, if it is there already.
    pub fn try_next(&mut self) -> Option<Input> {
        if let Ok(input) = self.control.try_recv() {
            return Some(input);
        }
        self.classes.iter_mut().find_map(|class| class.try_recv().ok()).map(|held| held.input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::PeerId;
    use crate::participant::Ticket;

    fn ping(number: u64) -> Input {
        Input::Request { peer: PeerId([1; 32]), ticket: Ticket(number), request: Request::Ping(number) }
    }

    fn number(input: Option<Input>) -> Option<u64> {
        input.map(|input| match input {
            Input::Request { ticket, .. } => ticket.0,
            _ => 0,
        })
    }

    #[test]
    fn the_most_urgent_comes_first_and_each_class_in_order() {
        let (outlet, mut inputs) = channel();
        for (n, class) in Class::ALL.into_iter().rev().enumerate() {
            for m in 0..2 {
                assert!(outlet.offer(class, ping(10 * (n as u64 + 1) + m), 8));
            }
        }
        outlet.control.try_send(Input::Tick).expect("room");
        let order: Vec<_> = std::iter::from_fn(|| number(inputs.try_next())).collect();
        assert_eq!(order, [0, 40, 41, 30, 31, 20, 21, 10, 11]);
    }

    #[tokio::test]
    async fn waiting_takes_the_same_order_and_ends_with_the_network() {
        let (outlet, mut inputs) = channel();
        assert!(outlet.offer(Class::Transaction, ping(3), 8));
        assert!(outlet.offer(Class::Urgent, ping(1), 8));
        outlet.control.try_send(Input::Tick).expect("room");
        drop(outlet);
        for expected in [Some(0), Some(1), Some(3), None, None] {
            assert_eq!(number(inputs.next().await), expected);
        }
    }

    #[test]
    fn a_class_is_full_by_count_or_by_bytes_and_no_other_is_concerned() {
        let (outlet, mut inputs) = channel();
        let mebibyte = 1 << 20;
        let taken = (0..100).filter(|n| outlet.offer(Class::Urgent, ping(*n), mebibyte)).count();
        assert_eq!(taken, 31);
        assert!(outlet.offer(Class::Transaction, ping(0), 100));
        // What is taken out makes room.
        assert!(inputs.try_next().is_some());
        assert!(outlet.offer(Class::Urgent, ping(0), mebibyte));
        assert!(!outlet.offer(Class::Urgent, ping(0), mebibyte));
        let taken = (0..5000).filter(|n| outlet.offer(Class::Proof, ping(*n), 0)).count();
        assert_eq!(taken, 2048);
        assert!(!outlet.offer(Class::Question, ping(0), usize::MAX));
    }
}
