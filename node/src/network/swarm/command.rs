//! From the participant to the network.

use std::time::Duration;

use crate::network::PeerId;
use crate::network::message::{Gossip, GossipId, Request, Response};
use crate::network::record::Banned;
use crate::participant::{Effect, Refused, RequestId, Ticket, Verdict};

/// What the network is to do.
#[derive(Debug)]
pub enum Command {
    /// Ask a peer. There is an answer after `timeout` at the latest, if only that there is none.
    Request {
        /// Whom.
        peer: PeerId,
        /// Names the question.
        id: RequestId,
        /// What.
        request: Request,
        /// How long it may take.
        timeout: Duration,
    },
    /// Answer a peer. To answer HELLO is to let its gossip in.
    Respond {
        /// The question.
        ticket: Ticket,
        /// The answer.
        response: Response,
    },
    /// Say to the whole network.
    Publish(Gossip),
    /// What becomes of a gossip that came in.
    Judge {
        /// From whom it came.
        peer: PeerId,
        /// Which.
        id: GossipId,
        /// What becomes of it.
        verdict: Verdict,
    },
    /// Connect with whoever is at an address.
    Dial {
        /// Who should be there, if that is known.
        peer: Option<PeerId>,
        /// Where, in text.
        address: String,
    },
    /// End all connections with a peer.
    Disconnect {
        /// Who.
        peer: PeerId,
        /// Until when it is kept out, Unix milliseconds; with it who dials from the same address.
        banned_until_ms: Option<u64>,
    },
    /// Keep somebody out who may not be there.
    Ban {
        /// Whom.
        who: Banned,
        /// Until when, Unix milliseconds.
        until_ms: u64,
    },
    /// Let somebody back in.
    Pardon(Banned),
}

impl Command {
    /// The command that an effect is, or the effect where it is not the network's. `now_ms` is the clock that the
    /// effect's deadline is by.
    ///
    /// # Errors
    /// The effect, if it is another's to do.
    pub fn of(effect: Effect, now_ms: u64) -> Result<Self, Box<Effect>> {
        Ok(match effect {
            Effect::Request { peer, id, request, deadline_ms } => {
                let timeout = Duration::from_millis(deadline_ms.saturating_sub(now_ms));
                Self::Request { peer, id, request, timeout }
            }
            Effect::Respond { ticket, response } => Self::Respond { ticket, response },
            Effect::Publish(gossip) => Self::Publish(gossip),
            Effect::Judge { peer, id, verdict } => Self::Judge { peer, id, verdict },
            Effect::Dial { peer, address } => Self::Dial { peer, address },
            Effect::Disconnect { peer, why: Refused::Banned(until_ms) } => {
                Self::Disconnect { peer, banned_until_ms: Some(until_ms) }
            }
            Effect::Disconnect { peer, .. } => Self::Disconnect { peer, banned_until_ms: None },
            Effect::Ban { who, until_ms } => Self::Ban { who, until_ms },
            Effect::Pardon(who) => Self::Pardon(who),
            other => return Err(Box::new(other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_of_the_network_are_commands() {
        let peer = PeerId([1; 32]);
        let asked = Effect::Request { peer, id: RequestId(7), request: Request::Pool, deadline_ms: 1500 };
        let Ok(Command::Request { timeout, .. }) = Command::of(asked, 1000) else { panic!("a question") };
        assert_eq!(timeout, Duration::from_millis(500));
        // What is over has no time.
        let late = Effect::Request { peer, id: RequestId(7), request: Request::Pool, deadline_ms: 1500 };
        assert!(matches!(Command::of(late, 9999), Ok(Command::Request { timeout: Duration::ZERO, .. })));
        for (why, banned) in [(Refused::Full, None), (Refused::Banned(9), Some(9)), (Refused::Silent, None)] {
            let Ok(Command::Disconnect { banned_until_ms, .. }) = Command::of(Effect::Disconnect { peer, why }, 0)
            else {
                panic!("an end")
            };
            assert_eq!(banned_until_ms, banned);
        }
        let who = Banned::Peer(peer);
        let Ok(Command::Ban { who: banned, until_ms: 9 }) = Command::of(Effect::Ban { who, until_ms: 9 }, 0) else {
            panic!("a ban")
        };
        let Ok(Command::Pardon(pardoned)) = Command::of(Effect::Pardon(who), 0) else { panic!("a pardon") };
        assert_eq!([banned, pardoned], [who; 2]);
        let other = Command::of(Effect::VerifyBlocks(Vec::new()), 0).expect_err("another's");
        assert!(matches!(*other, Effect::VerifyBlocks(_)));
    }
}
