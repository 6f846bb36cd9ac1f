use super::*;

#[test]
fn the_book_of_addresses_grows_by_what_peers_tell_within_their_reach() {
    let mut hand = Hand::new(|_| {});
    hand.befriend(1, &place(1), true);
    let effects = hand.tick(600);
    let (question, request) = asked(&effects).expect("peers are asked for");
    assert_eq!(request, Request::Peers);
    let own = format!("/ip4/93.9.9.9/tcp/7/p2p/{}", id(0));
    let told = [
        "/ip4/93.50.0.1/tcp/7",
        "/ip4/10.0.0.1/tcp/7",
        "/ip4/127.0.0.1/tcp/7",
        "nonsense",
        &own,
        &place(51),
        "/dns/a.example/tcp/7",
    ];
    let list = told.iter().map(|text| Capped::new(text.as_bytes().to_vec()).expect("short")).collect();
    hand.respond(1, question, Response::Peers(Capped::new(list).expect("few")));
    let known = |text: &str| hand.peers.book().get(&PeerAddress::parse(text).expect("an address")).is_some();
    assert!(known("/ip4/93.50.0.1/tcp/7") && known(&place(51)));
    assert!(!known("/dns/a.example/tcp/7"), "names are for seeds");
    // A public peer knows nothing of this machine, or this site.
    assert!(!known("/ip4/10.0.0.1/tcp/7") && !known("/ip4/127.0.0.1/tcp/7") && !known("/ip4/93.9.9.9/tcp/7"));
    // It is not asked again soon.
    for _ in 0..60 {
        let asked = asked(&hand.tick(1000));
        assert!(!matches!(asked, Some((_, Request::Peers))), "{asked:?}");
    }
}

#[test]
fn a_peer_list_says_nothing_of_who_asks_and_nothing_it_cannot_reach() {
    let mut hand = Hand::new(|_| {});
    hand.befriend(1, &place(1), false);
    hand.befriend(2, "/ip4/127.0.0.1/tcp/4000", false);
    hand.peers.discovered(id(1), &place(1), hand.now_ms);
    hand.peers.discovered(id(2), "/ip4/127.0.0.1/tcp/30333", hand.now_ms);
    hand.peers.discovered(id(7), &place(7), hand.now_ms);
    let mut list = |n| {
        let Response::Peers(list) = hand.answer(n, Request::Peers) else { panic!("no list") };
        let mut list: Vec<_> = list.iter().map(|text| String::from_utf8(text.to_vec()).expect("text")).collect();
        list.sort();
        list
    };
    let named = |n: u8| format!("{}/p2p/{}", place(n), id(n));
    assert_eq!(list(1), [named(7)]);
    assert_eq!(list(2), [named(1), named(7)]);
}

#[test]
fn limits_of_addresses_and_networks_hold_and_ipv6_clothes_do_not_help() {
    let mut hand = Hand::new(|_| {});
    hand.befriend(1, "/ip4/93.1.1.1/tcp/1", false);
    hand.befriend(2, "/ip6/::ffff:93.1.1.1/tcp/2", false);
    assert_eq!(gone(&hand.connect(3, "/ip4/93.1.1.1/udp/3/quic-v1", false)), [(id(3), Refused::Full)]);
    hand.befriend(4, "/ip4/93.1.1.2/tcp/1", false);
    hand.befriend(5, "/ip4/93.1.1.3/tcp/1", false);
    assert_eq!(gone(&hand.connect(6, "/ip4/93.1.1.4/tcp/1", false)), [(id(6), Refused::Full)]);
    assert_eq!(gone(&hand.connect(7, "/ip4/93.1.2.4/tcp/1", false)), []);
    // This machine and its site have no limits, unless they are to.
    for (n, host) in (20..26).zip(["127.0.0.1"; 6]).chain((26..32).zip(["10.0.0.7"; 6])) {
        assert_eq!(gone(&hand.connect(n, &format!("/ip4/{host}/tcp/{n}"), false)), []);
    }
    let mut strict = Hand::new(|options| options.strict_local = true);
    for n in 1..4 {
        let full = gone(&strict.connect(n, &format!("/ip4/127.0.0.1/tcp/{n}"), false));
        assert_eq!(full.is_empty(), n < 3);
    }
}

