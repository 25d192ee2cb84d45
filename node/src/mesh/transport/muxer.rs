//! yamux with bounds of our own: few streams, small windows.
//!
//! The stock wrapper sets neither the window of a connection nor the number of streams that it
//! keeps waiting, so this is one of ours over the same `yamux` crate.
//!
//! Invariant: one connection keeps at most [`STREAMS_PER_PEER`] streams and
//! [`CONNECTION_WINDOW_BYTES`] of data that nobody has read yet.

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};

/// Streams of one connection, of both directions together. Kademlia alone may open 32; who goes
/// beyond this loses the connection.
pub const STREAMS_PER_PEER: usize = 64;
/// Unread bytes of one connection, over all its streams.
pub const CONNECTION_WINDOW_BYTES: usize = 32 * 1024 * 1024;
/// Streams opened by the peer that nobody has taken up yet.
const WAITING_STREAMS: usize = STREAMS_PER_PEER;
/// What yamux gives each stream to begin with.
const STREAM_WINDOW_BYTES: usize = 256 * 1024;

// yamux panics when this does not hold.
const _: () = assert!(STREAMS_PER_PEER * STREAM_WINDOW_BYTES <= CONNECTION_WINDOW_BYTES);

/// The upgrade.
#[derive(Debug, Clone, Copy, Default)]
pub struct Config;

impl Config {
    fn open<C>(self, socket: C, mode: yamux::Mode) -> Muxer<C>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let mut config = yamux::Config::default();
        // Streams first: the check of the window looks at them.
        config.set_max_num_streams(STREAMS_PER_PEER);
        config.set_max_connection_receive_window(Some(CONNECTION_WINDOW_BYTES));
        Muxer {
            connection: yamux::Connection::new(socket, config, mode),
            waiting: VecDeque::new(),
            wake: None,
        }
    }
}

impl UpgradeInfo for Config {
    type Info = &'static str;
    type InfoIter = std::iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/yamux/1.0.0")
    }
}

impl<C> InboundConnectionUpgrade<C> for Config
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.open(socket, yamux::Mode::Server)))
    }
}

impl<C> OutboundConnectionUpgrade<C> for Config
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.open(socket, yamux::Mode::Client)))
    }
}

/// A multiplexed connection.
pub struct Muxer<C> {
    connection: yamux::Connection<C>,
    /// yamux makes progress only while it is asked for the next stream of the peer's; those that
    /// come while somebody else drives it wait here.
    waiting: VecDeque<yamux::Stream>,
    wake: Option<Waker>,
}

impl<C> Muxer<C>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<yamux::Stream, yamux::ConnectionError>> {
        self.connection
            .poll_next_inbound(context)
            .map(|next| next.unwrap_or(Err(yamux::ConnectionError::Closed)))
    }
}

impl<C> StreamMuxer for Muxer<C>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    type Substream = yamux::Stream;
    type Error = yamux::ConnectionError;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        if let Some(stream) = self.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        if let Poll::Ready(next) = self.poll_next(context) {
            return Poll::Ready(next);
        }
        self.wake = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        self.connection.poll_new_outbound(context)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        self.connection.poll_close(context)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        match self.poll_next(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(stream)) => {
                // A stream over the bound is dropped, which resets it.
                if self.waiting.len() < WAITING_STREAMS {
                    self.waiting.push_back(stream);
                    if let Some(waker) = self.wake.take() {
                        waker.wake();
                    }
                }
                // Let others run, then look again.
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
