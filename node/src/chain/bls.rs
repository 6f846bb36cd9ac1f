//! Miners' signatures: BLS12-381, public keys in G1, signatures in G2 (PROTOCOL §6).
//!
//! A key or signature off the wire is refused unless it is canonically encoded, on its curve,
//! in the subgroup and not the point at infinity. Nothing here starts a thread: callers cut
//! their work and hand the parts to a pool of their own. (`blst`'s own `verify` and
//! `verify_multiple_aggregate_signatures` run on a pool of `blst`'s; `Pairing` does not.)

mod batch;
mod cache;
mod secret;
#[cfg(test)]
mod tests;

use std::fmt;

use blst::{BLST_ERROR, Pairing, blst_p1_affine, blst_p2_affine, min_pk};
use thiserror::Error;

pub use self::batch::Batch;
pub use self::cache::{KeyCache, MAX_CACHED_KEYS};
pub use self::secret::SecretKey;
use super::types::{BlockId, MinerKey, MinerSignature};

/// Domain of signatures over messages: the IETF ciphersuite with proofs of possession.
pub const SIGNATURE_DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// Domain of proofs of possession.
pub const POSSESSION_DST: &[u8] = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// Why a key or a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BlsError {
    /// Wrong flags, or a coordinate that is not below the field's modulus (PROTOCOL §6).
    #[error("miner key {0} is not a canonical compressed G1 point")]
    KeyEncoding(MinerKey),
    /// No point has this x (PROTOCOL §6).
    #[error("miner key {0} is not on the curve")]
    KeyNotOnCurve(MinerKey),
    /// The point has a part outside the subgroup (PROTOCOL §6).
    #[error("miner key {0} is not in the subgroup G1")]
    KeyNotInSubgroup(MinerKey),
    /// The point at infinity, under which anybody can sign (PROTOCOL §6).
    #[error("miner key is the point at infinity")]
    KeyIsInfinity,
    /// Wrong flags, or a coordinate that is not below the field's modulus (PROTOCOL §6).
    #[error("signature is not a canonical compressed G2 point")]
    SignatureEncoding,
    /// No point has this x (PROTOCOL §6).
    #[error("signature is not on the curve")]
    SignatureNotOnCurve,
    /// The point has a part outside the subgroup (PROTOCOL §6).
    #[error("signature is not in the subgroup G2")]
    SignatureNotInSubgroup,
    /// The point at infinity (PROTOCOL §6).
    #[error("signature is the point at infinity")]
    SignatureIsInfinity,
    /// The signature is well formed, and another key's or another message's.
    #[error("signature does not verify under miner key {0}")]
    WrongSignature(MinerKey),
    /// The proof is well formed, and another key's or another chain's.
    #[error("proof of possession does not verify under miner key {0}")]
    WrongPossession(MinerKey),
    /// A secret key is a number from 1 to the order of the groups less 1.
    #[error("secret key is zero or not below the order of the groups")]
    SecretOutOfRange,
}

/// A miner's public key that was checked to be one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    bytes: MinerKey,
    point: min_pk::PublicKey,
}

impl PublicKey {
    /// Checks the encoding, the curve, the subgroup and that it is not infinity, in this order.
    ///
    /// # Errors
    /// The first of these rules that `key` breaks.
    pub fn parse(key: &MinerKey) -> Result<Self, BlsError> {
        let point = min_pk::PublicKey::uncompress(&key.0).map_err(|error| match error {
            BLST_ERROR::BLST_POINT_NOT_ON_CURVE => BlsError::KeyNotOnCurve(*key),
            _ => BlsError::KeyEncoding(*key),
        })?;
        point.validate().map_err(|error| match error {
            BLST_ERROR::BLST_PK_IS_INFINITY => BlsError::KeyIsInfinity,
            _ => BlsError::KeyNotInSubgroup(*key),
        })?;
        Ok(Self { bytes: *key, point })
    }

    /// The 48 bytes that it was parsed from.
    #[must_use]
    pub fn to_bytes(&self) -> MinerKey {
        self.bytes
    }

    fn point(&self) -> &blst_p1_affine {
        (&self.point).into()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.bytes)
    }
}

/// A signature that was checked to be a point of G2, whatever it signs.
#[derive(Clone, Copy)]
struct Signature(min_pk::Signature);

impl Signature {
    fn parse(signature: &MinerSignature) -> Result<Self, BlsError> {
        let point = min_pk::Signature::uncompress(&signature.0).map_err(|error| match error {
            BLST_ERROR::BLST_POINT_NOT_ON_CURVE => BlsError::SignatureNotOnCurve,
            _ => BlsError::SignatureEncoding,
        })?;
        point.validate(true).map_err(|error| match error {
            BLST_ERROR::BLST_PK_IS_INFINITY => BlsError::SignatureIsInfinity,
            _ => BlsError::SignatureNotInSubgroup,
        })?;
        Ok(Self(point))
    }

    fn point(&self) -> &blst_p2_affine {
        (&self.0).into()
    }

    /// Whether `e(key, H(message)) = e(g1, signature)`.
    fn holds(&self, key: &PublicKey, message: &[u8], dst: &[u8]) -> bool {
        let mut pairing = Pairing::new(true, dst);
        // Both points were checked when they were parsed.
        let added = pairing.aggregate(key.point(), false, self.point(), false, message, &[]);
        pairing.commit();
        added == BLST_ERROR::BLST_SUCCESS && pairing.finalverify(None)
    }
}

/// Checks one signature. What is signed binds the chain, which is the caller's to see to:
/// every signed message begins with the genesis block's id (PROTOCOL §6).
///
/// # Errors
/// What is wrong with the signature.
pub fn verify(key: &PublicKey, message: &[u8], signature: &MinerSignature) -> Result<(), BlsError> {
    match Signature::parse(signature)?.holds(key, message, SIGNATURE_DST) {
        true => Ok(()),
        false => Err(BlsError::WrongSignature(key.bytes)),
    }
}

/// Checks that whoever registers `key` holds its secret: the proof signs genesis id || key
/// in a domain of its own (PROTOCOL §6).
///
/// # Errors
/// What is wrong with the proof.
pub fn verify_possession(genesis_id: &BlockId, key: &PublicKey, proof: &MinerSignature) -> Result<(), BlsError> {
    match Signature::parse(proof)?.holds(key, &possession_message(genesis_id, &key.bytes), POSSESSION_DST) {
        true => Ok(()),
        false => Err(BlsError::WrongPossession(key.bytes)),
    }
}

/// What a proof of possession signs.
fn possession_message(genesis_id: &BlockId, key: &MinerKey) -> [u8; 80] {
    let mut message = [0; 80];
    message[..32].copy_from_slice(&genesis_id.0);
    message[32..].copy_from_slice(&key.0);
    message
}
