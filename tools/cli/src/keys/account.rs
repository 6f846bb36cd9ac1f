//! Keys of accounts: Ed25519 (PROTOCOL §6).

use std::fmt::{self, Display};

use spacetime_node::chain::{AccountKey, ed25519};
use zeroize::Zeroizing;

use super::document::ACCOUNT_FORMAT;
use super::store::Kind;

/// Keys of accounts.
#[derive(Debug)]
pub(crate) enum Account {}

/// A secret key, and what it was made of: any 32 bytes are one, and they are what is stored.
pub(crate) struct AccountSecret {
    bytes: Zeroizing<[u8; 32]>,
    key: ed25519::SecretKey,
}

impl AccountSecret {
    /// What signs.
    pub(crate) fn key(&self) -> &ed25519::SecretKey {
        &self.key
    }
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountPublic(pub(crate) AccountKey);

impl Display for AccountPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Kind<32> for Account {
    type Secret = AccountSecret;
    type Public = AccountPublic;
    const FORMAT: &'static str = ACCOUNT_FORMAT;

    fn public(bytes: [u8; 32]) -> Result<AccountPublic, String> {
        // Whether it is a point is seen when the secret key is opened: its own public key is compared with this one.
        Ok(AccountPublic(AccountKey(bytes)))
    }

    fn secret(bytes: &[u8; 32]) -> Result<AccountSecret, String> {
        Ok(AccountSecret { bytes: Zeroizing::new(*bytes), key: ed25519::SecretKey::from_bytes(bytes) })
    }

    fn secret_bytes(secret: &AccountSecret) -> Zeroizing<[u8; 32]> {
        secret.bytes.clone()
    }

    fn public_bytes(secret: &AccountSecret) -> [u8; 32] {
        secret.key.account_key().0
    }
}
