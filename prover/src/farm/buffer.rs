//! Memory that direct reads take.

use crate::platform::DIRECT_ALIGNMENT;

/// Bytes that begin on a page.
#[derive(Debug)]
pub struct Buffer {
    /// Never grows, so never moves.
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Buffer {
    /// `len` bytes, all zero.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let bytes = vec![0; len + DIRECT_ALIGNMENT];
        let start = bytes.as_ptr().addr().wrapping_neg() % DIRECT_ALIGNMENT;
        Self { bytes, start, len }
    }

    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..][..self.len]
    }

    /// All of them, to be filled.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_on_a_page() {
        for len in [1, 4096, 4097, 1 << 20] {
            let mut buffer = Buffer::new(len);
            assert_eq!(buffer.as_slice().as_ptr().addr() % DIRECT_ALIGNMENT, 0);
            assert_eq!((buffer.as_slice().len(), buffer.as_mut_slice().len()), (len, len));
        }
    }
}
