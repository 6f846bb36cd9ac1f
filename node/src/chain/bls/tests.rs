//! Vectors: signatures over 32 equal bytes are Ethereum's (bls12-381-tests, `sign`); all others and
//! the secret of KeyGen come from py_ecc 8.0.0, an implementation in Python that shares nothing with blst.

mod batch;

use super::*;

const SECRET: &str = "263dbd792f5b1be47ed85f8938c0f29586af0d3ac7b977f21c278fe1462040e3";
const KEY: &str = "a491d1b0ecd9bb917989f0e74f0dea0422eac4a873e5e2644f368dffb9a6e20fd6e10c1b77654d067c0618f6e5a7f79a";
/// The field's modulus, which is no canonical x.
const MODULUS: &str =
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";
const GROUP_ORDER: &str = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";

fn unhex<const N: usize>(hex: &str) -> [u8; N] {
    let mut bytes = [0; N];
    const_hex::decode_to_slice(hex, &mut bytes).expect("hex");
    bytes
}

/// The secret key with number `n`, big-endian in its last bytes.
fn secret(n: u64) -> SecretKey {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&n.to_be_bytes());
    SecretKey::from_bytes(&bytes).expect("small and not zero")
}

/// Bytes 100, 101 and so on.
fn genesis_id() -> BlockId {
    BlockId(std::array::from_fn(|i| 100 + i as u8))
}

/// A compressed point with this x below 256 and these flags.
fn point<const N: usize>(flags: u8, x: u8) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[N - 1] = x;
    bytes[0] |= flags;
    bytes
}

#[test]
fn signatures_are_ethereums() {
    let cases = [
        (
            SECRET,
            0x00,
            "b6ed936746e01f8ecf281f020953fbf1f01debd5657c4a383940b020b26507f6076334f91e2366c96e9ab279fb5158090352ea1c5b0c9274504f4f0e7053af24802e51e4568d164fe986834f41e55c8e850ce1f98458c0cfc9ab380b55285a55",
        ),
        (
            SECRET,
            0x56,
            "882730e5d03f6b42c3abc26d3372625034e1d871b65a8a6b900a56dae22da98abbe1b68f85e49fe7652a55ec3d0591c20767677e33e5cbb1207315c41a9ac03be39c2e7668edc043d6cb1d9fd93033caa8a1c5b0e84bedaeb6c64972503a43eb",
        ),
        (
            SECRET,
            0xab,
            "91347bccf740d859038fcdcaf233eeceb2a436bcaaee9b2aa3bfb70efe29dfb2677562ccbea1c8e061fb9971b0753c240622fab78489ce96768259fc01360346da5b9f579e5da0d941e4c6ba18a0e64906082375394f337fa1af2b7127b0d121",
        ),
        (
            "47b8192d77bf871b62e87859d653922725724a5c031afeabc60bcef5ff665138",
            0x00,
            "b23c46be3a001c63ca711f87a005c200cc550b9429d5f4eb38d74322144f1b63926da3388979e5321012fb1a0526bcd100b5ef5fe72628ce4cd5e904aeaa3279527843fae5ca9ca675f4f51ed8f83bbf7155da9ecc9663100a885d5dc6df96d9",
        ),
        (
            "328388aff0d4a5b7dc9205abd374e7e98f3cd9f3418edb4eafda5fb16473d216",
            0x00,
            "948a7cb99f76d616c2c564ce9bf4a519f1bea6b0a624a02276443c245854219fabb8d4ce061d255af5330b078d5380681751aa7053da2c98bae898edc218c75f07e24d8802a17cd1f6833b71e58f5eb5b94208b4d0bb3848cecb075ea21be115",
        ),
    ];
    for (number, byte, signature) in cases {
        let secret = SecretKey::from_bytes(&unhex(number)).expect("in range");
        let signature = MinerSignature(unhex(signature));
        assert_eq!(secret.sign(&[byte; 32]), signature);
        assert_eq!(verify(&secret.public_key(), &[byte; 32], &signature), Ok(()));
        let wrong = Err(BlsError::WrongSignature(secret.public_key().to_bytes()));
        assert_eq!(verify(&secret.public_key(), &[byte ^ 1; 32], &signature), wrong, "another message");
        assert!(verify_possession(&genesis_id(), &secret.public_key(), &signature).is_err());
    }
}

