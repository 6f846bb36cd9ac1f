//! The random numbers of a batch, from a seed that is handed in.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use spacetime_kernels::tagged_hash;

/// SHA-256 in counter mode: block `i` is `H_tag(seed || le64(i))`. As hard to foresee as its seed.
pub(super) struct Generator {
    seed: [u8; 32],
    next_block: u64,
    block: [u8; 32],
    /// Bytes of `block` that were given out.
    used: usize,
}

impl Generator {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        Self { seed: *seed, next_block: 0, block: [0; 32], used: 32 }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    fn fill(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            if self.used == self.block.len() {
                self.block = tagged_hash("spacetime/ed25519-batch/v1", &[&self.seed, &self.next_block.to_le_bytes()]);
                self.next_block += 1;
                self.used = 0;
            }
            let left = &self.block[self.used..];
            let (now, later) = out.split_at_mut(left.len().min(out.len()));
            now.copy_from_slice(&left[..now.len()]);
            self.used += now.len();
            out = later;
        }
    }
}

impl TryRng for Generator {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Generator {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_same_however_it_is_cut() {
        let whole: [u8; 200] = Generator::new(&[1; 32]).array();
        for cut in [1, 7, 31, 32, 33, 64, 199] {
            let mut generator = Generator::new(&[1; 32]);
            let mut parts = vec![0; 200];
            for part in parts.chunks_mut(cut) {
                generator.try_fill_bytes(part).expect("infallible");
            }
            assert_eq!(parts, whole, "cut at {cut}");
        }
        assert_eq!(whole[32..64], tagged_hash("spacetime/ed25519-batch/v1", &[&[1; 32], &1u64.to_le_bytes()]));
        assert_ne!(whole, Generator::new(&[2; 32]).array::<200>(), "another seed");
    }
}
