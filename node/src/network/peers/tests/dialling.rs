use super::*;
use crate::network::book::MAX_ANCHORS;

fn parsed(text: &str) -> PeerAddress {
    PeerAddress::parse(text).expect("an address")
}

fn with_seed(hand: u8) -> impl FnOnce(&mut PeerOptions) {
    move |options| options.seeds = vec![parsed(&place(hand))]
}

#[test]
fn seeds_are_dialled_first_and_again_after_ever_longer_waits() {
    let mut hand = Hand::new(with_seed(9));
    let mut waits = Vec::new();
    let mut last_ms = None;
    while waits.len() < 8 {
        for (peer, address) in dialled(&hand.tick(250)) {
            assert_eq!((peer, &address), (None, &place(9)));
            waits.extend(last_ms.replace(hand.now_ms).map(|last_ms| hand.now_ms - last_ms));
            hand.peers.dial_failed(&address, hand.now_ms);
        }
    }
    assert!(waits[0] < 4000 && waits[7] > 100_000, "{waits:?}");
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0]), "{waits:?}");
    // It answers, stays, and goes: it is tried again at once.
    while dialled(&hand.tick(250)).is_empty() {}
    hand.befriend(9, &place(9), true);
    hand.now_ms += 2 * LASTING_MS;
    hand.peers.disconnected(&id(9), hand.now_ms);
    let left_ms = hand.now_ms;
    while dialled(&hand.tick(250)).is_empty() {}
    assert!(hand.now_ms - left_ms < 5000);
    // It answers, and hangs up: it is left alone for longer each time.
    let mut tried = 0;
    let until_ms = hand.now_ms + 60_000;
    while hand.now_ms < until_ms {
        tried += 1;
        hand.befriend(9, &place(9), true);
        hand.peers.disconnected(&id(9), hand.now_ms);
        while dialled(&hand.tick(250)).is_empty() {}
    }
    assert!(tried <= 7, "{tried}");
}

#[test]
fn as_many_are_dialled_as_are_missing_each_of_another_network() {
    let mut hand = Hand::new(|_| {});
    for n in 1..=100 {
        // Ten networks of ten.
        hand.peers.discovered(id(n), &format!("/ip4/93.{}.{n}.1/tcp/7", n / 10), hand.now_ms);
    }
    let dials = dialled(&hand.tick(500));
    assert_eq!(dials.len(), 8);
    let networks: std::collections::BTreeSet<_> = dials.iter().map(|(_, text)| parsed(text).group().wide()).collect();
    assert_eq!(networks.len(), 8);
    assert!(dialled(&hand.tick(500)).is_empty(), "they are on their way");
    for (peer, address) in &dials {
        let n = peer.expect("who was told").0[0];
        hand.befriend(n, address, true);
    }
    for _ in 0..20 {
        assert!(dialled(&hand.tick(500)).is_empty());
    }
    // One is lost, and another comes in its place.
    let lost = dials[0].0.expect("who was told");
    hand.peers.disconnected(&lost, hand.now_ms);
    assert_eq!(dialled(&hand.tick(500)).len(), 1);
}

#[test]
fn a_dial_that_nothing_is_heard_of_has_failed() {
    let mut hand = Hand::new(with_seed(9));
    assert_eq!(dialled(&hand.tick(500)).len(), 1);
    assert!(dialled(&hand.tick(29_000)).is_empty());
    hand.tick(1000);
    assert_eq!(hand.peers.counters().dials_failed, 1);
    // Somebody else's failure is not counted.
    hand.peers.dial_failed(&place(77), hand.now_ms);
    hand.peers.dial_failed("nonsense", hand.now_ms);
    assert_eq!(hand.peers.counters().dials_failed, 1);
}

