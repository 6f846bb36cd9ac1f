//! Secrets under a passphrase: Argon2id (RFC 9106) makes a key of it,
//! XChaCha20-Poly1305 encrypts with that key.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use thiserror::Error;
use zeroize::Zeroizing;

use super::document::Sealed;

/// What deriving a key costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

impl Cost {
    /// The second of the two that RFC 9106 §4 recommends: 64 MiB, three passes, four lanes.
    pub(crate) const RECOMMENDED: Self = Self { memory_kib: 64 << 10, passes: 3, lanes: 4 };

    /// The most that is spent because a file asks for it: 1 GiB, about half a
    /// minute. The file's own checksum cannot speak for it, anyone can make one.
    const GREATEST: Self = Self { memory_kib: 1 << 20, passes: 16, lanes: 16 };

    fn params(self) -> Result<Params, SealError> {
        for (field, value, most) in [
            ("memory_kib", self.memory_kib, Self::GREATEST.memory_kib),
            ("passes", self.passes, Self::GREATEST.passes),
            ("lanes", self.lanes, Self::GREATEST.lanes),
        ] {
            if value > most {
                return Err(SealError::TooCostly { field, value, most });
            }
        }
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(SealError::Cost)
    }
}

/// Why a secret can not be sealed or opened.
#[derive(Debug, Error)]
pub(crate) enum SealError {
    /// The file asks for more work than is ever done for one.
    #[error("{field}: {value}, at most {most} are allowed")]
    TooCostly {
        /// The member of the file.
        field: &'static str,
        /// Its value.
        value: u32,
        /// The greatest that is taken.
        most: u32,
    },
    /// Argon2 has no such parameters.
    #[error("parameters of argon2id: {0}")]
    Cost(argon2::Error),
    /// No memory for Argon2.
    #[error("no memory for argon2id: {0} KiB are needed")]
    Memory(u32),
    /// The passphrase is wrong: its key does not open the ciphertext.
    #[error("wrong passphrase")]
    Passphrase,
    /// The cipher failed, which it does for no input of this length.
    #[error("cannot encrypt the secret key")]
    Cipher,
}

/// Encrypts `secret`, bound to its public key. `salt` and `nonce` are fresh random bytes.
pub(crate) fn seal(
    secret: &[u8; 32],
    public_key: &[u8],
    passphrase: &str,
    cost: Cost,
    salt: [u8; 32],
    nonce: [u8; 24],
) -> Result<Sealed, SealError> {
    let payload = Payload { msg: secret, aad: public_key };
    let ciphertext = cipher(passphrase, cost, &salt)?
        .encrypt(&XNonce::from(nonce), payload)
        .ok()
        .and_then(|ciphertext| ciphertext.try_into().ok())
        .ok_or(SealError::Cipher)?;
    Ok(Sealed::new(cost, salt, nonce, ciphertext))
}

/// Decrypts a secret that was sealed for `public_key`.
pub(crate) fn open(sealed: &Sealed, public_key: &[u8], passphrase: &str) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let payload = Payload { msg: sealed.ciphertext.bytes(), aad: public_key };
    let plain = cipher(passphrase, sealed.cost(), sealed.salt.bytes())?
        .decrypt(&XNonce::from(*sealed.nonce.bytes()), payload)
        .map(Zeroizing::new)
        .map_err(|_| SealError::Passphrase)?;
    let mut secret = Zeroizing::new([0; 32]);
    secret.copy_from_slice(&plain); // 48 bytes of ciphertext are 32 and a tag of 16
    Ok(secret)
}

/// Refuses costs that opening would refuse, without asking for a passphrase.
pub(crate) fn check(sealed: &Sealed) -> Result<(), SealError> {
    sealed.cost().params().map(|_| ())
}

fn cipher(passphrase: &str, cost: Cost, salt: &[u8]) -> Result<XChaCha20Poly1305, SealError> {
    let params = cost.params()?;
    // Asked for politely, where `vec!` would end the program, and wiped afterwards.
    let mut memory = Zeroizing::new(Vec::new());
    memory.try_reserve_exact(params.block_count()).map_err(|_| SealError::Memory(cost.memory_kib))?;
    memory.resize(params.block_count(), Block::new());
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase.as_bytes(), salt, &mut *key, &mut *memory)
        .map_err(SealError::Cost)?;
    Ok(XChaCha20Poly1305::new((&*key).into()))
}

impl Sealed {
    fn cost(&self) -> Cost {
        Cost { memory_kib: self.memory_kib, passes: self.passes, lanes: self.lanes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 32, passes: 1, lanes: 4 };

    fn sealed(cost: Cost) -> Sealed {
        seal(&[7; 32], &[1; 48], "secret", cost, [2; 32], [3; 24]).expect("it can be sealed")
    }

    #[test]
    fn what_was_sealed_opens() {
        assert_eq!(*open(&sealed(CHEAP), &[1; 48], "secret").expect("the right passphrase"), [7; 32]);
    }

    #[test]
    fn nothing_else_opens_it() {
        assert!(matches!(open(&sealed(CHEAP), &[1; 48], "Secret"), Err(SealError::Passphrase)));
        assert!(matches!(open(&sealed(CHEAP), &[0; 48], "secret"), Err(SealError::Passphrase)));
        let salted = Sealed::new(CHEAP, [0; 32], [3; 24], *sealed(CHEAP).ciphertext.bytes());
        assert!(matches!(open(&salted, &[1; 48], "secret"), Err(SealError::Passphrase)));
        let cheaper = Sealed { passes: 2, ..sealed(CHEAP) };
        assert!(matches!(open(&cheaper, &[1; 48], "secret"), Err(SealError::Passphrase)));
    }

    #[test]
    fn a_file_cannot_ask_for_any_cost() {
        for greedy in [
            Sealed { memory_kib: u32::MAX, ..sealed(CHEAP) },
            Sealed { passes: 17, ..sealed(CHEAP) },
            Sealed { lanes: 17, ..sealed(CHEAP) },
        ] {
            assert!(matches!(check(&greedy), Err(SealError::TooCostly { .. })));
            assert!(matches!(open(&greedy, &[1; 48], "secret"), Err(SealError::TooCostly { .. })));
        }
        for empty in [Sealed { memory_kib: 31, ..sealed(CHEAP) }, Sealed { lanes: 0, ..sealed(CHEAP) }] {
            assert!(matches!(check(&empty), Err(SealError::Cost(_))));
        }
    }
}
