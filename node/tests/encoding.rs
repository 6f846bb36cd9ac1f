//! Encodings: every object round-trips, nothing shorter or longer is one, no object has two, and what is too long is
//! refused before it is read.

mod objects;

use std::fmt::Debug;
use std::io::{self, Read};

use borsh::{BorshDeserialize, BorshSerialize};
use objects::{Dice, KINDS};
use proptest::prelude::*;
use proptest::test_runner::Config;
use spacetime_node::chain::{
    ActivatePlot, Address, Amount, Block, Capped, Coinbase, HEADER_BYTES, Header, Height, MAX_EXTRA_BYTES,
    MAX_MEMO_BYTES, MAX_METADATA_BYTES, MAX_OPENINGS, MAX_OUTPUTS, MinerKey, Opening, Output, Payload, Signatures,
    Transaction, Transfer, decode,
};
use spacetime_node::consensus::Lineage;
use spacetime_node::state::{PlotRecord, Rewards, StateKey, Value};
use spacetime_node::store::{Body, StoredHeader};
use spacetime_prover::{MAX_SIBLINGS, Proof};

const LIMIT: usize = 1 << 20;

trait Object: BorshSerialize + BorshDeserialize + PartialEq + Debug {
    fn bytes(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("memory can be written")
    }
}

impl<T: BorshSerialize + BorshDeserialize + PartialEq + Debug> Object for T {}

fn read<T: Object>(bytes: &[u8]) -> Option<T> {
    decode("object", bytes, LIMIT).ok()
}

/// It round-trips, and no other length of it does. `change` chooses a byte and what becomes of it.
fn check<T: Object>(object: &T, change: (usize, u8)) {
    let bytes = object.bytes();
    assert_eq!(read::<T>(&bytes).as_ref(), Some(object));
    for length in 0..bytes.len() {
        assert_eq!(read::<T>(&bytes[..length]), None, "cut to {length} of {} bytes", bytes.len());
    }
    for more in [0, 1, 0xff] {
        assert_eq!(read::<T>(&[&bytes[..], &[more]].concat()), None, "with {more} behind it");
    }
    assert!(decode::<T>("object", &bytes, bytes.len()).is_ok());
    assert!(decode::<T>("object", &bytes, bytes.len() - 1).is_err(), "longer than the limit");
    let mut changed = bytes;
    let at = change.0 % changed.len();
    changed[at] = change.1;
    check_canonical::<T>(&changed);
}

/// What can be read is written the same.
fn check_canonical<T: Object>(bytes: &[u8]) {
    if let Some(object) = read::<T>(bytes) {
        assert_eq!(object.bytes(), bytes);
    }
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(48) })]

    #[test]
    fn objects_round_trip(seed: u64, change: (usize, u8)) {
        let mut dice = Dice::new(seed);
        let header = dice.header();
        check(&header, change);
        prop_assert_eq!(header.bytes().len(), HEADER_BYTES);
        check(&dice.lineage(), change);
        let proof = dice.proof();
        let stored = StoredHeader { header, proof, lineage: dice.lineage() };
        check(&stored, change);
        let block = dice.block();
        check(&block, change);
        let metadata = block.metadata.as_ref().map_or(1, |metadata| 1 + 4 + metadata.len());
        prop_assert_eq!(block.encoded_len() + metadata, block.bytes().len());
        check(&Body { transactions: block.transactions, metadata: block.metadata }, change);
    }

    #[test]
    fn transactions_round_trip(seed: u64, change: (usize, u8), kind in 0..KINDS) {
        let transaction = Dice::new(seed).transaction(kind);
        check(&transaction, change);
        let bytes = transaction.bytes();
        prop_assert_eq!(bytes[0], kind);
        prop_assert_eq!(bytes.len(), transaction.encoded_len());
        for unknown in KINDS..=255 {
            let other = [&[unknown], &bytes[1..]].concat();
            prop_assert!(read::<Transaction>(&other).is_none());
        }
    }

    #[test]
    fn values_round_trip(seed: u64, change: (usize, u8)) {
        let (at, byte) = change;
        for (key, value) in Dice::new(seed).values() {
            let bytes = value.encode();
            prop_assert!(bytes.len() < 1024);
            prop_assert_eq!(&Value::decode(&key, &bytes).expect("a value"), &value);
            for length in 0..bytes.len() {
                prop_assert!(Value::decode(&key, &bytes[..length]).is_err());
            }
            prop_assert!(Value::decode(&key, &[&bytes[..], &[0]].concat()).is_err());
            let mut changed = bytes;
            let at = at % changed.len();
            changed[at] = byte;
            if let Ok(value) = Value::decode(&key, &changed) {
                prop_assert_eq!(value.encode(), changed);
            }
            let bytes = key.bytes();
            prop_assert_eq!(StateKey::parse(&bytes), Some(key));
            for length in 0..bytes.len() {
                prop_assert_eq!(StateKey::parse(&bytes[..length]), None);
            }
            prop_assert_eq!(StateKey::parse(&[&bytes[..], &[0]].concat()), None);
        }
    }

    /// Bytes that are nearly an object, or none at all.
    #[test]
    fn no_object_has_two_encodings(
        seed: u64, kind in 0..KINDS, changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        noise in prop::collection::vec(0u8..4, 0..300),
    ) {
        let mut dice = Dice::new(seed);
        let (transaction, block) = (dice.transaction(kind).bytes(), dice.block().bytes());
        for mut bytes in [transaction, block, noise] {
            for (at, byte) in &changes {
                if let Some(at) = at.checked_rem(bytes.len()) {
                    bytes[at] = *byte;
                }
            }
            check_canonical::<Transaction>(&bytes);
            check_canonical::<Block>(&bytes);
            check_canonical::<Body>(&bytes);
            check_canonical::<StoredHeader>(&bytes);
            check_canonical::<Header>(&bytes);
            check_canonical::<Lineage>(&bytes);
            check_canonical::<PlotRecord>(&bytes);
            check_canonical::<Rewards>(&bytes);
            if let Some(key) = StateKey::parse(&bytes) {
                prop_assert_eq!(key.bytes(), bytes);
            }
        }
    }
}

