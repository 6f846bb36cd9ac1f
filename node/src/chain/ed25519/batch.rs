//! Many signatures checked as one equation.

use ed25519_zebra::Signature;
use ed25519_zebra::batch::{Item, Verifier};

use super::generator::Generator;
use crate::chain::types::{AccountKey, AccountSignature};

/// Signatures to be verified together, with random 128-bit scalars. Signatures of one key
/// share work. Everything happens on the calling thread; with several, cut the work into
/// batches, best of 64 signatures or more.
#[derive(Debug, Default)]
pub struct Batch {
    items: Vec<Item>,
}

impl Batch {
    /// A batch of nothing, which verifies.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a signature. Its place is the number of those before it. The message is hashed now.
    pub fn push(&mut self, key: &AccountKey, message: &[u8], signature: &AccountSignature) {
        self.items.push((key.0.into(), Signature::from_bytes(&signature.0), message).into());
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

    /// Whether every signature verifies, as [`super::verify`] would find.
    ///
    /// `seed` is 32 random bytes, new for each batch and unknown to whoever sent the signatures.
    #[must_use]
    pub fn verify(&self, seed: &[u8; 32]) -> bool {
        let mut verifier = Verifier::new();
        for item in &self.items {
            verifier.queue(item.clone());
        }
        verifier.verify(Generator::new(seed)).is_ok()
    }

    /// The places of all signatures that [`super::verify`] would refuse, in order; none for a good
    /// batch, at the price of [`Batch::verify`]. `seed` as there.
    #[must_use]
    pub fn find_invalid(&self, seed: &[u8; 32]) -> Vec<usize> {
        if self.verify(seed) {
            return Vec::new();
        }
        let bad = |(place, item): (usize, &Item)| item.clone().verify_single().is_err().then_some(place);
        self.items.iter().enumerate().filter_map(bad).collect()
    }
}
