//! Many signatures checked as one equation.

use blst::{BLST_ERROR, Pairing};
use spacetime_kernels::tagged_hash;

use super::{MinerSignature, PublicKey, SIGNATURE_DST, Signature, verify};

/// Bits of the random scalars: a wrong batch passes once in 2^64 tries, each of which
/// costs whoever tries a message.
const SCALAR_BITS: usize = 64;

/// Signatures to be verified together: `∏ e(r·key, H(message)) = e(g1, Σ r·signature)` with a
/// random `r` for each. Without the scalars, wrong signatures whose errors cancel would pass.
///
/// Everything happens on the calling thread; with several, cut the work into batches, best of
/// 64 signatures or more. A header brings two of the same key, its signature and its reveal.
#[derive(Debug, Default)]
pub struct Batch {
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    key: PublicKey,
    message: Vec<u8>,
    signature: MinerSignature,
}

impl Batch {
    /// A batch of nothing, which verifies.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a signature. Its place is the number of those before it.
    pub fn push(&mut self, key: PublicKey, message: Vec<u8>, signature: MinerSignature) {
        self.items.push(Item { key, message, signature });
    }

    /// How many signatures there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether every signature verifies, as [`verify`] would find.
    ///
    /// `seed` is 32 random bytes, new for each batch and unknown to whoever sent the signatures.
    #[must_use]
    pub fn verify(&self, seed: &[u8; 32]) -> bool {
        self.holds(|place| scalar(seed, place))
    }

    /// The places of all signatures that [`verify`] refuses, in order. A good batch costs what
    /// [`Batch::verify`] does, a bad one every single verification besides: to search by cutting
    /// the batch in halves costs as much with one bad signature, and twice as much with many.
    /// `seed` as there.
    #[must_use]
    pub fn find_invalid(&self, seed: &[u8; 32]) -> Vec<usize> {
        if self.verify(seed) {
            return Vec::new();
        }
        let bad =
            |(place, item): (usize, &Item)| verify(&item.key, &item.message, &item.signature).is_err().then_some(place);
        self.items.iter().enumerate().filter_map(bad).collect()
    }

    /// Whether all signatures are well formed and the equation holds with the scalar for each place.
    pub(super) fn holds(&self, scalar: impl Fn(usize) -> [u8; SCALAR_BITS / 8]) -> bool {
        if self.items.is_empty() {
            return true;
        }
        let mut pairing = Pairing::new(true, SIGNATURE_DST);
        for (place, Item { key, message, signature }) in self.items.iter().enumerate() {
            let Ok(signature) = Signature::parse(signature) else { return false };
            let (key, scalar) = (key.point(), scalar(place));
            // Both points were checked when they were parsed.
            let added =
                pairing.mul_n_aggregate(key, false, signature.point(), false, &scalar, SCALAR_BITS, message, &[]);
            if added != BLST_ERROR::BLST_SUCCESS {
                return false;
            }
        }
        pairing.commit();
        pairing.finalverify(None)
    }
}

/// The scalar for the signature at `place`, little-endian, never zero.
fn scalar(seed: &[u8; 32], place: usize) -> [u8; SCALAR_BITS / 8] {
    let hash = tagged_hash("spacetime/bls-batch/v1", &[seed, &(place as u64).to_le_bytes()]);
    let (low, _) = hash.split_first_chunk::<{ SCALAR_BITS / 8 }>().expect("a hash is longer");
    u64::from_le_bytes(*low).max(1).to_le_bytes()
}
