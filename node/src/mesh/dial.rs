//! Whom to dial, where, and when again.
//!
//! ```text
//!   Host::wanted, configured peers --> Target::Domain   by its gateway record, else as configured
//!   domains that are asked something --^
//!   bootstrap addresses            --> Target::Seed     whoever answers there
//! ```
//!
//! An address without `/p2p/…` is dialled too: who answers there must pass the handshake like
//! everybody else, and its own gateway record says for which domain.
//!
//! Invariant: at most one round of dials per target is under way, and after a failure the next
//! one waits, longer each time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use quadrille_protocol::types::Domain;

use super::config::{DIALS_PER_TICK, MeshConfig, Timing};
use super::retry::Backoff;
use super::shared::Shared;

/// What is dialled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A domain's node.
    Domain(Domain),
    /// Whoever is at a configured address, by its number.
    Seed(usize),
}

#[derive(Debug, Clone)]
struct Place {
    /// As configured, or learnt when somebody answered.
    peer: Option<PeerId>,
    address: Multiaddr,
}

impl Place {
    fn new(address: &Multiaddr) -> Self {
        let mut rest = address.clone();
        match rest.pop() {
            Some(Protocol::P2p(peer)) => Self { peer: Some(peer), address: rest },
            Some(_) | None => Self { peer: None, address: address.clone() },
        }
    }
}

/// What is to be done now.
#[derive(Debug, Default)]
pub struct Plan {
    /// Dials to begin.
    pub dials: Vec<DialOpts>,
    /// Domains of which nothing is known: to be looked up.
    pub unknown: Vec<Domain>,
}

/// The dials.
pub struct Dialer {
    own: PeerId,
    timing: Timing,
    seeds: Vec<Place>,
    known: Vec<(Domain, Place)>,
    backoffs: BTreeMap<Target, Backoff>,
    under_way: HashMap<ConnectionId, Target>,
}

impl Dialer {
    /// Nothing dialled yet by the node `own`.
    pub fn new(own: PeerId, config: &MeshConfig) -> Self {
        let seeds = config.bootstrap.iter().map(Place::new);
        let known = config.peers.iter();
        Self {
            own,
            timing: config.timing,
            // A network's list of bootstrap peers may name this node, too.
            seeds: seeds.filter(|seed| seed.peer != Some(own)).collect(),
            known: known.map(|(domain, at)| (domain.clone(), Place::new(at))).collect(),
            backoffs: BTreeMap::new(),
            under_way: HashMap::new(),
        }
    }

    /// What is due. Each dial is under way until its end is told.
    pub fn plan(&mut self, shared: &Shared) -> Plan {
        let quiet = self.timing.retry_most;
        self.backoffs.retain(|_, backoff| !backoff.is_forgotten(quiet));
        let busy: BTreeSet<Target> = self.under_way.values().cloned().collect();
        let mut plan = Plan::default();
        for domain in self.wanted(shared) {
            if plan.dials.len() >= DIALS_PER_TICK || plan.unknown.len() >= DIALS_PER_TICK {
                return plan;
            }
            let target = Target::Domain(domain.clone());
            let reached = shared.roster.connected(&domain).is_some();
            let blocked = shared.conduct.check(&domain).is_err();
            if reached || blocked || busy.contains(&target) || !self.is_ready(&target) {
                continue;
            }
            let dials = self.ways(shared, &domain);
            if dials.is_empty() {
                plan.unknown.push(domain);
                self.fail(target);
                continue;
            }
            for dial in dials {
                self.under_way.insert(dial.connection_id(), target.clone());
                plan.dials.push(dial);
            }
        }
        for (number, seed) in self.seeds.iter().enumerate() {
            let target = Target::Seed(number);
            let reached = seed.peer.is_some_and(|peer| shared.roster.is_connected(&peer));
            if reached || busy.contains(&target) || !self.is_ready(&target) {
                continue;
            }
            let address = seed.address.clone();
            let dial = match seed.peer {
                Some(peer) => dial_peer(peer, vec![address]),
                None => dial_address(address),
            };
            self.under_way.insert(dial.connection_id(), target);
            plan.dials.push(dial);
        }
        plan
    }

