//! TLS 1.3 with a post-quantum key exchange, or no connection.
//!
//! The certificate and its check are libp2p's own (specification `tls/tls.md`), so a stock
//! peer that offers the group connects; the rest of the upgrade is ours, because the stock one
//! falls back to a classical group without saying so.
//!
//! Invariants:
//! * X25519MLKEM768 is the only key exchange group of either side. A peer that has none in
//!   common fails in the handshake, before a byte of ours is sent.
//! * Session keys are written nowhere, whatever `SSLKEYLOGFILE` says.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, FutureExt};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use libp2p::PeerId;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::identity::Keypair;
use libp2p_tls::certificate;
use quadrille_protocol::error::{Code, Refusal};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group, sign};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName,
    PeerIncompatible, ServerConfig, SignatureScheme,
};

/// What libp2p negotiates inside TLS.
const ALPN: &[u8] = b"libp2p";

/// The upgrade, to be shared by all connections.
#[derive(Clone)]
pub struct Config {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// Why there is no secure connection.
#[derive(Debug)]
pub enum TlsError {
    /// No certificate could be made for our key.
    Certificate(String),
    /// The two sides have no key exchange group in common.
    NoPostQuantum(io::Error),
    /// Any other failure of the handshake.
    Handshake(io::Error),
    /// The peer's certificate is not one of libp2p.
    Peer(String),
}

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Certificate(error) => write!(f, "no TLS certificate for our key: {error}"),
            Self::NoPostQuantum(error) => {
                let what = format!("X25519MLKEM768 is needed: {error}");
                Refusal::new(Code::NoPostQuantumTls, what).fmt(f)
            }
            Self::Handshake(error) => write!(f, "TLS handshake: {error}"),
            Self::Peer(error) => write!(f, "the peer's TLS certificate: {error}"),
        }
    }
}

impl std::error::Error for TlsError {}

impl Config {
    /// The upgrade for the node with this key.
    ///
    /// # Errors
    /// [`TlsError::Certificate`].
    pub fn new(keypair: &Keypair) -> Result<Self, TlsError> {
        let bad = |error: &dyn std::fmt::Display| TlsError::Certificate(error.to_string());
        let (certificate, key) = certificate::generate(keypair).map_err(|error| bad(&error))?;
        let key = sign::any_ecdsa_type(&key).map_err(|error| bad(&error))?;
        let resolver = Arc::new(SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key)));
        let provider = Arc::new(provider());
        let versions = &[&rustls::version::TLS13];
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| bad(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier))
            .with_client_cert_resolver(resolver.clone());
        client.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session would name its earlier key exchange; each connection makes its own.
        client.resumption = rustls::client::Resumption::disabled();
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| bad(&error))?
            .with_client_cert_verifier(Arc::new(Verifier))
            .with_cert_resolver(resolver);
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self { server: Arc::new(server), client: Arc::new(client) })
    }
}

fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![kx_group::X25519MLKEM768],
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
        ],
        ..default_provider()
    }
}

impl UpgradeInfo for Config {
    type Info = &'static str;
    type InfoIter = std::iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/tls/1.0.0")
    }
}

impl<C> InboundConnectionUpgrade<C> for Config
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, TlsStream<C>);
    type Error = TlsError;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, socket: C, _: Self::Info) -> Self::Future {
        async move {
            let stream =
                TlsAcceptor::from(self.server).accept(socket).await.map_err(failed_handshake)?;
            authenticated(stream.into())
        }
        .boxed()
    }
}

impl<C> OutboundConnectionUpgrade<C> for Config
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, TlsStream<C>);
    type Error = TlsError;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        async move {
            // An address as the name keeps the server name extension out, as the specification
            // asks.
            let name = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
            let connector = TlsConnector::from(self.client);
            let stream = connector.connect(name, socket).await.map_err(failed_handshake)?;
            authenticated(stream.into())
        }
        .boxed()
    }
}

fn authenticated<C>(stream: TlsStream<C>) -> Result<(PeerId, TlsStream<C>), TlsError> {
    let Some([certificate]) = stream.get_ref().1.peer_certificates() else {
        return Err(TlsError::Peer("exactly one is needed".to_owned()));
    };
    let parsed =
        certificate::parse(certificate).map_err(|error| TlsError::Peer(error.to_string()))?;
    let peer = parsed.peer_id();
    Ok((peer, stream))
}

/// Tells a missing group from every other failure, so that an operator reads the true reason.
fn failed_handshake(error: io::Error) -> TlsError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let no_group = match inner {
        Some(rustls::Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon)) => true,
        // What a server that knows none of our groups answers; we offer but one.
        Some(rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)) => true,
        Some(_) | None => false,
    };
    if no_group { TlsError::NoPostQuantum(error) } else { TlsError::Handshake(error) }
}

/// libp2p's rules for both sides: one certificate, self-signed, with the key's extension.
#[derive(Debug)]
struct Verifier;

const SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
];

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        check_chain(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        check_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        check_chain(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        check_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

fn no_tls12() -> rustls::Error {
    rustls::Error::General("TLS 1.3 only".to_owned())
}

fn check_chain(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Result<(), rustls::Error> {
    if !intermediates.is_empty() {
        return Err(rustls::Error::General("more than one certificate".to_owned()));
    }
    parse(end_entity).map(|_| ())
}

fn check_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    parse(certificate)?
        .verify_signature(signed.scheme, message, signed.signature())
        .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadSignature))?;
    Ok(HandshakeSignatureValid::assertion())
}

fn parse<'a>(
    certificate: &'a CertificateDer<'a>,
) -> Result<certificate::P2pCertificate<'a>, rustls::Error> {
    certificate::parse(certificate)
        .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))
}
