//! Where a peer is: the part of a multiaddr that limits, bans and the peer book go by.
//!
//! An address is a host (`/ip4`, `/ip6`, `/dns`, `/dns4`, `/dns6`), a way to reach it (`/tcp/PORT` or
//! `/udp/PORT/quic-v1`), perhaps `/p2p/ID`, and behind a relay's `/p2p-circuit` and `/p2p/ID` again. Whatever else
//! multiaddrs can say is refused: nothing here would dial it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::PeerId;
use super::message::MAX_ADDRESS_BYTES;

/// Longest text of a peer's id: 38 bytes in base58.
const MAX_ID_BYTES: usize = 52;

/// Why a text is no address of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Longer than any address.
    #[error("an address of {found} bytes, at most {MAX_ADDRESS_BYTES} are allowed")]
    TooLong {
        /// Its bytes.
        found: usize,
    },
    /// The host is missing, or of a kind that is not known.
    #[error("no /ip4, /ip6, /dns, /dns4 or /dns6 address in front")]
    Host,
    /// The host is of a known kind, but wrong.
    #[error("{0:?} is no such host")]
    BadHost(String),
    /// Neither TCP nor QUIC.
    #[error("neither /tcp/PORT nor /udp/PORT/quic-v1 behind the host")]
    Transport,
    /// No port.
    #[error("{0:?} is no port")]
    Port(String),
    /// No id of a peer.
    #[error("{0:?} is no Ed25519 peer id")]
    Peer(String),
    /// Something is left over.
    #[error("/{0} was not expected")]
    Trailing(String),
}

/// The one form of an IP address: an IPv4 address in the clothes of IPv6 (mapped, compatible, 6to4, NAT64's well-known
/// prefix, SIIT) is the IPv4 address.
#[must_use]
pub fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let low = || IpAddr::V4(Ipv4Addr::from((u32::from(g) << 16) | u32::from(h)));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => low(),
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0] if g != 0 => low(),
        [0x2002, ..] => IpAddr::V4(Ipv4Addr::from((u32::from(b) << 16) | u32::from(c))),
        _ => ip,
    }
}

/// Whom an IP address stands for: an IPv4 address, or an IPv6 /64, which is one owner's, in its one form.
#[must_use]
pub fn owner(ip: IpAddr) -> IpAddr {
    match canonical(ip) {
        // `::1` stands for this machine alone.
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

/// How far an address can be reached from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// From nowhere: unspecified, multicast, broadcast.
    Nowhere,
    /// From this machine.
    Loopback,
    /// From the same site: RFC 1918, link-local, RFC 6598, RFC 4193.
    Private,
    /// From anywhere.
    Public,
}

impl Scope {
    /// Of an IP address, canonical or not.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match canonical(ip) {
            ip if ip.is_unspecified() || ip.is_multicast() => Self::Nowhere,
            ip if ip.is_loopback() => Self::Loopback,
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) if v6.is_unique_local() || v6.is_unicast_link_local() => Self::Private,
            IpAddr::V6(_) => Self::Public,
        }
    }

    fn of_v4(v4: Ipv4Addr) -> Self {
        let [a, b, ..] = v4.octets();
        match a {
            0 | 240.. => Self::Nowhere,
            100 if b & 0xc0 == 64 => Self::Private,
            _ if v4.is_private() || v4.is_link_local() => Self::Private,
            _ => Self::Public,
        }
    }
}

/// Addresses that one owner is likely to have all of, so that they count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// An IPv4 /24, or /16 where [`Group::wide`] made it.
    V4([u8; 3]),
    /// An IPv6 /64, or /32 where [`Group::wide`] made it.
    V6([u8; 8]),
    /// A name: the first bytes of its SHA-256.
    Name([u8; 8]),
}

impl Group {
    /// The /24 or /64 of an IP address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match canonical(ip) {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(v6) => {
                let octets = v6.octets();
                Self::V6(std::array::from_fn(|i| octets[i]))
            }
        }
    }

    /// The /16 or /32 around it: what the peer book spreads by, since whoever rents machines gets many a /24.
    #[must_use]
    pub fn wide(self) -> Self {
        match self {
            Self::V4([a, b, _]) => Self::V4([a, b, 0]),
            Self::V6([a, b, c, d, ..]) => Self::V6([a, b, c, d, 0, 0, 0, 0]),
            Self::Name(name) => Self::Name(name),
        }
    }
}

/// Where the machine is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// At an IP address, in its one form.
    Ip(IpAddr),
    /// Behind a name, lower case; the kind of multiaddr that it is (`dns`, `dns4`, `dns6`).
    Name(&'static str, String),
}

/// How it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// QUIC over UDP.
    Quic,
}

/// An address of a peer, in one form: equal addresses have equal texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    /// The machine, the relay's if there is one.
    pub host: Host,
    /// How it is reached.
    pub transport: Transport,
    /// At which port.
    pub port: u16,
    /// The relay that stands at the host, if the peer is behind one.
    pub relay: Option<PeerId>,
    /// Who should be there, if the text said so.
    pub peer: Option<PeerId>,
}

