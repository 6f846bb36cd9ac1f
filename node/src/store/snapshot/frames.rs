//! Frames of whole items, each under a checksum over all before it.

use std::io::{self, ErrorKind, Read, Write};

use sha2::{Digest, Sha256};

use super::{
    CHECKSUM_BYTES, Checksum, FRAME_BYTES, HEAD_BYTES, MAGIC, MAX_FRAME_BYTES, SnapshotError, SnapshotHead, VERSION,
};
use crate::chain::{BlockId, Height};
use crate::consensus::Checkpoint;

fn after(before: &Checksum, length: [u8; 4], items: &[u8]) -> Checksum {
    Sha256::new().chain_update(before).chain_update(length).chain_update(items).finalize().into()
}

/// A snapshot on its way out.
pub(super) struct FrameWriter<W> {
    writer: W,
    checksum: Checksum,
    frame: Vec<u8>,
}

impl<W: Write> FrameWriter<W> {
    pub(super) fn begin(mut writer: W, head: &SnapshotHead) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(head.genesis.0);
        bytes.extend(head.block.height.0.to_le_bytes());
        bytes.extend(head.block.id.0);
        bytes.extend(head.values.to_le_bytes());
        let checksum: Checksum = Sha256::digest(&bytes).into();
        writer.write_all(&bytes)?;
        writer.write_all(&checksum)?;
        Ok(Self { writer, checksum, frame: Vec::with_capacity(MAX_FRAME_BYTES) })
    }

    /// Adds an item, which `write` appends.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        write(&mut self.frame);
        if self.frame.len() < FRAME_BYTES { Ok(()) } else { self.end_frame() }
    }

    /// Ends the frame, if there is anything in it.
    pub(super) fn end_frame(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let length = u32::try_from(self.frame.len()).map_err(io::Error::other)?.to_le_bytes();
        self.checksum = after(&self.checksum, length, &self.frame);
        self.writer.write_all(&length)?;
        self.writer.write_all(&self.frame)?;
        self.writer.write_all(&self.checksum)?;
        self.frame.clear();
        Ok(())
    }

    /// Writes the end, and flushes.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.end_frame()?;
        self.writer.write_all(&[0; 4])?;
        self.writer.write_all(&after(&self.checksum, [0; 4], &[]))?;
        self.writer.flush()
    }
}

/// A snapshot on its way in.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    reader: R,
    pub(super) name: String,
    offset: u64,
    checksum: Checksum,
    /// Where the frame begins whose items are read.
    pub(super) frame_offset: u64,
}

impl<R: Read> FrameReader<R> {
    /// Reads the head.
    pub(super) fn open(reader: R, name: String) -> Result<(Self, SnapshotHead), SnapshotError> {
        let mut input = Self { reader, name, offset: 0, checksum: [0; CHECKSUM_BYTES], frame_offset: 0 };
        let bytes: [u8; HEAD_BYTES] = input.array("head")?;
        let (magic, rest) = bytes.split_first_chunk::<8>().expect("96 bytes");
        if *magic != MAGIC {
            return Err(SnapshotError::Magic { name: input.name, found: *magic });
        }
        let (version, rest) = rest.split_first_chunk::<4>().expect("88 bytes");
        let version = u32::from_le_bytes(*version);
        if version > VERSION {
            return Err(SnapshotError::Newer { name: input.name, found: version });
        }
        input.checksum = Sha256::digest(bytes).into();
        input.expect_checksum("head's checksum")?;
        let (zero, rest) = rest.split_first_chunk::<4>().expect("84 bytes");
        let (genesis, rest) = rest.split_first_chunk::<32>().expect("80 bytes");
        let (height, rest) = rest.split_first_chunk::<8>().expect("48 bytes");
        let (id, values) = rest.split_first_chunk::<32>().expect("40 bytes");
        let height = Height(u64::from_le_bytes(*height));
        if version != VERSION || *zero != [0; 4] || height == Height(0) {
            let reason = "its version or height is 0, or unused bytes are set".to_owned();
            return Err(SnapshotError::Damaged { name: input.name, offset: 0, field: "head", reason });
        }
        let values = u64::from_le_bytes(values.try_into().expect("8 bytes"));
        let block = Checkpoint { height, id: BlockId(*id) };
        Ok((input, SnapshotHead { genesis: BlockId(*genesis), block, values }))
    }

    /// The items of the next frame; nothing at the end, behind which nothing follows.
    pub(super) fn frame(&mut self) -> Result<Option<Vec<u8>>, SnapshotError> {
        self.frame_offset = self.offset;
        let length: [u8; 4] = self.array("length of a frame")?;
        let bytes = u32::from_le_bytes(length) as usize;
        if bytes > MAX_FRAME_BYTES {
            let reason = format!("it is {bytes}, at most {MAX_FRAME_BYTES} are allowed");
            return Err(self.damaged("length of a frame", reason));
        }
        let mut items = vec![0; bytes];
        self.fill(&mut items, "items of a frame")?;
        self.checksum = after(&self.checksum, length, &items);
        self.expect_checksum("checksum of a frame")?;
        if bytes > 0 {
            return Ok(Some(items));
        }
        let mut more = [0];
        loop {
            match self.reader.read(&mut more) {
                Ok(0) => return Ok(None),
                Ok(_) => return Err(self.damaged("end", "bytes follow the last checksum".to_owned())),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.failed(source)),
            }
        }
    }

    /// Says that something in the frame that was read last is damaged.
    pub(super) fn damaged(&self, field: &'static str, reason: String) -> SnapshotError {
        SnapshotError::Damaged { name: self.name.clone(), offset: self.frame_offset, field, reason }
    }

    fn failed(&self, source: io::Error) -> SnapshotError {
        SnapshotError::Read { name: self.name.clone(), offset: self.offset, source }
    }

    fn fill(&mut self, bytes: &mut [u8], field: &'static str) -> Result<(), SnapshotError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.reader.read(&mut bytes[filled..]) {
                Ok(0) => {
                    return Err(SnapshotError::Truncated { name: self.name.clone(), offset: self.offset, field });
                }
                Ok(read) => {
                    filled += read;
                    self.offset += read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.failed(source)),
            }
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, field)?;
        Ok(bytes)
    }

    fn expect_checksum(&mut self, field: &'static str) -> Result<(), SnapshotError> {
        let found: Checksum = self.array(field)?;
        if found == self.checksum {
            return Ok(());
        }
        let [found, expected] = [found, self.checksum].map(const_hex::encode);
        let offset = self.offset - CHECKSUM_BYTES as u64;
        let reason = format!("it is {found}, the bytes before it have {expected}");
        Err(SnapshotError::Damaged { name: self.name.clone(), offset, field, reason })
    }
}
