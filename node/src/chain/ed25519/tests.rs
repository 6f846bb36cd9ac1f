//! RFC 8032's vectors and the edge cases of ZIP-215.

use proptest::prelude::*;

use super::*;

/// Encodings of the eight points whose order divides 8, then the six other encodings of such
/// points that are not canonical. Computed by a script of its own from ZIP-215's definitions.
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// Keys `a·B + i·T` and signatures over "spacetime" with commitments `r·B + j·T`, where T has order 8:
/// valid, and the ones with i or j odd only because of the factor 8. By the same script.
const MIXED_ORDER: &str = include_str!("tests/mixed_order.txt");

type Item = (AccountKey, Vec<u8>, AccountSignature);

fn unhex<const N: usize>(hex: &str) -> [u8; N] {
    let mut bytes = [0; N];
    const_hex::decode_to_slice(hex, &mut bytes).expect("hex");
    bytes
}

fn signature(commitment: [u8; 32], scalar: [u8; 32]) -> AccountSignature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&commitment);
    bytes[32..].copy_from_slice(&scalar);
    AccountSignature(bytes)
}

fn mixed_order() -> Vec<Item> {
    let item =
        |line: &str| (AccountKey(unhex(&line[..64])), b"spacetime".to_vec(), AccountSignature(unhex(&line[64..])));
    MIXED_ORDER.lines().map(item).collect()
}

fn batch(items: &[Item]) -> Batch {
    let mut batch = Batch::new();
    for (key, message, signature) in items {
        batch.push(key, message, signature);
    }
    batch
}

/// What single verification says, after batches of this one alone have said the same.
fn both(item: &Item) -> Result<(), Ed25519Error> {
    let single = verify(&item.0, &item.1, &item.2);
    for seed in 0..3 {
        assert_eq!(batch(std::slice::from_ref(item)).verify(&[seed; 32]), single.is_ok(), "{item:?}");
    }
    single
}

/// `S + L`, where it fits: the same number modulo the order.
fn add_order(signature: &AccountSignature) -> AccountSignature {
    let mut sum = *signature;
    let mut carry = 0;
    for (byte, order) in sum.0[32..].iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(order);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert_eq!(carry, 0);
    sum
}

#[test]
fn rfc_8032_vectors() {
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (seed, key, message, expected) in cases {
        let secret = SecretKey::from_bytes(&unhex(seed));
        let item =
            (AccountKey(unhex(key)), const_hex::decode(message).expect("hex"), AccountSignature(unhex(expected)));
        assert_eq!(secret.account_key(), item.0);
        assert_eq!(secret.sign(&item.1), item.2);
        assert_eq!(both(&item), Ok(()));
        let beyond = (item.0, item.1.clone(), add_order(&item.2));
        assert_eq!(both(&beyond), Err(Ed25519Error::ScalarOutOfRange), "S + L");
        let other = (item.0, [&item.1[..], b"!"].concat(), item.2);
        assert_eq!(both(&other), Err(Ed25519Error::WrongSignature(item.0)));
        assert_eq!(format!("{secret:?}"), "SecretKey(…)");
    }
}

#[test]
fn all_196_cases_of_small_order_are_accepted() {
    let mut items = Vec::new();
    for key in SMALL_ORDER {
        for commitment in SMALL_ORDER {
            let item = (AccountKey(unhex(key)), b"Zcash".to_vec(), signature(unhex(commitment), [0; 32]));
            assert_eq!(both(&item), Ok(()), "key {key}, commitment {commitment}");
            // The same with S = L, which is 0 modulo L, and with S = 1, which is not.
            let beyond = (item.0, item.1.clone(), signature(unhex(commitment), ORDER));
            assert_eq!(both(&beyond), Err(Ed25519Error::ScalarOutOfRange));
            let mut one = [0; 32];
            one[0] = 1;
            let wrong = (item.0, item.1.clone(), signature(unhex(commitment), one));
            assert_eq!(both(&wrong), Err(Ed25519Error::WrongSignature(item.0)), "the control");
            items.push(item);
        }
    }
    assert_eq!(items.len(), 196);
    assert!(batch(&items).verify(&[1; 32]), "all in one batch");
}