/// Counts what is read.
struct Counter<'a>(&'a [u8], usize);

impl Read for Counter<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1 += count;
        Ok(count)
    }
}

/// A list of `full` items, whose count stands at `at`, has as many as it may; with one more, or as many as can be
/// counted, nothing behind the count is read.
fn check_cap<T: Object>(full: &T, at: usize, cap: u32) {
    let bytes = full.bytes();
    assert_eq!(bytes[at..at + 4], cap.to_le_bytes(), "the count stands at {at}");
    assert!(read::<T>(&bytes).is_some());
    for count in [cap + 1, 1 << 24, u32::MAX] {
        let mut over = bytes.clone();
        over[at..at + 4].copy_from_slice(&count.to_le_bytes());
        let mut reader = Counter(&over, 0);
        let error = T::deserialize_reader(&mut reader).expect_err("too long a list");
        assert!(error.to_string().contains(&format!("a list of {count}, at most {cap}")), "{error}");
        assert_eq!(reader.1, at + 4, "no item is read");
    }
}

fn list<T: Clone, const MAX: usize>(item: T) -> Capped<T, MAX> {
    assert!(Capped::<T, MAX>::new(vec![item.clone(); MAX + 1]).is_none());
    Capped::new(vec![item; MAX]).expect("as many as there may be")
}

fn unsent(payload: Payload) -> Transaction {
    Transaction { sender: None, nonce: 0, fee: Amount::ZERO, payload, signatures: Signatures::default() }
}

/// Kind, no sender, nonce and fee stand before a payload.
const PAYLOAD: usize = 1 + 1 + 8 + 8;

