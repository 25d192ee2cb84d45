//! The listener and its connections: HTTP/1.1, every wait bounded in time, every number bounded.
//!
//! What is not HTTP at all is answered by the HTTP library with a bare status and the end of the
//! connection; everything that it can read is answered by the router.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use quadrille_protocol::error::{Code, Refusal};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, Sleep};

use super::router;
use super::state::{Api, ApiSettings, Node, Shared, stop};

/// Headers of one request.
const HEADERS_MAX: usize = 64;
/// Largest head of one request, in bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// Pause after the system refused a connection (no more files), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The HTTP interface, running.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
}

impl Server {
    /// Listens and serves.
    ///
    /// # Errors
    /// `Q-2126`.
    pub async fn start(settings: ApiSettings, node: Node) -> Result<Self, Refusal> {
        let listen = settings.listen;
        let cannot =
            |error: io::Error| Refusal::new(Code::ApiCannotListen, format!("{listen}: {error}"));
        let listener = TcpListener::bind(listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let (stop, stopped) = watch::channel(false);
        let api = Api::new(settings, node);
        let router = router::router(&api, stopped.clone());
        let listener = tokio::spawn(accept(listener, api, router, stopped));
        tracing::info!(%address, "HTTP interface is up");
        Ok(Self { address, stop, listener })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new requests, lets those in progress finish for at most `grace`, and ends.
    pub async fn shutdown(self, grace: Duration) {
        let Self { stop, mut listener, .. } = self;
        stop.send_replace(true);
        if tokio::time::timeout(grace, &mut listener).await.is_err() {
            listener.abort();
        }
    }
}

async fn accept(
    listener: TcpListener,
    api: Shared,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(api.settings.connections));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            // With no room, new ones wait in the system's own queue.
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = stop(&mut stopped) => break,
        };
        let Ok(permit) = permit else { break };
        match accepted {
            Ok((stream, _)) => {
                let (api, router, stopped) = (api.clone(), router.clone(), stopped.clone());
                connections.spawn(serve(stream, api, router, stopped, permit));
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    stream: TcpStream,
    api: Shared,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    _room: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    let connections = &api.node.metrics.http.connections;
    connections.inc();
    let stream = Stalling::new(stream, api.settings.stall_timeout);
    let service = TowerToHyperService::new(router);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(api.settings.head_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
    connections.dec();
}

/// A stream whose other end must go on reading: a write that makes no headway for `limit` fails.
struct Stalling {
    stream: TcpStream,
    limit: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Stalling {
    const fn new(stream: TcpStream, limit: Duration) -> Self {
        Self { stream, limit, stalled: None }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let until = Instant::now() + self.limit;
        let sleep = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reader has stalled")))
    }
}

impl AsyncRead for Stalling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stalling {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
