//! What peers say to each other: every message is written as it is said to be, read as it was written, and bounded.
//!
//! `cargo bolero test -p spacetime-node bytes_of_peers` goes on for as long as it is let.

#[allow(dead_code, reason = "shared with the tests of encodings, which ask for more")]
mod objects;

use bolero::check;
use borsh::{BorshDeserialize, BorshSerialize};
use objects::{Dice, KINDS};
use proptest::prelude::*;
use proptest::test_runner::Config;
use spacetime_node::chain::{BlockId, Capped, DecodeError, Epoch, Hash, Height, MinerKey, decode};
use spacetime_node::consensus::Weight;
use spacetime_node::network::message::{
    GetHeaders, Gossip, GossipId, Hello, MAX_ADDRESS_BYTES, MAX_BLOCKS, MAX_GOSSIP_BYTES, MAX_HEADERS, MAX_LOCATOR,
    MAX_PEERS, MAX_POOL, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, MAX_SOFTWARE_BYTES, NewChallenge, PROTOCOL_VERSION,
    ProofSubmission, ProvedHeader, Request, Response, Tip,
};
use spacetime_node::testing::Random;

fn bytes(object: &impl BorshSerialize) -> Vec<u8> {
    borsh::to_vec(object).expect("memory can be written")
}

fn capped<T, const MAX: usize>(items: Vec<T>) -> Capped<T, MAX> {
    Capped::new(items).expect("few enough")
}

fn tip() -> Tip {
    Tip { id: BlockId([1; 32]), height: Height(2), epoch: Epoch(3), weight: Weight::from_bytes(&[4; 32]) }
}

fn hello() -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        genesis: BlockId([5; 32]),
        tip: tip(),
        capabilities: 3,
        software: capped(b"me".to_vec()),
        time_ms: 7,
    }
}

/// Every kind of question, with lists of a length that the dice choose.
fn requests(seed: u64) -> Vec<Request> {
    let mut random = Random::new(seed);
    let mut ids = |most: u64| (0..random.below(most + 1)).map(|_| BlockId(random.bytes())).collect::<Vec<_>>();
    let (locator, asked) = (capped(ids(MAX_LOCATOR as u64)), capped(ids(MAX_BLOCKS as u64)));
    vec![
        Request::Hello(hello()),
        Request::Peers,
        Request::Headers(GetHeaders { locator, limit: random.number() as u32 }),
        Request::Blocks(asked),
        Request::Ping(random.number()),
        Request::NewChallenge(NewChallenge { epoch: Epoch(9), challenge: Hash(random.bytes()), tip: tip() }),
        Request::BlockAccepted(tip()),
        Request::Pool,
    ]
}

/// Every kind of answer.
fn responses(seed: u64) -> Vec<Response> {
    let (mut dice, mut random) = (Dice::new(seed), Random::new(seed));
    let text = |length: u64| capped::<u8, MAX_ADDRESS_BYTES>(vec![b'/'; length as usize]);
    let peers = (0..random.below(MAX_PEERS as u64 + 1)).map(|_| text(random.below(257))).collect();
    let headers = (0..random.below(4)).map(|_| ProvedHeader { header: dice.header(), proof: dice.proof() }).collect();
    let blocks = (0..random.below(3)).map(|_| dice.block()).collect();
    let pool = (0..KINDS).map(|kind| dice.transaction(kind)).collect();
    vec![
        Response::Hello(hello()),
        Response::Peers(capped(peers)),
        Response::Headers(capped(headers)),
        Response::Blocks(capped(blocks)),
        Response::Pong { number: random.number(), time_ms: random.number() },
        Response::Done,
        Response::Pool(capped(pool)),
        Response::Refused,
    ]
}

/// Every kind of gossip.
fn gossips(seed: u64) -> Vec<Gossip> {
    let mut dice = Dice::new(seed);
    let submission = ProofSubmission { epoch: Epoch(seed), miner_key: MinerKey([6; 48]), proof: dice.proof() };
    let transaction = dice.transaction((seed % u64::from(KINDS)) as u8);
    vec![
        Gossip::Proposal(Box::new(dice.block())),
        Gossip::Submission(Box::new(submission)),
        Gossip::Transaction(Box::new(transaction)),
    ]
}

