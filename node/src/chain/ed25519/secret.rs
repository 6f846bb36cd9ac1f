//! An account's secret key.

use std::fmt;

use ed25519_zebra::SigningKey;
use zeroize::Zeroize;

use crate::chain::types::{AccountKey, AccountSignature};

/// An account's secret key. It is overwritten with zeros when dropped and never printed.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key that these 32 bytes give; any do (RFC 8032 §5.1.5).
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// The public key.
    #[must_use]
    pub fn account_key(&self) -> AccountKey {
        AccountKey(self.0.verification_key().into())
    }

    /// Signs `message`, which begins with the genesis block's id (PROTOCOL §6).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> AccountSignature {
        AccountSignature(self.0.sign(message).to_bytes())
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}
