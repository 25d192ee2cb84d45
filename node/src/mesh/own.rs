//! Our own gateway record: where we listen and what we deal in, signed anew before it expires
//! and when what it says has changed.
//!
//! Its sequence is the time of its signature in milliseconds, so that it rises over restarts
//! without a file of its own. A clock that has gone back makes peers refuse us (`Q-1206`) until
//! it has come to where it was.

use std::time::Instant;

use libp2p::identity::PublicKey;
use libp2p::{Multiaddr, PeerId};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{Address, GatewayPeer, GatewayRecord, SignedGatewayRecord};
use quadrille_protocol::limits;
use quadrille_protocol::types::{Bounded, Duration, Epoch, Time};
use tokio::sync::watch;

use super::host::Published;
use super::shared::Shared;

/// How long after a failure it is tried again.
const RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// Our record and what it is made of.
pub struct Own {
    peer: GatewayPeer,
    peer_id: PeerId,
    addresses: watch::Sender<Vec<Multiaddr>>,
    signed: watch::Sender<Option<SignedGatewayRecord>>,
    sequence: u64,
    published: Published,
    epoch: Epoch,
    /// When it is to be signed anew.
    due: Time,
    /// When it could not be signed the last time.
    failed: Option<Instant>,
}

impl Own {
    /// Nothing signed yet.
    ///
    /// # Errors
    /// `Q-2014` for a key that is not Ed25519.
    pub fn new(
        key: &PublicKey,
        addresses: watch::Sender<Vec<Multiaddr>>,
        signed: watch::Sender<Option<SignedGatewayRecord>>,
    ) -> Result<Self, Refusal> {
        let ed25519 = key
            .clone()
            .try_into_ed25519()
            .map_err(|error| Refusal::new(Code::BadMeshKey, error.to_string()))?;
        Ok(Self {
            peer: GatewayPeer::from_ed25519(ed25519.to_bytes()),
            peer_id: key.to_peer_id(),
            addresses,
            signed,
            sequence: 0,
            published: Published::default(),
            epoch: Epoch(0),
            due: Time(0),
            failed: None,
        })
    }

    /// We listen on an address.
    pub fn listening(&self, address: Multiaddr) {
        let full = address.with_p2p(self.peer_id).unwrap_or_else(|same| same);
        tracing::info!(address = %full, "the mesh listens");
        self.addresses.send_modify(|addresses| {
            if !addresses.contains(&full) {
                addresses.push(full);
            }
        });
    }

    /// We listen there no more.
    pub fn not_listening(&self, address: &Multiaddr) {
        let full = address.clone().with_p2p(self.peer_id).unwrap_or_else(|same| same);
        self.addresses.send_modify(|addresses| addresses.retain(|known| *known != full));
    }

    /// Whether it is time to sign anew, or what it says has changed.
    pub fn is_due(&self, shared: &Shared) -> bool {
        if self.failed.is_some_and(|at| at.elapsed() < RETRY) {
            return false;
        }
        shared.host.now() >= self.due
            || shared.host.epoch() != self.epoch
            || shared.host.published() != self.published
    }

    /// Signs it anew. When that fails the old one stands and it is tried again a little later.
    pub fn renew(&mut self, shared: &Shared) {
        let signed = self.sign(shared);
        self.failed = signed.as_ref().err().map(|_| Instant::now());
        if let Err(refusal) = signed {
            tracing::error!(code = %refusal.code, %refusal, "no gateway record of our own");
        }
    }

    /// The signed record, when there is one.
    pub fn signed(&self) -> Option<SignedGatewayRecord> {
        self.signed.borrow().clone()
    }

    /// Signs the record.
    ///
    /// # Errors
    /// What the signer refuses; `Q-1212`, `Q-1001` an address or record that is too long.
    pub fn sign(&mut self, shared: &Shared) -> Result<(), Refusal> {
        let (host, config) = (&shared.host, &shared.config);
        let now = host.now();
        let life = Duration(u64::try_from(config.timing.gateway_life.as_millis()).unwrap_or(0));
        let listening = self.addresses.borrow().clone();
        let shown = |address: &Multiaddr| address.to_string().parse::<Address>();
        let mut addresses = if config.advertise.is_empty() {
            // An address that has no form in a record (with a zone, say) is of no use to others.
            listening.iter().filter_map(|address| shown(address).ok()).collect()
        } else {
            config.advertise.iter().map(shown).collect::<Result<Vec<_>, _>>()?
        };
        addresses.truncate(limits::GATEWAY_ADDRESSES);
        let sequence = now.0.max(self.sequence.saturating_add(1));
        let (epoch, published) = (host.epoch(), host.published());
        let record = GatewayRecord {
            network: host.anchors().network.clone(),
            domain: host.domain().clone(),
            epoch,
            peer_id: self.peer,
            addresses: Bounded::new(addresses)?,
            sequence,
            expires: now.after(life),
            transit: published.transit,
            correspondents: None,
            services: Bounded::default(),
        };
        let record = record.dealing(&published.dealings, published.named);
        let signed = host.sign_gateway(&record)?;
        self.sequence = sequence;
        self.epoch = epoch;
        self.published = published;
        self.due = now.after(Duration(life.0 / 3));
        self.signed.send_replace(Some(signed));
        Ok(())
    }
}
