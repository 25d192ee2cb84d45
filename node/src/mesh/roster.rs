//! Which node speaks for which domain, and who is connected.
//!
//! Invariants:
//! * A peer stands here only by a verified gateway record; one domain has one peer, that of its
//!   highest record.
//! * As many entries as members: records of others do not verify.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use libp2p::{Multiaddr, PeerId};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{GatewayPeer, VerifiedGatewayRecord};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Domain, Uai};

use super::config::DIAL_ADDRESSES;

/// The peer identifier of libp2p for that of a record.
///
/// # Errors
/// `Q-1212`, which the shape of a [`GatewayPeer`] rules out.
pub fn peer_of(gateway: &GatewayPeer) -> Result<PeerId, Refusal> {
    PeerId::from_bytes(&gateway.to_multihash())
        .map_err(|error| Refusal::new(Code::BadAddress, error.to_string()))
}

#[derive(Debug)]
struct Gateway {
    record: VerifiedGatewayRecord,
    peer: PeerId,
    /// Whether it keeps ledgers; known since its last handshake.
    feeds: Option<bool>,
}

#[derive(Debug, Default)]
struct Inner {
    gateways: BTreeMap<Domain, Gateway>,
    domains: HashMap<PeerId, Domain>,
    /// Since when.
    connected: HashMap<PeerId, Instant>,
}

/// The roster, shared by all tasks of the mesh.
#[derive(Debug, Default)]
pub struct Roster(Mutex<Inner>);

impl Roster {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The highest sequence known of a domain.
    pub fn sequence(&self, domain: &Domain) -> Option<u64> {
        self.inner().gateways.get(domain).map(|gateway| gateway.record.record().sequence)
    }

    /// Takes up a verified record; `feeds` when it was shown by the peer itself.
    ///
    /// # Errors
    /// `Q-1206` when a higher one is known, or another one with the same sequence.
    pub fn learn(&self, record: VerifiedGatewayRecord, feeds: Option<bool>) -> Result<(), Refusal> {
        let peer = peer_of(&record.record().peer_id)?;
        let domain = record.record().domain.clone();
        let mut inner = self.inner();
        if let Some(known) = inner.gateways.get(&domain) {
            let (old, new) = (known.record.record().sequence, record.record().sequence);
            if new < old || (new == old && known.peer != peer) {
                refuse!(StaleSequence, "gateway record {new} of {domain}, {old} is known");
            }
        }
        let before = inner.gateways.remove(&domain);
        let feeds = feeds.or_else(|| {
            before.as_ref().filter(|before| before.peer == peer).and_then(|before| before.feeds)
        });
        if let Some(before) = before {
            inner.domains.remove(&before.peer);
        }
        inner.domains.insert(peer, domain.clone());
        inner.gateways.insert(domain, Gateway { record, peer, feeds });
        Ok(())
    }

    /// The domain that a peer speaks for.
    pub fn domain(&self, peer: &PeerId) -> Option<Domain> {
        self.inner().domains.get(peer).cloned()
    }

    /// The peer that speaks for a domain.
    pub fn peer(&self, domain: &Domain) -> Option<PeerId> {
        self.inner().gateways.get(domain).map(|gateway| gateway.peer)
    }

    /// A domain's record.
    pub fn record(&self, domain: &Domain) -> Option<VerifiedGatewayRecord> {
        self.inner().gateways.get(domain).map(|gateway| gateway.record.clone())
    }

    /// Every record that is known.
    pub fn records(&self) -> Vec<VerifiedGatewayRecord> {
        self.inner().gateways.values().map(|gateway| gateway.record.clone()).collect()
    }

    /// Whether the domain's node keeps ledgers, as far as it has said.
    pub fn feeds(&self, domain: &Domain) -> bool {
        self.inner().gateways.get(domain).is_some_and(|gateway| gateway.feeds == Some(true))
    }

    /// Where a domain's node is reached.
    pub fn addresses(&self, domain: &Domain) -> Vec<Multiaddr> {
        let inner = self.inner();
        let Some(gateway) = inner.gateways.get(domain) else { return Vec::new() };
        let texts = gateway.record.record().addresses.iter();
        texts.filter_map(|text| text.as_str().parse().ok()).take(DIAL_ADDRESSES).collect()
    }

    /// Notes that a peer is connected, or not any more.
    pub fn set_connected(&self, peer: PeerId, connected: bool) {
        let mut inner = self.inner();
        if connected {
            inner.connected.entry(peer).or_insert_with(Instant::now);
        } else {
            inner.connected.remove(&peer);
        }
    }

    /// The peer of a domain when it is connected.
    pub fn connected(&self, domain: &Domain) -> Option<PeerId> {
        let inner = self.inner();
        let peer = inner.gateways.get(domain)?.peer;
        inner.connected.contains_key(&peer).then_some(peer)
    }

    /// Whether a peer is connected.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.inner().connected.contains_key(peer)
    }

    /// Since when a peer is connected without a break.
    pub fn connected_since(&self, peer: &PeerId) -> Option<Instant> {
        self.inner().connected.get(peer).copied()
    }

    /// Every domain with a connected node.
    pub fn connected_domains(&self) -> Vec<(Domain, PeerId)> {
        let inner = self.inner();
        let gateways = inner.gateways.iter();
        gateways
            .filter(|(_, gateway)| inner.connected.contains_key(&gateway.peer))
            .map(|(domain, gateway)| (domain.clone(), gateway.peer))
            .collect()
    }

    /// Every domain whose record says that it deals in an asset.
    pub fn dealers(&self, uai: &Uai) -> Vec<Domain> {
        let inner = self.inner();
        let gateways = inner.gateways.iter();
        gateways
            .filter(|(_, gateway)| gateway.record.record().assets().any(|asset| asset == uai))
            .map(|(domain, _)| domain.clone())
            .collect()
    }

    /// Every domain with a known gateway.
    pub fn domains(&self) -> Vec<Domain> {
        self.inner().gateways.keys().cloned().collect()
    }

    /// Connected peers that speak for no domain any more: another node has taken their place.
    pub fn displaced(&self) -> Vec<PeerId> {
        let inner = self.inner();
        let connected = inner.connected.keys();
        connected.filter(|peer| !inner.domains.contains_key(peer)).copied().collect()
    }
}