#[test]
fn whom_nobody_asked_to_dial_is_kept_only_where_networks_differ_and_twice_at_most() {
    let mut hand = Hand::new(|_| {});
    hand.befriend(1, "/ip4/93.1.1.1/tcp/1", true);
    assert_eq!(gone(&hand.connect(2, "/ip4/93.1.2.2/tcp/1", true)), [(id(2), Refused::Full)], "one of that network");
    assert_eq!(gone(&hand.connect(3, "/memory/7", true)), [(id(3), Refused::Full)], "nobody knows where");
    hand.befriend(4, &place(4), true);
    assert_eq!(gone(&hand.connect(5, &place(5), true)), [(id(5), Refused::Full)], "two are there");
    assert_eq!(hand.peers.counters().dials_failed, 0);
    // Who was dialled has its place, and another one that nobody asked for when it is known to be elsewhere.
    hand.peers.discovered(id(6), &place(6), hand.now_ms);
    assert_eq!(dialled(&hand.tick(500)), [(Some(id(6)), place(6))]);
    hand.befriend(6, &place(6), true);
    hand.peers.disconnected(&id(4), hand.now_ms);
    assert_eq!(gone(&hand.connect(7, "/ip4/93.6.9.9/tcp/1", true)), [(id(7), Refused::Full)]);
    assert_eq!(gone(&hand.connect(8, &place(8), true)), []);
}

#[test]
fn the_relay_on_the_way_to_somebody_is_kept() {
    let mut hand = Hand::new(|_| {});
    let through = format!("{}/p2p/{}/p2p-circuit", place(1), id(1));
    hand.peers.discovered(id(2), &through, hand.now_ms);
    assert_eq!(dialled(&hand.tick(500)), [(Some(id(2)), through.clone())]);
    assert_eq!(gone(&hand.connect(3, "/ip4/93.1.9.9/tcp/7", true)), [(id(3), Refused::Full)]);
    assert_eq!(gone(&hand.connect(1, &place(1), true)), []);
    assert_eq!(gone(&hand.connect(2, &through, true)), []);
}

#[test]
fn with_all_room_taken_the_largest_network_gives_way_and_the_useful_and_quick_stay() {
    let mut hand = Hand::new(|options| (options.per_group, options.per_ip) = (100, 100));
    // Four that are useful, four that are quick, and then an attacker's sixteen of one /16.
    for n in 1..=8 {
        hand.now_ms += 1000;
        let question = asked(&hand.connect(n, &place(n), false)).expect("HELLO").0;
        hand.answer(n, Request::Hello(hello(5, hand.now_ms)));
        hand.now_ms += if n > 4 { 1 } else { 100 };
        hand.respond(n, question, Response::Hello(hello(5, hand.now_ms)));
        if n <= 4 {
            hand.peers.useful(&id(n), 10, hand.now_ms);
        }
    }
    for n in 101..=116 {
        hand.now_ms += 1000;
        let question = asked(&hand.connect(n, &format!("/ip4/94.1.{n}.1/tcp/7"), false)).expect("HELLO").0;
        hand.answer(n, Request::Hello(hello(5, hand.now_ms)));
        hand.now_ms += 50;
        hand.respond(n, question, Response::Hello(hello(5, hand.now_ms)));
    }
    assert_eq!(hand.peers.views(hand.now_ms).len(), 24);
    // Honest ones come, and each has a place of the attacker's.
    for n in 9..=14 {
        hand.now_ms += 1000;
        let gone = gone(&hand.connect(n, &place(n), false));
        assert!(matches!(gone[..], [(PeerId([101..=116, ..]), Refused::Replaced)]), "{n}: {gone:?}");
        hand.answer(n, Request::Hello(hello(5, hand.now_ms)));
    }
    let ids: Vec<_> = hand.peers.views(hand.now_ms).iter().map(|view| view.id.0[0]).collect();
    assert!((1..=14).all(|n| ids.contains(&n)), "{ids:?}");
    assert_eq!(hand.peers.counters().replaced, 6);
}

#[test]
fn an_attacker_cannot_push_out_who_was_there_by_coming_again_and_again() {
    let mut hand = Hand::new(|options| (options.per_group, options.per_ip) = (100, 100));
    for n in 1..=24 {
        hand.now_ms += 1000;
        hand.befriend(n, &place(n), false);
    }
    let mut key = 0_u32;
    for _ in 0..500 {
        key += 1;
        hand.now_ms += 100;
        let mut attacker = [0xee; 32];
        attacker[..4].copy_from_slice(&key.to_le_bytes());
        let address = format!("/ip4/94.{}.{}.1/tcp/7", key % 7, key % 250);
        hand.peers.connected(PeerId(attacker), &address, false, &mut hand.ids, hand.now_ms);
    }
    let stayed = hand.peers.views(hand.now_ms).iter().filter(|view| view.ready).count();
    // Four and four, and the older half of the remaining sixteen.
    assert!(stayed >= 16, "{stayed}");
}

#[test]
fn full_is_full_where_everybody_is_safe() {
    let mut hand = Hand::new(|options| options.inbound = 3);
    for n in 1..=3 {
        hand.befriend(n, &place(n), false);
    }
    assert_eq!(gone(&hand.connect(4, &place(4), false)), [(id(4), Refused::Full)]);
    // Who was dialled has room all the same.
    assert_eq!(gone(&hand.connect(5, &place(5), true)), []);
    // Oneself is nobody.
    assert_eq!(gone(&hand.connect(0, &place(6), true)), [(id(0), Refused::Full)]);
}