    fn wanted(&self, shared: &Shared) -> BTreeSet<Domain> {
        let mut wanted: BTreeSet<Domain> = shared.host.wanted().into_iter().collect();
        wanted.extend(self.known.iter().map(|(domain, _)| domain.clone()));
        wanted.extend(shared.asked.domains());
        wanted.remove(shared.host.domain());
        wanted
    }

    /// Who speaks for a domain and where it is reached: by its record, and by configuration.
    fn ways(&self, shared: &Shared, domain: &Domain) -> Vec<DialOpts> {
        let mut places: BTreeMap<Option<PeerId>, Vec<Multiaddr>> = BTreeMap::new();
        let recorded = shared.roster.peer(domain);
        if recorded.is_some() {
            places.insert(recorded, shared.roster.addresses(domain));
        }
        let configured = self.known.iter().filter(|(name, _)| name == domain);
        for (_, place) in configured.filter(|(_, place)| place.peer != Some(self.own)) {
            // An address without a peer is that of the recorded one, as far as we know.
            let addresses = places.entry(place.peer.or(recorded)).or_default();
            if !addresses.contains(&place.address) {
                addresses.push(place.address.clone());
            }
        }
        let mut dials = Vec::new();
        for (peer, addresses) in places {
            match peer {
                Some(peer) => dials.push(dial_peer(peer, addresses)),
                None => dials.extend(addresses.into_iter().map(dial_address)),
            }
        }
        dials
    }

    /// A dial has led to a connection with `peer`.
    pub fn connected(&mut self, connection: ConnectionId, peer: PeerId) {
        if let Some(Target::Seed(number)) = self.under_way.remove(&connection)
            && let Some(seed) = self.seeds.get_mut(number)
        {
            seed.peer = Some(peer);
        }
    }

    /// A dial has failed. Returns the domain that was not reached.
    pub fn failed(&mut self, connection: ConnectionId) -> Option<Domain> {
        let target = self.under_way.remove(&connection)?;
        self.fail(target.clone());
        match target {
            Target::Domain(domain) => Some(domain),
            Target::Seed(_) => None,
        }
    }

    /// A dial was not begun, since another one stands or is under way.
    pub fn passed_over(&mut self, connection: ConnectionId) {
        self.under_way.remove(&connection);
    }

    /// A connection has ended after `lived`.
    pub fn disconnected(&mut self, peer: PeerId, domain: Option<Domain>, lived: Duration) {
        let seeds = self.seeds.iter().enumerate();
        let mut targets: Vec<Target> = seeds
            .filter(|(_, seed)| seed.peer == Some(peer))
            .map(|(number, _)| Target::Seed(number))
            .collect();
        targets.extend(domain.map(Target::Domain));
        for target in targets {
            if lived >= self.timing.retry_most {
                self.backoffs.remove(&target);
            } else {
                self.fail(target);
            }
        }
    }

    fn is_ready(&self, target: &Target) -> bool {
        self.backoffs.get(target).is_none_or(Backoff::is_ready)
    }

    fn fail(&mut self, target: Target) {
        let fresh = || Backoff::new(self.timing.retry_first, self.timing.retry_most);
        self.backoffs.entry(target).or_insert_with(fresh).fail();
    }
}

// Each dial from a port of its own. The stock choice, the port that we listen on, helps only to
// get through translators, and fails when somebody else holds that port towards the same peer.

fn dial_peer(peer: PeerId, addresses: Vec<Multiaddr>) -> DialOpts {
    DialOpts::peer_id(peer)
        .addresses(addresses)
        .condition(PeerCondition::DisconnectedAndNotDialing)
        .allocate_new_port()
        .build()
}

fn dial_address(address: Multiaddr) -> DialOpts {
    DialOpts::unknown_peer_id().address(address).allocate_new_port().build()
}