#[test]
fn keys_and_proofs_of_possession_are_those_of_another_implementation() {
    let given = SecretKey::from_bytes(&unhex(SECRET)).expect("in range");
    let generated = SecretKey::from_ikm(&std::array::from_fn(|i| i as u8));
    let number = SecretKey::from_bytes(&unhex("23360db7e337b0a32b264e06bc11c1b474d16f55665373de1ce93cf15ddb3456"));
    assert_eq!(generated.public_key(), number.expect("in range").public_key(), "KeyGen");
    let cases = [
        (
            given,
            KEY,
            "a59aaddff0794695707e3129af59432b950227b17eb1c45600fbf73e030d3e12df3f113e9f11c6787470a6f249d498fd05d0da032dc741220b4082ca518e2d4d3cb7b623d81ec8a2ba95f8c4672c5cdb8665e62069ba639a25ee555d41582a2b",
            "b7049e1f9a8f350a121f7dd391786fb0ee2d10fe123cd6622bd612390de0c56fc101940f06a171b74a2865fc72f848b7109b5fb0227eac4ab78b3c55d4f5f81e5a71714af4294f80980a5aca3b59fa38a03938c01e613ec24ecb5c7b41774d3b",
        ),
        (
            generated,
            "9112a0386a2340714ba0c6d2df235377a8679c3899d03e6ef04dba7a50ef49e5a1dc93105e9374e93ed301b63487e17c",
            "a3eb0cb2a13eb37c0d294b8ab4480c7b28d6e7701e7e82c7882d2360f2414e11e8cc5775aafb38b5644f795d1f5452930795c906b1f9441e421139504c7ffbcf8f93ef36b7b1a5eca0f5ac67749cf7f06dc9ef74e06f3404a54ae2414b819b0e",
            "ad0c5497e9a00bec50dfc6ad0af2373c4bd4c174a2c375a13a57d0109333c6838c45e0c67ef6a4c94c9f598f2c76570800a25daefc99b0def822189baffe3d78e58b47b3f7d8a39499fce26499571edf65c0bbe421c1f7f5ee505aee14b3622a",
        ),
    ];
    for (secret, key, proof, signature) in cases {
        let (key, proof) = (MinerKey(unhex(key)), MinerSignature(unhex(proof)));
        assert_eq!(secret.public_key().to_bytes(), key);
        let parsed = PublicKey::parse(&key).expect("a good key");
        assert_eq!(parsed, secret.public_key());
        assert_eq!(secret.prove_possession(&genesis_id()), proof);
        assert_eq!(verify_possession(&genesis_id(), &parsed, &proof), Ok(()));
        assert_eq!(secret.sign(&[&genesis_id().0[..], b"header"].concat()), MinerSignature(unhex(signature)));

        let wrong = Err(BlsError::WrongPossession(key));
        assert_eq!(verify_possession(&BlockId::ZERO, &parsed, &proof), wrong, "another chain");
        let message = possession_message(&genesis_id(), &key);
        assert_eq!(verify_possession(&genesis_id(), &parsed, &secret.sign(&message)), wrong, "the signatures' domain");
        assert_eq!(verify(&parsed, &message, &proof), Err(BlsError::WrongSignature(key)), "the proofs' domain");
        let other = self::secret(7).prove_possession(&genesis_id());
        assert_eq!(verify_possession(&genesis_id(), &parsed, &other), wrong, "another key's");
    }
}

#[test]
fn each_rule_for_keys_has_its_error() {
    PublicKey::parse(&MinerKey(unhex(KEY))).expect("the control");
    let refused = |bytes: [u8; 48]| PublicKey::parse(&MinerKey(bytes)).expect_err("a bad key");
    assert_eq!(refused(point(0xc0, 0)), BlsError::KeyIsInfinity);
    for bytes in [point(0xe0, 0), point(0xc0, 1), point(0x40, 0), point(0x00, 4), point(0xff, 0), [0; 48], [0xff; 48]] {
        assert_eq!(refused(bytes), BlsError::KeyEncoding(MinerKey(bytes)));
    }
    // Found by trial with py_ecc: no point has x = 1, 2, 3, 7; points with x = 4, 5, 6, 8 are outside G1.
    for x in [1, 2, 3, 7] {
        assert_eq!(refused(point(0x80, x)), BlsError::KeyNotOnCurve(MinerKey(point(0x80, x))));
    }
    for bytes in [4, 5, 6, 8].into_iter().flat_map(|x| [point(0x80, x), point(0xa0, x)]) {
        assert_eq!(refused(bytes), BlsError::KeyNotInSubgroup(MinerKey(bytes)));
    }
    // x = 4 again, as 4 + modulus, and x = the modulus itself.
    let mut modulus: [u8; 48] = unhex(MODULUS);
    modulus[0] |= 0x80;
    assert_eq!(refused(modulus), BlsError::KeyEncoding(MinerKey(modulus)));
    modulus[47] += 4;
    assert_eq!(refused(modulus), BlsError::KeyEncoding(MinerKey(modulus)));
}

