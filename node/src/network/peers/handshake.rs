//! HELLO, and what comes back of what was asked.

use super::peer::Purpose;
use super::{
    Capped, Effect, Hello, MAX_SOFTWARE_BYTES, Notice, Offence, PROTOCOL_VERSION, PeerAddress, PeerId, Peers, Question,
    Refused, RequestFailure, RequestId, Response, Ticket,
};

impl Peers {
    /// Our HELLO.
    #[must_use]
    pub fn hello(&self, now_ms: u64) -> Hello {
        let software = self.options.software.bytes().take(MAX_SOFTWARE_BYTES).collect();
        Hello {
            version: PROTOCOL_VERSION,
            genesis: self.options.genesis,
            tip: self.tip,
            capabilities: self.options.capabilities,
            software: Capped::new(software).expect("cut to what fits"),
            time_ms: now_ms,
        }
    }

    /// Whether a question was asked by [`Peers`].
    #[must_use]
    pub fn asked(&self, id: RequestId) -> bool {
        self.asked.contains_key(&id)
    }

    /// A peer asks HELLO. Who is on another chain has an answer too, so that both know.
    pub(super) fn asked_hello(&mut self, id: &PeerId, ticket: Ticket, hello: &Hello, now_ms: u64) -> Vec<Effect> {
        self.effects.push(Effect::Respond { ticket, response: Response::Hello(self.hello(now_ms)) });
        if self.take_hello(id, hello, now_ms) {
            if let Some(peer) = self.peers.get_mut(id) {
                peer.heard = true;
            }
            self.greeted(id, now_ms);
        }
        self.take()
    }

    /// What was asked has an answer, or none. Only for questions that [`Peers::asked`] knows; others are ignored.
    pub fn response(
        &mut self,
        id: &PeerId,
        question: RequestId,
        result: Result<Response, RequestFailure>,
        now_ms: u64,
    ) -> Vec<Effect> {
        let Some((asked, question)) = self.asked.remove(&question).filter(|(asked, _)| asked == id) else {
            return self.take();
        };
        match (question, result) {
            // The end of the connection is told by itself, and bytes that are no message are an offence already.
            (_, Err(RequestFailure::Disconnected)) => {}
            (Question::Hello { sent_ms }, Ok(Response::Hello(hello))) => {
                if self.take_hello(&asked, &hello, now_ms) {
                    if let Some(peer) = self.peers.get_mut(&asked) {
                        peer.answered = true;
                        peer.sample(sent_ms, now_ms, hello.time_ms);
                    }
                    self.greeted(&asked, now_ms);
                }
            }
            (Question::Hello { .. }, Ok(Response::Refused)) => self.let_go(&asked, Refused::Full, now_ms),
            (Question::Hello { .. }, Err(RequestFailure::Unsupported)) => {
                self.charge(&asked, Offence::OtherChain, now_ms);
            }
            (Question::Hello { .. }, Err(_)) => self.let_go(&asked, Refused::Silent, now_ms),
            (Question::Ping { number, sent_ms }, Ok(Response::Pong { number: theirs, time_ms }))
                if number == theirs =>
            {
                if let Some(peer) = self.peers.get_mut(&asked) {
                    peer.missed_pings = 0;
                    peer.sample(sent_ms, now_ms, time_ms);
                }
                self.watch_clock(now_ms);
            }
            (Question::Peers, Ok(Response::Peers(list))) => self.told_peers(&asked, &list, now_ms),
            (Question::Peers, Ok(Response::Refused)) => {}
            (Question::Ping { .. }, Ok(Response::Refused) | Err(_)) => self.missed_ping(&asked, now_ms),
            (Question::Peers, Err(_)) => self.charge(&asked, Offence::Slow, now_ms),
            (_, Ok(_)) => self.charge(&asked, Offence::WrongAnswer, now_ms),
        }
        self.take()
    }

    /// Takes a HELLO. False if it is of another chain, or the peer is gone.
    fn take_hello(&mut self, id: &PeerId, hello: &Hello, now_ms: u64) -> bool {
        if hello.version != PROTOCOL_VERSION || hello.genesis != self.options.genesis {
            let (version, genesis) = (hello.version, hello.genesis);
            tracing::info!(peer = %id, version, %genesis, "a peer of another chain");
            self.charge(id, Offence::OtherChain, now_ms);
            return false;
        }
        let Some(peer) = self.peers.get_mut(id) else { return false };
        peer.tip = Some(hello.tip);
        peer.capabilities = hello.capabilities;
        // It is shown to people: nothing that a terminal would obey.
        let text = String::from_utf8_lossy(&hello.software);
        peer.software = text.chars().filter(|c| !c.is_control()).collect();
        true
    }

    /// If both HELLOs are there since now, the peer is ready.
    fn greeted(&mut self, id: &PeerId, now_ms: u64) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        if !peer.is_ready() || peer.next_ping_ms != u64::MAX {
            return;
        }
        // Soon, for the clock; not all at once.
        peer.next_ping_ms = now_ms + self.lots.about(1000);
        let (purpose, tip) = (peer.purpose, peer.tip);
        let address = peer.address.clone().filter(|_| peer.outbound);
        self.counters.ready += 1;
        tracing::info!(peer = %id, software = peer.software, outbound = peer.outbound, "peer ready");
        if let Some(address) = address {
            self.book.answered(&address, *id, now_ms);
            if purpose == Purpose::Kept {
                self.book.anchor(PeerAddress { peer: Some(*id), ..address });
            }
        }
        self.notices.extend(tip.map(|tip| Notice::Ready(*id, tip)));
        if purpose == Purpose::Feeler {
            self.felt(id, now_ms);
        }
    }
}
