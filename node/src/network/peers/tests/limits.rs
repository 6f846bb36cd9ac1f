use proptest::prelude::*;

use super::*;
use crate::network::message::{GetHeaders, ProofSubmission};
use crate::network::peers::peer::Purpose;

#[test]
fn offences_add_up_to_a_ban_and_fade() {
    let mut hand = Hand::new(|_| {});
    hand.befriend(1, &place(1), false);
    for _ in 0..4 {
        assert!(hand.peers.offence(&id(1), Offence::Flood, hand.now_ms).is_empty());
    }
    assert_eq!(hand.peers.views(hand.now_ms)[0].score, -80);
    // Half of it is gone, and so there is room for two more.
    hand.now_ms += PENALTY_HALF_LIFE_MS;
    assert_eq!(hand.peers.views(hand.now_ms)[0].score, -40);
    for _ in 0..2 {
        assert!(hand.peers.offence(&id(1), Offence::Flood, hand.now_ms).is_empty());
    }
    let until_ms = hand.now_ms + 4 * 3_600_000;
    let effects = hand.peers.offence(&id(1), Offence::Flood, hand.now_ms);
    assert_eq!(gone(&effects), [(id(1), Refused::Banned(until_ms))]);
    assert_eq!(hand.peers.notices().last(), Some(&Notice::Gone(id(1))));
    assert_eq!(hand.peers.counters().offences[Offence::Flood.index()], 7);
}

#[test]
fn who_is_banned_does_not_come_back_before_its_time_nor_from_its_address() {
    let mut hand = Hand::new(|_| {});
    hand.befriend(1, &place(1), false);
    hand.befriend(3, &place(3), false);
    hand.peers.offence(&id(1), Offence::BadBlock, hand.now_ms);
    let until_ms = hand.now_ms + hand.peers.options.ban_ms;
    hand.peers.disconnected(&id(1), hand.now_ms);
    for (n, address) in [(1, place(9)), (2, place(1)), (2, "/ip6/::ffff:93.1.0.1/tcp/99".into())] {
        assert_eq!(gone(&hand.connect(n, &address, false)), [(id(n), Refused::Banned(until_ms))], "{n} {address}");
    }
    // Only that peer pays.
    assert!(hand.peers.is_ready(&id(3)));
    assert_eq!(gone(&hand.connect(4, "/ip4/93.1.0.2/tcp/7", false)), []);
    // It survives a restart.
    let book = hand.peers.book().clone();
    let mut again = Hand::with_book(hand.peers.options.clone(), book);
    again.now_ms = until_ms - 1;
    assert_eq!(gone(&again.connect(1, &place(9), false)), [(id(1), Refused::Banned(until_ms))]);
    again.now_ms = until_ms;
    assert_eq!(gone(&again.connect(1, &place(1), false)), []);
    // And begins anew: one more small thing is no ban.
    assert_eq!(gone(&again.peers.offence(&id(1), Offence::Slow, until_ms)), []);
}

#[test]
fn a_peer_that_was_dialled_is_banned_alone() {
    let mut hand = Hand::new(|_| {});
    hand.befriend(1, &place(1), true);
    hand.peers.offence(&id(1), Offence::BadProof, hand.now_ms);
    assert_eq!(gone(&hand.connect(2, &place(1), false)), []);
}

#[test]
fn this_machine_is_banned_only_where_it_is_to_be() {
    for strict in [false, true] {
        let mut hand = Hand::new(|options| options.strict_local = strict);
        hand.befriend(1, "/ip4/127.0.0.1/tcp/1000", false);
        hand.peers.offence(&id(1), Offence::Malformed, hand.now_ms);
        assert!(!hand.connect(2, "/ip4/127.0.0.1/tcp/1001", false).is_empty());
        assert_eq!(hand.peers.views(hand.now_ms).is_empty(), strict);
    }
}

#[test]
fn what_a_peer_did_is_not_forgotten_when_it_leaves() {
    let mut hand = Hand::new(|_| {});
    for time in 0..5 {
        hand.befriend(1, &place(1), false);
        let effects = hand.peers.offence(&id(1), Offence::Flood, hand.now_ms);
        assert_eq!(gone(&effects).is_empty(), time < 4, "{time}");
        hand.peers.disconnected(&id(1), hand.now_ms);
    }
    // Nor when this node ends while it is there.
    hand.befriend(3, &place(3), false);
    hand.peers.offence(&id(3), Offence::Overstated, hand.now_ms);
    let book = hand.peers.book().clone();
    let mut again = Hand::with_book(hand.peers.options.clone(), book);
    again.befriend(3, &place(3), false);
    assert!(matches!(
        gone(&again.peers.offence(&id(3), Offence::Overstated, again.now_ms))[..],
        [(_, Refused::Banned(_))]
    ));
    // What is found out when it is gone counts too.
    hand.befriend(2, &place(2), false);
    hand.peers.disconnected(&id(2), hand.now_ms);
    let effects = hand.peers.offence(&id(2), Offence::BadTransaction, hand.now_ms);
    let banned = |effects: &[Effect]| matches!(gone(effects)[..], [(of, Refused::Banned(_))] if of == id(2));
    assert!(banned(&effects), "the network may know more of it: {effects:?}");
    assert!(banned(&hand.connect(2, &place(9), false)));
}

