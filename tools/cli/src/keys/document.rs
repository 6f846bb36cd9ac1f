//! The keystore file: one JSON object.
//!
//! ```json
//! {
//!   "format": "spacetime-keystore",
//!   "version": 1,
//!   "public_key": "96 hex digits: BLS12-381 G1, compressed",
//!   "secret": {
//!     "encrypted": {
//!       "kdf": "argon2id", "memory_kib": 65536, "passes": 3, "lanes": 4, "salt": "64 hex digits",
//!       "cipher": "xchacha20poly1305", "nonce": "48 hex digits", "ciphertext": "96 hex digits: secret key and tag"
//!     }
//!   },
//!   "checksum": "64 hex digits"
//! }
//! ```
//!
//! `secret` is `{"plain": "64 hex digits"}` in a keystore made with
//! `--insecure`. The checksum is `H_"spacetime/keystore/v1"` over the other
//! members as compact JSON in the order above; it finds accidents, the cipher's
//! tag finds malice.
//!
//! The keystore of an account's key has the format `spacetime-account`, and 64 hex
//! digits of Ed25519 as its public key.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use spacetime_kernels::tagged_hash;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::args::decode;

/// `format` of a miner's keystore.
pub(crate) const MINER_FORMAT: &str = "spacetime-keystore";
/// `format` of an account's.
#[cfg(feature = "node")]
pub(crate) const ACCOUNT_FORMAT: &str = "spacetime-account";
/// Its `version`.
pub(crate) const VERSION: u32 = 1;
/// A keystore is below a kilobyte; nothing larger is read.
pub(crate) const MAX_BYTES: usize = 16 << 10;

/// Why bytes are no keystore. The file's name is put before it.
#[derive(Debug, Error)]
pub(crate) enum DocumentError {
    /// Larger than any keystore.
    #[error("not a keystore: larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// No JSON, or other members than these.
    #[error("not a keystore")]
    Json(#[from] serde_json::Error),
    /// Another kind of file.
    #[error("format: found \"{found}\", of {}; \"{expected}\" is expected, of {}", whose(found), whose(expected))]
    Format {
        /// That of the kind of key that is wanted.
        expected: &'static str,
        /// The file's.
        found: String,
    },
    /// Made by a later program.
    #[error("version: {0}, this program reads {VERSION}")]
    Version(u32),
    /// Changed by accident.
    #[error("checksum: does not fit the other members, the file is damaged")]
    Checksum,
}

/// Whose keystores have a format.
fn whose(format: &str) -> &'static str {
    match format {
        MINER_FORMAT => "a miner's key",
        #[cfg(feature = "node")]
        ACCOUNT_FORMAT => "an account's key",
        _ => "no key that is known here",
    }
}

/// What every version has; looked at first, so that a later version is called
/// that and not a file with unknown members.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

/// The file as it is, not yet checked beyond form and checksum. Its public key has `N` bytes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document<const N: usize> {
    format: String,
    version: u32,
    pub(crate) public_key: Hex<N>,
    pub(crate) secret: Secret,
    checksum: Hex<32>,
}

/// What the checksum covers.
#[derive(Serialize)]
struct Covered<'a, const N: usize> {
    format: &'a str,
    version: u32,
    public_key: &'a Hex<N>,
    secret: &'a Secret,
}

/// The secret key, in one of two ways.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Secret {
    /// Under a passphrase.
    Encrypted(Sealed),
    /// As it is.
    Plain(Hex<32>),
}

/// An encrypted secret key and what its passphrase's key was derived with.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sealed {
    pub(crate) kdf: Kdf,
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
    pub(crate) salt: Hex<32>,
    pub(crate) cipher: Cipher,
    pub(crate) nonce: Hex<24>,
    pub(crate) ciphertext: Hex<48>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kdf {
    Argon2id,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cipher {
    XChaCha20Poly1305,
}

impl Sealed {
    pub(crate) fn new(cost: super::seal::Cost, salt: [u8; 32], nonce: [u8; 24], ciphertext: [u8; 48]) -> Self {
        let super::seal::Cost { memory_kib, passes, lanes } = cost;
        let (kdf, cipher) = (Kdf::Argon2id, Cipher::XChaCha20Poly1305);
        let (salt, nonce, ciphertext) = (Hex::new(salt), Hex::new(nonce), Hex::new(ciphertext));
        Self { kdf, memory_kib, passes, lanes, salt, cipher, nonce, ciphertext }
    }
}

/// The `format` of a file that is none too long and says what it is; none if it does not.
#[cfg(feature = "node")]
pub(crate) fn format_of(bytes: &[u8]) -> Option<String> {
    let head: Head = Some(bytes).filter(|bytes| bytes.len() <= MAX_BYTES).map(serde_json::from_slice)?.ok()?;
    Some(head.format)
}

impl<const N: usize> Document<N> {
    pub(crate) fn new(format: &str, public_key: [u8; N], secret: Secret) -> Result<Self, DocumentError> {
        let (checksum, public_key) = (Hex::new([0; 32]), Hex::new(public_key));
        let mut document = Self { format: format.to_owned(), version: VERSION, public_key, secret, checksum };
        document.checksum = Hex::new(document.expected_checksum()?);
        Ok(document)
    }

    /// Reads the bytes of a file that should have this format: form, version, checksum.
    ///
    /// # Errors
    /// If any of them is wrong.
    pub(crate) fn decode(format: &'static str, bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() > MAX_BYTES {
            return Err(DocumentError::TooLarge);
        }
        let head: Head = serde_json::from_slice(bytes)?;
        if head.format != format {
            return Err(DocumentError::Format { expected: format, found: head.format });
        }
        if head.version != VERSION {
            return Err(DocumentError::Version(head.version));
        }
        let document: Self = serde_json::from_slice(bytes)?;
        if *document.checksum.bytes() != document.expected_checksum()? {
            return Err(DocumentError::Checksum);
        }
        Ok(document)
    }

    /// The file's bytes, for people too.
    pub(crate) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, DocumentError> {
        // Room for all at once: a buffer that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
        serde_json::to_writer_pretty(&mut *bytes, self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn expected_checksum(&self) -> Result<[u8; 32], DocumentError> {
        let Self { format, version, public_key, secret, .. } = self;
        let mut covered = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
        serde_json::to_writer(&mut *covered, &Covered { format, version: *version, public_key, secret })?;
        Ok(tagged_hash("spacetime/keystore/v1", &[&covered]))
    }
}

/// Bytes written as hex; wiped when dropped, as some are secret.
pub(crate) struct Hex<const N: usize>(Zeroizing<[u8; N]>);

impl<const N: usize> Hex<N> {
    pub(crate) fn new(bytes: [u8; N]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(const_hex::encode(*self.0)))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        decode(&text).map(Self::new).map_err(serde::de::Error::custom)
    }
}
