//! Connections that end in time. libp2p closes a multiplexer with all that is yet to be sent, however long that takes:
//! who does not read would keep its connection, and the places that it takes, for ever.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::TryFutureExt;
use futures::future::MapOk;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use tokio::time::Sleep;

/// What is on its way to a peer that is let go has so long to be read: a last answer is small.
const CLOSE: Duration = Duration::from_secs(5);

/// A way to multiplex, of connections that end in time.
#[derive(Clone, Debug)]
pub(super) struct Ending<U>(pub(super) U);

impl<U: UpgradeInfo> UpgradeInfo for Ending<U> {
    type Info = U::Info;
    type InfoIter = U::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

impl<C, U: InboundConnectionUpgrade<C>> InboundConnectionUpgrade<C> for Ending<U> {
    type Output = Muxer<U::Output>;
    type Error = U::Error;
    type Future = MapOk<U::Future, fn(U::Output) -> Muxer<U::Output>>;

    fn upgrade_inbound(self, socket: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_inbound(socket, info).map_ok(Muxer::new)
    }
}

impl<C, U: OutboundConnectionUpgrade<C>> OutboundConnectionUpgrade<C> for Ending<U> {
    type Output = Muxer<U::Output>;
    type Error = U::Error;
    type Future = MapOk<U::Future, fn(U::Output) -> Muxer<U::Output>>;

    fn upgrade_outbound(self, socket: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_outbound(socket, info).map_ok(Muxer::new)
    }
}

/// A multiplexer that is closed [`CLOSE`] after it began to be, at the latest.
#[derive(Debug)]
pub(super) struct Muxer<M> {
    inner: M,
    /// Runs since the close began.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<M> Muxer<M> {
    fn new(inner: M) -> Self {
        Self { inner, patience: None }
    }
}

impl<M: StreamMuxer + Unpin> StreamMuxer for Muxer<M> {
    type Substream = M::Substream;
    type Error = M::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        Pin::new(&mut self.inner).poll_inbound(cx)
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        Pin::new(&mut self.inner).poll_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if let Poll::Ready(closed) = Pin::new(&mut self.inner).poll_close(cx) {
            return Poll::Ready(closed);
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE)));
        patience.as_mut().poll(cx).map(Ok)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}
