//! Domain-separated hashing (PROTOCOL, notation).

use sha2::{Digest, Sha256};

/// `H_tag(x) = sha256(u8(len(tag)) || tag || x)`, `x` being the `parts` joined.
///
/// # Panics
/// If `tag` is longer than 255 bytes.
#[must_use]
pub fn tagged_hash(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    let length = u8::try_from(tag.len()).expect("a tag is at most 255 bytes long");
    let mut hasher = Sha256::new();
    hasher.update([length]);
    hasher.update(tag);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