#[test]
fn anchors_are_dialled_first_after_a_restart() {
    let mut hand = Hand::new(|_| {});
    for n in 1..=8 {
        hand.peers.discovered(id(n), &place(n), hand.now_ms);
    }
    for (peer, address) in dialled(&hand.tick(500)) {
        hand.befriend(peer.expect("who was told").0[0], &address, true);
    }
    let mut book = hand.peers.book().clone();
    assert_eq!(book.anchors().len(), 8);
    for n in 20..=250 {
        book.heard(&parsed(&place(n)), Group::of([95, n, 1, 1].into()), hand.now_ms);
    }
    let mut again = Hand::with_book(hand.peers.options.clone(), book);
    let mut first: Vec<_> = dialled(&again.tick(60_000)).into_iter().map(|(_, address)| address).collect();
    first.sort();
    assert_eq!(first, (1..=8).map(place).collect::<Vec<_>>());
    assert!(again.peers.book().anchors().len() <= MAX_ANCHORS);
    // A banned one is not.
    let mut book = hand.peers.book().clone();
    book.record.ban(Banned::Peer(id(3)), u64::MAX, hand.now_ms);
    let mut again = Hand::with_book(hand.peers.options.clone(), book);
    let first = dialled(&again.tick(60_000));
    assert!(first.iter().all(|(peer, _)| *peer != Some(id(3))), "{first:?}");
}

#[test]
fn nobody_is_dialled_who_is_there_or_is_us() {
    let mut hand = Hand::new(|_| {});
    hand.befriend(1, "/ip4/93.1.0.1/tcp/40000", false);
    hand.peers.discovered(id(1), &place(1), hand.now_ms);
    hand.peers.discovered(id(0), &place(2), hand.now_ms);
    for _ in 0..100 {
        assert!(dialled(&hand.tick(500)).is_empty());
    }
    hand.peers.disconnected(&id(1), hand.now_ms);
    assert_eq!(dialled(&hand.tick(500)), [(Some(id(1)), place(1))]);
}

#[test]
fn two_that_dial_each_other_at_once_blame_nobody() {
    let mut hand = Hand::new(|_| {});
    hand.peers.discovered(id(1), &place(1), hand.now_ms);
    assert_eq!(dialled(&hand.tick(500)).len(), 1);
    hand.befriend(1, "/ip4/93.1.0.1/tcp/40000", false);
    hand.peers.dial_failed(&place(1), hand.now_ms);
    assert_eq!(hand.peers.counters().dials_failed, 0);
}

#[test]
fn whom_somebody_asks_for_by_hand_is_dialled_once_and_kept() {
    let mut hand = Hand::new(|options| options.outbound = 2);
    for n in 1..=2 {
        hand.befriend(n, &place(n), true);
    }
    // Of the network of one that was dialled.
    let (text, address) = ("/ip4/93.1.7.7/tcp/7", parsed("/ip4/93.1.7.7/tcp/7"));
    assert_eq!(dialled(&hand.peers.connect(&address, hand.now_ms)), [(None, text.to_owned())]);
    assert!(hand.peers.connect(&address, hand.now_ms).is_empty(), "it is on its way");
    hand.befriend(3, text, true);
    assert!(hand.peers.connect(&address, hand.now_ms).is_empty(), "it is there");
    // One that was to be tried only is kept too.
    hand.peers.discovered(id(4), &place(4), hand.now_ms);
    assert_eq!(dialled(&hand.tick(200_000)), [(Some(id(4)), place(4))]);
    assert!(hand.peers.connect(&parsed(&place(4)), hand.now_ms).is_empty());
    hand.befriend(4, &place(4), true);
    // However many are being dialled.
    for n in 10..30 {
        assert_eq!(dialled(&hand.peers.connect(&parsed(&place(n)), hand.now_ms)).len(), 1);
    }
}

#[test]
fn addresses_that_were_heard_of_are_tried_while_all_is_well() {
    let mut hand = Hand::new(|options| options.outbound = 2);
    for n in 1..=2 {
        hand.befriend(n, &place(n), true);
    }
    for n in 10..=12 {
        hand.peers.discovered(id(n), &place(n), hand.now_ms);
    }
    let mut answered = 0;
    for _ in 0..1200 {
        for (peer, address) in dialled(&hand.tick(500)) {
            let n = peer.expect("who was told").0[0];
            let question = asked(&hand.connect(n, &address, true)).expect("HELLO").0;
            hand.answer(n, Request::Hello(hello(5, hand.now_ms)));
            let effects = hand.respond(n, question, Response::Hello(hello(5, hand.now_ms)));
            // It was there, which is all that was asked.
            assert_eq!(gone(&effects), [(id(n), Refused::Full)]);
            answered += 1;
        }
        for ping in 1..=2 {
            hand.now_ms += 1;
            assert!(hand.peers.is_ready(&id(ping)));
        }
    }
    assert_eq!(answered, 3);
    assert_eq!(hand.peers.book().counts(), (0, 5));
}

