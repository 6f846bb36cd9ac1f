//! Between libp2p's addresses and ours.

use std::io;
use std::net::{IpAddr, TcpListener};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use crate::network::address::{AddressError, Host, PeerAddress, Transport, canonical};

/// The IP address that an address begins with, in its one form. None for a name, and for who is behind a relay.
pub(super) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    if address.iter().any(|part| part == Protocol::P2pCircuit) {
        return None;
    }
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(canonical(ip.into())),
        Protocol::Ip6(ip) => Some(canonical(ip.into())),
        _ => None,
    }
}

/// An address as text, without who is there.
pub(super) fn text_of(address: &Multiaddr) -> String {
    let mut address = address.clone();
    if let Some(Protocol::P2p(_)) = address.iter().last() {
        address.pop();
    }
    address.to_string()
}

/// An address that can be dialled, from its text.
///
/// # Errors
/// If it is none.
pub(super) fn parse(text: &str) -> Result<Multiaddr, AddressError> {
    let address = PeerAddress::parse(text)?;
    // Whatever `PeerAddress` writes, libp2p reads.
    address.to_string().parse().map_err(|_| AddressError::Transport)
}

/// Whether a TCP address can be listened on. libp2p shares ports, so that it dials from the one it listens on; without
/// this a second node would share the first one's, and connections would go to either.
///
/// # Errors
/// The system's answer, if another listens there.
pub(super) fn is_free(text: &str) -> io::Result<()> {
    match PeerAddress::parse(text) {
        Ok(PeerAddress { host: Host::Ip(ip), transport: Transport::Tcp, port, relay: None, .. }) if port > 0 => {
            TcpListener::bind((ip, port)).map(drop)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::PeerId;

    #[test]
    fn texts_are_libp2ps() {
        let id = PeerId([7; 32]);
        let texts = [
            "/ip4/1.2.3.4/tcp/7".to_owned(),
            "/ip6/2600::1/udp/7/quic-v1".to_owned(),
            "/dns4/seed.example/tcp/7".to_owned(),
            format!("/ip4/1.2.3.4/udp/7/quic-v1/p2p/{id}/p2p-circuit/p2p/{id}"),
        ];
        for text in &texts {
            let address = parse(text).expect("an address");
            assert_eq!(address.to_string(), *text);
            assert_eq!(PeerAddress::parse(&address.to_string()).expect("ours").to_string(), *text);
        }
        let named: Multiaddr = format!("/ip4/1.2.3.4/tcp/7/p2p/{id}").parse().expect("an address");
        assert_eq!(text_of(&named), "/ip4/1.2.3.4/tcp/7");
        assert_eq!(ip_of(&named), Some([1, 2, 3, 4].into()));
        assert_eq!(ip_of(&parse(&texts[3]).expect("an address")), None, "the relay's address is not the peer's");
        assert_eq!(ip_of(&"/ip6/::ffff:1.2.3.4/tcp/7".parse().expect("an address")), Some([1, 2, 3, 4].into()));
        assert_eq!(parse("/ip4/1.2.3.4/tcp/7/ws"), Err(AddressError::Trailing("ws".into())));
    }
}
