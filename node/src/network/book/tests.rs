use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::network::address::Transport;

const DAY_MS: u64 = 24 * 3_600_000;

fn address(ip: [u8; 4], port: u16) -> PeerAddress {
    PeerAddress::new(Ipv4Addr::from(ip).into(), Transport::Tcp, port)
}

fn numbered(n: u32) -> PeerAddress {
    // Public, each of a /16 of its own as long as there are some.
    let [a, b, c, d] = (n.wrapping_mul(0x9e37_79b1)).to_be_bytes();
    address([11 + a % 80, b, c, d], 7)
}

fn group(n: u8) -> Group {
    Group::of([93, n, 0, 1].into())
}

fn book() -> Book {
    Book::new([5; 32], false)
}

fn lots() -> Lots {
    Lots::new([6; 32])
}

#[test]
fn whoever_tells_of_a_million_addresses_fills_a_share_alone() {
    let mut book = book();
    for n in 0..100_000 {
        book.heard(&numbered(n), group(1), DAY_MS);
    }
    let (flooded, _) = book.counts();
    assert!(flooded <= HEARD_PER_SOURCE * SLOTS, "{flooded}");
    // The control: many networks fill the table.
    for n in 0..100_000 {
        book.heard(&numbered(n), group((n % 251) as u8), DAY_MS);
    }
    assert!(book.counts().0 > HEARD_BUCKETS * SLOTS * 9 / 10, "{:?}", book.counts());
}

#[test]
fn one_network_fills_a_share_of_what_answered() {
    let mut book = book();
    for n in 0..20_000_u32 {
        let [_, _, c, d] = n.to_be_bytes();
        book.answered(&address([93, 1, c, d], 7), PeerId([1; 32]), DAY_MS);
    }
    let (heard, answered) = book.counts();
    assert!(answered <= TRIED_PER_GROUP * SLOTS, "{answered}");
    // What found no place there lies among the heard, in the one bucket of its network and source.
    assert!(heard <= HEARD_PER_SOURCE * SLOTS, "{heard}");
    for n in 0..20_000 {
        book.answered(&numbered(n), PeerId([2; 32]), DAY_MS);
    }
    assert!(book.counts().1 > TRIED_BUCKETS * SLOTS * 9 / 10, "{:?}", book.counts());
}

#[test]
fn addresses_of_this_machine_are_networks_of_their_own_unless_they_are_not_to_be() {
    for (strict, least, most) in [(false, 90, 200), (true, 0, SLOTS)] {
        let mut book = Book::new([5; 32], strict);
        for port in 1..=200 {
            book.heard(&address([127, 0, 0, 1], port), Group::of([127, 0, 0, 1].into()), DAY_MS);
        }
        let (heard, _) = book.counts();
        assert!((least..=most).contains(&heard), "{strict}: {heard}");
    }
}

#[test]
fn an_address_waits_longer_after_each_failure() {
    let (mut book, mut lots) = (book(), lots());
    let there = numbered(1);
    book.heard(&there, group(1), DAY_MS);
    let mut now_ms = DAY_MS;
    let mut last = 0;
    for failure in 1..30 {
        assert!(book.get(&there).expect("known").is_due(now_ms), "failure {failure}");
        book.failed(&there, &mut lots, now_ms);
        let wait_ms = book.get(&there).expect("known").next_try_ms - now_ms;
        let middle_ms = (BACKOFF_MS << (failure - 1).min(20)).min(MAX_BACKOFF_MS);
        assert!((middle_ms * 3 / 4..=middle_ms * 5 / 4).contains(&wait_ms), "{failure}: {wait_ms}");
        assert!(!book.get(&there).expect("known").is_due(now_ms + wait_ms - 1));
        assert!(failure > 8 || wait_ms > last);
        (last, now_ms) = (wait_ms, now_ms + wait_ms);
    }
    // It answered, but that it stays is not known yet: the wait goes on where it was.
    book.answered(&there, PeerId([1; 32]), now_ms);
    assert_eq!(book.get(&there).expect("known").failures, 29);
    book.lasted(&there);
    book.failed(&there, &mut lots, now_ms);
    assert!(book.get(&there).expect("known").next_try_ms <= now_ms + BACKOFF_MS * 5 / 4);
}

