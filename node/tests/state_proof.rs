//! Proofs of state against crate `jmt`'s, and against everything that is no proof.

mod trees;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::Config;
use spacetime_node::chain::Hash;
use spacetime_node::state::proof::{StateProof, StateProofEncodingError, StateProofError, prove};
use spacetime_node::state::tree::{KeyHash, PLACEHOLDER, StoredNodes, commit, value_hash, write_nodes};
use spacetime_node::store::{Batch, Database, MemoryDatabase};
use trees::{Jmt, Sha, changes, key};

/// A tree of one version, its root and what it holds.
fn tree(values: impl IntoIterator<Item = (KeyHash, Vec<u8>)>) -> (MemoryDatabase, Hash, BTreeMap<KeyHash, Vec<u8>>) {
    let values: BTreeMap<_, _> = values.into_iter().collect();
    let database = MemoryDatabase::new();
    let filled = values.iter().map(|(key, value)| (*key, Some(value)));
    let update = commit(&StoredNodes(&database), None, filled).unwrap();
    let mut batch = Batch::default();
    write_nodes(&mut batch, &update);
    database.write(batch).unwrap();
    (database, update.root, values)
}

fn numbered(count: u32) -> impl Iterator<Item = (KeyHash, Vec<u8>)> {
    (0..count).map(|n| (KeyHash::of(0, &n.to_le_bytes()), n.to_le_bytes().to_vec()))
}

/// `jmt`'s proof, read from its borsh form, in the form of ours.
fn translated(proof: &jmt::proof::SparseMerkleProof<Sha>, own: &KeyHash) -> Vec<u8> {
    let bytes = borsh::to_vec(proof).unwrap();
    let mut rest = &bytes[..];
    let mut take = |length: usize| {
        let (taken, after) = rest.split_at(length);
        rest = after;
        taken.to_vec()
    };
    let mut out = Vec::new();
    if take(1)[0] == 0 {
        out.push(0);
    } else {
        let (key, value) = (take(32), take(32));
        if key == own.0 {
            out.push(1);
        } else {
            out.push(2);
            out.extend([key, value].concat());
        }
    }
    let count = u32::from_le_bytes(take(4).try_into().unwrap()) as usize;
    let mut bitmap = vec![0u8; count.div_ceil(8)];
    let mut hashes = Vec::new();
    for index in 0..count {
        let kind = take(1)[0];
        if kind > 0 {
            let domain: &[u8] = if kind == 1 { b"JMT::IntrnalNode" } else { b"JMT::LeafNode" };
            bitmap[index / 8] |= 1 << (index % 8);
            hashes.extend(value_hash(&[domain, &take(64)].concat()).0);
        }
    }
    assert!(rest.is_empty());
    out.extend((count as u16).to_le_bytes());
    out.extend(bitmap);
    out.extend(hashes);
    out
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(300) })]

    #[test]
    fn proofs_are_those_of_jmt(filled in changes(24), probes in prop::collection::vec(key(), 1..12)) {
        let (database, root, values) = tree(filled.into_iter().filter_map(|(key, value)| Some((key, value?))));
        let mut jmt = Jmt::default();
        jmt.put(0, &values.iter().map(|(key, value)| (*key, Some(value.clone()))).collect::<Vec<_>>());
        for probe in probes.iter().chain(values.keys()) {
            let proof = prove(&StoredNodes(&database), 0, probe).unwrap();
            let theirs = jmt.prove(0, *probe);
            let bytes = proof.encode();
            prop_assert_eq!(&bytes, &translated(&theirs, probe));
            prop_assert_eq!(&StateProof::decode(&bytes).unwrap(), &proof);
            prop_assert_eq!(&borsh::from_slice::<StateProof>(&bytes).unwrap(), &proof);
            prop_assert_eq!(borsh::to_vec(&proof).unwrap(), bytes);
            for value in [values.get(probe).cloned(), None, Some(vec![9])] {
                let ours = proof.verify(&root, probe, value.as_deref());
                let theirs = theirs.verify(jmt::RootHash(root.0), jmt::KeyHash(probe.0), value.clone());
                prop_assert_eq!(ours.is_ok(), theirs.is_ok());
                prop_assert_eq!(ours.is_ok(), value.as_ref() == values.get(probe));
            }
            for other in values.keys().filter(|other| *other != probe) {
                // A proof of absence may cover other absent keys, never a present one.
                prop_assert!(proof.verify(&root, other, values.get(other).map(Vec::as_slice)).is_err());
                prop_assert!(proof.verify(&root, other, None).is_err());
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), root: [u8; 32], key: [u8; 32]) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first %= 4;
        }
        if let Ok(proof) = StateProof::decode(&bytes) {
            prop_assert_eq!(proof.encode(), bytes);
            prop_assert!(proof.verify(&Hash(root), &KeyHash(key), None).is_err());
            prop_assert!(proof.verify(&Hash(root), &KeyHash(key), Some(&[])).is_err());
        }
    }
}

/// A key, what it holds, and the proof of it.
type Shown = (KeyHash, Option<Vec<u8>>, StateProof);

/// A proof of each ending: present, absent beside another leaf, absent at nothing.
fn endings() -> (Hash, [Shown; 3]) {
    let (database, root, values) = tree(numbered(300));
    let prove = |key: &KeyHash| prove(&StoredNodes(&database), 0, key).unwrap();
    let ending = |kind: u8| {
        let mut probes = (0u32..).map(|n| KeyHash::of(1, &n.to_le_bytes()));
        probes.find(|key| prove(key).encode()[0] == kind).unwrap()
    };
    let (present, value) = values.first_key_value().unwrap();
    let (other, empty) = (ending(2), ending(0));
    (
        root,
        [(*present, Some(value.clone()), prove(present)), (other, None, prove(&other)), (empty, None, prove(&empty))],
    )
}