/// Holds that bytes are read as what they were written from, and neither more of them nor fewer are.
fn check_reading<T>(object: &T, encoding: &[u8], limit: usize, read: impl Fn(&[u8], usize) -> Result<T, DecodeError>)
where
    T: PartialEq + std::fmt::Debug,
{
    assert_eq!(&read(encoding, limit).expect("a message"), object);
    // All of a short one, some of a long one.
    for length in (0..encoding.len()).step_by(1 + encoding.len() / 200) {
        assert!(read(&encoding[..length], limit).is_err(), "cut to {length} of {}", encoding.len());
    }
    let more = [encoding, &[0]].concat();
    assert!(matches!(read(&more, limit), Err(DecodeError::Trailing { left: 1, .. })), "one byte more");
    let too_long = read(encoding, encoding.len() - 1).expect_err("too long");
    assert!(matches!(too_long, DecodeError::TooLong { found, .. } if found == encoding.len()));
}

fn read<T: BorshDeserialize>(encoding: &[u8], limit: usize) -> Result<T, DecodeError> {
    decode("message", encoding, limit)
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(32) })]

    #[test]
    fn every_message_is_read_as_it_was_written(seed: u64) {
        for (kind, request) in requests(seed).iter().enumerate() {
            let encoding = bytes(request);
            prop_assert_eq!(usize::from(encoding[0]), kind);
            prop_assert!(encoding.len() <= MAX_REQUEST_BYTES);
            check_reading(request, &encoding, MAX_REQUEST_BYTES, read);
        }
        for (kind, response) in responses(seed).iter().enumerate() {
            let encoding = bytes(response);
            prop_assert_eq!(usize::from(encoding[0]), kind);
            check_reading(response, &encoding, MAX_RESPONSE_BYTES, read);
        }
        for (kind, gossip) in gossips(seed).iter().enumerate() {
            let encoding = bytes(gossip);
            prop_assert_eq!(usize::from(encoding[0]), kind);
            check_reading(gossip, &encoding, MAX_GOSSIP_BYTES, read);
        }
    }
}

#[test]
#[should_panic(expected = "one byte more")]
fn the_harness_sees_a_reader_that_leaves_bytes() {
    let lenient = |mut encoding: &[u8], limit: usize| match decode::<Request>("message", encoding, limit) {
        Err(DecodeError::Trailing { .. }) => Ok(Request::deserialize(&mut encoding).expect("a message")),
        other => other,
    };
    check_reading(&Request::Ping(1), &bytes(&Request::Ping(1)), MAX_REQUEST_BYTES, lenient);
}

