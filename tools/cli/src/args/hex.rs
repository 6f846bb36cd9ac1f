//! Hex of a fixed length: keys, seeds, challenges, targets.

use std::fmt::{self, Display};

use blst::BLST_ERROR;
use blst::min_pk::PublicKey;
use spacetime_kernels::{Challenge, MAX_CHALLENGES};
use thiserror::Error;

/// Why a text is not the hex wanted. It never repeats the text, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HexError {
    /// Another number of digits.
    #[error("expected {expected} hex digits, found {found}")]
    Length {
        /// Digits wanted: two a byte.
        expected: usize,
        /// Characters found.
        found: usize,
    },
    /// Something that is no hex digit.
    #[error("character {position} is no hex digit")]
    Digit {
        /// Where it stands, counted from 1.
        position: usize,
    },
}

/// Reads exactly `N` bytes from `2 N` hex digits, without a prefix.
///
/// # Errors
/// If the length or a digit is wrong.
pub fn decode<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    if let Some(at) = text.chars().position(|character| !character.is_ascii_hexdigit()) {
        return Err(HexError::Digit { position: at + 1 });
    }
    let mut bytes = [0; N];
    // All digits are ASCII here, so bytes are characters. A prefix `0x` has not come this far.
    const_hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| HexError::Length { expected: 2 * N, found: text.len() })?;
    Ok(bytes)
}

/// Reads 32 bytes: a seed, a target, a plot id.
///
/// # Errors
/// If it is not 64 hex digits.
pub fn bytes_32(text: &str) -> Result<[u8; 32], String> {
    decode(text).map_err(|error| error.to_string())
}

/// One to eight challenges, as many as one pass over a strip scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenges(pub Vec<Challenge>);

/// Reads one to eight challenges, separated by commas.
///
/// # Errors
/// If there are more, or one of them is not 64 hex digits.
pub fn challenges(text: &str) -> Result<Challenges, String> {
    let count = text.split(',').count();
    if count > MAX_CHALLENGES {
        return Err(format!("{count} challenges, at most {MAX_CHALLENGES} are searched at once"));
    }
    let parse = |(at, text)| {
        let bytes = decode(text).map_err(|error| format!("challenge {} of {count}: {error}", at + 1))?;
        Ok(Challenge(bytes))
    };
    text.split(',').enumerate().map(parse).collect::<Result<_, _>>().map(Challenges)
}

/// A miner's public key: a compressed point of BLS12-381's G1 in the right
/// group and not infinity (PROTOCOL §6). Only made by checking that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinerKey([u8; 48]);

impl MinerKey {
    /// The key of these 48 bytes.
    ///
    /// # Errors
    /// If they are no such point; the message says why.
    pub fn new(bytes: [u8; 48]) -> Result<Self, String> {
        let point = PublicKey::uncompress(&bytes).map_err(point_error)?;
        point.validate().map_err(point_error)?;
        Ok(Self(bytes))
    }

    /// Its 48 bytes.
    #[must_use]
    pub fn bytes(self) -> [u8; 48] {
        self.0
    }
}

impl Display for MinerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&const_hex::encode(self.0))
    }
}

fn point_error(error: BLST_ERROR) -> String {
    match error {
        BLST_ERROR::BLST_PK_IS_INFINITY => "the point at infinity is no miner key",
        BLST_ERROR::BLST_POINT_NOT_IN_GROUP => "the point is not in the prime-order group of BLS12-381 G1",
        BLST_ERROR::BLST_POINT_NOT_ON_CURVE => "no point of BLS12-381 G1 has this encoding",
        _ => "not the compressed encoding of a point of BLS12-381 G1",
    }
    .to_owned()
}

/// Reads a miner key from 96 hex digits.
///
/// # Errors
/// If the hex is wrong or the key is no valid point.
pub fn miner_key(text: &str) -> Result<MinerKey, String> {
    MinerKey::new(decode(text).map_err(|error| error.to_string())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generator of G1, compressed (IETF draft-irtf-cfrg-bls-signature; the
    /// curve's own parameter).
    const GENERATOR: &str = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58\
                             6c55e83ff97a1aeffb3af00adb22c6bb";

    #[test]
    fn length_and_digits_are_exact() {
        assert_eq!(decode::<2>("00fF"), Ok([0, 255]));
        assert_eq!(decode::<2>("00f"), Err(HexError::Length { expected: 4, found: 3 }));
        assert_eq!(decode::<2>(""), Err(HexError::Length { expected: 4, found: 0 }));
        assert_eq!(decode::<2>("00ff00"), Err(HexError::Length { expected: 4, found: 6 }));
        assert_eq!(decode::<2>("0x00ff"), Err(HexError::Digit { position: 2 }));
        assert_eq!(decode::<2>("00é0"), Err(HexError::Digit { position: 3 }));
        assert_eq!(bytes_32("ab"), Err("expected 64 hex digits, found 2".to_owned()));
    }

    #[test]
    fn one_to_eight_challenges() {
        let one = "ab".repeat(32);
        assert_eq!(challenges(&one), Ok(Challenges(vec![Challenge([0xab; 32])])));
        assert_eq!(challenges(&[one.as_str(); 8].join(",")).map(|found| found.0.len()), Ok(8));
        let nine = challenges(&[one.as_str(); 9].join(",")).unwrap_err();
        assert_eq!(nine, "9 challenges, at most 8 are searched at once");
        let second = challenges(&format!("{one},zz")).unwrap_err();
        assert_eq!(second, "challenge 2 of 2: character 1 is no hex digit");
        assert!(challenges("").is_err());
        assert!(challenges(&format!("{one},")).is_err());
    }

    #[test]
    fn a_miner_key_is_a_point_of_the_group() {
        assert_eq!(miner_key(GENERATOR).map(|key| key.to_string()), Ok(GENERATOR.to_owned()));
        let refused = |text: &str| miner_key(text).unwrap_err();
        assert!(refused(&format!("c0{}", "00".repeat(47))).contains("infinity"));
        assert!(refused(&GENERATOR.replacen("97", "17", 1)).contains("compressed"));
        assert!(refused(&"00".repeat(48)).contains("compressed"));
        assert!(refused(&GENERATOR[2..]).contains("expected 96 hex digits, found 94"));
        // x = 4 is on the curve and outside the group, x = 1 is not on the curve:
        // x^3 + 4 is 68 and 5, found by trying small x.
        let at = |x: u8| format!("80{}{x:02x}", "00".repeat(46));
        assert!(refused(&at(4)).contains("prime-order group"), "{}", refused(&at(4)));
        assert!(refused(&at(1)).contains("no point"), "{}", refused(&at(1)));
    }
}