#[test]
fn every_flipped_bit_and_every_other_length_is_refused() {
    let (root, proofs) = endings();
    for (key, value, proof) in proofs {
        let value = value.as_deref();
        proof.verify(&root, &key, value).unwrap();
        let good = proof.encode();
        for bit in 0..8 * good.len() {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let refused = StateProof::decode(&bad).map_or(true, |proof| proof.verify(&root, &key, value).is_err());
            assert!(refused, "bit {bit}");
        }
        for length in 0..good.len() {
            let cut = &good[..length];
            assert_eq!(StateProof::decode(cut), Err(StateProofEncodingError::Short), "{length}");
            assert!(borsh::from_slice::<StateProof>(cut).is_err());
        }
        let extended = [&good[..], &[0, 0]].concat();
        assert_eq!(StateProof::decode(&extended), Err(StateProofEncodingError::Extended { bytes: 2 }));
        assert!(borsh::from_slice::<StateProof>(&extended).is_err());
        for bit in 0..256 {
            let (mut bad_root, mut bad_key) = (root, key);
            bad_root.0[bit / 8] ^= 1 << (bit % 8);
            bad_key.0[bit / 8] ^= 1 << (bit % 8);
            assert!(proof.verify(&bad_root, &key, value).is_err());
            if value.is_some() {
                assert!(proof.verify(&root, &bad_key, value).is_err());
            }
        }
    }
}

#[test]
fn each_rule_refuses_what_breaks_it() {
    let (root, [(key, value, present), (absent, _, beside), (empty, _, nothing)]) = endings();
    let value = value.as_deref();
    assert_eq!(present.verify(&root, &key, None), Err(StateProofError::Present));
    assert_eq!(beside.verify(&root, &absent, Some(&[])), Err(StateProofError::Absent));
    assert_eq!(nothing.verify(&root, &empty, Some(&[])), Err(StateProofError::Absent));
    assert!(matches!(present.verify(&root, &key, Some(&[1])), Err(StateProofError::Root { .. })));
    assert!(matches!(present.verify(&PLACEHOLDER, &key, value), Err(StateProofError::Root { .. })));

    let bytes = beside.encode();
    let other = KeyHash(bytes[1..33].try_into().unwrap());
    assert_eq!(beside.verify(&root, &other, None), Err(StateProofError::OwnLeaf));
    let mut elsewhere = absent;
    elsewhere.0[0] ^= 0x80;
    let siblings = usize::from(bytes[65]);
    assert_eq!(
        beside.verify(&root, &elsewhere, None),
        Err(StateProofError::ElsewhereLeaf { common_bits: 0, siblings })
    );

    let decode = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = present.encode();
        change(&mut bytes);
        StateProof::decode(&bytes).unwrap_err()
    };
    assert_eq!(decode(&|bytes| bytes[0] = 3), StateProofEncodingError::Ending { found: 3 });
    assert_eq!(decode(&|bytes| bytes[2] = 2), StateProofEncodingError::Siblings { found: 512 + siblings_of(&present) });
    let (count, bitmap_end) = (siblings_of(&present), 3 + siblings_of(&present).div_ceil(8));
    assert_ne!(count % 8, 0, "the bitmap has bits to spare");
    assert_eq!(decode(&|bytes| bytes[bitmap_end - 1] |= 0x80), StateProofEncodingError::Bitmap);
    let written_out = decode(&|bytes| bytes[bitmap_end..bitmap_end + 32].copy_from_slice(&PLACEHOLDER.0));
    assert_eq!(written_out, StateProofEncodingError::Placeholder);
}

fn siblings_of(proof: &StateProof) -> usize {
    usize::from(proof.encode()[1])
}

/// The longest path that is possible: two keys that differ in their last bit.
#[test]
fn a_proof_has_256_siblings_at_most() {
    let (a, mut b) = (KeyHash([0xa5; 32]), KeyHash([0xa5; 32]));
    b.0[31] ^= 1;
    let (database, root, _) = tree([(a, vec![1]), (b, vec![2])]);
    let proof = prove(&StoredNodes(&database), 0, &a).unwrap();
    let bytes = proof.encode();
    assert_eq!(bytes.len(), 1 + 2 + 32 + 32, "one sibling is given, 255 are placeholders");
    let proof = StateProof::decode(&bytes).unwrap();
    proof.verify(&root, &a, Some(&[1])).unwrap();
    assert_eq!(proof.verify(&root, &b, None), Err(StateProofError::Present));
    let mut more = bytes;
    more[1] = 1;
    assert_eq!(StateProof::decode(&more), Err(StateProofEncodingError::Siblings { found: 257 }));
}

/// The figure for a million is measured by `examples/state_commit.rs`.
#[test]
fn proofs_among_100_000_keys_are_below_a_kilobyte() {
    let (database, root, values) = tree(numbered(100_000));
    let mut longest = 0;
    for (key, value) in &values {
        let proof = prove(&StoredNodes(&database), 0, key).unwrap();
        longest = longest.max(proof.encode().len());
        if key.0[0] == 0 {
            proof.verify(&root, key, Some(value)).unwrap();
        }
    }
    for n in 0..10_000u32 {
        let key = KeyHash::of(1, &n.to_le_bytes());
        let proof = prove(&StoredNodes(&database), 0, &key).unwrap();
        longest = longest.max(proof.encode().len());
        proof.verify(&root, &key, None).unwrap();
    }
    assert!(longest < 1024, "{longest} bytes");
}
