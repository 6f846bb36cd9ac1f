use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::{AddressError, Group, PeerAddress, Scope, Transport, canonical};
use crate::network::PeerId;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn parse(text: &str) -> PeerAddress {
    PeerAddress::parse(text).expect("an address")
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_is_the_same_address() {
    let plain = ip("203.0.113.9");
    for dressed in [
        "::ffff:203.0.113.9",
        "::203.0.113.9",
        "::ffff:0:203.0.113.9",
        "64:ff9b::203.0.113.9",
        "2002:cb00:7109::1",
        "2002:cb00:7109:7::",
    ] {
        assert_eq!(canonical(ip(dressed)), plain, "{dressed}");
        assert_eq!(Group::of(ip(dressed)), Group::of(plain));
        let text = format!("/ip6/{}/tcp/7", ip(dressed));
        assert_eq!(parse(&text), parse("/ip4/203.0.113.9/tcp/7"), "{dressed}");
    }
    // The control: these are addresses of their own.
    for other in ["::", "::1", "2001:db8::1", "64:ff9b:1::203.0.113.9", "::1:ffff:203.0.113.9"] {
        assert_eq!(canonical(ip(other)), ip(other));
    }
    assert_eq!(canonical(ip("::ffff:127.0.0.1")), ip("127.0.0.1"));
    assert_eq!(Scope::of(ip("::ffff:127.0.0.1")), Scope::Loopback);
}

#[test]
fn groups_are_24_and_64_bits_and_16_and_32_around_them() {
    let group = |text| Group::of(ip(text));
    assert_eq!(group("198.51.100.1"), group("198.51.100.255"));
    assert_ne!(group("198.51.100.1"), group("198.51.101.1"));
    assert_eq!(group("198.51.100.1").wide(), group("198.51.7.1").wide());
    assert_ne!(group("198.51.100.1").wide(), group("198.52.100.1").wide());
    assert_eq!(group("2001:db8:1:2::1"), group("2001:db8:1:2:ffff::"));
    assert_ne!(group("2001:db8:1:2::1"), group("2001:db8:1:3::1"));
    assert_eq!(group("2001:db8:1:2::1").wide(), group("2001:db8:9::").wide());
    assert_ne!(group("2001:db8::").wide(), group("2001:db9::").wide());
    let name = |text: &str| parse(text).group();
    assert_eq!(name("/dns/Seed.example/tcp/1"), name("/dns4/seed.example/tcp/2"));
    assert_ne!(name("/dns/seed.example/tcp/1"), name("/dns/seed2.example/tcp/1"));
}

#[test]
fn scopes() {
    let table = [
        ("0.0.0.0", Scope::Nowhere),
        ("0.1.2.3", Scope::Nowhere),
        ("224.0.0.1", Scope::Nowhere),
        ("255.255.255.255", Scope::Nowhere),
        ("::", Scope::Nowhere),
        ("ff02::1", Scope::Nowhere),
        ("127.8.9.1", Scope::Loopback),
        ("::1", Scope::Loopback),
        ("10.255.0.1", Scope::Private),
        ("172.31.0.1", Scope::Private),
        ("172.32.0.1", Scope::Public),
        ("192.168.7.1", Scope::Private),
        ("169.254.7.1", Scope::Private),
        ("100.64.0.1", Scope::Private),
        ("100.128.0.1", Scope::Public),
        ("fe80::1", Scope::Private),
        ("fd00::1", Scope::Private),
        ("8.8.8.8", Scope::Public),
        ("2600::1", Scope::Public),
    ];
    for (text, scope) in table {
        assert_eq!(Scope::of(ip(text)), scope, "{text}");
    }
}

#[test]
fn texts_of_addresses() {
    let id = PeerId([7; 32]);
    let relay = PeerId([9; 32]);
    let good = [
        "/ip4/1.2.3.4/tcp/30333".to_owned(),
        "/ip4/1.2.3.4/udp/0/quic-v1".to_owned(),
        format!("/ip6/2600::7/tcp/65535/p2p/{id}"),
        format!("/dns4/seed.example/udp/7/quic-v1/p2p/{id}"),
        format!("/ip4/1.2.3.4/tcp/7/p2p/{relay}/p2p-circuit/p2p/{id}"),
        format!("/ip4/1.2.3.4/udp/7/quic-v1/p2p/{relay}/p2p-circuit"),
    ];
    for text in &good {
        assert_eq!(parse(text).to_string(), *text);
    }
    assert_eq!((parse(&good[4]).relay, parse(&good[4]).peer), (Some(relay), Some(id)));
    assert_eq!((parse(&good[5]).relay, parse(&good[5]).peer), (Some(relay), None));
    let bad = [
        ("", AddressError::Host),
        ("ip4/1.2.3.4/tcp/7", AddressError::Host),
        ("/unix/1.2.3.4/tcp/7", AddressError::Host),
        ("/ip4/1.2.3/tcp/7", AddressError::BadHost("1.2.3".into())),
        ("/ip4/::1/tcp/7", AddressError::BadHost("::1".into())),
        ("/ip6/fe80::1%eth0/tcp/7", AddressError::BadHost("fe80::1%eth0".into())),
        ("/dns//tcp/7", AddressError::BadHost(String::new())),
        ("/dns/a b/tcp/7", AddressError::BadHost("a b".into())),
        ("/ip4/1.2.3.4", AddressError::Transport),
        ("/ip4/1.2.3.4/tcp", AddressError::Transport),
        ("/ip4/1.2.3.4/udp/7", AddressError::Transport),
        ("/ip4/1.2.3.4/udp/7/quic", AddressError::Transport),
        ("/ip4/1.2.3.4/tcp/65536", AddressError::Port("65536".into())),
        ("/ip4/1.2.3.4/tcp/+7", AddressError::Port("+7".into())),
        ("/ip4/1.2.3.4/tcp/07", AddressError::Port("07".into())),
        ("/ip4/1.2.3.4/tcp/7/ws", AddressError::Trailing("ws".into())),
        ("/ip4/1.2.3.4/tcp/7/p2p", AddressError::Peer(String::new())),
        (
            "/ip4/1.2.3.4/tcp/7/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
            AddressError::Peer("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".into()),
        ),
        ("/ip4/1.2.3.4/tcp/7/p2p-circuit", AddressError::Trailing("p2p-circuit".into())),
    ];
    for (text, error) in bad {
        assert_eq!(PeerAddress::parse(text), Err(error), "{text}");
    }
    assert_eq!(PeerAddress::parse(&"/".repeat(257)), Err(AddressError::TooLong { found: 257 }));
    let twice = format!("/ip4/1.2.3.4/tcp/7/p2p/{id}/p2p/{id}");
    assert_eq!(PeerAddress::parse(&twice), Err(AddressError::Trailing("p2p".into())));
}

#[test]
fn the_longest_address_fits_into_a_message() {
    let (id, relay) = (PeerId([255; 32]), PeerId([254; 32]));
    let mut address = PeerAddress::new(ip("2600:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), Transport::Quic, 65535);
    address.relay = Some(relay);
    address.peer = Some(id);
    assert_eq!(address.without_peer().peer, None);
    assert_eq!(address.to_string().len(), 188);
    assert_eq!(parse(&address.to_string()), address);
}

proptest! {
    /// Whatever is read is written in one form, and that is read as the same.
    #[test]
    fn one_form(v6 in any::<u128>(), v4 in any::<u32>(), port in any::<u16>(), key in any::<[u8; 32]>(), kind in 0_u8..4) {
        let host = if kind & 1 == 0 {
            format!("/ip4/{}", Ipv4Addr::from(v4))
        } else {
            format!("/ip6/{}", std::net::Ipv6Addr::from(v6))
        };
        let way = if kind & 2 == 0 { format!("/tcp/{port}") } else { format!("/udp/{port}/quic-v1") };
        let address = parse(&format!("{host}{way}/p2p/{}", PeerId(key)));
        prop_assert_eq!(address.peer, Some(PeerId(key)));
        prop_assert_eq!(&parse(&address.to_string()), &address);
        prop_assert_eq!(canonical(address.ip().expect("an IP")), address.ip().expect("an IP"));
    }

    #[test]
    fn any_text_is_answered(text in "[/a-z0-9.:]{0,140}", tail in any::<String>()) {
        for text in [text.clone(), tail.clone(), format!("/ip4/1.2.3.4/tcp/7{text}"), format!("{text}{tail}")] {
            if let Ok(address) = PeerAddress::parse(&text) {
                prop_assert_eq!(PeerAddress::parse(&address.to_string()), Ok(address));
            }
        }
    }
}