#[test]
fn what_may_be_bad_luck_once_is_none_twice_within_minutes() {
    for offence in [Offence::Overstated, Offence::Withheld] {
        for (minutes, banned) in [(0, true), (5, true), (60, false)] {
            let mut hand = Hand::new(|_| {});
            hand.befriend(1, &place(1), false);
            assert!(gone(&hand.peers.offence(&id(1), offence, hand.now_ms)).is_empty(), "{offence:?}");
            hand.now_ms += minutes * 60_000;
            let effects = hand.peers.offence(&id(1), offence, hand.now_ms);
            assert_eq!(!gone(&effects).is_empty(), banned, "{offence:?} after {minutes} min");
        }
    }
}

#[test]
fn by_hand_somebody_is_kept_out_and_let_in() {
    let mut hand = Hand::new(|_| {});
    hand.befriend(1, &place(1), false);
    hand.befriend(2, &place(2), true);
    let until_ms = hand.now_ms + 1000;
    let ip = Banned::ip("93.1.0.1".parse().expect("an address"));
    assert_eq!(gone(&hand.peers.ban(ip, until_ms, hand.now_ms)), [(id(1), Refused::Unwanted)]);
    let peer = Banned::Peer(id(2));
    assert_eq!(gone(&hand.peers.ban(peer, until_ms, hand.now_ms)), [(id(2), Refused::Unwanted)]);
    assert!(hand.peers.pardon(&ip) && !hand.peers.pardon(&ip));
    assert_eq!(gone(&hand.connect(1, &place(1), false)), []);
}

#[test]
fn each_kind_has_a_limit_for_each_peer() {
    for kind in Kind::ALL {
        let mut hand = Hand::new(|_| {});
        hand.befriend(1, &place(1), false);
        hand.befriend(2, &place(2), false);
        hand.now_ms += 60_000;
        let (burst, per_minute) = kind.limit();
        let count = |n, hand: &mut Hand| {
            (0..=burst + per_minute).filter(|_| hand.peers.allow(&id(n), kind, hand.now_ms)).count() as u64
        };
        assert_eq!(count(1, &mut hand), burst, "{kind:?}");
        assert_eq!(count(2, &mut hand), burst, "{kind:?}: the other is not concerned");
        hand.now_ms += 60_000;
        assert_eq!(count(1, &mut hand), burst.min(per_minute), "{kind:?}");
        assert!(hand.peers.counters().limited[kind.index()] > 0);
    }
}

/// A proof of nothing.
fn submission() -> Gossip {
    let proof = spacetime_prover::Proof {
        challenge: [0; 32],
        column: 0,
        seed: [0; 32],
        rows: 0,
        leaf: [0; 32],
        leaf_index: 0,
        siblings: Vec::new(),
        root: [0; 32],
    };
    let miner_key = crate::chain::MinerKey([0; 48]);
    Gossip::Submission(Box::new(ProofSubmission { epoch: Epoch(0), miner_key, proof }))
}

#[test]
fn nobody_hides_a_block_by_leaving_quickly() {
    let said = submission();
    let mut hand = Hand::new(|_| {});
    hand.connect(1, &place(1), false);
    assert!(!hand.peers.allow_gossip(&id(1), &said, hand.now_ms), "no HELLO");
    hand.answer(1, Request::Hello(hello(5, START_MS)));
    assert!(hand.peers.allow_gossip(&id(1), &said, hand.now_ms));
    hand.peers.disconnected(&id(1), hand.now_ms);
    assert!(hand.peers.allow_gossip(&id(1), &said, hand.now_ms));
}

#[test]
fn all_that_have_left_have_one_limit_together() {
    let said = submission();
    let mut hand = Hand::new(|_| {});
    let (burst, per_minute) = Kind::Submission.limit();
    let heard = (0..2 * burst).filter(|n| hand.peers.allow_gossip(&id((n % 2) as u8 + 1), &said, hand.now_ms)).count();
    assert_eq!(heard as u64, burst);
    hand.now_ms += 60_000 / per_minute;
    assert!(hand.peers.allow_gossip(&id(3), &said, hand.now_ms));
    assert!(!hand.peers.allow_gossip(&id(3), &said, hand.now_ms));
    // Who is here has its own.
    hand.befriend(4, &place(4), false);
    assert!(hand.peers.allow_gossip(&id(4), &said, hand.now_ms));
}