#[test]
fn a_peer_far_behind_that_never_gave_anything_is_replaced() {
    for useful in [false, true] {
        let mut hand = Hand::new(|options| options.outbound = 2);
        hand.befriend(1, &place(1), true);
        hand.befriend(2, &place(2), true);
        hand.peers.set_tip(tip(100));
        hand.answer(2, Request::Hello(hello(100, hand.now_ms)));
        if useful {
            hand.peers.useful(&id(1), 1000, hand.now_ms);
        }
        hand.now_ms += 400_000;
        hand.peers.discovered(id(3), &place(3), hand.now_ms);
        let (_, address) = dialled(&hand.tick(500)).pop().expect("another is tried");
        let question = asked(&hand.connect(3, &address, true)).expect("HELLO").0;
        hand.answer(3, Request::Hello(hello(100, hand.now_ms)));
        let effects = hand.respond(3, question, Response::Hello(hello(100, hand.now_ms)));
        let expected = if useful { (id(3), Refused::Full) } else { (id(1), Refused::Replaced) };
        assert_eq!(gone(&effects), [expected]);
        assert_eq!(hand.peers.ready().count(), 2);
    }
}

#[test]
fn a_full_node_tries_addresses_too_and_replaces_who_is_no_use() {
    for useful in [false, true] {
        // So few have dialled that none of them gives way.
        let mut hand = Hand::new(|options| (options.outbound, options.inbound, options.peers) = (2, 2, 4));
        for n in 1..=4 {
            hand.befriend(n, &place(n), n <= 2);
        }
        hand.peers.set_tip(tip(100));
        hand.answer(2, Request::Hello(hello(100, hand.now_ms)));
        if useful {
            hand.peers.useful(&id(1), 1000, hand.now_ms);
        }
        hand.now_ms += 400_000;
        hand.peers.discovered(id(5), &place(5), hand.now_ms);
        assert_eq!(dialled(&hand.tick(500)), [(Some(id(5)), place(5))]);
        let effects = hand.connect(5, &place(5), true);
        assert_eq!(gone(&effects), []);
        hand.answer(5, Request::Hello(hello(100, hand.now_ms)));
        let question = asked(&effects).expect("HELLO").0;
        let effects = hand.respond(5, question, Response::Hello(hello(100, hand.now_ms)));
        let expected = if useful { (id(5), Refused::Full) } else { (id(1), Refused::Replaced) };
        assert_eq!(gone(&effects), [expected]);
        assert_eq!(hand.peers.ready().count(), 4);
        // That somebody was there is known now.
        assert_eq!(hand.peers.book().counts(), (0, 3));
    }
}

#[test]
fn who_was_tried_is_kept_where_others_left_no_room_for_one_to_be_dialled() {
    // Of twelve that dialled two may give way, and of two none.
    for (inbound, kept) in [(12, true), (2, false)] {
        let mut hand = Hand::new(|options| {
            (options.outbound, options.inbound, options.peers) = (2, inbound.into(), usize::from(inbound) + 1);
        });
        hand.befriend(1, &place(1), true);
        for n in 0..inbound {
            hand.befriend(50 + n, &place(50 + n), false);
        }
        hand.peers.discovered(id(5), &place(5), hand.now_ms);
        assert_eq!(dialled(&hand.tick(200_000)), [(Some(id(5)), place(5))]);
        let effects = hand.connect(5, &place(5), true);
        hand.answer(5, Request::Hello(hello(5, hand.now_ms)));
        let question = asked(&effects).expect("HELLO").0;
        let gone = gone(&hand.respond(5, question, Response::Hello(hello(5, hand.now_ms))));
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].1, if kept { Refused::Replaced } else { Refused::Full });
        assert_eq!(gone[0].0 == id(5), !kept, "{gone:?}");
        assert_eq!(hand.peers.ready().count(), usize::from(inbound) + 1);
    }
}

