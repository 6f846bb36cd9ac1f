//! Reading an archive, of which nothing is believed.

use std::io::{ErrorKind, Read};

use sha2::{Digest, Sha256};

use super::{ArchiveError, ArchiveHead, CHECKSUM_BYTES, Checksum, HEAD_BYTES, MAGIC, VERSION, max_block_bytes};
use crate::chain::{Block, BlockId, Height, decode};
use crate::consensus::Parameters;

/// An archive's blocks, in the order of the file. After an error there are no more.
#[derive(Debug)]
pub struct ArchiveReader<R> {
    input: Input<R>,
    head: ArchiveHead,
    max_block_bytes: u64,
    checksum: Checksum,
    ended: bool,
}

/// The file, and how far it was read.
#[derive(Debug)]
struct Input<R> {
    reader: R,
    name: String,
    offset: u64,
    /// Blocks that were read whole.
    blocks: u64,
}

impl<R: Read> Input<R> {
    /// Reads all of `bytes`, which are part of `field`.
    fn fill(&mut self, bytes: &mut [u8], field: &'static str) -> Result<(), ArchiveError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.reader.read(&mut bytes[filled..]) {
                Ok(0) => {
                    let offset = self.offset;
                    return Err(ArchiveError::Truncated { name: self.name.clone(), offset, field, block: self.blocks });
                }
                Ok(read) => {
                    filled += read;
                    self.offset += read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.io(source)),
            }
        }
        Ok(())
    }

    fn io(&self, source: std::io::Error) -> ArchiveError {
        ArchiveError::Io { name: self.name.clone(), offset: self.offset, source }
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], ArchiveError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, field)?;
        Ok(bytes)
    }

    /// Says that `field`, whose last byte is `behind` bytes back, is damaged.
    fn damaged(&self, field: &'static str, behind: usize, reason: impl ToString) -> ArchiveError {
        ArchiveError::Damaged {
            name: self.name.clone(),
            offset: self.offset - behind as u64,
            field,
            block: self.blocks,
            reason: reason.to_string(),
        }
    }

    fn expect_checksum(&mut self, expected: &Checksum) -> Result<(), ArchiveError> {
        let found: Checksum = self.array("checksum")?;
        if found == *expected {
            return Ok(());
        }
        let [found, expected] = [found, *expected].map(const_hex::encode);
        Err(self.damaged(
            "checksum",
            CHECKSUM_BYTES,
            format_args!("it is {found}, the bytes before it have {expected}"),
        ))
    }
}

impl<R: Read> ArchiveReader<R> {
    /// Reads the head. `name` is what errors call the file; `genesis` is the block that its chain must begin with.
    ///
    /// # Errors
    /// If it is no archive of that chain that this program knows.
    pub fn open(
        reader: R,
        name: impl Into<String>,
        genesis: &BlockId,
        parameters: &Parameters,
    ) -> Result<Self, ArchiveError> {
        let mut input = Input { reader, name: name.into(), offset: 0, blocks: 0 };
        let bytes: [u8; HEAD_BYTES] = input.array("head before the first")?;
        let (magic, rest) = bytes.split_first_chunk::<8>().expect("64 bytes");
        if *magic != MAGIC {
            return Err(ArchiveError::Magic { name: input.name, found: *magic });
        }
        let (version, rest) = rest.split_first_chunk::<4>().expect("56 bytes");
        let version = u32::from_le_bytes(*version);
        if version > VERSION {
            return Err(ArchiveError::Newer { name: input.name, found: version });
        }
        let checksum: Checksum = Sha256::digest(bytes).into();
        input.expect_checksum(&checksum)?;
        let (zero, rest) = rest.split_first_chunk::<4>().expect("52 bytes");
        let (found, rest) = rest.split_first_chunk::<32>().expect("48 bytes");
        let (first, last) = rest.split_at(8);
        let number = |bytes: &[u8]| Height(u64::from_le_bytes(bytes.try_into().expect("8 of 16 bytes")));
        let head = ArchiveHead { genesis: BlockId(*found), first: number(first), last: number(last) };
        if version != VERSION || *zero != [0; 4] || head.first > head.last {
            let reason = "its version is 0, its heights descend, or unused bytes are set";
            return Err(input.damaged("head before the first", HEAD_BYTES + CHECKSUM_BYTES, reason));
        }
        if head.genesis != *genesis {
            return Err(ArchiveError::OtherChain { name: input.name, found: head.genesis, expected: *genesis });
        }
        Ok(Self { input, head, max_block_bytes: max_block_bytes(parameters), checksum, ended: false })
    }

    /// What it says of itself.
    #[must_use]
    pub const fn head(&self) -> &ArchiveHead {
        &self.head
    }

    /// Blocks that were read whole so far.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.input.blocks
    }

    /// The next block; nothing at the end, where the number of blocks was seen to be right.
    fn read_block(&mut self) -> Result<Option<Block>, ArchiveError> {
        let length = self.input.array::<4>("length")?;
        let bytes = u32::from_le_bytes(length);
        if bytes == 0 {
            return self.read_end().map(|()| None);
        }
        if u64::from(bytes) > self.max_block_bytes {
            let reason = format_args!("it is {bytes}, at most {} are allowed", self.max_block_bytes).to_string();
            return Err(self.input.damaged("length", 4, reason));
        }
        let mut block = vec![0; bytes as usize];
        self.input.fill(&mut block, "bytes")?;
        let digest = Sha256::new().chain_update(self.checksum).chain_update(length).chain_update(&block);
        self.checksum = digest.finalize().into();
        self.input.expect_checksum(&self.checksum)?;
        let behind = block.len() + CHECKSUM_BYTES;
        let decoded: Block =
            decode("block", &block, block.len()).map_err(|error| self.input.damaged("bytes", behind, error))?;
        let (height, ArchiveHead { first, last, .. }) = (decoded.header.height, self.head);
        if !(first..=last).contains(&height) {
            let reason = format_args!("its height is {height}, the archive's are {first} to {last}").to_string();
            return Err(self.input.damaged("bytes", behind, reason));
        }
        self.input.blocks += 1;
        Ok(Some(decoded))
    }

    fn read_end(&mut self) -> Result<(), ArchiveError> {
        let count: [u8; 8] = self.input.array("count behind the last")?;
        let digest = Sha256::new().chain_update(self.checksum).chain_update([0; 4]).chain_update(count);
        self.input.expect_checksum(&digest.finalize().into())?;
        let (found, counted) = (self.input.blocks, u64::from_le_bytes(count));
        if found != counted {
            let reason = format_args!("it is {counted}, {found} blocks are there").to_string();
            return Err(self.input.damaged("count behind the last", 8 + CHECKSUM_BYTES, reason));
        }
        let mut more = [0];
        loop {
            match self.input.reader.read(&mut more) {
                Ok(0) => return Ok(()),
                Ok(_) => return Err(self.input.damaged("end", 0, "bytes follow the last checksum")),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.input.io(source)),
            }
        }
    }
}

impl<R: Read> Iterator for ArchiveReader<R> {
    type Item = Result<Block, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read_block().transpose();
        self.ended = !matches!(read, Some(Ok(_)));
        read
    }
}