#[test]
fn who_goes_on_asking_pays_and_is_banned_in_the_end() {
    let mut hand = Hand::new(|_| {});
    hand.befriend(1, &place(1), false);
    let mut asked = 0;
    let why = loop {
        asked += 1;
        let Asked::Done(effects) = hand.request(1, Request::Ping(asked)) else { panic!("passed on") };
        if let [gone] = gone(&effects)[..] {
            break gone.1;
        }
        assert!(asked < 1000);
    };
    assert!(matches!(why, Refused::Banned(_)));
    // Eight are answered, and five times sixty-five are too many.
    assert_eq!(asked, 8 + 5 * 65);
}

#[test]
fn who_goes_on_forwarding_pays_for_each_burst_and_not_for_each_message() {
    let mut hand = Hand::new(|_| {});
    hand.befriend(1, &place(1), false);
    let said = submission();
    let (burst, _) = Kind::Submission.limit();
    assert!((0..burst).all(|_| hand.peers.allow_gossip(&id(1), &said, hand.now_ms)));
    for (more, score) in [(64, 0), (1, -20), (64, -20), (1, -40)] {
        assert!((0..more).all(|_| !hand.peers.allow_gossip(&id(1), &said, hand.now_ms)));
        assert_eq!(hand.peers.views(hand.now_ms)[0].score, score);
    }
}

#[test]
fn what_one_node_forwards_no_next_one_makes_it_pay_for() {
    let mut hand = Hand::new(|_| {});
    let (burst, per_minute) = Kind::Transaction.limit();
    let mut forwarded = 0;
    // Ten seconds of as many as come.
    for _ in 0..100 {
        forwarded += (0..10_000).filter(|_| hand.peers.may_forward(hand.now_ms)).count() as u64;
        hand.now_ms += 100;
    }
    assert!(forwarded <= (burst + per_minute / 6) / 2 && forwarded > 10_000, "{forwarded}");
}

#[test]
fn bytes_of_all_answers_have_a_limit() {
    let headers = || Request::Headers(GetHeaders { locator: Capped::default(), limit: 1 });
    let mut hand = Hand::new(|options| options.upload_per_second = 1000);
    hand.befriend(1, &place(1), false);
    hand.befriend(2, &place(2), false);
    assert!(matches!(hand.request(1, headers()), Asked::Pass(..)));
    hand.peers.sent(&id(1), 5000, hand.now_ms);
    // Three seconds' worth is owed.
    assert_eq!(hand.answer(2, headers()), Response::Refused);
    assert!(matches!(hand.answer(2, Request::Ping(1)), Response::Pong { .. }), "small answers go on");
    hand.now_ms += 3000;
    assert_eq!(hand.answer(2, headers()), Response::Refused);
    hand.now_ms += 1;
    assert!(matches!(hand.request(2, headers()), Asked::Pass(..)));
    // The control: without a limit nothing is refused.
    let mut hand = Hand::new(|options| options.upload_per_second = 0);
    hand.befriend(1, &place(1), false);
    hand.peers.sent(&id(1), usize::MAX, hand.now_ms);
    assert!(matches!(hand.request(1, headers()), Asked::Pass(..)));
}

#[test]
fn what_is_forwarded_counts_and_transactions_and_answers_wait_for_blocks() {
    let headers = || Request::Headers(GetHeaders { locator: Capped::default(), limit: 1 });
    let mut hand = Hand::new(|options| options.upload_per_second = 1000);
    hand.befriend(1, &place(1), false);
    hand.befriend(2, &place(2), false);
    assert!(hand.peers.may_forward(hand.now_ms));
    // A block to both, which takes two seconds' worth and one that is owed.
    hand.peers.spread(1500, false, hand.now_ms);
    assert!(!hand.peers.may_forward(hand.now_ms));
    assert_eq!(hand.answer(1, headers()), Response::Refused);
    hand.now_ms += 1001;
    assert!(hand.peers.may_forward(hand.now_ms) && matches!(hand.request(1, headers()), Asked::Pass(..)));
    // The control: without a limit there is nothing to wait for.
    let mut hand = Hand::new(|options| options.upload_per_second = 0);
    hand.befriend(1, &place(1), false);
    hand.peers.spread(usize::MAX, true, hand.now_ms);
    assert!(hand.peers.may_forward(hand.now_ms));
}

#[test]
fn one_peer_has_a_quarter_of_the_bytes_of_all() {
    let headers = || Request::Headers(GetHeaders { locator: Capped::default(), limit: 1 });
    let mut hand = Hand::new(|options| options.upload_per_second = 1000);
    hand.befriend(1, &place(1), false);
    hand.befriend(2, &place(2), false);
    // Two seconds' worth of its share, and four tenths of a second.
    hand.peers.sent(&id(1), 600, hand.now_ms);
    assert_eq!(hand.answer(1, headers()), Response::Refused);
    assert!(matches!(hand.request(2, headers()), Asked::Pass(..)), "the other is not concerned");
    hand.now_ms += 401;
    assert!(matches!(hand.request(1, headers()), Asked::Pass(..)));
}

