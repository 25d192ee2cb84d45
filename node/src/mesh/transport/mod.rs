//! How bytes get to a peer: TCP, post-quantum TLS, yamux, the membership handshake.
//!
//! Invariant: a connection that leaves this module is with a member.

mod muxer;
pub mod tls;

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::Either;
use libp2p::core::connection::ConnectedPoint;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt};
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::transport::{Boxed, OrTransport};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{PeerId, Transport, dns, quic, tcp};
use multistream_select::{dialer_select_proto, listener_select_proto};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::Domain;

use super::config::MeshConfig;
use super::counters::Counters;
use super::hello::{Doorkeeper, PROTOCOL};

pub use muxer::{CONNECTION_WINDOW_BYTES, STREAMS_PER_PEER};

/// A peer that did not pass the door.
#[derive(Debug, Clone)]
pub struct Refused(pub Refusal);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Refused {}

/// TCP with our TLS and yamux, and nothing after it: what [`build`] puts the door behind.
///
/// # Errors
/// `Q-2014` when no TLS certificate can be made for the key.
pub fn secured(keypair: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, Refusal> {
    let tls = tls::Config::new(keypair)
        .map_err(|error| Refusal::new(Code::BadMeshKey, error.to_string()))?;
    Ok(tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1)
        .authenticate(tls)
        .multiplex(muxer::Config)
        .boxed())
}

/// The whole transport.
///
/// # Errors
/// `Q-2014` as [`secured`]; `Q-2012` QUIC with `SSLKEYLOGFILE` set, which its TLS would follow;
/// `Q-2010` no resolver of names.
pub(super) fn build(
    keypair: &Keypair,
    config: &MeshConfig,
    door: Doorkeeper,
    counters: Arc<Counters>,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, Refusal> {
    let tcp = secured(keypair)?;
    let plain = if config.quic {
        if std::env::var_os("SSLKEYLOGFILE").is_some() {
            return Err(Refusal::new(Code::KeyLogSet, "with QUIC switched on"));
        }
        tracing::warn!(
            "QUIC is on: it prefers the post-quantum key exchange, but a peer without it gets a \
             classical one"
        );
        let quic = quic::tokio::Transport::new(quic::Config::new(keypair));
        OrTransport::new(quic, tcp)
            .map(|either, _| match either {
                Either::Left((peer, connection)) => (peer, StreamMuxerBox::new(connection)),
                Either::Right(connection) => connection,
            })
            .boxed()
    } else {
        tcp
    };
    let named = dns::tokio::Transport::system(plain)
        .map_err(|error| Refusal::new(Code::CannotListen, format!("no resolver: {error}")))?;
    let limit = config.timing.handshake;
    let guarded = named.and_then(move |(peer, connection), point| {
        pass(door, counters, limit, peer, connection, point)
    });
    // The handshake has a limit of its own, so that its refusal can still be told and named.
    Ok(TransportTimeout::new(guarded, limit.saturating_mul(2)).boxed())
}

/// Lets a connection through when the handshake on its first stream succeeds.
async fn pass(
    door: Doorkeeper,
    counters: Arc<Counters>,
    limit: Duration,
    peer: PeerId,
    mut connection: StreamMuxerBox,
    point: ConnectedPoint,
) -> Result<(PeerId, StreamMuxerBox), Refused> {
    let passed =
        match tokio::time::timeout(limit, shake(&door, peer, &mut connection, &point)).await {
            Ok(passed) => passed,
            Err(_) => Err(Refusal::new(Code::HandshakeTimeout, format!("after {limit:?}"))),
        };
    let address = point.get_remote_address();
    match passed {
        Ok(domain) => {
            tracing::info!(%domain, %peer, %address, "a member is connected");
            Ok((peer, connection))
        }
        Err(refusal) => {
            counters.handshakes_refused.one();
            let code = refusal.code;
            tracing::warn!(%peer, %address, %code, %refusal, "a peer is not let in");
            Err(Refused(refusal))
        }
    }
}

async fn shake(
    door: &Doorkeeper,
    peer: PeerId,
    connection: &mut StreamMuxerBox,
    point: &ConnectedPoint,
) -> Result<Domain, Refusal> {
    if let ConnectedPoint::Dialer { address, .. } = point
        && let Some(Protocol::P2p(wanted)) = address.iter().last()
        && wanted != peer
    {
        let what = format!("{wanted} was dialled, {peer} answers");
        return Err(Refusal::new(Code::PeerMismatch, what));
    }
    let stream = poll_fn(|context| {
        let opened = match point {
            ConnectedPoint::Dialer { .. } => connection.poll_outbound_unpin(context),
            ConnectedPoint::Listener { .. } => connection.poll_inbound_unpin(context),
        };
        if opened.is_pending()
            && let Poll::Ready(Err(error)) = connection.poll_unpin(context)
        {
            return Poll::Ready(Err(error));
        }
        opened
    })
    .await
    .map_err(|error| lost(&error))?;
    let hello = async {
        match point {
            ConnectedPoint::Dialer { .. } => {
                let negotiated = dialer_select_proto(stream, [PROTOCOL], Version::V1).await;
                let (_, stream) = negotiated.map_err(|error| strange(&error))?;
                door.dialled(peer, stream).await
            }
            ConnectedPoint::Listener { .. } => {
                let negotiated = listener_select_proto(stream, [PROTOCOL]).await;
                let (_, stream) = negotiated.map_err(|error| strange(&error))?;
                door.answered(peer, stream).await
            }
        }
    };
    driving(connection, hello).await
}

/// Runs `work` on a stream of `connection`, which moves only while somebody drives it.
async fn driving<T>(
    connection: &mut StreamMuxerBox,
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        match connection.poll_unpin(context) {
            // The work may have read its last bytes before the line went.
            Poll::Ready(Err(error)) => match work.as_mut().poll(context) {
                Poll::Ready(done) => Poll::Ready(done),
                Poll::Pending => Poll::Ready(Err(lost(&error))),
            },
            Poll::Ready(Ok(_)) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn lost(error: &io::Error) -> Refusal {
    Refusal::new(Code::HandshakeFailed, format!("the connection is lost: {error}"))
}

fn strange(error: &dyn fmt::Display) -> Refusal {
    Refusal::new(Code::HandshakeFailed, format!("the peer does not speak {PROTOCOL}: {error}"))
}
