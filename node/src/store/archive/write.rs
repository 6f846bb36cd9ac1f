//! Writing an archive.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::{ArchiveHead, Checksum, HEAD_BYTES, MAGIC, VERSION};
use crate::chain::{Block, encode};

/// An archive on its way out. Without [`ArchiveWriter::finish`] it has no end, and reads as one that was cut off.
#[derive(Debug)]
pub struct ArchiveWriter<W> {
    writer: W,
    checksum: Checksum,
    blocks: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// Writes the head.
    ///
    /// # Errors
    /// If `writer` does not take it.
    pub fn begin(writer: W, head: &ArchiveHead) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(head.genesis.0);
        bytes.extend(head.first.0.to_le_bytes());
        bytes.extend(head.last.0.to_le_bytes());
        let mut archive = Self { writer, checksum: Sha256::digest(&bytes).into(), blocks: 0 };
        archive.writer.write_all(&bytes)?;
        archive.writer.write_all(&archive.checksum)?;
        Ok(archive)
    }

    /// Adds a block.
    ///
    /// # Errors
    /// If the writer does not take it.
    pub fn add(&mut self, block: &Block) -> io::Result<()> {
        let block = encode(block);
        let length = u32::try_from(block.len()).map_err(io::Error::other)?;
        self.blocks += 1;
        self.put(&length.to_le_bytes(), &block)
    }

    /// Writes the end, and returns the writer. Nothing is flushed.
    ///
    /// # Errors
    /// If the writer does not take it.
    pub fn finish(mut self) -> io::Result<W> {
        let blocks = self.blocks.to_le_bytes();
        self.put(&[0; 4], &blocks)?;
        Ok(self.writer)
    }

    fn put(&mut self, length: &[u8; 4], bytes: &[u8]) -> io::Result<()> {
        let digest = Sha256::new().chain_update(self.checksum).chain_update(length).chain_update(bytes);
        self.checksum = digest.finalize().into();
        self.writer.write_all(length)?;
        self.writer.write_all(bytes)?;
        self.writer.write_all(&self.checksum)
    }
}
