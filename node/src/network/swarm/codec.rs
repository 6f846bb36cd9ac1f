//! Questions and answers on a stream: a length (4 bytes, little-endian), so many bytes, and the end of the stream.

use std::io;

use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;

use crate::network::message::{MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES};

/// Room that is made at once; more comes as bytes do, so that a length alone costs nothing.
const CHUNK_BYTES: usize = 1 << 16;

/// What stood on a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The bytes of a message, perhaps.
    Bytes(Vec<u8>),
    /// A question, to which an answer has so many bytes at most.
    Question(Vec<u8>, usize),
    /// A length over the bound, or more behind it. libp2p tells nobody of errors while a question is read, and who
    /// sent this has to pay for it, so it is no error.
    Malformed,
}

/// Reads and writes frames. libp2p takes a fresh copy for each question, which it writes and whose answer it reads with it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FrameCodec {
    /// Longest answer, once a question was written.
    answer: usize,
}

/// Reads one frame of at most `limit` bytes. The length is looked at before anything else is read.
async fn read<T: AsyncRead + Unpin + Send>(io: &mut T, limit: usize) -> io::Result<Frame> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_le_bytes(length) as usize;
    if length > limit {
        return Ok(Frame::Malformed);
    }
    let mut bytes = Vec::with_capacity(length.min(CHUNK_BYTES));
    io.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match io.read(&mut [0]).await? {
        0 => Ok(Frame::Bytes(bytes)),
        _ => Ok(Frame::Malformed),
    }
}

/// Writes one frame. What is malformed has nothing to be written.
async fn write<T: AsyncWrite + Unpin + Send>(io: &mut T, frame: Frame) -> io::Result<()> {
    let (Frame::Bytes(bytes) | Frame::Question(bytes, _)) = frame else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    io.write_all(&length.to_le_bytes()).await?;
    io.write_all(&bytes).await
}

impl Codec for FrameCodec {
    type Protocol = StreamProtocol;
    type Request = Frame;
    type Response = Frame;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Frame>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, MAX_REQUEST_BYTES).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Frame>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, self.answer.min(MAX_RESPONSE_BYTES)).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Frame) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        if let Frame::Question(_, answer) = request {
            self.answer = answer;
        }
        write(io, request).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Frame) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, response).await
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;

    use super::*;

    fn read_all(bytes: &[u8], limit: usize) -> io::Result<Frame> {
        block_on(read(&mut Cursor::new(bytes), limit))
    }

    #[test]
    fn what_was_written_is_read() {
        for length in [0, 1, 70_000] {
            let bytes = vec![7; length];
            let mut stream = Cursor::new(Vec::new());
            block_on(write(&mut stream, Frame::Bytes(bytes.clone()))).expect("written");
            assert_eq!(read_all(stream.get_ref(), 70_000).expect("read"), Frame::Bytes(bytes));
        }
        let nothing = block_on(write(&mut Cursor::new(Vec::new()), Frame::Malformed));
        assert_eq!(nothing.expect_err("nothing to write").kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_length_over_the_bound_is_seen_before_anything_is_read() {
        // No byte follows: were it waited for, this would be the end of the stream.
        for length in [11_u32, 1 << 20, u32::MAX] {
            assert_eq!(read_all(&length.to_le_bytes(), 10).expect("answered"), Frame::Malformed);
        }
        assert_eq!(read_all(&[1, 0, 0, 0, 7, 8], 10).expect("answered"), Frame::Malformed, "more behind it");
    }

    #[test]
    fn an_answer_is_as_long_as_its_question_allows() {
        let name = StreamProtocol::new("/x");
        for (length, fits) in [(10, true), (11, false)] {
            let mut codec = FrameCodec::default();
            let question = Frame::Question(vec![1], 10);
            block_on(codec.write_request(&name, &mut Cursor::new(Vec::new()), question)).expect("written");
            let mut stream = Cursor::new(Vec::new());
            block_on(write(&mut stream, Frame::Bytes(vec![7; length]))).expect("written");
            let answer = block_on(codec.read_response(&name, &mut Cursor::new(stream.get_ref()))).expect("read");
            assert_eq!(answer != Frame::Malformed, fits, "{length}");
        }
    }

    #[test]
    fn a_frame_cut_short_is_the_end_of_the_stream() {
        for cut in [&[][..], &[1, 0, 0], &[2, 0, 0, 0, 7]] {
            assert_eq!(read_all(cut, 10).expect_err("cut").kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
