//! A member that passes the handshake and then does as the test wants, byte by byte.

use std::sync::Arc;
use std::task::Poll;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox};
use libp2p::core::transport::{DialOpts, PortUse};
use libp2p::core::upgrade::Version;
use libp2p::core::{Endpoint, Transport};
use libp2p::identity::Keypair;
use multistream_select::{Negotiated, dialer_select_proto};
use quadrille_node::mesh::MeshHandle;
use quadrille_node::mesh::host::Host;
use quadrille_node::mesh::transport::secured;
use quadrille_protocol::codec;
use quadrille_protocol::identity::{GatewayPeer, GatewayRecord, SignedRotation};
use quadrille_protocol::types::{Bounded, Time};
use tokio::sync::{mpsc, oneshot};

use crate::support::TestHost;

type Opened = oneshot::Sender<SubstreamBox>;

/// A connection to a mesh.
pub struct Rogue {
    open: mpsc::Sender<Opened>,
    key: Keypair,
}

impl Rogue {
    /// Connects over TLS and yamux, and says nothing yet.
    pub async fn connect(mesh: &MeshHandle, number: u8) -> Self {
        let key = Keypair::ed25519_from_bytes([number; 32]).unwrap();
        let mut transport = secured(&key).unwrap();
        let mut address = mesh.listen_addresses()[0].clone();
        address.pop();
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let (_, connection) = transport.dial(address, options).unwrap().await.unwrap();
        let (open, requests) = mpsc::channel(8);
        tokio::spawn(drive(connection, requests));
        Self { open, key }
    }

    /// A member's connection that has passed the handshake as `host`.
    pub async fn member(mesh: &MeshHandle, host: &Arc<TestHost>, number: u8) -> Self {
        let rogue = Self::connect(mesh, number).await;
        rogue.greet(host).await.expect("let in");
        rogue
    }

    /// Shows the papers of `host`. None: not let in.
    pub async fn greet(&self, host: &Arc<TestHost>) -> Option<()> {
        let mut stream = self.stream("/quadrille/hello/1").await?;
        write(&mut stream, &self.hello(host)).await?;
        let answer = read(&mut stream).await?;
        // Welcome is the first of the two answers.
        if answer[..4] != [0; 4] {
            return None;
        }
        write(&mut stream, &[0; 4]).await?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok()?;
        Some(())
    }

    /// The greeting of `host` at this node.
    pub fn hello(&self, host: &Arc<TestHost>) -> Vec<u8> {
        let key = self.key.public().try_into_ed25519().unwrap();
        let record = GatewayRecord {
            network: host.anchors().network.clone(),
            domain: host.domain.clone(),
            epoch: host.epoch(),
            peer_id: GatewayPeer::from_ed25519(key.to_bytes()),
            addresses: Bounded::default(),
            sequence: 1,
            expires: Time::MAX,
            transit: None,
            correspondents: None,
            services: Bounded::default(),
        };
        let signed = host.sign_gateway(&record).unwrap();
        let rotations: Bounded<SignedRotation, 16> = Bounded::new(host.rotations()).unwrap();
        codec::encode(&(record.network, host.certificate(), rotations, signed, true))
    }

    /// A stream of one protocol. None: the connection is gone, or does not speak it.
    pub async fn stream(&self, protocol: &'static str) -> Option<Negotiated<SubstreamBox>> {
        let stream = self.raw().await?;
        let (_, stream) = dialer_select_proto(stream, [protocol], Version::V1).await.ok()?;
        Some(stream)
    }

    /// A stream without any protocol.
    pub async fn raw(&self) -> Option<SubstreamBox> {
        let (send, receive) = oneshot::channel();
        self.open.send(send).await.ok()?;
        receive.await.ok()
    }
}

/// Moves the connection; what the peer opens is kept and never answered.
async fn drive(mut connection: StreamMuxerBox, mut requests: mpsc::Receiver<Opened>) {
    let mut waiting: Option<Opened> = None;
    let mut kept = Vec::new();
    let _ = std::future::poll_fn(|context| {
        loop {
            match connection.poll_unpin(context) {
                Poll::Ready(Ok(_)) => continue,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
            match connection.poll_inbound_unpin(context) {
                Poll::Ready(Ok(stream)) => {
                    kept.push(stream);
                    continue;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
            if waiting.is_none() {
                match requests.poll_recv(context) {
                    Poll::Ready(Some(request)) => waiting = Some(request),
                    // The test has let go: so does the connection.
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => return Poll::Pending,
                }
            }
            match connection.poll_outbound_unpin(context) {
                Poll::Ready(Ok(stream)) => {
                    let _ = waiting.take().unwrap().send(stream);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

pub async fn write<S: AsyncWriteExt + Unpin>(stream: &mut S, bytes: &[u8]) -> Option<()> {
    let length = u32::try_from(bytes.len()).unwrap();
    stream.write_all(&length.to_le_bytes()).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}

pub async fn read<S: AsyncReadExt + Unpin>(stream: &mut S) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.ok()?;
    let mut bytes = vec![0; usize::try_from(u32::from_le_bytes(length)).unwrap()];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}