#[test]
fn a_peer_that_only_refuses_is_replaced_by_one_that_is_known_already() {
    for refuses in [true, false] {
        let mut hand = Hand::new(|options| options.outbound = 2);
        hand.befriend(1, &place(1), true);
        hand.befriend(2, &place(2), true);
        // Somebody answered there before: nobody has to be heard of for it.
        hand.peers.book.answered(&parsed(&place(3)), id(3), hand.now_ms);
        for _ in 0..7 {
            hand.peers.answered(&id(1), true);
        }
        hand.peers.answered(&id(1), refuses);
        hand.now_ms += 400_000;
        let dials = dialled(&hand.tick(500));
        assert_eq!(dials, if refuses { vec![(Some(id(3)), place(3))] } else { Vec::new() });
        if refuses {
            let question = asked(&hand.connect(3, &place(3), true)).expect("HELLO").0;
            hand.answer(3, Request::Hello(hello(5, hand.now_ms)));
            let effects = hand.respond(3, question, Response::Hello(hello(5, hand.now_ms)));
            assert_eq!(gone(&effects), [(id(1), Refused::Replaced)]);
        }
    }
}

#[test]
fn nobody_is_dialled_through_oneself() {
    for (relay, expected) in [(0, 0), (9, 1)] {
        let mut hand = Hand::new(|_| {});
        let address = format!("{}/p2p/{}/p2p-circuit", place(1), id(relay));
        hand.peers.discovered(id(1), &address, hand.now_ms);
        assert_eq!(dialled(&hand.tick(500)).len(), expected, "{address}");
        // Others may still hear of it.
        assert_eq!(hand.peers.book().counts(), (1, 0));
    }
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut hand = Hand::new(with_seed(9));
    hand.befriend(1, &place(1), false);
    for _ in 0..100 {
        for (_, address) in dialled(&hand.tick(250)) {
            hand.peers.dial_failed(&address, hand.now_ms);
        }
    }
    hand.connect(2, &place(2), false);
    hand.now_ms -= 24 * 3_600_000;
    assert_eq!(gone(&hand.tick(0)), [(id(2), Refused::Silent)], "since when it is there nobody knows");
    let (mut pinged, mut dials) = (false, 0);
    for _ in 0..1000 {
        let effects = hand.tick(100);
        dials += dialled(&effects).len();
        for effect in effects {
            pinged |= matches!(effect, Effect::Request { request: Request::Ping(_), .. });
        }
        assert!(hand.peers.wake_ms() <= hand.now_ms + PING_MS * 2);
    }
    assert!(pinged && dials > 0, "{pinged} {dials}");
}

#[test]
fn a_million_told_addresses_of_one_liar_do_not_eclipse() {
    let mut hand = Hand::new(|_| {});
    // Forty honest addresses, told by as many networks.
    let mut book = Book::new([3; 32], false);
    for n in 1..=40 {
        book.heard(&parsed(&place(n)), Group::of([95, n, 1, 1].into()), START_MS);
    }
    hand.peers.book = book;
    hand.befriend(200, "/ip4/94.1.1.1/tcp/7", false);
    for n in 0..20_000_u32 {
        let [_, b, c, d] = n.wrapping_mul(7919).to_be_bytes();
        let address = parsed(&format!("/ip4/{}.{b}.{c}.{d}/tcp/7", 100 + n % 20));
        hand.peers.book.heard(&address, Group::of([94, 1, 1, 1].into()), START_MS);
    }
    let dials = dialled(&hand.tick(500));
    let honest = dials.iter().filter(|(_, text)| text.starts_with("/ip4/93.")).count();
    assert_eq!(dials.len(), 8);
    // Thirty-some buckets against sixteen.
    assert!(honest >= 4, "{dials:?}");
}
