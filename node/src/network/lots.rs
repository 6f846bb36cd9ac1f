//! Chance that others cannot foresee.

use sha2::{Digest, Sha256};

/// Numbers drawn by SHA-256 from a seed: the same every time for the same seed, and whoever sees some of them does not
/// know the next, so that nobody can arrange for which peer is chosen.
#[derive(Clone, Debug)]
pub struct Lots {
    seed: [u8; 32],
    drawn: u64,
}

impl Lots {
    /// The lots of a seed.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed, drawn: 0 }
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.drawn += 1;
        let hash = Sha256::new().chain_update(self.seed).chain_update(self.drawn.to_le_bytes()).finalize();
        u64::from_le_bytes(std::array::from_fn(|i| hash[i]))
    }

    /// A number below `limit`; 0 if that is 0. Limits are small, so that the remainder favours nobody.
    pub fn below(&mut self, limit: usize) -> usize {
        self.number().checked_rem(limit as u64).unwrap_or(0) as usize
    }

    /// A time around `ms`: from three quarters to five quarters of it.
    pub fn about(&mut self, ms: u64) -> u64 {
        ms - ms / 4 + self.number() % (ms / 2 + 1)
    }

    /// `items` in another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
