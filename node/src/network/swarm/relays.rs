//! Places at relays: asked for at the start, and again when one is refused or lost. A relay that has just started takes
//! nobody until it knows itself that it can be reached, and one that starts again has forgotten who waited there.

use std::error::Error;
use std::io;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::core::transport::ListenerId;
use tokio::time::Instant;

use super::place::text_of;
use super::run::Runner;

/// Between the end of a place and the next attempt.
const AGAIN: Duration = Duration::from_secs(15);

/// A place at a relay.
#[derive(Debug)]
struct Place {
    circuit: Multiaddr,
    /// Who waits there, or asks to.
    listener: Option<ListenerId>,
    /// When it is asked for, where nobody waits.
    next_try: Instant,
    /// Whether it is there, if that is known.
    held: Option<bool>,
}

/// All places.
#[derive(Debug, Default)]
pub(super) struct Relays(Vec<Place>);

impl Relays {
    /// Places that were asked for.
    pub(super) fn new(asked: impl IntoIterator<Item = (Multiaddr, ListenerId)>) -> Self {
        let next_try = Instant::now();
        let place = |(circuit, listener)| Place { circuit, listener: Some(listener), next_try, held: None };
        Self(asked.into_iter().map(place).collect())
    }

    /// A listener has an address.
    pub(super) fn held(&mut self, listener: ListenerId) {
        let Some(place) = self.0.iter_mut().find(|place| place.listener == Some(listener)) else { return };
        if place.held.replace(true) != Some(true) {
            tracing::info!(relay = text_of(&place.circuit), "reached through a relay");
        }
    }

    /// A listener has ended.
    pub(super) fn lost(&mut self, listener: ListenerId, reason: &Result<(), io::Error>, now: Instant) {
        let Some(place) = self.0.iter_mut().find(|place| place.listener == Some(listener)) else { return };
        place.lose(reason.as_ref().err().map(|error| in_full(error)), now);
    }

    /// When the next place is to be asked for.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.0.iter().filter(|place| place.listener.is_none()).map(|place| place.next_try).min()
    }
}

impl Place {
    /// It is told once, however often it is asked for in vain.
    fn lose(&mut self, reason: Option<String>, now: Instant) {
        (self.listener, self.next_try) = (None, now + AGAIN);
        let relay = text_of(&self.circuit);
        match self.held.replace(false) {
            Some(false) => tracing::debug!(relay, reason, "still not reached through a relay"),
            _ => tracing::info!(relay, reason, "not reached through a relay"),
        }
    }
}

/// An error with what it came from: the first word alone does not say why a relay refused.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

impl Runner {
    /// Asks for the places that are due.
    pub(super) fn ask_relays(&mut self) {
        let now = Instant::now();
        for place in self.relays.0.iter_mut().filter(|place| place.listener.is_none() && place.next_try <= now) {
            match self.swarm.listen_on(place.circuit.clone()) {
                Ok(listener) => place.listener = Some(listener),
                Err(error) => place.lose(Some(in_full(&error)), now),
            }
        }
    }
}