#[test]
fn a_time_from_a_wrong_clock_holds_nobody_back() {
    let (mut book, mut lots) = (book(), lots());
    book.heard(&numbered(1), group(1), DAY_MS);
    book.failed(&numbered(1), &mut lots, 1000 * DAY_MS);
    assert!(book.get(&numbered(1)).expect("known").is_due(DAY_MS));
}

#[test]
fn who_is_said_to_be_there_is_hearsay() {
    let (mut book, mut lots) = (book(), lots());
    let [liar, real] = [PeerId([1; 32]), PeerId([2; 32])];
    let told = |peer| PeerAddress { peer: Some(peer), ..numbered(1) };
    book.heard(&told(liar), group(1), DAY_MS);
    assert_eq!(book.get(&numbered(1)).expect("known").peer, Some(liar));
    book.failed(&numbered(1), &mut lots, DAY_MS);
    // The lie is gone, and does not come back.
    book.heard(&told(liar), group(1), DAY_MS);
    assert_eq!(book.get(&numbered(1)).expect("known").peer, None);
    book.answered(&numbered(1), real, DAY_MS);
    book.heard(&told(liar), group(1), DAY_MS);
    book.failed(&numbered(1), &mut lots, DAY_MS);
    assert_eq!(book.get(&numbered(1)).expect("known").peer, Some(real));
}

#[test]
fn what_is_no_good_gives_its_place_and_what_is_good_keeps_it() {
    let (mut book, mut lots) = (book(), lots());
    // Two of one place among the answered.
    let first = numbered(1);
    let place = |book: &Book, n| {
        let known = Known {
            address: numbered(n),
            peer: None,
            source: group(1),
            heard_ms: 0,
            answered_ms: 0,
            failures: 0,
            next_try_ms: 0,
        };
        book.place_of(Table::Tried, &known)
    };
    let other = (2..).find(|n| place(&book, *n) == place(&book, 1)).map(numbered).expect("a place is met again");
    book.answered(&first, PeerId([1; 32]), DAY_MS);
    book.answered(&other, PeerId([2; 32]), DAY_MS);
    assert_eq!(book.counts(), (1, 1), "the second waits among the heard");
    for _ in 0..FAILURES {
        book.failed(&first, &mut lots, DAY_MS);
    }
    book.answered(&other, PeerId([2; 32]), DAY_MS);
    assert_eq!(book.counts(), (0, 1));
    assert!(book.get(&first).is_none() && book.get(&other).is_some());
    // After a fortnight without an answer it gives its place too.
    book.answered(&first, PeerId([1; 32]), DAY_MS + STALE_MS);
    assert!(book.get(&first).is_some());
    book.answered(&first, PeerId([1; 32]), DAY_MS + STALE_MS + 1);
    assert!(book.get(&other).is_none());
}

#[test]
fn what_is_drawn_is_due_and_fits_and_buckets_are_alike() {
    let (mut book, mut lots) = (book(), lots());
    assert_eq!(book.draw(&mut lots, DAY_MS, |_| true), None);
    // One network tells of very many, fifteen others of one each.
    for n in 0..10_000 {
        book.heard(&numbered(n), group(1), DAY_MS);
    }
    let loud = book.counts().0;
    let quiet: Vec<_> = (0..64).map(|n| numbered(1_000_000 + n)).collect();
    for (n, address) in quiet.iter().enumerate() {
        book.heard(address, group(2 + n as u8), DAY_MS);
    }
    let kept = book.counts().0 - loud;
    assert!(kept > 40, "{kept}");
    let mut seen = 0;
    for _ in 0..1000 {
        let known = book.draw(&mut lots, DAY_MS, |_| true).expect("some are due");
        seen += usize::from(quiet.contains(&known.address));
    }
    // A bucket for each, about, against sixteen.
    assert!(seen > 600, "{seen}");
    assert_eq!(
        book.draw(&mut lots, DAY_MS, |known| known.address == numbered(5)).is_some(),
        book.get(&numbered(5)).is_some()
    );
    assert_eq!(book.draw(&mut lots, DAY_MS, |_| false), None);
}

