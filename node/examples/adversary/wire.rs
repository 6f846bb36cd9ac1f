//! Bytes on a stream, as they are: whoever asks decides what stands there, length and all.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;
use spacetime_node::network::message::MAX_RESPONSE_BYTES;

/// A message as nodes frame it: its length, 4 bytes, little-endian, and the message.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("messages of a test are short");
    [&length.to_le_bytes()[..], message].concat()
}

/// Writes what it is given and reads a frame's message.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawCodec {
    /// Answers are left unread as long as this is set.
    pub(crate) reads_nothing: Arc<AtomicBool>,
}

async fn read<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u64::from(u32::from_le_bytes(length)).min(MAX_RESPONSE_BYTES as u64);
    let mut bytes = Vec::new();
    io.take(length).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

impl Codec for RawCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        if self.reads_nothing.load(Ordering::Relaxed) {
            return futures::future::pending().await;
        }
        read(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }
}