#[test]
fn usefulness_is_seen_and_fades() {
    let mut hand = Hand::new(|_| {});
    hand.befriend(1, &place(1), true);
    hand.peers.useful(&id(1), 50, hand.now_ms);
    hand.peers.offence(&id(1), Offence::Slow, hand.now_ms);
    assert_eq!(hand.peers.views(hand.now_ms)[0].score, 40);
    assert_eq!(hand.peers.views(hand.now_ms + MERIT_HALF_LIFE_MS)[0].score, 25);
}

/// One of all that can happen.
fn anything() -> impl Strategy<Value = (u8, u8, u16)> {
    (0_u8..14, 1_u8..60, any::<u16>())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// Whatever happens: bounds hold, who is gone is told once, and only those that were ready.
    #[test]
    fn bounds_hold_whatever_happens(steps in prop::collection::vec(anything(), 1..300), strict in any::<bool>()) {
        let seeds = vec![PeerAddress::parse(&place(200)).expect("an address")];
        let mut hand = Hand::new(|options| {
            options.strict_local = strict;
            options.seeds = seeds;
            (options.outbound, options.inbound, options.peers) = (3, 5, 7);
        });
        let mut ready = std::collections::BTreeSet::new();
        let mut questions = Vec::new();
        for (what, n, number) in steps {
            let address = format!("/ip4/{}.{}.0.{}/tcp/7", if n % 5 == 0 { 127 } else { 93 }, n % 7, n % 11 + 1);
            let now_ms = hand.now_ms;
            let effects = match what {
                0 | 1 => hand.connect(n, &address, what == 0),
                2 => hand.peers.disconnected(&id(n), now_ms),
                3 => hand.peers.dial_failed(&address, now_ms),
                4 => hand.peers.offence(&id(n), Offence::ALL[usize::from(number) % Offence::ALL.len()], now_ms),
                5 | 6 => match hand.request(n, Request::Hello(hello(number.into(), now_ms))) {
                    Asked::Done(effects) => effects,
                    Asked::Pass(..) => panic!("HELLO is answered"),
                },
                7 => { hand.peers.discovered(id(n), &address, now_ms); Vec::new() }
                8 => { hand.peers.useful(&id(n), number.into(), now_ms); Vec::new() }
                9 | 10 => match questions.pop() {
                    Some((peer, question)) => {
                        let answers = [
                            Response::Hello(hello(9, now_ms)),
                            Response::Refused,
                            Response::Done,
                            Response::Peers(Capped::new(vec![Capped::new(address.into_bytes()).expect("short")]).expect("one")),
                        ];
                        let answer = answers[usize::from(number) % 4].clone();
                        let result = if number % 7 == 0 { Err(RequestFailure::Timeout) } else { Ok(answer) };
                        hand.peers.response(&peer, question, result, now_ms)
                    }
                    None => Vec::new(),
                },
                11 => match hand.request(n, Request::Peers) { Asked::Done(effects) => effects, Asked::Pass(..) => panic!("answered") },
                _ => hand.tick(number.into()),
            };
            for effect in &effects {
                match effect {
                    Effect::Request { peer, id, .. } => questions.push((*peer, *id)),
                    Effect::Disconnect { peer, .. } => prop_assert!(!hand.peers.peers.contains_key(peer)),
                    _ => {}
                }
            }
            for notice in hand.peers.notices() {
                match notice {
                    Notice::Ready(peer, _) => prop_assert!(ready.insert(peer)),
                    Notice::Gone(peer) => prop_assert!(ready.remove(&peer)),
                }
            }
            prop_assert_eq!(ready.iter().copied().collect::<Vec<_>>(), hand.peers.ready().map(|(id, _)| id).collect::<Vec<_>>());
            let of = |purpose| hand.peers.peers.values().filter(|peer| peer.purpose == purpose).count();
            prop_assert!(hand.peers.peers.len() <= 8);
            prop_assert!(hand.peers.peers.len() - of(Purpose::Feeler) <= 7 && of(Purpose::Inbound) <= 5);
            prop_assert!(hand.peers.asked.len() <= MAX_ASKED);
            let public = hand.peers.peers.values().filter_map(Peer::ip).filter(|ip| strict || Scope::of(*ip) == Scope::Public);
            let mut at = std::collections::BTreeMap::new();
            public.for_each(|ip| *at.entry(ip).or_insert(0) += 1);
            prop_assert!(at.values().all(|count| *count <= 2), "{:?}", at);
            prop_assert!(hand.peers.wake_ms() >= START_MS);
        }
    }
}
