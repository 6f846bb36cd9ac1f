//! Keystores on disk.

use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use blst::min_pk::SecretKey;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

#[cfg(feature = "node")]
use super::document::format_of;
use super::document::{Document, Hex, MAX_BYTES, MINER_FORMAT, Secret};
use super::passphrase::Passphrase;
use super::seal::{self, Cost, SealError};
use crate::args::MinerKey;
use crate::{Failure, FailureExt};

/// A kind of key; its public keys have `N` bytes.
pub(crate) trait Kind<const N: usize> {
    /// A secret key.
    type Secret;
    /// A public key.
    type Public: Copy + Display;
    /// `format` of its keystores.
    const FORMAT: &'static str;

    /// The public key of these bytes, if they are one.
    fn public(bytes: [u8; N]) -> Result<Self::Public, String>;
    /// The secret key of these bytes, if they are one.
    fn secret(bytes: &[u8; 32]) -> Result<Self::Secret, String>;
    /// A secret key's bytes.
    fn secret_bytes(secret: &Self::Secret) -> Zeroizing<[u8; 32]>;
    /// The bytes of a secret key's public one.
    fn public_bytes(secret: &Self::Secret) -> [u8; N];
}

/// Keys of miners: BLS12-381, public keys in G1 (PROTOCOL §6).
#[derive(Debug)]
pub enum Miner {}

impl Kind<48> for Miner {
    type Secret = SecretKey;
    type Public = MinerKey;
    const FORMAT: &'static str = MINER_FORMAT;

    fn public(bytes: [u8; 48]) -> Result<MinerKey, String> {
        MinerKey::new(bytes)
    }

    fn secret(bytes: &[u8; 32]) -> Result<SecretKey, String> {
        SecretKey::from_bytes(bytes).map_err(|_| "zero, or not below the group order of BLS12-381".to_owned())
    }

    fn secret_bytes(secret: &SecretKey) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(secret.to_bytes())
    }

    fn public_bytes(secret: &SecretKey) -> [u8; 48] {
        secret.sk_to_pk().to_bytes()
    }
}

/// A keystore whose form, checksum and public key were checked; without a word more, a miner's.
#[allow(private_bounds)] // a kind of key is nothing that others add to
pub struct Keystore<K: Kind<N> = Miner, const N: usize = 48> {
    path: PathBuf,
    document: Document<N>,
    public_key: K::Public,
}

/// The public key in a miner's keystore, without its passphrase.
///
/// # Errors
/// Code 1 if the file cannot be read, 3 if it is no keystore or damaged.
pub fn public_key(path: &Path) -> Result<[u8; 48], Failure> {
    Ok(read(path)?.public_key().bytes())
}

/// Reads a miner's keystore and checks all that can be checked without its passphrase.
///
/// # Errors
/// Code 1 if the file cannot be read, 3 if it is no keystore or damaged.
pub fn read(path: &Path) -> Result<Keystore, Failure> {
    read_kind(path)
}

/// As [`read`], of any kind.
pub(crate) fn read_kind<K: Kind<N>, const N: usize>(path: &Path) -> Result<Keystore<K, N>, Failure> {
    let shown = path.display();
    let bytes = read_bytes(path)?;
    let document = Document::decode(K::FORMAT, &bytes).with_context(|| shown.to_string()).or_damaged()?;
    let public_key = K::public(*document.public_key.bytes())
        .map_err(|error| Failure::damaged(format!("{shown}: public_key: {error}")))?;
    if let Secret::Encrypted(sealed) = &document.secret {
        seal::check(sealed).with_context(|| shown.to_string()).or_damaged()?;
    }
    Ok(Keystore { path: path.to_owned(), document, public_key })
}

/// Whether a file says that it is a keystore of this kind.
#[cfg(feature = "node")]
pub(crate) fn is_kind<K: Kind<N>, const N: usize>(path: &Path) -> Result<bool, Failure> {
    Ok(format_of(&read_bytes(path)?).is_some_and(|format| format == K::FORMAT))
}

