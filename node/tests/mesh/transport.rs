//! The post-quantum upgrade against peers that are not ours.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures_rustls::{TlsAcceptor, TlsConnector};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, PortUse, TransportEvent};
use libp2p::core::upgrade::{
    InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo, Version,
};
use libp2p::core::{Endpoint, Transport};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, tcp};
use quadrille_node::mesh::transport::{secured, tls};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group, sign};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_util::compat::TokioAsyncReadCompatExt;

type Dialled = Boxed<(PeerId, StreamMuxerBox)>;

fn stock(keypair: &Keypair) -> Dialled {
    tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(Version::V1)
        .authenticate(libp2p_tls::Config::new(keypair).unwrap())
        .multiplex(libp2p::yamux::Config::default())
        .boxed()
}

/// What each side takes the other for.
async fn connect(mut listener: Dialled, mut dialer: Dialled) -> (PeerId, PeerId) {
    let any: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
    listener.listen_on(ListenerId::next(), any).unwrap();
    let address = match listener.select_next_some().await {
        TransportEvent::NewAddress { listen_addr, .. } => listen_addr,
        other => panic!("{other:?}"),
    };
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let dial = dialer.dial(address, options).unwrap();
    let accept = async {
        loop {
            if let TransportEvent::Incoming { upgrade, .. } = listener.select_next_some().await {
                return upgrade.await.unwrap();
            }
        }
    };
    let both = futures::future::join(dial, accept);
    let (dialled, accepted) = tokio::time::timeout(Duration::from_secs(30), both).await.unwrap();
    (dialled.unwrap().0, accepted.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_peer_with_its_default_groups_connects() {
    let (ours, theirs) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (our_id, their_id) = (ours.public().to_peer_id(), theirs.public().to_peer_id());
    let dialled = connect(secured(&ours).unwrap(), stock(&theirs)).await;
    assert_eq!(dialled, (our_id, their_id));
    let dialled = connect(stock(&theirs), secured(&ours).unwrap()).await;
    assert_eq!(dialled, (their_id, our_id));
}

/// The provider of a peer that knows no post-quantum group.
fn classical() -> Arc<rustls::crypto::CryptoProvider> {
    let kx_groups = vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    Arc::new(rustls::crypto::CryptoProvider { kx_groups, ..default_provider() })
}

#[tokio::test]
async fn a_dialer_with_classical_groups_alone_fails_in_the_handshake() {
    let ours = tls::Config::new(&Keypair::generate_ed25519()).unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    let config = rustls::ClientConfig::builder_with_provider(classical())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from("peer.example").unwrap();
    let theirs = TlsConnector::from(Arc::new(config)).connect(name, far.compat());
    let info = ours.protocol_info().next().unwrap();
    let (ours, theirs) =
        futures::future::join(ours.upgrade_inbound(near.compat(), info), theirs).await;
    assert!(theirs.is_err());
    let error = ours.err().unwrap();
    assert!(matches!(error, tls::TlsError::NoPostQuantum(_)), "{error}");
    assert!(error.to_string().contains("X25519MLKEM768"), "{error}");
    assert!(error.to_string().starts_with("Q-2009"), "{error}");
}

#[tokio::test]
async fn a_listener_with_classical_groups_alone_fails_in_the_handshake() {
    let keypair = Keypair::generate_ed25519();
    let ours = tls::Config::new(&keypair).unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    let (certificate, key) = libp2p_tls::certificate::generate(&keypair).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(classical())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(
            vec![certificate],
            sign::any_ecdsa_type(&key).unwrap(),
        ))));
    let theirs = TlsAcceptor::from(Arc::new(config)).accept(far.compat());
    let info = ours.protocol_info().next().unwrap();
    let (ours, theirs) =
        futures::future::join(ours.upgrade_outbound(near.compat(), info), theirs).await;
    assert!(theirs.is_err());
    let error = ours.err().unwrap();
    assert!(matches!(error, tls::TlsError::NoPostQuantum(_)), "{error}");
}
