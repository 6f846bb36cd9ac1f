//! Accounts' signatures: Ed25519 as ZIP-215 has it, so that single and batch verification
//! agree on every input (PROTOCOL §6).
//!
//! `A` and `R` may be any encodings that decode to a point, canonical or not, of small order or
//! not; `S` is below the order of the base point; and `[8][S]B = [8]R + [8][k]A`.

mod batch;
mod generator;
mod secret;
#[cfg(test)]
mod tests;

use ed25519_zebra::{Error as ZebraError, Signature, VerificationKey};
use thiserror::Error;

pub use self::batch::Batch;
pub use self::secret::SecretKey;
use super::types::{AccountKey, AccountSignature};

/// Order of the base point, 2^252 + 27742317777372353535851937790883648493, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Why a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Ed25519Error {
    /// `A` does not decode (ZIP-215).
    #[error("account key {0} is not a point of the curve")]
    KeyNotOnCurve(AccountKey),
    /// `S` is not below the order of the base point (ZIP-215).
    #[error("the signature's S is not below the group's order")]
    ScalarOutOfRange,
    /// `R` does not decode (ZIP-215).
    #[error("the signature's R is not a point of the curve")]
    CommitmentNotOnCurve,
    /// The equation does not hold (ZIP-215).
    #[error("signature does not verify under account key {0}")]
    WrongSignature(AccountKey),
}

/// Checks one signature. What is signed binds the chain, which is the caller's to see to:
/// every signed message begins with the genesis block's id (PROTOCOL §6).
///
/// # Errors
/// What is wrong with the key or the signature.
pub fn verify(key: &AccountKey, message: &[u8], signature: &AccountSignature) -> Result<(), Ed25519Error> {
    VerificationKey::try_from(key.0)
        .and_then(|point| point.verify(&Signature::from_bytes(&signature.0), message))
        .map_err(|error| why(error, key, signature))
}

/// Names the rule that a refused signature breaks. The library names keys alone.
fn why(error: ZebraError, key: &AccountKey, signature: &AccountSignature) -> Ed25519Error {
    let (commitment, scalar) = signature.0.split_first_chunk::<32>().expect("64 bytes are more than 32");
    if error == ZebraError::MalformedPublicKey {
        Ed25519Error::KeyNotOnCurve(*key)
    } else if scalar.iter().rev().ge(ORDER.iter().rev()) {
        Ed25519Error::ScalarOutOfRange
    } else if VerificationKey::try_from(*commitment).is_err() {
        Ed25519Error::CommitmentNotOnCurve
    } else {
        Ed25519Error::WrongSignature(*key)
    }
}