impl PeerAddress {
    /// Reads a text.
    ///
    /// # Errors
    /// If it is no address that could be dialled.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > MAX_ADDRESS_BYTES {
            return Err(AddressError::TooLong { found: text.len() });
        }
        let mut parts = text.strip_prefix('/').ok_or(AddressError::Host)?.split('/');
        let host = host(&mut parts)?;
        let (transport, port) = transport(&mut parts)?;
        let mut address = Self { host, transport, port, relay: None, peer: None };
        while let Some(part) = parts.next() {
            match part {
                "p2p" if address.peer.is_none() => address.peer = Some(peer(&mut parts)?),
                // A relay stands at the address in front, and whoever is wanted behind it.
                "p2p-circuit" if address.relay.is_none() && address.peer.is_some() => {
                    address.relay = address.peer.take();
                }
                other => return Err(AddressError::Trailing(other.to_owned())),
            }
        }
        Ok(address)
    }

    /// An address of what listens at `ip` and `port`.
    #[must_use]
    pub fn new(ip: IpAddr, transport: Transport, port: u16) -> Self {
        Self { host: Host::Ip(canonical(ip)), transport, port, relay: None, peer: None }
    }

    /// The same address without who should be there.
    #[must_use]
    pub fn without_peer(&self) -> Self {
        Self { peer: None, ..self.clone() }
    }

    /// The IP address, if that is known without asking DNS.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self.host {
            Host::Ip(ip) => Some(ip),
            Host::Name(..) => None,
        }
    }

    /// How far it can be reached from: a name from anywhere, and so whoever is behind a relay.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.ip().map_or(Scope::Public, Scope::of)
    }

    /// Which addresses it counts as one with.
    #[must_use]
    pub fn group(&self) -> Group {
        match &self.host {
            Host::Ip(ip) => Group::of(*ip),
            Host::Name(_, name) => {
                let hash: [u8; 32] = Sha256::digest(name.as_bytes()).into();
                Group::Name(std::array::from_fn(|i| hash[i]))
            }
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V4(ip)) => write!(formatter, "/ip4/{ip}")?,
            Host::Ip(IpAddr::V6(ip)) => write!(formatter, "/ip6/{ip}")?,
            Host::Name(kind, name) => write!(formatter, "/{kind}/{name}")?,
        }
        match self.transport {
            Transport::Tcp => write!(formatter, "/tcp/{}", self.port)?,
            Transport::Quic => write!(formatter, "/udp/{}/quic-v1", self.port)?,
        }
        if let Some(relay) = self.relay {
            write!(formatter, "/p2p/{relay}/p2p-circuit")?;
        }
        self.peer.map_or(Ok(()), |peer| write!(formatter, "/p2p/{peer}"))
    }
}

fn host<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Result<Host, AddressError> {
    let kind = parts.next().ok_or(AddressError::Host)?;
    let value = parts.next().ok_or(AddressError::Host)?;
    let bad = || AddressError::BadHost(value.to_owned());
    match kind {
        "ip4" => value.parse::<Ipv4Addr>().map(|ip| Host::Ip(ip.into())).map_err(|_| bad()),
        "ip6" => value.parse::<Ipv6Addr>().map(|ip| Host::Ip(canonical(ip.into()))).map_err(|_| bad()),
        "dns" | "dns4" | "dns6" => {
            let fits = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
            if value.is_empty() || !fits {
                return Err(bad());
            }
            let kind = ["dns", "dns4", "dns6"].into_iter().find(|known| *known == kind).ok_or_else(bad)?;
            Ok(Host::Name(kind, value.to_ascii_lowercase()))
        }
        _ => Err(AddressError::Host),
    }
}

fn transport<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Result<(Transport, u16), AddressError> {
    let kind = parts.next().ok_or(AddressError::Transport)?;
    let text = parts.next().ok_or(AddressError::Transport)?;
    // `u16` takes a sign and leading zeros, and an address has one form.
    let port = text.parse::<u16>().ok().filter(|port| port.to_string() == text);
    let port = port.ok_or_else(|| AddressError::Port(text.to_owned()))?;
    match kind {
        "tcp" => Ok((Transport::Tcp, port)),
        "udp" if parts.next() == Some("quic-v1") => Ok((Transport::Quic, port)),
        _ => Err(AddressError::Transport),
    }
}

fn peer<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Result<PeerId, AddressError> {
    let text = parts.next().unwrap_or_default();
    let bad = || AddressError::Peer(text.to_owned());
    if text.len() > MAX_ID_BYTES {
        return Err(bad());
    }
    let bytes = bs58::decode(text).into_vec().map_err(|_| bad())?;
    PeerId::from_multihash(&bytes).ok_or_else(bad)
}

#[cfg(test)]
mod tests;