/// Layouts, put together by hand: integers little-endian, weights big-endian, lists with their number in four bytes.
#[test]
fn golden() {
    let tip_bytes = [&[1; 32][..], &2_u64.to_le_bytes(), &3_u64.to_le_bytes(), &[4; 32]].concat();
    let hello_bytes = [
        &PROTOCOL_VERSION.to_le_bytes()[..],
        &[5; 32],
        &tip_bytes,
        &3_u32.to_le_bytes(),
        &[2, 0, 0, 0, b'm', b'e'],
        &7_u64.to_le_bytes(),
    ]
    .concat();
    let questions = [
        (Request::Hello(hello()), [&[0][..], &hello_bytes].concat()),
        (Request::Peers, vec![1]),
        (
            Request::Headers(GetHeaders { locator: capped(vec![BlockId([8; 32])]), limit: 500 }),
            [&[2, 1, 0, 0, 0][..], &[8; 32], &500_u32.to_le_bytes()].concat(),
        ),
        (Request::Blocks(capped(vec![BlockId([9; 32]); 2])), [&[3, 2, 0, 0, 0][..], &[9; 64]].concat()),
        (Request::Ping(0x0102), [&[4][..], &0x0102_u64.to_le_bytes()].concat()),
        (
            Request::NewChallenge(NewChallenge { epoch: Epoch(10), challenge: Hash([11; 32]), tip: tip() }),
            [&[5][..], &10_u64.to_le_bytes(), &[11; 32], &tip_bytes].concat(),
        ),
        (Request::BlockAccepted(tip()), [&[6][..], &tip_bytes].concat()),
        (Request::Pool, vec![7]),
    ];
    for (question, expected) in questions {
        assert_eq!(bytes(&question), expected, "{question:?}");
    }
    let answers = [
        (Response::Hello(hello()), [&[0][..], &hello_bytes].concat()),
        (
            Response::Peers(capped(vec![capped(b"/ab".to_vec()), capped(Vec::new())])),
            vec![1, 2, 0, 0, 0, 3, 0, 0, 0, b'/', b'a', b'b', 0, 0, 0, 0],
        ),
        (Response::Headers(capped(Vec::new())), vec![2, 0, 0, 0, 0]),
        (Response::Blocks(capped(Vec::new())), vec![3, 0, 0, 0, 0]),
        (Response::Pong { number: 12, time_ms: 13 }, [&[4][..], &12_u64.to_le_bytes(), &13_u64.to_le_bytes()].concat()),
        (Response::Done, vec![5]),
        (Response::Pool(capped(Vec::new())), vec![6, 0, 0, 0, 0]),
        (Response::Refused, vec![7]),
    ];
    for (answer, expected) in answers {
        assert_eq!(bytes(&answer), expected, "{answer:?}");
    }
    // Objects within are the chain's, whose layouts other vectors hold.
    let mut dice = Dice::new(3);
    let (header, proof) = (dice.header(), dice.proof());
    let proved = bytes(&ProvedHeader { header: header.clone(), proof: proof.clone() });
    assert!(proved.starts_with(&bytes(&header)));
    let submission = ProofSubmission { epoch: Epoch(14), miner_key: MinerKey([15; 48]), proof };
    let said = bytes(&Gossip::Submission(Box::new(submission)));
    assert_eq!(said, [&[1][..], &14_u64.to_le_bytes(), &[15; 48], &proved[bytes(&header).len()..]].concat());
    let (block, transaction) = (dice.block(), dice.transaction(1));
    assert_eq!(bytes(&Gossip::Proposal(Box::new(block.clone()))), [&[0][..], &bytes(&block)].concat());
    let transacted = bytes(&Gossip::Transaction(Box::new(transaction.clone())));
    assert_eq!(transacted, [&[2][..], &bytes(&transaction)].concat());
    // SHA-256 of the tag's length, the tag and the bytes, by another program.
    let id = "d96a4a5a88b82c99d2ab0c8f8223b4d72f016aa1a8c57a2e4f407e15a14ca842";
    assert_eq!(const_hex::encode(GossipId::of(b"said").0), id);
}

/// A count over the cap is refused for itself, before anything behind it is looked at or room is made for it.
#[test]
fn long_lists_are_refused_by_their_number() {
    let refused = |error: DecodeError, count: u32, cap: usize| {
        let reason = format!("a list of {count}, at most {cap} are allowed");
        assert!(matches!(&error, DecodeError::Malformed { reason: found, .. } if *found == reason), "{error}");
    };
    for (kind, cap) in [(2_u8, MAX_LOCATOR), (3, MAX_BLOCKS)] {
        for count in [cap as u32 + 1, u32::MAX] {
            let bytes = [&[kind][..], &count.to_le_bytes()].concat();
            refused(read::<Request>(&bytes, MAX_REQUEST_BYTES).expect_err("too many"), count, cap);
        }
        // The control: with the cap itself the list is begun, and ends too early.
        let bytes = [&[kind][..], &(cap as u32).to_le_bytes()].concat();
        let error = read::<Request>(&bytes, MAX_REQUEST_BYTES).expect_err("cut").to_string();
        assert!(!error.contains("at most"), "{error}");
    }
    for (kind, cap) in [(1_u8, MAX_PEERS), (2, MAX_HEADERS), (3, MAX_BLOCKS), (6, MAX_POOL)] {
        for count in [cap as u32 + 1, u32::MAX] {
            let bytes = [&[kind][..], &count.to_le_bytes()].concat();
            refused(read::<Response>(&bytes, MAX_RESPONSE_BYTES).expect_err("too many"), count, cap);
        }
    }
    let address = [&[1, 1, 0, 0, 0][..], &257_u32.to_le_bytes(), &[b'/'; 257]].concat();
    refused(read::<Response>(&address, MAX_RESPONSE_BYTES).expect_err("too long"), 257, MAX_ADDRESS_BYTES);
    let mut greeting = bytes(&Request::Hello(hello()));
    let at = greeting.len() - 8 - 2 - 4;
    greeting[at..at + 4].copy_from_slice(&65_u32.to_le_bytes());
    refused(read::<Request>(&greeting, MAX_REQUEST_BYTES).expect_err("too long"), 65, MAX_SOFTWARE_BYTES);
}