#[test]
fn each_rule_for_signatures_has_its_error() {
    let key = secret(5).public_key();
    let refused = |bytes: [u8; 96]| verify(&key, b"message", &MinerSignature(bytes)).expect_err("a bad signature");
    assert_eq!(verify(&key, b"message", &secret(5).sign(b"message")), Ok(()), "the control");
    assert_eq!(refused(secret(6).sign(b"message").0), BlsError::WrongSignature(key.to_bytes()));
    assert_eq!(refused(point(0xc0, 0)), BlsError::SignatureIsInfinity);
    for bytes in [point(0xe0, 0), point(0xc0, 1), point(0x40, 0), point(0x00, 2), point(0xff, 0), [0; 96], [0xff; 96]] {
        assert_eq!(refused(bytes), BlsError::SignatureEncoding);
    }
    // Found by trial with py_ecc: no point has x = 1 or 3; points with x = 2, 4, 5 are outside G2.
    for x in [1, 3] {
        assert_eq!(refused(point(0x80, x)), BlsError::SignatureNotOnCurve);
    }
    for bytes in [2, 4, 5].into_iter().flat_map(|x| [point(0x80, x), point(0xa0, x)]) {
        assert_eq!(refused(bytes), BlsError::SignatureNotInSubgroup);
    }
    // Either half of x, the modulus or 2 more.
    for more in [0, 2] {
        let mut modulus: [u8; 48] = unhex(MODULUS);
        modulus[47] += more;
        let mut halves = [[0; 48], [0; 48]];
        halves[1] = modulus;
        halves[0][0] = 0x80;
        assert_eq!(refused(unhex(&const_hex::encode(halves.concat()))), BlsError::SignatureEncoding);
        halves = [modulus, [0; 48]];
        halves[0][0] |= 0x80;
        assert_eq!(refused(unhex(&const_hex::encode(halves.concat()))), BlsError::SignatureEncoding);
    }
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let secret = secret(9);
    let signature = secret.sign(b"message");
    for bit in 0..96 * 8 {
        let mut flipped = signature;
        flipped.0[bit / 8] ^= 1 << (bit % 8);
        verify(&secret.public_key(), b"message", &flipped).expect_err("a flipped bit of the signature");
    }
    for bit in 0..48 * 8 {
        let mut flipped = secret.public_key().to_bytes();
        flipped.0[bit / 8] ^= 1 << (bit % 8);
        let refused = PublicKey::parse(&flipped).and_then(|key| verify(&key, b"message", &signature));
        refused.expect_err("a flipped bit of the key");
    }
}

#[test]
fn secrets_are_in_range_and_never_printed() {
    let mut order: [u8; 32] = unhex(GROUP_ORDER);
    assert_eq!(SecretKey::from_bytes(&order).err(), Some(BlsError::SecretOutOfRange));
    assert_eq!(SecretKey::from_bytes(&[0; 32]).err(), Some(BlsError::SecretOutOfRange));
    assert_eq!(SecretKey::from_bytes(&[0xff; 32]).err(), Some(BlsError::SecretOutOfRange));
    order[31] -= 1;
    let last = SecretKey::from_bytes(&order).expect("the order less 1");
    // Its key is the generator with the other sign: 97f1… with flag 0x20.
    assert_eq!(last.public_key().to_bytes().0[0], secret(1).public_key().to_bytes().0[0] ^ 0x20);
    assert_eq!(last.public_key().to_bytes().0[1..], secret(1).public_key().to_bytes().0[1..]);
    assert_eq!(format!("{last:?}"), "SecretKey(…)");
}
