//! Whether values are in their ranges and fit each other.

use spacetime_prover::farm::MAX_THREADS;

use super::{Config, ConfigError};
use crate::mempool::Limits;
use crate::network::address::PeerAddress;

/// Longest list: nobody writes down more, and each entry costs a socket, a dial or an open file.
const MAX_ENTRIES: usize = 4096;
/// Most peers: each may hold some megabytes of messages, and systems allow a process about 1,000 files.
const MAX_PEERS: u64 = 400;
/// Longest ban: a year.
const MAX_BAN_SECONDS: u64 = 365 * 86_400;
/// Least bytes a second: with fewer, the largest block does not reach one peer within an epoch.
const MIN_UPLOAD: u64 = 128 << 10;

impl Config {
    /// Whether a node can be started with it, apart from what files hold.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_lists()?;
        self.check_peers()?;
        self.check_rpc()?;
        range("pool.transactions", self.pool.transactions, 1, Limits::GREATEST.transactions as u64)?;
        range("pool.bytes", self.pool.bytes, 1 << 20, Limits::GREATEST.bytes as u64)?;
        if let Some(threads) = self.mine.threads {
            range("mine.threads", threads.into(), 1, MAX_THREADS as u64)?;
        }
        if !self.mine.plots.is_empty() {
            if self.mine.payout.is_none() {
                return Err(ConfigError::Payout);
            }
            if self.mine.keys.is_empty() {
                return Err(ConfigError::Keys);
            }
        }
        Ok(())
    }

    fn check_lists(&self) -> Result<(), ConfigError> {
        for (setting, found) in [
            ("peers.listen", self.peers.listen.len()),
            ("peers.external", self.peers.external.len()),
            ("peers.seeds", self.peers.seeds.len()),
            ("peers.relays", self.peers.relays.len()),
            ("rpc.hosts", self.rpc.hosts.len()),
            ("mine.plots", self.mine.plots.len()),
            ("mine.keys", self.mine.keys.len()),
        ] {
            if found > MAX_ENTRIES {
                return Err(ConfigError::TooMany { setting, found, most: MAX_ENTRIES });
            }
        }
        Ok(())
    }

    fn check_peers(&self) -> Result<(), ConfigError> {
        let peers = &self.peers;
        range("peers.most", peers.most.into(), 1, MAX_PEERS)?;
        for (setting, found) in [("peers.outbound", peers.outbound), ("peers.inbound", peers.inbound)] {
            if found > peers.most {
                return Err(ConfigError::AboveMost { setting, found, most: peers.most });
            }
        }
        range("peers.per_address", peers.per_address.into(), 1, MAX_PEERS)?;
        range("peers.per_group", peers.per_group.into(), 1, MAX_PEERS)?;
        range("peers.ban_seconds", peers.ban_seconds, 1, MAX_BAN_SECONDS)?;
        if peers.upload_bytes_per_second > 0 {
            range("peers.upload_bytes_per_second", peers.upload_bytes_per_second, MIN_UPLOAD, 1 << 40)?;
        }
        for (setting, texts) in [
            ("peers.listen", &peers.listen),
            ("peers.external", &peers.external),
            ("peers.seeds", &peers.seeds),
            ("peers.relays", &peers.relays),
        ] {
            for text in texts {
                if let Err(reason) = PeerAddress::parse(text) {
                    return Err(ConfigError::Multiaddr { setting, text: text.chars().take(64).collect(), reason });
                }
            }
        }
        Ok(())
    }

    fn check_rpc(&self) -> Result<(), ConfigError> {
        let rpc = &self.rpc;
        // A transaction of the greatest length in hex, and less than one that could hurt.
        range("rpc.body_bytes", rpc.body_bytes, 600 << 10, 64 << 20)?;
        range("rpc.requests_per_second", rpc.requests_per_second.into(), 1, 1_000_000)?;
        range("rpc.burst", rpc.burst.into(), 1, 1_000_000)?;
        range("rpc.connections", rpc.connections.into(), 1, 10_000)?;
        range("rpc.streams", rpc.streams.into(), 0, 1_000)?;
        if rpc.enabled && !rpc.public && !rpc.listen.ip().to_canonical().is_loopback() {
            return Err(ConfigError::PublicRpc { address: rpc.listen });
        }
        Ok(())
    }
}

fn range(setting: &'static str, found: u64, least: u64, most: u64) -> Result<(), ConfigError> {
    if (least..=most).contains(&found) { Ok(()) } else { Err(ConfigError::Range { setting, found, least, most }) }
}