#[test]
fn lists_are_capped_before_they_are_read() {
    let mut dice = Dice::new(1);
    let output = Output { address: Address::ZERO, amount: Amount(1) };
    let coinbase = Coinbase { height: Height(1), miner_key: MinerKey::ZERO, outputs: list(output), extra: list(0u8) };
    let coinbase = unsent(Payload::Coinbase(coinbase));
    let outputs_at = PAYLOAD + 8 + 48;
    check_cap(&coinbase, outputs_at, MAX_OUTPUTS as u32);
    check_cap(&coinbase, outputs_at + 4 + MAX_OUTPUTS * 28, MAX_EXTRA_BYTES as u32);
    let transfer = Transfer { to: Address::ZERO, amount: Amount(1), memo: list(0) };
    check_cap(&unsent(Payload::Transfer(transfer)), PAYLOAD + 20 + 8, MAX_MEMO_BYTES as u32);
    let opening = Opening { cell: [0; 32], siblings: Capped::default() };
    let activate = |openings| {
        unsent(Payload::ActivatePlot(ActivatePlot { miner_key: MinerKey::ZERO, plot_key: dice_hash(), openings }))
    };
    let openings_at = PAYLOAD + 48 + 32;
    check_cap(&activate(list(opening)), openings_at, MAX_OPENINGS as u32);
    let deep = Opening { cell: [0; 32], siblings: list([0; 32]) };
    let deep = activate(Capped::new(vec![deep]).expect("one is not too many"));
    check_cap(&deep, openings_at + 4 + 32, MAX_SIBLINGS as u32);

    let proof = Proof { siblings: vec![[0; 32]; MAX_SIBLINGS], ..dice.proof() };
    let siblings_at = HEADER_BYTES + 32 + 4 + 32 + 8 + 32 + 8;
    let stored = StoredHeader { header: dice.header(), proof, lineage: dice.lineage() };
    check_cap(&stored, siblings_at, MAX_SIBLINGS as u32);
    let StoredHeader { header, proof, .. } = stored;
    let metadata = Some(list(0));
    let block = Block { header, proof, transactions: Vec::new(), metadata };
    check_cap(&block, siblings_at, MAX_SIBLINGS as u32);
    let transactions_at = siblings_at + 4 + MAX_SIBLINGS * 32 + 32;
    check_cap(&block, transactions_at + 4 + 1, MAX_METADATA_BYTES as u32);

    let rewards = Rewards { epoch: Default::default(), miner_key: MinerKey::ZERO, outputs: list(output) };
    check_cap(&rewards, 8 + 48, MAX_OUTPUTS as u32);
    let transactions =
        vec![
            unsent(Payload::Transfer(Transfer { to: Address::ZERO, amount: Amount(1), memo: Capped::default() }));
            1 << 16
        ];
    let body = Body { transactions, metadata: None };
    let bytes = body.bytes();
    assert_eq!(decode::<Body>("body", &bytes, bytes.len()).expect("as many as there may be"), body);
    for count in [(1 << 16) + 1, u32::MAX] {
        let mut over = bytes.clone();
        over[..4].copy_from_slice(&count.to_le_bytes());
        let mut reader = Counter(&over, 0);
        Body::deserialize_reader(&mut reader).expect_err("too many transactions");
        assert_eq!(reader.1, 4);
        let mut over = block.bytes();
        over[transactions_at..transactions_at + 4].copy_from_slice(&count.to_le_bytes());
        let mut reader = Counter(&over, 0);
        Block::deserialize_reader(&mut reader).expect_err("too many transactions");
        assert_eq!(reader.1, transactions_at + 4);
    }
}

fn dice_hash() -> spacetime_node::chain::Hash {
    spacetime_node::chain::Hash([7; 32])
}

/// Options are 0 or 1, and so are truths.
#[test]
fn markers_are_zero_or_one() {
    let transfer =
        unsent(Payload::Transfer(Transfer { to: Address::ZERO, amount: Amount(1), memo: Capped::default() }));
    let bytes = transfer.bytes();
    let block = Block { metadata: None, ..Dice::new(3).block() }.bytes();
    let (_, Value::Plot(plot)) = Dice::new(4).values()[3].clone() else { panic!("the fourth is a plot") };
    let plot = PlotRecord { mature_from: None, retired: false, ..plot }.bytes();
    for marker in 2..=255 {
        for at in [1, bytes.len() - 2, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] = marker;
            assert_eq!(read::<Transaction>(&changed), None, "{marker} at {at}");
        }
        let mut changed = block.clone();
        *changed.last_mut().expect("it is not empty") = marker;
        assert_eq!(read::<Block>(&changed), None, "metadata {marker}");
        for at in [plot.len() - 1, 48 + 32 + 8 + 32 + 8 + 8] {
            let mut changed = plot.clone();
            changed[at] = marker;
            assert_eq!(read::<PlotRecord>(&changed), None, "{marker} at {at}");
        }
    }
}

#[test]
fn headers_and_proofs_are_small() {
    let mut dice = Dice::new(5);
    assert_eq!(dice.header().bytes().len(), HEADER_BYTES);
    const { assert!(HEADER_BYTES < 700) };
    let proof = Proof { siblings: vec![[0; 32]; MAX_SIBLINGS], ..dice.proof() };
    let block = Block { proof, transactions: Vec::new(), metadata: None, ..dice.block() };
    let proof_bytes = block.encoded_len() - HEADER_BYTES - 4;
    assert_eq!(proof_bytes, 2072, "less than 3 KiB");
}