fn read_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let shown = path.display();
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
    // One byte above the limit is enough to see that there are too many.
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {shown}"))?;
    Ok(bytes)
}

#[allow(private_bounds)] // as above
impl<K: Kind<N>, const N: usize> Keystore<K, N> {
    /// The public key in it.
    #[must_use]
    pub(crate) fn public_key(&self) -> K::Public {
        self.public_key
    }

    /// Whether a passphrase protects it.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self.document.secret, Secret::Encrypted(_))
    }

    /// The secret key, checked against the public one. Asks for a passphrase
    /// only if there is need.
    pub(crate) fn open(&self, ask: impl FnOnce() -> Result<Passphrase, Failure>) -> Result<K::Secret, Failure> {
        let shown = self.path.display();
        let bytes = match &self.document.secret {
            Secret::Plain(secret) => Zeroizing::new(*secret.bytes()),
            Secret::Encrypted(sealed) => {
                seal::open(sealed, self.document.public_key.bytes(), &ask()?).map_err(|error| match error {
                    // The checksum held, so it is the passphrase and not the file.
                    SealError::Passphrase | SealError::Memory(_) => Failure::failed(format!("{shown}: {error}")),
                    _ => Failure::damaged(format!("{shown}: {error}")),
                })?
            }
        };
        let secret = K::secret(&bytes).map_err(|error| Failure::damaged(format!("{shown}: secret key: {error}")))?;
        if K::public_bytes(&secret) != *self.document.public_key.bytes() {
            return Err(Failure::damaged(format!("{shown}: public_key: not the secret key's")));
        }
        Ok(secret)
    }
}

/// Refuses to go on if `path` exists, unless `force`. Asked before a
/// passphrase is; [`write`] holds to it whatever happens in between.
pub(crate) fn check_free(path: &Path, force: bool) -> Result<(), Failure> {
    let taken = path.symlink_metadata().is_ok();
    if taken && !force { Err(exists(path)) } else { Ok(()) }
}

/// Writes a keystore, readable by its owner alone: whole, or not at all.
pub(crate) fn write<K: Kind<N>, const N: usize>(
    path: &Path,
    secret: &K::Secret,
    passphrase: Option<&Passphrase>,
    force: bool,
) -> Result<K::Public, Failure> {
    let (public_key, bytes) = (K::public_bytes(secret), K::secret_bytes(secret));
    let secret = match passphrase {
        None => Secret::Plain(Hex::new(*bytes)),
        Some(passphrase) => {
            let (mut salt, mut nonce) = ([0; 32], [0; 24]);
            getrandom::fill(&mut salt).and_then(|()| getrandom::fill(&mut nonce)).context("no random bytes")?;
            Secret::Encrypted(seal::seal(&bytes, &public_key, passphrase, Cost::RECOMMENDED, salt, nonce)?)
        }
    };
    save(path, &Document::new(K::FORMAT, public_key, secret)?.encode()?, force)?;
    K::public(public_key).map_err(Failure::failed)
}
fn save(path: &Path, bytes: &[u8], force: bool) -> Result<(), Failure> {
    let cannot_write = || format!("cannot write {}", path.display());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Made with mode 0600, beside the target, and removed again if anything fails.
    let mut file = NamedTempFile::new_in(folder).with_context(cannot_write)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).with_context(cannot_write)?;
    if force {
        file.persist(path).map_err(|failed| failed.error).with_context(cannot_write)?;
    } else {
        file.persist_noclobber(path).map_err(|failed| match failed.error.kind() {
            ErrorKind::AlreadyExists => exists(path),
            _ => Failure::from(anyhow::Error::new(failed.error).context(cannot_write())),
        })?;
    }
    // The new name has to reach the disk too.
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(cannot_write)?;
    Ok(())
}

fn exists(path: &Path) -> Failure {
    Failure::failed(format!("{} exists already; --force replaces it and the key in it", path.display()))
}