#[test]
fn the_longest_question_fits() {
    let longest = Request::Headers(GetHeaders { locator: capped(vec![BlockId::ZERO; MAX_LOCATOR]), limit: 0 });
    assert!(bytes(&longest).len() <= MAX_REQUEST_BYTES);
    let longest = Request::Blocks(capped(vec![BlockId::ZERO; MAX_BLOCKS]));
    assert!(bytes(&longest).len() <= MAX_REQUEST_BYTES);
    let software = capped(vec![b'x'; MAX_SOFTWARE_BYTES]);
    assert!(bytes(&Request::Hello(Hello { software, ..hello() })).len() <= MAX_REQUEST_BYTES);
    for unknown in 8..=255 {
        assert!(read::<Request>(&[unknown], MAX_REQUEST_BYTES).is_err());
        assert!(read::<Response>(&[unknown], MAX_RESPONSE_BYTES).is_err());
    }
    assert!((3..=255).all(|unknown| read::<Gossip>(&[unknown], MAX_GOSSIP_BYTES).is_err()));
}

/// `good` with the input laid over it: the first two bytes say where.
fn laid_over(good: &[u8], input: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    if let [high, low, patch @ ..] = input {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
        let end = bytes.len().min(at + patch.len());
        bytes[at..end].copy_from_slice(&patch[..end - at]);
    }
    bytes
}

/// What is accepted is written the same, and the name of a gossip is of all its bytes.
fn try_out<T: BorshSerialize + BorshDeserialize>(input: &[u8], limit: usize) -> bool {
    let Ok(object) = read::<T>(input, limit) else { return false };
    assert_eq!(bytes(&object), input, "one message, one encoding");
    true
}

#[test]
fn bytes_of_peers() {
    let requests: Vec<_> = requests(1).iter().map(bytes).collect();
    let responses: Vec<_> = responses(2).iter().map(bytes).collect();
    let gossips: Vec<_> = gossips(3).iter().map(bytes).collect();
    check!().for_each(|input: &[u8]| {
        let kind = input.first().map_or(0, |first| usize::from(*first));
        for bytes in [input.to_vec(), laid_over(&requests[kind % requests.len()], input)] {
            try_out::<Request>(&bytes, MAX_REQUEST_BYTES);
        }
        for bytes in [input.to_vec(), laid_over(&responses[kind % responses.len()], input)] {
            try_out::<Response>(&bytes, MAX_RESPONSE_BYTES);
        }
        for bytes in [input.to_vec(), laid_over(&gossips[kind % gossips.len()], input)] {
            try_out::<Gossip>(&bytes, MAX_GOSSIP_BYTES);
        }
    });
    // The control: untouched, they are messages.
    assert!(requests.iter().all(|bytes| try_out::<Request>(bytes, MAX_REQUEST_BYTES)));
    assert!(responses.iter().all(|bytes| try_out::<Response>(bytes, MAX_RESPONSE_BYTES)));
    assert!(gossips.iter().all(|bytes| try_out::<Gossip>(bytes, MAX_GOSSIP_BYTES)));
}
