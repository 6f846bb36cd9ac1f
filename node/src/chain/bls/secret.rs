//! A miner's secret key.

use std::fmt;

use blst::min_pk;

use super::{BlsError, MinerKey, MinerSignature, POSSESSION_DST, PublicKey, SIGNATURE_DST, possession_message};
use crate::chain::types::BlockId;

/// A miner's secret key. It, and each clone, is overwritten with zeros when dropped (`blst` sees to it) and never printed.
#[derive(Clone)]
pub struct SecretKey {
    scalar: min_pk::SecretKey,
    public: PublicKey,
}

impl SecretKey {
    /// The key whose number is `bytes`, big-endian.
    ///
    /// # Errors
    /// If the number is zero or not below the order of the groups.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BlsError> {
        min_pk::SecretKey::from_bytes(bytes).map(Self::new).map_err(|_| BlsError::SecretOutOfRange)
    }

    /// The key that `seed` gives by the IETF's KeyGen without key info
    /// (draft-irtf-cfrg-bls-signature §2.3), as `spacetime keys new` makes them.
    #[must_use]
    pub fn from_ikm(seed: &[u8; 32]) -> Self {
        Self::new(min_pk::SecretKey::key_gen(seed, &[]).expect("32 bytes are enough"))
    }

    fn new(scalar: min_pk::SecretKey) -> Self {
        let point = scalar.sk_to_pk();
        Self { scalar, public: PublicKey { bytes: MinerKey(point.compress()), point } }
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Signs `message`, which begins with the genesis block's id (PROTOCOL §6).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> MinerSignature {
        MinerSignature(self.scalar.sign(message, SIGNATURE_DST, &[]).compress())
    }

    /// Proves on one chain that the holder of the public key knows this secret (PROTOCOL §6).
    #[must_use]
    pub fn prove_possession(&self, genesis_id: &BlockId) -> MinerSignature {
        let message = possession_message(genesis_id, &self.public.bytes);
        MinerSignature(self.scalar.sign(&message, POSSESSION_DST, &[]).compress())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}
