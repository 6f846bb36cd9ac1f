//! What an operator does by hand.

use super::{Effect, Participant};
use crate::network::address::PeerAddress;
use crate::network::record::Banned;
use crate::store::Database;

impl<D: Database> Participant<D> {
    /// Keeps somebody out until a time, Unix milliseconds, and lets go who is connected.
    pub fn ban(&mut self, who: Banned, until_ms: u64, now_ms: u64) {
        self.effects.push(Effect::Ban { who, until_ms });
        let effects = self.peers.ban(who, until_ms, now_ms);
        self.effects.extend(effects);
    }

    /// Lets somebody back in. False if nobody kept it out.
    pub fn pardon(&mut self, who: &Banned) -> bool {
        self.effects.push(Effect::Pardon(*who));
        self.peers.pardon(who)
    }

    /// Connects with whoever is at an address, to keep it.
    pub fn dial(&mut self, address: &PeerAddress, now_ms: u64) {
        let effects = self.peers.connect(address, now_ms);
        self.effects.extend(effects);
    }
}
