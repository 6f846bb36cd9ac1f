use super::*;
use crate::network::message::GetHeaders;

fn headers() -> Request {
    Request::Headers(GetHeaders { locator: Capped::default(), limit: 1 })
}

#[test]
fn nothing_is_served_before_hello_and_all_after_it() {
    let mut hand = Hand::new(|_| {});
    hand.connect(1, &place(1), false);
    for request in [headers(), Request::Peers, Request::Ping(1), Request::Pool, Request::BlockAccepted(tip(9))] {
        assert_eq!(hand.answer(1, request), Response::Refused);
    }
    assert!(!hand.peers.allow(&id(1), Kind::Transaction, hand.now_ms));
    assert_eq!(hand.peers.tip(&id(1)), None);
    assert!(matches!(hand.answer(1, Request::Hello(hello(8, hand.now_ms))), Response::Hello(_)));
    assert!(hand.peers.is_heard(&id(1)) && !hand.peers.is_ready(&id(1)));
    assert!(matches!(hand.request(1, headers()), Asked::Pass(_, Request::Headers(_))));
    assert!(matches!(hand.answer(1, Request::Ping(7)), Response::Pong { number: 7, time_ms: START_MS }));
    assert!(hand.peers.allow(&id(1), Kind::Transaction, hand.now_ms));
    assert_eq!(hand.peers.tip(&id(1)), Some(tip(8)));
    // Whoever is not there is served nothing.
    assert_eq!(hand.answer(2, Request::Hello(hello(8, hand.now_ms))), Response::Refused);
}

#[test]
fn a_peer_is_ready_when_both_have_said_hello_in_any_order() {
    for answer_first in [false, true] {
        let mut hand = Hand::new(|_| {});
        let (question, request) = asked(&hand.connect(1, &place(1), true)).expect("HELLO");
        assert_eq!(request, Request::Hello(hand.peers.hello(START_MS)));
        assert!(hand.peers.asked(question));
        let theirs = hello(9, START_MS);
        if answer_first {
            hand.respond(1, question, Response::Hello(theirs.clone()));
            assert!(!hand.peers.is_ready(&id(1)));
            assert_eq!(hand.peers.notices(), []);
            hand.answer(1, Request::Hello(theirs));
        } else {
            hand.answer(1, Request::Hello(theirs.clone()));
            assert!(!hand.peers.is_ready(&id(1)));
            hand.respond(1, question, Response::Hello(theirs));
        }
        assert!(hand.peers.is_ready(&id(1)) && !hand.peers.asked(question));
        assert_eq!(hand.peers.notices(), [Notice::Ready(id(1), tip(9))]);
        assert_eq!(hand.peers.ready().collect::<Vec<_>>(), [(id(1), tip(9))]);
        // HELLO once more changes the tip, and is not news.
        hand.answer(1, Request::Hello(hello(10, START_MS)));
        assert_eq!(hand.peers.notices(), []);
        assert_eq!(hand.peers.tip(&id(1)), Some(tip(10)));
        hand.peers.disconnected(&id(1), hand.now_ms);
        assert_eq!(hand.peers.notices(), [Notice::Gone(id(1))]);
    }
}

#[test]
fn who_is_on_another_chain_is_told_and_let_go_without_ill_will() {
    for (version, genesis) in [(PROTOCOL_VERSION + 1, GENESIS), (PROTOCOL_VERSION, BlockId([2; 32]))] {
        let other = Hello { version, genesis, ..hello(5, START_MS) };
        let mut hand = Hand::new(|_| {});
        hand.connect(1, &place(1), false);
        let Asked::Done(effects) = hand.request(1, Request::Hello(other.clone())) else { panic!("passed on") };
        assert!(matches!(
            &effects[..],
            [Effect::Respond { response: Response::Hello(_), .. }, Effect::Disconnect { .. }]
        ));
        assert_eq!(gone(&effects), [(id(1), Refused::OtherChain)]);
        // The other way round.
        let question = asked(&hand.connect(2, &place(2), true)).expect("HELLO").0;
        let effects = hand.respond(2, question, Response::Hello(other));
        assert_eq!(gone(&effects), [(id(2), Refused::OtherChain)]);
        assert_eq!(hand.peers.bans(), []);
    }
}

#[test]
fn who_does_not_say_hello_in_time_is_let_go() {
    let mut hand = Hand::new(|_| {});
    hand.connect(1, &place(1), false);
    let question = asked(&hand.connect(2, &place(2), true)).expect("HELLO").0;
    // It answers, but does not ask.
    hand.respond(2, question, Response::Hello(hello(5, START_MS)));
    hand.befriend(3, &place(3), true);
    assert!(hand.peers.wake_ms() <= START_MS + HELLO_MS);
    assert_eq!(gone(&hand.tick(HELLO_MS - 1)), []);
    assert_eq!(gone(&hand.tick(1)), [(id(1), Refused::Silent), (id(2), Refused::Silent)]);
    assert!(hand.peers.is_ready(&id(3)));
}

