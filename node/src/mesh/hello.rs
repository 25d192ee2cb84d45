//! The membership handshake: what two nodes tell each other before anything else.
//!
//! ```text
//!   dialer                                   listener
//!     | Hello{certificate, rotations, gateway} ->|  verified first: a stranger learns nothing
//!     |<- Welcome{the listener's own} or Refused |
//!     | Verdict: welcome or refused ------------>|
//! ```
//!
//! It runs on the first stream of a connection (protocol `/quadrille/hello/1`), as the last step
//! of setting the connection up: the swarm with its protocols sees no connection before both
//! sides have passed. So gossip, Kademlia and everything else cannot leak to strangers.
//!
//! Invariants:
//! * The peer that libp2p authenticated is the one that the domain's signed gateway record
//!   names, and the key of that record is the directory's.
//! * A certificate that is not in the directory yet must verify now. One that is known may have
//!   expired: what runs must still find the way (specification, 6.3). A revoked key never passes.

use std::sync::Arc;

use bincode::{Decode, Encode};
use futures::{AsyncRead, AsyncWrite};
use libp2p::PeerId;
use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{
    SignedCertificate, SignedGatewayRecord, SignedRotation, VerifiedGatewayRecord,
};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Bounded, Domain, Network};
use tokio::sync::watch;

use super::admission::{self, Members};
use super::conduct::Conduct;
use super::config::{HELLO_BYTES, HELLO_ROTATIONS};
use super::host::Host;
use super::packet;
use super::roster::{Roster, peer_of};

/// The protocol of the handshake.
pub const PROTOCOL: &str = "/quadrille/hello/1";
/// Largest answer that is not a greeting.
const VERDICT_BYTES: usize = 1024;
const ANSWER_BYTES: usize = HELLO_BYTES + VERDICT_BYTES;

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Hello {
    network: Network,
    certificate: SignedCertificate,
    rotations: Bounded<SignedRotation, HELLO_ROTATIONS>,
    gateway: SignedGatewayRecord,
    /// Whether it keeps ledgers, so that there is a session.
    feeds: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
enum Answer {
    Welcome(Box<Hello>),
    Refused(Refusal),
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
enum Verdict {
    Welcome,
    Refused(Refusal),
}

/// What a handshake needs.
#[derive(Clone)]
pub struct Doorkeeper {
    pub host: Arc<dyn Host>,
    pub roster: Arc<Roster>,
    pub conduct: Arc<Conduct>,
    pub members: Arc<Members>,
    /// Our own record; none until we listen.
    pub own: watch::Receiver<Option<SignedGatewayRecord>>,
}

impl Doorkeeper {
    /// The handshake with a peer that we have dialled. Returns its domain.
    ///
    /// # Errors
    /// Why the peer does not pass, or why it refuses us.
    pub async fn dialled<S>(&self, peer: PeerId, mut stream: S) -> Result<Domain, Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let hello = codec::encode(&self.introduce().await?);
        packet::write(&mut stream, &hello).await?;
        let answer = packet::read(&mut stream, ANSWER_BYTES).await?;
        let checked = match codec::decode::<Answer, ANSWER_BYTES>(&answer)? {
            Answer::Refused(refusal) => return Err(refused_us(refusal)),
            Answer::Welcome(hello) => self.check(peer, *hello).await,
        };
        let verdict = match &checked {
            Ok(_) => Verdict::Welcome,
            Err(refusal) => Verdict::Refused(refusal.clone()),
        };
        packet::write(&mut stream, &codec::encode(&verdict)).await?;
        // The listener closes when it has read the verdict; before that the connection stays.
        packet::read_end(&mut stream).await;
        checked
    }

    /// The handshake with a peer that has dialled us.
    ///
    /// # Errors
    /// Why the peer does not pass, or why it refuses us.
    pub async fn answered<S>(&self, peer: PeerId, mut stream: S) -> Result<Domain, Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let hello = packet::read(&mut stream, HELLO_BYTES).await?;
        let checked = match codec::decode::<Hello, HELLO_BYTES>(&hello) {
            Ok(hello) => self.check(peer, hello).await,
            Err(refusal) => Err(refusal),
        };
        let domain = match checked {
            Ok(domain) => domain,
            Err(refusal) => {
                let answer = codec::encode(&Answer::Refused(refusal.clone()));
                packet::write(&mut stream, &answer).await?;
                packet::read_end(&mut stream).await;
                return Err(refusal);
            }
        };
        let answer = Answer::Welcome(Box::new(self.introduce().await?));
        packet::write(&mut stream, &codec::encode(&answer)).await?;
        let verdict = packet::read(&mut stream, VERDICT_BYTES).await?;
        packet::close(&mut stream).await?;
        match codec::decode::<Verdict, VERDICT_BYTES>(&verdict)? {
            Verdict::Welcome => Ok(domain),
            Verdict::Refused(refusal) => Err(refused_us(refusal)),
        }
    }

    async fn introduce(&self) -> Result<Hello, Refusal> {
        let mut own = self.own.clone();
        let gateway = match own.wait_for(Option::is_some).await {
            Ok(gateway) => gateway.clone(),
            Err(_) => None,
        };
        let Some(gateway) = gateway else {
            refuse!(MeshStopped, "no gateway record of our own");
        };
        Ok(Hello {
            network: self.host.anchors().network.clone(),
            certificate: self.host.certificate(),
            rotations: Bounded::new(self.host.rotations())?,
            gateway,
            feeds: self.host.is_validator(),
        })
    }

    async fn check(&self, peer: PeerId, hello: Hello) -> Result<Domain, Refusal> {
        let network = &self.host.anchors().network;
        if hello.network != *network {
            refuse!(WrongNetwork, "{}, this is {network}", hello.network);
        }
        let certificate = hello.certificate.parse()?;
        let domain = certificate.domain;
        if domain == *self.host.domain() {
            refuse!(OwnDomain, "{domain} at {peer}");
        }
        self.conduct.check(&domain)?;
        let host = &*self.host;
        admission::take_certificate(host, &self.members, &hello.certificate).await?;
        admission::take_rotations(host, &self.members, &domain, &hello.rotations).await?;
        let record = self.check_gateway(peer, &domain, &hello.gateway)?;
        self.roster.learn(record, Some(hello.feeds))?;
        Ok(domain)
    }

    fn check_gateway(
        &self,
        peer: PeerId,
        domain: &Domain,
        signed: &SignedGatewayRecord,
    ) -> Result<VerifiedGatewayRecord, Refusal> {
        let record = admission::verify_gateway(&*self.host, &self.roster, signed)?;
        if record.record().domain != *domain {
            refuse!(WrongDomain, "a gateway record of {} from {domain}", record.record().domain);
        }
        let named = peer_of(&record.record().peer_id)?;
        if named != peer {
            refuse!(PeerMismatch, "{domain} names {named}, this is {peer}");
        }
        let directory = self.host.directory();
        let (latest, _) = directory.member(domain)?.latest()?;
        directory.good_key(domain, latest)?;
        Ok(record)
    }
}

fn refused_us(refusal: Refusal) -> Refusal {
    // The code is the peer's word and stays visible; whose word it is must be visible too.
    let Refusal { code, what } = refusal;
    Refusal::new(Code::HandshakeFailed, format!("the peer refuses us: {code} {what}"))
}