#[test]
fn a_sample_is_small_and_says_nothing_that_the_other_cannot_reach() {
    let (mut book, mut lots) = (book(), lots());
    book.heard(&address([127, 0, 0, 1], 7), group(1), DAY_MS);
    book.heard(&address([10, 0, 0, 1], 7), group(1), DAY_MS);
    book.heard(&address([93, 0, 0, 1], 7), group(1), DAY_MS);
    let mut count = |scope| book.sample(64, scope, &mut lots, DAY_MS).len();
    assert_eq!([count(Scope::Loopback), count(Scope::Private), count(Scope::Public)], [3, 2, 1]);
    for n in 0..2000 {
        book.heard(&numbered(n), group((n % 200) as u8), DAY_MS);
    }
    book.answered(&numbered(7), PeerId([1; 32]), DAY_MS);
    let sample = book.sample(10_000, Scope::Public, &mut lots, DAY_MS);
    assert!(sample.len() <= book.counts().0 / 4);
    assert_eq!(sample[0].address, numbered(7), "what answered comes first");
}

#[test]
fn anchors_are_the_last() {
    let mut book = book();
    for n in 0..MAX_ANCHORS as u8 + 3 {
        book.anchor(PeerAddress { peer: Some(PeerId([n; 32])), ..numbered(n.into()) });
    }
    assert_eq!(book.anchors().len(), MAX_ANCHORS);
    assert_eq!(book.anchors()[0].peer, Some(PeerId([3; 32])));
    // The same peer again, elsewhere.
    book.anchor(PeerAddress { peer: Some(PeerId([3; 32])), ..numbered(77) });
    assert_eq!(book.anchors().len(), MAX_ANCHORS);
    assert_eq!(book.anchors()[MAX_ANCHORS - 1].without_peer(), numbered(77));
    book.no_anchor(&PeerId([3; 32]));
    book.forget(&numbered(4));
    assert_eq!(book.anchors().len(), MAX_ANCHORS - 2);
}

#[test]
fn nowhere_is_no_address() {
    let mut book = book();
    for text in ["/ip4/0.0.0.0/tcp/7", "/ip4/224.0.0.1/tcp/7", "/ip6/::/tcp/7", "/ip4/93.1.2.3/tcp/0"] {
        let address = PeerAddress::parse(text).expect("an address");
        assert!(!book.heard(&address, group(1), DAY_MS), "{text}");
        book.answered(&address, PeerId([1; 32]), DAY_MS);
    }
    assert_eq!(book.counts(), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Whatever happens, each address lies in one place, where it belongs, and bounds hold.
    #[test]
    fn places_are_sound(steps in prop::collection::vec((0_u8..5, 0_u32..300, 0_u8..4, 0_u64..3), 1..400)) {
        let (mut book, mut lots, mut now_ms) = (book(), lots(), DAY_MS);
        for (what, n, source, days) in steps {
            now_ms += days * DAY_MS;
            match what {
                0 | 1 => { book.heard(&numbered(n), group(source), now_ms); }
                2 => book.answered(&numbered(n), PeerId([source; 32]), now_ms),
                3 => book.failed(&numbered(n), &mut lots, now_ms),
                _ => book.forget(&numbered(n)),
            }
        }
        let both = [Table::Heard, Table::Tried];
        let all = both.iter().flat_map(|table| book.table(*table).iter().enumerate().map(|(place, known)| (*table, place, known)));
        let mut found = 0;
        for (table, place, known) in all {
            let Some(known) = known else { continue };
            found += 1;
            prop_assert_eq!(book.places.get(&known.address), Some(&(table, place)));
            prop_assert_eq!(book.place_of(table, known), place);
        }
        prop_assert_eq!(found, book.places.len());
    }
}