#[test]
fn parts_of_small_order_in_keys_and_commitments_do_not_matter() {
    let mut items = mixed_order();
    assert_eq!(items.len(), 32);
    for item in &items {
        assert_eq!(both(item), Ok(()));
        let beyond = (item.0, item.1.clone(), add_order(&item.2));
        assert_eq!(both(&beyond), Err(Ed25519Error::ScalarOutOfRange), "S + L");
        let other = (item.0, b"spacetimes".to_vec(), item.2);
        assert_eq!(both(&other), Err(Ed25519Error::WrongSignature(item.0)));
    }
    for seed in 0..8 {
        assert!(batch(&items).verify(&[seed; 32]));
    }
    items[17].1.push(0);
    assert_eq!(batch(&items).find_invalid(&[9; 32]), [17]);
}

#[test]
fn what_does_not_decode_or_is_out_of_range_is_refused_by_both() {
    let secret = SecretKey::from_bytes(&[8; 32]);
    let good = (secret.account_key(), b"message".to_vec(), secret.sign(b"message"));
    assert_eq!(both(&good), Ok(()), "the control");
    // No point has y = 2, 7 or 8 (by the same script).
    for y in [2, 7, 8] {
        let mut bytes = [0; 32];
        bytes[0] = y;
        let key = (AccountKey(bytes), good.1.clone(), good.2);
        assert_eq!(both(&key), Err(Ed25519Error::KeyNotOnCurve(AccountKey(bytes))));
        let scalar = unhex(&const_hex::encode(&good.2.0[32..]));
        let commitment = (good.0, good.1.clone(), signature(bytes, scalar));
        assert_eq!(both(&commitment), Err(Ed25519Error::CommitmentNotOnCurve));
    }
    // S = L is out of range whatever the rest; L - 1 is in range and wrong.
    let commitment: [u8; 32] = unhex(&const_hex::encode(&good.2.0[..32]));
    let mut below = ORDER;
    below[0] -= 1;
    assert_eq!(
        both(&(good.0, good.1.clone(), signature(commitment, below))),
        Err(Ed25519Error::WrongSignature(good.0))
    );
    let mut above = ORDER;
    above[0] += 1;
    for scalar in [ORDER, above, [0xff; 32]] {
        assert_eq!(both(&(good.0, good.1.clone(), signature(commitment, scalar))), Err(Ed25519Error::ScalarOutOfRange));
    }
}

#[test]
fn errors_that_cancel_are_refused() {
    // S + 1 and S - 1: the sum without scalars stays.
    let secrets = [SecretKey::from_bytes(&[1; 32]), SecretKey::from_bytes(&[2; 32])];
    for (first, second) in [(0, 1), (0, 0)] {
        let mut items: Vec<Item> = [(first, &b"one"[..]), (second, b"two")]
            .map(|(n, message)| (secrets[n].account_key(), message.to_vec(), secrets[n].sign(message)))
            .to_vec();
        assert!(batch(&items).verify(&[0; 32]), "the control");
        items[0].2.0[32] = items[0].2.0[32].checked_add(1).expect("no carry in these two");
        items[1].2.0[32] = items[1].2.0[32].checked_sub(1).expect("no borrow in these two");
        for seed in 0..8 {
            assert!(!batch(&items).verify(&[seed; 32]));
            assert_eq!(batch(&items).find_invalid(&[seed; 32]), [0, 1]);
        }
    }
}

proptest! {
    #[test]
    fn batches_refuse_what_single_verification_refuses(
        count in 0usize..24,
        spoilt in prop::collection::vec((any::<prop::sample::Index>(), 0usize..96, 0u8..8), 0..5),
        seed: [u8; 32],
    ) {
        let mut items: Vec<Item> = (0..count)
            .map(|n| {
                // Three signatures a key, and every fourth of mixed order.
                let secret = SecretKey::from_bytes(&[(n / 3) as u8; 32]);
                let message = n.to_le_bytes().to_vec();
                let signature = secret.sign(&message);
                if n % 4 == 3 { mixed_order()[n].clone() } else { (secret.account_key(), message, signature) }
            })
            .collect();
        if count > 0 {
            for (place, byte, bit) in spoilt {
                let item = &mut items[place.index(count)];
                match byte {
                    0..32 => item.0.0[byte] ^= 1 << bit,
                    _ => item.2.0[byte - 32] ^= 1 << bit,
                }
            }
        }
        let bad = |(place, item): (usize, &Item)| verify(&item.0, &item.1, &item.2).is_err().then_some(place);
        let refused: Vec<usize> = items.iter().enumerate().filter_map(bad).collect();
        prop_assert_eq!(batch(&items).verify(&seed), refused.is_empty());
        prop_assert_eq!(batch(&items).find_invalid(&seed), refused);
    }
}
