//! Fuzz targets: whatever bytes come, decoding answers, keeps its bounds, and writes what it read.
//!
//! `cargo test` tries random and mutated inputs for a short while; `cargo bolero test -p spacetime-node blocks` (or
//! `transactions`, `proofs`, `specifications`) goes on for as long as it is let.

#[allow(dead_code, reason = "shared with the tests of encodings, which ask for more")]
mod objects;

use bolero::check;
use borsh::{BorshDeserialize, BorshSerialize};
use objects::{Dice, KINDS};
use spacetime_kernels::{Challenge, ColumnIndex, Shape};
use spacetime_node::chain::rules::{check_body, check_form, transaction_claims};
use spacetime_node::chain::{
    Amount, Block, BlockId, Epoch, HEADER_BYTES, Hash, Height, MAX_METADATA_BYTES, PlotId, Transaction, decode,
    proof_id,
};
use spacetime_node::consensus::{Engine, Parameters, SpaceTime, Specification};
use spacetime_node::state::genesis;
use spacetime_node::store::StoredHeader;
use spacetime_prover::{Expected, MAX_SIBLINGS, check};

const LIMIT: usize = 1 << 20;

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

/// The object that bytes are, if they are one: it is written the same.
fn read<T: BorshSerialize + BorshDeserialize>(bytes: &[u8]) -> Option<T> {
    let object: T = decode("object", bytes, LIMIT).ok()?;
    assert_eq!(borsh::to_vec(&object).expect("memory can be written"), bytes, "what is accepted is written the same");
    Some(object)
}

#[test]
fn transactions() {
    let good: Vec<_> =
        (0..KINDS).map(|kind| borsh::to_vec(&Dice::new(kind.into()).transaction(kind)).expect("memory")).collect();
    let parameters = Parameters::local();
    check!().for_each(|input: &[u8]| {
        let kind = input.first().map_or(0, |first| usize::from(*first) % good.len());
        for bytes in [&laid_over(&good[kind], input)[..], input] {
            let Some(transaction) = read::<Transaction>(bytes) else { continue };
            assert_eq!(transaction.encoded_len(), bytes.len());
            if check_form(&transaction, &parameters).is_ok() {
                assert!(transaction_claims(&transaction, &BlockId::ZERO).len() <= 4);
            }
            assert_eq!(transaction.signed_bytes(&BlockId::ZERO)[..32], [0; 32]);
        }
    });
    // The control: untouched, they are transactions.
    assert!(good.iter().all(|bytes| read::<Transaction>(bytes).is_some()));
}

#[test]
fn blocks() {
    let good = borsh::to_vec(&Dice::new(7).block()).expect("memory can be written");
    let parameters = Parameters::local();
    check!().for_each(|input: &[u8]| {
        for bytes in [&laid_over(&good, input)[..], input] {
            let Some(block) = read::<Block>(bytes) else { continue };
            let metadata = block.metadata.as_ref().map_or(0, |metadata| metadata.len());
            assert!(metadata <= MAX_METADATA_BYTES && block.proof.siblings.len() <= MAX_SIBLINGS);
            assert!(block.encoded_len() < bytes.len());
            // Nobody finds the body of a root of random bytes.
            check_body(&block, &parameters).expect_err("another root");
        }
    });
    assert!(read::<Block>(&good).is_some());
}

#[test]
fn proofs() {
    let mut dice = Dice::new(9);
    let stored = StoredHeader { header: dice.header(), proof: dice.proof(), lineage: dice.lineage() };
    let good = borsh::to_vec(&stored).expect("memory can be written");
    let (header, rest) = good.split_at(HEADER_BYTES);
    check!().for_each(|input: &[u8]| {
        // The header is none of this target's business.
        for bytes in [laid_over(rest, input), input.to_vec()] {
            let Some(StoredHeader { proof, .. }) = read(&[header, &bytes].concat()) else { continue };
            assert!(proof.siblings.len() <= MAX_SIBLINGS);
            let untouched = proof == stored.proof;
            assert_eq!(proof_id(&proof) == proof_id(&stored.proof), untouched);
            let expected = Expected {
                network: [0; 32],
                miner_key: [0; 48],
                shape: Shape::new(4, 1).expect("a shape"),
                challenge: Challenge(proof.challenge),
                column: ColumnIndex(proof.column),
                plot_id: PlotId::ZERO.0,
                root: None,
                score: None,
                target: None,
            };
            check(&proof, &expected).expect_err("nobody finds rows and root for a plot id of zeros");
        }
    });
    assert_eq!(read::<StoredHeader>(&good), Some(stored));
}

#[test]
fn specifications() {
    let mut peopled = Specification::local();
    peopled.checkpoints = Vec::new();
    let good = [peopled.to_toml(), Specification::main().to_toml()];
    check!().for_each(|input: &[u8]| {
        let text = &good[usize::from(input.first().copied().unwrap_or(0)) % 2];
        // A value is replaced by what the input says, or the input is laid over the text.
        let replaced = replaced(text, input);
        for bytes in [laid_over(text.as_bytes(), input), replaced.into_bytes(), input.to_vec()] {
            let Ok(text) = std::str::from_utf8(&bytes) else { continue };
            let Ok(specification) = Specification::parse(text) else { continue };
            assert_eq!(Specification::parse(&specification.to_toml()).as_ref(), Ok(&specification));
            try_out(&specification);
        }
    });
    assert!(good.iter().all(|text| Specification::parse(text).is_ok()));
}

/// The text with one of its numbers replaced by one of those at which things break.
fn replaced(text: &str, input: &[u8]) -> String {
    const NUMBERS: [&str; 10] =
        ["0", "1", "2", "255", "256", "4096", "4294967296", "9223372036854775807", "-1", "18446744073709551615"];
    let [line, number, ..] = input else { return text.to_owned() };
    let lines: Vec<_> = text.lines().collect();
    let chosen = usize::from(*line) % lines.len();
    let number = NUMBERS[usize::from(*number) % NUMBERS.len()];
    let change = |(index, line): (usize, &&str)| match line.split_once(" = ") {
        Some((name, value)) if index == chosen && value.parse::<u64>().is_ok() => format!("{name} = {number}"),
        _ => (*line).to_owned(),
    };
    lines.iter().enumerate().map(change).collect::<Vec<_>>().join("\n")
}

/// Whatever was accepted begins a chain whose rules answer.
fn try_out(specification: &Specification) {
    let first = genesis(specification).expect("no plot's key can be wrong: there are none");
    let engine = SpaceTime::new(specification);
    for epoch in [0, 1, 1 << 40, u64::MAX] {
        let claim = engine.claim(&first.lineage, Epoch(epoch));
        assert!((claim.column.0 as usize) < specification.parameters.shape().columns());
    }
    for height in [0, 1, 1 << 40, u64::MAX] {
        let emission = &specification.parameters.emission;
        let reward = emission.reward(Height(height), Amount(u64::MAX));
        assert!(emission.emission_cap.is_none() || reward == Amount::ZERO);
    }
    assert_ne!(Hash(first.lineage.id.0), Hash::ZERO);
}