#[test]
fn answers_to_hello_that_are_none() {
    let failures = [
        (Err(RequestFailure::Timeout), Some(Refused::Silent)),
        (Err(RequestFailure::Malformed), Some(Refused::Silent)),
        (Err(RequestFailure::Unsupported), Some(Refused::OtherChain)),
        (Err(RequestFailure::Disconnected), None),
        (Ok(Response::Refused), Some(Refused::Full)),
        (Ok(Response::Done), None),
    ];
    for (result, why) in failures {
        let mut hand = Hand::new(|_| {});
        let question = asked(&hand.connect(1, &place(1), true)).expect("HELLO").0;
        let effects = hand.peers.response(&id(1), question, result, START_MS);
        assert_eq!(gone(&effects), why.map(|why| (id(1), why)).into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn an_answer_counts_from_whom_it_was_asked_and_once() {
    let mut hand = Hand::new(|_| {});
    let question = asked(&hand.connect(1, &place(1), true)).expect("HELLO").0;
    hand.befriend(2, &place(2), true);
    assert!(hand.respond(2, question, Response::Hello(hello(9, START_MS))).is_empty());
    hand.answer(1, Request::Hello(hello(5, START_MS)));
    assert!(!hand.peers.is_ready(&id(1)), "somebody else answered");
    assert!(hand.respond(1, RequestId(999), Response::Hello(hello(9, START_MS))).is_empty());
}

#[test]
fn software_is_shown_without_what_a_terminal_would_obey() {
    let mut hand = Hand::new(|_| {});
    hand.connect(1, &place(1), false);
    let software = Capped::new(b"evil\x1b[2J\xff\r\n/1".to_vec()).expect("short");
    hand.answer(1, Request::Hello(Hello { software, ..hello(5, START_MS) }));
    assert_eq!(hand.peers.views(START_MS)[0].software, "evil[2J\u{fffd}/1");
    // Ours is cut to what fits.
    let long = Hand::new(|options| options.software = "x".repeat(1000));
    assert_eq!(long.peers.hello(START_MS).software.len(), MAX_SOFTWARE_BYTES);
}

#[test]
fn what_peers_say_of_their_tips_is_kept() {
    let mut hand = Hand::new(|_| {});
    hand.befriend(1, &place(1), true);
    assert!(matches!(hand.request(1, Request::BlockAccepted(tip(77))), Asked::Pass(..)));
    assert_eq!(hand.peers.tip(&id(1)), Some(tip(77)));
    let challenge = NewChallenge { epoch: Epoch(1), challenge: crate::chain::Hash::ZERO, tip: tip(78) };
    assert!(matches!(hand.request(1, Request::NewChallenge(challenge)), Asked::Pass(..)));
    assert_eq!(hand.peers.tip(&id(1)), Some(tip(78)));
    hand.peers.set_tip(tip(80));
    assert_eq!(hand.peers.hello(START_MS).tip, tip(80));
}

/// The clock of a peer that is `ahead`, asked over a way of `trip_ms`.
fn answered_ping(hand: &mut Hand, n: u8, trip_ms: u64, ahead_ms: i64) {
    let effects = hand.tick(20_000);
    let pings: Vec<_> = effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Request { peer, id, request: Request::Ping(number), .. } => Some((peer, id, number)),
            _ => None,
        })
        .collect();
    let sent_ms = hand.now_ms;
    for (peer, question, number) in pings {
        hand.now_ms = sent_ms + trip_ms;
        let time_ms = (sent_ms + trip_ms / 2).saturating_add_signed(if peer == id(n) { ahead_ms } else { 0 });
        hand.peers.response(&peer, question, Ok(Response::Pong { number, time_ms }), hand.now_ms);
    }
}

#[test]
fn the_clock_is_compared_with_the_median_of_peers() {
    let mut hand = Hand::new(|_| {});
    assert_eq!(hand.peers.clock_offset_ms(), None);
    (1..=3).for_each(|n| hand.peers.discovered(id(n), &place(n), START_MS));
    assert_eq!(dialled(&hand.tick(0)).len(), 3);
    for (n, ahead_ms) in [(1, 400), (2, -90), (3, 1_000_000)] {
        let question = asked(&hand.connect(n, &place(n), true)).expect("HELLO").0;
        hand.answer(n, Request::Hello(hello(5, START_MS)));
        // Forty milliseconds there and back.
        let theirs = hello(5, START_MS.saturating_add_signed(20 + ahead_ms));
        hand.peers.response(&id(n), question, Ok(Response::Hello(theirs)), START_MS + 40);
    }
    assert_eq!(hand.peers.clock_offset_ms(), Some(400));
    let view = &hand.peers.views(START_MS)[0];
    assert_eq!((view.rtt_ms, view.clock_offset_ms), (Some(40), Some(400)));
    // Those who dialled us have no vote while there are three that were dialled.
    for n in 4..12 {
        hand.befriend(n, &place(n), false);
    }
    assert_eq!(hand.peers.clock_offset_ms(), Some(400));
    // The quickest answer says it best.
    answered_ping(&mut hand, 1, 10, 300);
    assert_eq!(hand.peers.clock_offset_ms(), Some(0));
    assert_eq!(hand.peers.views(hand.now_ms)[0].clock_offset_ms, Some(300));
    answered_ping(&mut hand, 1, 5000, 9999);
    assert_eq!(hand.peers.views(hand.now_ms)[0].clock_offset_ms, Some(300));
}

#[test]
fn who_answers_no_ping_is_let_go() {
    for answer in [Err(RequestFailure::Timeout), Ok(Response::Refused)] {
        let mut hand = Hand::new(|_| {});
        hand.befriend(1, &place(1), true);
        let mut missed = 0;
        let effects = loop {
            let effects = hand.tick(1000);
            let Some((question, Request::Ping(_))) = asked(&effects) else { continue };
            missed += 1;
            let effects = hand.peers.response(&id(1), question, answer.clone(), hand.now_ms);
            if !effects.is_empty() {
                break effects;
            }
            assert!(missed < 10, "{answer:?}");
        };
        assert_eq!((missed, gone(&effects)), (MISSED_PINGS, vec![(id(1), Refused::Silent)]));
        assert!(hand.now_ms < START_MS + 4 * PING_MS * 5 / 4);
    }
}
